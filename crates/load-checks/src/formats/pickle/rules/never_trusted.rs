//! Packages whose names no pickle may use, whatever an operator trusts.

/// Python's own packages whose functions run whatever code or command they are given.
///
/// No class of theirs is accepted in a pickle unless the built-in rules grant it by name, and an operator cannot
/// grant it either: whoever reads the operator's list of trusted classes must refuse these.
pub const NEVER_TRUSTED: [&str; 21] = [
    "_pickle",
    "asyncio",
    "builtins",
    "code",
    "codecs",
    "ctypes",
    "functools",
    "importlib",
    "marshal",
    "multiprocessing",
    "nt",
    "operator",
    "os",
    "pickle",
    "posix",
    "pty",
    "runpy",
    "shutil",
    "socket",
    "subprocess",
    "sys",
];

/// The package of [`NEVER_TRUSTED`] that a module belongs to.
pub(crate) fn runs_anything(module: &str) -> Option<&'static str> {
    let top = module.split('.').next().unwrap_or_default();
    NEVER_TRUSTED.into_iter().find(|name| *name == top)
}

/// The library that a module belongs to, if that library stores code in pickles.
pub(crate) fn code_writer(module: &str) -> Option<&'static str> {
    let top = module.split('.').next().unwrap_or_default();
    ["cloudpickle", "dill"].into_iter().find(|writer| *writer == top)
}
