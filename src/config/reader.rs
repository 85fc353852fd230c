//! Reading variables, and gathering what is wrong with them.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Largest file of the configuration, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The environment's variables.
#[derive(Debug, Clone, Default)]
pub struct Variables(BTreeMap<String, OsString>);

impl Variables {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        // A name that is not UTF-8 is none of ours.
        Self(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v))).collect())
    }

    /// One variable, where it is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.clone().into_string().ok()
    }

    /// The names of all variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// A variable that this program reads: it must be in the list of those that are known.
    pub(super) fn get(&self, name: &str) -> Option<&OsString> {
        debug_assert!(super::known::is_known(name), "{name} is not in the list of variables");
        self.raw(name)
    }

    /// Any variable.
    pub(super) fn raw(&self, name: &str) -> Option<&OsString> {
        self.0.get(name)
    }
}

impl<K: Into<String>, V: Into<OsString>> FromIterator<(K, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Reads variables and gathers what is wrong with them.
pub struct Reader<'a> {
    pub variables: &'a Variables,
    /// What is wrong, and stops the command.
    pub problems: Vec<String>,
    /// What is probably wrong, and is only told.
    pub warnings: Vec<String>,
    /// Variables that are set to nothing.
    pub ignored_empty: Vec<String>,
}

impl<'a> Reader<'a> {
    pub fn new(variables: &'a Variables) -> Self {
        Self { variables, problems: Vec::new(), warnings: Vec::new(), ignored_empty: Vec::new() }
    }

    pub fn problem(&mut self, name: &str, what: impl fmt::Display) {
        self.problems.push(format!("{name}: {what}"));
    }

    pub fn path(&mut self, name: &str) -> Option<PathBuf> {
        match self.variables.get(name) {
            Some(value) if value.is_empty() => {
                self.ignored_empty.push(name.to_owned());
                None
            }
            value => value.map(PathBuf::from),
        }
    }

    pub fn text(&mut self, name: &str) -> Option<String> {
        let value = self.path(name)?;
        match value.into_os_string().into_string() {
            Ok(text) if text.trim().is_empty() => {
                self.ignored_empty.push(name.to_owned());
                None
            }
            Ok(text) => Some(text),
            Err(_) => {
                self.problem(name, "must be text in UTF-8");
                None
            }
        }
    }

    pub fn parsed<T>(
        &mut self,
        name: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        match self.text(name).map(|text| parse(text.trim())) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(what)) => {
                self.problem(name, what);
                default
            }
        }
    }

    /// A switch, off where it is not set.
    pub fn flag(&mut self, name: &str) -> bool {
        self.parsed(name, false, truth)
    }

    /// A text from the variable, or from the file that `<name>_FILE` names.
    pub fn text_or_file(&mut self, name: &str) -> Option<String> {
        let file_variable = format!("{name}_FILE");
        match (self.text(name), self.path(&file_variable)) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                self.problem(name, format!("{file_variable} is set as well; keep one of them"));
                None
            }
            (Some(text), None) => Some(text),
            (None, Some(path)) => match read_limited(&path) {
                Ok(text) if text.trim().is_empty() => {
                    self.ignored_empty.push(file_variable);
                    None
                }
                Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => {
                    let what = format!("cannot read {}: {error}", path.display());
                    self.problem(&file_variable, what);
                    None
                }
            },
        }
    }
}

/// A switch's value.
///
/// # Errors
/// What it may be.
pub fn truth(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// Reads a file of the configuration.
///
/// # Errors
/// The system's; also where it is larger than such a file can be.
pub fn read_limited(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}
