//! Routes of models, but for their artifacts.

use std::rc::Rc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
};

use super::{
    conditional,
    paging::{self, Page},
    path, query,
};
use crate::{
    error::{ErrorKind, RegistryError},
    http::{
        edge::{
            guard::{Guard, Read, Write},
            request_log,
        },
        errors::ApiError,
        wire::mailbox::ConnectionMailbox,
    },
    progress::unwatched,
    schemas::{
        CurrentModelResponse, HistoryResponse, ModelListResponse, ModelMetadataResponse,
        ValidationResultResponse,
    },
};

/// The version in production.
///
/// # Errors
/// `MODEL_NOT_FOUND`, `CHECKSUM_MISMATCH`.
pub async fn current(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let model_type = path::model_type(&request)?;
    let model = guard.registry().current(&model_type).await?;
    request_log::add_fields(&request, |log| {
        log.version = Some(model.record.version.to_string());
        log.model_id = Some(model.record.model_id.to_string());
    });
    conditional::json(&request, &CurrentModelResponse::from(&model))
}

/// Everything about one version.
///
/// # Errors
/// `MODEL_NOT_FOUND`, `CHECKSUM_MISMATCH`.
pub async fn metadata(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (model_type, version) = path::model_version(&request)?;
    let model = guard.registry().find(&model_type, version).await?;
    request_log::add_fields(&request, |log| log.model_id = Some(model.record.model_id.to_string()));
    conditional::json(&request, &ModelMetadataResponse::from(&model))
}

/// Versions of a type, in pages where a limit is given.
///
/// # Errors
/// `MODEL_NOT_FOUND`, `INVALID_REQUEST`, `CHECKSUM_MISMATCH`.
pub async fn list(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let model_type = path::model_type(&request)?;
    let filter = query::version_filter(&request, model_type)?;
    let (limit, offset) = (filter.limit, filter.offset);
    let page = guard.registry().list(filter).await?;
    let mut response = conditional::json(&request, &ModelListResponse::from(&page))?;
    if let Some(limit) = limit {
        let links =
            paging::links(request.query_string(), Page { limit, offset, total: page.total });
        if let Ok(links) = HeaderValue::from_str(&links) {
            response.headers_mut().insert(header::LINK, links);
        }
    }
    Ok(response)
}

/// Who moved a version, when and why.
///
/// # Errors
/// `MODEL_NOT_FOUND`.
pub async fn history(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (model_type, version) = path::model_version(&request)?;
    let transitions = guard.registry().history(&model_type, version).await?;
    conditional::json(&request, &HistoryResponse::from(transitions.as_slice()))
}

/// Is it intact, and would it load?
///
/// # Errors
/// `MODEL_NOT_FOUND`; `CHECKSUM_MISMATCH` and `VALIDATION_FAILED` with every error found.
pub async fn validate(guard: Guard<Write>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (model_type, version) = path::model_version(&request)?;
    let gone = async {
        match request.conn_data::<Rc<ConnectionMailbox>>() {
            Some(mailbox) => mailbox.client_gone().await,
            // Only where there is no connection of ours beneath.
            None => std::future::pending().await,
        }
    };
    let validated = tokio::select! {
        validated = guard.registry().validate(&model_type, version, unwatched()) => validated?,
        // Dropping the work above is what ends it. Nobody reads this answer; the log does.
        () = gone => {
            let detail = "The client closed its connection before the answer was there";
            return Err(RegistryError::new(ErrorKind::ClientGone, detail).into());
        }
    };
    request_log::add_fields(&request, |log| log.model_id = Some(validated.model_id.to_string()));
    Ok(HttpResponse::Ok().json(ValidationResultResponse::from(&validated)))
}
