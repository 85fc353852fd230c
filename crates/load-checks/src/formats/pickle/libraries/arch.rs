//! arch: volatility models.
//!
//! The recursions are compiled, and read their states without looking, so that each state must be as long as the
//! object that it is given to. Missing on purpose: whatever is built of a function of the user's own.

use super::numpy::arrays::Array;
use super::{Argument, Library, Made, package_of, takes_its_own};
use crate::formats::pickle::rules::grants::{CALL, Entry, NAMED, PLAIN, Rule, ruled};
use crate::formats::pickle::unpickler::arena::{Arena, GlobalNote};
use crate::formats::pickle::unpickler::machine::Machine;
use crate::formats::pickle::unpickler::values::Value;
use crate::job::Halt;

pub(crate) static LIBRARY: Library = Library {
    packages: &["arch"],
    grants: GRANTS,
    computes_items: &["arch."],
    takes,
    fits,
    made,
    check_state,
    ..Library::UNKNOWN
};

/// The longest weights that a recursion is made with; models have some tens, or a thousand.
const MAX_LENGTH: i64 = 100_000;

/// How Cython's releases sum up the attributes of a GARCH recursion.
const GARCH_CHECKSUMS: [i64; 3] = [0x0721_668d, 0x0b3f_a876, 0x02c8_0abe];

fn takes(arena: &Arena, function: &GlobalNote, argument: Argument<'_>) -> bool {
    match argument {
        Argument::Object(_, class) if matches!(package_of(&class.module), "numpy" | "joblib") => {
            !class.is_plain_or_fields()
                && matches!(function.name.as_str(), "HARCHUpdater" | "RiskMetrics2006Updater")
        }
        other => takes_its_own(arena, function, other),
    }
}

fn fits(arena: &Arena, function: &GlobalNote, args: &[Value]) -> bool {
    let length = |value: &Value, code| arena.array(*value).and_then(|array| array.length_of(code));
    match (function.name.as_str(), args) {
        ("__pyx_unpickle_GARCHUpdater", [_, Value::Int(checksum), state]) => {
            GARCH_CHECKSUMS.contains(checksum) && (*state == Value::None || is_garch(arena, *state))
        }
        ("EGARCHUpdater", [p, o, q]) => [p, o, q].into_iter().all(is_order),
        ("EWMAUpdater", [Value::None | Value::Float(_)]) => true,
        ("FIGARCHUpdater", [p, q, Value::Float(_), lags]) => {
            [p, q].into_iter().all(is_order) && is_length(lags)
        }
        ("HARCHUpdater", [lags]) => length(lags, b"i4").is_some(),
        ("MIDASUpdater", [lags, Value::Bool(_)]) => is_length(lags),
        ("RiskMetrics2006Updater", [count, weights, parameters]) => {
            is_length(count)
                && length(weights, b"f8") == as_length(count)
                && length(parameters, b"f8") == as_length(count)
        }
        (name, _) => !name.ends_with("Updater"),
    }
}

fn is_order(value: &Value) -> bool {
    matches!(value, Value::Int(order) if (0..=MAX_LENGTH).contains(order))
}

fn is_length(value: &Value) -> bool {
    matches!(value, Value::Int(length) if (1..=MAX_LENGTH).contains(length))
}

fn as_length(value: &Value) -> Option<u64> {
    match value {
        Value::Int(length) => u64::try_from(*length).ok(),
        _ => None,
    }
}

/// Remembers the length that the parts of a recursion's state must have.
fn made(_: &Arena, function: &GlobalNote, args: &[Value]) -> Made {
    let length = match (function.name.as_str(), args) {
        ("FIGARCHUpdater", [_, _, _, length])
        | ("MIDASUpdater", [length, _])
        | ("RiskMetrics2006Updater", [length, ..]) => as_length(length),
        ("EWMAUpdater", _) => Some(3),
        _ => None,
    };
    Made { array: length.map(Array::of_length), ..Made::default() }
}

/// The state of a GARCH recursion: its backcast, orders and power.
fn is_garch(arena: &Arena, state: Value) -> bool {
    let Value::Tuple(id) = state else {
        return false;
    };
    matches!(
        arena.items(id),
        Some([Value::Float(_), o, p, Value::Float(_), q]) if [o, p, q].into_iter().all(is_order)
    )
}

fn check_state(machine: &mut Machine<'_, '_, '_>, instance: u32, state: Value) -> Result<(), Halt> {
    let arena = &machine.arena;
    let name = arena.global_of_instance(instance).name.as_str();
    if !name.ends_with("Updater") || state.is_refused() {
        return Ok(());
    }
    let parts = match state {
        Value::Tuple(id) => arena.items(id).unwrap_or_default(),
        _ => &[],
    };
    let own = arena.array(Value::Instance(instance)).and_then(|array| array.length_of(b"f8"));
    let length = |value: &Value| arena.array(*value).and_then(|array| array.length_of(b"f8"));
    let as_long = |value: &Value| own.is_some() && length(value) == own;
    let written = match (name, parts) {
        ("__pyx_unpickle_GARCHUpdater", _) => is_garch(arena, state),
        ("EGARCHUpdater", [Value::Float(_), one, two, three]) => {
            let lengths = [one, two, three].map(length);
            lengths[0].is_some() && lengths.iter().all(|length| *length == lengths[0])
        }
        ("EWMAUpdater", [Value::Float(_), parameters]) => as_long(parameters),
        ("FIGARCHUpdater", [Value::Float(_), weights, residuals]) => {
            as_long(weights) && length(residuals).is_some()
        }
        ("HARCHUpdater", [Value::Float(_)]) => true,
        ("MIDASUpdater", [Value::Float(_), one, two, three, residuals]) => {
            [one, two, three].into_iter().all(as_long) && length(residuals).is_some()
        }
        ("RiskMetrics2006Updater", [one, two]) => as_long(one) && as_long(two),
        _ => false,
    };
    if !written {
        machine.bad_state(instance, "is none that arch writes, and could crash the loader");
    }
    Ok(())
}

const GRANTS: &[Entry] = &[
    (
        "arch.univariate.base",
        PLAIN,
        "ARCHModelFixedResult ARCHModelForecast ARCHModelForecastSimulation ARCHModelResult",
    ),
    ("arch.univariate.distribution", PLAIN, "GeneralizedError Normal SkewStudent StudentsT"),
    ("arch.univariate.mean", PLAIN, "ARX ConstantMean HARX LS ZeroMean"),
    ("arch.univariate.recursions", NAMED, "GARCHUpdater"),
    (
        "arch.univariate.recursions",
        ruled(Rule::ClassFirst).with_state(),
        "__pyx_unpickle_GARCHUpdater",
    ),
    (
        "arch.univariate.recursions",
        CALL.with_state(),
        "EGARCHUpdater EWMAUpdater FIGARCHUpdater HARCHUpdater MIDASUpdater RiskMetrics2006Updater",
    ),
    (
        "arch.univariate.volatility",
        PLAIN,
        "APARCH ARCH ConstantVariance EGARCH EWMAVariance FIGARCH FixedVariance GARCH HARCH MIDASHyperbolic RiskMetrics2006 VarianceForecast",
    ),
];
