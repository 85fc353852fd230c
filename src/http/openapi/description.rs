//! The description of one operation, and its rendering as OpenAPI.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{
        Content, ContentBuilder, HttpMethod, KnownFormat, ObjectBuilder, Ref, RefOr, Required,
        Response, ResponseBuilder, Schema, SchemaFormat, Type,
        encoding::Encoding,
        example::ExampleBuilder,
        extensions::ExtensionsBuilder,
        link::Link,
        path::{Operation, OperationBuilder, Parameter},
        request_body::{RequestBody, RequestBodyBuilder},
        security::SecurityRequirement,
    },
};

use super::{
    BEARER,
    headers::{self, Named},
};
use crate::{domain::Scope, error::ErrorKind, http::errors::ErrorBody};

/// The errors of every operation. Most are answered before the route is known.
const ANY: [ErrorKind; 7] = [
    ErrorKind::MalformedRequest,
    ErrorKind::RequestTimeout,
    ErrorKind::TooLarge,
    ErrorKind::UriTooLong,
    ErrorKind::MisdirectedRequest,
    ErrorKind::HeadersTooLarge,
    ErrorKind::Internal,
];

/// The further errors of every operation behind a guard.
const GUARDED: [ErrorKind; 5] = [
    ErrorKind::Unauthenticated,
    ErrorKind::InvalidToken,
    ErrorKind::InsufficientScope,
    ErrorKind::RegistryUnavailable,
    ErrorKind::Overloaded,
];

/// The operations on one version.
const OF_A_VERSION: [&str; 4] =
    ["getModelMetadata", "getModelHistory", "downloadArtifact", "validateModel"];

const JSON: &str = "application/json";

type Schemas = Vec<(String, RefOr<Schema>)>;

/// An answer that is not an error.
struct DescribedAnswer {
    status: u16,
    about: &'static str,
    /// Media types and their schemas; empty for an answer without a body.
    body: Vec<(&'static str, RefOr<Schema>)>,
    /// The name of its example.
    example: Option<&'static str>,
    headers: Vec<Named>,
    links: Vec<(&'static str, Link)>,
}

/// The description of one operation. Its path, method and scope are in its row.
pub struct Description {
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    about: &'static str,
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    answers: Vec<DescribedAnswer>,
    errors: Vec<ErrorKind>,
    schemas: Schemas,
    head: bool,
}

impl Description {
    /// An operation with this id for programs, and this summary and description for people.
    pub(super) fn new(
        tag: &'static str,
        id: &'static str,
        summary: &'static str,
        about: &'static str,
    ) -> Self {
        let mut schemas = Schemas::new();
        collect::<ErrorBody<'_>>(&mut schemas);
        let (parameters, answers, errors) = (Vec::new(), Vec::new(), Vec::new());
        let body = None;
        Self { id, tag, summary, about, parameters, body, answers, errors, schemas, head: false }
    }

    pub(super) fn parameter(mut self, parameter: impl Into<Parameter>) -> Self {
        self.parameters.push(parameter.into());
        self
    }

    /// The request has a JSON body of this type.
    pub(super) fn takes<T: ToSchema>(mut self, required: Required, about: &'static str) -> Self {
        collect::<T>(&mut self.schemas);
        let schema = Ref::from_schema_name(T::name());
        let content = ContentBuilder::new().schema(Some(schema)).build();
        self.body = Some(request_body(JSON, content, required, about));
        self
    }

    /// The request is a form with a part of JSON of this type, and a file, in this order.
    pub(super) fn takes_file<T: ToSchema>(
        mut self,
        (json, file): (&str, &str),
        about: &'static str,
    ) -> Self {
        collect::<T>(&mut self.schemas);
        let octets = ObjectBuilder::new()
            .schema_type(Type::String)
            .content_media_type("application/octet-stream");
        let form = ObjectBuilder::new()
            .property(json, Ref::from_schema_name(T::name()))
            .required(json)
            .property(file, octets)
            .required(file);
        let encoding = Encoding::builder().content_type(Some(JSON.to_owned())).build();
        let content =
            ContentBuilder::new().schema(Some(form.build())).encoding(json, encoding).build();
        self.body = Some(request_body("multipart/form-data", content, Required::True, about));
        self
    }

    /// Answers with this type as JSON. `example` names an entry of `examples.json`.
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

    /// The last answer may also be of this media type.
    pub(super) fn or(mut self, media: &'static str, schema: Schema) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.body.push((media, schema.into()));
        }
        self
    }

    /// Answers with a body that has no example, or with none.
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

    /// Adds headers to the last answer.
    pub(super) fn with(mut self, headers: impl IntoIterator<Item = Named>) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.extend(headers);
        }
        self
    }

    /// Adds links from the version at this place of the last answer to the operations on a version.
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

    /// The last answer has an `ETag`; adds 304, 412 and the request headers for them.
    pub(super) fn conditional(self) -> Self {
        let tagged = || [headers::etag(), headers::cache_control()];
        self.with(tagged())
            .parameter(super::operations::if_none_match())
            .parameter(super::operations::if_match())
            .errors(&[ErrorKind::PreconditionFailed])
            .raw(304, "The client already has this answer.", None)
            .with(tagged())
    }

    /// The document also describes `HEAD`.
    pub(super) fn also_head(mut self) -> Self {
        self.head = true;
        self
    }

    /// Whether the document also describes `HEAD`.
    #[must_use]
    pub fn describes_head(&self) -> bool {
        self.head
    }

    /// Adds errors that are this operation's own.
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
            // `/ready` has a 503 of its own.
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
            if head { format!("{}: headers only", self.summary) } else { self.summary.to_owned() };
        let about = match scope {
            Some(scope) => format!("{} Requires a token with `{scope}`.", self.about),
            None => self.about.to_owned(),
        };
        let mut operation = OperationBuilder::new()
            .tag(self.tag)
            .operation_id(Some(id))
            .summary(Some(summary))
            .description(Some(about))
            .parameters((!parameters.is_empty()).then_some(parameters))
            .request_body(self.body);
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

