//! The sandbox of load checks: a child process of this same binary that can use nothing but one open file.
//!
//! An artifact may have been written by an attacker, and its reader may have a bug. So each check runs in a process of
//! its own. Before that process reads a byte it gives up files, network, processes and signals, and most memory and
//! processor time. If it crashes, hangs or is killed, that is a result for the artifact and no failure of the service.
//!
//! Each thing that keeps the process in is called a wall. What a check does is not known here.

mod child;
mod descriptors;
mod probe;
mod walls;
mod wire;

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::ExitStatusExt as _},
    },
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{LoadReport, Sample, TrustedGlobals, fault, limits};

pub use child::{ARGUMENT, run as run_child};
pub use probe::Attempt;

use wire::{Answer, Request, Work};

/// What to do where the kernel lacks a wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Nothing is checked.
    #[default]
    Strict,
    /// Checks run behind the walls there are.
    BestEffort,
}

impl Mode {
    /// Reads the value of `MODEL_REGISTRY_SANDBOX`.
    ///
    /// # Errors
    /// The values that there are.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "strict" => Ok(Self::Strict),
            "best-effort" => Ok(Self::BestEffort),
            _ => Err("must be strict or best-effort".to_owned()),
        }
    }
}

/// Why a check has no result.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The child could not be started, or not be talked to.
    #[error("the load check's own process cannot be used: {0}")]
    Process(#[source] io::Error),
    /// The artifact could not be read.
    #[error("{0}")]
    Unreadable(String),
    /// Nobody waits for the answer any more.
    #[error("the load check was cancelled")]
    Cancelled,
    /// The kernel lacks walls, and the mode is strict.
    #[error(
        "nothing is checked without a whole sandbox, and this machine's kernel lacks {}; \
         MODEL_REGISTRY_SANDBOX=best-effort checks without it",
        .0.join(" and ")
    )]
    WallsMissing(Vec<String>),
}

/// The result of trying every wall.
#[derive(Debug, Clone, Serialize)]
pub struct Probe {
    /// Walls that could not be put up, and why.
    pub missing: Vec<String>,
    /// Everything that was tried behind the walls.
    pub attempts: Vec<Attempt>,
}

impl Probe {
    /// Whether every wall stands and held.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.missing.is_empty() && self.attempts.iter().all(|attempt| attempt.held)
    }
}

/// Starts the child processes.
#[derive(Debug, Clone)]
pub struct Sandbox {
    mode: Mode,
    binary: PathBuf,
}

