//! The upgrade from layout 2.0.0: the chain of transitions becomes the log.
//!
//! Included once in each database's module. One transaction checks the catalog against its own digest and chain,
//! converts it, and drops the chain.

use std::collections::HashMap;

use diesel::{ExpressionMethods as _, QueryDsl as _, Queryable};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    Conn, StoredTime, loaded_time,
    rows::{VersionRow, column},
    schema::{registry_state, used_versions, versions},
    schema_steps,
    writer::{Writer, imported},
};
use crate::{
    catalog::{
        Audit, CatalogError, CatalogState, Discrepancy, DiscrepancyKind, HistoryFilter,
        HistoryPage, Moment, Stamp, schema_version,
    },
    domain::{
        ModelId, ModelType, Sha256Digest, Status, Version,
        history::Transition,
        layout2::{
            chain::{ChainHead, Link},
            digest::CatalogDigest,
        },
        log::{Action, Entry, state_sha256},
    },
    fault::{self, Point},
};

mod chain_schema {
    use super::super::TimeColumn;

    diesel::table! {
        use diesel::sql_types::{BigInt, Bool, Nullable, Text};
        use super::TimeColumn;

        transitions (sequence) {
            sequence -> BigInt,
            transition_id -> Text,
            model_id -> Text,
            model_type -> Text,
            version -> Text,
            from_status -> Nullable<Text>,
            to_status -> Text,
            changed_at -> TimeColumn,
            changed_by -> Text,
            reason -> Nullable<Text>,
            gates_skipped -> Bool,
            previous_sha256 -> Text,
            row_sha256 -> Text,
        }
    }
}

use chain_schema::transitions;

/// The number of rows in a page.
const PAGE: i64 = 2048;

/// A row of `transitions`.
#[derive(Debug, Queryable)]
struct TransitionRow {
    sequence: i64,
    transition_id: String,
    model_id: String,
    model_type: String,
    version: String,
    from_status: Option<String>,
    to_status: String,
    changed_at: StoredTime,
    changed_by: String,
    reason: Option<String>,
    gates_skipped: bool,
    previous_sha256: String,
    row_sha256: String,
}

impl TransitionRow {
    fn into_link(self) -> Result<Link, CatalogError> {
        let row = format!("history row {}", self.sequence);
        let from = self.from_status.as_deref().map(Status::parse).transpose();
        let digest = |name, text: &str| column(&row, name, Sha256Digest::parse(text));
        Ok(Link {
            sequence: column(&row, "sequence", u64::try_from(self.sequence))?,
            said: Transition {
                transition_id: column(&row, "transition_id", Uuid::parse_str(&self.transition_id))?,
                model_id: column(&row, "model_id", ModelId::parse(&self.model_id))?,
                model_type: column(&row, "model_type", ModelType::parse(&self.model_type))?,
                version: column(&row, "version", Version::parse(&self.version))?,
                from_status: column(&row, "from_status", from)?,
                to_status: column(&row, "to_status", Status::parse(&self.to_status))?,
                changed_at: column(&row, "changed_at", loaded_time(&self.changed_at))?,
                changed_by: self.changed_by,
                authenticated_as: None,
                reason: self.reason,
                gates_skipped: self.gates_skipped,
            },
            previous_sha256: digest("previous_sha256", &self.previous_sha256)?,
            row_sha256: digest("row_sha256", &self.row_sha256)?,
        })
    }
}

/// The history of one version or of the whole registry, in layout 2.0.0.
///
/// # Errors
/// The database's; [`CatalogError::Damaged`].
pub(super) async fn transitions(
    conn: &mut Conn,
    of: Option<(&ModelType, Version)>,
) -> Result<Vec<Transition>, CatalogError> {
    let mut query = transitions::table.order(transitions::sequence).into_boxed();
    if let Some((model_type, version)) = of {
        query = query
            .filter(transitions::model_type.eq(model_type.as_str().to_owned()))
            .filter(transitions::version.eq(version.to_string()));
    }
    let rows: Vec<TransitionRow> = query.load(conn).await?;
    rows.into_iter().map(|row| row.into_link().map(|link| link.said)).collect()
}

/// The whole history of layout 2.0.0, as the entries that an upgrade would make of it.
///
/// # Errors
/// The database's; [`CatalogError::Damaged`].
pub(super) async fn entries(conn: &mut Conn) -> Result<Vec<Entry>, CatalogError> {
    let steps = transitions(conn, None).await?;
    let before = [None].into_iter().chain(steps.iter().map(Some));
    let entries = steps.iter().zip(before).zip(0..);
    let entries = entries.map(|((step, before), sequence)| {
        let said = imported(step, action_of(step, before), None, None);
        Entry { sequence, said }
    });
    Ok(entries.collect())
}

/// A page of these entries.
pub(super) fn page_of(entries: Vec<Entry>, filter: &HistoryFilter) -> HistoryPage {
    let mut entries = entries.into_iter().filter(|entry| {
        filter.after.is_none_or(|after| entry.sequence > after) && filter.matches(entry)
    });
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let page: Vec<_> = entries.by_ref().take(limit).collect();
    let next = entries.next().and(page.last()).map(|last| last.sequence);
    HistoryPage { entries: page, next }
}

