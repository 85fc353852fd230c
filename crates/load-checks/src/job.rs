//! What one check shares: what the caller asked for, what was found so far, and the limits that are left.
//!
//! Knows no format.

use std::collections::HashSet;
use std::io;

use crate::budget::Budget;
use crate::report::{Finding, Findings, Format};
use crate::source::Spoiled;

/// Classes and functions, as exact (module, name) pairs, that an operator trusts besides those of the built-in rules.
///
/// Trusting a pair means: it may be called while loading, with any arguments, and its result may
/// be given any state.
#[derive(Debug, Clone, Default)]
pub struct TrustedGlobals(HashSet<(String, String)>);

impl TrustedGlobals {
    /// Trusts exactly these pairs.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// The pairs.
    #[must_use]
    pub fn pairs(&self) -> Vec<(String, String)> {
        self.0.iter().cloned().collect()
    }

    /// Whether this very pair is trusted.
    pub fn contains(&self, module: &str, name: &str) -> bool {
        // A set of owned pairs cannot be searched with borrowed ones; the list is short.
        self.0.iter().any(|(m, n)| m == module && n == name)
    }
}

/// Inputs that came with a model, and what the model predicted for them when it was made.
///
/// A check that can run the model compares its predictions; no check needs a sample.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Sample {
    /// Rows of features.
    pub input: Vec<Vec<f64>>,
    /// What the model predicts for each row.
    pub expected: Vec<Vec<f64>>,
}

/// Why a reader stopped before the end of its work.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The artifact could not be read, or the caller asked to stop.
    Io(io::Error),
    /// Nothing can be read from here on; the finding is already written down.
    Broken,
    /// Nothing can be read from here on, and this is why.
    Found(Box<Finding>),
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Spoiled>()) {
            Some(Spoiled::Broken(what)) => Halt::Found(Box::new(Finding::fault(what))),
            Some(Spoiled::Bomb(what)) => Halt::Found(Box::new(Finding::danger(what))),
            None => Halt::Io(error),
        }
    }
}

/// What one check shares among the readers of its parts.
pub(crate) struct Job<'a> {
    pub(crate) trusted: &'a TrustedGlobals,
    pub(crate) sample: Option<&'a Sample>,
    pub(crate) keep_going: &'a dyn Fn() -> bool,
    pub(crate) findings: Findings,
    /// The format of the content.
    pub(crate) format: Format,
    /// The format of the outermost container, if there is one.
    pub(crate) container: Option<Format>,
    pub(crate) budget: Budget,
}

impl Job<'_> {
    /// A job for a part that is read on its own: what is found there counts only if the caller says so.
    pub(crate) fn aside(&self, format: Format) -> Job<'_> {
        Job {
            trusted: self.trusted,
            sample: None,
            keep_going: self.keep_going,
            findings: Findings::default(),
            format,
            container: None,
            budget: Budget::of(0),
        }
    }

    /// Fails when the caller asked to stop; to be called between steps.
    pub(crate) fn poll(&self) -> Result<(), Halt> {
        Ok(poll(self.keep_going)?)
    }

    /// Writes down that its own loader would fail here, and stops.
    pub(crate) fn broken<T>(&mut self, sentence: impl Into<String>) -> Result<T, Halt> {
        self.findings.broken(sentence);
        Err(Halt::Broken)
    }

    /// Writes down a danger; reading may go on.
    pub(crate) fn danger(&mut self, sentence: impl Into<String>) {
        self.findings.danger(sentence);
    }
}

/// Fails with `Interrupted` when the caller asked to stop.
pub(crate) fn poll(keep_going: &dyn Fn() -> bool) -> io::Result<()> {
    if keep_going() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::Interrupted, "the load check was cancelled"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_an_exact_pair() {
        let trusted = TrustedGlobals::new([("ours.models".to_owned(), "Risk".to_owned())]);
        assert!(trusted.contains("ours.models", "Risk"));
        assert!(!trusted.contains("ours", "models.Risk"));
        assert!(!trusted.contains("ours.models", "Risk2"));
    }
}
