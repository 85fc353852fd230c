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
    /// What programs match on; codes stay, and new ones may be added.
    pub code: &'a str,
}

/// A refusal on its way to a client. What only the log may know travels beside the response.
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
        let mut response = builder.json(ErrorBody { detail: self.0.detail(), code: kind.code() });
        response.extensions_mut().insert(self.0.clone());
        response
    }
}
