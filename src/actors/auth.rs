//! `AuthActor`: resolves a token to its principal. Its own thread never waits: a token with a known key is answered
//! at once, and a token with an unknown key waits for the identity provider in its own future.

use std::{sync::Arc, time::Instant};

use actix::{Actor, AsyncContext as _, Context, Handler, Message, Response, ResponseFuture};
use secrecy::{ExposeSecret as _, SecretSlice};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{blocking, supervise::supervised};
use crate::{
    auth::{
        Principal, StaticTokens, TokenVerifier,
        key_set::Demand,
        rules::Refusal,
        verifier::{KeysState, Look, Moment},
    },
    clock,
    error::{ErrorKind, RegistryError},
    fault::{self, Point},
    limits,
};

/// Owns the configured tokens, and the identity provider's keys if there is a provider.
pub struct AuthActor {
    tokens: Arc<StaticTokens>,
    verifier: Option<Arc<TokenVerifier>>,
    looking_ahead: Arc<Semaphore>,
    rounds: Rounds,
}

/// Whether an actor looks at regular intervals for other tokens in the files and other keys at the identity provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    /// It does.
    Made,
    /// Another actor, which shares both, does.
    LeftToAnother,
}

impl AuthActor {
    /// An actor with these tokens and this identity provider.
    #[must_use]
    pub fn new(
        tokens: Arc<StaticTokens>,
        verifier: Option<Arc<TokenVerifier>>,
        rounds: Rounds,
    ) -> Self {
        let looking_ahead = Arc::new(Semaphore::new(limits::TOKENS_LOOKED_FOR_IN_FILES));
        Self { tokens, verifier, looking_ahead, rounds }
    }
}

impl Actor for AuthActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.rounds == Rounds::LeftToAnother {
            return;
        }
        if self.tokens.from_files() {
            let tokens = self.tokens.clone();
            ctx.run_interval(limits::TOKEN_FILES_ROUND, move |_, _| {
                actix::spawn(follow(tokens.clone()));
            });
        }
        let Some(verifier) = self.verifier.clone() else { return };
        refresh_if_due(&verifier);
        ctx.run_interval(limits::KEYS_ROUND, move |_, _| refresh_if_due(&verifier));
    }
}

supervised!(AuthActor, "auth");

/// Resolves a token to its principal. `INVALID_TOKEN` where the token is not valid.
#[derive(Message)]
#[rtype(result = "Result<Arc<Principal>, RegistryError>")]
pub struct ResolveToken {
    /// The bytes after `Bearer `.
    pub token: SecretSlice<u8>,
}

impl Handler<ResolveToken> for AuthActor {
    type Result = Response<Result<Arc<Principal>, RegistryError>>;

    fn handle(&mut self, message: ResolveToken, _: &mut Self::Context) -> Self::Result {
        fault::point(Point::AuthResolve);
        let token = message.token.expose_secret();
        if let Some(principal) = self.tokens.resolve(token) {
            return Response::reply(Ok(principal));
        }
        let Some(verifier) = self.verifier.clone() else {
            return self.refuse(message.token, "not a configured token");
        };
        match now().map(|now| verifier.look(token, now)) {
            Ok(Look::Good(principal)) => Response::reply(Ok(principal)),
            Ok(Look::Refused(why)) => self.refuse(message.token, why),
            Ok(unknown @ (Look::UnknownKey | Look::NoKeys)) => {
                Response::fut(resolve_with_new_keys(verifier, message.token, unknown))
            }
            Err(error) => Response::reply(Err(error)),
        }
    }
}

impl AuthActor {
    /// Refuses a token, unless a token file has it since the last check: a client must not be refused just after its
    /// token was replaced.
    fn refuse(
        &self,
        token: SecretSlice<u8>,
        why: Refusal,
    ) -> Response<Result<Arc<Principal>, RegistryError>> {
        let Some(turn) = self.look_ahead() else {
            return Response::reply(Err(invalid_token(why)));
        };
        let tokens = self.tokens.clone();
        Response::fut(async move {
            follow(tokens.clone()).await;
            drop(turn);
            tokens.resolve(token.expose_secret()).ok_or_else(|| invalid_token(why))
        })
    }

    /// A permit to check the token files, if there are any and few other checks run: wrong tokens must not use up the
    /// actor's capacity.
    fn look_ahead(&self) -> Option<OwnedSemaphorePermit> {
        let turns = self.tokens.from_files().then(|| self.looking_ahead.clone())?;
        turns.try_acquire_owned().ok()
    }
}

