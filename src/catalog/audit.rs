//! Checks every row of the catalog against the log, in one pass over both.
//!
//! Included once in each database's module. Rows are read in pages, so that neither the database nor this program
//! needs memory for more than a page; only the last digest of each version is kept, 48 bytes.

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::RunQueryDsl;
use futures_util::future::join;

use super::{
    Conn,
    queries::{TreeState, tree_state},
    rows::{CollectedRow, EntryRow, VersionRow},
    schema::{collected, log_entries, log_subtrees, used_versions, versions},
};
use crate::{
    catalog::{Audit, CatalogError, Discrepancy, DiscrepancyKind},
    domain::{
        ModelId, Sha256Digest, Status, VersionRecord,
        log::{Action, Entry, RightEdge, state_sha256},
    },
};

/// The number of rows in a page.
const PAGE: i64 = 256;

/// The most discrepancies that are reported.
const MAX_LISTED: usize = 1000;

/// The last state of a version in the log.
struct Logged {
    state: Sha256Digest,
    status: Option<Status>,
}

struct Auditor {
    audit: Audit,
    edge: RightEdge,
    subtrees: BTreeMap<(i32, i64), String>,
    logged: HashMap<ModelId, Logged>,
    /// The versions that the log calls collected.
    collected: HashSet<ModelId>,
    /// Versions that have their files, and the size of those.
    kept: u64,
    bytes: u64,
    /// Discrepancies beyond [`MAX_LISTED`].
    omitted: u64,
}

/// Audits the catalog. Where it is not `whole`, it lacks the table of collections.
///
/// # Errors
/// The database's error. Faults of the rows are in the audit.
pub(super) async fn audit(conn: &mut Conn, whole: bool) -> Result<Audit, CatalogError> {
    let subtrees: Vec<(i32, i64, String)> = log_subtrees::table.load(conn).await?;
    let mut auditor = Auditor {
        audit: Audit::default(),
        edge: RightEdge::EMPTY,
        subtrees: subtrees.into_iter().map(|(level, at, hash)| ((level, at), hash)).collect(),
        logged: HashMap::new(),
        collected: HashSet::new(),
        kept: 0,
        bytes: 0,
        omitted: 0,
    };
    auditor.read_log(conn).await?;
    auditor.read_versions(conn).await?;
    auditor.read_tombstones(conn).await?;
    auditor.read_collections(conn, whole).await?;
    match tree_state(conn).await {
        Ok(recorded) => auditor.compare_totals(&recorded),
        Err(CatalogError::Damaged(what)) => {
            auditor.tell(DiscrepancyKind::Log, "registry_state".to_owned(), what);
        }
        Err(error) => return Err(error),
    }
    Ok(auditor.finish())
}

impl Auditor {
    fn tell(&mut self, kind: DiscrepancyKind, subject: String, detail: String) {
        if self.audit.discrepancies.len() < MAX_LISTED {
            self.audit.discrepancies.push(Discrepancy { kind, subject, detail });
        } else {
            self.omitted += 1;
        }
    }

    /// The audit, which says how many discrepancies it does not list.
    fn finish(mut self) -> Audit {
        if self.omitted > 0 {
            self.audit.discrepancies.push(Discrepancy {
                kind: DiscrepancyKind::Row,
                subject: "the catalog".to_owned(),
                detail: format!("{} more discrepancies are not listed", self.omitted),
            });
        }
        self.audit
    }

    async fn read_log(&mut self, conn: &mut Conn) -> Result<(), CatalogError> {
        let mut page = page_of_entries(conn, 0).await?;
        while let Some(last) = page.last() {
            let next = page_of_entries(conn, last.sequence() + 1);
            // The database reads the next page while this one is checked.
            let looked_at = async { page.into_iter().for_each(|row| self.take_entry(row)) };
            let (next, ()) = join(next, looked_at).await;
            page = next?;
        }
        self.compare_subtrees();
        Ok(())
    }

