//! Conditional requests: answers with an `ETag`, 304 and 412.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{
        self, ETag, EntityTag, Header as _, HeaderValue, IfMatch, IfNoneMatch,
        TryIntoHeaderPair as _,
    },
    web::Bytes,
};
use serde::Serialize;

use crate::{
    actors::view::Answer,
    domain::Sha256Digest,
    error::{ErrorKind, RegistryError},
    http::errors::ApiError,
};

const JSON: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/json");
/// Clients may keep the answer, and must revalidate it: `current` can change at any moment.
const REVALIDATE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "private, no-cache");

/// A JSON answer with its digest as `ETag`, or 304 where the client has it.
///
/// # Errors
/// `PRECONDITION_FAILED`; an internal error where the body cannot be written as JSON.
pub fn json(request: &HttpRequest, body: &impl Serialize) -> Result<HttpResponse, ApiError> {
    TaggedJson::new(body)?.answer(request)
}

/// JSON with the `ETag` of its bytes. Clones share the bytes.
#[derive(Debug, Clone)]
pub struct TaggedJson {
    text: Bytes,
    tag: EntityTag,
}

impl TaggedJson {
    /// Renders a body.
    ///
    /// # Errors
    /// An internal error where the body cannot be written as JSON.
    pub fn new(body: &impl Serialize) -> Result<Self, RegistryError> {
        let text = serde_json::to_vec(body).map_err(RegistryError::internal)?;
        let mut tag = Sha256Digest::of(&text).to_string();
        tag.truncate(32);
        Ok(Self { text: text.into(), tag: EntityTag::new_strong(tag) })
    }

    /// The answer, or 304 where the client has it.
    ///
    /// # Errors
    /// `PRECONDITION_FAILED`.
    pub fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
        check_wanted(request, &self.tag)?;
        let mut response = if client_has(request, &self.tag) {
            HttpResponse::NotModified().finish()
        } else {
            HttpResponse::Ok().content_type("application/json").body(self.text.clone())
        };
        mark(&mut response, &self.tag);
        Ok(response)
    }
}

/// An answer of this media type with the digest of its bytes as `ETag`, or 304 where the client has it.
///
/// # Errors
/// `PRECONDITION_FAILED`.
pub fn bytes(
    request: &HttpRequest,
    media_type: &'static str,
    bytes: Vec<u8>,
) -> Result<HttpResponse, ApiError> {
    let mut tag = Sha256Digest::of(&bytes).to_string();
    tag.truncate(32);
    let tag = EntityTag::new_strong(tag);
    check_wanted(request, &tag)?;
    let mut response = if client_has(request, &tag) {
        HttpResponse::NotModified().finish()
    } else {
        HttpResponse::Ok().content_type(media_type).body(bytes)
    };
    mark(&mut response, &tag);
    Ok(response)
}

/// An answer whose body and tag are made, or 304 where the client has it.
///
/// # Errors
/// `PRECONDITION_FAILED`.
pub fn answered(request: &HttpRequest, answer: &Answer) -> Result<HttpResponse, ApiError> {
    let headers = request.headers();
    let mut has = false;
    if headers.contains_key(header::IF_MATCH) || headers.contains_key(header::IF_NONE_MATCH) {
        let text = std::str::from_utf8(&answer.tag).map_err(RegistryError::internal)?;
        let tag = EntityTag::new_strong(text.trim_matches('"').to_owned());
        check_wanted(request, &tag)?;
        has = client_has(request, &tag);
    }
    let mut response = if has {
        HttpResponse::NotModified().finish()
    } else {
        HttpResponse::Ok().insert_header(JSON).body(answer.body.clone())
    };
    let headers = response.headers_mut();
    let value = |value: &Bytes| HeaderValue::from_maybe_shared(value.clone());
    headers.insert(header::ETAG, value(&answer.tag).map_err(RegistryError::internal)?);
    headers.insert(REVALIDATE.0, HeaderValue::from_static(REVALIDATE.1));
    if let Some(link) = &answer.link {
        headers.insert(header::LINK, value(link).map_err(RegistryError::internal)?);
    }
    Ok(response)
}

/// Adds `ETag` and `Cache-Control`.
pub fn mark(response: &mut HttpResponse, tag: &EntityTag) {
    let pairs = [ETag(tag.clone()).try_into_pair().ok(), REVALIDATE.try_into_pair().ok()];
    for (name, value) in pairs.into_iter().flatten() {
        response.headers_mut().insert(name, value);
    }
}

/// Checks `If-Match` against this tag, by strong comparison (RFC 9110 section 13.1.1).
///
/// # Errors
/// `PRECONDITION_FAILED`.
pub fn check_wanted(request: &HttpRequest, tag: &EntityTag) -> Result<(), ApiError> {
    let wanted = match IfMatch::parse(request) {
        _ if !request.headers().contains_key(header::IF_MATCH) => true,
        Ok(IfMatch::Any) => true,
        Ok(IfMatch::Items(tags)) => tags.iter().any(|theirs| theirs.strong_eq(tag)),
        Err(_) => false,
    };
    if wanted {
        return Ok(());
    }
    let detail = format!("If-Match does not name the current state, {tag}");
    Err(RegistryError::new(ErrorKind::PreconditionFailed, detail).into())
}

/// Whether `If-None-Match` names this tag, by weak comparison (RFC 9110 section 13.1.2).
#[must_use]
pub fn client_has(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => request.headers().contains_key(header::IF_NONE_MATCH),
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|theirs| theirs.weak_eq(tag)),
        Err(_) => false,
    }
}
