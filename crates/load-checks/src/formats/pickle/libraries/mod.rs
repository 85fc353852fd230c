//! What the rules know of each library, a file or a folder a library.
//!
//! A [`Library`] says which of its classes and functions a pickle may use and how, what its calls take, and what its
//! states may hold. The rules ask it; nothing else in the rules names a library.

pub(crate) mod arch;
pub(crate) mod hmmlearn;
pub(crate) mod joblib;
pub(crate) mod lightgbm;
pub(crate) mod ml_dtypes;
pub(crate) mod models;
pub(crate) mod numpy;
pub(crate) mod pandas;
pub(crate) mod polars;
pub(crate) mod pyarrow;
pub(crate) mod scipy;
pub(crate) mod sklearn;
pub(crate) mod standard;
pub(crate) mod statsmodels;
pub(crate) mod torch;
pub(crate) mod xgboost;

use numpy::arrays::Array;

use crate::formats::pickle::rules::grants::Entry;
use crate::formats::pickle::unpickler::arena::{Arena, DictNote, GlobalNote, InstanceNote};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

/// Everything that the rules know of one library.
pub(crate) struct Library {
    /// The packages that belong to it: the first parts of its modules' names.
    pub(crate) packages: &'static [&'static str],
    /// What a pickle may do with its classes and functions, sorted by module.
    pub(crate) grants: &'static [Entry],
    /// Modules, by how their names begin, whose objects may compute items when they are taken for rows of values.
    /// No table is made of such an object in a pickle.
    pub(crate) computes_items: &'static [&'static str],
    /// Modules, by how their names begin, whose objects lay out in memory what their state holds.
    pub(crate) lays_out_state: &'static [&'static str],
    /// Whether a function may be called with an argument that is no plain value.
    pub(crate) takes: fn(&Arena, &GlobalNote, Argument<'_>) -> bool,
    /// Whether a function may be called with these arguments, all of which it takes one by one.
    pub(crate) fits: fn(&Arena, &GlobalNote, &[Value]) -> bool,
    /// Whether a function that is given a class makes objects of that class.
    pub(crate) makes: fn(&GlobalNote, &GlobalNote) -> bool,
    /// Whether a function that may only be named may stand in a `functools.partial`.
    pub(crate) may_be_tied: fn(&GlobalNote) -> bool,
    /// Counts what a call costs beyond its arguments.
    pub(crate) count_call: fn(&mut Machine<'_, '_, '_>, u32, &[Value]) -> Result<(), Halt>,
    /// What is to be remembered of the result of a call.
    pub(crate) made: fn(&Arena, &GlobalNote, &[Value]) -> Made,
    /// The method of an object without a state that `getattr` may take: whether there is one of this name.
    pub(crate) method: fn(&GlobalNote, &str) -> bool,
    /// Reports what is wrong with the state that an object is given, and counts what its class copies out of it.
    pub(crate) check_state: fn(&mut Machine<'_, '_, '_>, u32, Value) -> Result<(), Halt>,
    /// Reports what is wrong with items that an object is given; they stand on the stack from this place on.
    pub(crate) check_items: fn(&mut Machine<'_, '_, '_>, u32, usize),
    /// Whether attributes that a class keeps in slots are set without code of its own.
    pub(crate) plain_slots: fn(&GlobalNote, &DictNote) -> bool,
}

/// An argument that is no plain value.
pub(crate) enum Argument<'a> {
    /// A tuple of more items than are kept.
    LongTuple,
    List,
    Dict(Value),
    /// A text longer than any name.
    LongText,
    /// The result of a call, with the class or function that it came from.
    Object(&'a InstanceNote, &'a GlobalNote),
}

/// What is remembered of the result of a call.
#[derive(Default)]
pub(crate) struct Made {
    /// Its hash is computed by Python code from a state that the file chose.
    pub(crate) hashed_by_code: bool,
    /// The file chooses its hash.
    pub(crate) chosen_hash: bool,
    /// It holds buffers of Arrow.
    pub(crate) holds_buffers: bool,
    /// It is a type of Arrow: the number of buffers that an array of it has.
    pub(crate) buffers: u8,
    /// It is an array that gets its items with its state.
    pub(crate) raw_array: bool,
    /// The type and shape of the array that it is, or of one by which its state is to be judged.
    pub(crate) array: Option<Array>,
}

impl Library {
    /// A library of which nothing is known; the others are written as what differs from it.
    const UNKNOWN: Library = Library {
        packages: &[],
        grants: &[],
        computes_items: &[],
        lays_out_state: &[],
        takes: takes_its_own,
        fits: |_, _, _| true,
        makes: is_unpickler_of,
        may_be_tied: |_| false,
        count_call: |_, _, _| Ok(()),
        made: |_, _, _| Made::default(),
        method: |_, _| false,
        check_state: |_, _, _| Ok(()),
        check_items: |_, _, _| {},
        plain_slots: |_, _| false,
    };

    /// Whether objects of a module may compute their items.
    pub(crate) fn computes_items(&self, module: &str) -> bool {
        self.computes_items.iter().any(|start| module.starts_with(start))
    }

    /// Whether objects of a module lay out what their state holds.
    pub(crate) fn lays_out_state(&self, module: &str) -> bool {
        self.lays_out_state.iter().any(|start| module.starts_with(start))
    }
}

/// All libraries. The first one that a package belongs to is its library.
pub(crate) static LIBRARIES: [&Library; 15] = [
    &standard::LIBRARY,
    &numpy::LIBRARY,
    &ml_dtypes::LIBRARY,
    &scipy::LIBRARY,
    &pandas::LIBRARY,
    &pyarrow::LIBRARY,
    &polars::LIBRARY,
    &sklearn::LIBRARY,
    &joblib::LIBRARY,
    &lightgbm::LIBRARY,
    &xgboost::LIBRARY,
    &statsmodels::LIBRARY,
    &arch::LIBRARY,
    &hmmlearn::LIBRARY,
    &torch::LIBRARY,
];

/// The library of every other module.
static UNKNOWN: Library = Library::UNKNOWN;

/// The library that a module belongs to.
pub(crate) fn library_of(module: &str) -> &'static Library {
    let package = package_of(module);
    LIBRARIES.into_iter().find(|library| library.packages.contains(&package)).unwrap_or(&UNKNOWN)
}

/// The first part of a module's name.
pub(crate) fn package_of(module: &str) -> &str {
    module.split('.').next().unwrap_or_default()
}

/// Packages whose objects any library could take; each library says itself which of its functions do.
const SHARED: [&str; 7] =
    ["builtins", "datetime", "dateutil", "joblib", "numpy", "pytz", "zoneinfo"];

/// A function takes objects of its own package that were made by calling something.
fn takes_its_own(_: &Arena, function: &GlobalNote, argument: Argument<'_>) -> bool {
    match argument {
        Argument::Object(_, class) => {
            let package = package_of(&class.module);
            !class.is_plain_or_fields()
                && !SHARED.contains(&package)
                && package == package_of(&function.module)
        }
        _ => false,
    }
}

/// `__pyx_unpickle_<class>`, as Cython names the function that makes objects of a class.
fn is_unpickler_of(function: &GlobalNote, class: &GlobalNote) -> bool {
    function.name.strip_prefix("__pyx_unpickle_") == Some(class.name.as_str())
        && class.module == function.module
}

/// What was seen among the items of a dict, as each library asks of the states of its classes. Of which class a dict
/// becomes the state is not known when its items are put into it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) models: models::Items,
    pub(crate) numpy: numpy::dtypes::Fields,
    pub(crate) pandas: pandas::Items,
    pub(crate) scipy: scipy::Items,
    pub(crate) sklearn: sklearn::Items,
    pub(crate) standard: standard::Items,
    pub(crate) statsmodels: statsmodels::Items,
    pub(crate) torch: torch::Items,
}