    fn take_entry(&mut self, row: EntryRow) {
        let subject = row.subject();
        let position = row.sequence();
        if u64::try_from(position).ok() != Some(self.edge.size()) {
            self.tell(
                DiscrepancyKind::Log,
                subject.clone(),
                format!("log entry {position}: entries before it are missing"),
            );
        }
        let (entry, written) = match row.into_entry() {
            Ok(read) => read,
            Err(error) => return self.tell(DiscrepancyKind::Log, subject, error.to_string()),
        };
        if entry.leaf_sha256() != written {
            self.tell(
                DiscrepancyKind::Log,
                subject,
                format!("log entry {position} was changed after it was written"),
            );
        }
        self.audit.entries += 1;
        for subtree in self.edge.append(written) {
            let at = (i32::from(subtree.level), i64::try_from(subtree.index).unwrap_or(i64::MAX));
            if self.subtrees.remove(&at) != Some(subtree.hash.to_string()) {
                self.tell(
                    DiscrepancyKind::Log,
                    "log_subtrees".to_owned(),
                    format!("subtree {} of level {} does not match its entries", at.1, at.0),
                );
            }
        }
        self.remember(entry);
    }

    fn remember(&mut self, entry: Entry) {
        if entry.said.action == Action::Collect
            && let Some(subject) = &entry.said.subject
        {
            self.collected.insert(subject.model_id);
        }
        let (Some(subject), Some(state)) = (entry.said.subject, entry.said.state_sha256) else {
            return;
        };
        let status = entry.said.to_status;
        let before = self.logged.remove(&subject.model_id);
        let status = status.or_else(|| before.and_then(|before| before.status));
        self.logged.insert(subject.model_id, Logged { state, status });
    }

    fn compare_subtrees(&mut self) {
        for (level, number) in std::mem::take(&mut self.subtrees).into_keys() {
            self.tell(
                DiscrepancyKind::Log,
                "log_subtrees".to_owned(),
                format!("subtree {number} of level {level} has no entries"),
            );
        }
    }

    async fn read_versions(&mut self, conn: &mut Conn) -> Result<(), CatalogError> {
        let mut page = page_of_versions(conn, "").await?;
        while let Some(last) = page.last() {
            let after = last.model_id().to_owned();
            let next = page_of_versions(conn, &after);
            let looked_at = async { page.into_iter().for_each(|row| self.take_version(row)) };
            let (next, ()) = join(next, looked_at).await;
            page = next?;
        }
        let mut missing: Vec<ModelId> = self.logged.keys().copied().collect();
        missing.sort_unstable();
        self.omitted += missing.len().saturating_sub(MAX_LISTED) as u64;
        missing.truncate(MAX_LISTED);
        for model_id in missing {
            let subject = name_of(conn, model_id).await?;
            let detail = format!("{subject}: in the log, not in the catalog");
            self.tell(DiscrepancyKind::Row, subject, detail);
        }
        Ok(())
    }

    fn take_version(&mut self, row: VersionRow) {
        self.audit.versions += 1;
        let name = row.name();
        let record = match row.into_record() {
            Ok(record) => record,
            Err(error) => return self.tell(DiscrepancyKind::Row, name, error.to_string()),
        };
        self.kept += 1;
        self.bytes = self.bytes.saturating_add(record.total_size_bytes);
        let Some(logged) = self.logged.remove(&record.model_id) else {
            let detail = format!("{name}: in the catalog, not in the log");
            return self.tell(DiscrepancyKind::Row, name, detail);
        };
        if logged.state != state_sha256(&record) {
            self.tell_changed(name, &record, &logged);
        }
    }

