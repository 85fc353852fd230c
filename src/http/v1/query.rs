//! The query of a list. A parameter that is unknown, invalid or given twice is refused.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, web::Query};

use crate::{
    catalog::{Order, VersionFilter},
    domain::{ModelType, Status, compatibility, text::echo},
    error::{ErrorKind, RegistryError},
    http::errors::ApiError,
    limits,
};

/// The parameters, with the name under which each value is read: some clients say `status` for `status_filter`.
const PARAMETERS: [(&str, &str); 5] = [
    ("status_filter", "status_filter"),
    ("status", "status_filter"),
    ("order", "order"),
    ("limit", "limit"),
    ("offset", "offset"),
];

/// Reads `dataset=name:version`, which may be repeated.
///
/// # Errors
/// `INVALID_REQUEST` for any other parameter, for a value that is not a name and a version, and for a data set that is
/// named twice.
pub fn datasets(request: &HttpRequest) -> Result<BTreeMap<String, String>, ApiError> {
    Ok(read_datasets(request.query_string())?)
}

fn read_datasets(query: &str) -> Result<BTreeMap<String, String>, RegistryError> {
    let mut found = Vec::new();
    for (name, value) in pairs(query)? {
        if name != "dataset" {
            return Err(refused(format!(
                "\"{}\" is not a parameter here; name each data set as dataset=name:version",
                echo(&name)
            )));
        }
        found.push(value);
    }
    compatibility::datasets(&found).map_err(refused)
}

/// Reads `status_filter` (or `status`), `order`, `limit` and `offset`.
///
/// # Errors
/// `INVALID_REQUEST`, which names the parameter and its valid values, or the parameter that was probably meant.
pub fn version_filter(
    request: &HttpRequest,
    model_type: ModelType,
) -> Result<VersionFilter, ApiError> {
    Ok(read(request.query_string(), model_type)?)
}

fn pairs(query: &str) -> Result<Vec<(String, String)>, RegistryError> {
    Query::<Vec<(String, String)>>::from_query(query)
        .map(Query::into_inner)
        .map_err(|_| refused("the query is not a list of name=value pairs in UTF-8".to_owned()))
}

fn read(query: &str, model_type: ModelType) -> Result<VersionFilter, RegistryError> {
    let pairs = pairs(query)?;
    let mut filter = VersionFilter { model_type: Some(model_type), ..VersionFilter::default() };
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (name, value) in &pairs {
        let Some(&(_, meant)) = PARAMETERS.iter().find(|(known, _)| known == name) else {
            return Err(unknown(name));
        };
        if let Some((before, _)) = seen.iter().find(|(_, other)| *other == meant) {
            return Err(refused(if before == name {
                format!("{name} is given twice; give it once")
            } else {
                format!("{before} and {name} are the same parameter; give one of them")
            }));
        }
        seen.push((name, meant));
        set(&mut filter, (name, meant), value)?;
    }
    Ok(filter)
}

fn set(
    filter: &mut VersionFilter,
    (name, meant): (&str, &str),
    value: &str,
) -> Result<(), RegistryError> {
    let invalid = |valid: &str| refused(format!("{name} \"{}\" is not {valid}", echo(value)));
    match meant {
        "status_filter" => {
            let status = Status::parse(value)
                .map_err(|_| invalid("one of staged, production, archived, failed"))?;
            filter.status = Some(status);
        }
        "order" => {
            filter.order = match value {
                "newest" => Order::Newest,
                "oldest" => Order::Oldest,
                _ => return Err(invalid("one of newest, oldest")),
            };
        }
        "limit" => {
            let valid = format!("a whole number from 1 to {}", limits::MAX_PAGE);
            let limit = number(value).filter(|limit| (1..=limits::MAX_PAGE).contains(limit));
            filter.limit = Some(limit.ok_or_else(|| invalid(&valid))?);
        }
        _ => {
            let valid = format!("a whole number from 0 to {}", u32::MAX);
            filter.offset = number(value).ok_or_else(|| invalid(&valid))?;
        }
    }
    Ok(())
}

/// ASCII digits alone: Rust's own parser accepts a leading `+`.
fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn unknown(name: &str) -> RegistryError {
    let known = PARAMETERS.map(|(known, _)| known);
    let lower = name.to_lowercase();
    let nearest = known.iter().min_by_key(|known| strsim::damerau_levenshtein(&lower, known));
    refused(format!(
        "\"{}\" is not a parameter of a list; did you mean {}? A list takes {}",
        echo(name),
        nearest.unwrap_or(&known[0]),
        known.join(", ")
    ))
}

fn refused(detail: String) -> RegistryError {
    RegistryError::new(ErrorKind::InvalidRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Result<VersionFilter, String> {
        let model_type = ModelType::parse("risk_model").unwrap();
        read(query, model_type).map_err(|error| error.detail().to_owned())
    }

    #[test]
    fn status_is_another_name_of_status_filter() {
        for name in ["status", "status_filter", "st%61tus"] {
            let filter = of(&format!("limit=2&{name}=staged")).unwrap();
            assert_eq!((filter.status, filter.limit), (Some(Status::Staged), Some(2)));
        }
        let both = of("status=staged&status_filter=staged").unwrap_err();
        assert!(both.contains("status and status_filter are the same parameter"), "{both}");
        let invalid = of("status=bogus").unwrap_err();
        assert!(invalid.starts_with("status \"bogus\" is not one of staged,"), "{invalid}");
    }

    #[test]
    fn an_unknown_parameter_is_refused_and_the_nearest_one_is_named() {
        for (query, nearest) in [
            ("stauts=staged", "status"),
            ("status-filter=staged", "status_filter"),
            ("statusFilter=staged", "status_filter"),
            ("Limit=1", "limit"),
            ("limti=1", "limit"),
            ("ofset=1", "offset"),
            ("order_by=newest", "order"),
            ("limit=1&offfset=1", "offset"),
        ] {
            let found = of(query).unwrap_err();
            assert!(found.contains(&format!("did you mean {nearest}?")), "{query}: {found}");
        }
        for query in ["=1", "x", "%00=1", "a%0Ab=1", "page_token=x"] {
            let found = of(query).unwrap_err();
            assert!(found.contains("is not a parameter of a list"), "{query}: {found}");
            assert!(!found.contains(char::is_control), "{found:?}");
        }
        for query in ["", "&", "limit=1&"] {
            assert!(of(query).is_ok(), "{query}");
        }
    }
}
