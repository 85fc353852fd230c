//! The rules of a model registry, without actors, database, files or clock.
//!
//! Everything here is a value or a pure function of values; times, files and rows are inputs. A type that only
//! `parse` can make always holds a valid value.

pub mod artifact_file;
pub mod backup;
pub mod canonical_json;
pub mod check;
pub mod compatibility;
pub mod digest;
pub mod gates;
pub mod history;
pub mod json_text;
pub mod layout2;
pub mod log;
pub mod manifest;
pub mod metadata;
pub mod model_type;
pub mod policy;
pub mod record;
pub mod registration;
pub mod retention;
pub mod scope;
pub mod status;
pub mod text;
pub mod timeline;
pub mod timestamp;
pub mod version;

pub use artifact_file::ArtifactFile;
pub use check::{Collected, LoadCheck, Verdict};
pub use digest::Sha256Digest;
pub use metadata::Metadata;
pub use model_type::ModelType;
pub use policy::Policy;
pub use record::{ModelId, VersionRecord};
pub use scope::Scope;
pub use status::Status;
pub use timestamp::Timestamp;
pub use version::Version;

/// Implements `Serialize` as the type's `Display` and `Deserialize` as its `parse`, so that values from JSON pass the
/// same checks as values from a command line.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text =
                    <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                <$type>::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;
