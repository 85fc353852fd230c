//! A version's history as the API tells it: who moved it from which status to which, when and why.

use uuid::Uuid;

use super::{ModelId, ModelType, Status, Timestamp, Version};

/// One step of a version's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The step's own identifier.
    pub transition_id: Uuid,
    /// The version that moved.
    pub model_id: ModelId,
    /// Its type.
    pub model_type: ModelType,
    /// Its number.
    pub version: Version,
    /// The status before; `None` at registration.
    pub from_status: Option<Status>,
    /// The status after.
    pub to_status: Status,
    /// When.
    pub changed_at: Timestamp,
    /// Who asked for it.
    pub changed_by: String,
    /// Why, where a reason was given.
    pub reason: Option<String>,
    /// Whether the promotion gates were skipped.
    pub gates_skipped: bool,
}
