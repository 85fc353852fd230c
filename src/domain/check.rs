//! What is known about a version beside its row: the result of its last load check, and whether its files were
//! removed. Neither is a part of the row that the log commits to.

use std::fmt;

use super::Timestamp;

/// The most bytes of the errors that a load check's record keeps.
const MAX_ERROR_BYTES: usize = 8 << 10;

/// The result of a load check in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The loader of the format would take the artifact.
    Loadable,
    /// The artifact is damaged, or of a format that cannot be checked.
    Unloadable,
    /// Loading the artifact could run code or exhaust the machine.
    Unsafe,
}

/// The text is not a verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a verdict must be loadable, unloadable or unsafe")]
pub struct InvalidVerdict;

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 3] = [Self::Loadable, Self::Unloadable, Self::Unsafe];

    /// Parses a verdict.
    ///
    /// # Errors
    /// [`InvalidVerdict`] where the text is not one of the three words.
    pub fn parse(text: &str) -> Result<Self, InvalidVerdict> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == text).ok_or(InvalidVerdict)
    }

    /// The verdict as the API and the catalog write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loadable => "loadable",
            Self::Unloadable => "unloadable",
            Self::Unsafe => "unsafe",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

super::serde_as_text!(Verdict);

/// The last load check of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadCheck {
    /// The result.
    pub verdict: Verdict,
    /// The format of the artifact's content, for example `pickle`.
    pub format: String,
    /// How much was checked: `parsed`, `typed` or `executed`.
    pub depth: String,
    /// What was found, one sentence each; empty where the artifact is loadable.
    pub errors: Vec<String>,
    /// The program that checked, for example `load-checks 3.0.0`.
    pub checker: String,
    /// The time of the check.
    pub checked_at: Timestamp,
}

impl LoadCheck {
    /// Keeps as many errors as fit into the catalog, and says how many were left out.
    #[must_use]
    pub fn bounded_errors(errors: Vec<String>) -> Vec<String> {
        let (total, mut bytes, mut kept) = (errors.len(), 0_usize, Vec::new());
        for error in errors {
            // PostgreSQL's JSON cannot hold NUL.
            let error = error.replace('\0', "\u{fffd}");
            bytes = bytes.saturating_add(error.len());
            if bytes > MAX_ERROR_BYTES {
                kept.push(format!("{} more are not kept", total - kept.len()));
                break;
            }
            kept.push(error);
        }
        kept
    }
}

/// The removal of a version's files. Its row, its number and its history stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collected {
    /// The time of the removal.
    pub collected_at: Timestamp,
    /// The size of the removed files, in bytes.
    pub bytes_freed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_beyond_the_bound_are_counted() {
        let few = vec!["a".to_owned(), "b\0".to_owned()];
        assert_eq!(LoadCheck::bounded_errors(few), ["a", "b\u{fffd}"]);
        let many: Vec<_> = (0..20).map(|_| "x".repeat(1000)).collect();
        let kept = LoadCheck::bounded_errors(many);
        assert_eq!((kept.len(), kept[8].as_str()), (9, "12 more are not kept"));
        assert_eq!(LoadCheck::bounded_errors(vec!["x".repeat(1 << 20)]), ["1 more are not kept"]);
    }
}
