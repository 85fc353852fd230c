//! The handlers of models, except for artifacts.

use std::rc::Rc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
};

use super::{conditional, paging, path, query, timeline};
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

/// `GET /{model_type}/current`: the version in production, or with `at`, the one that was.
///
/// # Errors
/// `MODEL_NOT_FOUND`, `CHECKSUM_MISMATCH`, `INVALID_REQUEST`.
pub async fn current(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let model_type = path::model_type(&request)?;
    if let Some(at) = timeline::moment(&request)? {
        return timeline::current_at(guard, &request, &model_type, at).await;
    }
    let model = guard.registry().current(&model_type).await?;
    request_log::add_fields(&request, |log| {
        log.version = Some(model.record.version.to_string());
        log.model_id = Some(model.record.model_id.to_string());
    });
    conditional::json(&request, &CurrentModelResponse::from(&model))
}

/// `GET /{model_type}/{version}`: the metadata of one version.
///
/// # Errors
/// `MODEL_NOT_FOUND`, `CHECKSUM_MISMATCH`.
pub async fn metadata(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (model_type, version) = path::model_version(&request)?;
    let model = guard.registry().find(&model_type, version).await?;
    request_log::add_fields(&request, |log| log.model_id = Some(model.record.model_id.to_string()));
    conditional::json(&request, &ModelMetadataResponse::from(&model))
}

/// `GET /{model_type}`: the versions of a type; with `limit`, one page of them.
///
/// # Errors
/// `MODEL_NOT_FOUND`, `INVALID_REQUEST`, `CHECKSUM_MISMATCH`.
pub async fn list(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let model_type = path::model_type(&request)?;
    let filter = query::version_filter(&request, model_type)?;
    let page = guard.registry().list(filter.clone()).await?;
    let mut response = conditional::json(&request, &ModelListResponse::from(&page))?;
    let links = paging::links(&filter, page.total);
    if let Some(links) = links.and_then(|links| HeaderValue::from_str(&links).ok()) {
        response.headers_mut().insert(header::LINK, links);
    }
    Ok(response)
}

/// `GET /{model_type}/{version}/history`: the status changes of a version.
///
/// # Errors
/// `MODEL_NOT_FOUND`.
pub async fn history(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (model_type, version) = path::model_version(&request)?;
    let transitions = guard.registry().history(&model_type, version).await?;
    conditional::json(&request, &HistoryResponse::from(transitions.as_slice()))
}

/// `POST /{model_type}/{version}/validate`: checks the version's files, and that its artifact would load.
///
/// # Errors
/// `MODEL_NOT_FOUND`; `CHECKSUM_MISMATCH` and `VALIDATION_FAILED` with every error found.
pub async fn validate(guard: Guard<Write>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (model_type, version) = path::model_version(&request)?;
    let gone = async {
        match request.conn_data::<Rc<ConnectionMailbox>>() {
            Some(mailbox) => mailbox.client_gone().await,
            // In a test, there is no connection of ours beneath.
            None => std::future::pending().await,
        }
    };
    let validated = tokio::select! {
        validated = guard.registry().validate(&model_type, version, unwatched()) => validated?,
        // Dropping the future above ends the work. The answer goes to the log alone.
        () = gone => {
            let detail = "The client closed its connection before it was answered";
            return Err(RegistryError::new(ErrorKind::ClientGone, detail).into());
        }
    };
    request_log::add_fields(&request, |log| log.model_id = Some(validated.model_id.to_string()));
    Ok(HttpResponse::Ok().json(ValidationResultResponse::from(&validated)))
}
