//! Output of a command: text for people, or one JSON document with `--json`.

use std::{
    io::{self, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};

use serde::Serialize;
use serde_json::json;

use super::Failure;
use crate::domain::text::for_terminal;

/// The output of a command.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
}

impl Output {
    /// Output for programs or for people.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether the output is JSON.
    #[must_use]
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints a result in the requested form.
    pub fn result(self, document: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json {
            match serde_json::to_string_pretty(document) {
                Ok(document) => print(&document),
                Err(error) => lose(&error.into()),
            }
        } else {
            // Names and paths may contain any character.
            print(&for_terminal(&text()));
        }
    }

    /// Prints a line; nothing with `--json`.
    pub fn line(self, text: &str) {
        print(text);
    }

    /// Prints bytes of a format that is made to be read by programs, as they are.
    pub fn bytes(self, bytes: &[u8]) {
        write_out(bytes);
    }

    /// Prints why a command failed, and returns the exit status.
    #[must_use]
    pub fn failure(self, failure: &Failure) -> u8 {
        match failure {
            Failure::Verdict(status) => *status,
            Failure::Configuration(problems) => {
                if self.json {
                    let detail = problems.0.join("; ");
                    self.result(
                        &json!({ "detail": detail, "code": "INVALID_CONFIGURATION" }),
                        String::new,
                    );
                } else {
                    let problems = problems.0.join("\n  ");
                    complain(&for_terminal(&format!(
                        "error: the configuration is wrong\n  {problems}"
                    )));
                }
                2
            }
            Failure::Registry(error) => {
                let code = error.kind().code();
                if self.json {
                    // The operator may see details that an HTTP client may not.
                    self.result(&json!({ "detail": error.to_string(), "code": code }), String::new);
                } else {
                    complain(&for_terminal(&format!("error: {error} [{code}]")));
                }
                error.kind().exit_status()
            }
        }
    }
}

/// Whether a result could not be printed.
static LOST: AtomicBool = AtomicBool::new(false);

/// Whether a result could not be printed. The exit status must then not say that all is well.
#[must_use]
pub fn is_lost() -> bool {
    LOST.load(Ordering::Relaxed)
}

fn lose(error: &io::Error) {
    LOST.store(true, Ordering::Relaxed);
    complain(&format!("error: the command ran, but its result could not be printed: {error}"));
}

/// Prints a line on standard error. A failure to print cannot be reported.
pub fn complain(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

fn print(text: &str) {
    write_out(format!("{text}\n").as_bytes());
}

/// Writes to standard output. A closed pipe, for example of `head`, is not an error.
fn write_out(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => lose(&error),
        _ => {}
    }
}

/// Lines of columns, each as wide as its widest cell.
#[must_use]
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded: Vec<_> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(header.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}
