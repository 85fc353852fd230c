//! `current` and `history`.

use clap::Args;

use super::{Context, Failure, Outcome, output::table, time};
use crate::{
    catalog::HistoryFilter,
    domain::{
        ModelType, Status, Timestamp, Version,
        log::{Action, Entry},
        timeline::{Period, periods},
    },
    error::RegistryError,
    limits,
    registry::{Registry, timeline::TypeHistory},
    schemas::{
        CurrentModelResponse, HistoryResponse,
        timeline::{Csv, ProductionAtResponse, TypeHistoryResponse, WholeHistoryResponse},
    },
    startup::Opening,
};

/// Arguments of `current`.
#[derive(Debug, Args)]
pub struct Current {
    /// The model type, for example risk_model
    #[arg(value_parser = ModelType::parse)]
    model_type: ModelType,
    /// The moment, for example 2026-11-14T08:03:36Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
}

impl Current {
    /// Prints the version that is in production, or was.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, context: Context) -> Outcome {
        let core = context.open(Opening::Reading).await?;
        if let Some(at) = self.at {
            let found = core.registry.production_at(&self.model_type, at).await?;
            context.output.result(&ProductionAtResponse::from(&found), || {
                let said = &found.entered.said;
                format!(
                    "{} was in production at {}, since {}, by {}{}",
                    found.record.name(),
                    found.as_of,
                    said.time,
                    said.actor,
                    if found.intact { "" } else { "; its metadata.json is damaged now" }
                )
            });
            return Ok(());
        }
        let model = core.registry.current(&self.model_type).await?;
        context.output.result(&CurrentModelResponse::from(&model), || {
            let since = model.record.promoted_at.map(|at| format!(" since {at}"));
            format!("{} is in production{}", model.record.name(), since.unwrap_or_default())
        });
        Ok(())
    }
}

/// Arguments of `history`.
#[derive(Debug, Args)]
pub struct History {
    /// The model type [default: all types]
    #[arg(value_parser = ModelType::parse)]
    model_type: Option<ModelType>,
    /// The version [default: all versions]
    #[arg(value_parser = Version::parse)]
    version: Option<Version>,
    /// The history as it was at this moment: without later changes
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
    /// Only changes from this moment on
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Print CSV, a line for each change
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

impl History {
    /// Prints the history of a version, a type or all types.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn run(self, context: Context) -> Outcome {
        let core = context.open(Opening::Reading).await?;
        if let Some(model_type) = &self.model_type {
            core.registry.require_known(model_type).await?;
            if let Some(version) = self.version {
                core.registry.record_of(model_type, version).await?;
            }
        }
        if self.csv {
            return self.print_csv(&core.registry, &context).await;
        }
        let mut entries = Vec::new();
        let mut pages = Pages::of(&self);
        while let Some(page) = pages.next(&core.registry).await? {
            entries.extend(page.into_iter().filter(|entry| self.is_before_its_end(entry)));
        }
        // A period may have begun before the changes that are shown.
        let mut production = periods(&entries);
        if let Some(since) = self.since {
            entries.retain(|entry| entry.said.time >= since);
            production.retain(|period| period.until.is_none_or(|until| until >= since));
        }
        let output = context.output;
        match (&self.model_type, self.version) {
            (Some(_), Some(_)) => {
                let steps: Vec<_> =
                    entries.into_iter().filter_map(Entry::into_transition).collect();
                output.result(&HistoryResponse::from(steps.as_slice()), || {
                    let row = |step: &crate::domain::history::Transition| {
                        vec![
                            step.changed_at.to_string(),
                            step.from_status.map_or("-", Status::as_str).to_owned(),
                            outcome(Some(step.to_status), step.gates_skipped),
                            step.changed_by.clone(),
                            step.authenticated_as.clone().unwrap_or_else(|| "-".to_owned()),
                            step.reason.clone().unwrap_or_else(|| "-".to_owned()),
                        ]
                    };
                    let rows: Vec<_> = steps.iter().map(row).collect();
                    table(&["WHEN", "FROM", "TO", "WHO", "AUTHENTICATED AS", "WHY"], &rows)
                });
            }
            (Some(_), None) => {
                let page = crate::catalog::HistoryPage { entries, next: None };
                let found = TypeHistory { page, production };
                output.result(&TypeHistoryResponse::from(&found), || {
                    let timeline = timeline(&found.production);
                    format!("{timeline}\n\n{}", changes(&found.page.entries))
                });
            }
            (None, _) => {
                let document = WholeHistoryResponse::from(entries.as_slice());
                output.result(&document, || changes(&entries));
            }
        }
        Ok(())
    }