impl Sandbox {
    /// Starts this same program as the child.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        // The kernel's own name for it: right also when the file was replaced by a newer one meanwhile.
        Self { mode, binary: PathBuf::from("/proc/self/exe") }
    }

    /// Checks an open file in a child. The child reads the open file itself, so that no other can be put in its place.
    ///
    /// # Errors
    /// [`SandboxError`], where the check has no result. A crash of the child is a result, and in the report.
    pub fn check(
        &self,
        file: &File,
        trusted: &TrustedGlobals,
        sample: Option<&Sample>,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<LoadReport, SandboxError> {
        let size = file.metadata().map_err(SandboxError::Process)?.len();
        let mut cpu = limits::CHECK_CPU + Duration::from_secs(size / limits::CHECK_BYTES_A_SECOND);
        if fault::named("sandbox.limits").is_some() {
            cpu = Duration::from_secs(1);
        }
        let request = Request {
            parent: std::process::id(),
            strict: self.mode == Mode::Strict,
            memory: limits::CHECK_MEMORY,
            cpu_seconds: cpu.as_secs(),
            leave_out: Vec::new(),
            lacking: fault::named("sandbox.lacking"),
            fault: fault::named("sandbox.check"),
            work: Work::Check { trusted: trusted.pairs(), sample: sample.cloned() },
        };
        let stdin = file.try_clone().map_err(SandboxError::Process)?;
        let (status, said) =
            self.converse(stdin.into(), &request, cpu * 2 + limits::CHECK_GRACE, keep_going)?;
        match said.last().map(|line| serde_json::from_slice(line)) {
            Some(Ok(Answer::Report(report))) if status.success() => Ok(report),
            Some(Ok(Answer::WallsMissing(walls))) => Err(SandboxError::WallsMissing(walls)),
            Some(Ok(Answer::Unreadable(why))) => Err(SandboxError::Unreadable(why)),
            last => {
                let cause = cause_of_death(status, cpu);
                let panic = match last {
                    Some(Ok(Answer::Panicked(panic))) => Some(panic),
                    _ => None,
                };
                tracing::error!(cause, panic, bytes = size, "a load check's process died");
                Ok(LoadReport::inconclusive(format!(
                    "the load check {cause}; the artifact cannot be said to load"
                )))
            }
        }
    }

    /// Puts up the walls in a child and tries to get past each. `leave_out` names walls that are left out, so that a
    /// test can show what each of them prevents; a release build puts up all.
    ///
    /// # Errors
    /// [`SandboxError::Process`].
    pub fn probe(&self, leave_out: Vec<String>) -> Result<Probe, SandboxError> {
        let request = Request {
            parent: std::process::id(),
            strict: false,
            memory: limits::CHECK_MEMORY,
            cpu_seconds: limits::CHECK_CPU.as_secs(),
            leave_out,
            lacking: fault::named("sandbox.lacking"),
            fault: None,
            work: Work::Probe,
        };
        let nothing = File::open("/dev/null").map_err(SandboxError::Process)?;
        let (_, said) = self.converse(nothing.into(), &request, limits::CHECK_GRACE, &|| true)?;
        let mut found = Probe { missing: Vec::new(), attempts: Vec::new() };
        for line in said {
            match serde_json::from_slice(&line) {
                Ok(Answer::WallsMissing(walls)) => found.missing = walls,
                Ok(Answer::Attempt(attempt)) => {
                    // The last word on an attempt counts: the one to become another program is announced first.
                    found.attempts.retain(|earlier| earlier.tried != attempt.tried);
                    found.attempts.push(attempt);
                }
                _ => return Err(SandboxError::Process(io::ErrorKind::InvalidData.into())),
            }
        }
        if found.attempts.len() < probe::ATTEMPTS {
            return Err(SandboxError::Process(io::Error::other("the probe's process died early")));
        }
        Ok(found)
    }

    /// Starts a child, sends it the request, and collects the lines that it writes until it ends, nobody waits for it,
    /// or its time is over.
    fn converse(
        &self,
        stdin: OwnedFd,
        request: &Request,
        time: Duration,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<(ExitStatus, Vec<Vec<u8>>), SandboxError> {
        let (mut ours, theirs) = UnixStream::pair().map_err(SandboxError::Process)?;
        let child = Command::new(&self.binary)
            .arg(ARGUMENT)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(stdin))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::null())
            .spawn()
            .map_err(SandboxError::Process)?;
        let mut child = Reaped(child);
        let mut line = serde_json::to_vec(request).map_err(|e| SandboxError::Process(e.into()))?;
        line.push(b'\n');
        ours.set_read_timeout(Some(limits::CHECK_POLL)).map_err(SandboxError::Process)?;
        // A child that died already is told by its status, not by the broken pipe.
        drop(ours.write_all(&line));
        let deadline = Instant::now() + time;
        let mut said = Vec::new();
        let mut piece = [0; 16 * 1024];
        loop {
            if !keep_going() {
                return Err(SandboxError::Cancelled);
            }
            if Instant::now() > deadline || said.len() > limits::CHECK_ANSWER {
                drop(child.0.kill());
                break;
            }
            match ours.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => said.extend_from_slice(&piece[..count]),
                Err(error) if is_only_waiting(&error) => {}
                // As a closed one: the child died with the request unread.
                Err(_) => break,
            }
        }
        let status = child.0.wait().map_err(SandboxError::Process)?;
        let lines = said.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok((status, lines.map(<[u8]>::to_vec).collect()))
    }
}

/// A child that is ended when this value is dropped.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Neither can fail but for a child that is gone already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn is_only_waiting(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

/// Says why a child gave no answer, for an operator.
fn cause_of_death(status: ExitStatus, cpu: Duration) -> String {
    const SIGABRT: i32 = 6;
    const SIGKILL: i32 = 9;
    const SIGXCPU: i32 = 24;
    match (status.signal(), status.code()) {
        (Some(SIGXCPU), _) => {
            format!("needed more than {} s of processor time and was ended", cpu.as_secs())
        }
        (Some(SIGKILL), _) => "took too long or too much, and was killed".to_owned(),
        (Some(SIGABRT), _) => {
            format!(
                "ran out of its {} MiB of memory, or of its stack, and gave up",
                limits::CHECK_MEMORY >> 20
            )
        }
        (Some(signal), _) => format!("crashed (signal {signal})"),
        (None, _) => "failed within itself; the log has more".to_owned(),
    }
}
