//! The handlers of models, except for artifacts.

use std::rc::Rc;

use actix_web::{HttpRequest, HttpResponse};

use super::{
    paging, path, query, streamed, timeline,
    viewed::{Made, Outcome, viewed},
};
use crate::{
    catalog::VersionFilter,
    error::{ErrorKind, RegistryError},
    http::{
        edge::{
            guard::{Guard, Read, Write},
            request_log,
        },
        errors::ApiError,
        wire::mailbox::ConnectionMailbox,
    },
    limits,
    progress::unwatched,
    schemas::{
        CompatibilityResponse, CurrentModelResponse, HistoryResponse, ModelListResponse,
        ModelMetadataResponse, ValidationResultResponse,
    },
};

/// `GET /{model_type}/current`: the version in production, or with `at`, the one that was.
///
/// # Errors
/// `MODEL_NOT_FOUND`, `CHECKSUM_MISMATCH`, `INVALID_REQUEST`.
pub async fn current(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if let Some(at) = timeline::moment(&request)? {
        return timeline::current_at(guard, &request, at).await;
    }
    viewed(&guard, &request, async |registry| {
        let model = registry.current(&path::model_type(&request)?).await?;
        let body = CurrentModelResponse::from(&model);
        Ok(Made::new(&body, [model.seal.clone()])?.about(&model.record).into())
    })
    .await
}

/// `GET /{model_type}/{version}`: the metadata of one version.
///
/// # Errors
/// `MODEL_NOT_FOUND`, `CHECKSUM_MISMATCH`; `VERSION_COLLECTED` where its files were removed, and the metadata with them.
pub async fn metadata(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    viewed(&guard, &request, async |registry| {
        let (model_type, version) = path::model_version(&request)?;
        let model = registry.find(&model_type, version).await?;
        let body = ModelMetadataResponse::from(&model);
        Ok(Made::new(&body, [model.seal.clone()])?.about(&model.record).into())
    })
    .await
}

/// `GET /{model_type}/{version}/compatibility`: whether the data sets at hand are those that it was trained on.
///
/// # Errors
/// `MODEL_NOT_FOUND`, `INVALID_REQUEST`.
pub async fn compatibility(
    guard: Guard<Read>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    viewed(&guard, &request, async |registry| {
        let (model_type, version) = path::model_version(&request)?;
        let at_hand = query::datasets(&request)?;
        let found = registry.check_compatibility(&model_type, version, &at_hand).await?;
        let body = CompatibilityResponse::new(&model_type, version, &found);
        Ok(Made::new(&body, [])?.into())
    })
    .await
}

/// `GET /{model_type}`: the versions of a type; with `limit`, one page of them. A long list is streamed.
///
/// # Errors
/// `MODEL_NOT_FOUND`, `INVALID_REQUEST`, `OVERLOADED`.
pub async fn list(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    viewed(&guard, &request, async |registry| {
        let model_type = path::model_type(&request)?;
        let filter = query::version_filter(&request, model_type)?;
        let wanted = filter.limit.unwrap_or(u32::MAX);
        let limit = Some(wanted.min(limits::LIST_AT_ONCE));
        let page = registry.list(VersionFilter { limit, ..filter.clone() }).await?;
        let reached = u64::from(filter.offset) + page.models.len() as u64;
        if wanted > limits::LIST_AT_ONCE && reached < page.total {
            let link = paging::links(&filter, page.total);
            return Ok(Outcome::Streamed(streamed::list(registry.long_list(filter).await?, link)));
        }
        // A version without files has no seal, and needs none.
        let with_files = page.models.iter().filter(|model| model.record.collected.is_none());
        let seals: Vec<_> = with_files.map(|model| model.seal.clone()).collect();
        let made = Made::new(&ModelListResponse::from(&page), seals)?;
        Ok(made.with_link(paging::links(&filter, page.total)).into())
    })
    .await
}

/// `GET /{model_type}/{version}/history`: the status changes of a version.
///
/// # Errors
/// `MODEL_NOT_FOUND`.
pub async fn history(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    viewed(&guard, &request, async |registry| {
        let (model_type, version) = path::model_version(&request)?;
        let transitions = registry.history(&model_type, version).await?;
        Ok(Made::new(&HistoryResponse::from(transitions.as_slice()), [])?.into())
    })
    .await
}

/// `POST /{model_type}/{version}/validate`: checks the version's files, and that its artifact would load.
///
/// # Errors
/// `MODEL_NOT_FOUND`; `CHECKSUM_MISMATCH` and `VALIDATION_FAILED` with every error found.
pub async fn validate(guard: Guard<Write>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (model_type, version) = path::model_version(&request)?;
    let registry = guard.registry().await?;
    let gone = async {
        match request.conn_data::<Rc<ConnectionMailbox>>() {
            Some(mailbox) => mailbox.client_gone().await,
            // In a test, there is no connection of ours beneath.
            None => std::future::pending().await,
        }
    };
    let validated = tokio::select! {
        validated = registry.validate(&model_type, version, unwatched()) => validated?,
        // Dropping the future above ends the work. The answer goes to the log alone.
        () = gone => {
            let detail = "The client closed its connection before it was answered";
            return Err(RegistryError::new(ErrorKind::ClientGone, detail).into());
        }
    };
    request_log::add_fields(&request, |log| log.model_id = Some(validated.model_id.to_string()));
    Ok(HttpResponse::Ok().json(ValidationResultResponse::from(&validated)))
}