/// Those of these entries by which versions of a type entered or left production, the latest first.
pub(super) fn production_of(
    mut entries: Vec<Entry>,
    model_type: &ModelType,
    before: Option<Moment>,
    count: u32,
) -> Vec<Entry> {
    let production = Some(Status::Production);
    entries.retain(|entry| {
        entry.said.subject.as_ref().is_some_and(|subject| subject.model_type == *model_type)
            && [entry.said.from_status, entry.said.to_status].contains(&production)
            && before.is_none_or(|before| Moment::of(entry) < before)
    });
    entries.sort_by_key(|entry| std::cmp::Reverse(Moment::of(entry)));
    entries.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    entries
}

/// The part of a version's row that an upgrade needs.
struct Standing {
    name: String,
    status: Status,
    state: Sha256Digest,
    /// The version's last row in the chain.
    last: Option<i64>,
}

/// Upgrades the catalog.
///
/// # Errors
/// [`CatalogError::Damaged`] where the catalog does not match its own digest and chain; the database's error.
pub(super) async fn upgrade(
    conn: &mut Conn,
    manifest: Option<Sha256Digest>,
    stamp: &Stamp,
) -> Result<CatalogState, CatalogError> {
    schema_steps::take(conn, schema_version::LOG).await?;
    let mut digest = CatalogDigest::default();
    let (mut standing, bytes) = read_versions(conn, &mut digest).await?;
    find_lasts(conn, &mut standing).await?;
    let mut writer = Writer::of_an_empty_log(conn, stamp);
    let head = convert(&mut writer, &standing).await?;
    let found = check_digest(writer.conn(), digest, head, manifest).await?;
    let detail = [
        ("chain_head_sha256", head.head_sha256.to_string()),
        ("chain_length", head.length.to_string()),
        ("registry_version", crate::domain::manifest::UPGRADED_VERSION.to_owned()),
    ];
    let detail = detail.map(|(name, value)| (name.to_owned(), value)).into();
    let note = writer.note(Action::Upgrade, detail);
    writer.append(note).await?;
    writer.set_totals(standing.len() as u64, bytes, manifest.unwrap_or(found));
    schema_steps::take(writer.conn(), schema_version::UNCHAINED).await?;
    schema_steps::take_additions(writer.conn()).await?;
    let state = writer.finish().await?;
    fault::point(Point::UpgradeConverted);
    Ok(state)
}

/// Finds the last row of each version in the chain.
async fn find_lasts(
    conn: &mut Conn,
    standing: &mut HashMap<ModelId, Standing>,
) -> Result<(), CatalogError> {
    let lasts: Vec<(String, Option<i64>)> = transitions::table
        .group_by(transitions::model_id)
        .select((transitions::model_id, diesel::dsl::max(transitions::sequence)))
        .load(conn)
        .await?;
    for (model_id, last) in lasts {
        let model_id = column(&"history", "model_id", ModelId::parse(&model_id))?;
        let known = standing.get_mut(&model_id).ok_or_else(|| {
            CatalogError::Damaged(format!("{model_id} is in the history but not in the catalog"))
        })?;
        known.last = last;
    }
    match standing.values().find(|version| version.last.is_none()) {
        Some(without) => Err(CatalogError::Damaged(format!("{} has no history", without.name))),
        None => Ok(()),
    }
}

async fn read_versions(
    conn: &mut Conn,
    digest: &mut CatalogDigest,
) -> Result<(HashMap<ModelId, Standing>, u64), CatalogError> {
    let mut standing = HashMap::new();
    let (mut bytes, mut after) = (0_u64, String::new());
    loop {
        let page: Vec<VersionRow> = versions::table
            .filter(versions::model_id.gt(&after))
            .order(versions::model_id)
            .limit(PAGE)
            .load(conn)
            .await?;
        let Some(last) = page.last() else { break };
        last.model_id().clone_into(&mut after);
        for row in page {
            let record = row.into_record()?;
            digest.add(&record).map_err(|error| CatalogError::Damaged(error.to_string()))?;
            bytes = bytes.saturating_add(record.total_size_bytes);
            let version = Standing {
                name: record.name(),
                status: record.status,
                state: state_sha256(&record),
                last: None,
            };
            standing.insert(record.model_id, version);
        }
    }
    Ok((standing, bytes))
}

/// The next page of the chain.
async fn page_after(conn: &mut Conn, head: ChainHead) -> Result<Vec<TransitionRow>, CatalogError> {
    Ok(transitions::table
        .filter(transitions::sequence.gt(i64::try_from(head.length).unwrap_or(i64::MAX)))
        .order(transitions::sequence)
        .limit(PAGE)
        .load(conn)
        .await?)
}

