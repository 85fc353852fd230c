//! `Entry`: one transition or change as the log records it.
//!
//! The hash of an entry covers its canonical JSON (see [`super::super::canonical_json`]): an object with exactly the
//! members of [`Entry::canonical`]; absent values are `null`. The set of members never changes, because old entries
//! must keep their hashes. New facts go into `detail`.

use std::{collections::BTreeMap, fmt};

use uuid::Uuid;

use crate::domain::{
    ModelId, ModelType, Sha256Digest, Status, Timestamp, Version, VersionRecord,
    canonical_json::Members, history::Transition, log::tree, serde_as_text, status::Action as Step,
};

/// The most bytes of an entry's canonical JSON: the limit of an entry bundle of C2SP tlog-tiles.
pub const MAX_ENTRY_BYTES: usize = u16::MAX as usize;

/// The action that an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A version was registered.
    Register,
    /// A transition was imported from another registry.
    Import,
    /// A version entered production by promotion.
    Promote,
    /// A version left production because another was promoted.
    Archive,
    /// A version returned to production by a rollback.
    Restore,
    /// A version left production because another was restored.
    Demote,
    /// A version was marked failed, which bars it from production.
    Fail,
    /// The registry was upgraded from another layout.
    Upgrade,
    /// A version's files were removed.
    Collect,
    /// The times of the log follow the clock again, which is behind the last change.
    ResetClock,
    /// The registry was replaced by a backup. (The word `restore` is a version's return to production.)
    RestoreBackup,
}

/// The text is not an action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an action that this program logs")]
pub struct UnknownAction;

impl Action {
    /// Every action.
    pub const ALL: [Self; 11] = [
        Self::Register,
        Self::Import,
        Self::Promote,
        Self::Archive,
        Self::Restore,
        Self::Demote,
        Self::Fail,
        Self::Upgrade,
        Self::Collect,
        Self::ResetClock,
        Self::RestoreBackup,
    ];

    /// The action's name in entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Import => "import",
            Self::Promote => "promote",
            Self::Archive => "archive",
            Self::Restore => "restore",
            Self::Demote => "demote",
            Self::Fail => "fail",
            Self::Upgrade => "upgrade",
            Self::Collect => "collect",
            Self::ResetClock => "reset_clock",
            Self::RestoreBackup => "restore_backup",
        }
    }

    /// Parses an action's name.
    ///
    /// # Errors
    /// [`UnknownAction`].
    pub fn parse(text: &str) -> Result<Self, UnknownAction> {
        Self::ALL.into_iter().find(|action| action.as_str() == text).ok_or(UnknownAction)
    }
}

serde_as_text!(Action);

impl From<Step> for Action {
    fn from(step: Step) -> Self {
        match step {
            Step::Promote => Self::Promote,
            Step::Archive => Self::Archive,
            Step::Restore => Self::Restore,
            Step::Demote => Self::Demote,
            Step::Fail => Self::Fail,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The version that an entry is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The model id.
    pub model_id: ModelId,
    /// The model type.
    pub model_type: ModelType,
    /// The version number.
    pub version: Version,
}

impl Subject {
    /// The version that a row describes.
    #[must_use]
    pub fn of(record: &VersionRecord) -> Self {
        Self {
            model_id: record.model_id,
            model_type: record.model_type.clone(),
            version: record.version,
        }
    }
}

/// An entry without a position in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The entry's own identifier.
    pub id: Uuid,
    /// The time of the change.
    pub time: Timestamp,
    /// The stated author of the change.
    pub actor: String,
    /// The authenticated principal; `None` where it is not known, for example for imported history.
    pub authenticated_as: Option<String>,
    /// The action.
    pub action: Action,
    /// The version; `None` where the entry is about a type or the registry.
    pub subject: Option<Subject>,
    /// The version's status before.
    pub from_status: Option<Status>,
    /// The version's status after; `None` where its status did not change.
    pub to_status: Option<Status>,
    /// The reason for the change.
    pub reason: Option<String>,
    /// Whether the promotion gates were skipped.
    pub gates_skipped: bool,
    /// More facts about the action.
    pub detail: Option<BTreeMap<String, String>>,
    /// The digest of the version's row after the change ([`state_sha256`]); `None` where the row did not change, or
    /// where its state at that time is not known.
    pub state_sha256: Option<Sha256Digest>,
}

/// An entry at its position in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The position, from 0, without gaps.
    pub sequence: u64,
    /// The content of the entry.
    pub said: Draft,
}

impl Entry {
    /// The text that is hashed.
    #[must_use]
    pub fn canonical(&self) -> String {
        let said = &self.said;
        let subject = said.subject.as_ref();
        let text = |text: &dyn fmt::Display| text.to_string();
        Members::new()
            .text("action", Some(said.action.as_str()))
            .text("actor", Some(&said.actor))
            .text("authenticated_as", said.authenticated_as.as_deref())
            .texts("detail", said.detail.as_ref())
            .text("from_status", said.from_status.map(Status::as_str))
            .boolean("gates_skipped", said.gates_skipped)
            .text("id", Some(&text(&said.id)))
            .text("model_id", subject.map(|it| text(&it.model_id)).as_deref())
            .text("model_type", subject.map(|it| it.model_type.as_str()))
            .text("reason", said.reason.as_deref())
            .integer("sequence", self.sequence)
            .text("state_sha256", said.state_sha256.map(|it| text(&it)).as_deref())
            .text("time", Some(&text(&said.time)))
            .text("to_status", said.to_status.map(Status::as_str))
            .text("version", subject.map(|it| text(&it.version)).as_deref())
            .end()
    }

