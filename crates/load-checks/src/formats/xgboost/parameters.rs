//! The parameters of an objective and of a learner: texts that XGBoost reads as numbers, switches or words.
//!
//! Each rule is one that XGBoost 3.2 holds a model to when it loads it; they were tried on it.

use super::super::report::quoted;
use super::value::Value;

/// What a parameter may be.
enum Takes {
    /// A whole number of 32 bits, from here on.
    Int(i64),
    /// A whole number of 64 bits, from here on; a minus sign is read as C does.
    Long(u64),
    /// A number, from here to there.
    Float(f64, f64),
    /// A switch.
    Bool,
    Word(&'static [&'static str]),
    /// A number, or an array of numbers between 0 and 1.
    Shares,
}

use Takes::{Bool, Float, Int, Long, Shares, Word};

const ANY: f64 = f64::INFINITY;

/// Group, name, what it may be.
const RULES: [(&str, &str, Takes); 18] = [
    ("reg_loss_param", "scale_pos_weight", Float(0.0, ANY)),
    ("softmax_multiclass_param", "num_class", Int(1)),
    ("poisson_regression_param", "max_delta_step", Float(0.0, ANY)),
    ("tweedie_regression_param", "tweedie_variance_power", Float(1.0, 2.0)),
    ("pseudo_huber_param", "huber_slope", Float(-ANY, ANY)),
    ("quantile_loss_param", "quantile_alpha", Shares),
    ("expectile_loss_param", "expectile_alpha", Shares),
    ("aft_loss_param", "aft_loss_distribution", Word(&["normal", "logistic", "extreme"])),
    ("aft_loss_param", "aft_loss_distribution_scale", Float(0.0, ANY)),
    ("lambdarank_param", "lambdarank_bias_norm", Float(0.0, ANY)),
    ("lambdarank_param", "lambdarank_normalization", Bool),
    ("lambdarank_param", "lambdarank_num_pair_per_sample", Long(1)),
    ("lambdarank_param", "lambdarank_pair_method", Word(&["mean", "topk"])),
    ("lambdarank_param", "lambdarank_score_normalization", Bool),
    ("lambdarank_param", "lambdarank_unbiased", Bool),
    ("lambdarank_param", "ndcg_exp_gain", Bool),
    ("learner_model_param", "boost_from_average", Int(i32::MIN as i64)),
    ("learner_model_param", "num_target", Int(1)),
];
/// The group of parameters that an objective cannot do without.
const NEEDED: [(&str, &str); 5] = [
    ("count:poisson", "poisson_regression_param"),
    ("reg:tweedie", "tweedie_regression_param"),
    ("reg:quantileerror", "quantile_loss_param"),
    ("multi:softmax", "softmax_multiclass_param"),
    ("multi:softprob", "softmax_multiclass_param"),
];

/// Checks the groups of parameters that stand in an object.
pub(super) fn check(holder: &Value) -> Result<(), String> {
    for (group, key, takes) in &RULES {
        let Some(value) = holder.get(group).and_then(|group| group.get(key)) else { continue };
        let Value::Text(text) = value else {
            return Err(format!("{key} is no string"));
        };
        if !takes.takes(text) {
            return Err(format!("{key} is \"{}\"; it must be {}", quoted(text), takes.told()));
        }
    }
    Ok(())
}

/// Checks that an objective has the parameters that it needs.
pub(super) fn check_objective(objective: &Value, name: &str) -> Result<(), String> {
    for (of, group) in NEEDED {
        if of == name {
            objective.object(group)?;
        }
    }
    for (of, group, key) in [
        ("reg:quantileerror", "quantile_loss_param", "quantile_alpha"),
        ("multi:softmax", "softmax_multiclass_param", "num_class"),
        ("multi:softprob", "softmax_multiclass_param", "num_class"),
    ] {
        if of == name {
            objective.object(group)?.text(key)?;
        }
    }
    check(objective)
}

impl Takes {
    fn takes(&self, text: &str) -> bool {
        // Blanks before a number are passed over, after it they are not.
        let number = text.trim_ascii_start();
        match self {
            Int(least) => {
                let number = number.trim_ascii_end();
                number.parse::<i32>().is_ok_and(|value| i64::from(value) >= *least)
            }
            Long(least) => match number.strip_prefix('-') {
                Some(below) => below.parse::<u64>().is_ok_and(|value| value > 0),
                None => number.trim_ascii_end().parse::<u64>().is_ok_and(|value| value >= *least),
            },
            Float(least, most) => float(number)
                .is_some_and(|value| value.is_nan() || (*least..=*most).contains(&value)),
            Bool => matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "0" | "1"),
            Word(words) => words.contains(&text),
            Shares => {
                let list = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
                list.unwrap_or(text).split(',').all(|word| {
                    let word = if list.is_some() { word.trim() } else { word.trim_ascii_start() };
                    float(word).is_some_and(|value| (0.0..=1.0).contains(&value))
                })
            }
        }
    }

    fn told(&self) -> String {
        match self {
            Int(least) if *least == i64::from(i32::MIN) => "a whole number".to_owned(),
            Int(least) => format!("a whole number of {least} or more"),
            Long(least) => format!("a whole number of {least} or more"),
            Float(least, most) if *least == -ANY && *most == ANY => "a number".to_owned(),
            Float(least, most) if *most == ANY => format!("a number of {least} or more"),
            Float(least, most) => format!("a number from {least} to {most}"),
            Bool => "0 or 1".to_owned(),
            Word(words) => format!("one of {}", words.join(", ")),
            Shares => "a number between 0 and 1, or an array of them".to_owned(),
        }
    }
}

/// A number of 32 bits. One beyond them is out of range for XGBoost.
fn float(text: &str) -> Option<f64> {
    let value = text.parse::<f64>().ok()?;
    let named = text.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_alphabetic());
    (named || (value as f32).is_finite()).then_some(value)
}
