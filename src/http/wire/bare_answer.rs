//! Answers that are written without the framework.

use std::{net::IpAddr, time::SystemTime};

use actix_web::http::{StatusCode, header::HttpDate};

use super::request_id::new_request_id;
use crate::{
    clock,
    error::{ErrorKind, RegistryError},
    http::errors::ErrorBody,
    metrics,
};

/// An answer to bytes that never became a request.
#[derive(Debug)]
pub struct BareAnswer {
    bytes: Vec<u8>,
    written: usize,
}

impl BareAnswer {
    /// Makes a refusal to this peer, logs it and counts it.
    #[must_use]
    pub fn new(error: RegistryError, peer: Option<IpAddr>) -> Self {
        let (kind, request_id) = (error.kind(), new_request_id());
        let (status, code, detail) = (kind.http_status(), kind.code(), error.detail());
        let client = peer.map(tracing::field::display);
        tracing::info!(request_id, client, status, code, detail, "request refused");
        metrics::refused(status);
        let body = serde_json::to_string(&ErrorBody { detail, code }).unwrap_or_default();
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let date = clock::now().map_or_else(
            |_| String::new(),
            |now| format!("date: {}\r\n", HttpDate::from(SystemTime::from(now.instant()))),
        );
        let text = format!(
            "HTTP/1.1 {status} {}\r\ncontent-length: {}\r\nconnection: close\r\n\
             content-type: application/json\r\ncache-control: no-store\r\n\
             x-content-type-options: nosniff\r\nx-request-id: {request_id}\r\n{date}\r\n{body}",
            reason.unwrap_or_default(),
            body.len(),
        );
        Self { bytes: text.into_bytes(), written: 0 }
    }

    /// The answer that replaces an error which the framework wrote without a body; `None` for any other head.
    #[must_use]
    pub fn instead_of(head: &[u8], peer: Option<IpAddr>) -> Option<Self> {
        let head = std::str::from_utf8(head).ok()?;
        let status = head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
        if !(400..600).contains(&status) || !head.contains("\r\ncontent-length: 0\r\n") {
            return None;
        }
        let (kind, detail) = match status {
            408 => (ErrorKind::RequestTimeout, "The request did not arrive in time"),
            413 => (ErrorKind::TooLarge, "The request's body is larger than any route accepts"),
            431 => (ErrorKind::HeadersTooLarge, "The request has too many header fields"),
            400..500 => {
                (ErrorKind::MalformedRequest, "The request is not HTTP/1.1 as RFC 9112 defines it")
            }
            _ => (ErrorKind::Internal, "Internal server error"),
        };
        Some(Self::new(RegistryError::new(kind, detail), peer))
    }

    /// The bytes that are still to be written.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// Tells that this many more bytes were written.
    pub fn advance(&mut self, written: usize) {
        self.written += written;
    }
}
