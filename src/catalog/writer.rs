//! One writing transaction: changes rows, appends to the log, and finally records the log's new root.
//!
//! Included once in each database's module.

use std::collections::{BTreeMap, HashMap};

use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    Conn,
    queries::{
        TreeState, last_change, production_of, rollback_target, state_of, tree_state, version_of,
    },
    rows::{CheckRow, CollectedRow, EntryRow, VersionRow},
    schema::{collected, load_checks, log_entries, log_subtrees, registry_state, versions},
    stored_time,
};
use crate::{
    catalog::{
        Applied, CatalogChange, CatalogError, CatalogState, CollectionCause, ImportBatch, Stamp,
    },
    domain::{
        Collected, ModelId, Sha256Digest, Status, Timestamp, VersionRecord,
        history::Transition,
        log::{
            self, Draft, Entry, Subject,
            entry::{MAX_ENTRY_BYTES, state_sha256},
            tree,
        },
        status::{Action, InvalidTransition},
    },
};

/// A writing transaction in progress.
pub(super) struct Writer<'a> {
    conn: &'a mut Conn,
    tree: TreeState,
    stamp: &'a Stamp,
    /// The time of the change; not before the time of the last log entry.
    at: Timestamp,
}

impl<'a> Writer<'a> {
    /// Starts from the catalog's recorded state.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] where the state is inconsistent.
    pub(super) async fn begin(conn: &'a mut Conn, stamp: &'a Stamp) -> Result<Self, CatalogError> {
        let tree = tree_state(conn).await?;
        let last = last_change(conn).await?;
        let at = last.map_or(stamp.at, |last| last.max(stamp.at));
        Ok(Self { conn, tree, stamp, at })
    }

    /// Starts an empty log.
    pub(super) fn of_an_empty_log(conn: &'a mut Conn, stamp: &'a Stamp) -> Self {
        Self { conn, tree: TreeState::empty(), stamp, at: stamp.at }
    }

    /// Gives the change this time, if its own is earlier.
    pub(super) fn not_before(&mut self, time: Timestamp) {
        self.at = self.at.max(time);
    }

    /// Makes a change.
    ///
    /// # Errors
    /// Any error rolls the whole transaction back.
    pub(super) async fn apply(mut self, change: &CatalogChange) -> Result<Applied, CatalogError> {
        let (record, displaced) = match change {
            CatalogChange::Register(record) => (Some(self.register(record).await?), None),
            CatalogChange::Promote { model_type, version, gates_skipped } => {
                let target = version_of(self.conn, true, model_type, *version).await?;
                let target = target.ok_or(CatalogError::NotFound)?;
                target.status.after(Action::Promote)?;
                let displaced = match production_of(self.conn, true, model_type).await? {
                    Some(current) => Some(self.step(current, Action::Archive, false).await?),
                    None => None,
                };
                (Some(self.step(target, Action::Promote, *gates_skipped).await?), displaced)
            }
            CatalogChange::RollBack { model_type, target } => {
                let current = production_of(self.conn, true, model_type).await?;
                let last = rollback_target(self.conn, true, model_type).await?;
                let (Some(current), Some(last)) = (current, last) else {
                    return Err(CatalogError::NotFound);
                };
                if last.version != *target {
                    return Err(CatalogError::Unavailable(
                        "another change was made meanwhile; try again".to_owned(),
                    ));
                }
                // The present production version leaves first: the database never allows two.
                let displaced = self.step(current, Action::Demote, false).await?;
                (Some(self.step(last, Action::Restore, false).await?), Some(displaced))
            }
            CatalogChange::Fail { model_type, version } => {
                let found = version_of(self.conn, true, model_type, *version).await?;
                let found = found.ok_or(CatalogError::NotFound)?;
                (Some(self.step(found, Action::Fail, false).await?), None)
            }
            CatalogChange::Collect { model_type, version, cause } => {
                let found = version_of(self.conn, true, model_type, *version).await?;
                let found = found.ok_or(CatalogError::NotFound)?;
                (Some(self.collect(found, *cause).await?), None)
            }
            CatalogChange::Import(batch) => {
                self.import(batch).await?;
                (None, None)
            }
            CatalogChange::ResetClock => {
                self.reset_clock().await?;
                (None, None)
            }
        };
        Ok(Applied { record, displaced, state: self.finish().await? })
    }

