//! The error table: code, HTTP status and exit status of each error. No other place decides a status.

use std::fmt;

use crate::{
    catalog::CatalogError,
    domain::{registration::InvalidRegistration, status::InvalidTransition},
};

/// The kind of a refusal or failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request has no bearer token.
    Unauthenticated,
    /// The token is not valid.
    InvalidToken,
    /// The token lacks the route's scope.
    InsufficientScope,
    /// The version, the production version or the model type does not exist.
    ModelNotFound,
    /// The route does not exist.
    NotFound,
    /// The route does not support the method.
    MethodNotAllowed,
    /// The requested byte range is not satisfiable.
    RangeNotSatisfiable,
    /// The request is for another host.
    MisdirectedRequest,
    /// A precondition of the request does not hold.
    PreconditionFailed,
    /// A parameter or field is invalid.
    InvalidRequest,
    /// The request's body is larger than allowed.
    TooLarge,
    /// The request is not valid HTTP (RFC 9112).
    MalformedRequest,
    /// The request did not arrive in time.
    RequestTimeout,
    /// The request line is longer than allowed.
    UriTooLong,
    /// The request's head is larger than allowed.
    HeadersTooLarge,
    /// The client closed its connection before the answer was ready. Only the log shows this error.
    ClientGone,
    /// Parameters that the type requires are missing.
    MissingRequiredFields,
    /// The registration names no data set versions.
    InvalidDatasetVersion,
    /// The registration names no snapshot.
    InvalidSnapshot,
    /// The version number was used before.
    VersionExists,
    /// The version's files were removed.
    VersionCollected,
    /// The version's status does not allow the transition.
    InvalidTransition,
    /// Another process is restoring the registry.
    RestoreUnderWay,
    /// A metric is below its gate.
    PromotionGateFailed,
    /// A check found a file that differs from its recorded hash.
    ChecksumMismatch,
    /// A read found a file that differs from its recorded hash.
    IntegrityOnRead,
    /// The artifact is intact but would not load.
    ValidationFailed,
    /// Another process is changing the registry.
    RegistryLocked,
    /// The catalog, the disk or an actor does not answer.
    RegistryUnavailable,
    /// The queue of waiting work is full.
    Overloaded,
    /// An unexpected failure.
    Internal,
}

