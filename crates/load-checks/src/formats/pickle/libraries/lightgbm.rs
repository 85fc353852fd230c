//! LightGBM: boosters, whose state holds the text of a model.
//!
//! LightGBM aborts the whole process on a text whose tree sizes are wrong, so that the text is read as a model where
//! it stands (`models`).

use super::Library;
use super::models::Kind;
use crate::formats::pickle::rules::grants::{Entry, PLAIN};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

pub(crate) static LIBRARY: Library = Library {
    packages: &["lightgbm"],
    grants: GRANTS,
    computes_items: &["lightgbm."],
    check_state,
    ..Library::UNKNOWN
};

fn check_state(machine: &mut Machine<'_, '_, '_>, instance: u32, state: Value) -> Result<(), Halt> {
    let class = machine.arena.global_of_instance(instance);
    match (class.module.as_str(), class.name.as_str()) {
        ("lightgbm.basic", "Booster") => machine.check_booster(Kind::Lightgbm, state),
        // A data set frees what its handle points to.
        ("lightgbm.basic", "Dataset") if holds_handle(machine, state) => {
            machine.bad_state(instance, "holds the address of memory of another process");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Whether a state holds an address, or what it holds is not known.
fn holds_handle(machine: &Machine<'_, '_, '_>, state: Value) -> bool {
    !matches!(state, Value::Dict(id) if !machine.arena.dicts[id as usize].seen.models.handle)
}

const GRANTS: &[Entry] = &[
    ("lightgbm.basic", PLAIN, "Booster Dataset"),
    ("lightgbm.engine", PLAIN, "CVBooster"),
    ("lightgbm.sklearn", PLAIN, "LGBMClassifier LGBMRanker LGBMRegressor"),
];
