//! The globals a pickle may name, and what it may do with each.
//!
//! Exact (module, name) pairs: no prefixes, because below any package stand modules that run
//! code (`numpy.f2py`, `sklearn` and its `os`). Knows names and grants, not how they are enforced.

use crate::formats::pickle::libraries::torch::tensors::Rebuild;

/// A module, what may be done with its names, and the names with a space between. Tables are
/// sorted by module.
pub(crate) type Entry = (&'static str, Grant, &'static str);

use crate::formats::pickle::libraries::{
    numpy, pandas, scipy, sklearn, standard, statsmodels, torch,
};

const TABLES: [&[Entry]; 7] = [
    standard::TABLE,
    numpy::TABLE,
    scipy::TABLE,
    statsmodels::TABLE,
    pandas::TABLE,
    sklearn::TABLE,
    torch::TABLE,
];

/// How an object may be made from a global while loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Make {
    /// Not at all: it may stand in a value, as a dtype or a scoring function does.
    Named,
    /// Without arguments, which is how most Python objects are made before they get their state.
    Empty,
    /// Likewise, and the state it gets keeps its rule.
    Stated(Stated),
    /// By calling it with any arguments.
    Call,
    /// By calling it with arguments that keep its rule.
    Ruled(Rule),
}

/// What a state must be, where giving it runs more than an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stated {
    /// The attributes of a distribution of scipy's, and its own source code among them.
    Distribution,
    /// The data of a model of statsmodels, without a formula that would be run again.
    ModelData,
}

/// What arguments a call must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// `copyreg.__newobj__(class, ...)`: as the NEWOBJ opcode.
    NewObject,
    /// `copyreg._reconstructor(class, base, state)`: both allowed classes, the base a builtin.
    Reconstructor,
    /// `_codecs.encode(text, "latin1")`, which is how old protocols write bytes.
    Encode,
    /// The first argument is the class to make, and must be an allowed global.
    ClassFirst,
    /// Elements spelled out in the file, never a size or the result of a call.
    Elements,
    /// Numbers and `None` only.
    Integers,
    /// Whole numbers, or a text of two with a slash between, as Python before 3.12 writes fractions.
    Ratio,
    /// No arguments at all.
    Nothing,
    /// A tuple with names, which keeps what it is given, by keywords as well.
    Fields,
    /// Plain numbers, texts and `None`: the ends of a slice, which can be hashed.
    Ends,
    /// A factory for missing values: a builtin or a collection.
    Factory,
    /// numpy's `_reconstruct(subtype, (0,), ...)`: an array without elements, before its state.
    EmptyArray,
    /// numpy's `scalar(dtype, bytes)`; anything but bytes would pass through unchanged.
    Scalar,
    /// `numpy.dtype(text, align, copy)`.
    Dtype,
    /// A numpy bit generator by its name or its class.
    BitGenerator,
    /// `functools.partial` of a function that may be named, and nothing else.
    Partial,
    /// joblib's stand-in for an array whose bytes follow between the opcodes.
    JoblibArray,
    /// `numpy.ma.core._mareconstruct(class, base, (0,), type)`, likewise.
    EmptyMasked,
    /// A numpy random generator from a bit generator and its own constructor.
    Generator,
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
    /// What an operator's word allows.
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
pub(crate) const DISTRIBUTION: Grant = Grant { make: Make::Stated(Stated::Distribution), ..PLAIN };
pub(crate) const CALL: Grant = Grant { make: Make::Call, state: false, fill: Fill::Nothing };

pub(crate) const fn ruled(rule: Rule) -> Grant {
    Grant { make: Make::Ruled(rule), state: false, fill: Fill::Nothing }
}

/// What may be done with a global; `None` if it is not in the list.
pub(crate) fn grant(module: &str, name: &str) -> Option<Grant> {
    TABLES.iter().find_map(|table| {
        let start = table.partition_point(|(m, ..)| *m < module);
        table[start..]
            .iter()
            .take_while(|(m, ..)| *m == module)
            .find(|(_, _, names)| names.split(' ').any(|one| one == name))
            .map(|(_, grant, _)| *grant)
    })
}

/// Whether anything of this module is in the list.
pub(crate) fn knows_module(module: &str) -> bool {
    TABLES.iter().any(|table| table.iter().any(|(known, ..)| *known == module))
}

/// Whether this name of any module is in the list.
pub(crate) fn knows_name(name: &str) -> bool {
    let in_table = |table: &&[Entry]| {
        table.iter().any(|(_, _, names)| names.split(' ').any(|known| known == name))
    };
    TABLES.iter().any(in_table)
}

/// How scipy's radial functions are computed, in whichever module they are.
const RADIAL: &str = "_h_cubic _h_gaussian _h_inverse_multiquadric _h_linear _h_multiquadric _h_quintic _h_thin_plate";
/// How the width of a density is chosen.
const WIDTH: &str = "scotts_factor silverman_factor";
/// Methods that an object without a state may have bound, to keep them in its state.
const METHODS: [(&str, &str, &str); 4] = [
    ("scipy.interpolate._rbf", "Rbf", RADIAL),
    ("scipy.interpolate.rbf", "Rbf", RADIAL),
    ("scipy.stats._kde", "gaussian_kde", WIDTH),
    ("scipy.stats.kde", "gaussian_kde", WIDTH),
];
/// The one of discrete distributions.
const ENTROPY: &str = "_entropy";

/// What may be done with an attribute of a class that a pickle takes by `getattr`; `None` if it may not be taken. One
/// may: a time zone is made from its key. Missing on purpose: the methods by which scipy's `interp1d` is told apart,
/// which Python names with dots.
pub(crate) fn attribute(module: &str, class: &str, name: &str) -> Option<Grant> {
    ((module, class, name) == ("zoneinfo", "ZoneInfo", "_unpickle")).then_some(CALL)
}

/// What may be done with a method of an object that has no state yet.
pub(crate) fn method(module: &str, class: &str, grant: Grant, name: &str) -> Option<Grant> {
    let entropy = grant.make == Make::Stated(Stated::Distribution) && name == ENTROPY;
    let listed = METHODS.iter().any(|(m, c, names)| {
        *m == module && *c == class && names.split(' ').any(|one| one == name)
    });
    (entropy || listed).then_some(NAMED)
}

/// `functools.partial` reaches anything; tied to certain functions it is part of a fitted model.
pub(crate) const PARTIAL: Grant = ruled(Rule::Partial).with_state();

/// The wrappers of joblib before 0.10, which kept each array in a file of its own.
pub(crate) fn is_joblib_file(module: &str, name: &str) -> bool {
    matches!(module, "joblib.numpy_pickle" | "joblib.numpy_pickle_compat")
        && matches!(name, "NDArrayWrapper" | "ZNDArrayWrapper")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_name_nothing_twice() {
        for table in TABLES {
            assert!(table.is_sorted_by_key(|(module, ..)| *module));
        }
        let mut all: Vec<_> = TABLES
            .iter()
            .flat_map(|table| table.iter())
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
        for (module, _, names) in TABLES.iter().flat_map(|table| table.iter()) {
            assert!(!names.contains('.'), "{module}");
        }
    }
}
