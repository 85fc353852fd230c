//! Authorisation. A handler reaches the registry only through a [`Guard`], and a guard exists only for a caller whose
//! token was resolved and has the route's scope.

use std::{future::Future, marker::PhantomData, pin::Pin, sync::Arc};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web};
use secrecy::SecretSlice;
use tokio::sync::{OnceCell, OwnedSemaphorePermit};

use super::{admission::registry_permit, request_log};
use crate::{
    actors::{
        AuthActor, DbActor, Handle,
        auth::{ReportKeys, ResolveToken},
        db::{KeepAnswer, RecallAnswer},
        view::{Answer, Making, Recalled, Seal},
    },
    auth::{Principal, verifier::KeysState},
    catalog::Author,
    domain::{
        Scope,
        log::publisher::Publisher,
        text::{echo, printable},
    },
    error::{ErrorKind, RegistryError},
    http::errors::ApiError,
    registry::{Registry, ready::ComponentState},
};

/// What the server shares with its workers. Handlers cannot reach the registry in it.
#[derive(Clone)]
pub struct HttpState {
    registry: Registry,
    auth: Handle<AuthActor>,
    publisher: Arc<Publisher>,
}

impl HttpState {
    /// The registry, the actor that resolves tokens, and what makes checkpoints of the log.
    #[must_use]
    pub fn new(registry: Registry, auth: Handle<AuthActor>, publisher: Publisher) -> Self {
        Self { registry, auth, publisher: Arc::new(publisher) }
    }

    /// The state of each component, which is told without a token.
    pub async fn readiness(&self) -> Vec<ComponentState> {
        let (mut components, keys) =
            tokio::join!(self.registry.readiness(), self.auth.ask(ReportKeys));
        components.extend(
            keys.map_or_else(|_| Some((false, "cannot be checked")), |keys| keys.map(describe))
                .map(|(ready, detail)| ComponentState { name: "identity keys", ready, detail }),
        );
        components
    }
}

/// Whether tokens can be checked with these keys, and a line that says so.
fn describe(keys: KeysState) -> (bool, &'static str) {
    match keys {
        KeysState::Fresh => (true, "known"),
        KeysState::LastGood => (true, "known, but the identity provider provides no new ones"),
        KeysState::TooOld => (false, "too old, and the identity provider provides no new ones"),
        KeysState::Never => (false, "not known: the identity provider has provided none yet"),
    }
}

/// A scope as a type.
pub trait RequiredScope: 'static {
    /// The scope.
    const SCOPE: Scope;
}

/// `model:read`.
pub struct Read;
/// `model:write`.
pub struct Write;
/// `model:admin`.
pub struct Admin;

impl RequiredScope for Read {
    const SCOPE: Scope = Scope::Read;
}

impl RequiredScope for Write {
    const SCOPE: Scope = Scope::Write;
}

impl RequiredScope for Admin {
    const SCOPE: Scope = Scope::Admin;
}

/// The actors on the thread of a worker. A message to them wakes no other thread.
pub struct WorkerActors {
    /// Resolves tokens.
    pub auth: Handle<AuthActor>,
    /// Knows the answers that do not need the catalog.
    pub db: Handle<DbActor>,
}

/// The registry, for a caller whose token has the scope `S`.
pub struct Guard<S> {
    state: web::Data<HttpState>,
    actors: web::Data<WorkerActors>,
    request: HttpRequest,
    principal: Arc<Principal>,
    permit: OnceCell<Option<OwnedSemaphorePermit>>,
    _scope: PhantomData<S>,
}

impl<S> Guard<S> {
    /// The registry. From the first call on, the request has one of the permits of
    /// [`limits::REGISTRY_REQUESTS`](crate::limits::REGISTRY_REQUESTS), if its route needs one.
    ///
    /// # Errors
    /// `OVERLOADED` where it gets none in time.
    pub async fn registry(&self) -> Result<&Registry, RegistryError> {
        self.permit.get_or_try_init(|| registry_permit(&self.request)).await?;
        Ok(&self.state.registry)
    }

