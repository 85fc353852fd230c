//! The domain's values as JSON Schema, for the OpenAPI document: the rules that their `parse` holds to.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        KnownFormat, Object, ObjectBuilder, RefOr, Schema, SchemaFormat, Type,
        schema::{AdditionalProperties, SchemaType},
    },
};

use crate::domain::{ModelId, ModelType, Sha256Digest, Status, Timestamp, Version};

/// Longest version: three numbers of 64 bits, two dots and the `v`.
const VERSION_LENGTH: usize = 63;

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

impl PartialSchema for ModelType {
    fn schema() -> RefOr<Schema> {
        text("A type of models. `risk_model`, `alpha_weights`, `factor_definitions` and `feature_transforms` are known from the start, further ones by the registry's policy.")
            .pattern(Some("^[a-z][a-z0-9_]{0,62}$"))
            .min_length(Some(1))
            .max_length(Some(63))
            .into()
    }
}

impl PartialSchema for Version {
    fn schema() -> RefOr<Schema> {
        text("A version's number, `v<major>.<minor>.<patch>`, without leading zeros; each part fits 64 bits.")
            .pattern(Some(r"^v(0|[1-9][0-9]{0,19})\.(0|[1-9][0-9]{0,19})\.(0|[1-9][0-9]{0,19})$"))
            .min_length(Some(6))
            .max_length(Some(VERSION_LENGTH))
            .into()
    }
}

impl PartialSchema for Sha256Digest {
    fn schema() -> RefOr<Schema> {
        text("A SHA-256 in lower-case hexadecimal.").pattern(Some("^[0-9a-f]{64}$")).into()
    }
}

impl PartialSchema for ModelId {
    fn schema() -> RefOr<Schema> {
        text("A version's identifier.").format(Some(SchemaFormat::Custom("uuid".to_owned()))).into()
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        text("An instant in UTC to the microsecond, as RFC 3339 writes it.")
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .pattern(Some(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$"))
            .into()
    }
}

impl PartialSchema for Status {
    fn schema() -> RefOr<Schema> {
        text("Where a version stands in its life. A new one is staged; promotion moves it to production and archives the one before; rollback moves it back to staged; a failed one is never promoted.")
            .enum_values(Some(Status::ALL.map(Status::as_str)))
            .into()
    }
}

impl ToSchema for ModelType {}
impl ToSchema for Version {}
impl ToSchema for Sha256Digest {}
impl ToSchema for ModelId {}
impl ToSchema for Timestamp {}
impl ToSchema for Status {
    fn name() -> std::borrow::Cow<'static, str> {
        "ModelStatus".into()
    }
}

fn object(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Object).description(Some(description))
}

/// `parameters`.
pub fn parameters() -> Object {
    object("Its hyper-parameters: any JSON, numbers as they were registered (`48.0` stays `48.0`).")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .build()
}

/// `config`.
pub fn config() -> Object {
    object("How it was trained: any JSON, numbers as they were registered.")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
        .build()
}

/// `metrics`.
pub fn metrics() -> Object {
    let number = ObjectBuilder::new().schema_type(SchemaType::new(Type::Number));
    object("Numbers that its evaluation gave, as they were registered.")
        .additional_properties(Some(number))
        .build()
}
