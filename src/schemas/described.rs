//! JSON Schemas of the domain's values for the OpenAPI document. They state the rules of the values' `parse`.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        KnownFormat, Object, ObjectBuilder, RefOr, Schema, SchemaFormat, Type,
        schema::{AdditionalProperties, SchemaType},
    },
};

use crate::domain::{ModelId, ModelType, Sha256Digest, Status, Timestamp, Version, log::Action};

/// The longest version: three numbers of 64 bits, two dots and the `v`.
const VERSION_LENGTH: usize = 63;

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

impl PartialSchema for ModelType {
    fn schema() -> RefOr<Schema> {
        text("A model type. `risk_model`, `alpha_weights`, `factor_definitions` and `feature_transforms` are built in; the registry's policy adds others.")
            .pattern(Some("^[a-z][a-z0-9_]{0,62}$"))
            .min_length(Some(1))
            .max_length(Some(63))
            .into()
    }
}

impl PartialSchema for Version {
    fn schema() -> RefOr<Schema> {
        text("A version number, `v<major>.<minor>.<patch>`, without leading zeros. Each part fits in 64 bits.")
            .pattern(Some(r"^v(0|[1-9][0-9]{0,19})\.(0|[1-9][0-9]{0,19})\.(0|[1-9][0-9]{0,19})$"))
            .min_length(Some(6))
            .max_length(Some(VERSION_LENGTH))
            .into()
    }
}

impl PartialSchema for Sha256Digest {
    fn schema() -> RefOr<Schema> {
        text("A SHA-256 digest in lower-case hexadecimal.").pattern(Some("^[0-9a-f]{64}$")).into()
    }
}

impl PartialSchema for ModelId {
    fn schema() -> RefOr<Schema> {
        text("The id of a version.").format(Some(SchemaFormat::Custom("uuid".to_owned()))).into()
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        text("A time in UTC with microseconds, in the format of RFC 3339.")
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .pattern(Some(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$"))
            .into()
    }
}

impl PartialSchema for Status {
    fn schema() -> RefOr<Schema> {
        text("The status of a version. A new version is staged. Promotion moves it to production and archives the version before it. Rollback moves it back to staged. A failed version is never promoted.")
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
    parameters_builder().build()
}

fn parameters_builder() -> ObjectBuilder {
    object("The model's parameters: any JSON. Numbers keep their text (`48.0` stays `48.0`).")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
}

/// `config`.
pub fn config() -> Object {
    config_builder().build()
}

fn config_builder() -> ObjectBuilder {
    object("The training configuration: any JSON. Numbers keep their text.")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
}

/// `metrics`.
pub fn metrics() -> Object {
    metrics_builder().build()
}

fn metrics_builder() -> ObjectBuilder {
    let number = ObjectBuilder::new().schema_type(SchemaType::new(Type::Number));
    object("The metrics of the model's evaluation. Numbers keep their text.")
        .additional_properties(Some(number))
}

fn or_null(object: ObjectBuilder) -> Object {
    object.schema_type(SchemaType::from_iter([Type::Object, Type::Null])).build()
}

/// `parameters` in a list.
pub fn parameters_or_null() -> Object {
    or_null(parameters_builder())
}

/// `config` in a list.
pub fn config_or_null() -> Object {
    or_null(config_builder())
}

/// `metrics` in a list.
pub fn metrics_or_null() -> Object {
    or_null(metrics_builder())
}

/// `integrity` in a list.
pub fn integrity() -> Object {
    text("`ok`, or `CHECKSUM_MISMATCH` if the version's metadata file is damaged.")
        .enum_values(Some(["ok", "CHECKSUM_MISMATCH"]))
        .build()
}

/// `integrity` where a damaged version has an error for an answer.
pub fn intact() -> Object {
    text("Always `ok`: damaged metadata is answered with 503.").enum_values(Some(["ok"])).build()
}

/// `id` of a change.
pub fn change_id() -> Object {
    text("The id of the change.").format(Some(SchemaFormat::Custom("uuid".to_owned()))).build()
}

/// `action` of a change.
pub fn action() -> Object {
    text("What was done. Further actions may be added.")
        .enum_values(Some(Action::ALL.map(Action::as_str)))
        .build()
}

/// `aliases` of a type.
pub fn aliases() -> Object {
    object("The versions that aliases name, by alias. There are no aliases yet.")
        .additional_properties(Some(text("A version.")))
        .build()
}