/// A row of the table: code, HTTP status, exit status.
type Row = (&'static str, u16, u8);

impl ErrorKind {
    /// Every kind.
    pub const ALL: [Self; 31] = [
        Self::Unauthenticated,
        Self::InvalidToken,
        Self::InsufficientScope,
        Self::ModelNotFound,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RangeNotSatisfiable,
        Self::MisdirectedRequest,
        Self::PreconditionFailed,
        Self::InvalidRequest,
        Self::TooLarge,
        Self::MalformedRequest,
        Self::RequestTimeout,
        Self::UriTooLong,
        Self::HeadersTooLarge,
        Self::ClientGone,
        Self::MissingRequiredFields,
        Self::InvalidDatasetVersion,
        Self::InvalidSnapshot,
        Self::VersionExists,
        Self::VersionCollected,
        Self::InvalidTransition,
        Self::RestoreUnderWay,
        Self::PromotionGateFailed,
        Self::ChecksumMismatch,
        Self::IntegrityOnRead,
        Self::ValidationFailed,
        Self::RegistryLocked,
        Self::RegistryUnavailable,
        Self::Overloaded,
        Self::Internal,
    ];

    const fn row(self) -> Row {
        match self {
            Self::Unauthenticated => ("UNAUTHENTICATED", 401, 2),
            Self::InvalidToken => ("INVALID_TOKEN", 401, 2),
            Self::InsufficientScope => ("INSUFFICIENT_SCOPE", 403, 2),
            Self::ModelNotFound => ("MODEL_NOT_FOUND", 404, 3),
            Self::NotFound => ("NOT_FOUND", 404, 3),
            Self::MethodNotAllowed => ("METHOD_NOT_ALLOWED", 405, 2),
            Self::RangeNotSatisfiable => ("RANGE_NOT_SATISFIABLE", 416, 2),
            Self::MisdirectedRequest => ("MISDIRECTED_REQUEST", 421, 2),
            Self::PreconditionFailed => ("PRECONDITION_FAILED", 412, 2),
            Self::InvalidRequest => ("INVALID_REQUEST", 422, 2),
            Self::TooLarge => ("TOO_LARGE", 413, 2),
            Self::MalformedRequest => ("MALFORMED_REQUEST", 400, 2),
            Self::RequestTimeout => ("REQUEST_TIMEOUT", 408, 6),
            Self::UriTooLong => ("URI_TOO_LONG", 414, 2),
            Self::HeadersTooLarge => ("HEADERS_TOO_LARGE", 431, 2),
            // Not in any RFC: nginx and other servers log this status for such a request.
            Self::ClientGone => ("CLIENT_CLOSED_REQUEST", 499, 6),
            Self::MissingRequiredFields => ("MISSING_REQUIRED_FIELDS", 422, 2),
            Self::InvalidDatasetVersion => ("INVALID_DATASET_VERSION", 422, 2),
            Self::InvalidSnapshot => ("INVALID_SNAPSHOT", 422, 2),
            Self::VersionExists => ("VERSION_EXISTS", 409, 4),
            Self::VersionCollected => ("VERSION_COLLECTED", 410, 3),
            Self::InvalidTransition => ("INVALID_TRANSITION", 409, 4),
            Self::RestoreUnderWay => ("RESTORE_UNDER_WAY", 409, 4),
            Self::PromotionGateFailed => ("PROMOTION_GATE_FAILED", 422, 1),
            Self::ChecksumMismatch => ("CHECKSUM_MISMATCH", 422, 5),
            Self::IntegrityOnRead => ("CHECKSUM_MISMATCH", 503, 5),
            Self::ValidationFailed => ("VALIDATION_FAILED", 422, 1),
            Self::RegistryLocked => ("REGISTRY_LOCKED", 503, 6),
            Self::RegistryUnavailable => ("REGISTRY_UNAVAILABLE", 503, 6),
            Self::Overloaded => ("OVERLOADED", 503, 6),
            Self::Internal => ("INTERNAL_ERROR", 500, 6),
        }
    }

    /// The code that clients compare.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        self.row().1
    }

    /// The command line's exit status.
    #[must_use]
    pub const fn exit_status(self) -> u8 {
        self.row().2
    }

    /// Whether the error means that files on disk are damaged.
    #[must_use]
    pub const fn is_integrity(self) -> bool {
        matches!(self, Self::ChecksumMismatch | Self::IntegrityOnRead)
    }

    /// Whether the same request may succeed soon.
    #[must_use]
    pub const fn worth_retrying(self) -> bool {
        matches!(self, Self::RegistryLocked | Self::RegistryUnavailable | Self::Overloaded)
    }
}

/// A refusal or failure: its kind, a sentence for the caller, and details only for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryError {
    kind: ErrorKind,
    detail: String,
    cause: Option<String>,
    in_doubt: bool,
    out_of_room: bool,
}

impl RegistryError {
    /// An error without secret details.
    #[must_use]
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), cause: None, in_doubt: false, out_of_room: false }
    }

    /// Adds details for the log and the command line. An HTTP body must not contain them: they may hold paths and
    /// database messages.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// An unexpected failure. The caller does not see the cause.
    #[must_use]
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Internal, "Internal server error").because(cause)
    }

    /// A failure of something that the registry needs, for example the disk or the database.
    #[must_use]
    pub fn unavailable(what: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self::new(ErrorKind::RegistryUnavailable, what).because(cause)
    }

    /// The disk of the registry directory is full.
    #[must_use]
    pub fn out_of_room(cause: impl fmt::Display) -> Self {
        let told = "The registry's disk is full; free room on the disk of the registry directory and try again";
        Self { out_of_room: true, ..Self::unavailable(told, cause) }
    }

    /// Marks the outcome as unknown: the work may be done, because the wait for its end was given up.
    #[must_use]
    pub fn left_in_doubt(mut self) -> Self {
        self.in_doubt = true;
        self
    }

    /// Whether the outcome is unknown: the work may be done despite the error.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Whether the disk of the registry directory is full.
    #[must_use]
    pub fn is_out_of_room(&self) -> bool {
        self.out_of_room
    }

    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for the caller.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The details for the log and the command line.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(cause) => write!(f, "{}: {cause}", self.detail),
            None => f.write_str(&self.detail),
        }
    }
}

