//! The parameters of a path. A malformed type or version is 404, as an unknown one is; no file is touched.

use actix_web::HttpRequest;

use crate::{
    domain::{ModelType, Version, text::echo},
    http::{
        edge::{request_log, rules::MatchedRoute},
        errors::ApiError,
    },
    registry::{no_production, no_version},
};

/// The model type in the path.
///
/// # Errors
/// `MODEL_NOT_FOUND`.
pub fn model_type(request: &HttpRequest) -> Result<ModelType, ApiError> {
    let text = MatchedRoute::parameter(request, "model_type");
    request_log::add_fields(request, |log| log.model_type = Some(echo(text)));
    Ok(ModelType::parse(text).map_err(|_| no_production(text))?)
}

/// The model type and the version in the path.
///
/// # Errors
/// `MODEL_NOT_FOUND`.
pub fn model_version(request: &HttpRequest) -> Result<(ModelType, Version), ApiError> {
    let (type_text, version_text) = (
        MatchedRoute::parameter(request, "model_type"),
        MatchedRoute::parameter(request, "version"),
    );
    request_log::add_fields(request, |log| {
        log.model_type = Some(echo(type_text));
        log.version = Some(echo(version_text));
    });
    let missing = || no_version(type_text, version_text);
    let model_type = ModelType::parse(type_text).map_err(|_| missing())?;
    let version = Version::parse(version_text).map_err(|_| missing())?;
    Ok((model_type, version))
}
