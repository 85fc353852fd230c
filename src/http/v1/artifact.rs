//! The download of an artifact, whole or one range. The file is verified before its first byte is sent.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
};

use actix_web::{
    HttpRequest, HttpResponse,
    body::SizedStream,
    http::{
        Method, StatusCode,
        header::{
            self, ByteRangeSpec, ContentRange, ContentRangeSpec, EntityTag, Header as _, Range,
        },
    },
    web::Bytes,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::stream;

use super::{conditional, path};
use crate::{
    domain::VersionRecord,
    error::{ErrorKind, RegistryError},
    http::{
        edge::{
            guard::{Guard, Read},
            request_log,
        },
        errors::ApiError,
    },
    limits,
};

/// The bytes that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    Part { from: u64, length: u64 },
    Unsatisfiable,
}

/// `GET` and `HEAD /{model_type}/{version}/artifact`.
///
/// # Errors
/// `MODEL_NOT_FOUND`, `CHECKSUM_MISMATCH`, `PRECONDITION_FAILED`, `RANGE_NOT_SATISFIABLE`.
pub async fn artifact(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (model_type, version) = path::model_version(&request)?;
    let record = guard.registry().await?.record_of(&model_type, version).await?;
    request_log::add_fields(&request, |log| log.model_id = Some(record.model_id.to_string()));
    let file = guard.registry().await?.open_artifact(record.clone()).await?;
    let tag = EntityTag::new_strong(record.checksum_sha256.to_string());
    conditional::check_wanted(&request, &tag)?;
    if conditional::client_has(&request, &tag) {
        let mut response = HttpResponse::NotModified().finish();
        conditional::mark(&mut response, &tag);
        return Ok(response);
    }
    let size = record.artifact_size_bytes;
    let mut builder = HttpResponse::Ok();
    let (from, length) = match wanted(&request, &tag, size) {
        Wanted::All => (0, size),
        Wanted::Part { from, length } => {
            let range = Some((from, from + length - 1));
            let spec = ContentRangeSpec::Bytes { range, instance_length: Some(size) };
            builder.status(StatusCode::PARTIAL_CONTENT).insert_header(ContentRange(spec));
            (from, length)
        }
        Wanted::Unsatisfiable => return Ok(unsatisfiable(size)),
    };
    describe(&mut builder, &record);
    let mut response = if request.method() == Method::HEAD {
        builder.no_chunking(length);
        builder.body(SizedStream::new(length, stream::empty::<Result<Bytes, io::Error>>()))
    } else {
        builder.body(SizedStream::new(length, chunks(file, from, length)))
    };
    conditional::mark(&mut response, &tag);
    Ok(response)
}

fn describe(builder: &mut actix_web::HttpResponseBuilder, record: &VersionRecord) {
    let digest = STANDARD.encode(record.checksum_sha256.as_bytes());
    // A type, a version and an extension hold no character that needs quoting.
    let name =
        format!("{}-{}.{}", record.model_type, record.version, record.artifact_file.extension());
    builder
        .content_type("application/octet-stream")
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header(("Digest", format!("sha-256={digest}")))
        .insert_header(("Repr-Digest", format!("sha-256=:{digest}:")));
}

/// The bytes that `Range` asks for. Several ranges, another unit or a malformed range get the whole, as RFC 9110 section
/// 14.2 allows, and so does an `If-Range` that names another state of the artifact. Only `GET` has ranges.
fn wanted(request: &HttpRequest, tag: &EntityTag, size: u64) -> Wanted {
    if request.method() != Method::GET || !request.headers().contains_key(header::RANGE) {
        return Wanted::All;
    }
    // With two headers, which one is meant is unknown.
    if request.headers().get_all(header::RANGE).nth(1).is_some() {
        return Wanted::All;
    }
    if let Some(condition) = request.headers().get(header::IF_RANGE)
        && condition.to_str().ok() != Some(tag.to_string().as_str())
    {
        return Wanted::All;
    }
    // The framework accepts a sign before a number; RFC 9110 does not.
    if request.headers().get(header::RANGE).is_some_and(|range| range.as_bytes().contains(&b'+')) {
        return Wanted::All;
    }
    let Ok(Range::Bytes(specs)) = Range::parse(request) else { return Wanted::All };
    let [spec] = specs.as_slice() else { return Wanted::All };
    if let ByteRangeSpec::FromTo(from, to) = spec
        && from > to
    {
        return Wanted::All;
    }
    match spec.to_satisfiable_range(size) {
        Some((from, to)) => Wanted::Part { from, length: to - from + 1 },
        None => Wanted::Unsatisfiable,
    }
}

fn unsatisfiable(size: u64) -> HttpResponse {
    let error = RegistryError::new(
        ErrorKind::RangeNotSatisfiable,
        format!("The range lies outside the artifact's {size} bytes"),
    );
    let mut response = HttpResponse::from_error(ApiError(error));
    if let Ok(value) = header::HeaderValue::from_str(&format!("bytes */{size}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

/// Reads the file piece by piece on blocking threads. A file that ends early breaks the connection, which the client
/// notices from the announced length.
fn chunks(
    file: File,
    from: u64,
    length: u64,
) -> impl futures_util::Stream<Item = Result<Bytes, io::Error>> {
    stream::try_unfold((file, from, length), |(mut file, from, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let read = move || {
            let size = usize::try_from(left)
                .map_or(limits::FILE_BUFFER, |left| left.min(limits::FILE_BUFFER));
            let mut buffer = vec![0; size];
            file.seek(SeekFrom::Start(from))?;
            file.read_exact(&mut buffer)?;
            Ok::<_, io::Error>((Bytes::from(buffer), file))
        };
        let (bytes, file) = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
        let read = bytes.len() as u64;
        Ok(Some((bytes, (file, from + read, left - read))))
    })
}
