//! The objectives of XGBoost: which the loader knows, and what they make of a sum.

use super::super::trees::Transform;

/// How a `base_score` becomes what sums start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    AsIs,
    Logit,
    Log,
}

/// What an objective makes of sums and of `base_score`; `None` of one the loader does not know.
pub(super) fn of(name: &str) -> Option<(Transform, Start)> {
    Some(match name {
        "reg:squarederror"
        | "reg:linear"
        | "reg:squaredlogerror"
        | "reg:pseudohubererror"
        | "reg:absoluteerror"
        | "reg:quantileerror"
        | "reg:expectileerror"
        | "rank:pairwise"
        | "rank:ndcg"
        | "rank:map" => (Transform::Identity, Start::AsIs),
        "binary:logistic" | "reg:logistic" => (Transform::Sigmoid(1.0), Start::Logit),
        "binary:logitraw" => (Transform::Identity, Start::Logit),
        "binary:hinge" => (Transform::Step, Start::AsIs),
        "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
            (Transform::Exponential, Start::Log)
        }
        "multi:softmax" => (Transform::Argmax, Start::AsIs),
        "multi:softprob" => (Transform::Softmax, Start::AsIs),
        _ => return None,
    })
}

impl Start {
    /// What sums start from.
    pub(super) fn of(self, base_score: f64) -> f64 {
        match self {
            Start::AsIs => base_score,
            Start::Logit => -(1.0 / base_score - 1.0).ln(),
            Start::Log => base_score.ln(),
        }
    }
}
