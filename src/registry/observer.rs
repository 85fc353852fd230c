//! Follows the log, so that a service tells of changes that other processes made, and what is in production.
//!
//! Each entry is counted once. A change of this process has its log line when it is committed (see
//! `change.rs`); here it is only counted.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Registry;
use crate::{
    actors::db::{FindLayout, FindProductions, ReadEntries, ReadRightEdge, ReadRoots},
    catalog::{InProduction, Roots},
    domain::{
        ModelType, Version,
        log::{Action, Draft, Entry},
    },
    error::RegistryError,
    metrics,
};

/// The number of entries that are read at a time.
const PAGE: u32 = 500;

/// How far the log was followed.
#[derive(Debug, Default)]
pub struct Observed {
    state: Mutex<State>,
    /// Held by the one round that runs.
    round: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// The roots at the end of the last round that read everything.
    roots: Option<Roots>,
    /// The number of entries that were told; `None` before the first round.
    told: Option<u64>,
    /// The positions of entries that this process wrote and that were not told yet.
    own: Vec<Range<u64>>,
    /// The position from which on a change of this process may be writing entries now.
    writing: Option<u64>,
    /// The version of each type in production, and since when, in seconds since 1970.
    production: BTreeMap<ModelType, (Version, Option<i64>)>,
    /// A version that left production, and whose successor is the next entry.
    leaving: Option<(ModelType, Version)>,
}

/// A change of this process that may be writing entries. Dropped without [`Self::end`], it has written none, or it is
/// not known whether it has.
#[derive(Debug)]
pub(super) struct OwnChange {
    observed: Arc<Observed>,
    from: u64,
}

impl Observed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces that entries from this position on are of this process. The caller holds the writers' locks.
    pub(super) fn begin(self: &Arc<Self>, from: u64) -> OwnChange {
        self.state().writing = Some(from);
        OwnChange { observed: self.clone(), from }
    }

    /// The version of each type in production, and since when, in seconds since 1970.
    #[must_use]
    pub fn production(&self) -> Vec<metrics::Production> {
        let state = self.state();
        let all = state.production.iter().map(|(model_type, (version, since))| {
            let (model_type, version) = (model_type.to_string(), version.to_string());
            metrics::Production { model_type, version, since: *since }
        });
        all.collect()
    }
}

impl OwnChange {
    /// The change is committed; the log has this many entries now.
    pub(super) fn end(self, log_size: u64) {
        self.observed.state().own.push(self.from..log_size);
    }
}

impl Drop for OwnChange {
    fn drop(&mut self) {
        self.observed.state().writing = None;
    }
}

impl State {
    /// Whether an entry is of this process; `None` where that is not known yet.
    fn is_own(&self, sequence: u64) -> Option<bool> {
        if self.own.iter().any(|own| own.contains(&sequence)) {
            return Some(true);
        }
        if self.writing.is_some_and(|from| sequence >= from) { None } else { Some(false) }
    }

    /// Takes the next entry, and returns what is to be logged of it. `None` where it cannot be told yet.
    fn take(&mut self, entry: &Entry) -> Option<Line> {
        let own = self.is_own(entry.sequence)?;
        self.told = Some(entry.sequence + 1);
        self.own.retain(|own| own.end > entry.sequence + 1);
        let left = self.leaving.take();
        let Draft { action, subject, .. } = &entry.said;
        match (action, subject) {
            (Action::Archive | Action::Demote, Some(it)) => {
                // The line of its successor names it.
                self.leaving = Some((it.model_type.clone(), it.version));
                Some(Line::None)
            }
            // One line says how many were imported.
            (Action::Import, Some(_)) => Some(Line::None),
            _ if own => Some(Line::None),
            (_, subject) => {
                let of_type = |(model_type, _): &(ModelType, _)| {
                    subject.as_ref().is_some_and(|it| it.model_type == *model_type)
                };
                Some(Line::Change { displaced: left.filter(of_type).map(|(_, version)| version) })
            }
        }
    }
}

/// What is logged of an entry.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    None,
    Change { displaced: Option<Version> },
}

/// Reads the entries since the last round, counts them, and logs those of other processes.
///
/// # Errors
/// Errors of the catalog. The next round continues where this one ended.
pub(super) async fn observe(registry: &Registry) -> Result<(), RegistryError> {
    let observed = &registry.observed;
    let Ok(_alone) = observed.round.try_lock() else { return Ok(()) };
    let roots = registry.db.ask(ReadRoots).await?;
    let told = {
        let state = observed.state();
        if state.told.is_some() && state.roots == roots {
            return Ok(());
        }
        state.told
    };
    // A registry of layout 2.0.0 that can only be read has no log.
    if !registry.db.ask(FindLayout).await?.has_log() {
        return Ok(());
    }
    let size = registry.db.ask(ReadRightEdge).await?.size();
    let whole = match told {
        Some(told) if told <= size => tell_from(registry, told).await?,
        Some(told) => {
            tracing::warn!(
                told,
                log_size = size,
                "the log is shorter than it was: the registry was restored from a backup"
            );
            forget_up_to(observed, size)
        }
        // What happened before this process started is not news.
        None => forget_up_to(observed, size),
    };
    let production = registry.db.ask(FindProductions).await?;
    let mut state = observed.state();
    state.production = production.into_iter().map(|(of_type, it)| (of_type, since(it))).collect();
    if whole {
        state.roots = roots;
    }
    Ok(())
}