/// Checks the token files on a blocking thread.
async fn follow(tokens: Arc<StaticTokens>) {
    let looked = blocking(move || {
        tokens.follow();
        Ok(())
    });
    if let Err(error) = looked.await {
        tracing::error!(%error, "the token files could not be checked");
    }
}

/// Fetches the identity provider's keys now. `REGISTRY_UNAVAILABLE` where there are none.
#[derive(Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub struct RefreshKeys;

impl Handler<RefreshKeys> for AuthActor {
    type Result = ResponseFuture<Result<(), RegistryError>>;

    fn handle(&mut self, _: RefreshKeys, _: &mut Self::Context) -> Self::Result {
        let verifier = self.verifier.clone();
        Box::pin(async move {
            let Some(verifier) = verifier else { return Ok(()) };
            let mut refreshes = verifier.refreshes();
            if verifier.begin_forced() {
                actix::spawn(refresh(verifier.clone()));
            }
            refreshes.changed().await.map_err(RegistryError::internal)?;
            match verifier.keys(Instant::now()) {
                (_, Some(why)) => Err(no_keys(why)),
                (_, None) => Ok(()),
            }
        })
    }
}

/// The state of the identity provider's keys; `None` where there is no identity provider.
#[derive(Message)]
#[rtype(result = "Result<Option<KeysState>, RegistryError>")]
pub struct ReportKeys;

impl Handler<ReportKeys> for AuthActor {
    type Result = Result<Option<KeysState>, RegistryError>;

    fn handle(&mut self, _: ReportKeys, _: &mut Self::Context) -> Self::Result {
        Ok(self.verifier.as_ref().map(|verifier| verifier.keys(Instant::now()).0))
    }
}

fn invalid_token(why: Refusal) -> RegistryError {
    RegistryError::new(ErrorKind::InvalidToken, "Invalid authentication token").because(why)
}

fn no_keys(cause: String) -> RegistryError {
    RegistryError::unavailable(
        "The identity provider's keys are not known; try again in a moment",
        cause,
    )
}

fn now() -> Result<Moment, RegistryError> {
    // A clock before 1970 makes every token one of the future.
    let unix = u64::try_from(clock::now()?.unix_seconds()).unwrap_or_default();
    Ok(Moment { unix, instant: Instant::now() })
}

fn refresh_if_due(verifier: &Arc<TokenVerifier>) {
    if verifier.begin_regular(Instant::now()) {
        actix::spawn(refresh(verifier.clone()));
    }
}

/// Sends a request to the provider on a blocking thread. One of `TokenVerifier::begin_…` has allowed it.
async fn refresh(verifier: Arc<TokenVerifier>) {
    let asked = verifier.clone();
    let answer = blocking(move || Ok(asked.provider.fetch())).await;
    let answer = answer.unwrap_or_else(|panicked| Err(panicked.to_string()));
    verifier.finish(Instant::now(), answer);
}

/// Waits for new keys if the provider may be asked for them, and checks the token again.
async fn resolve_with_new_keys(
    verifier: Arc<TokenVerifier>,
    token: SecretSlice<u8>,
    mut found: Look,
) -> Result<Arc<Principal>, RegistryError> {
    let Ok(_turn) = verifier.waiting.try_acquire() else {
        return Err(RegistryError::new(
            ErrorKind::Overloaded,
            "Too many tokens wait for the identity provider; try again in a moment",
        ));
    };
    let deadline = tokio::time::Instant::now() + limits::KEYS_WAIT;
    while matches!(found, Look::UnknownKey | Look::NoKeys) {
        let mut refreshes = verifier.refreshes();
        match verifier.begin_for_token(Instant::now()) {
            Demand::Ask => drop(actix::spawn(refresh(verifier.clone()))),
            // The request in progress may have begun before the key was published; the loop then asks once more.
            Demand::Wait => {}
            Demand::TooSoon => {
                // That answer may have arrived after the token was checked.
                found = verifier.look(token.expose_secret(), now()?);
                break;
            }
        }
        if tokio::time::timeout_at(deadline, refreshes.changed()).await.is_err() {
            break;
        }
        found = verifier.look(token.expose_secret(), now()?);
    }
    match found {
        Look::Good(principal) => Ok(principal),
        Look::NoKeys => Err(no_keys("no key set was fetched, or it is too old".to_owned())),
        Look::Refused(why) => Err(invalid_token(why)),
        Look::UnknownKey => Err(invalid_token("its key is not in the key set")),
    }
}
