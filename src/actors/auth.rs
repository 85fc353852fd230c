//! `AuthActor`: resolves a token to a principal.

use std::sync::Arc;

use actix::{Actor, Context, Handler, Message};
use secrecy::{ExposeSecret as _, SecretSlice};

use super::supervise::supervised;
use crate::{
    auth::{Principal, StaticTokens},
    error::{ErrorKind, RegistryError},
    fault,
};

/// Owns the configured tokens.
pub struct AuthActor {
    tokens: Arc<StaticTokens>,
}

impl AuthActor {
    /// An actor over these tokens.
    #[must_use]
    pub fn new(tokens: Arc<StaticTokens>) -> Self {
        Self { tokens }
    }
}

impl Actor for AuthActor {
    type Context = Context<Self>;
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
    type Result = Result<Principal, RegistryError>;

    fn handle(&mut self, message: ResolveToken, _: &mut Self::Context) -> Self::Result {
        fault::point("auth.resolve");
        self.tokens.resolve(message.token.expose_secret()).ok_or_else(|| {
            RegistryError::new(ErrorKind::InvalidToken, "Invalid authentication token")
        })
    }
}
