//! The interactive documentation: Swagger UI for `/openapi.json`, served from the binary. All paths in it are relative,
//! so that it works behind a gateway's prefix.

use std::{
    io::{self, Read as _},
    sync::LazyLock,
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, EntityTag},
    web::Bytes,
};
use flate2::read::GzDecoder;

use crate::{
    domain::Sha256Digest,
    error::{ErrorKind, RegistryError},
    http::{edge::rules::MatchedRoute, errors::ApiError, v1::conditional},
};

const PAGE: &str = include_str!("page.html");
const START: &str = include_str!("start.js");
const STYLE_GZ: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz"));
const BUNDLE_GZ: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz"));
const LICENCE: &str = include_str!(concat!(env!("OUT_DIR"), "/swagger-ui-licence.txt"));

/// The page loads only these files, and no site may frame it. The style sheet holds its images as `data:` URLs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";

/// A file that the page needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asset {
    /// The script of Swagger UI.
    Bundle,
    /// The style sheet of Swagger UI.
    Style,
    /// The script that starts it.
    Start,
    /// The licence of Swagger UI.
    Licence,
}

impl Asset {
    /// All files.
    pub const ALL: [Self; 4] = [Self::Bundle, Self::Style, Self::Start, Self::Licence];

    /// The media types of the files.
    pub const MEDIA_TYPES: [&str; 3] =
        ["text/javascript; charset=utf-8", "text/css; charset=utf-8", "text/plain; charset=utf-8"];

    /// The file's name below `/docs/`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bundle => "swagger-ui-bundle.js",
            Self::Style => "swagger-ui.css",
            Self::Start => "start.js",
            Self::Licence => "swagger-ui-licence.txt",
        }
    }

    const fn media_type(self) -> &'static str {
        let [script, style, plain] = Self::MEDIA_TYPES;
        match self {
            Self::Bundle | Self::Start => script,
            Self::Style => style,
            Self::Licence => plain,
        }
    }

    /// The file's bytes, and whether they are compressed.
    const fn bytes(self) -> (&'static [u8], bool) {
        match self {
            Self::Bundle => (BUNDLE_GZ, true),
            Self::Style => (STYLE_GZ, true),
            Self::Start => (START.as_bytes(), false),
            Self::Licence => (LICENCE.as_bytes(), false),
        }
    }

    /// The file's bytes, uncompressed. They are unpacked once: anybody may ask for them, without a token.
    fn plain(self) -> Result<Bytes, RegistryError> {
        static PLAIN: LazyLock<[io::Result<Bytes>; 4]> = LazyLock::new(|| {
            Asset::ALL.map(|asset| {
                let (bytes, compressed) = asset.bytes();
                let mut plain = Vec::new();
                if compressed {
                    GzDecoder::new(bytes).read_to_end(&mut plain)?;
                } else {
                    plain.extend_from_slice(bytes);
                }
                Ok(plain.into())
            })
        });
        PLAIN[self as usize].as_ref().map(Bytes::clone).map_err(RegistryError::internal)
    }

    fn tag(self) -> EntityTag {
        static TAGS: LazyLock<[String; 4]> =
            LazyLock::new(|| Asset::ALL.map(|asset| digest(asset.bytes().0)));
        EntityTag::new_strong(TAGS[self as usize].clone())
    }
}

fn digest(bytes: &[u8]) -> String {
    let mut tag = Sha256Digest::of(bytes).to_string();
    tag.truncate(32);
    tag
}

/// `GET /docs`: the page.
///
/// # Errors
/// `PRECONDITION_FAILED`.
pub async fn page(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let tag = EntityTag::new_strong(digest(PAGE.as_bytes()));
    conditional::check_wanted(&request, &tag)?;
    let mut response = if conditional::client_has(&request, &tag) {
        HttpResponse::NotModified().finish()
    } else {
        HttpResponse::Ok()
            .content_type(HTML)
            .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
            .insert_header((header::REFERRER_POLICY, "no-referrer"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .body(PAGE)
    };
    conditional::mark(&mut response, &tag);
    Ok(response)
}

/// `GET /docs/{asset}`: a file of the page.
///
/// # Errors
/// `NOT_FOUND`, `PRECONDITION_FAILED`.
pub async fn asset(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let name = MatchedRoute::parameter(&request, "asset");
    let Some(asset) = Asset::ALL.into_iter().find(|asset| asset.name() == name) else {
        return Err(RegistryError::new(ErrorKind::NotFound, "Not Found").into());
    };
    let (bytes, compressed) = asset.bytes();
    let mut tag = asset.tag();
    let as_it_is = !compressed || takes_gzip(&request);
    if !as_it_is {
        // Each representation needs a strong tag of its own.
        tag = EntityTag::new_strong(format!("{}0", tag.tag()));
    }
    conditional::check_wanted(&request, &tag)?;
    let mut response = if conditional::client_has(&request, &tag) {
        HttpResponse::NotModified().finish()
    } else {
        let mut builder = HttpResponse::Ok();
        builder
            .content_type(asset.media_type())
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        if !compressed {
            builder.body(bytes)
        } else if as_it_is {
            builder.insert_header((header::CONTENT_ENCODING, "gzip")).body(bytes)
        } else {
            builder.body(asset.plain()?)
        }
    };
    if compressed {
        response
            .headers_mut()
            .insert(header::VARY, header::HeaderValue::from_static("accept-encoding"));
    }
    conditional::mark(&mut response, &tag);
    Ok(response)
}

/// Whether `Accept-Encoding` names `gzip` or `*` with a weight above zero (RFC 9110 section 12.5.3). A client without
/// the header gets uncompressed files.
fn takes_gzip(request: &HttpRequest) -> bool {
    let codings =
        request.headers().get_all(header::ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    let weight = |wanted: &str| {
        codings.clone().flat_map(|value| value.split(',')).find_map(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            if !parts.next()?.eq_ignore_ascii_case(wanted) {
                return None;
            }
            let weight = parts.find_map(|part| part.strip_prefix("q="));
            Some(weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0)))
        })
    };
    weight("gzip").or_else(|| weight("*")).unwrap_or(false)
}

/// `GET /redoc`, where the Python service had a page.
pub async fn redoc() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "docs")).finish()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn gzip_is_sent_only_to_clients_that_accept_it() {
        for (accept, takes) in [
            ("gzip, deflate, br, zstd", true),
            ("GZIP;q=0.5", true),
            ("*", true),
            ("br, *;q=0.1", true),
            ("", false),
            ("identity", false),
            ("br", false),
            ("gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("gzip; q=0.0", false),
            ("gzip;q=x", false),
        ] {
            let request = TestRequest::get()
                .insert_header((header::ACCEPT_ENCODING, accept))
                .to_http_request();
            assert_eq!(takes_gzip(&request), takes, "{accept:?}");
        }
        assert!(!takes_gzip(&TestRequest::get().to_http_request()));
    }
}
