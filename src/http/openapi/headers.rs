//! The headers of answers, each described once.

use utoipa::openapi::{Header, HeaderBuilder, ObjectBuilder, Type};

/// A header's name and description.
pub type Named = (&'static str, Header);

fn text(name: &'static str, pattern: Option<&str>, about: &str) -> Named {
    let schema = ObjectBuilder::new().schema_type(Type::String).pattern(pattern);
    (name, HeaderBuilder::new().schema(Some(schema)).description(Some(about)).build())
}

pub fn request_id() -> Named {
    let pattern = Some("^[A-Za-z0-9_.-]{1,64}$");
    text("X-Request-Id", pattern, "The request's id, which is also in the service's log.")
}

pub fn etag() -> Named {
    let about = "Changes when the answer changes. Send it back in `If-None-Match`.";
    text("ETag", Some("^\"[0-9a-f]+\"$"), about)
}

pub fn cache_control() -> Named {
    let about = "The answer may be cached, and must be revalidated before each use.";
    text("Cache-Control", None, about)
}

pub fn immutable() -> Named {
    text("Cache-Control", Some("immutable"), "The answer never changes.")
}

pub fn link() -> Named {
    let about = "The first, previous, next and last page, if a `limit` was given (RFC 8288).";
    text("Link", Some("rel=\"first\""), about)
}

pub fn next_link() -> Named {
    let about = "The next page, if there is one (RFC 8288).";
    text("Link", Some("rel=\"next\""), about)
}

pub fn challenge() -> Named {
    let about = "`Bearer`, with `error=\"invalid_token\"` if a token was sent (RFC 6750).";
    text("WWW-Authenticate", Some("^Bearer"), about)
}

pub fn retry_after() -> Named {
    let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    let about = "Try again after this many seconds. Absent if trying again does not help.";
    ("Retry-After", HeaderBuilder::new().schema(Some(schema)).description(Some(about)).build())
}

pub fn content_range(pattern: &str, about: &str) -> Named {
    text("Content-Range", Some(pattern), about)
}

pub fn location(about: &str) -> Named {
    text("Location", None, about)
}

pub fn content_security_policy() -> Named {
    text("Content-Security-Policy", None, "Allows only resources of this service.")
}

/// The headers of an artifact.
pub fn of_artifact() -> [Named; 4] {
    [
        text("Accept-Ranges", Some("^bytes$"), "Byte ranges are supported."),
        text(
            "Content-Disposition",
            Some("^attachment; filename=\"[a-z0-9_.-]+\"$"),
            "A file name made of type, version and extension.",
        ),
        text(
            "Digest",
            Some("^sha-256=[A-Za-z0-9+/]{43}=$"),
            "SHA-256 of the whole artifact (RFC 3230).",
        ),
        text(
            "Repr-Digest",
            Some("^sha-256=:[A-Za-z0-9+/]{43}=:$"),
            "SHA-256 of the whole artifact (RFC 9530).",
        ),
    ]
}