fn forget_up_to(observed: &Observed, size: u64) -> bool {
    let mut state = observed.state();
    state.told = Some(size);
    state.own.clear();
    state.leaving = None;
    true
}

fn since(InProduction { version, entered, .. }: InProduction) -> (Version, Option<i64>) {
    (version, entered.map(|entry| entry.said.time.unix_seconds()))
}

/// Tells of all entries from a position on. Returns whether it reached the end.
async fn tell_from(registry: &Registry, mut from: u64) -> Result<bool, RegistryError> {
    loop {
        let entries = registry.db.ask(ReadEntries { from, count: PAGE }).await?;
        if entries.is_empty() {
            return Ok(true);
        }
        for entry in entries {
            let Some(line) = registry.observed.state().take(&entry) else { return Ok(false) };
            from = entry.sequence + 1;
            count(registry, &entry);
            if let Line::Change { displaced } = line {
                log(&entry, displaced);
            }
        }
    }
}

fn count(registry: &Registry, entry: &Entry) {
    let of_type = entry.said.subject.as_ref().map(|subject| &subject.model_type);
    // Types that the policy does not know could be of any number.
    let of_type = match of_type {
        Some(model_type) if registry.rules().policy.rules(model_type).is_some() => {
            model_type.as_str()
        }
        Some(_) => "other",
        None => "none",
    };
    metrics::change(entry.said.action.as_str(), of_type);
}

/// Writes the log line of a change that another process made, with the fields of the line of an own change.
fn log(Entry { sequence, said }: &Entry, displaced: Option<Version>) {
    let subject = said.subject.as_ref();
    let text = |value: &dyn std::fmt::Display| value.to_string();
    let model_type = subject.map(|it| text(&it.model_type));
    let version = subject.map(|it| text(&it.version));
    let model_id = subject.map(|it| text(&it.model_id));
    let displaced = displaced.map(|version| text(&version));
    let what = match said.action {
        Action::Register => "registered",
        Action::Promote => "promoted",
        Action::Restore => "rolled back",
        Action::Fail => "marked failed",
        Action::Import => "imported",
        Action::Upgrade => "upgraded",
        _ => "changed",
    };
    tracing::info!(
        model_type,
        version,
        model_id,
        displaced,
        gates_skipped = said.gates_skipped,
        user = said.actor,
        authenticated_as = said.authenticated_as,
        reason = said.reason,
        action = said.action.as_str(),
        at = %said.time,
        log_size = sequence + 1,
        by_another_process = true,
        "{what}"
    );
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{ModelId, Timestamp, log::Subject};

    fn entry(sequence: u64, action: Action, version: &str) -> Entry {
        let subject = Subject {
            model_id: ModelId::random(),
            model_type: ModelType::parse("risk_model").unwrap(),
            version: Version::parse(version).unwrap(),
        };
        let said = Draft {
            id: Uuid::nil(),
            time: Timestamp::parse("2026-11-23T08:00:00Z").unwrap(),
            actor: "alice".to_owned(),
            authenticated_as: None,
            action,
            subject: Some(subject),
            from_status: None,
            to_status: None,
            reason: None,
            gates_skipped: false,
            detail: None,
            state_sha256: None,
        };
        Entry { sequence, said }
    }

    fn take(observed: &Observed, sequence: u64, action: Action) -> Option<Line> {
        observed.state().take(&entry(sequence, action, "v1.0.0"))
    }

    const TOLD: Line = Line::Change { displaced: None };

    #[test]
    fn a_change_of_this_process_is_not_told_again() {
        let observed = Arc::new(Observed::default());
        assert_eq!(take(&observed, 0, Action::Register), Some(TOLD));
        observed.begin(1).end(3);
        assert_eq!(take(&observed, 1, Action::Archive), Some(Line::None));
        assert_eq!(take(&observed, 2, Action::Promote), Some(Line::None));
        assert_eq!(take(&observed, 3, Action::Fail), Some(TOLD));
        assert!(observed.state().own.is_empty());
    }

    #[test]
    fn what_a_change_in_progress_may_have_written_waits_for_its_end() {
        let observed = Arc::new(Observed::default());
        let change = observed.begin(1);
        assert_eq!(take(&observed, 0, Action::Register), Some(TOLD));
        assert_eq!(take(&observed, 1, Action::Register), None);
        assert_eq!(observed.state().told, Some(1));
        change.end(2);
        assert_eq!(take(&observed, 1, Action::Register), Some(Line::None));
        // A change that was given up wrote nothing: what is there is of another process.
        drop(observed.begin(2));
        assert_eq!(take(&observed, 2, Action::Register), Some(TOLD));
    }

    #[test]
    fn a_promotion_is_one_line_that_names_the_version_before() {
        let observed = Observed::default();
        let mut state = observed.state();
        assert_eq!(state.take(&entry(0, Action::Archive, "v1.0.0")), Some(Line::None));
        let displaced = Some(Version::parse("v1.0.0").unwrap());
        assert_eq!(
            state.take(&entry(1, Action::Promote, "v1.1.0")),
            Some(Line::Change { displaced })
        );
        assert_eq!(state.take(&entry(2, Action::Promote, "v1.2.0")), Some(TOLD));
    }
}