    /// Prints each page as soon as it was read, so that the memory does not grow with the history.
    async fn print_csv(&self, registry: &Registry, context: &Context) -> Outcome {
        let mut csv = Csv::default();
        csv.header().map_err(RegistryError::internal)?;
        let mut pages = Pages::of(self);
        while let Some(page) = pages.next(registry).await? {
            for entry in page.iter().filter(|entry| self.is_shown(entry)) {
                csv.entry(entry).map_err(RegistryError::internal)?;
            }
            context.output.bytes(&csv.take().map_err(RegistryError::internal)?);
        }
        Ok(())
    }

    fn is_before_its_end(&self, entry: &Entry) -> bool {
        let of_version =
            |version| entry.said.subject.as_ref().is_some_and(|subject| subject.version == version);
        self.version.is_none_or(of_version) && self.at.is_none_or(|at| entry.said.time <= at)
    }

    fn is_shown(&self, entry: &Entry) -> bool {
        self.is_before_its_end(entry) && self.since.is_none_or(|since| entry.said.time >= since)
    }
}

/// The pages of a history, one after the other.
struct Pages {
    filter: HistoryFilter,
    ended: bool,
}

impl Pages {
    fn of(history: &History) -> Self {
        let model_type = history.model_type.clone();
        let limit = limits::MAX_HISTORY_PAGE;
        Self {
            filter: HistoryFilter { model_type, limit, ..HistoryFilter::default() },
            ended: false,
        }
    }

    async fn next(&mut self, registry: &Registry) -> Result<Option<Vec<Entry>>, Failure> {
        if self.ended {
            return Ok(None);
        }
        let page = registry.whole_history(self.filter.clone()).await?;
        self.ended = page.next.is_none();
        self.filter.after = page.next;
        Ok(Some(page.entries))
    }
}

fn outcome(status: Option<Status>, gates_skipped: bool) -> String {
    let skipped = if gates_skipped { " (gates skipped)" } else { "" };
    format!("{}{skipped}", status.map_or("-", Status::as_str))
}

fn timeline(periods: &[Period]) -> String {
    let rows: Vec<_> = periods
        .iter()
        .map(|period| {
            vec![
                period.version.to_string(),
                period.entered.said.time.to_string(),
                period.until.map_or_else(|| "now".to_owned(), |until| until.to_string()),
                period.entered.said.actor.clone(),
            ]
        })
        .collect();
    table(&["IN PRODUCTION", "SINCE", "UNTIL", "BY"], &rows)
}

fn changes(entries: &[Entry]) -> String {
    let dash = || "-".to_owned();
    let rows: Vec<_> = entries
        .iter()
        .map(|Entry { sequence, said }| {
            let subject = said.subject.as_ref();
            vec![
                sequence.to_string(),
                said.time.to_string(),
                Action::as_str(said.action).to_owned(),
                subject.map_or_else(dash, |it| it.model_type.to_string()),
                subject.map_or_else(dash, |it| it.version.to_string()),
                said.from_status.map_or("-", Status::as_str).to_owned(),
                outcome(said.to_status, said.gates_skipped),
                said.actor.clone(),
                said.reason.clone().unwrap_or_else(dash),
            ]
        })
        .collect();
    let header = ["NO.", "WHEN", "WHAT", "TYPE", "VERSION", "FROM", "TO", "WHO", "WHY"];
    table(&header, &rows)
}
