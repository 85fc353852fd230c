//! Answers that stay the same until the registry changes: given from the view, or made and kept there.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web::Bytes};
use serde::Serialize;

use super::conditional;
use crate::{
    actors::view::{self, Answer, Recalled, Seal},
    domain::{Sha256Digest, VersionRecord},
    error::RegistryError,
    http::{
        edge::{guard::Guard, request_log},
        errors::ApiError,
    },
    limits,
    registry::Registry,
};

/// An answer, and what must still be so when it is given again.
pub struct Made {
    answer: Answer,
    /// `None` where the answer must not be given again.
    seals: Option<Vec<Seal>>,
}

impl Made {
    /// The answer with this JSON body, made from the sidecars with these seals. With an absent seal it is not kept.
    ///
    /// # Errors
    /// An internal error where the body cannot be written as JSON.
    pub fn new(
        body: &impl Serialize,
        seals: impl IntoIterator<Item = Option<Seal>>,
    ) -> Result<Self, RegistryError> {
        let body = serde_json::to_vec(body).map_err(RegistryError::internal)?;
        let digest = Sha256Digest::of(&body).to_string();
        let tag = format!("\"{}\"", digest.get(..32).unwrap_or_default());
        let answer = Answer {
            body: body.into(),
            tag: tag.into(),
            link: None,
            model_type: None,
            version: None,
            model_id: None,
        };
        Ok(Self { answer, seals: seals.into_iter().collect() })
    }

    /// The answer is about this version: the log line of each request tells so.
    #[must_use]
    pub fn about(mut self, record: &VersionRecord) -> Self {
        self.answer.model_type = Some(record.model_type.to_string());
        self.answer.version = Some(record.version.to_string());
        self.answer.model_id = Some(record.model_id.to_string());
        self
    }

    /// The answer has this `Link` header.
    #[must_use]
    pub fn with_link(mut self, link: Option<String>) -> Self {
        self.answer.link = link.map(Bytes::from);
        self
    }
}

/// What a handler made.
pub enum Outcome {
    /// An answer.
    Made(Made),
    /// An answer that is too long to be kept, and is made while it is sent.
    Streamed(HttpResponse),
}

impl From<Made> for Outcome {
    fn from(made: Made) -> Self {
        Self::Made(made)
    }
}

/// The answer to a request. Where the view does not know it, one request makes it, and others that come meanwhile wait
/// for that one.
///
/// # Errors
/// Those of `make`; `PRECONDITION_FAILED`, `OVERLOADED`.
pub async fn viewed<S>(
    guard: &Guard<S>,
    request: &HttpRequest,
    make: impl AsyncFnOnce(&Registry) -> Result<Outcome, ApiError>,
) -> Result<HttpResponse, ApiError> {
    // Which types are known depends on the policy.
    let policy = guard.policy_generation();
    let target = || {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        if policy == 0 { target.to_owned() } else { format!("{target} {policy}") }
    };
    let mut recalled = guard.recall(target()).await?;
    if let Recalled::Wait(waiting) = recalled {
        view::made(waiting, limits::VIEW_WAIT).await;
        recalled = guard.recall(target()).await?;
    }
    let making = match recalled {
        Recalled::Known(answer) => return tell(request, &answer),
        Recalled::Make(making) => Some(making),
        Recalled::Wait(_) | Recalled::Unknown => None,
    };
    let Made { answer, seals } = match make(guard.registry().await?).await? {
        Outcome::Made(made) => made,
        Outcome::Streamed(response) => return Ok(response),
    };
    let answer = Arc::new(answer);
    if let (Some(making), Some(seals)) = (making, seals) {
        guard.keep(making, answer.clone(), seals).await?;
    }
    tell(request, &answer)
}

fn tell(request: &HttpRequest, answer: &Answer) -> Result<HttpResponse, ApiError> {
    request_log::add_fields(request, |log| {
        log.model_type.clone_from(&answer.model_type);
        log.version.clone_from(&answer.version);
        log.model_id.clone_from(&answer.model_id);
    });
    conditional::answered(request, answer)
}
