//! A long list, made while it is sent.

use actix_web::{
    HttpResponse,
    http::{
        ConnectionType,
        header::{self, HeaderValue},
    },
    web::Bytes,
};
use futures_util::{Stream, stream};

use crate::{
    error::RegistryError,
    registry::long_list::LongList,
    schemas::{self, ListedModelResponse},
};

/// What is sent next.
enum Part {
    First(LongList),
    Next(LongList),
    End,
}

/// The answer with a long list and, for a page, its `Link`. Its length is not known when it begins, so the connection closes after it. A list that
/// cannot be read to its end breaks the connection before the end of the body, which clients notice.
#[must_use]
pub fn list(list: LongList, link: Option<String>) -> HttpResponse {
    let mut response = HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(parts(list));
    if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    response.head_mut().set_connection_type(ConnectionType::Close);
    response
}

fn parts(list: LongList) -> impl Stream<Item = Result<Bytes, RegistryError>> {
    stream::try_unfold(Part::First(list), async |part| {
        let (mut list, mut text) = match part {
            Part::First(list) => (list, schemas::LIST_START.to_owned()),
            Part::Next(list) => (list, String::new()),
            Part::End => return Ok(None),
        };
        let models = list.next().await.inspect_err(|error| {
            tracing::error!(%error, "a list could not be sent to its end");
        })?;
        if models.is_empty() {
            text.push_str(&schemas::list_end(list.total()));
            return Ok(Some((Bytes::from(text), Part::End)));
        }
        let follows_another = text.is_empty();
        for (number, model) in models.iter().enumerate() {
            if number > 0 || follows_another {
                text.push(',');
            }
            let json = serde_json::to_string(&ListedModelResponse::from(model));
            text.push_str(&json.map_err(RegistryError::internal)?);
        }
        Ok(Some((Bytes::from(text), Part::Next(list))))
    })
}
