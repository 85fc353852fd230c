//! XGBoost: boosters, whose state holds the bytes of a model.
//!
//! XGBoost crashes on a tree whose parents do not exist, so that the bytes are read as a model where they stand
//! (`models`).

use super::Library;
use super::models::Kind;
use crate::formats::pickle::rules::grants::{Entry, NAMED, PLAIN};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

pub(crate) static LIBRARY: Library =
    Library { packages: &["xgboost"], grants: GRANTS, check_state, ..Library::UNKNOWN };

fn check_state(machine: &mut Machine<'_, '_, '_>, instance: u32, state: Value) -> Result<(), Halt> {
    let class = machine.arena.global_of_instance(instance);
    if (class.module.as_str(), class.name.as_str()) == ("xgboost.core", "Booster") {
        machine.check_booster(Kind::XgboostBinary, state)?;
    }
    Ok(())
}

const GRANTS: &[Entry] = &[
    ("xgboost.callback", PLAIN, "EarlyStopping EvaluationMonitor"),
    ("xgboost.collective", NAMED, "communicator_print"),
    ("xgboost.core", PLAIN, "Booster"),
    (
        "xgboost.sklearn",
        PLAIN,
        "XGBClassifier XGBRFClassifier XGBRFRegressor XGBRanker XGBRegressor",
    ),
];
