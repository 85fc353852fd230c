//! `AuthActor`: resolves a token to a principal. It waits for nothing on its own thread: a token whose key is
//! known is answered at once, and one whose key is not waits in a future of its own for the identity provider.

use std::{sync::Arc, time::Instant};

use actix::{Actor, AsyncContext as _, Context, Handler, Message, Response, ResponseFuture};
use secrecy::{ExposeSecret as _, SecretSlice};

use super::{blocking, supervise::supervised};
use crate::{
    auth::{
        Identity, Principal, StaticTokens,
        identity::{KeysState, Look, Moment},
        jwt::Refusal,
        key_set::Demand,
    },
    clock,
    error::{ErrorKind, RegistryError},
    fault::{self, Point},
    limits,
};

/// Owns the configured tokens, and the identity provider's keys where there is one.
pub struct AuthActor {
    tokens: Arc<StaticTokens>,
    identity: Option<Arc<Identity>>,
}

impl AuthActor {
    /// An actor over these tokens and this identity provider.
    #[must_use]
    pub fn new(tokens: Arc<StaticTokens>, identity: Option<Arc<Identity>>) -> Self {
        Self { tokens, identity }
    }
}

impl Actor for AuthActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(identity) = self.identity.clone() else { return };
        refresh_if_due(&identity);
        ctx.run_interval(limits::KEYS_ROUND, move |_, _| refresh_if_due(&identity));
    }
}

supervised!(AuthActor, "auth");

/// Whom does this token make of its bearer? `INVALID_TOKEN` where it makes nobody of them.
#[derive(Message)]
#[rtype(result = "Result<Principal, RegistryError>")]
pub struct ResolveToken {
    /// The bytes after `Bearer `.
    pub token: SecretSlice<u8>,
}

impl Handler<ResolveToken> for AuthActor {
    type Result = Response<Result<Principal, RegistryError>>;

    fn handle(&mut self, message: ResolveToken, _: &mut Self::Context) -> Self::Result {
        fault::point(Point::AuthResolve);
        let token = message.token.expose_secret();
        if let Some(principal) = self.tokens.resolve(token) {
            return Response::reply(Ok(principal));
        }
        let Some(identity) = self.identity.clone() else {
            return Response::reply(Err(invalid_token("not a configured token")));
        };
        match now().map(|now| identity.look(token, now)) {
            Ok(Look::Good(principal)) => Response::reply(Ok(principal)),
            Ok(Look::Refused(why)) => Response::reply(Err(invalid_token(why))),
            Ok(unknown @ (Look::UnknownKey | Look::NoKeys)) => {
                Response::fut(resolve_with_new_keys(identity, message.token, unknown))
            }
            Err(error) => Response::reply(Err(error)),
        }
    }
}

/// Fetches the identity provider's keys now. `REGISTRY_UNAVAILABLE` where there are none to be had.
#[derive(Message)]
#[rtype(result = "Result<(), RegistryError>")]
pub struct RefreshKeys;

impl Handler<RefreshKeys> for AuthActor {
    type Result = ResponseFuture<Result<(), RegistryError>>;

    fn handle(&mut self, _: RefreshKeys, _: &mut Self::Context) -> Self::Result {
        let identity = self.identity.clone();
        Box::pin(async move {
            let Some(identity) = identity else { return Ok(()) };
            let mut refreshes = identity.refreshes();
            if identity.begin_forced() {
                actix::spawn(refresh(identity.clone()));
            }
            refreshes.changed().await.map_err(RegistryError::internal)?;
            match identity.keys(Instant::now()) {
                (_, Some(why)) => Err(no_keys(why)),
                (_, None) => Ok(()),
            }
        })
    }
}

/// How the identity provider's keys are; `None` where there is no identity provider.
#[derive(Message)]
#[rtype(result = "Result<Option<KeysState>, RegistryError>")]
pub struct ReportKeys;

impl Handler<ReportKeys> for AuthActor {
    type Result = Result<Option<KeysState>, RegistryError>;

    fn handle(&mut self, _: ReportKeys, _: &mut Self::Context) -> Self::Result {
        Ok(self.identity.as_ref().map(|identity| identity.keys(Instant::now()).0))
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
    // A clock before 1970 takes every token for one of the future.
    let unix = u64::try_from(clock::now()?.unix_seconds()).unwrap_or_default();
    Ok(Moment { unix, instant: Instant::now() })
}

fn refresh_if_due(identity: &Arc<Identity>) {
    if identity.begin_regular(Instant::now()) {
        actix::spawn(refresh(identity.clone()));
    }
}

/// Asks the provider on a blocking thread. Whoever calls this was told to by one of `Identity::begin_…`.
async fn refresh(identity: Arc<Identity>) {
    let asked = identity.clone();
    let answer = blocking(move || Ok(asked.provider.fetch())).await;
    let answer = answer.unwrap_or_else(|panicked| Err(panicked.to_string()));
    identity.finish(Instant::now(), answer);
}

/// Waits for new keys where the provider may be asked for them, and looks at the token again.
async fn resolve_with_new_keys(
    identity: Arc<Identity>,
    token: SecretSlice<u8>,
    mut found: Look,
) -> Result<Principal, RegistryError> {
    let Ok(_turn) = identity.waiting.try_acquire() else {
        return Err(RegistryError::new(
            ErrorKind::Overloaded,
            "Too many tokens wait for the identity provider; try again in a moment",
        ));
    };
    let deadline = tokio::time::Instant::now() + limits::KEYS_WAIT;
    while matches!(found, Look::UnknownKey | Look::NoKeys) {
        let mut refreshes = identity.refreshes();
        match identity.begin_for_token(Instant::now()) {
            Demand::Ask => drop(actix::spawn(refresh(identity.clone()))),
            // What is under way may have begun before the key was published: the loop then asks once more.
            Demand::Wait => {}
            Demand::TooSoon => {
                // That answer may have come after the token was looked at.
                found = identity.look(token.expose_secret(), now()?);
                break;
            }
        }
        if tokio::time::timeout_at(deadline, refreshes.changed()).await.is_err() {
            break;
        }
        found = identity.look(token.expose_secret(), now()?);
    }
    match found {
        Look::Good(principal) => Ok(principal),
        Look::NoKeys => Err(no_keys("no key set was fetched, or it is too old".to_owned())),
        Look::Refused(why) => Err(invalid_token(why)),
        Look::UnknownKey => Err(invalid_token("its key is not in the key set")),
    }
}
