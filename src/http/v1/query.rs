//! The query of a list. Parameters that are not known are ignored, as the Python service does.

use actix_web::{HttpRequest, web::Query};

use crate::{
    catalog::{Order, VersionFilter},
    domain::{ModelType, Status, text::echo},
    error::{ErrorKind, RegistryError},
    http::errors::ApiError,
    limits,
};

/// Reads `status_filter`, `order`, `limit` and `offset`.
///
/// # Errors
/// `INVALID_REQUEST`, which names the parameter and what it may be.
pub fn version_filter(
    request: &HttpRequest,
    model_type: ModelType,
) -> Result<VersionFilter, ApiError> {
    let pairs = Query::<Vec<(String, String)>>::from_query(request.query_string())
        .map_err(|_| refused("the query is not a list of name=value pairs in UTF-8".to_owned()))?;
    let mut filter = VersionFilter { model_type: Some(model_type), ..VersionFilter::default() };
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in pairs.iter() {
        if !["status_filter", "order", "limit", "offset"].contains(&name.as_str()) {
            continue;
        }
        if seen.contains(&name.as_str()) {
            return Err(refused(format!("{name} is given twice; give it once")).into());
        }
        seen.push(name);
        let shown = echo(value);
        match name.as_str() {
            "status_filter" => {
                filter.status = Some(Status::parse(value).map_err(|_| {
                    refused(format!(
                        "status_filter \"{shown}\" is not one of staged, production, archived, failed"
                    ))
                })?);
            }
            "order" => {
                filter.order = match value.as_str() {
                    "newest" => Order::Newest,
                    "oldest" => Order::Oldest,
                    _ => {
                        let detail = format!("order \"{shown}\" is not one of newest, oldest");
                        return Err(refused(detail).into());
                    }
                };
            }
            "limit" => {
                let limit = number(value).filter(|limit| (1..=limits::MAX_PAGE).contains(limit));
                filter.limit = Some(limit.ok_or_else(|| {
                    refused(format!(
                        "limit \"{shown}\" is not a whole number from 1 to {}",
                        limits::MAX_PAGE
                    ))
                })?);
            }
            _ => {
                filter.offset = number(value).ok_or_else(|| {
                    refused(format!(
                        "offset \"{shown}\" is not a whole number from 0 to {}",
                        u32::MAX
                    ))
                })?;
            }
        }
    }
    Ok(filter)
}

/// ASCII digits alone: Rust's own parser would take a leading `+`.
fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn refused(detail: String) -> RegistryError {
    RegistryError::new(ErrorKind::InvalidRequest, detail)
}
