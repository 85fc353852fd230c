//! Answers with an `ETag`, and the 304 that a client gets who has them already.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{
        self, ETag, EntityTag, Header as _, IfMatch, IfNoneMatch, TryIntoHeaderPair as _,
    },
    web::Bytes,
};
use serde::Serialize;

use crate::{
    domain::Sha256Digest,
    error::{ErrorKind, RegistryError},
    http::errors::ApiError,
};

/// Clients may keep the answer, and must ask whether it still holds: `current` can change at any moment.
const REVALIDATE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "private, no-cache");

/// A JSON answer tagged with its own digest, or 304 where the client has it.
///
/// # Errors
/// `PRECONDITION_FAILED`; an internal error where the body cannot be written as JSON.
pub fn json(request: &HttpRequest, body: &impl Serialize) -> Result<HttpResponse, ApiError> {
    TaggedJson::new(body)?.answer(request)
}

/// JSON with the tag of its bytes. Clones share them.
#[derive(Debug, Clone)]
pub struct TaggedJson {
    text: Bytes,
    tag: EntityTag,
}

impl TaggedJson {
    /// Writes it.
    ///
    /// # Errors
    /// An internal error where the body cannot be written as JSON.
    pub fn new(body: &impl Serialize) -> Result<Self, RegistryError> {
        let text = serde_json::to_vec(body).map_err(RegistryError::internal)?;
        let mut tag = Sha256Digest::of(&text).to_string();
        tag.truncate(32);
        Ok(Self { text: text.into(), tag: EntityTag::new_strong(tag) })
    }

    /// As an answer, or 304 where the client has it.
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

/// Adds `ETag` and `Cache-Control`.
pub fn mark(response: &mut HttpResponse, tag: &EntityTag) {
    let pairs = [ETag(tag.clone()).try_into_pair().ok(), REVALIDATE.try_into_pair().ok()];
    for (name, value) in pairs.into_iter().flatten() {
        response.headers_mut().insert(name, value);
    }
}

/// Whether the client wants this state, where `If-Match` says which it wants (strongly, RFC 9110 section 13.1.1).
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
    let detail = format!("If-Match names another state than {tag}");
    Err(RegistryError::new(ErrorKind::PreconditionFailed, detail).into())
}

/// Whether `If-None-Match` names this tag (weakly, RFC 9110 section 13.1.2).
#[must_use]
pub fn client_has(request: &HttpRequest, tag: &EntityTag) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => request.headers().contains_key(header::IF_NONE_MATCH),
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|theirs| theirs.weak_eq(tag)),
        Err(_) => false,
    }
}
