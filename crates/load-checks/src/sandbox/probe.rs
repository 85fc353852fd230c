//! Tries the walls from within: everything that code in the child must not be able to do.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    net::{TcpListener, UdpSocket},
    os::unix::{net::UnixDatagram, process::CommandExt as _},
    process::Command,
    thread,
};

use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::limits;

/// The number of attempts.
pub(super) const ATTEMPTS: usize = 14;

/// The result of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What was tried.
    pub tried: String,
    /// Whether it was prevented.
    pub held: bool,
    /// What came of it.
    pub outcome: String,
}

/// Makes every attempt, and reports each as it is done.
pub(super) fn climb(
    parent: Option<Pid>,
    strangers: usize,
    tell: &mut dyn FnMut(Attempt) -> io::Result<()>,
) -> io::Result<()> {
    let mut told = |tried: &str, outcome: io::Result<()>| {
        let (held, outcome) = judged(outcome);
        tell(Attempt { tried: tried.to_owned(), held, outcome })
    };
    told("read a file", File::open("/etc/passwd").map(drop))?;
    told("read this program's own file", File::open("/proc/self/exe").map(drop))?;
    told("look whether a file is there", fs::symlink_metadata("/etc/passwd").map(drop))?;
    told("list a directory", fs::read_dir("/").map(drop))?;
    told("write a file", write_a_file())?;
    told("open a TCP socket", TcpListener::bind("127.0.0.1:0").map(drop))?;
    told("open a UDP socket", UdpSocket::bind("127.0.0.1:0").map(drop))?;
    told("open a unix socket", UnixDatagram::unbound().map(drop))?;
    told("start a thread", thread::Builder::new().spawn(|| ()).map(drop))?;
    told("start a process", start_a_process())?;
    told("signal the parent", signal(parent))?;
    told("hold more memory than allowed", hold_memory())?;
    told("see the environment", environment(strangers))?;
    // The last one: where it is not prevented, this process becomes another program, and the report made before
    // stays.
    let tried = "become another program";
    tell(Attempt { tried: tried.to_owned(), held: false, outcome: "it could".to_owned() })?;
    let error = Command::new("/bin/true").exec();
    let (held, outcome) = judged(Err(error));
    tell(Attempt { tried: tried.to_owned(), held, outcome })
}

/// Only a refusal counts: a missing file, or a port in use, is no wall.
fn judged(outcome: io::Result<()>) -> (bool, String) {
    match outcome {
        Ok(()) => (false, "it could".to_owned()),
        Err(error) => {
            let refused =
                matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::OutOfMemory);
            (refused, error.to_string())
        }
    }
}

fn write_a_file() -> io::Result<()> {
    let path = format!("/tmp/.model-registry-probe-{}", std::process::id());
    File::create(&path)?;
    fs::remove_file(&path)
}

fn start_a_process() -> io::Result<()> {
    Command::new("/bin/true").spawn()?.wait().map(drop)
}

fn signal(parent: Option<Pid>) -> io::Result<()> {
    match parent {
        // Signal 0 does nothing; being allowed to send it is what counts.
        Some(parent) => Ok(test_kill_process(parent)?),
        // In a process namespace of its own it cannot even be named.
        None => Err(ErrorKind::PermissionDenied.into()),
    }
}

fn hold_memory() -> io::Result<()> {
    let much = usize::try_from(limits::CHECK_MEMORY).unwrap_or(usize::MAX);
    let mut held: Vec<u8> = Vec::new();
    held.try_reserve_exact(much).map_err(|error| io::Error::new(ErrorKind::OutOfMemory, error))?;
    drop(std::hint::black_box(held));
    Ok(())
}

/// The parent's variables and descriptors, which may be secrets.
fn environment(strangers: usize) -> io::Result<()> {
    let variables = std::env::vars_os().count();
    if variables > 0 {
        return Ok(());
    }
    let said = format!("no variables; {strangers} inherited descriptors closed");
    Err(io::Error::new(ErrorKind::PermissionDenied, said))
}
