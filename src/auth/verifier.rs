//! Verifies access tokens with the identity provider's keys, and remembers the valid ones. It outlives the actor that
//! uses it, so that no keys are lost when the actor is replaced.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, watch};

use super::{
    KeySource, Principal,
    jwt::Unverified,
    key_set::{Demand, KeyCache, KeySet},
    provider::Provider,
    remembered::RememberedTokens,
    rules::{Refusal, Rules},
};
use crate::{domain::Sha256Digest, limits};

/// What the configuration says of the identity provider.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// What every token must be.
    pub rules: Rules,
    /// Where the keys are.
    pub source: KeySource,
    /// How long a key set is used while the provider gives no new one.
    pub max_stale: Duration,
    /// Whether a start without keys fails.
    pub require_at_start: bool,
}

/// The present time, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Seconds since 1970, for the times in tokens.
    pub unix: u64,
    /// For the ages of key sets.
    pub instant: Instant,
}

/// What verifying a token with the keys at hand showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It is valid.
    Good(Arc<Principal>),
    /// It is not valid, whatever other keys there may be.
    Refused(Refusal),
    /// Its key is not in the key set.
    UnknownKey,
    /// There is no key set.
    NoKeys,
}

/// The state of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeysState {
    /// Known.
    Fresh,
    /// Known, but the last attempt to refresh them failed.
    LastGood,
    /// Older than allowed.
    TooOld,
    /// Never fetched since the start.
    Never,
}

struct State {
    cache: KeyCache,
    remembered: RememberedTokens,
}

/// Verifies access tokens of one identity provider.
pub struct TokenVerifier {
    rules: Rules,
    /// Fetches the keys.
    pub provider: Provider,
    /// Permits for tokens that wait for their key to be fetched.
    pub waiting: Semaphore,
    state: Mutex<State>,
    refreshed: watch::Sender<()>,
}

impl TokenVerifier {
    /// A verifier by these settings, without keys yet.
    #[must_use]
    pub fn new(settings: IdentitySettings) -> Self {
        let provider = Provider::new(settings.source, settings.rules.algorithms.clone());
        // A key set that must not get old is refreshed more often.
        let refresh_age = if provider.is_file() {
            limits::KEYS_ROUND
        } else {
            limits::KEYS_REFRESH_AGE.min(settings.max_stale / 2)
        };
        let state = State {
            cache: KeyCache::new(refresh_age, settings.max_stale),
            remembered: RememberedTokens::new(limits::REMEMBERED_TOKENS),
        };
        Self {
            rules: settings.rules,
            provider,
            waiting: Semaphore::new(limits::TOKENS_WAITING_FOR_KEYS),
            state: Mutex::new(state),
            refreshed: watch::Sender::new(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Verifies a token with the keys at hand.
    #[must_use]
    pub fn look(&self, token: &[u8], now: Moment) -> Look {
        if token.len() > limits::TOKEN_BYTES {
            return Look::Refused("too long");
        }
        let digest = Sha256Digest::of(token);
        let generation = self.rules.policy.generation();
        let mut state = self.state();
        // Another policy may grant other scopes.
        state.remembered.follow(generation);
        let keys = state.cache.usable(now.instant).cloned();
        if keys.is_some()
            && let Some(principal) = state.remembered.find(&digest, now.unix)
        {
            return Look::Good(principal.clone());
        }
        // A question about the state of the keys must not wait for a signature check.
        drop(state);
        let unverified = match Unverified::parse(token, &self.rules) {
            Ok(unverified) => unverified,
            Err(why) => return Look::Refused(why),
        };
        let Some(keys) = keys else { return Look::NoKeys };
        let kid = unverified.kid.as_deref();
        let Some(key) = keys.find(kid, unverified.algorithm) else {
            let known = kid.is_none_or(|kid| keys.names(kid));
            return if known {
                Look::Refused("not one key fits its kid and algorithm")
            } else {
                Look::UnknownKey
            };
        };
        let verified = match unverified.verify(key, &self.rules, now.unix) {
            Ok(verified) => verified,
            Err(why) => return Look::Refused(why),
        };
        let principal = verified.principal.clone();
        let mut state = self.state();
        // The set and the policy may have been replaced meanwhile.
        if self.rules.policy.generation() == generation
            && state.cache.usable(now.instant).is_some_and(|keys| keys.holds(&key.fingerprint))
        {
            state.remembered.insert(digest, verified, key.fingerprint);
        }
        Look::Good(principal)
    }

    /// As [`KeyCache::begin_regular`].
    pub fn begin_regular(&self, now: Instant) -> bool {
        self.state().cache.begin_regular(now)
    }

    /// As [`KeyCache::begin_for_token`].
    pub fn begin_for_token(&self, now: Instant) -> Demand {
        self.state().cache.begin_for_token(now)
    }

    /// As [`KeyCache::begin_forced`].
    pub fn begin_forced(&self) -> bool {
        self.state().cache.begin_forced()
    }

    /// Takes the provider's answer, logs what changed, and wakes those who wait for it.
    pub fn finish(&self, now: Instant, answer: Result<Option<KeySet>, String>) {
        let mut state = self.state();
        let changed = state.cache.finish(now, answer);
        let usable = state.cache.usable(now).cloned();
        if let Some(keys) = &usable {
            state.remembered.keep(|key| keys.holds(key));
        }
        let why = state.cache.failing().map(ToOwned::to_owned);
        drop(state);
        match (changed, why, usable) {
            (true, Some(cause), keys) => tracing::warn!(
                cause,
                last_good_serves = keys.is_some(),
                "the identity keys could not be refreshed; it is tried again"
            ),
            (true, None, Some(keys)) => tracing::info!(
                keys = keys.used(),
                not_used = keys.ignored(),
                "the identity keys are up to date"
            ),
            _ => {}
        }
        self.refreshed.send_replace(());
    }

    /// Signals the end of each refresh from now on.
    #[must_use]
    pub fn refreshes(&self) -> watch::Receiver<()> {
        self.refreshed.subscribe()
    }

    /// As [`KeyCache::age`].
    #[must_use]
    pub fn keys_age(&self, now: Instant) -> Option<Duration> {
        self.state().cache.age(now)
    }

    /// The state of the keys, and why the last refresh failed, where it did.
    #[must_use]
    pub fn keys(&self, now: Instant) -> (KeysState, Option<String>) {
        let state = self.state();
        let why = state.cache.failing().map(ToOwned::to_owned);
        let keys = match (state.cache.usable(now), &why) {
            (Some(_), None) => KeysState::Fresh,
            (Some(_), Some(_)) => KeysState::LastGood,
            (None, _) if state.cache.was_filled() => KeysState::TooOld,
            (None, _) => KeysState::Never,
        };
        (keys, why)
    }
}
