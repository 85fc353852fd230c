//! A version's history in the API: each transition with its author, time and reason.

use uuid::Uuid;

use super::{ModelId, ModelType, Status, Timestamp, Version};

/// One transition of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The transition's own identifier.
    pub transition_id: Uuid,
    /// The model id.
    pub model_id: ModelId,
    /// The model type.
    pub model_type: ModelType,
    /// The version number.
    pub version: Version,
    /// The status before; `None` at registration.
    pub from_status: Option<Status>,
    /// The status after.
    pub to_status: Status,
    /// The time of the transition.
    pub changed_at: Timestamp,
    /// The author of the transition.
    pub changed_by: String,
    /// The authenticated principal; `None` where it is not known: in a history from before the log.
    pub authenticated_as: Option<String>,
    /// The reason, where one was given.
    pub reason: Option<String>,
    /// Whether the promotion gates were skipped.
    pub gates_skipped: bool,
}