    fn tell_changed(&mut self, name: String, record: &VersionRecord, logged: &Logged) {
        match logged.status {
            Some(status) if status != record.status => {
                let detail =
                    format!("{name}: the log says {status}, the catalog {}", record.status);
                self.tell(DiscrepancyKind::Status, name, detail);
            }
            _ => {
                let detail = format!("{name}: the catalog's row does not match the log");
                self.tell(DiscrepancyKind::Row, name, detail);
            }
        }
    }

    /// No log entry of this layout removes a version, so every tombstone comes from another program.
    async fn read_tombstones(&mut self, conn: &mut Conn) -> Result<(), CatalogError> {
        let tombstones: Vec<(String, String, String)> = used_versions::table.load(conn).await?;
        for (model_type, version, _) in tombstones {
            let name = format!("{model_type}/{version}");
            let detail = format!("{name}: removed from the catalog by another program");
            self.tell(DiscrepancyKind::Row, name, detail);
        }
        Ok(())
    }

    /// Every collection is in the log, and every one of the log is here.
    async fn read_collections(&mut self, conn: &mut Conn, whole: bool) -> Result<(), CatalogError> {
        let rows: Vec<CollectedRow> =
            if whole { collected::table.load(conn).await? } else { Vec::new() };
        for row in rows {
            let (model_id, bytes) = match row.freed() {
                Ok(freed) => freed,
                Err(error) => {
                    self.tell(DiscrepancyKind::Row, "collected".to_owned(), error.to_string());
                    continue;
                }
            };
            self.kept = self.kept.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(bytes);
            if !self.collected.remove(&model_id) {
                let subject = name_of(conn, model_id).await?;
                let detail = format!("{subject}: collected in the catalog, not in the log");
                self.tell(DiscrepancyKind::Row, subject, detail);
            }
        }
        let mut missing: Vec<ModelId> = self.collected.drain().collect();
        missing.sort_unstable();
        for model_id in missing {
            let subject = name_of(conn, model_id).await?;
            let detail = format!("{subject}: collected in the log, not in the catalog");
            self.tell(DiscrepancyKind::Row, subject, detail);
        }
        Ok(())
    }

    fn compare_totals(&mut self, recorded: &TreeState) {
        let totals = [
            ("log_size", self.edge.size(), recorded.edge.size()),
            ("artifact_count", self.kept, recorded.artifact_count),
            ("total_size_bytes", self.bytes, recorded.total_size_bytes),
        ];
        for (what, rows, recorded) in totals {
            if rows != recorded {
                let detail = format!("{what}: the rows give {rows}, but {recorded} is recorded");
                self.tell(DiscrepancyKind::Row, "registry_state".to_owned(), detail);
            }
        }
        if self.edge.root() != recorded.roots.current {
            self.tell(
                DiscrepancyKind::Log,
                "registry_state".to_owned(),
                format!(
                    "the entries' root is {}, but {} is recorded",
                    self.edge.root(),
                    recorded.roots.current
                ),
            );
        }
    }
}

async fn page_of_entries(conn: &mut Conn, from: i64) -> Result<Vec<EntryRow>, CatalogError> {
    Ok(log_entries::table
        .filter(log_entries::sequence.ge(from))
        .order(log_entries::sequence)
        .limit(PAGE)
        .load(conn)
        .await?)
}

async fn page_of_versions(conn: &mut Conn, after: &str) -> Result<Vec<VersionRow>, CatalogError> {
    Ok(versions::table
        .filter(versions::model_id.gt(after))
        .order(versions::model_id)
        .limit(PAGE)
        .load(conn)
        .await?)
}

/// The name of a version that has no row.
async fn name_of(conn: &mut Conn, model_id: ModelId) -> Result<String, CatalogError> {
    let row: Vec<EntryRow> = log_entries::table
        .filter(log_entries::model_id.eq(model_id.to_string()))
        .order(log_entries::sequence)
        .limit(1)
        .load(conn)
        .await?;
    Ok(row.as_slice().first().map_or_else(|| model_id.to_string(), EntryRow::subject))
}
