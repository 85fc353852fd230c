//! What can be asked of the history, and the answers.

use std::collections::BTreeMap;

use crate::domain::{
    ModelId, ModelType, Status, Timestamp, Version,
    log::{Action, Entry},
};

/// The entries of the log that are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Only entries about this type.
    pub model_type: Option<ModelType>,
    /// Only entries whose stated author or authenticated principal is this.
    pub by: Option<String>,
    /// Only entries of this action.
    pub action: Option<Action>,
    /// Only entries behind this position of the log; from the first entry where `None`.
    pub after: Option<u64>,
    /// The most entries to return.
    pub limit: u32,
}

impl HistoryFilter {
    /// Whether an entry is asked for. Position and number are not looked at.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        let said = &entry.said;
        let of_type = self.model_type.as_ref().is_none_or(|wanted| {
            said.subject.as_ref().is_some_and(|subject| subject.model_type == *wanted)
        });
        let by = self.by.as_deref().is_none_or(|wanted| {
            said.actor == wanted || said.authenticated_as.as_deref() == Some(wanted)
        });
        of_type && by && self.action.is_none_or(|wanted| said.action == wanted)
    }
}

/// Entries of the log, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryPage {
    /// The entries.
    pub entries: Vec<Entry>,
    /// The position behind which the next page begins; `None` where there is no further entry.
    pub next: Option<u64>,
}

/// A place in the order of time: a time, and among entries of the same time a position of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The time.
    pub time: Timestamp,
    /// The position.
    pub sequence: u64,
}

impl Moment {
    /// The moment of an entry.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        Self { time: entry.said.time, sequence: entry.sequence }
    }
}

/// What the catalog holds of one type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeSummary {
    /// The number of versions in each status; a status without versions is not in it.
    pub versions: BTreeMap<Status, u64>,
    /// The version in production.
    pub production: Option<InProduction>,
}

/// The version in production, and the entry that put it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InProduction {
    /// The model id.
    pub model_id: ModelId,
    /// The version.
    pub version: Version,
    /// The entry; `None` where the log lacks it.
    pub entered: Option<Entry>,
}
