//! What the document says of one operation, and how that becomes OpenAPI.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{
        Content, ContentBuilder, HttpMethod, KnownFormat, ObjectBuilder, Ref, RefOr, Response,
        ResponseBuilder, Schema, SchemaFormat, Type,
        example::ExampleBuilder,
        extensions::ExtensionsBuilder,
        link::Link,
        path::{Operation, OperationBuilder, Parameter},
        security::SecurityRequirement,
    },
};

use super::{
    BEARER,
    headers::{self, Named},
};
use crate::{domain::Scope, error::ErrorKind, http::errors::ErrorBody};

/// What any operation may answer, most of it before it is known which one is asked for.
const ANY: [ErrorKind; 7] = [
    ErrorKind::MalformedRequest,
    ErrorKind::RequestTimeout,
    ErrorKind::TooLarge,
    ErrorKind::UriTooLong,
    ErrorKind::MisdirectedRequest,
    ErrorKind::HeadersTooLarge,
    ErrorKind::Internal,
];

/// What any operation behind a guard may answer besides.
const GUARDED: [ErrorKind; 5] = [
    ErrorKind::Unauthenticated,
    ErrorKind::InvalidToken,
    ErrorKind::InsufficientScope,
    ErrorKind::RegistryUnavailable,
    ErrorKind::Overloaded,
];

/// The operations that take a version.
const OF_A_VERSION: [&str; 4] =
    ["getModelMetadata", "getModelHistory", "downloadArtifact", "validateModel"];

const JSON: &str = "application/json";

type Schemas = Vec<(String, RefOr<Schema>)>;

