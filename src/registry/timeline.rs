//! What was in production when, and pages of the history.
//!
//! These answers come from the log and the catalog's rows. They are given also where a version's files are damaged:
//! what was in production is a fact of the past.

use std::collections::BTreeMap;

use super::{Registry, no_version};
use crate::{
    actors::{
        db::{FindEntries, FindVersion, ReadHistory, ReadProduction, ReadState, Summarize},
        manifest::ReadMetadata,
    },
    catalog::{HistoryFilter, HistoryPage, Moment, TypeSummary},
    clock,
    domain::{
        ModelType, Timestamp, Version, VersionRecord,
        log::{Entry, entry::Subject},
        timeline::{Period, WalkBack, leaves, periods},
    },
    error::{ErrorKind, RegistryError},
};

/// The number of entries that are read at a time.
const PAGE: u32 = 256;

/// The version that was in production at a moment.
#[derive(Debug, Clone)]
pub struct ProductionAt {
    /// The moment.
    pub as_of: Timestamp,
    /// The entry that had put the version into production.
    pub entered: Entry,
    /// The version's row as it is now.
    pub record: VersionRecord,
    /// Whether the version's metadata file is what was registered.
    pub intact: bool,
}

/// A page of a type's history.
#[derive(Debug, Clone)]
pub struct TypeHistory {
    /// The entries.
    pub page: HistoryPage,
    /// The periods in production that begin on this page.
    pub production: Vec<Period>,
}

/// A known type.
#[derive(Debug, Clone)]
pub struct KnownType {
    /// The model type.
    pub model_type: ModelType,
    /// What the catalog holds of it.
    pub summary: TypeSummary,
}

/// The error for a moment at which no version was in production.
fn none_at(model_type: &ModelType, at: Timestamp) -> RegistryError {
    let detail = format!("No production model found for {model_type} at {at}");
    RegistryError::new(ErrorKind::ModelNotFound, detail)
}

impl Registry {
    /// The version of a type that was in production at a moment, by the log's times.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND` where none was; `INVALID_REQUEST` for a moment in the future.
    pub async fn production_at(
        &self,
        model_type: &ModelType,
        at: Timestamp,
    ) -> Result<ProductionAt, RegistryError> {
        self.require_known(model_type).await?;
        self.refuse_future(at).await?;
        let before = Moment { time: at, sequence: u64::MAX };
        let entered = self.entry_of_production(model_type, before).await?;
        let entered = entered.ok_or_else(|| none_at(model_type, at))?;
        let Some(Subject { model_type, version, .. }) = entered.said.subject.clone() else {
            return Err(RegistryError::internal("a step into production without a version"));
        };
        let find = FindVersion { model_type: model_type.clone(), version };
        let missing = || no_version(model_type.as_str(), &version.to_string());
        let record = self.db.ask(find).await?.ok_or_else(missing)?;
        let read = ReadMetadata { records: vec![record.clone()] };
        let sidecar = self.manifest.ask(read).await?.pop();
        Ok(ProductionAt {
            as_of: at,
            entered,
            record,
            intact: sidecar.is_some_and(|it| it.is_ok()),
        })
    }

    /// Refuses a moment later than both the clock and the last change, whose time may be ahead of the clock.
    async fn refuse_future(&self, at: Timestamp) -> Result<(), RegistryError> {
        let now = clock::now()?;
        if at <= now || self.db.ask(ReadState).await?.last_change.is_some_and(|last| at <= last) {
            return Ok(());
        }
        let detail = format!("at {at} is in the future; it is {now} now");
        Err(RegistryError::new(ErrorKind::InvalidRequest, detail))
    }

    /// The entry that put the version into production that was there before a moment.
    async fn entry_of_production(
        &self,
        model_type: &ModelType,
        mut before: Moment,
    ) -> Result<Option<Entry>, RegistryError> {
        let mut walk = WalkBack::default();
        loop {
            let before_it = Some(before);
            let read =
                ReadProduction { model_type: model_type.clone(), before: before_it, count: PAGE };
            let page = self.db.ask(read).await?;
            let Some(earliest) = page.last().map(Moment::of) else { return Ok(None) };
            before = earliest;
            if let Some(found) = page.into_iter().find(|entry| walk.finds(entry)) {
                return Ok(Some(found));
            }
        }
    }

    /// A page of the history of all types.
    ///
    /// # Errors
    /// Errors of the catalog.
    pub async fn whole_history(&self, filter: HistoryFilter) -> Result<HistoryPage, RegistryError> {
        self.db.ask(ReadHistory { filter }).await
    }

    /// A page of the history of a type, with the periods in production that begin on it.
    ///
    /// # Errors
    /// `MODEL_NOT_FOUND` for an unknown type.
    pub async fn type_history(
        &self,
        model_type: &ModelType,
        after: Option<u64>,
        limit: u32,
    ) -> Result<TypeHistory, RegistryError> {
        self.require_known(model_type).await?;
        let model_type = Some(model_type.clone());
        let filter = HistoryFilter { model_type, after, limit, ..HistoryFilter::default() };
        let page = self.db.ask(ReadHistory { filter }).await?;
        let mut production = periods(&page.entries);
        if page.next.is_some() {
            self.find_ends(&mut production).await?;
        }
        Ok(TypeHistory { page, production })
    }

    /// Finds the ends of periods that are not on the page of their beginnings.
    async fn find_ends(&self, periods: &mut [Period]) -> Result<(), RegistryError> {
        for period in periods.iter_mut().filter(|period| period.until.is_none()) {
            let Some(subject) = &period.entered.said.subject else { continue };
            let Subject { model_type, version, .. } = subject.clone();
            let mut entries = self.db.ask(FindEntries { model_type, version }).await?.into_iter();
            let end =
                entries.find(|entry| entry.sequence > period.entered.sequence && leaves(entry));
            period.until = end.map(|entry| entry.said.time);
        }
        Ok(())
    }

    /// The periods in which each version of a type was in production, by version, oldest first.
    ///
    /// # Errors
    /// Errors of the catalog.
    pub async fn production_periods(
        &self,
        model_type: &ModelType,
    ) -> Result<BTreeMap<Version, Vec<Period>>, RegistryError> {
        let (mut entries, mut before) = (Vec::new(), None);
        loop {
            let read = ReadProduction { model_type: model_type.clone(), before, count: PAGE };
            let page = self.db.ask(read).await?;
            let Some(earliest) = page.last().map(Moment::of) else { break };
            entries.extend(page);
            before = Some(earliest);
        }
        let mut by_version: BTreeMap<Version, Vec<Period>> = BTreeMap::new();
        for period in periods(entries.iter().rev()) {
            by_version.entry(period.version).or_default().push(period);
        }
        Ok(by_version)
    }

    /// Every known type, in alphabetical order.
    ///
    /// # Errors
    /// Errors of the catalog.
    pub async fn types(&self) -> Result<Vec<KnownType>, RegistryError> {
        let mut summaries = self.db.ask(Summarize).await?;
        // A type with versions stays known where the policy no longer names it.
        for model_type in self.rules().policy.known_types() {
            summaries.entry(model_type.clone()).or_default();
        }
        let known = summaries.into_iter();
        Ok(known.map(|(model_type, summary)| KnownType { model_type, summary }).collect())
    }
}
