//! The objectives of LightGBM: which the loader knows, and what they make of a sum.

use super::super::report::quoted;
use super::super::trees::Transform;

/// What an `objective=` line says, as the loader reads it: words, some of them `key:value`.
///
/// Answers what becomes of sums, `None` where that is not known here.
pub(super) fn read(line: &str) -> Result<Option<Transform>, String> {
    let mut words = line.split(' ').filter(|w| !w.is_empty());
    let Some(name) = words.next() else {
        return Err("the objective has no name".to_owned());
    };
    let options: Vec<&str> = words.collect();
    let number = |key: &str| -> Option<f64> {
        let value = options.iter().find_map(|o| o.strip_prefix(key)?.strip_prefix(':'))?;
        value.parse().ok()
    };
    let sigmoid = || match number("sigmoid") {
        Some(factor) if factor > 0.0 => Ok(Transform::Sigmoid(factor)),
        _ => Err(format!("objective \"{}\" needs sigmoid: above zero", quoted(name))),
    };
    let classes = || match number("num_class") {
        Some(count) if count >= 1.0 => Ok(()),
        _ => Err(format!("objective \"{}\" needs num_class:", quoted(name))),
    };
    Ok(Some(match name {
        "regression"
        | "regression_l2"
        | "mean_squared_error"
        | "mse"
        | "l2"
        | "l2_root"
        | "root_mean_squared_error"
        | "rmse" => {
            if options.contains(&"sqrt") {
                Transform::SignedSquare
            } else {
                Transform::Identity
            }
        }
        "regression_l1"
        | "mean_absolute_error"
        | "l1"
        | "mae"
        | "huber"
        | "fair"
        | "quantile"
        | "mape"
        | "mean_absolute_percentage_error"
        | "lambdarank"
        | "rank_xendcg"
        | "xendcg"
        | "xe_ndcg"
        | "xe_ndcg_mart"
        | "xendcg_mart" => {
            if options.contains(&"sqrt") {
                Transform::SignedSquare
            } else {
                Transform::Identity
            }
        }
        "poisson" | "gamma" | "tweedie" => Transform::Exponential,
        "binary" => sigmoid()?,
        "multiclass" | "softmax" => {
            classes()?;
            Transform::Softmax
        }
        "multiclassova" | "multiclass_ova" | "ova" | "ovr" => {
            classes()?;
            sigmoid()?
        }
        "cross_entropy" | "xentropy" => Transform::Sigmoid(1.0),
        "cross_entropy_lambda" | "xentlambda" => Transform::Softplus,
        "none" | "null" | "custom" | "na" => Transform::Identity,
        other => return Err(format!("unknown objective \"{}\"", quoted(other))),
    }))
}
