//! The child's side: reads the request, puts up the walls, checks, answers and ends.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    os::fd::AsFd as _,
    process::ExitCode,
};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::{
    descriptors, probe, walls,
    wire::{Answer, Request, Work},
};
use crate::{TrustedGlobals, check};

/// The argument that makes this program a sandbox's child. It is no command: the child talks to its parent alone.
pub const ARGUMENT: &str = "__load-check";

/// Runs the child. Standard input is the artifact, standard output the line to the parent.
///
/// Exit status 0 once the answer is written; 2 where there is no request.
#[must_use]
pub fn run() -> ExitCode {
    match converse() {
        Ok(()) => ExitCode::SUCCESS,
        // Its parent is gone, or is none of ours: there is nobody to report to.
        Err(_) => ExitCode::from(2),
    }
}

fn converse() -> io::Result<()> {
    // A child whose parent is gone answers nobody.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let line_to_parent = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let artifact = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut asked = String::new();
    BufReader::new(&line_to_parent).read_line(&mut asked)?;
    let request: Request = serde_json::from_str(&asked)?;
    let parent = getppid();
    if parent.map(|parent| parent.as_raw_nonzero().get().unsigned_abs()) != Some(request.parent) {
        // It died before its death could be heard of.
        return Err(io::ErrorKind::NotConnected.into());
    }
    // What the parent's other threads, or its own parent, left open.
    let strangers = descriptors::close_all_but(&[&artifact, &line_to_parent])?;
    let leave_out = if cfg!(debug_assertions) { request.leave_out } else { Vec::new() };
    let mut missing = walls::raise(request.memory, request.cpu_seconds, &leave_out);
    if cfg!(debug_assertions) {
        missing.extend(request.lacking);
    }
    let say = |answer: &Answer| {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        (&line_to_parent).write_all(&line)
    };
    if !missing.is_empty() && (request.strict || matches!(request.work, Work::Probe)) {
        say(&Answer::WallsMissing(missing))?;
        if request.strict {
            return Ok(());
        }
    }
    match request.work {
        Work::Probe => {
            probe::climb(parent, strangers, &mut |attempt| say(&Answer::Attempt(attempt)))
        }
        Work::Check { trusted, sample } => {
            let for_panic = line_to_parent.try_clone();
            std::panic::set_hook(Box::new(move |panic| {
                let place = panic.location().map(ToString::to_string).unwrap_or_default();
                let message = panic.payload_as_str().unwrap_or("a panic without a message");
                let answer = Answer::Panicked(format!("{message} at {place}"));
                if let (Ok(line), Ok(text)) = (&for_panic, serde_json::to_string(&answer)) {
                    let mut line = line;
                    drop(writeln!(line, "{text}"));
                }
            }));
            misbehave(request.fault.as_deref());
            let trusted = TrustedGlobals::new(trusted);
            // The parent ends a check that it gives up by ending the process.
            let answer = match check(&artifact, &trusted, sample.as_ref(), &|| true) {
                Ok(report) => Answer::Report(report),
                Err(error) => Answer::Unreadable(error.to_string()),
            };
            say(&answer)
        }
    }
}

#[cfg(not(debug_assertions))]
fn misbehave(_fault: Option<&str>) {}

/// Does what a test asked for, as a reader with a bug would.
#[cfg(debug_assertions)]
fn misbehave(fault: Option<&str>) {
    fn overflow(depth: u64) -> u64 {
        let frame = std::hint::black_box([depth; 512]);
        if frame[7] == u64::MAX { 0 } else { overflow(depth + 1).wrapping_add(frame[9]) }
    }
    match fault {
        Some("hang") => std::thread::sleep(std::time::Duration::from_secs(3600)),
        Some("spin") => loop {
            std::hint::spin_loop();
        },
        Some("abort") => std::process::abort(),
        Some("panic") => panic!("fault injected"),
        Some("overflow") => {
            std::hint::black_box(overflow(0));
        }
        Some("memory") => {
            let mut held: Vec<Vec<u8>> = Vec::new();
            loop {
                held.push(std::hint::black_box(vec![1; 16 << 20]));
            }
        }
        _ => {}
    }
}
