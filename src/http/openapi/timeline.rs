//! The descriptions of the operations on the history.

use utoipa::{
    PartialSchema as _,
    openapi::{ObjectBuilder, Type},
};

use super::{
    Description,
    description::text,
    headers,
    operations::{MODELS, model_type, number, query},
};
use crate::{
    domain::{ModelType, log::Action},
    error::ErrorKind,
    http::v1::timeline::CSV,
    limits,
    schemas::timeline::{TypeHistoryResponse, TypesResponse, WholeHistoryResponse},
};

/// The parameters of a page of a history.
fn paged(description: Description) -> Description {
    let after = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(0))
        .maximum(Some(isize::MAX))
        .build();
    description
        .parameter(query(
            "after",
            after,
            "Only changes behind this position of the log: the `sequence` of the last one that the client has.",
        ))
        .parameter(query(
            "limit",
            number(1, limits::MAX_HISTORY_PAGE).default(Some(limits::HISTORY_PAGE.into())),
            "The most changes on a page.",
        ))
}

/// `GET /api/v1/models`.
#[must_use]
pub fn types() -> Description {
    let about = "Every known type, with the version in production and the number of versions in each status.";
    Description::new(MODELS, "listModelTypes", "List types", about)
        .json::<TypesResponse<'_>>(200, "The known types.", "types")
        .conditional()
}

/// `GET /api/v1/models/{model_type}/history`.
#[must_use]
pub fn type_history() -> Description {
    let about = "The changes of all versions of a type, in the log's order, oldest first, and the periods in which they were in production. `Link` names the next page. With `Accept: text/csv`, the changes as CSV. Entries are never removed.";
    let description = Description::new(MODELS, "getTypeHistory", "A type's history", about)
        .parameter(model_type());
    paged(description)
        .json::<TypeHistoryResponse<'_>>(200, "The changes of the type.", "type history")
        .or(CSV, text())
        .with([headers::next_link()])
        .conditional()
        .errors(&[ErrorKind::ModelNotFound, ErrorKind::InvalidRequest])
}

/// `GET /api/v1/history`.
#[must_use]
pub fn whole_history() -> Description {
    let about = "Every change of the registry, in the log's order, oldest first, for audits. `Link` names the next page; with filters, a page that has a next one may hold few changes or none. With `Accept: text/csv`, the changes as CSV. Entries are never removed.";
    let actions = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(Action::ALL.map(Action::as_str)))
        .build();
    paged(Description::new(MODELS, "getHistory", "The history of all types", about))
        .parameter(query("model_type", ModelType::schema(), "Only changes of this type."))
        .parameter(query(
            "by",
            text(),
            "Only changes whose stated author or authenticated user is exactly this.",
        ))
        .parameter(query("action", actions, "Only changes of this kind."))
        .json::<WholeHistoryResponse<'_>>(200, "The changes.", "history of all")
        .or(CSV, text())
        .with([headers::next_link()])
        .conditional()
        .errors(&[ErrorKind::InvalidRequest])
}
