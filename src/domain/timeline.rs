//! What was in production when, from the entries of the log.

use std::collections::HashSet;

use super::{ModelId, Status, Timestamp, Version, log::Entry};

/// A time during which a version was in production.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// The model id.
    pub model_id: ModelId,
    /// The version.
    pub version: Version,
    /// The entry that put it into production.
    pub entered: Entry,
    /// The time at which it left production; `None` while it is there.
    pub until: Option<Timestamp>,
}

/// Whether an entry puts its version into production.
#[must_use]
pub fn enters(entry: &Entry) -> bool {
    entry.said.to_status == Some(Status::Production)
        && entry.said.from_status != Some(Status::Production)
}

/// Whether an entry takes its version out of production.
#[must_use]
pub fn leaves(entry: &Entry) -> bool {
    entry.said.from_status == Some(Status::Production)
        && entry.said.to_status.is_some_and(|status| status != Status::Production)
}

/// The periods that begin in these entries, in their order. A period whose end is not among the entries has none.
#[must_use]
pub fn periods<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<Period> {
    let mut found: Vec<Period> = Vec::new();
    for entry in entries {
        let Some(subject) = &entry.said.subject else { continue };
        if enters(entry) {
            found.push(Period {
                model_id: subject.model_id,
                version: subject.version,
                entered: entry.clone(),
                until: None,
            });
        } else if leaves(entry) {
            let of_version = |period: &&mut Period| {
                period.model_id == subject.model_id && period.until.is_none()
            };
            if let Some(period) = found.iter_mut().rev().find(of_version) {
                period.until = Some(entry.said.time);
            }
        }
    }
    found
}

/// Walks back through the entries of a type, the latest first, until it finds the version in production.
///
/// The last entry that puts a version into production does not decide alone: an imported history may record that a
/// version left production without another one, or a little after the next one entered it.
#[derive(Debug, Default)]
pub struct WalkBack {
    gone: HashSet<ModelId>,
}

impl WalkBack {
    /// Whether this entry put the version into production that is still there at the walk's start.
    pub fn finds(&mut self, entry: &Entry) -> bool {
        let Some(subject) = &entry.said.subject else { return false };
        if leaves(entry) {
            self.gone.insert(subject.model_id);
        }
        enters(entry) && !self.gone.contains(&subject.model_id)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        ModelType,
        log::{Action, Draft, Subject},
    };

    fn id(version: u64) -> ModelId {
        ModelId::parse(&format!("00000000-0000-4000-8000-{version:012}")).unwrap()
    }

    /// A history of one type: version, second, from, to.
    fn entries(steps: &[(u64, u32, Status, Status)]) -> Vec<Entry> {
        let entry =
            |(sequence, (version, second, from, to)): (usize, &(u64, u32, Status, Status))| {
                let subject = Subject {
                    model_id: id(*version),
                    model_type: ModelType::parse("risk_model").unwrap(),
                    version: Version::parse(&format!("v{version}.0.0")).unwrap(),
                };
                let said = Draft {
                    id: Uuid::nil(),
                    time: Timestamp::parse(&format!("2026-11-23T08:00:{second:02}Z")).unwrap(),
                    actor: "alice".to_owned(),
                    authenticated_as: None,
                    action: Action::Import,
                    subject: Some(subject),
                    from_status: Some(*from),
                    to_status: Some(*to),
                    reason: None,
                    gates_skipped: false,
                    detail: None,
                    state_sha256: None,
                };
                Entry { sequence: sequence as u64, said }
            };
        steps.iter().enumerate().map(entry).collect()
    }

    fn at_the_end(entries: &[Entry]) -> Option<String> {
        let mut walk = WalkBack::default();
        let found = entries.iter().rev().find(|entry| walk.finds(entry))?;
        Some(found.said.subject.as_ref()?.version.to_string())
    }

    use Status::{Archived, Production, Staged};

    #[test]
    fn a_period_ends_when_its_own_version_leaves() {
        let log = entries(&[
            (1, 1, Staged, Production),
            (1, 2, Production, Archived),
            (2, 2, Staged, Production),
            (2, 3, Production, Staged),
            (1, 3, Archived, Production),
        ]);
        let periods: Vec<_> = periods(&log)
            .into_iter()
            .map(|period| {
                let second = |time: Timestamp| time.to_string()[17..19].to_owned();
                (
                    period.version.to_string(),
                    second(period.entered.said.time),
                    period.until.map(second),
                )
            })
            .collect();
        let period = |version: &str, since: &str, until: Option<&str>| {
            (version.to_owned(), since.to_owned(), until.map(ToOwned::to_owned))
        };
        assert_eq!(
            periods,
            [
                period("v1.0.0", "01", Some("02")),
                period("v2.0.0", "02", Some("03")),
                period("v1.0.0", "03", None),
            ]
        );
    }

    #[test]
    fn the_version_in_production_is_the_last_that_entered_and_did_not_leave() {
        let mut log = entries(&[(1, 1, Staged, Production)]);
        assert_eq!(at_the_end(&log).as_deref(), Some("v1.0.0"));
        // The archiving of the old version was recorded after the promotion of the new one.
        log = entries(&[
            (1, 1, Staged, Production),
            (2, 2, Staged, Production),
            (1, 3, Production, Archived),
        ]);
        assert_eq!(at_the_end(&log).as_deref(), Some("v2.0.0"));
        // A version left, and none entered.
        log = entries(&[(1, 1, Staged, Production), (1, 2, Production, Archived)]);
        assert_eq!(at_the_end(&log), None);
        assert_eq!(at_the_end(&[]), None);
    }
}