/// An answer that is no error.
struct DescribedAnswer {
    status: u16,
    about: &'static str,
    /// Media types and their schemas; none where there is no body.
    body: Vec<(&'static str, RefOr<Schema>)>,
    /// The name of its example.
    example: Option<&'static str>,
    headers: Vec<Named>,
    links: Vec<(&'static str, Link)>,
}

/// What the document says of one operation. Its path, method and scope are its row's.
pub struct Description {
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    about: &'static str,
    parameters: Vec<Parameter>,
    answers: Vec<DescribedAnswer>,
    errors: Vec<ErrorKind>,
    schemas: Schemas,
    head: bool,
}

impl Description {
    /// An operation of this name, for programs, and with these words, for people.
    pub(super) fn new(
        tag: &'static str,
        id: &'static str,
        summary: &'static str,
        about: &'static str,
    ) -> Self {
        let mut schemas = Schemas::new();
        collect::<ErrorBody<'_>>(&mut schemas);
        let (parameters, answers, errors) = (Vec::new(), Vec::new(), Vec::new());
        Self { id, tag, summary, about, parameters, answers, errors, schemas, head: false }
    }

    pub(super) fn parameter(mut self, parameter: impl Into<Parameter>) -> Self {
        self.parameters.push(parameter.into());
        self
    }

    /// Answers with this type as JSON. The example is the answer of this name.
    pub(super) fn json<T: ToSchema>(
        mut self,
        status: u16,
        about: &'static str,
        example: &'static str,
    ) -> Self {
        collect::<T>(&mut self.schemas);
        let schema = Ref::from_schema_name(T::name()).into();
        self.answers.push(DescribedAnswer {
            status,
            about,
            body: vec![(JSON, schema)],
            example: Some(example),
            headers: Vec::new(),
            links: Vec::new(),
        });
        self
    }

    /// Answers with something that is not described any further, or with nothing.
    pub(super) fn raw(
        mut self,
        status: u16,
        about: &'static str,
        body: impl IntoIterator<Item = (&'static str, Schema)>,
    ) -> Self {
        let body = body.into_iter().map(|(media, schema)| (media, schema.into())).collect();
        let (headers, links) = (Vec::new(), Vec::new());
        self.answers.push(DescribedAnswer { status, about, body, example: None, headers, links });
        self
    }

    /// Adds headers to the answer named last.
    pub(super) fn with(mut self, headers: impl IntoIterator<Item = Named>) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.extend(headers);
        }
        self
    }

    /// The version at this place of the answer named last may be asked about further.
    pub(super) fn leads_to_version(mut self, place: &str) -> Self {
        let link = |operation: &str| {
            Link::builder()
                .operation_id(operation)
                .parameter("model_type", "$request.path.model_type")
                .parameter("version", format!("$response.body#{place}"))
                .build()
        };
        if let Some(answer) = self.answers.last_mut() {
            answer.links.extend(OF_A_VERSION.map(|operation| (operation, link(operation))));
        }
        self
    }

    /// The answer named last carries an `ETag`, and a client that has it is told so.
    pub(super) fn conditional(self) -> Self {
        let tagged = || [headers::etag(), headers::cache_control()];
        self.with(tagged())
            .parameter(super::operations::if_none_match())
            .parameter(super::operations::if_match())
            .errors(&[ErrorKind::PreconditionFailed])
            .raw(304, "The client has this answer already.", None)
            .with(tagged())
    }

    /// Asking for its headers alone is worth a mention of its own.
    pub(super) fn also_head(mut self) -> Self {
        self.head = true;
        self
    }

    /// Whether the document tells of `HEAD` as well.
    #[must_use]
    pub fn tells_of_head(&self) -> bool {
        self.head
    }

    /// May answer with these errors, besides those that any route may answer with.
    pub(super) fn errors(mut self, kinds: &[ErrorKind]) -> Self {
        self.errors.extend(kinds);
        self
    }

    /// The schemas that this operation's answers refer to, by name.
    #[must_use]
    pub(super) fn schemas(&self) -> Schemas {
        self.schemas.clone()
    }

    /// As OpenAPI.
    pub(super) fn operation(
        self,
        method: &HttpMethod,
        scope: Option<Scope>,
        examples: &BTreeMap<String, Value>,
    ) -> Operation {
        let mut errors = self.errors;
        errors.extend(ANY);
        if scope.is_some() {
            errors.extend(GUARDED);
        }
        let mut responses: BTreeMap<u16, Response> = BTreeMap::new();
        for answer in self.answers {
            responses.insert(answer.status, success(answer, examples));
        }
        for (status, kinds) in by_status(&errors) {
            // `/ready` describes its 503 itself.
            responses.entry(status).or_insert_with(|| failure(status, &kinds, self.id, examples));
        }
        let head = *method == HttpMethod::Head;
        let mut parameters = self.parameters;
        if head {
            // Only `GET` has ranges.
            parameters
                .retain(|parameter| !["Range", "If-Range"].contains(&parameter.name.as_str()));
            responses.retain(|status, _| ![206, 416].contains(status));
        }
        let id = if head { format!("{}Headers", self.id) } else { self.id.to_owned() };
        let summary =
            if head { format!("{}: headers alone", self.summary) } else { self.summary.to_owned() };
        let about = match scope {
            Some(scope) => format!("{} Needs a token with `{scope}`.", self.about),
            None => self.about.to_owned(),
        };
        let mut operation = OperationBuilder::new()
            .tag(self.tag)
            .operation_id(Some(id))
            .summary(Some(summary))
            .description(Some(about))
            .parameters((!parameters.is_empty()).then_some(parameters));
        for (status, mut response) in responses {
            if head {
                response.content.clear();
            }
            operation = operation.response(status.to_string(), response);
        }
        if let Some(scope) = scope {
            operation = operation.security(SecurityRequirement::new(BEARER, [scope.as_str()]));
        }
        operation.build()
    }
}

fn collect<T: ToSchema>(schemas: &mut Schemas) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

fn by_status(kinds: &[ErrorKind]) -> BTreeMap<u16, Vec<ErrorKind>> {
    let mut grouped: BTreeMap<u16, Vec<ErrorKind>> = BTreeMap::new();
    for kind in kinds {
        let group = grouped.entry(kind.http_status()).or_default();
        if !group.contains(kind) {
            group.push(*kind);
        }
    }
    grouped
}

fn success(answer: DescribedAnswer, examples: &BTreeMap<String, Value>) -> Response {
    let mut response = ResponseBuilder::new().description(answer.about);
    let example = answer.example.and_then(|name| examples.get(name)).cloned();
    for (media, schema) in answer.body {
        let content = ContentBuilder::new().schema(Some(schema)).example(example.clone());
        response = response.content(media, content.build());
    }
    for (name, header) in answer.headers.into_iter().chain([headers::request_id()]) {
        response = response.header(name, header);
    }
    for (name, link) in answer.links {
        response = response.link(name, link);
    }
    response.build()
}

/// The errors of one status: the codes in words, for programs (`x-error-codes`), and by example, this operation's
/// own where there is one.
fn failure(
    status: u16,
    kinds: &[ErrorKind],
    id: &str,
    examples: &BTreeMap<String, Value>,
) -> Response {
    let about: Vec<_> =
        kinds.iter().map(|kind| format!("`{}`: {}.", kind.code(), meaning(*kind))).collect();
    let codes: Vec<_> = kinds.iter().map(|kind| kind.code()).collect();
    let shown = kinds.iter().filter_map(|kind| {
        let any = format!("{status} {}", kind.code());
        let value = examples.get(&format!("{any} {id}")).or_else(|| examples.get(&any))?;
        Some((kind.code(), ExampleBuilder::new().value(Some(value.clone())).build()))
    });
    let content: Content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(ErrorBody::name())))
        .examples_from_iter(shown)
        .build();
    let mut headers = vec![headers::request_id()];
    if status == 401 {
        headers.push(headers::challenge());
    }
    if kinds.iter().any(|kind| kind.worth_retrying()) {
        headers.push(headers::retry_after());
    }
    if kinds.contains(&ErrorKind::RangeNotSatisfiable) {
        let about = "How many bytes there are: `bytes */<size>`.";
        headers.push(headers::content_range(r"^bytes \*/[0-9]+$", about));
    }
    let mut response = ResponseBuilder::new()
        .description(about.join(" "))
        .content(JSON, content)
        .extensions(Some(ExtensionsBuilder::new().add("x-error-codes", json!(codes)).build()));
    for (name, header) in headers {
        response = response.header(name, header);
    }
    response.build()
}

