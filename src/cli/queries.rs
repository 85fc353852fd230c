//! `list` and `show`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use super::{Context, Failure, Outcome, VersionArguments, output::table, status};
use crate::{
    catalog::VersionFilter,
    domain::{ModelType, Status, Version, timeline::Period},
    registry::read::ListedModel,
    schemas::{ListedModelResponse, ModelListResponse},
    startup::{Core, Opening},
};

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct List {
    /// The model type [default: all types]
    #[arg(value_parser = ModelType::parse)]
    model_type: Option<ModelType>,
    /// Only versions in this status: staged, production, archived or failed
    #[arg(long, value_parser = status)]
    status: Option<Status>,
    /// The most versions to list
    #[arg(long, value_parser = limit)]
    limit: Option<u32>,
    /// The number of versions to skip
    #[arg(long, default_value_t = 0, value_parser = offset)]
    offset: u32,
}

fn limit(text: &str) -> Result<u32, String> {
    let limit = text.parse().ok().filter(|limit| *limit > 0);
    limit.ok_or_else(|| format!("must be a whole number of versions, 1 to {}", u32::MAX))
}

fn offset(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("must be a whole number of versions, 0 to {}", u32::MAX))
}

impl List {
    /// Lists versions.
    ///
    /// # Errors
    /// [`super::Failure`].
    pub async fn run(self, context: Context) -> Outcome {
        let core = context.open(Opening::Reading).await?;
        let filter = VersionFilter {
            model_type: self.model_type,
            status: self.status,
            limit: self.limit,
            offset: self.offset,
            ..VersionFilter::default()
        };
        let page = core.registry.list(filter).await?;
        let periods = if context.output.is_json() {
            Periods::default()
        } else {
            Periods::of(&core, &page.models).await?
        };
        context.output.result(&ModelListResponse::from(&page), || {
            let rows: Vec<_> = page.models.iter().map(|model| row(model, &periods)).collect();
            let header =
                ["TYPE", "VERSION", "STATUS", "CREATED", "IN PRODUCTION", "VERDICT", "CREATED BY"];
            format!("{}\n{} of {}", table(&header, &rows), rows.len(), page.total)
        });
        Ok(())
    }
}

fn row(model: &ListedModel, periods: &Periods) -> Vec<String> {
    let record = &model.record;
    let created_by = match (&model.metadata, record.collected) {
        (Some(metadata), _) => metadata.env.created_by.clone(),
        (None, Some(gone)) => format!("? (files removed {})", gone.collected_at),
        (None, None) => "? (metadata.json is damaged: run `model-registry verify`)".to_owned(),
    };
    vec![
        record.model_type.to_string(),
        record.version.to_string(),
        record.status.to_string(),
        record.created_at.to_string(),
        periods.describe(&record.model_type, record.version),
        record.check.as_ref().map_or("-", |it| it.verdict.as_str()).to_owned(),
        created_by,
    ]
}

/// When versions were in production, by type and version.
#[derive(Default)]
struct Periods(BTreeMap<ModelType, BTreeMap<Version, Vec<Period>>>);

impl Periods {
    async fn of(core: &Core, models: &[ListedModel]) -> Result<Self, Failure> {
        let mut found = Self::default();
        for model in models {
            let model_type = &model.record.model_type;
            if !found.0.contains_key(model_type) {
                let periods = core.registry.production_periods(model_type).await?;
                found.0.insert(model_type.clone(), periods);
            }
        }
        Ok(found)
    }

    /// The last period of a version, and how many there were before it.
    fn describe(&self, model_type: &ModelType, version: Version) -> String {
        let periods = self.0.get(model_type).and_then(|of_type| of_type.get(&version));
        let Some((last, before)) = periods.and_then(|periods| periods.split_last()) else {
            return "-".to_owned();
        };
        let since = last.entered.said.time;
        let until = last.until.map_or_else(|| "now".to_owned(), |until| until.to_string());
        let before = match before.len() {
            0 => String::new(),
            1 => ", and once before".to_owned(),
            times => format!(", and {times} times before"),
        };
        format!("{since} to {until}{before}")
    }
}

/// `show`: prints everything about a version.
///
/// # Errors
/// [`super::Failure`].
pub async fn show(version: VersionArguments, context: Context) -> Outcome {
    let core = context.open(Opening::Reading).await?;
    let model = core.registry.describe(&version.model_type, version.version).await?;
    let document = ListedModelResponse::from(&model);
    context.output.result(&document, || {
        let value = json!(document);
        let fields = value.as_object().into_iter().flatten();
        let lines: Vec<_> = fields
            .map(|(name, value)| {
                let shown = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
                format!("{name:20} {shown}")
            })
            .collect();
        lines.join("\n")
    });
    Ok(())
}
