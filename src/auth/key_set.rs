//! The identity provider's key set (RFC 7517): which keys are used, and how long.
//!
//! [`KeySet`] is one answer of the provider; [`KeyCache`] decides when to fetch the next and how long an answer is used.
//! Neither fetches anything, and the time is handed in.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::{
    jwk::{self, Key},
    strict_json,
};
use crate::{domain::Sha256Digest, limits};

/// Keys whose reason is told, of those that are not used.
const REASONS: usize = 20;

/// The usable keys of one answer.
pub struct KeySet {
    keys: Vec<Key>,
    /// For each key that is not used, its name and the reason.
    ignored: Vec<String>,
}

impl KeySet {
    /// Reads a JWK set. Keys that are not for signatures, or not of an allowed algorithm, are ignored, as RFC 7517
    /// section 5 says.
    ///
    /// # Errors
    /// A sentence for the log, where it is no JWK set or holds no usable key.
    pub fn parse(bytes: &[u8], allowed: &[Algorithm]) -> Result<Self, String> {
        let document = strict_json::object(bytes).ok_or("the key set is not a JSON object")?;
        let Some(Value::Array(list)) = document.get("keys") else {
            return Err("the key set has no list \"keys\"".to_owned());
        };
        let (mut keys, mut ignored) = (Vec::new(), Vec::new());
        for (place, key) in list.iter().enumerate() {
            match Key::parse(key, allowed) {
                Ok(key) => keys.push(key),
                Err(why) => ignored.push(format!("{}: {why}", jwk::shown_name(key, place))),
            }
        }
        let set = Self { keys, ignored };
        match (set.keys.is_empty(), list.len()) {
            (false, _) => Ok(set),
            (true, 0) => Err("the key set is empty".to_owned()),
            (true, count) => Err(format!(
                "none of the key set's {count} keys can be used: {}",
                set.ignored().unwrap_or_default()
            )),
        }
    }

    /// The only key that fits a token's header; `None` where none fits, or more than one.
    #[must_use]
    pub fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        let mut fitting = self.keys.iter().filter(|key| {
            key.algorithms.contains(&algorithm)
                && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid))
        });
        let found = fitting.next()?;
        fitting.next().is_none().then_some(found)
    }

    /// Whether there is a key of this name, for whatever algorithm.
    #[must_use]
    pub fn names(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// Whether there is a key with this fingerprint.
    #[must_use]
    pub fn holds(&self, fingerprint: &Sha256Digest) -> bool {
        self.keys.iter().any(|key| key.fingerprint == *fingerprint)
    }

    /// Whether both hold the same keys.
    fn equals(&self, other: &Self) -> bool {
        self.used() == other.used()
            && self.ignored == other.ignored
            && self.keys.iter().all(|key| other.holds(&key.fingerprint))
    }

    /// How many keys are used.
    #[must_use]
    pub fn used(&self) -> usize {
        self.keys.len()
    }

    /// The keys that are not used, each with the reason; nothing where all are used.
    #[must_use]
    pub fn ignored(&self) -> Option<String> {
        let shown = self.ignored.iter().take(REASONS).cloned().collect::<Vec<_>>().join("; ");
        let more = self.ignored.len().saturating_sub(REASONS);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        (!self.ignored.is_empty()).then_some(shown + &more)
    }
}

/// What to do for a token with an unknown key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Fetch the keys now, and wait.
    Ask,
    /// The keys are being fetched: wait.
    Wait,
    /// They were fetched for such a token a moment ago: refuse it.
    TooSoon,
}

/// The last usable key set, and when to fetch the next.
pub struct KeyCache {
    keys: Option<Arc<KeySet>>,
    fetched: Option<Instant>,
    next: Option<Instant>,
    last_demand: Option<Instant>,
    asking: bool,
    failing: Option<String>,
    refresh_age: Duration,
    max_stale: Duration,
}

impl KeyCache {
    /// An empty cache, due at once. A key set is refreshed at one age and used up to another.
    #[must_use]
    pub fn new(refresh_age: Duration, max_stale: Duration) -> Self {
        Self {
            keys: None,
            fetched: None,
            next: None,
            last_demand: None,
            asking: false,
            failing: None,
            refresh_age,
            max_stale,
        }
    }

