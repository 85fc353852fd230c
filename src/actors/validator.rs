//! `ValidatorActor`: checks whether a version is intact and would load. The work runs on blocking threads and in
//! processes of its own, as many at a time as there are cores; the actor only queues it. Requests for a version that
//! is being checked share one run.

use std::{
    collections::HashMap,
    fs::File,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, watch};

use super::supervise::supervised;
use load_checks::{LoadReport, Sample, Sandbox, SandboxError};

use crate::{
    artifacts::{ArtifactStore, StoreError, UnverifiedArtifact, VerifiedFiles},
    domain::{
        LoadCheck, Metadata, ModelId, Sha256Digest, Timestamp, Verdict, VersionRecord, log::Subject,
    },
    error::{ErrorKind, RegistryError},
    fault::{self, Point},
    limits, metrics,
    policy::PolicyInForce,
    progress::Progress,
};

/// The state that validations share.
#[derive(Clone)]
pub struct Checks {
    /// The version folders.
    pub store: ArtifactStore,
    /// The record of verified files, which a failed check corrects.
    pub verified: Arc<VerifiedFiles>,
    /// The policy in force, which names the classes that a pickle may name in addition to the built-in ones.
    pub policy: PolicyInForce,
    /// The sandbox of the load checks.
    pub sandbox: Sandbox,
}

/// Owns the queue of load checks.
pub struct ValidatorActor {
    checks: Checks,
    workers: Arc<Semaphore>,
    /// The runs that have not ended.
    runs: HashMap<(ModelId, Sha256Digest), Arc<Run>>,
}

impl ValidatorActor {
    /// An actor with one worker for each core.
    #[must_use]
    pub fn new(checks: Checks) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { checks, workers: Arc::new(Semaphore::new(cores)), runs: HashMap::new() }
    }
}

impl Actor for ValidatorActor {
    type Context = Context<Self>;
}

supervised!(ValidatorActor, "validator", capacity = limits::VALIDATOR_CAPACITY);

/// The result of a validation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// Whether sidecar and artifact match their recorded hashes.
    pub checksum_verified: bool,
    /// The fault of the hashes.
    pub integrity_errors: Vec<String>,
    /// The load check; `None` where the hashes were already wrong.
    pub load: Option<LoadReport>,
}

impl Validation {
    /// Whether the version is intact and would load.
    #[must_use]
    pub fn load_successful(&self) -> bool {
        self.load.as_ref().is_some_and(|report| report.verdict == load_checks::Verdict::Loadable)
    }

    /// Every fault, one sentence each.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        let load = self.load.iter().flat_map(|report| report.errors.iter());
        self.integrity_errors.iter().chain(load).cloned().collect()
    }
}

/// Checks whether a version is intact and would load. A broken artifact is an answer, not an error.
#[derive(Message)]
#[rtype(result = "Result<Validation, RegistryError>")]
pub struct ValidateArtifact {
    /// The version's row.
    pub record: VersionRecord,
    /// Set when nobody waits for the answer.
    pub cancelled: Arc<AtomicBool>,
    /// Receives the progress of the hashing.
    pub progress: Progress,
}

/// The answer to all who wait for a run; it is set once.
type Outcome = Option<Result<Validation, RegistryError>>;

/// One run and the requests that wait for it.
struct Run {
    askers: Mutex<Askers>,
    outcome: watch::Sender<Outcome>,
}

#[derive(Default)]
struct Askers {
    waiting: Vec<(Arc<AtomicBool>, Progress)>,
    /// The run stops because nobody waits for it; no request can join it.
    given_up: bool,
}

impl Run {
    fn new() -> Self {
        Self { askers: Mutex::default(), outcome: watch::channel(None).0 }
    }

    fn askers(&self) -> std::sync::MutexGuard<'_, Askers> {
        self.askers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins this run, unless it has ended or is stopping.
    fn join(&self, message: &ValidateArtifact) -> Option<watch::Receiver<Outcome>> {
        let mut askers = self.askers();
        if askers.given_up || self.outcome.borrow().is_some() {
            return None;
        }
        askers.waiting.push((message.cancelled.clone(), message.progress.clone()));
        Some(self.outcome.subscribe())
    }

