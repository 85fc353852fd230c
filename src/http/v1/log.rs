//! The handlers of the log: its checkpoint, and its tiles (C2SP tlog-tiles).

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, EntityTag},
};
use percent_encoding::percent_decode_str;

use super::conditional;
use crate::{
    domain::{Sha256Digest, log::tile::Tile},
    error::{ErrorKind, RegistryError},
    http::{
        edge::{
            guard::{Guard, Read},
            rules::MatchedRoute,
        },
        errors::ApiError,
    },
    registry::log,
};

/// A tile never changes. It is for its client alone, since reading the log takes a token.
const IMMUTABLE: &str = "private, max-age=31536000, immutable";

/// `GET /api/v1/log/checkpoint`: the log's name, size and root.
///
/// # Errors
/// `PRECONDITION_FAILED`.
pub async fn checkpoint(
    guard: Guard<Read>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let published = log::checkpoint(guard.registry().await?, guard.publisher()).await?;
    let text = published.to_string();
    let mut tag = Sha256Digest::of(text.as_bytes()).to_string();
    tag.truncate(32);
    let tag = EntityTag::new_strong(tag);
    conditional::check_wanted(&request, &tag)?;
    let mut response = if conditional::client_has(&request, &tag) {
        HttpResponse::NotModified().finish()
    } else {
        HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(text)
    };
    conditional::mark(&mut response, &tag);
    Ok(response)
}

/// `GET /api/v1/log/tile/{tile}`: hashes of the tree, or entries.
///
/// # Errors
/// `NOT_FOUND` for a path that names no tile, and for a tile that the log does not have yet;
/// `CHECKSUM_MISMATCH` where the log in the catalog is damaged.
pub async fn tile(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let not_found = |detail: String| RegistryError::new(ErrorKind::NotFound, detail);
    // Clients that are generated from the OpenAPI document escape the slashes of a parameter.
    let path = percent_decode_str(MatchedRoute::parameter(&request, "tile")).decode_utf8_lossy();
    let tile =
        Tile::parse(&format!("tile/{path}")).map_err(|error| not_found(error.to_string()))?;
    let bytes = log::tile(guard.registry().await?, tile).await?;
    let bytes = bytes.ok_or_else(|| not_found(format!("the log does not have {tile} yet")))?;
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((header::CACHE_CONTROL, IMMUTABLE))
        .body(bytes))
}
