//! Errors as clients see them: one flat shape everywhere.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    body::BoxBody,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    error::{ErrorKind, RegistryError},
    limits,
};

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ErrorResponse)]
pub struct ErrorBody<'a> {
    /// A sentence for people. Its wording may change.
    pub detail: &'a str,
    /// The code for programs to match on. Codes never change; new ones may be added.
    pub code: &'a str,
}

/// The APIs that routes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// The service itself: probes, documentation, paths without a route. Probes come every few seconds, so its requests
    /// are logged at DEBUG.
    Service,
    /// `/api/v1`. Each request is logged at INFO.
    Models,
}

impl Surface {
    /// The body of an error. Today's surfaces have the same.
    #[must_use]
    pub fn error_body(self, error: &RegistryError) -> Vec<u8> {
        let body = ErrorBody { detail: error.detail(), code: error.kind().code() };
        match self {
            // Two strings can always be written as JSON.
            Self::Service | Self::Models => serde_json::to_vec(&body).unwrap_or_default(),
        }
    }
}

/// An error on its way to a client, in the common shape; the outermost layer changes it into that of the route's surface,
/// where it has another. The response carries the whole error in its extensions, for the log alone.
#[derive(Debug, Clone)]
pub struct ApiError(pub RegistryError);

impl<E: Into<RegistryError>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.kind().http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let kind = self.0.kind();
        let mut builder = HttpResponse::build(self.status_code());
        match kind {
            ErrorKind::Unauthenticated => {
                builder.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            ErrorKind::InvalidToken => {
                let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
                builder.insert_header((header::WWW_AUTHENTICATE, challenge));
            }
            _ if kind.worth_retrying() => {
                builder.insert_header((header::RETRY_AFTER, limits::RETRY_AFTER_SECONDS));
            }
            _ => {}
        }
        let mut response =
            builder.content_type("application/json").body(Surface::Service.error_body(&self.0));
        response.extensions_mut().insert(self.0.clone());
        response
    }
}