    /// Whether anybody still waits. The last one to leave stops the run.
    fn wanted(&self) -> bool {
        let mut askers = self.askers();
        askers.waiting.retain(|(cancelled, _)| !cancelled.load(Ordering::Relaxed));
        askers.given_up |= askers.waiting.is_empty();
        !askers.given_up
    }

    fn tell(&self, done: u64, of: u64, what: &str) {
        for (_, progress) in &self.askers().waiting {
            progress(done, of, what);
        }
    }
}

impl Handler<ValidateArtifact> for ValidatorActor {
    type Result = ResponseFuture<Result<Validation, RegistryError>>;

    fn handle(&mut self, message: ValidateArtifact, _: &mut Self::Context) -> Self::Result {
        fault::point(Point::ValidatorValidate);
        self.runs.retain(|_, run| run.outcome.borrow().is_none());
        let key = (message.record.model_id, message.record.checksum_sha256);
        if let Some(outcome) = self.runs.get(&key).and_then(|run| run.join(&message)) {
            tracing::debug!(model_id = %key.0, "joins a validation under way");
            return Box::pin(outcome_of(outcome));
        }
        let run = Arc::new(Run::new());
        let Some(outcome) = run.join(&message) else {
            return Box::pin(async { Err(RegistryError::internal("a new run cannot be joined")) });
        };
        self.runs.insert(key, run.clone());
        let (checks, workers) = (self.checks.clone(), self.workers.clone());
        let record = message.record;
        // The first request does not await the run: the run must not end when that request goes away.
        actix::spawn(async move {
            let result = match workers.acquire_owned().await {
                Ok(permit) => {
                    let run = run.clone();
                    super::blocking(move || {
                        let _permit = permit;
                        validate(&checks, &record, &run)
                    })
                    .await
                }
                Err(closed) => Err(RegistryError::internal(closed)),
            };
            // Under the lock, so that no request joins between the last check and the answer.
            let _askers = run.askers();
            run.outcome.send_replace(Some(result));
        });
        Box::pin(outcome_of(outcome))
    }
}

async fn outcome_of(mut outcome: watch::Receiver<Outcome>) -> Result<Validation, RegistryError> {
    let outcome = outcome.wait_for(Option::is_some).await.map_err(RegistryError::internal)?;
    outcome
        .clone()
        .unwrap_or_else(|| Err(RegistryError::internal("a validation ended without an outcome")))
}

/// Checks whether a file that is not registered yet would load. A broken artifact is an answer, not an error.
#[derive(Message)]
#[rtype(result = "Result<LoadReport, RegistryError>")]
pub struct CheckFile {
    /// The file.
    pub file: File,
    /// The size of the file, in bytes.
    pub bytes: u64,
    /// The version that it is to become.
    pub subject: Subject,
    /// The parameters of the version.
    pub parameters: Map<String, Value>,
    /// Set when nobody waits for the answer.
    pub cancelled: Arc<AtomicBool>,
}

impl Handler<CheckFile> for ValidatorActor {
    type Result = ResponseFuture<Result<LoadReport, RegistryError>>;

    fn handle(&mut self, message: CheckFile, _: &mut Self::Context) -> Self::Result {
        let (checks, workers) = (self.checks.clone(), self.workers.clone());
        Box::pin(async move {
            let permit = workers.acquire_owned().await.map_err(RegistryError::internal)?;
            super::blocking(move || {
                let _permit = permit;
                check_file(&checks, message)
            })
            .await
        })
    }
}