/// Checks the next row of the chain. Returns its transition, and the version's digest where the row is the version's
/// last.
fn follow(
    head: &mut ChainHead,
    row: TransitionRow,
    standing: &HashMap<ModelId, Standing>,
) -> Result<(Transition, Option<Sha256Digest>), CatalogError> {
    let sequence = row.sequence;
    let link = row.into_link()?;
    head.follow(&link).map_err(|broken| CatalogError::Damaged(broken.to_string()))?;
    let version = standing.get(&link.said.model_id);
    let last = version.filter(|version| version.last == Some(sequence));
    if let Some(version) = last.filter(|version| version.status != link.said.to_status) {
        return Err(CatalogError::Damaged(format!(
            "{} is {}, but its history ends at {}",
            version.name, version.status, link.said.to_status
        )));
    }
    let state = last.map(|version| version.state);
    Ok((link.said, state))
}

/// Appends every link of the chain to the log, after checking that it follows from the previous one.
async fn convert(
    writer: &mut Writer<'_>,
    standing: &HashMap<ModelId, Standing>,
) -> Result<ChainHead, CatalogError> {
    let mut head = ChainHead::EMPTY;
    let mut before = None;
    loop {
        let page = page_after(writer.conn(), head).await?;
        if page.is_empty() {
            return Ok(head);
        }
        for row in page {
            let (step, state) = follow(&mut head, row, standing)?;
            let action = action_of(&step, before.as_ref());
            writer.not_before(step.changed_at);
            writer.append(imported(&step, action, None, state)).await?;
            before = Some(step);
        }
    }
}

/// Checks a catalog of layout 2.0.0 against its own digest and chain. It stops at the first fault.
///
/// # Errors
/// The database's error. Faults of the rows are in the audit.
pub(super) async fn audit(conn: &mut Conn) -> Result<Audit, CatalogError> {
    let mut found = Audit::default();
    match walk(conn, &mut found).await {
        Ok(()) => Ok(found),
        Err(CatalogError::Damaged(detail)) => {
            let subject = "the catalog".to_owned();
            let kind = DiscrepancyKind::Row;
            found.discrepancies.push(Discrepancy { kind, subject, detail });
            Ok(found)
        }
        Err(error) => Err(error),
    }
}

async fn walk(conn: &mut Conn, found: &mut Audit) -> Result<(), CatalogError> {
    let mut digest = CatalogDigest::default();
    let (mut standing, _) = read_versions(conn, &mut digest).await?;
    found.versions = standing.len() as u64;
    find_lasts(conn, &mut standing).await?;
    let mut head = ChainHead::EMPTY;
    loop {
        let page = page_after(conn, head).await?;
        if page.is_empty() {
            break;
        }
        for row in page {
            follow(&mut head, row, &standing)?;
        }
    }
    found.entries = head.length;
    check_digest(conn, digest, head, None).await.map(drop)
}

/// The action of a transition, which layout 2.0.0 did not record. A return from the archive is a rollback if the
/// previous transition staged the production version of the same type at the same time.
fn action_of(step: &Transition, before: Option<&Transition>) -> Action {
    let demoted = before.is_some_and(|before| {
        (before.from_status, before.to_status) == (Some(Status::Production), Status::Staged)
            && (&before.model_type, before.changed_at) == (&step.model_type, step.changed_at)
    });
    match (step.from_status, step.to_status) {
        (None, Status::Staged) => Action::Register,
        (Some(Status::Archived), Status::Production) if demoted => Action::Restore,
        (Some(_), Status::Production) => Action::Promote,
        (Some(Status::Production), Status::Archived) => Action::Archive,
        (Some(Status::Production), Status::Staged) => Action::Demote,
        (Some(_), Status::Failed) => Action::Fail,
        _ => Action::Import,
    }
}

/// Returns the digest of the rows. They must match the recorded checksum. The manifest, if there is one, must have that
/// checksum or the one before it.
async fn check_digest(
    conn: &mut Conn,
    mut digest: CatalogDigest,
    head: ChainHead,
    manifest: Option<Sha256Digest>,
) -> Result<Sha256Digest, CatalogError> {
    let tombstones: Vec<(String, String)> = used_versions::table
        .select((used_versions::model_type, used_versions::version))
        .load(conn)
        .await?;
    for (model_type, version) in tombstones {
        digest.add_removed(
            column(&"tombstone", "model_type", ModelType::parse(&model_type))?,
            column(&"tombstone", "version", Version::parse(&version))?,
        );
    }
    let digest = digest.finish(head).map_err(|error| CatalogError::Damaged(error.to_string()))?;
    let found = digest.to_string();
    let recorded: Vec<(String, String)> = registry_state::table
        .select((registry_state::checksum, registry_state::previous_checksum))
        .load(conn)
        .await?;
    // A catalog without any change has recorded nothing; its previous state is then also its present one.
    let (current, previous) = match recorded.as_slice().first() {
        Some((current, previous)) => (current, previous),
        None => (&found, &found),
    };
    if found != *current {
        let what = "the catalog's rows were changed by another program";
        return Err(CatalogError::Damaged(what.to_owned()));
    }
    match manifest.map(|manifest| manifest.to_string()) {
        Some(manifest) if manifest != *current && manifest != *previous => {
            Err(CatalogError::Damaged("manifest.json and the catalog disagree".to_owned()))
        }
        _ => Ok(digest),
    }
}
