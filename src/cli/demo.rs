//! `demo`: a small registry of real models for trying out the API. It is in a temporary directory that is removed
//! when the process ends.

use std::{net::TcpListener, path::Path};

use clap::Args;
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Context, Outcome, start_logging};
use load_checks::Mode;

use crate::{
    catalog::Author,
    config::{
        EdgeSettings, Environment, LogFormat, ServerSettings, Settings, TokenPlace, TokenRole,
        TokenSource,
    },
    domain::{
        ArtifactFile, ModelType, Version, log::publisher::Publisher, metadata,
        registration::Registration,
    },
    error::RegistryError,
    limits,
    policy::PolicyInForce,
    registry::{Registry, promote::Promote, register::Incoming},
    startup::{Application, Core, Opening, Signals},
};

const HOST: &str = "127.0.0.1";
const USER: &str = "demo";

/// Files that NumPy, scikit-learn and `json` wrote.
const RISK_MODEL: &[u8] = include_bytes!("demo_data/risk_model_numpy.pkl");
const FEATURE_TRANSFORMS: &[u8] = include_bytes!("demo_data/feature_transforms_sklearn.pkl");
const ALPHA_WEIGHTS: &[u8] = include_bytes!("demo_data/alpha_weights.json");

/// A version of the demonstration.
struct Sample {
    model_type: &'static str,
    version: &'static str,
    extension: &'static str,
    artifact: &'static [u8],
    parameters: Value,
    metrics: Value,
    promote: bool,
}

fn samples() -> Vec<Sample> {
    let risk = |version, ic: f64, promote| Sample {
        model_type: "risk_model",
        version,
        extension: "pkl",
        artifact: RISK_MODEL,
        parameters: json!({
            "factor_list": ["size", "value"], "halflife_days": 60, "shrinkage_intensity": 0.5,
        }),
        metrics: json!({ "ic": ic, "sharpe": 1.2, "paper_trade_hours": 48.0 }),
        promote,
    };
    vec![
        risk("v1.0.0", 0.03, true),
        risk("v1.1.0", 0.04, true),
        // Stays staged: its ic does not pass the gate.
        risk("v1.2.0", 0.01, false),
        Sample {
            model_type: "alpha_weights",
            version: "v1.0.0",
            extension: "json",
            artifact: ALPHA_WEIGHTS,
            parameters: json!({
                "alpha_names": ["momentum", "reversal"], "combination_method": "ic_weighted",
                "ic_threshold": 0.02,
            }),
            metrics: json!({ "ic": 0.05, "sharpe": 1.4, "paper_trade_hours": 72 }),
            promote: true,
        },
        Sample {
            model_type: "feature_transforms",
            version: "v1.0.0",
            extension: "pkl",
            artifact: FEATURE_TRANSFORMS,
            parameters: json!({
                "feature_names": ["close", "volume"],
                "normalization_params": { "method": "zscore" },
            }),
            metrics: json!({ "ic": 0.03, "sharpe": 0.9, "paper_trade_hours": 30 }),
            promote: false,
        },
    ]
}

/// Flags of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// The port to listen on; a free one where this one is in use
    #[arg(long, default_value_t = 8003, value_parser = super::port)]
    port: u16,
}

impl Demo {
    /// Creates the registry, serves it until Ctrl-C, and removes it.
    ///
    /// # Errors
    /// [`super::Failure`].
    pub async fn run(self, context: Context) -> Outcome {
        let directory =
            tempfile::Builder::new().prefix("model-registry-demo-").tempdir().map_err(|error| {
                RegistryError::unavailable("cannot make a temporary directory", error)
            })?;
        // A signal during the set-up must not leave the directory behind either.
        let mut signals = Signals::with_hang_up()?;
        tokio::select! {
            made = self.make(directory.path(), &context) => drop(made?.run_until_stopped(signals).await?),
            _ = signals.next() => {}
        }
        let place = directory.path().to_owned();
        directory.close().map_err(|error| {
            RegistryError::unavailable(format!("cannot remove {}", place.display()), error)
        })?;
        if !context.output.is_json() {
            context.output.line("The demonstration has ended and its directory is removed.");
        }
        Ok(())
    }