    /// The hash of the entry's leaf.
    #[must_use]
    pub fn leaf_sha256(&self) -> Sha256Digest {
        tree::leaf_hash(self.canonical().as_bytes())
    }

    /// The entry as a step of a version's history; `None` where it is not a transition of a version.
    #[must_use]
    pub fn into_transition(self) -> Option<Transition> {
        let Draft {
            id,
            time,
            actor,
            authenticated_as,
            subject,
            from_status,
            to_status,
            reason,
            gates_skipped,
            ..
        } = self.said;
        let Subject { model_id, model_type, version } = subject?;
        Some(Transition {
            transition_id: id,
            model_id,
            model_type,
            version,
            from_status,
            to_status: to_status?,
            changed_at: time,
            changed_by: actor,
            authenticated_as,
            reason,
            gates_skipped,
        })
    }
}

/// The digest of a version's row: the SHA-256 of the canonical JSON of exactly these fields. Columns that are added
/// to the row later are left out, so that the digests of old rows stay valid.
#[must_use]
pub fn state_sha256(record: &VersionRecord) -> Sha256Digest {
    let text = |text: &dyn fmt::Display| text.to_string();
    let json = Members::new()
        .text("archived_at", record.archived_at.map(|at| text(&at)).as_deref())
        .text("artifact_file", Some(record.artifact_file.as_str()))
        .integer("artifact_size_bytes", record.artifact_size_bytes)
        .text("checksum_sha256", Some(&text(&record.checksum_sha256)))
        .text("config_hash", Some(&text(&record.config_hash)))
        .text("created_at", Some(&text(&record.created_at)))
        .texts("dataset_version_ids", Some(&record.dataset_version_ids))
        .text("metadata_sha256", Some(&text(&record.metadata_sha256)))
        .text("model_id", Some(&text(&record.model_id)))
        .text("model_type", Some(record.model_type.as_str()))
        .text("promoted_at", record.promoted_at.map(|at| text(&at)).as_deref())
        .text("snapshot_id", Some(&record.snapshot_id))
        .text("status", Some(record.status.as_str()))
        .integer("total_size_bytes", record.total_size_bytes)
        .text("version", Some(&text(&record.version)))
        .end();
    Sha256Digest::of(json.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ArtifactFile, canonical_json};

    fn record() -> VersionRecord {
        VersionRecord {
            model_id: ModelId::parse("3f9ffe7c-8e6b-47ad-acc0-ff2e1247a7ae").expect("id"),
            model_type: ModelType::parse("risk_model").expect("type"),
            version: Version::parse("v1.2.0").expect("version"),
            status: Status::Production,
            artifact_file: ArtifactFile::parse("model.pkl").expect("name"),
            artifact_size_bytes: 3,
            total_size_bytes: 9,
            checksum_sha256: Sha256Digest::of(b"artifact"),
            metadata_sha256: Sha256Digest::of(b"metadata"),
            config_hash: Sha256Digest::of(b"config"),
            snapshot_id: "snap \"é\"".to_owned(),
            dataset_version_ids: [("crsp".to_owned(), "v1".to_owned())].into(),
            created_at: Timestamp::parse("2026-11-14T08:03:36Z").expect("time"),
            promoted_at: Some(Timestamp::parse("2026-11-15T08:03:36.000001Z").expect("time")),
            archived_at: None,
            check: None,
            collected: None,
        }
    }

    fn entry() -> Entry {
        let record = record();
        Entry {
            sequence: 7,
            said: Draft {
                id: Uuid::from_bytes([7; 16]),
                time: Timestamp::parse("2026-11-15T08:03:36.000001Z").expect("time"),
                actor: "alice".to_owned(),
                authenticated_as: Some("svc".to_owned()),
                action: Action::Promote,
                subject: Some(Subject::of(&record)),
                from_status: Some(Status::Staged),
                to_status: Some(Status::Production),
                reason: Some("é \u{1F600}\n".to_owned()),
                gates_skipped: true,
                detail: None,
                state_sha256: Some(state_sha256(&record)),
            },
        }
    }

    /// If a digest changes, every existing registry fails verification.
    #[test]
    fn the_digest_of_a_row_and_the_leaf_of_an_entry_never_change() {
        assert_eq!(
            state_sha256(&record()).to_string(),
            "47281c46e4c0fb812fce3e232469d9c4b3c57bff5060fedaac8e7412e8cbd129"
        );
        assert_eq!(
            entry().canonical(),
            r#"{"action":"promote","actor":"alice","authenticated_as":"svc","detail":null,"from_status":"staged","gates_skipped":true,"id":"07070707-0707-0707-0707-070707070707","model_id":"3f9ffe7c-8e6b-47ad-acc0-ff2e1247a7ae","model_type":"risk_model","reason":"\u00e9 \ud83d\ude00\n","sequence":7,"state_sha256":"47281c46e4c0fb812fce3e232469d9c4b3c57bff5060fedaac8e7412e8cbd129","time":"2026-11-15T08:03:36.000001Z","to_status":"production","version":"v1.2.0"}"#
        );
        assert_eq!(
            entry().leaf_sha256().to_string(),
            "f6816872356a54118ba09f0d98c324a5ac94bd1278ff468a93a1b7d680499f09"
        );
    }

    #[test]
    fn the_text_that_is_hashed_is_canonical_json() {
        let text = entry().canonical();
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(canonical_json::to_string(&value).expect("finite"), text);
    }
}
