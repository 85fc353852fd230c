//! Retention: which versions' files are no longer kept.

use std::collections::{BTreeMap, HashMap, HashSet};

use time::Duration;

use super::{ModelId, ModelType, Status, Timestamp, VersionRecord, policy::Retention};

/// A version whose files are no longer kept, and since when its time runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// The version.
    pub record: VersionRecord,
    /// The time from which its days are counted.
    pub since: Timestamp,
    /// The days for which it was kept.
    pub days: u32,
}

impl Expired {
    /// Why it is not kept, for the history.
    #[must_use]
    pub fn reason(&self) -> String {
        format!("{} since {}, kept for {} days", self.record.status, self.since, self.days)
    }
}

/// The rules of one collection.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The days for which versions are kept.
    pub retention: Retention,
    /// How many of the newest versions of each type are kept, however old they are.
    pub newest: u32,
    /// The present time.
    pub now: Timestamp,
}

/// What is known of the versions beside their rows.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// When each failed version was marked so.
    pub failed_at: HashMap<ModelId, Timestamp>,
    /// The versions to which a rollback would return.
    pub rollback_targets: HashSet<ModelId>,
}

/// The versions whose files are no longer kept, oldest first.
#[must_use]
pub fn expired(records: Vec<VersionRecord>, facts: &Facts, rules: Rules) -> Vec<Expired> {
    let mut here: Vec<_> = records.into_iter().filter(|it| it.collected.is_none()).collect();
    here.sort_by_key(|record| std::cmp::Reverse((record.created_at, record.model_id)));
    let mut newer: BTreeMap<ModelType, u32> = BTreeMap::new();
    let mut found = Vec::new();
    for record in here {
        let newer = newer.entry(record.model_type.clone()).or_default();
        let is_new = *newer < rules.newest;
        *newer = newer.saturating_add(1);
        if !is_new && !facts.rollback_targets.contains(&record.model_id) {
            found.extend(expiry(record, facts, rules));
        }
    }
    found.reverse();
    found
}

/// The expiry of one version; `None` where it is kept.
fn expiry(record: VersionRecord, facts: &Facts, rules: Rules) -> Option<Expired> {
    let Retention { staged_days, archived_days } = rules.retention;
    let archived = record.archived_at.unwrap_or(record.created_at);
    let (since, days) = match record.status {
        Status::Production => return None,
        Status::Staged => (record.created_at, staged_days),
        Status::Archived => (archived, archived_days),
        Status::Failed => {
            (facts.failed_at.get(&record.model_id).copied().unwrap_or(archived), archived_days)
        }
    };
    let age = rules.now.instant() - since.instant();
    (age >= Duration::days(i64::from(days))).then_some(Expired { record, since, days })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ArtifactFile, Collected, Sha256Digest, Version};

    fn at(day: u32) -> Timestamp {
        let first = Timestamp::parse("2026-01-01T08:00:00Z").expect("time").instant();
        Timestamp::new(first + Duration::days(i64::from(day))).expect("time")
    }

    fn record(version: &str, status: Status, day: u32) -> VersionRecord {
        VersionRecord {
            model_id: ModelId::random(),
            model_type: ModelType::parse("risk_model").expect("type"),
            version: Version::parse(version).expect("version"),
            status,
            artifact_file: ArtifactFile::parse("model.pkl").expect("name"),
            artifact_size_bytes: 3,
            total_size_bytes: 9,
            checksum_sha256: Sha256Digest::of(b"artifact"),
            metadata_sha256: Sha256Digest::of(b"metadata"),
            config_hash: Sha256Digest::of(b"config"),
            snapshot_id: "snap".to_owned(),
            dataset_version_ids: [("crsp".to_owned(), "v1".to_owned())].into(),
            created_at: at(day),
            promoted_at: None,
            archived_at: None,
            check: None,
            collected: None,
        }
    }

    fn rules(staged_days: u32, archived_days: u32, newest: u32, day: u32) -> Rules {
        Rules { retention: Retention { staged_days, archived_days }, newest, now: at(day) }
    }

    fn names(found: &[Expired]) -> Vec<String> {
        found.iter().map(|it| it.record.version.to_string()).collect()
    }

    #[test]
    fn each_status_has_its_own_time_and_production_none() {
        let archived =
            VersionRecord { archived_at: Some(at(20)), ..record("v1.1.0", Status::Archived, 0) };
        let failed = record("v1.2.0", Status::Failed, 1);
        let facts = Facts { failed_at: [(failed.model_id, at(30))].into(), ..Facts::default() };
        let all = vec![
            record("v1.0.0", Status::Production, 0),
            archived,
            failed,
            record("v1.3.0", Status::Staged, 40),
        ];
        let on = |day, staged, archived| {
            names(&expired(all.clone(), &facts, rules(staged, archived, 0, day)))
        };
        assert_eq!(on(49, 10, 30), Vec::<String>::new());
        assert_eq!(on(50, 10, 30), ["v1.1.0", "v1.3.0"]);
        assert_eq!(on(60, 30, 30), ["v1.1.0", "v1.2.0"]);
        // 0 is a value.
        assert_eq!(on(40, 0, 90), ["v1.3.0"]);
    }

    #[test]
    fn the_newest_the_rollback_target_and_what_is_collected_are_left_alone() {
        let collected = Some(Collected { collected_at: at(1), bytes_freed: 9 });
        let all = vec![
            VersionRecord { collected, ..record("v1.0.0", Status::Staged, 0) },
            record("v1.1.0", Status::Staged, 1),
            record("v1.2.0", Status::Archived, 2),
            record("v1.3.0", Status::Staged, 3),
        ];
        let facts = Facts { rollback_targets: [all[2].model_id].into(), ..Facts::default() };
        let left = |newest| names(&expired(all.clone(), &facts, rules(0, 0, newest, 50)));
        assert_eq!(left(0), ["v1.1.0", "v1.3.0"]);
        assert_eq!(left(1), ["v1.1.0"]);
        assert_eq!(left(2), ["v1.1.0"]);
        assert_eq!(left(3), Vec::<String>::new());
    }
}