/// When a kind of error is answered.
fn meaning(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unauthenticated => "no `Authorization` header, or not Bearer",
        ErrorKind::InvalidToken => "the token is not known, expired or badly signed",
        ErrorKind::InsufficientScope => "the token does not hold the route's scope",
        ErrorKind::ModelNotFound => "no such type or version, or none in production",
        ErrorKind::NotFound => "no such route",
        ErrorKind::MethodNotAllowed => "the route has other methods, named in `Allow`",
        ErrorKind::RangeNotSatisfiable => "the artifact has no such bytes",
        ErrorKind::MisdirectedRequest => "the request is for a host that this service is not",
        ErrorKind::PreconditionFailed => "`If-Match` names another state than there is",
        ErrorKind::MalformedRequest => "the request is not HTTP as RFC 9112 has it",
        ErrorKind::RequestTimeout => "the request did not come in time",
        ErrorKind::UriTooLong => "the request line is longer than allowed",
        ErrorKind::HeadersTooLarge => "the request's head is larger than allowed",
        ErrorKind::ClientGone => "the client closed its connection before the answer",
        ErrorKind::InvalidRequest => {
            "a parameter or field is not what it may be; `detail` names it"
        }
        ErrorKind::TooLarge => "the request's body is larger than allowed",
        ErrorKind::MissingRequiredFields => "parameters that the type requires are missing",
        ErrorKind::InvalidDatasetVersion => "no data set versions, or one without name or number",
        ErrorKind::InvalidSnapshot => "no snapshot",
        ErrorKind::VersionExists => "the number was used before",
        ErrorKind::InvalidTransition => "the rules do not allow the step from the version's status",
        ErrorKind::PromotionGateFailed => "a metric is below its gate; `detail` tells all of them",
        ErrorKind::ChecksumMismatch => {
            "a file's hash is not the recorded one; `detail` has every error"
        }
        ErrorKind::IntegrityOnRead => {
            "a file differs from what the catalog recorded, or manifest and catalog disagree"
        }
        ErrorKind::ValidationFailed => {
            "intact, but it would not load, or loading it would run code; `detail` has every error"
        }
        ErrorKind::RegistryLocked => "another process is changing the registry",
        ErrorKind::RegistryUnavailable => {
            "the catalog, the disk or the identity provider does not answer"
        }
        ErrorKind::Overloaded => "more work is waiting than is taken on",
        ErrorKind::Internal => "anything unexpected; the log has the cause under the request's id",
    }
}

/// Bytes, in the words that makers of client programs know.
pub(super) fn bytes() -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
        .build()
        .into()
}

/// Text.
pub(super) fn text() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).build().into()
}