    /// The set that tokens are checked with; `None` where there is none, or it is older than allowed.
    #[must_use]
    pub fn usable(&self, now: Instant) -> Option<&Arc<KeySet>> {
        let fetched = self.fetched?;
        self.keys.as_ref().filter(|_| now.duration_since(fetched) < self.max_stale)
    }

    /// How long ago a set was fetched last, or found to be up to date; nothing where there was never one.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.fetched.map(|fetched| now.duration_since(fetched))
    }

    /// Whether there was ever a set.
    #[must_use]
    pub fn was_filled(&self) -> bool {
        self.keys.is_some()
    }

    /// Why the last refresh failed, where it did.
    #[must_use]
    pub fn failing(&self) -> Option<&str> {
        self.failing.as_deref()
    }

    /// Whether it is time for the regular refresh. If so, the caller must fetch and then call [`Self::finish`].
    pub fn begin_regular(&mut self, now: Instant) -> bool {
        if self.asking || self.next.is_some_and(|next| now < next) {
            return false;
        }
        self.asking = true;
        true
    }

    /// What to do for a token whose key is not in the set. At [`Demand::Ask`] the caller must fetch and then call
    /// [`Self::finish`].
    pub fn begin_for_token(&mut self, now: Instant) -> Demand {
        if self.asking {
            return Demand::Wait;
        }
        if self.usable(now).is_none() {
            // Without any key each token would want one; what is regularly tried is tried often then.
            return if self.begin_regular(now) { Demand::Ask } else { Demand::TooSoon };
        }
        let soon = self
            .last_demand
            .is_some_and(|last| now.duration_since(last) < limits::KEYS_DEMAND_PAUSE);
        if soon {
            return Demand::TooSoon;
        }
        self.last_demand = Some(now);
        self.asking = true;
        Demand::Ask
    }

    /// Begins a refresh that is due to no age. If it says yes, the caller must fetch and then call [`Self::finish`].
    pub fn begin_forced(&mut self) -> bool {
        !std::mem::replace(&mut self.asking, true)
    }

    /// Takes the answer; `None` where the keys did not change. Without a new key set the one before stays. Says whether
    /// anything changed that is worth a log line.
    pub fn finish(&mut self, now: Instant, answer: Result<Option<KeySet>, String>) -> bool {
        self.asking = false;
        match answer {
            Ok(found) => {
                let mut changed = self.failing.is_some();
                if let Some(keys) = found {
                    changed |= self.keys.as_ref().is_none_or(|before| !before.equals(&keys));
                    self.keys = Some(Arc::new(keys));
                }
                self.fetched = Some(now);
                self.next = Some(now + self.refresh_age);
                self.failing = None;
                changed
            }
            Err(why) => {
                let pause = match self.usable(now) {
                    Some(_) => limits::KEYS_RETRY_PAUSE,
                    None => limits::KEYS_FIRST_RETRY_PAUSE,
                };
                self.next = Some(now + pause.min(self.refresh_age));
                let changed = self.failing.as_ref() != Some(&why);
                self.failing = Some(why);
                changed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::jwk::tests::{ALL, coordinate, rsa, with};

    fn set(keys: &[Value]) -> Result<KeySet, String> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), &ALL)
    }

    #[test]
    fn a_key_is_bound_to_its_algorithm_or_else_to_its_type() {
        let ec = json!({"kty":"EC","crv":"P-256","kid":"e","x":coordinate(1),"y":coordinate(2)});
        let ed = json!({"kty":"OKP","crv":"Ed25519","kid":"d","x":coordinate(3)});
        let keys = [rsa("any"), with(rsa("ps"), "alg", json!("PS256")), ec, ed];
        let keys = set(&keys).expect("keys");
        let fits = |kid, algorithm| keys.find(Some(kid), algorithm).is_some();
        assert!(fits("any", Algorithm::RS256) && fits("any", Algorithm::PS256));
        assert!(!fits("any", Algorithm::RS512), "not configured");
        assert!(!fits("any", Algorithm::HS256) && !fits("any", Algorithm::ES256));
        assert!(fits("ps", Algorithm::PS256) && !fits("ps", Algorithm::RS256));
        assert!(fits("e", Algorithm::ES256) && !fits("e", Algorithm::EdDSA));
        assert!(fits("d", Algorithm::EdDSA) && !fits("d", Algorithm::ES256));
        assert!(!fits("x", Algorithm::RS256));
        assert!(keys.find(None, Algorithm::ES256).is_some(), "the one that fits");
        assert!(keys.find(None, Algorithm::PS256).is_none(), "two fit");
    }

    #[test]
    fn keys_that_cannot_be_used_are_named_with_their_reason() {
        let unusable = [with(rsa("enc"), "use", json!("enc")), json!("key")];
        let told = set(&unusable).err().expect("no usable key");
        for part in ["2 keys", "\"enc\": its use is not sig", "key 2: it is not a JSON object"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let beside = set(&[unusable[0].clone(), rsa("good")]).expect("the good one");
        assert_eq!(beside.used(), 1);
        assert_eq!(beside.ignored().as_deref(), Some("\"enc\": its use is not sig"));
        assert_eq!(set(&[rsa("good")]).expect("good").ignored(), None);
        let many = set(&vec![json!(1); 500]).err().expect("no usable key");
        assert!(many.ends_with("and 480 more") && many.len() < 2000, "{many}");
    }

    #[test]
    fn what_is_no_key_set_is_refused() {
        for bad in ["", "[]", "{}", r#"{"keys":[{"#, r#"{"keys":{}}"#, r#"{"keys":[]}"#, "<html>"] {
            assert!(KeySet::parse(bad.as_bytes(), &ALL).is_err(), "{bad}");
        }
        let twice = format!(r#"{{"keys":[{0}],"keys":[{0}]}}"#, rsa("a"));
        assert!(KeySet::parse(twice.as_bytes(), &ALL).is_err());
    }

    #[test]
    fn another_key_under_the_same_name_is_another_key() {
        let one = set(&[rsa("a")]).expect("keys");
        let other = with(rsa("a"), "e", json!("Aw"));
        let other = set(&[other]).expect("keys");
        assert!(one.holds(&one.keys[0].fingerprint) && !other.holds(&one.keys[0].fingerprint));
    }

    #[test]
    fn a_set_is_refreshed_at_its_age_and_serves_to_a_higher_one() {
        let (hour, now) = (Duration::from_secs(3600), Instant::now());
        let mut cache = KeyCache::new(Duration::from_secs(300), hour);
        assert!(cache.begin_regular(now) && !cache.begin_regular(now), "one at a time");
        assert!(cache.usable(now).is_none());
        assert!(cache.finish(now, Err("down".into())) && cache.failing().is_some());
        assert!(!cache.begin_regular(now));
        assert!(cache.begin_regular(now + limits::KEYS_FIRST_RETRY_PAUSE), "tried often");
        assert!(!cache.finish(now, Err("down".into())), "told once");
        assert!(cache.begin_forced());
        assert!(cache.finish(now, set(&[rsa("a")]).map(Some)) && cache.failing().is_none());
        assert!(!cache.begin_regular(now + Duration::from_secs(299)));
        let later = now + Duration::from_secs(300);
        assert!(cache.begin_regular(later));
        cache.finish(later, Err("garbage".into()));
        assert!(!cache.begin_regular(later + Duration::from_secs(9)));
        assert!(cache.usable(later).is_some_and(|keys| keys.names("a")), "the last good one");
        assert!(cache.usable(now + hour).is_none() && cache.was_filled());
    }

    #[test]
    fn unknown_keys_make_one_request_in_a_while() {
        let now = Instant::now();
        let mut cache = KeyCache::new(Duration::from_secs(300), Duration::from_secs(3600));
        assert_eq!(cache.begin_for_token(now), Demand::Ask);
        assert_eq!(cache.begin_for_token(now), Demand::Wait);
        cache.finish(now, Err("down".into()));
        assert_eq!(cache.begin_for_token(now), Demand::TooSoon, "nor without any key");
        let now = now + limits::KEYS_FIRST_RETRY_PAUSE;
        assert_eq!(cache.begin_for_token(now), Demand::Ask);
        cache.finish(now, set(&[rsa("a")]).map(Some));
        assert_eq!(cache.begin_for_token(now), Demand::Ask, "the first set was nobody's demand");
        assert_eq!(cache.begin_for_token(now), Demand::Wait);
        cache.finish(now, set(&[rsa("a")]).map(Some));
        assert_eq!(cache.begin_for_token(now + Duration::from_secs(9)), Demand::TooSoon);
        assert_eq!(cache.begin_for_token(now + limits::KEYS_DEMAND_PAUSE), Demand::Ask);
    }
}
