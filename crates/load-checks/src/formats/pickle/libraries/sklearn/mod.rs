//! scikit-learn: estimators, their parameters and their compiled parts.
//!
//! Trees, neighbours and sparse matrices are believed when they are used: forged indices within them load, and can
//! crash a prediction.

mod names;
pub(crate) mod tree;

use super::numpy::calls::Call;
use super::{Argument, Library, Made, is_unpickler_of, package_of, takes_its_own};
use crate::formats::pickle::rules::filling::check_attributes;
use crate::formats::pickle::rules::grants::{Make, Rule};
use crate::formats::pickle::unpickler::arena::{Arena, GlobalNote};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

pub(crate) static LIBRARY: Library = Library {
    packages: &["sklearn", "_loss"],
    grants: names::GRANTS,
    computes_items: &["sklearn."],
    takes,
    fits,
    made: |arena, function, args| Made {
        // The classes of a tree's outputs, by which its state is judged.
        array: match (function.name.as_str(), args) {
            ("Tree", [_, classes, _]) => arena.array(*classes),
            _ => None,
        },
        ..Made::default()
    },
    makes: |function, class| match function.name.as_str() {
        "newObj" => class.module == function.module,
        _ => is_unpickler_of(function, class),
    },
    may_be_tied: |function| function.module.starts_with("sklearn."),
    check_state,
    check_items: check_attributes,
    ..Library::UNKNOWN
};

fn takes(arena: &Arena, function: &GlobalNote, argument: Argument<'_>) -> bool {
    let Argument::Object(_, class) = argument else {
        return false;
    };
    let named = function.name.as_str();
    // A step of an imputation keeps whatever it is given.
    if named == "_ImputerTriplet" && class.is_plain_or_fields() {
        return true;
    }
    match package_of(&class.module) {
        "numpy" | "joblib" if !class.is_plain_or_fields() => {
            matches!(named, "Tree" | "_ImputerTriplet" | "DistributionBoundary")
        }
        _ => takes_its_own(arena, function, argument),
    }
}

/// Whether the compiled classes are made with as many arguments as they take, of their types.
fn fits(arena: &Arena, function: &GlobalNote, args: &[Value]) -> bool {
    let number = |arg: &Value| matches!(arg, Value::Int(_) | Value::Float(_));
    if let Some(numbers) = tree::numbers_of_loss(function) {
        return match args {
            [_, Value::Int(_), Value::None] => numbers == 0,
            [_, Value::Int(_), Value::Tuple(state)] => arena
                .items(*state)
                .is_some_and(|state| state.len() == numbers && state.iter().all(number)),
            _ => false,
        };
    }
    match (function.module.as_str(), function.name.as_str()) {
        ("sklearn.tree._tree", "Tree") => tree::is_tree(arena, args),
        (_, "newObj") => args.len() == 1,
        (
            _,
            "CyHuberLoss" | "CyPinballLoss" | "CyHalfTweedieLoss" | "CyHalfTweedieLossIdentity",
        )
        | ("sklearn.linear_model._sgd_fast", "Hinge" | "SquaredHinge") => {
            args.len() == 1 && args.iter().all(number)
        }
        ("sklearn._loss._loss", _) | ("sklearn.linear_model._sgd_fast", _) => args.is_empty(),
        (_, "_ImputerTriplet") => args.len() == 3,
        _ => true,
    }
}

/// Reports a state that C code would read beyond its end, or that no release of scikit-learn writes.
fn check_compiled(machine: &mut Machine<'_, '_, '_>, instance: u32, state: Value) {
    let arena = &machine.arena;
    let class = arena.global_of_instance(instance);
    let written = match (class.module.as_str(), class.name.as_str()) {
        ("sklearn.neighbors._kd_tree" | "sklearn.neighbors._ball_tree", "newObj") => {
            tree::is_state_of_neighbours(arena, state)
        }
        ("sklearn.metrics._dist_metrics", "newObj") => tree::is_state_of_metric(arena, state),
        ("sklearn.tree._tree", "Tree") => {
            let classes = arena.array(Value::Instance(instance));
            tree::is_state_of_tree(arena, state, classes)
        }
        _ => true,
    };
    if !written && !state.is_refused() {
        machine.bad_state(instance, "is none that scikit-learn writes, and could crash the loader");
    }
}

fn check_state(machine: &mut Machine<'_, '_, '_>, instance: u32, state: Value) -> Result<(), Halt> {
    check_compiled(machine, instance, state);
    let Value::Dict(id) = state else {
        return Ok(());
    };
    let seen = machine.arena.dicts[id as usize].seen.sklearn;
    let name = machine.arena.global_of_instance(instance).name.as_str();
    let arrays = matches!(name, "IsotonicRegression" | "Tree" | "TreePredictor");
    if seen.shared_array {
        machine.count_longest()?;
    }
    if seen.odd_version {
        machine
            .bad_state(instance, "says a version that is no text, which would be laid out as one");
    } else if arrays && seen.odd_array {
        machine.bad_state(instance, "has an object where scikit-learn would make an array of it");
    }
    Ok(())
}

/// What the states of scikit-learn's classes are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Items {
    /// A key `_sklearn_version` with anything but a text.
    odd_version: bool,
    /// An attribute that should be an array and is none.
    odd_array: bool,
    /// What a decision tree's state needs.
    tree: tree::TreeState,
    /// An array that another state already holds, and that is copied out of this one.
    shared_array: bool,
}

impl Items {
    /// Remembers an item. `shared` says whether it is an array that was copied out of another state before.
    pub(crate) fn note(&mut self, arena: &Arena, key: &[u8], value: Value, shared: bool) {
        let text = matches!(value, Value::Name(_) | Value::Text(_) | Value::None);
        self.odd_version |= key == b"_sklearn_version" && !text;
        self.odd_array |= is_copied(key) && !is_array(arena, value);
        self.shared_array |= shared;
        self.tree.note(arena, key, value);
    }
}

/// Whether an attribute of this name is an array that is copied out of a state.
pub(crate) fn is_copied(key: &[u8]) -> bool {
    matches!(key, b"nodes" | b"values" | b"X_thresholds_" | b"y_thresholds_")
}

fn is_array(arena: &Arena, value: Value) -> bool {
    matches!(value, Value::Instance(id) if matches!(
        arena.grant_of_instance(id).make,
        Make::Ruled(Rule::Numpy(Call::EmptyArray) | Rule::JoblibArray) | Make::Call
    ))
}