fn check_file(checks: &Checks, ask: CheckFile) -> Result<LoadReport, RegistryError> {
    let name = format!("{}/{}", ask.subject.model_type, ask.subject.version);
    let pace = Pace::of(ask.subject, ask.bytes);
    let going = || {
        pace.tell("checking that it loads", None);
        !ask.cancelled.load(Ordering::Relaxed)
    };
    let (trusted, sample) = (checks.policy.now(), sample_of(&ask.parameters));
    let report = checks
        .sandbox
        .check(&ask.file, &trusted.trusted, sample.as_ref(), &going)
        .map_err(|error| no_answer(error, &name))?;
    metrics::load_check(report.format, report.verdict, pace.started.elapsed());
    Ok(report)
}

/// A report as the catalog keeps it.
#[must_use]
pub fn kept(report: &LoadReport, checked_at: Timestamp) -> LoadCheck {
    LoadCheck {
        verdict: match report.verdict {
            load_checks::Verdict::Loadable => Verdict::Loadable,
            load_checks::Verdict::Unloadable => Verdict::Unloadable,
            load_checks::Verdict::Unsafe => Verdict::Unsafe,
        },
        format: report.format.to_string(),
        depth: report.depth.to_string(),
        errors: LoadCheck::bounded_errors(report.errors.clone()),
        checker: format!("load-checks {}", load_checks::VERSION),
        checked_at,
    }
}

/// The number of load checks that could start now.
#[derive(Message)]
#[rtype(result = "Result<usize, RegistryError>")]
pub struct ReportQueue;

impl Handler<ReportQueue> for ValidatorActor {
    type Result = Result<usize, RegistryError>;

    fn handle(&mut self, _: ReportQueue, _: &mut Self::Context) -> Self::Result {
        Ok(self.workers.available_permits())
    }
}

fn validate(
    checks: &Checks,
    record: &VersionRecord,
    run: &Run,
) -> Result<Validation, RegistryError> {
    let pace = Pace::of(Subject::of(record), record.artifact_size_bytes);
    let work = Work { checks, record, run, pace, intact: OnceLock::new() };
    let root = checks.store.root();
    let mut integrity_errors = Vec::new();
    let sidecar = match checks.verified.read_sidecar(root, record) {
        Ok(sidecar) => Some(sidecar),
        Err(error) => {
            integrity_errors.push(integrity_only(error)?);
            None
        }
    };
    let load = match work.examine(sidecar.as_ref().map(|sidecar| sidecar.metadata.as_ref())) {
        Ok(Some(checked)) => Some(checked.map_err(|error| no_answer(error, &record.name()))?),
        Ok(None) => None,
        Err(error) => {
            integrity_errors.push(integrity_only(error)?);
            None
        }
    };
    let validation =
        Validation { checksum_verified: integrity_errors.is_empty(), integrity_errors, load };
    log(record, &validation, work.pace.started);
    if let Some(report) = &validation.load {
        metrics::load_check(report.format, report.verdict, work.pace.started.elapsed());
    }
    Ok(validation)
}

/// One validation of an artifact, as the threads that work on it share it.
struct Work<'a> {
    checks: &'a Checks,
    record: &'a VersionRecord,
    run: &'a Run,
    pace: Pace,
    /// Whether the hash is right, once that is known.
    intact: OnceLock<bool>,
}

/// The result of a load check.
type Checked = Result<LoadReport, SandboxError>;

