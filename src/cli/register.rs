//! `register`.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    Context, Outcome,
    check::open_regular,
    operator::{author, operator},
    progress,
};
use crate::{
    domain::{ArtifactFile, ModelType, Version, registration::Registration},
    error::{ErrorKind, RegistryError},
    registry::{documents, register::Incoming},
    schemas::{requests::EnvironmentRequest, written::RegisteredResponse},
    startup::Opening,
};

/// The largest JSON document that a flag may name with `@`, in bytes.
const MAX_DOCUMENT_BYTES: u64 = 4 << 20;

/// Arguments of `register`. Flags that take JSON also take @FILE.
#[derive(Debug, Args)]
pub struct Register {
    /// The model type, for example risk_model
    #[arg(value_parser = ModelType::parse)]
    model_type: ModelType,
    /// The model file that training wrote
    artifact: PathBuf,
    /// The version number, for example v1.4.0
    #[arg(long, value_parser = Version::parse)]
    version: Version,
    /// The data snapshot that it was trained on
    #[arg(long, value_name = "ID")]
    snapshot_id: String,
    /// Versions of the data sets that it was trained on: {"crsp":"v1.2.3"}
    #[arg(long, value_name = "JSON|@FILE")]
    dataset_versions: String,
    /// Hyper-parameters, including those that the type requires
    #[arg(long, value_name = "JSON|@FILE", default_value = "{}")]
    parameters: String,
    /// Metrics of its evaluation, as numbers: {"ic":0.04,"sharpe":1.2,"paper_trade_hours":48}
    #[arg(long, value_name = "JSON|@FILE", default_value = "{}")]
    metrics: String,
    /// The training configuration
    #[arg(long, value_name = "JSON|@FILE", default_value = "{}")]
    config: String,
    /// The factors that it uses, separated by commas
    #[arg(long, value_delimiter = ',')]
    factors: Vec<String>,
    /// A formula of its features; may be given more than once
    #[arg(long = "feature-formula", value_name = "FORMULA")]
    feature_formulas: Vec<String>,
    /// Who registers it [default: the user who runs the command]
    #[arg(long)]
    created_by: Option<String>,
    /// The training environment: {"python_version":"3.11.2","numpy_version":"2.4.6",…}
    #[arg(long, value_name = "JSON|@FILE", default_value = "{}")]
    env: String,
    /// The experiment that it came from
    #[arg(long, value_name = "ID")]
    experiment_id: Option<String>,
    /// The run that it came from
    #[arg(long, value_name = "ID")]
    run_id: Option<String>,
    /// The location of its data set
    #[arg(long, value_name = "URI")]
    dataset_uri: Option<String>,
    /// The version of Qlib that trained it
    #[arg(long)]
    qlib_version: Option<String>,
    /// The reason for the registration, for the history
    #[arg(long)]
    reason: Option<String>,
}

impl Register {
    /// Registers the version.
    ///
    /// # Errors
    /// [`super::Failure`].
    pub async fn run(self, context: Context) -> Outcome {
        let settings = context.settings()?;
        let registration = self.registration()?;
        let refused = |error: std::io::Error| {
            RegistryError::new(
                ErrorKind::InvalidRequest,
                format!("cannot read the artifact {}: {error}", self.artifact.display()),
            )
        };
        let file = open_regular(&self.artifact).map_err(refused)?;
        let size = file.metadata().map_err(refused)?.len();
        let core = crate::startup::Core::open(&settings, Opening::Creating).await?;
        let incoming = Incoming {
            size,
            progress: progress::bar(context.output),
            ..Incoming::new(Box::new(file))
        };
        let author = author(Some(registration.env.created_by.clone()));
        let reason = self.reason.as_deref();
        let record = core.registry.register(registration, incoming, &author, reason).await?;
        let document = RegisteredResponse::from(&record);
        context.output.result(&document, || {
            let mut lines = vec![format!(
                "{} {} is registered as staged, SHA-256 {}",
                record.model_type, record.version, record.checksum_sha256
            )];
            if let Some(check) = &record.check {
                lines.push(format!(
                    "verdict  {} ({}, {})",
                    check.verdict, check.format, check.depth
                ));
                lines.extend(check.errors.iter().map(|error| format!("error    {error}")));
            }
            lines.join("\n")
        });
        Ok(())
    }

    fn registration(&self) -> Result<Registration, RegistryError> {
        let environment: EnvironmentRequest = document("--env", &self.env)?;
        let created_by = self.created_by.clone();
        let environment =
            EnvironmentRequest { created_by: created_by.or(environment.created_by), ..environment };
        let created_by = operator();
        let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
        let extension = self.artifact.extension().map(|extension| extension.to_string_lossy());
        let artifact_file = ArtifactFile::for_extension(extension.as_deref()).map_err(|error| {
            RegistryError::new(
                ErrorKind::InvalidRequest,
                format!("the artifact's name {}: {error}", self.artifact.display()),
            )
        })?;
        let formulas = Some(self.feature_formulas.clone()).filter(|list| !list.is_empty());
        Ok(Registration {
            model_type: self.model_type.clone(),
            version: self.version,
            artifact_file,
            snapshot_id: self.snapshot_id.clone(),
            dataset_version_ids: document::<BTreeMap<String, String>>(
                "--dataset-versions",
                &self.dataset_versions,
            )?,
            parameters: document::<Map<String, Value>>("--parameters", &self.parameters)?,
            metrics: document("--metrics", &self.metrics)?,
            config: document("--config", &self.config)?,
            factor_list: self.factors.clone(),
            feature_formulas: formulas,
            env: environment.complete(&created_by, &platform),
            experiment_id: self.experiment_id.clone(),
            run_id: self.run_id.clone(),
            dataset_uri: self.dataset_uri.clone(),
            qlib_version: self.qlib_version.clone(),
        })
    }
}

/// Parses a flag's JSON, from its value or from the file of `@FILE`.
fn document<T: DeserializeOwned>(flag: &str, value: &str) -> Result<T, RegistryError> {
    let refused =
        |what: String| RegistryError::new(ErrorKind::InvalidRequest, format!("{flag} {what}"));
    let (text, place) = match value.strip_prefix('@') {
        Some(path) => {
            let text = read_document(path).map_err(|error| {
                refused(format!("names the file {path}, which cannot be read: {error}"))
            })?;
            (text, format!("in {path}"))
        }
        None => (value.to_owned(), "in its value".to_owned()),
    };
    let expected = "must be JSON, or @FILE for a file that holds JSON";
    documents::parse(text.as_bytes(), expected, &place).map_err(refused)
}

fn read_document(path: &str) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let read =
        open_regular(path.as_ref())?.take(MAX_DOCUMENT_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_DOCUMENT_BYTES {
        return Err(std::io::Error::other(format!("it is larger than {MAX_DOCUMENT_BYTES} bytes")));
    }
    Ok(text)
}
