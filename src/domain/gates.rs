//! Promotion gates: the least metrics that a version needs to enter production.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::canonical_json::as_double;

/// One gate: a metric and the least value that passes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The metric's name in the version's `metrics`.
    pub metric: String,
    /// The least value that passes.
    pub minimum: f64,
}

/// The result of a version at one gate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GateOutcome {
    /// The metric's name.
    pub metric: String,
    /// The metric's value as registered; `null` where it is missing, which counts as 0.
    pub value: Option<Number>,
    /// The least value that passes.
    pub threshold: f64,
    /// Whether it passed.
    pub passed: bool,
}

impl GateOutcome {
    /// The result as a part of a sentence: `ic 0.01 is below 0.02`.
    #[must_use]
    pub fn describe(&self) -> String {
        let relation = if self.passed { "reaches" } else { "is below" };
        match &self.value {
            Some(value) if !as_double(value).is_finite() => {
                format!("{} {value} is not a finite number", self.metric)
            }
            Some(value) => format!("{} {value} {relation} {}", self.metric, self.threshold),
            None => {
                format!("{} is missing, counts as 0 and {relation} {}", self.metric, self.threshold)
            }
        }
    }
}

/// The default gates, for types to which the policy gives no gates: `ic` ≥ 0.02, `sharpe` ≥ 0.5, `paper_trade_hours`
/// ≥ 24.
#[must_use]
pub fn default_gates() -> Vec<Gate> {
    [("ic", 0.02), ("sharpe", 0.5), ("paper_trade_hours", 24.0)]
        .map(|(metric, minimum)| Gate { metric: metric.to_owned(), minimum })
        .into()
}

/// Whether a value passes a gate. An equal value passes; NaN and infinity never pass.
#[must_use]
pub fn passes(value: f64, minimum: f64) -> bool {
    value.is_finite() && value >= minimum
}

/// Checks the metrics against every gate, in order; it goes on after a failure.
#[must_use]
pub fn evaluate(gates: &[Gate], metrics: &Map<String, Value>) -> Vec<GateOutcome> {
    gates
        .iter()
        .map(|gate| {
            let value = metrics.get(&gate.metric).and_then(Value::as_number).cloned();
            GateOutcome {
                metric: gate.metric.clone(),
                passed: passes(value.as_ref().map_or(0.0, as_double), gate.minimum),
                value,
                threshold: gate.minimum,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failed(metrics: &str) -> Vec<String> {
        let metrics = serde_json::from_str(metrics).expect("test JSON");
        evaluate(&default_gates(), &metrics)
            .into_iter()
            .filter(|outcome| !outcome.passed)
            .map(|outcome| outcome.metric)
            .collect()
    }

    #[test]
    fn equality_passes_every_gate() {
        assert!(failed(r#"{"ic": 0.02, "sharpe": 0.5, "paper_trade_hours": 24}"#).is_empty());
    }

    #[test]
    fn every_failed_gate_is_reported_in_order() {
        assert_eq!(failed(r#"{"sharpe": 0.49}"#), ["ic", "sharpe", "paper_trade_hours"]);
        assert_eq!(
            failed(r#"{"ic": 0.019999999999999997, "sharpe": 2, "paper_trade_hours": 23.99}"#),
            ["ic", "paper_trade_hours"]
        );
    }

    #[test]
    fn nan_and_infinity_fail() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(!passes(value, 0.02));
            assert!(!passes(value, f64::NEG_INFINITY));
        }
        assert_eq!(failed(r#"{"ic": 1e999, "sharpe": 1, "paper_trade_hours": 48}"#), ["ic"]);
    }

    #[test]
    fn a_missing_metric_counts_as_zero() {
        let gates = [Gate { metric: "drawdown".to_owned(), minimum: -0.1 }];
        assert!(evaluate(&gates, &Map::new())[0].passed);
    }

    proptest! {
        #[test]
        fn a_finite_value_passes_exactly_from_the_minimum_on(
            value in -1e6_f64..1e6, minimum in -1e6_f64..1e6,
        ) {
            prop_assert_eq!(passes(value, minimum), value >= minimum);
        }
    }
}
