//! The handlers that change the registry, where the write API is on.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Payload},
};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::{path, upload::Upload};
use crate::{
    domain::Sha256Digest,
    error::{ErrorKind, RegistryError},
    http::{
        edge::{
            guard::{Admin, Guard, Read, Write},
            request_log,
        },
        errors::ApiError,
    },
    limits,
    registry::{documents, promote::Promote, register::Incoming},
    schemas::{
        requests::{FailRequest, PromoteRequest, RegisterRequest, RollbackRequest},
        written::{
            FailedResponse, PromotionCheckResponse, PromotionResponse, RegisteredResponse,
            RollbackResponse,
        },
    },
};

/// What the operator allows clients to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteRules {
    /// The largest artifact, in bytes.
    pub largest_artifact: u64,
}

impl WriteRules {
    /// The largest body of a registration, in bytes.
    #[must_use]
    pub fn largest_body(self) -> u64 {
        self.largest_artifact.saturating_add(limits::UPLOAD_BESIDES_ARTIFACT)
    }
}

const EXPECTED: &str = "is not JSON";

/// `POST /{model_type}`: registers a version.
///
/// # Errors
/// Those of [`crate::registry::Registry::register`] and of the upload.
pub async fn register(
    guard: Guard<Write>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let model_type = path::model_type(&request)?;
    let registry = guard.registry().await?;
    let rules = request.app_data::<Data<WriteRules>>();
    let most = rules.ok_or_else(|| RegistryError::internal("there are no rules for writing"))?;
    let most = most.largest_artifact;
    let upload = Upload::begin(&request, payload).await?;
    let asked: RegisterRequest = documents::parse(&upload.metadata, EXPECTED, "")
        .map_err(|what| invalid(format!("the part metadata {what}")))?;
    let expected = asked.checksum_sha256.as_deref().map(Sha256Digest::parse).transpose();
    let expected = expected.map_err(|error| invalid(format!("checksum_sha256: {error}")))?;
    let (author, reason) = (guard.author(asked.user.clone()), asked.reason.clone());
    let artifact = upload.artifact().await?;
    let created_by = author.actor.clone();
    let registration = asked.into_registration(model_type, artifact.file.clone(), &created_by);
    let (received, fault, receiving) = artifact.receive(most);
    let incoming = Incoming { expected, ..Incoming::new(Box::new(received)) };
    let registering = registry.register(registration, incoming, &author, reason.as_deref());
    let (registered, ()) = tokio::join!(registering, receiving);
    let record = registered.map_err(|error| fault.or(error))?;
    request_log::add_fields(&request, |log| {
        log.version = Some(record.version.to_string());
        log.model_id = Some(record.model_id.to_string());
    });
    Ok(HttpResponse::Created()
        // Relative to the path that was asked, so that it holds behind any gateway.
        .insert_header((header::LOCATION, format!("{}/{}", record.model_type, record.version)))
        .json(RegisteredResponse::from(&record)))
}

/// `GET /{model_type}/{version}/promotion`: what a promotion would do.
///
/// # Errors
/// `MODEL_NOT_FOUND`, `CHECKSUM_MISMATCH`.
pub async fn promotion(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (model_type, version) = path::model_version(&request)?;
    let check = guard.registry().await?.check_promotion(&model_type, version).await?;
    Ok(HttpResponse::Ok().json(PromotionCheckResponse::from(&check)))
}

/// `POST /{model_type}/{version}/promote`.
///
/// # Errors
/// Those of [`crate::registry::Registry::promote`].
pub async fn promote(
    guard: Guard<Admin>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (model_type, version) = path::model_version(&request)?;
    let asked: PromoteRequest = body(payload).await?.unwrap_or_default();
    let promote = Promote {
        model_type,
        version,
        author: guard.author(asked.user),
        reason: asked.reason,
        skip_gates: asked.skip_gates,
    };
    let promoted = guard.registry().await?.promote(promote).await?;
    Ok(HttpResponse::Ok().json(PromotionResponse::from(&promoted)))
}

/// `POST /{model_type}/rollback`.
///
/// # Errors
/// Those of [`crate::registry::Registry::roll_back`].
pub async fn rollback(
    guard: Guard<Admin>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let model_type = path::model_type(&request)?;
    let asked: RollbackRequest = body(payload).await?.unwrap_or_default();
    let author = guard.author(asked.user);
    let registry = guard.registry().await?;
    let done = registry.roll_back(&model_type, &author, asked.reason.as_deref()).await?;
    request_log::add_fields(&request, |log| log.version = Some(done.to_version.to_string()));
    Ok(HttpResponse::Ok().json(RollbackResponse::from(&done)))
}

/// `POST /{model_type}/{version}/fail`.
///
/// # Errors
/// Those of [`crate::registry::Registry::fail`].
pub async fn fail(
    guard: Guard<Admin>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (model_type, version) = path::model_version(&request)?;
    let asked: Option<FailRequest> = body(payload).await?;
    let asked = asked.ok_or_else(|| {
        invalid(
            "the body is empty; give the reason, for example {\"reason\": \"drifts\"}".to_owned(),
        )
    })?;
    let author = guard.author(asked.user);
    let registry = guard.registry().await?;
    let record = registry.fail(&model_type, version, &author, &asked.reason).await?;
    Ok(HttpResponse::Ok().json(FailedResponse::from(&record)))
}

fn invalid(detail: String) -> RegistryError {
    RegistryError::new(ErrorKind::InvalidRequest, detail)
}

/// The JSON body of a request; `None` where there is none. Its length is limited before it gets here.
async fn body<T: DeserializeOwned>(mut payload: Payload) -> Result<Option<T>, ApiError> {
    let mut text = Vec::new();
    let whole = async {
        while let Some(piece) = payload.next().await {
            let piece = piece.map_err(|error| match error {
                actix_http::error::PayloadError::Overflow => {
                    RegistryError::new(ErrorKind::TooLarge, "The request's body is too large")
                }
                _ => RegistryError::new(
                    ErrorKind::MalformedRequest,
                    "The request's body is not framed as RFC 9112 requires",
                ),
            })?;
            text.extend_from_slice(&piece);
        }
        Ok::<_, RegistryError>(())
    };
    tokio::time::timeout(limits::REQUEST_BODY_TIMEOUT, whole).await.unwrap_or_else(|_| {
        let detail = "The request's body did not arrive in time";
        Err(RegistryError::new(ErrorKind::RequestTimeout, detail))
    })?;
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    let parsed = documents::parse(&text, EXPECTED, "");
    Ok(Some(parsed.map_err(|what| invalid(format!("the body {what}")))?))
}