    async fn register(&mut self, record: &VersionRecord) -> Result<VersionRecord, CatalogError> {
        self.insert(record).await?;
        let draft = self.draft(log::Action::Register, record, None, false);
        self.append(draft).await?;
        Ok(record.clone())
    }

    /// Marks a version as collected, and logs it. The row itself stays as it is.
    async fn collect(
        &mut self,
        mut record: VersionRecord,
        cause: CollectionCause,
    ) -> Result<VersionRecord, CatalogError> {
        if record.collected.is_some() {
            return Err(CatalogError::Collected);
        }
        if record.status == Status::Production {
            return Err(InvalidTransition::RemovingProduction.into());
        }
        self.require_logged(&record).await?;
        let gone = Collected { collected_at: self.at, bytes_freed: record.total_size_bytes };
        diesel::insert_into(collected::table)
            .values(CollectedRow::of(record.model_id, gone)?)
            .execute(self.conn)
            .await?;
        self.tree.artifact_count = self.tree.artifact_count.saturating_sub(1);
        self.tree.total_size_bytes =
            self.tree.total_size_bytes.saturating_sub(record.total_size_bytes);
        let detail = [
            ("bytes_freed", record.total_size_bytes.to_string()),
            ("cause", cause.as_str().to_owned()),
        ];
        let detail = detail.map(|(name, value)| (name.to_owned(), value)).into();
        let note = self.note(log::Action::Collect, detail);
        self.append(Draft { subject: Some(Subject::of(&record)), ..note }).await?;
        record.collected = Some(gone);
        Ok(record)
    }

    async fn insert(&mut self, record: &VersionRecord) -> Result<(), CatalogError> {
        diesel::insert_into(versions::table)
            .values(VersionRow::of(record)?)
            .execute(self.conn)
            .await?;
        if let Some(check) = &record.check {
            diesel::insert_into(load_checks::table)
                .values(CheckRow::of(record.model_id, check)?)
                .execute(self.conn)
                .await?;
        }
        self.tree.artifact_count += 1;
        self.tree.total_size_bytes =
            self.tree.total_size_bytes.saturating_add(record.total_size_bytes);
        Ok(())
    }

    /// Changes a version's status by one rule of the status table, and logs it.
    async fn step(
        &mut self,
        mut record: VersionRecord,
        action: Action,
        gates_skipped: bool,
    ) -> Result<VersionRecord, CatalogError> {
        self.require_logged(&record).await?;
        let from = record.status;
        record.status = from.after(action)?;
        match action {
            Action::Promote | Action::Restore => {
                record.promoted_at = Some(self.at);
                record.archived_at = None;
            }
            Action::Archive => record.archived_at = Some(self.at),
            Action::Demote => record.promoted_at = None,
            Action::Fail => {}
        }
        self.store_status(&record).await?;
        let draft = self.draft(action.into(), &record, Some(from), gates_skipped);
        self.append(draft).await?;
        Ok(record)
    }

    /// Refuses a row that does not match the log: no step starts from a row that another program changed.
    async fn require_logged(&mut self, record: &VersionRecord) -> Result<(), CatalogError> {
        let logged: Option<Option<String>> = log_entries::table
            .filter(log_entries::model_type.eq(record.model_type.as_str()))
            .filter(log_entries::version.eq(record.version.to_string()))
            .filter(log_entries::state_sha256.is_not_null())
            .order(log_entries::sequence.desc())
            .select(log_entries::state_sha256)
            .first(self.conn)
            .await
            .optional()?;
        if logged.flatten() == Some(state_sha256(record).to_string()) {
            return Ok(());
        }
        Err(CatalogError::Damaged(format!("{}: its row does not match the log", record.name())))
    }

