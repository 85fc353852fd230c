//! What a pickle may do with a class or function, and the lists that say so.
//!
//! A list holds exact (module, name) pairs and no prefixes: below any package stand modules that run code
//! (`numpy.f2py`, `sklearn` and its `os`). Each library has its own list; this file says what can stand in one.

use crate::formats::pickle::libraries::torch::tensors::Rebuild;
use crate::formats::pickle::libraries::{LIBRARIES, numpy, standard};

/// A module, what may be done with its names, and the names with a space between. Lists are sorted by module.
pub(crate) type Entry = (&'static str, Grant, &'static str);

/// How an object may be made from a global while loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    /// Not at all: it may stand in a value, as a dtype or a scoring function does.
    Named,
    /// Without arguments, which is how most Python objects are made before they get their state.
    Empty,
    /// Likewise, and giving it a state runs more than an assignment: its library has a rule for that state.
    Stated,
    /// By calling it with any arguments.
    Call,
    /// By calling it with arguments that keep its rule.
    Ruled(Rule),
}

/// What arguments a call must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The first argument is the class to make, and must be an allowed global.
    ClassFirst,
    /// No arguments at all.
    Nothing,
    /// A tuple with names, which keeps what it is given, by keywords as well.
    Fields,
    /// A function of Python's own.
    Standard(standard::Call),
    /// A function of NumPy's.
    Numpy(numpy::calls::Call),
    /// joblib's stand-in for an array whose bytes follow between the opcodes.
    JoblibArray,
    /// `pyarrow.lib._restore_array`, with as many buffers as its type has.
    ArrowArray,
    /// A function of torch, over storages the same pickle names.
    Torch(Rebuild),
}

/// What the opcodes that fill containers may do with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    Nothing,
    Mapping,
    Sequence,
    Set,
    Any,
}

/// Everything a pickle may do with a global and with what it makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) make: Make,
    /// The object may be given a state.
    pub(crate) state: bool,
    pub(crate) fill: Fill,
}

impl Grant {
    /// What trust by an operator allows.
    pub(crate) const TRUSTED: Grant = Grant { make: Make::Call, state: true, fill: Fill::Any };

    pub(crate) const fn filled(self, fill: Fill) -> Self {
        Grant { fill, ..self }
    }

    pub(crate) const fn with_state(self) -> Self {
        Grant { state: true, ..self }
    }
}

pub(crate) const NAMED: Grant = Grant { make: Make::Named, state: false, fill: Fill::Nothing };
pub(crate) const PLAIN: Grant = Grant { make: Make::Empty, state: true, fill: Fill::Nothing };
/// An object whose state its library has a rule for.
pub(crate) const STATED: Grant = Grant { make: Make::Stated, ..PLAIN };
pub(crate) const CALL: Grant = Grant { make: Make::Call, state: false, fill: Fill::Nothing };

pub(crate) const fn ruled(rule: Rule) -> Grant {
    Grant { make: Make::Ruled(rule), state: false, fill: Fill::Nothing }
}

/// A tuple with names.
pub(crate) const FIELDS: Grant = ruled(Rule::Fields);
/// A tuple with names, and attributes besides.
pub(crate) const BUNCH: Grant = FIELDS.with_state();

/// What may be done with a global; `None` if it is in no list.
pub(crate) fn grant(module: &str, name: &str) -> Option<Grant> {
    LIBRARIES.iter().find_map(|library| {
        let start = library.grants.partition_point(|(m, ..)| *m < module);
        library.grants[start..]
            .iter()
            .take_while(|(m, ..)| *m == module)
            .find(|(_, _, names)| names.split(' ').any(|one| one == name))
            .map(|(_, grant, _)| *grant)
    })
}

/// Whether anything of this module is in a list.
pub(crate) fn knows_module(module: &str) -> bool {
    all_entries().any(|(known, ..)| *known == module)
}

/// Whether this name of any module is in a list.
pub(crate) fn knows_name(name: &str) -> bool {
    all_entries().any(|(_, _, names)| names.split(' ').any(|known| known == name))
}

fn all_entries() -> impl Iterator<Item = &'static Entry> {
    LIBRARIES.iter().flat_map(|library| library.grants)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::pickle::libraries::library_of;

    #[test]
    fn lists_are_sorted_name_nothing_twice_and_keep_to_their_packages() {
        for library in LIBRARIES {
            assert!(library.grants.is_sorted_by_key(|(module, ..)| *module));
            for (module, ..) in library.grants {
                assert!(std::ptr::eq(library_of(module), library), "{module}");
            }
        }
        let mut all: Vec<_> = all_entries()
            .flat_map(|(module, _, names)| names.split(' ').map(move |name| (*module, name)))
            .collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn names_that_reach_anything_are_not_in_the_list() {
        for (module, name) in [
            ("builtins", "getattr"),
            ("builtins", "setattr"),
            ("builtins", "eval"),
            ("builtins", "exec"),
            ("builtins", "type"),
            ("builtins", "map"),
            ("builtins", "__import__"),
            ("functools", "partial"),
            ("functools", "reduce"),
            ("operator", "attrgetter"),
            ("operator", "methodcaller"),
            ("os", "system"),
            ("numpy", "load"),
            ("numpy", "frompyfunc"),
            ("numpy", "apply_along_axis"),
            ("numpy.core", "_ufunc_reconstruct"),
            ("numpy._core", "_ufunc_reconstruct"),
            ("numpy.testing._private.utils", "runstring"),
            ("pandas", "eval"),
            ("pandas", "read_pickle"),
            ("joblib", "load"),
            ("polars.expr.expr", "Expr"),
            ("polars.lazyframe.frame", "LazyFrame"),
            ("sklearn.utils.fixes", "parse_version"),
        ] {
            assert_eq!(grant(module, name), None, "{module}.{name}");
        }
    }

    #[test]
    fn no_granted_name_is_dotted() {
        for (module, _, names) in all_entries() {
            assert!(!names.contains('.'), "{module}");
        }
    }
}
