//! The handlers of the history: what was in production when, and who changed what.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, Accept, Header as _, HeaderValue},
    mime,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{conditional, parameters::Parameters, path};
use crate::{
    catalog::{HistoryFilter, HistoryPage},
    domain::{ModelType, Timestamp, log::Action},
    error::RegistryError,
    http::{
        edge::{
            guard::{Guard, Read},
            request_log,
        },
        errors::ApiError,
    },
    limits,
    schemas::timeline::{
        Csv, ProductionAtResponse, TypeHistoryResponse, TypesResponse, WholeHistoryResponse,
    },
};

/// The media type of a history as CSV.
pub const CSV: &str = "text/csv; charset=utf-8; header=present";

/// The moment that `at` names.
///
/// # Errors
/// `INVALID_REQUEST`.
pub fn moment(request: &HttpRequest) -> Result<Option<Timestamp>, ApiError> {
    Ok(Parameters::only(request.query_string(), "at")?.time("at")?)
}

/// `GET /{model_type}/current?at=`: the version that was in production.
///
/// # Errors
/// `MODEL_NOT_FOUND`, `INVALID_REQUEST`.
pub async fn current_at(
    guard: Guard<Read>,
    request: &HttpRequest,
    at: Timestamp,
) -> Result<HttpResponse, ApiError> {
    let model_type = path::model_type(request)?;
    let found = guard.registry().await?.production_at(&model_type, at).await?;
    request_log::add_fields(request, |log| {
        log.version = Some(found.record.version.to_string());
        log.model_id = Some(found.record.model_id.to_string());
    });
    conditional::json(request, &ProductionAtResponse::from(&found))
}

/// `GET /api/v1/models`: the known types.
///
/// # Errors
/// Errors of the catalog.
pub async fn types(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let types = guard.registry().await?.types().await?;
    conditional::json(&request, &TypesResponse::from(types.as_slice()))
}

/// `GET /{model_type}/history`: the changes of a type.
///
/// # Errors
/// `MODEL_NOT_FOUND`, `INVALID_REQUEST`.
pub async fn of_type(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let model_type = path::model_type(&request)?;
    let query =
        Parameters::read(request.query_string(), "the history of a type", &["after", "limit"])?;
    let filter = paged(&query)?;
    let found =
        guard.registry().await?.type_history(&model_type, filter.after, filter.limit).await?;
    if wants_csv(&request) {
        return as_csv(&request, &found.page, &filter);
    }
    let mut response = conditional::json(&request, &TypeHistoryResponse::from(&found))?;
    add_links(&mut response, &found.page, &filter);
    Ok(response)
}

/// `GET /api/v1/history`: the changes of all types.
///
/// # Errors
/// `INVALID_REQUEST`.
pub async fn whole(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let known = ["after", "limit", "model_type", "by", "action"];
    let query = Parameters::read(request.query_string(), "a history", &known)?;
    let filter = HistoryFilter {
        model_type: query
            .parsed("model_type", "a model type", |text| ModelType::parse(text).ok())?,
        by: query.get("by").map(ToOwned::to_owned),
        action: action(&query)?,
        ..paged(&query)?
    };
    let page = guard.registry().await?.whole_history(filter.clone()).await?;
    if wants_csv(&request) {
        return as_csv(&request, &page, &filter);
    }
    let body = WholeHistoryResponse::from(page.entries.as_slice());
    let mut response = conditional::json(&request, &body)?;
    add_links(&mut response, &page, &filter);
    Ok(response)
}

fn action(query: &Parameters) -> Result<Option<Action>, RegistryError> {
    let valid = format!("one of {}", Action::ALL.map(Action::as_str).join(", "));
    query.parsed("action", &valid, |text| Action::parse(text).ok())
}

fn paged(query: &Parameters) -> Result<HistoryFilter, RegistryError> {
    let limit = query.number("limit", 1, u64::from(limits::MAX_HISTORY_PAGE))?;
    Ok(HistoryFilter {
        after: query.number("after", 0, i64::MAX.unsigned_abs())?,
        limit: limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(limits::HISTORY_PAGE),
        ..HistoryFilter::default()
    })
}

/// Adds the link to the next page. It is a query alone, which a client resolves against the URL that it requested. The
/// filter of a type's history has no type, since that is in the path.
fn add_links(response: &mut HttpResponse, page: &HistoryPage, filter: &HistoryFilter) {
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    let Some(after) = page.next else { return };
    let mut parts = vec![format!("after={after}"), format!("limit={}", filter.limit)];
    parts.extend(filter.model_type.as_ref().map(|it| format!("model_type={it}")));
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    parts.extend(filter.by.as_deref().map(|it| format!("by={}", encoded(it))));
    parts.extend(filter.action.map(|it| format!("action={it}")));
    let link = format!("<?{}>; rel=\"next\"", parts.join("&"));
    if let Ok(link) = HeaderValue::from_str(&link) {
        response.headers_mut().insert(header::LINK, link);
    }
}

fn as_csv(
    request: &HttpRequest,
    page: &HistoryPage,
    filter: &HistoryFilter,
) -> Result<HttpResponse, ApiError> {
    let mut csv = Csv::default();
    csv.header().map_err(RegistryError::internal)?;
    for entry in &page.entries {
        csv.entry(entry).map_err(RegistryError::internal)?;
    }
    let text = csv.take().map_err(RegistryError::internal)?;
    let mut response = conditional::bytes(request, CSV, text)?;
    let name = HeaderValue::from_static("attachment; filename=\"model-registry-history.csv\"");
    response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    add_links(&mut response, page, filter);
    Ok(response)
}

/// Whether `Accept` prefers CSV to JSON (RFC 9110 section 12.5.1). Without it, and where both are as welcome, the answer
/// is JSON.
fn wants_csv(request: &HttpRequest) -> bool {
    let Ok(Accept(ranges)) = Accept::parse(request) else { return false };
    let quality = |kind: mime::Name<'_>, form: mime::Name<'_>| {
        // The most specific range that matches decides.
        let of = |fits: &dyn Fn(&mime::Mime) -> bool| {
            ranges.iter().filter(|range| fits(&range.item)).map(|range| range.quality).max()
        };
        of(&|it| it.type_() == kind && it.subtype() == form)
            .or_else(|| of(&|it| it.type_() == kind && it.subtype() == mime::STAR))
            .or_else(|| of(&|it| it.type_() == mime::STAR))
    };
    let csv = quality(mime::TEXT, mime::CSV);
    csv.is_some_and(|csv| csv > header::Quality::ZERO)
        && csv > quality(mime::APPLICATION, mime::JSON)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn csv_is_for_clients_that_prefer_it() {
        for (accept, csv) in [
            ("text/csv", true),
            ("text/csv, */*;q=0.1", true),
            ("text/csv;q=0.9, application/json;q=0.5", true),
            ("text/*", true),
            ("*/*", false),
            ("application/json", false),
            ("text/csv;q=0.1, application/json", false),
            ("text/csv;q=0", false),
            ("text/csv, application/json", false),
            ("text/html", false),
        ] {
            let request =
                TestRequest::default().insert_header((header::ACCEPT, accept)).to_http_request();
            assert_eq!(wants_csv(&request), csv, "{accept}");
        }
        assert!(!wants_csv(&TestRequest::default().to_http_request()));
    }
}