impl std::error::Error for RegistryError {}

impl From<CatalogError> for RegistryError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Unavailable(cause) => {
                Self::unavailable("The registry's catalog is not available; try again", cause)
            }
            CatalogError::InDoubt(cause) => {
                Self::unavailable("The registry's catalog is not available; try again", cause)
                    .left_in_doubt()
            }
            CatalogError::DiskFull(cause) => Self::out_of_room(cause),
            CatalogError::ReadOnly(cause) => Self::unavailable(
                "The registry takes no changes for now: its catalog can only be read",
                cause,
            ),
            CatalogError::Locked => Self::new(
                ErrorKind::RegistryLocked,
                "Another process is changing the registry; wait for it to finish and try again",
            ),
            CatalogError::VersionExists => Self::new(ErrorKind::VersionExists, error.to_string()),
            CatalogError::Collected => Self::new(ErrorKind::VersionCollected, error.to_string()),
            CatalogError::NotFound => Self::new(ErrorKind::ModelNotFound, error.to_string()),
            CatalogError::InvalidTransition(rule) => rule.into(),
            CatalogError::Unsuitable(why) => Self::new(
                ErrorKind::InvalidRequest,
                "The catalog cannot be in the database that DATABASE_URL names",
            )
            .because(why),
            CatalogError::UnknownSchema(_) => {
                Self::new(ErrorKind::IntegrityOnRead, error.to_string())
            }
            CatalogError::Damaged(_) => Self::new(
                ErrorKind::IntegrityOnRead,
                "The registry's catalog is damaged; run `model-registry verify`",
            )
            .because(error),
        }
    }
}

impl From<InvalidTransition> for RegistryError {
    fn from(rule: InvalidTransition) -> Self {
        Self::new(ErrorKind::InvalidTransition, rule.to_string())
    }
}

impl From<InvalidRegistration> for RegistryError {
    fn from(error: InvalidRegistration) -> Self {
        let kind = match error {
            InvalidRegistration::MissingRequiredFields { .. } => ErrorKind::MissingRequiredFields,
            InvalidRegistration::DatasetVersion(_) => ErrorKind::InvalidDatasetVersion,
            InvalidRegistration::Snapshot(_) => ErrorKind::InvalidSnapshot,
            InvalidRegistration::Field(_) => ErrorKind::InvalidRequest,
        };
        Self::new(kind, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_the_contract() {
        for (kind, code, http, exit) in [
            (ErrorKind::Unauthenticated, "UNAUTHENTICATED", 401, 2),
            (ErrorKind::InsufficientScope, "INSUFFICIENT_SCOPE", 403, 2),
            (ErrorKind::ModelNotFound, "MODEL_NOT_FOUND", 404, 3),
            (ErrorKind::VersionExists, "VERSION_EXISTS", 409, 4),
            (ErrorKind::PromotionGateFailed, "PROMOTION_GATE_FAILED", 422, 1),
            (ErrorKind::ChecksumMismatch, "CHECKSUM_MISMATCH", 422, 5),
            (ErrorKind::IntegrityOnRead, "CHECKSUM_MISMATCH", 503, 5),
            (ErrorKind::Overloaded, "OVERLOADED", 503, 6),
        ] {
            assert_eq!((kind.code(), kind.http_status(), kind.exit_status()), (code, http, exit));
        }
    }

    #[test]
    fn an_http_client_never_sees_the_cause() {
        let error = RegistryError::internal("/srv/registry: password=hunter2");
        assert_eq!(error.detail(), "Internal server error");
        assert!(error.to_string().contains("hunter2"));
    }
}