fn request_body(
    media: &str,
    content: Content,
    required: Required,
    about: &'static str,
) -> RequestBody {
    RequestBodyBuilder::new()
        .description(Some(about))
        .content(media, content)
        .required(Some(required))
        .build()
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
        let example = example.clone().filter(|_| media == JSON);
        let content = ContentBuilder::new().schema(Some(schema)).example(example);
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

/// The errors of one status: described in words, as codes for programs (`x-error-codes`), and by examples, of this
/// operation where there are any.
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
        let about = "The size of the artifact: `bytes */<size>`.";
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

/// The meaning of a kind of error.
fn meaning(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unauthenticated => "no `Authorization` header, or not Bearer",
        ErrorKind::InvalidToken => "the token is unknown, expired or badly signed",
        ErrorKind::InsufficientScope => "the token does not have the route's scope",
        ErrorKind::ModelNotFound => "no such type or version, or no version in production",
        ErrorKind::NotFound => "no such route",
        ErrorKind::MethodNotAllowed => {
            "the path does not have this method; `Allow` lists its methods"
        }
        ErrorKind::RangeNotSatisfiable => "the range lies outside the artifact",
        ErrorKind::MisdirectedRequest => {
            "the request names a host that this service does not serve"
        }
        ErrorKind::PreconditionFailed => "`If-Match` does not name the current state",
        ErrorKind::MalformedRequest => "the request is not HTTP/1.1 as RFC 9112 defines it",
        ErrorKind::RequestTimeout => "the request did not arrive in time",
        ErrorKind::UriTooLong => "the request line is longer than allowed",
        ErrorKind::HeadersTooLarge => "the request's head is larger than allowed",
        ErrorKind::ClientGone => "the client closed its connection before it was answered",
        ErrorKind::InvalidRequest => {
            "a parameter or field has an invalid value or name; `detail` says which"
        }
        ErrorKind::TooLarge => "the request's body is larger than allowed",
        ErrorKind::MissingRequiredFields => "parameters that the type requires are missing",
        ErrorKind::InvalidDatasetVersion => {
            "no data set versions, or one without a name or a number"
        }
        ErrorKind::InvalidSnapshot => "no snapshot is given",
        ErrorKind::VersionExists => "the version number was used before",
        ErrorKind::VersionCollected => {
            "the version's files were removed; its history and what the catalog knows of it stay"
        }
        ErrorKind::InvalidTransition => "the version's status does not allow this change",
        ErrorKind::RestoreUnderWay => "another process is restoring the registry",
        ErrorKind::PromotionGateFailed => {
            "a metric is below its gate, or approvals are missing; `detail` lists all of them"
        }
        ErrorKind::ChecksumMismatch => {
            "a file does not have the recorded hash; `detail` lists every error"
        }
        ErrorKind::IntegrityOnRead => {
            "a file does not have the recorded hash, or manifest and catalog disagree"
        }
        ErrorKind::ValidationFailed => {
            "the files are intact, but the artifact would not load, or loading it would run code; `detail` lists every error"
        }
        ErrorKind::RegistryLocked => "another process is changing the registry",
        ErrorKind::RegistryUnavailable => {
            "the catalog, the disk or the identity provider does not answer"
        }
        ErrorKind::Overloaded => "too many requests are in progress",
        ErrorKind::Internal => "an unexpected error; the log has its cause under the request id",
    }
}

/// The schema of a binary body, as client generators know it.
pub(super) fn bytes() -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
        .build()
        .into()
}

/// The schema of text.
pub(super) fn text() -> Schema {
    ObjectBuilder::new().schema_type(Type::String).build().into()
}