    async fn store_status(&mut self, record: &VersionRecord) -> Result<(), CatalogError> {
        let changed = diesel::update(versions::table.find(record.model_id.to_string()))
            .set((
                versions::status.eq(record.status.as_str()),
                versions::promoted_at.eq(record.promoted_at.map(stored_time)),
                versions::archived_at.eq(record.archived_at.map(stored_time)),
            ))
            .execute(self.conn)
            .await?;
        if changed == 1 { Ok(()) } else { Err(CatalogError::NotFound) }
    }

    fn draft(
        &self,
        action: log::Action,
        record: &VersionRecord,
        from_status: Option<Status>,
        gates_skipped: bool,
    ) -> Draft {
        Draft {
            id: Uuid::new_v4(),
            time: self.at,
            actor: self.stamp.author.actor.clone(),
            authenticated_as: self.stamp.author.authenticated_as.clone(),
            action,
            subject: Some(Subject::of(record)),
            from_status,
            to_status: Some(record.status),
            reason: self.stamp.reason.clone(),
            gates_skipped,
            detail: None,
            state_sha256: Some(state_sha256(record)),
        }
    }

    async fn import(&mut self, batch: &ImportBatch) -> Result<(), CatalogError> {
        // Versions that leave production go first, versions that enter it last.
        let (enter, leave): (Vec<_>, Vec<_>) =
            batch.moved_versions.iter().partition(|record| record.status == Status::Production);
        for record in &leave {
            self.require_row_logged(record).await?;
            self.store_status(record).await?;
        }
        for record in &batch.new_versions {
            self.insert(record).await?;
        }
        for record in &enter {
            self.require_row_logged(record).await?;
            self.store_status(record).await?;
        }
        let mut states: HashMap<ModelId, Sha256Digest> = batch
            .new_versions
            .iter()
            .map(|record| (record.model_id, state_sha256(record)))
            .collect();
        for moved in &batch.moved_versions {
            let row = version_of(self.conn, true, &moved.model_type, moved.version).await?;
            let row = row.ok_or(CatalogError::NotFound)?;
            states.insert(row.model_id, state_sha256(&row));
        }
        let last: HashMap<ModelId, Uuid> =
            batch.transitions.iter().map(|it| (it.model_id, it.transition_id)).collect();
        if let Some(model_id) = states.keys().find(|model_id| !last.contains_key(*model_id)) {
            return Err(CatalogError::Damaged(format!("{model_id} has no history")));
        }
        for step in &batch.transitions {
            // The row's state after an earlier step is not known.
            let is_last = last.get(&step.model_id) == Some(&step.transition_id);
            let state = states.get(&step.model_id).copied().filter(|_| is_last);
            let authenticated = self.stamp.author.authenticated_as.clone();
            self.append(imported(step, log::Action::Import, authenticated, state)).await?;
        }
        let counts = [
            ("transitions", batch.transitions.len()),
            ("versions", batch.new_versions.len() + batch.moved_versions.len()),
        ];
        let detail = counts.map(|(name, count)| (name.to_owned(), count.to_string())).into();
        let draft = self.note(log::Action::Import, detail);
        self.append(draft).await
    }

    /// Logs that times follow the clock again. This is the only entry whose time may be before that of the one before
    /// it; it says so, and by how much.
    async fn reset_clock(&mut self) -> Result<(), CatalogError> {
        let times = [("from", self.at), ("to", self.stamp.at)];
        self.at = self.stamp.at;
        let detail = times.map(|(name, time)| (name.to_owned(), time.to_string())).into();
        let draft = self.note(log::Action::ResetClock, detail);
        self.append(draft).await
    }

    /// An entry about the registry as a whole.
    pub(super) fn note(&self, action: log::Action, detail: BTreeMap<String, String>) -> Draft {
        Draft {
            id: Uuid::new_v4(),
            time: self.at,
            actor: self.stamp.author.actor.clone(),
            authenticated_as: self.stamp.author.authenticated_as.clone(),
            action,
            subject: None,
            from_status: None,
            to_status: None,
            reason: self.stamp.reason.clone(),
            gates_skipped: false,
            detail: Some(detail),
            state_sha256: None,
        }
    }

