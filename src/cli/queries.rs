//! `list`, `show` and `history`.

use clap::Args;
use serde_json::json;

use super::{Context, Outcome, VersionArguments, output::table, status};
use crate::{
    catalog::VersionFilter,
    domain::{ModelType, Status},
    schemas::{HistoryResponse, ModelListResponse, ModelMetadataResponse},
    startup::Opening,
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
        context.output.result(&ModelListResponse::from(&page), || {
            let rows: Vec<_> = page
                .models
                .iter()
                .map(|model| {
                    let record = &model.record;
                    let promoted = record.promoted_at.map(|at| at.to_string());
                    vec![
                        record.model_type.to_string(),
                        record.version.to_string(),
                        record.status.to_string(),
                        record.created_at.to_string(),
                        promoted.unwrap_or_else(|| "-".to_owned()),
                        model.metadata.as_ref().map_or_else(
                            || {
                                "? (metadata.json is damaged: run `model-registry verify`)"
                                    .to_owned()
                            },
                            |metadata| metadata.env.created_by.clone(),
                        ),
                    ]
                })
                .collect();
            let header = ["TYPE", "VERSION", "STATUS", "CREATED", "PROMOTED", "CREATED BY"];
            format!("{}\n{} of {}", table(&header, &rows), rows.len(), page.total)
        });
        Ok(())
    }
}

/// `show`: prints everything about a version.
///
/// # Errors
/// [`super::Failure`].
pub async fn show(version: VersionArguments, context: Context) -> Outcome {
    let core = context.open(Opening::Reading).await?;
    let model = core.registry.find(&version.model_type, version.version).await?;
    let document = ModelMetadataResponse::from(&model);
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

/// `history`: prints the transitions of a version.
///
/// # Errors
/// [`super::Failure`].
pub async fn history(version: VersionArguments, context: Context) -> Outcome {
    let core = context.open(Opening::Reading).await?;
    let transitions = core.registry.history(&version.model_type, version.version).await?;
    context.output.result(&HistoryResponse::from(transitions.as_slice()), || {
        let rows: Vec<_> = transitions
            .iter()
            .map(|link| {
                let skipped = if link.gates_skipped { " (gates skipped)" } else { "" };
                vec![
                    link.changed_at.to_string(),
                    link.from_status.map_or("-", Status::as_str).to_owned(),
                    format!("{}{skipped}", link.to_status),
                    link.changed_by.clone(),
                    link.authenticated_as.clone().unwrap_or_else(|| "-".to_owned()),
                    link.reason.clone().unwrap_or_else(|| "-".to_owned()),
                ]
            })
            .collect();
        table(&["WHEN", "FROM", "TO", "WHO", "AUTHENTICATED AS", "WHY"], &rows)
    });
    Ok(())
}