    async fn make(
        &self,
        directory: &Path,
        context: &Context,
    ) -> Result<Application, RegistryError> {
        let settings = Settings {
            registry_dir: directory.to_owned(),
            database: None,
            environment: Environment::Dev,
            log_format: LogFormat::Text,
            log_filter: context.variables.text("RUST_LOG"),
            policy: PolicyInForce::default(),
            strict_versions: true,
            // Its artifacts are its own.
            sandbox: Mode::BestEffort,
            require_existing: false,
            ignored_empty: Vec::new(),
            warnings: Vec::new(),
        };
        start_logging(&settings, "warn");
        let core = Core::open(&settings, Opening::Creating).await?;
        for sample in samples() {
            add(&core.registry, sample).await?;
        }
        let (read, admin) = (throw_away_token(), throw_away_token());
        let server = ServerSettings {
            largest_artifact: Some(limits::LARGEST_ARTIFACT),
            host: HOST.to_owned(),
            port: self.free_port(),
            tokens: vec![
                token_source(TokenRole::Admin, &admin),
                token_source(TokenRole::Read, &read),
            ],
            identity: None,
            allowed_origins: Vec::new(),
            edge: EdgeSettings::default(),
            publisher: Publisher::default(),
        };
        let application = Application::build(&settings, &server).await?;
        announce(context, application.port(), directory, &read, &admin);
        Ok(application)
    }

    /// The requested port, or 0 (any free port) where it is in use.
    fn free_port(&self) -> u16 {
        TcpListener::bind((HOST, self.port)).map_or(0, |_| self.port)
    }
}

fn token_source(role: TokenRole, token: &str) -> TokenSource {
    let place = TokenPlace::Value(SecretString::from(token));
    TokenSource { role, variable: format!("the {} token", role.name()), place }
}

fn throw_away_token() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

async fn add(registry: &Registry, sample: Sample) -> Result<(), RegistryError> {
    let model_type = ModelType::parse(sample.model_type).map_err(RegistryError::internal)?;
    let version = Version::parse(sample.version).map_err(RegistryError::internal)?;
    let registration = Registration {
        model_type: model_type.clone(),
        version,
        artifact_file: ArtifactFile::for_extension(Some(sample.extension))
            .map_err(RegistryError::internal)?,
        snapshot_id: "snap-demo".to_owned(),
        dataset_version_ids: [("crsp".to_owned(), "v1.2.3".to_owned())].into(),
        parameters: object(sample.parameters),
        metrics: object(sample.metrics),
        config: object(json!({ "learning_rate": 0.02, "max_depth": 6 })),
        factor_list: vec!["momentum".to_owned(), "value".to_owned()],
        feature_formulas: None,
        env: metadata::Environment {
            created_by: USER.to_owned(),
            cvxpy_version: None,
            dependencies_hash: "unknown".to_owned(),
            numpy_version: "unknown".to_owned(),
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            polars_version: "unknown".to_owned(),
            python_version: "unknown".to_owned(),
            sklearn_version: None,
        },
        experiment_id: None,
        run_id: None,
        dataset_uri: None,
        qlib_version: None,
    };
    let author = Author { actor: USER.to_owned(), authenticated_as: None };
    let artifact = Incoming::new(Box::new(sample.artifact));
    registry.register(registration, artifact, &author, None).await?;
    if sample.promote {
        let promote = Promote {
            model_type,
            version,
            author,
            reason: Some("for the demonstration".to_owned()),
            skip_gates: false,
        };
        registry.promote(promote).await?;
    }
    Ok(())
}

fn announce(context: &Context, port: u16, directory: &Path, read: &str, admin: &str) {
    let url = format!("http://{HOST}:{port}");
    let document = json!({
        "url": url, "registry_dir": directory.display().to_string(),
        "read_token": read, "admin_token": admin,
    });
    context.output.result(&document, || {
        let models = format!("{url}/api/v1/models");
        let get = |path: &str| format!("  curl -s -H 'Authorization: Bearer {read}' {models}/{path}");
        [
            format!("Serving a registry of five model versions on {url}, until Ctrl-C."),
            format!("Its directory, removed at the end: {}", directory.display()),
            String::new(),
            "Which version is in production?".to_owned(),
            get("risk_model/current"),
            "Everything about a version, and who put it where:".to_owned(),
            get("risk_model/v1.1.0"),
            get("risk_model/v1.1.0/history"),
            "All versions, or those in one status:".to_owned(),
            get("risk_model"),
            format!(
                "  curl -s -H 'Authorization: Bearer {read}' '{models}/risk_model?status_filter=staged'"
            ),
            "The artifact itself, verified before it is sent:".to_owned(),
            get("alpha_weights/v1.0.0/artifact"),
            "Is it intact, and would it load? (a scope that the read token does not hold)".to_owned(),
            format!(
                "  curl -s -X POST -H 'Authorization: Bearer {admin}' {models}/feature_transforms/v1.0.0/validate"
            ),
            "And without a token:".to_owned(),
            format!("  curl -s -i {models}/risk_model/current"),
        ]
        .join("\n")
    });
}