    async fn require_row_logged(&mut self, moved: &VersionRecord) -> Result<(), CatalogError> {
        let row = version_of(self.conn, true, &moved.model_type, moved.version).await?;
        self.require_logged(&row.ok_or(CatalogError::NotFound)?).await
    }

    /// Appends an entry to the log, and its leaf to the tree.
    ///
    /// # Errors
    /// The database's error; [`CatalogError::Damaged`] for an entry too long for a bundle.
    pub(super) async fn append(&mut self, said: Draft) -> Result<(), CatalogError> {
        let entry = Entry { sequence: self.tree.edge.size(), said };
        let text = entry.canonical();
        if text.len() > MAX_ENTRY_BYTES {
            return Err(CatalogError::Damaged(format!(
                "a log entry is {} bytes long; at most {MAX_ENTRY_BYTES} are allowed",
                text.len()
            )));
        }
        let leaf = tree::leaf_hash(text.as_bytes());
        diesel::insert_into(log_entries::table)
            .values(EntryRow::of(&entry, leaf)?)
            .execute(self.conn)
            .await?;
        for subtree in self.tree.edge.append(leaf) {
            diesel::insert_into(log_subtrees::table)
                .values((
                    log_subtrees::level.eq(i32::from(subtree.level)),
                    log_subtrees::number.eq(i64::try_from(subtree.index).unwrap_or(i64::MAX)),
                    log_subtrees::sha256.eq(subtree.hash.to_string()),
                ))
                .execute(self.conn)
                .await?;
        }
        Ok(())
    }

    /// The transaction's connection.
    pub(super) fn conn(&mut self) -> &mut Conn {
        self.conn
    }

    /// Sets the totals of an upgrade, which the previous layout did not record.
    pub(super) fn set_totals(&mut self, versions: u64, bytes: u64, root_before: Sha256Digest) {
        self.tree.artifact_count = versions;
        self.tree.total_size_bytes = bytes;
        self.tree.roots.current = root_before;
    }

    /// Makes the root of the log that a restoration replaced the previous one: the manifest still records it.
    pub(super) fn replaces(&mut self, root: Sha256Digest) {
        self.tree.roots.current = root;
    }

    /// Records the new root, and raises the revision, by which readers notice a change.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn finish(mut self) -> Result<CatalogState, CatalogError> {
        self.tree.roots.previous = self.tree.roots.current;
        self.tree.roots.current = self.tree.edge.root();
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let values = (
            registry_state::checksum.eq(self.tree.roots.current.to_string()),
            registry_state::previous_checksum.eq(self.tree.roots.previous.to_string()),
            registry_state::log_size.eq(number(self.tree.edge.size())),
            registry_state::right_edge.eq(self.tree.edge.to_text()),
            registry_state::artifact_count.eq(number(self.tree.artifact_count)),
            registry_state::total_size_bytes.eq(number(self.tree.total_size_bytes)),
        );
        diesel::insert_into(registry_state::table)
            .values((registry_state::id.eq(1), registry_state::revision.eq(1), values.clone()))
            .on_conflict(registry_state::id)
            .do_update()
            .set((values, registry_state::revision.eq(registry_state::revision + 1)))
            .execute(self.conn)
            .await?;
        state_of(self.conn, &self.tree, Some(self.at)).await
    }
}

/// An entry for a transition from another registry or from before the log.
pub(super) fn imported(
    step: &Transition,
    action: log::Action,
    authenticated_as: Option<String>,
    state_sha256: Option<Sha256Digest>,
) -> Draft {
    Draft {
        id: step.transition_id,
        time: step.changed_at,
        actor: step.changed_by.clone(),
        authenticated_as,
        action,
        subject: Some(Subject {
            model_id: step.model_id,
            model_type: step.model_type.clone(),
            version: step.version,
        }),
        from_status: step.from_status,
        to_status: Some(step.to_status),
        reason: step.reason.clone(),
        gates_skipped: step.gates_skipped,
        detail: None,
        state_sha256,
    }
}
