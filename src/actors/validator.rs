//! `ValidatorActor`: is it intact, and would it load? The work runs on blocking threads, as many at a time
//! as there are cores; the actor itself only queues.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use tokio::sync::Semaphore;

use super::supervise::supervised;
use crate::{
    artifacts::{ArtifactStore, StoreError, VerifiedFiles},
    domain::VersionRecord,
    error::RegistryError,
    fault,
    formats::{self, LoadReport, TrustedGlobals, Verdict},
    limits, metrics,
    progress::Progress,
};

/// What validations share.
#[derive(Clone)]
pub struct Checks {
    /// The version folders.
    pub store: ArtifactStore,
    /// The memory of verified files, which a failed check corrects.
    pub verified: Arc<VerifiedFiles>,
    /// Classes that a pickle may name beside the built-in ones.
    pub trusted: Arc<TrustedGlobals>,
}

/// Owns the queue of load checks.
pub struct ValidatorActor {
    checks: Checks,
    workers: Arc<Semaphore>,
}

impl ValidatorActor {
    /// An actor with as many workers as there are cores.
    #[must_use]
    pub fn new(checks: Checks) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { checks, workers: Arc::new(Semaphore::new(cores)) }
    }
}

impl Actor for ValidatorActor {
    type Context = Context<Self>;
}

supervised!(ValidatorActor, "validator", capacity = limits::VALIDATOR_CAPACITY);

/// What a validation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// Whether sidecar and artifact have their recorded hashes.
    pub checksum_verified: bool,
    /// What is wrong with the hashes.
    pub integrity_errors: Vec<String>,
    /// The load check; `None` where the hashes were wrong already.
    pub load: Option<LoadReport>,
}

impl Validation {
    /// Whether it would load.
    #[must_use]
    pub fn load_successful(&self) -> bool {
        self.load.as_ref().is_some_and(|report| report.verdict == Verdict::Loadable)
    }

    /// Everything that is wrong, a sentence each.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        let load = self.load.iter().flat_map(|report| report.errors.iter());
        self.integrity_errors.iter().chain(load).cloned().collect()
    }
}

/// Is this version intact, and would it load? A broken artifact is an answer, not an error.
#[derive(Message)]
#[rtype(result = "Result<Validation, RegistryError>")]
pub struct ValidateArtifact {
    /// The version's row.
    pub record: VersionRecord,
    /// Set when nobody waits for the answer any more.
    pub cancelled: Arc<AtomicBool>,
    /// Hears how far the hashing has come.
    pub progress: Progress,
}

impl Handler<ValidateArtifact> for ValidatorActor {
    type Result = ResponseFuture<Result<Validation, RegistryError>>;

    fn handle(&mut self, message: ValidateArtifact, _: &mut Self::Context) -> Self::Result {
        fault::point("validator.validate");
        let (checks, workers) = (self.checks.clone(), self.workers.clone());
        Box::pin(async move {
            let permit = workers.acquire_owned().await.map_err(RegistryError::internal)?;
            super::blocking(move || {
                let _permit = permit;
                validate(&checks, &message)
            })
            .await
        })
    }
}

/// How many load checks could start at once.
#[derive(Message)]
#[rtype(result = "Result<usize, RegistryError>")]
pub struct ReportQueue;

impl Handler<ReportQueue> for ValidatorActor {
    type Result = Result<usize, RegistryError>;

    fn handle(&mut self, _: ReportQueue, _: &mut Self::Context) -> Self::Result {
        Ok(self.workers.available_permits())
    }
}

fn validate(checks: &Checks, message: &ValidateArtifact) -> Result<Validation, RegistryError> {
    let started = Instant::now();
    let record = &message.record;
    let going = || !message.cancelled.load(Ordering::Relaxed);
    let hashed = |done| {
        (message.progress)(done, record.artifact_size_bytes, "hashing");
        going()
    };
    let root = checks.store.root();
    let mut integrity_errors = Vec::new();
    if let Err(error) = checks.verified.read_sidecar(root, record) {
        integrity_errors.push(integrity_only(error)?);
    }
    let artifact = match checks.verified.rehash_artifact(root, record, &hashed) {
        Ok(file) => Some(file),
        Err(error) => {
            integrity_errors.push(integrity_only(error)?);
            None
        }
    };
    let load = match artifact {
        Some(file) if integrity_errors.is_empty() => Some(
            formats::check(file, &checks.trusted, &going)
                .map_err(|error| StoreError::io("read", record.artifact_path(), error))?,
        ),
        _ => None,
    };
    let validation =
        Validation { checksum_verified: integrity_errors.is_empty(), integrity_errors, load };
    log(record, &validation);
    if let Some(report) = &validation.load {
        metrics::load_check(report.format, report.verdict, started.elapsed());
    }
    Ok(validation)
}

/// An integrity fault is a finding; anything else of the disk means that nothing was found out.
fn integrity_only(error: StoreError) -> Result<String, RegistryError> {
    match error {
        StoreError::Integrity(fault) => Ok(fault.to_string()),
        other => Err(other.into()),
    }
}

fn log(record: &VersionRecord, validation: &Validation) {
    let report = validation.load.as_ref();
    tracing::info!(
        model_type = %record.model_type,
        version = %record.version,
        model_id = %record.model_id,
        checksum_verified = validation.checksum_verified,
        format = report.map(|report| tracing::field::display(report.format)),
        verdict = report.map(|report| tracing::field::display(report.verdict)),
        depth = report.map(|report| tracing::field::display(report.depth)),
        errors = validation.errors().join("; "),
        "validated"
    );
}