    /// A number that changes whenever the policy is replaced.
    #[must_use]
    pub fn policy_generation(&self) -> u64 {
        self.state.registry.policy.generation()
    }

    /// What is known of the answer to a request for this target.
    ///
    /// # Errors
    /// `OVERLOADED`, `REGISTRY_UNAVAILABLE`.
    pub async fn recall(&self, target: String) -> Result<Recalled, RegistryError> {
        self.actors.db.ask_here(RecallAnswer { target }).await
    }

    /// Keeps an answer for later requests.
    ///
    /// # Errors
    /// `OVERLOADED`, `REGISTRY_UNAVAILABLE`.
    pub async fn keep(
        &self,
        making: Making,
        answer: Arc<Answer>,
        seals: Vec<Seal>,
    ) -> Result<(), RegistryError> {
        self.actors.db.ask_here(KeepAnswer { making, answer, seals }).await
    }

    /// The author of a change by this caller: the person whom the caller names, if any, and the caller as authenticated.
    #[must_use]
    pub fn author(&self, stated: Option<String>) -> Author {
        Author {
            actor: stated.unwrap_or_else(|| printable(self.principal.name()).into_owned()),
            authenticated_as: Some(printable(&self.principal.identity()).into_owned()),
        }
    }

    /// What makes checkpoints of the log.
    #[must_use]
    pub fn publisher(&self) -> &Publisher {
        &self.state.publisher
    }
}

impl<S: RequiredScope> FromRequest for Guard<S> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let missing = || RegistryError::internal("the server has no state");
            let state = request.app_data::<web::Data<HttpState>>().ok_or_else(missing)?.clone();
            let actors = request.app_data::<web::Data<WorkerActors>>().ok_or_else(missing)?.clone();
            let principal = resolve(&request, &actors.auth).await?;
            if !principal.holds(S::SCOPE) {
                return Err(RegistryError::new(
                    ErrorKind::InsufficientScope,
                    format!("Insufficient scope: {} required", S::SCOPE),
                )
                .into());
            }
            let permit = OnceCell::new();
            Ok(Self { state, actors, request, principal, permit, _scope: PhantomData })
        })
    }
}

async fn resolve(
    request: &HttpRequest,
    auth: &Handle<AuthActor>,
) -> Result<Arc<Principal>, RegistryError> {
    let token = bearer_token(request)?;
    let token_length = token.len();
    let resolved = auth.ask_here(ResolveToken { token: SecretSlice::from(token) }).await;
    request_log::add_fields(request, |log| match &resolved {
        Ok(principal) => {
            log.auth_role = Some(principal.role);
            log.auth_subject = principal.subject.as_deref().map(echo);
            log.client_id = principal.client_id.as_deref().map(echo);
        }
        Err(error) => {
            log.token_length = Some(token_length);
            if error.kind() == ErrorKind::InvalidToken {
                log.token_refused = error.cause().map(ToOwned::to_owned);
            }
        }
    });
    resolved
}

/// The token of the `Authorization` header, of which there must be one, with the scheme Bearer (RFC 6750). The name of
/// the scheme is case-insensitive (RFC 9110 section 11.1).
fn bearer_token(request: &HttpRequest) -> Result<Vec<u8>, RegistryError> {
    let missing = || RegistryError::new(ErrorKind::Unauthenticated, "Missing authorization header");
    let mut headers = request.headers().get_all(header::AUTHORIZATION);
    let value = headers.next().ok_or_else(missing)?.as_bytes();
    if headers.next().is_some() {
        // A gateway may have checked either of them.
        request_log::add_fields(request, |log| log.token_length = Some(value.len()));
        return Err(RegistryError::new(ErrorKind::InvalidToken, "Invalid authentication token"));
    }
    match value.split_at_checked(b"Bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => {
            let token = token.trim_ascii();
            if token.is_empty() { Err(missing()) } else { Ok(token.to_vec()) }
        }
        _ => Err(missing()),
    }
}
