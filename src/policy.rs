//! The policy in force: shared by all that obey it, and read again when its file changes.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use load_checks::{Format, NEVER_TRUSTED, TrustedGlobals};

use crate::{
    domain::{
        Policy,
        policy::{InvalidPolicy, Vocabulary},
    },
    file_stamp::FileStamp,
};

/// Largest policy file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A policy, and what the load checks need of it.
#[derive(Debug)]
pub struct Rules {
    /// The operator's decisions.
    pub policy: Policy,
    /// The classes that a pickle may name in addition to the built-in ones.
    pub trusted: TrustedGlobals,
}

impl Rules {
    fn of(policy: Policy) -> Arc<Self> {
        let trusted = TrustedGlobals::new(policy.trusted_globals.iter().cloned());
        Arc::new(Self { policy, trusted })
    }
}

/// Why a policy file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyProblem {
    /// The file cannot be read.
    #[error("cannot read {0}")]
    Unreadable(String),
    /// Its content is wrong.
    #[error("{0}: {1}")]
    Invalid(PathBuf, InvalidPolicy),
}

/// The policy in force. Clones share it.
#[derive(Debug, Clone)]
pub struct PolicyInForce(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    rules: RwLock<Arc<Rules>>,
    /// How often the policy was replaced.
    generation: AtomicU64,
    file: Option<PathBuf>,
    /// The state in which the file was last read.
    seen: Mutex<Option<FileStamp>>,
}

impl Default for PolicyInForce {
    /// The built-in policy.
    fn default() -> Self {
        Self::fixed(Policy::default())
    }
}

impl PolicyInForce {
    /// A policy that no file holds.
    #[must_use]
    pub fn fixed(policy: Policy) -> Self {
        Self::new(policy, None, None)
    }

    fn new(policy: Policy, file: Option<PathBuf>, seen: Option<FileStamp>) -> Self {
        Self(Arc::new(Shared {
            rules: RwLock::new(Rules::of(policy)),
            generation: AtomicU64::new(0),
            file,
            seen: Mutex::new(seen),
        }))
    }

    /// The policy of a file.
    ///
    /// # Errors
    /// [`PolicyProblem`].
    pub fn load(file: PathBuf) -> Result<Self, PolicyProblem> {
        // Before it is read: a change during the read is then seen later.
        let seen = FileStamp::of(&file).ok();
        let policy = read(&file)?;
        Ok(Self::new(policy, Some(file), seen))
    }

    /// The rules that hold now.
    #[must_use]
    pub fn now(&self) -> Arc<Rules> {
        self.0.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A number that changes whenever the policy is replaced.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// The policy's file, where it has one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.0.file.as_deref()
    }

    /// Reads the file again where it changed since it was last read; `None` where it did not. A file that cannot be
    /// used leaves the policy as it is.
    pub fn look(&self) -> Option<Result<(), PolicyProblem>> {
        let file = self.0.file.as_ref()?;
        let found = FileStamp::of(file).ok();
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == found {
            return None;
        }
        *seen = found;
        Some(self.take(file))
    }

    /// Reads the file again, also where it did not change; `None` where there is no file.
    pub fn reload(&self) -> Option<Result<(), PolicyProblem>> {
        let file = self.0.file.as_ref()?;
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = FileStamp::of(file).ok();
        Some(self.take(file))
    }

    fn take(&self, file: &Path) -> Result<(), PolicyProblem> {
        let rules = Rules::of(read(file)?);
        *self.0.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        self.0.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

/// Reads and checks a policy file.
///
/// # Errors
/// [`PolicyProblem`].
pub fn read(file: &Path) -> Result<Policy, PolicyProblem> {
    let unreadable = |what: &dyn std::fmt::Display| {
        PolicyProblem::Unreadable(format!("{}: {what}", file.display()))
    };
    let mut text = String::new();
    File::open(file)
        .and_then(|opened| opened.take(MAX_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| unreadable(&error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(unreadable(&format_args!("it is larger than {MAX_BYTES} bytes")));
    }
    parse(&text).map_err(|error| PolicyProblem::Invalid(file.to_owned(), error))
}

/// Checks the text of a policy file.
///
/// # Errors
/// [`InvalidPolicy`].
pub fn parse(text: &str) -> Result<Policy, InvalidPolicy> {
    let formats = Format::ALL.map(|format| format.to_string());
    Policy::parse(text, Vocabulary { never_trusted: &NEVER_TRUSTED, formats: &formats })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_file_leaves_the_last_good_policy_in_force() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("policy.toml");
        let days = |policy: &PolicyInForce| policy.now().policy.retention.staged_days;
        std::fs::write(&file, "[retention]\nstaged_days = 7\n").expect("write");
        let policy = PolicyInForce::load(file.clone()).expect("policy");
        assert_eq!((days(&policy), policy.look()), (7, None));
        std::fs::write(&file, "[retention]\nstaged_day = 8\n").expect("write");
        let told = policy.look().expect("changed").expect_err("wrong").to_string();
        assert!(told.contains("line 2") && told.contains("`staged_days`?"), "{told}");
        assert_eq!((days(&policy), policy.look(), policy.generation()), (7, None, 0));
        std::fs::remove_file(&file).expect("remove");
        assert!(policy.look().is_some_and(|looked| looked.is_err()));
        std::fs::write(&file, "[retention]\nstaged_days = 9\n").expect("write");
        assert_eq!(policy.look(), Some(Ok(())));
        assert_eq!((days(&policy), policy.generation()), (9, 1));
    }

    /// As a mounted secret or config map is replaced.
    #[test]
    fn a_link_that_is_swapped_is_followed() {
        let folder = tempfile::tempdir().expect("folder");
        let path = |name: &str| folder.path().join(name);
        for (name, days) in [("one", 1), ("two", 2)] {
            std::fs::create_dir(path(name)).expect("folder");
            let text = format!("[retention]\nstaged_days = {days}\n");
            std::fs::write(path(name).join("policy.toml"), text).expect("write");
        }
        std::os::unix::fs::symlink("one", path("data")).expect("link");
        let policy = PolicyInForce::load(path("data/policy.toml")).expect("policy");
        std::os::unix::fs::symlink("two", path("next")).expect("link");
        std::fs::rename(path("next"), path("data")).expect("rename");
        assert_eq!(policy.look(), Some(Ok(())));
        assert_eq!(policy.now().policy.retention.staged_days, 2);
    }

    #[test]
    fn every_format_of_the_load_checks_can_be_allowed() {
        let all = Format::ALL.map(|format| format!("\"{format}\"")).join(", ");
        let policy = parse(&format!("[types.x]\nformats = [{all}]")).expect("policy");
        let (_, rules) = policy.types().find(|(name, _)| name.as_str() == "x").expect("type");
        assert!(rules.allows_format("skops") && !rules.allows_format("docx"));
        assert!(parse("[types.x]\nformats = [\"docx\"]").is_err());
    }
}