impl Work<'_> {
    /// Hashes the artifact, and checks it if there is a sidecar. What a check said of bytes with another hash is lost.
    fn examine(&self, sidecar: Option<&Metadata>) -> Result<Option<Checked>, StoreError> {
        let verified = &self.checks.verified;
        let artifact = verified.open_unverified(self.checks.store.root(), self.record)?;
        let Some(sidecar) = sidecar else {
            return self.hash(&artifact).map(|()| None);
        };
        let sample = sample_of(&sidecar.parameters);
        let check = || self.check(&artifact, sample.as_ref());
        let checked = if self.record.artifact_size_bytes < limits::CHECK_WHILE_HASHING {
            self.hash(&artifact)?;
            check()
        } else {
            self.hash_and_check(&artifact, check)?
        };
        if checked.is_ok() {
            verified.require_unchanged(&artifact, self.record)?;
        }
        Ok(Some(checked))
    }

    /// Hashes a large artifact while it is checked: the two read the same open file, from the page cache.
    fn hash_and_check(
        &self,
        artifact: &UnverifiedArtifact,
        check: impl Fn() -> Checked + Send + Copy,
    ) -> Result<Checked, StoreError> {
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().name("load check".to_owned());
            let Ok(checking) = builder.spawn_scoped(scope, check) else {
                // The system has no more threads; one is enough.
                self.hash(artifact)?;
                return Ok(check());
            };
            let hashed = self.hash(artifact);
            let checked = checking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            hashed.map(|()| checked)
        })
    }

    fn hash(&self, artifact: &UnverifiedArtifact) -> Result<(), StoreError> {
        let keep_going = |done| {
            self.run.tell(done, self.record.artifact_size_bytes, "hashing");
            self.pace.tell("hashing", Some(done));
            self.run.wanted()
        };
        let hashed = self.checks.verified.hash_artifact(artifact, self.record, &keep_going);
        // It is set once: an artifact is hashed once.
        self.intact.get_or_init(|| hashed.is_ok());
        hashed?;
        fault::point(Point::ValidatorHashed);
        Ok(())
    }

    fn check(&self, artifact: &UnverifiedArtifact, sample: Option<&Sample>) -> Checked {
        let keep_going = || {
            match self.intact.get() {
                None => {}
                Some(true) => self.pace.tell("checking that it loads", None),
                Some(false) => return false,
            }
            self.run.wanted()
        };
        let Checks { sandbox, policy, .. } = self.checks;
        sandbox.check(&artifact.file, &policy.now().trusted, sample, &keep_going)
    }
}

/// An integrity fault is a finding; any other error of the disk means that there is no result.
fn integrity_only(error: StoreError) -> Result<String, RegistryError> {
    match error {
        StoreError::Integrity(fault) => Ok(fault.to_string()),
        other => Err(other.into()),
    }
}

fn no_answer(error: SandboxError, name: &str) -> RegistryError {
    match error {
        SandboxError::WallsMissing(_) => {
            RegistryError::new(ErrorKind::RegistryUnavailable, error.to_string())
        }
        error => RegistryError::unavailable(
            "The load check could not run; try again",
            format!("{name}: {error}"),
        ),
    }
}

/// `parameters.sample_input` and `parameters.expected_output`, if both are rows of numbers.
fn sample_of(parameters: &Map<String, Value>) -> Option<Sample> {
    let rows = |name: &str| -> Option<Vec<Vec<f64>>> {
        let rows = parameters.get(name)?.as_array()?;
        rows.iter()
            .map(|row| match row {
                Value::Array(row) => row.iter().map(Value::as_f64).collect(),
                // With one output for each row, the inner brackets are often left out.
                number => number.as_f64().map(|number| vec![number]),
            })
            .collect()
    };
    Some(Sample { input: rows("sample_input")?, expected: rows("expected_output")? })
}

/// Logs, every few seconds, that a long check is still running.
struct Pace {
    subject: Subject,
    bytes: u64,
    started: Instant,
    told: Mutex<Instant>,
}

impl Pace {
    fn of(subject: Subject, bytes: u64) -> Self {
        let now = Instant::now();
        Self { subject, bytes, started: now, told: Mutex::new(now) }
    }

    fn tell(&self, what: &str, done: Option<u64>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() < limits::VALIDATION_LOG_ROUND {
            return;
        }
        *told = Instant::now();
        tracing::info!(
            model_type = %self.subject.model_type,
            version = %self.subject.version,
            model_id = %self.subject.model_id,
            what,
            bytes_done = done,
            bytes = self.bytes,
            elapsed_s = self.started.elapsed().as_secs(),
            "still validating"
        );
    }
}

fn log(record: &VersionRecord, validation: &Validation, started: Instant) {
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
        notes = report.map(|report| report.notes.join("; ")),
        duration_ms = started.elapsed().as_secs_f64() * 1e3,
        "validated"
    );
}
