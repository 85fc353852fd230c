//! Where log lines go. A command writes each line itself. A service gives its lines to a thread that writes them, so
//! that a request never waits for the reader of its log.
//!
//! The thread takes all lines that wait and writes them at once. Lines that come shortly after are collected for the
//! next write ([`limits::LOG_PAUSE`]), so that a busy service wakes the thread a few hundred times a second and not for
//! each line. A line that finds the buffer full is lost: it is counted, and a warning says how many were.

use std::{
    cell::Cell,
    io::{self, Write},
    mem,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tracing_subscriber::fmt::MakeWriter;

use crate::{limits, metrics};

/// The lines of this process that wait to be written.
static LINES: Lines = Lines {
    waiting: Mutex::new(Waiting {
        text: Vec::new(),
        lost: 0,
        idle: false,
        given: 0,
        done: 0,
        flushing: 0,
    }),
    more: Condvar::new(),
    written: Condvar::new(),
};

/// Whether the thread runs that writes them.
static RUNNING: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// This is the thread that writes. Its own lines do not wait.
    static WRITES: Cell<bool> = const { Cell::new(false) };
}

struct Lines {
    waiting: Mutex<Waiting>,
    /// Wakes the thread.
    more: Condvar,
    /// Wakes those who wait until their lines are written.
    written: Condvar,
}

struct Waiting {
    text: Vec<u8>,
    /// Lines that found no room since the last warning.
    lost: u64,
    /// The thread waits for a line.
    idle: bool,
    /// How many bytes were given to the thread, and how many of these it has dealt with.
    given: u64,
    done: u64,
    /// How many wait until everything is written.
    flushing: usize,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        let before = waiting.text.len();
        if before + line.len() > limits::LOG_BUFFER {
            waiting.lost += 1;
            return;
        }
        waiting.text.extend_from_slice(line);
        waiting.given += line.len() as u64;
        let half = limits::LOG_BUFFER / 2;
        let wake = waiting.idle || (before < half && waiting.text.len() >= half);
        waiting.idle = false;
        drop(waiting);
        if wake {
            self.more.notify_one();
        }
    }

    /// Waits until there are lines, and takes them in exchange for an empty buffer.
    fn take(&self, empty: Vec<u8>) -> (Vec<u8>, u64) {
        let mut waiting = self.lock();
        while waiting.text.is_empty() && waiting.lost == 0 {
            waiting.idle = true;
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.idle = false;
        let text = mem::replace(&mut waiting.text, empty);
        (text, mem::take(&mut waiting.lost))
    }

    /// Tells that these bytes were dealt with, and lets further lines collect.
    fn rest(&self, done: usize) {
        let mut waiting = self.lock();
        waiting.done += done as u64;
        if waiting.flushing > 0 {
            self.written.notify_all();
            return;
        }
        let collects = |waiting: &mut Waiting| {
            waiting.flushing == 0 && waiting.text.len() < limits::LOG_BUFFER / 2
        };
        // The lock is released at the end of the statement.
        drop(self.more.wait_timeout_while(waiting, limits::LOG_PAUSE, collects));
    }

    fn flush(&self, patience: Duration) {
        let due = Instant::now() + patience;
        let mut waiting = self.lock();
        let wanted = waiting.given;
        waiting.flushing += 1;
        self.more.notify_one();
        while waiting.done < wanted {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let woken = self.written.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        waiting.flushing -= 1;
    }

    /// Writes lines for as long as the process lives.
    fn write_all(&self) {
        WRITES.set(true);
        let (mut empty, mut untold) = (Vec::new(), 0);
        loop {
            let (mut text, lost) = self.take(empty);
            let unwritten = write_lines(&text);
            if lost + unwritten > 0 {
                metrics::log_lines_lost(lost + unwritten);
            }
            untold += lost + unwritten;
            if untold > 0 && unwritten == 0 {
                tracing::warn!(
                    lines = untold,
                    "log lines were lost: they came faster than standard error takes them"
                );
                untold = 0;
            }
            let done = text.len();
            text.clear();
            text.shrink_to(limits::LOG_BUFFER_KEPT);
            empty = text;
            self.rest(done);
        }
    }
}

/// Writes lines to standard error. Returns how many were not written, in whole or in part, because that failed.
fn write_lines(text: &[u8]) -> u64 {
    let mut out = io::stderr().lock();
    let mut rest = text;
    while !rest.is_empty() {
        match out.write(rest) {
            Ok(0) => break,
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another program has set the pipe that it shares with this one to fail instead of to wait.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(limits::LOG_PAUSE);
            }
            Err(_) => break,
        }
    }
    rest.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// From now on a thread writes the lines of this process. Where the system gives no thread, each line is still written
/// by whoever has it.
pub(super) fn start() {
    if RUNNING.swap(true, Ordering::SeqCst) {
        return;
    }
    let thread = thread::Builder::new().name("log".to_owned());
    if let Err(error) = thread.spawn(|| LINES.write_all()) {
        RUNNING.store(false, Ordering::SeqCst);
        tracing::warn!(%error, "no thread can be started that writes the log");
    }
}

/// Waits until all lines so far are written, for at most this long: whoever reads standard error may have stopped.
pub(super) fn flush(patience: Duration) {
    if another_writes() {
        LINES.flush(patience);
    }
}

/// Whether another thread than this one writes the lines.
fn another_writes() -> bool {
    RUNNING.load(Ordering::Relaxed) && !WRITES.get()
}

/// The writer of log lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogWriter;

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Write for LogWriter {
    /// Each call has one whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !another_writes() {
            return io::stderr().write(line);
        }
        LINES.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
