//! What the configuration of a layer or initializer may say.
//!
//! Keras hands a configuration to the class as keywords: one that the class does not have, or a text
//! where a number belongs, ends the loading. `arguments.txt` was made by asking Keras.

use serde_json::Value;

use super::super::super::report::quoted;
use super::super::super::{Halt, Job};
use super::POLL_EVERY;

const TABLE: &str = include_str!("arguments.txt");
/// A configuration of training, which is read by rules of its own.
const TRAINING: &str = "compile_config";
const ACTIVATIONS: &str = "celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh \
    leaky_relu linear log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign \
    sparse_plus sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold";
const INITIALIZERS: &str = "GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal \
    LecunUniform Ones Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFT STFTInitializer TruncatedNormal \
    VarianceScaling Zeros glorot_normal glorot_uniform he_normal he_uniform identity lecun_normal lecun_uniform normal \
    one ones orthogonal random_normal random_uniform stft truncated_normal uniform variance_scaling zero zeros";
const REGULARIZERS: &str =
    "L1 L1L2 L2 OrthogonalRegularizer l1 l1_l2 l1l2 l2 orthogonal_regularizer";
const CONSTRAINTS: &str =
    "MaxNorm MinMaxNorm NonNeg UnitNorm max_norm min_max_norm non_neg unit_norm";
/// Numbers along one dimension of a layer; the largest vocabularies have some millions.
const MOST: f64 = 268_435_456.0;

/// Looks at the keywords of every layer and initializer.
pub(super) fn check(document: &Value, job: &mut Job<'_>) -> Result<(), Halt> {
    let mut left = vec![document];
    let mut seen = 0_usize;
    while let Some(value) = left.pop() {
        seen += 1;
        if seen.is_multiple_of(POLL_EVERY) {
            job.poll()?;
        }
        match value {
            Value::Array(items) => left.extend(items),
            Value::Object(fields) => {
                if let Some(what) = object(value, job) {
                    job.findings.broken(what);
                }
                left.extend(fields.iter().filter(|(key, _)| *key != TRAINING).map(|(_, v)| v));
            }
            _ => {}
        }
    }
    Ok(())
}

fn object(value: &Value, job: &mut Job<'_>) -> Option<String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let (class, module) = (text("class_name")?, text("module")?);
    let full = format!("{}.{class}", module.strip_prefix("keras.")?);
    let keywords = TABLE.lines().find_map(|line| line.strip_prefix(&full)?.strip_prefix(' '))?;
    let Value::Object(config) = value.get("config")? else { return None };
    for (key, given) in config {
        let known = keywords.split(' ').find_map(|word| {
            let rest = word.strip_prefix(key.as_str())?;
            matches!(rest, "" | ":n" | "+" | ":n+").then_some(rest)
        });
        let Some(kind) = known else {
            let key = quoted(key);
            return Some(format!("{class} has no argument \"{key}\""));
        };
        if kind.contains('n') && given.is_string() {
            return Some(format!("{key} of {class} is a text; it must be a number"));
        }
        if let Some(what) = number(kind, key, class, given, job) {
            return Some(what);
        }
        if let Some(what) = named(key, class, given) {
            return Some(what);
        }
    }
    None
}

fn number(kind: &str, key: &str, class: &str, given: &Value, job: &mut Job<'_>) -> Option<String> {
    let number = given.as_f64()?;
    if !kind.contains('+') {
        return None;
    }
    if number > MOST {
        job.danger(format!(
            "{key} of {class} is {given}; a layer of that size takes all memory there is"
        ));
    }
    (number < 1.0).then(|| format!("{key} of {class} is {given}; it must be 1 or more"))
}

/// A function or an object that is given by its name alone.
fn named(key: &str, class: &str, given: &Value) -> Option<String> {
    let name = given.as_str()?;
    let (known, what) = match key {
        "activation" | "recurrent_activation" => (ACTIVATIONS, "activation"),
        _ if key.ends_with("_initializer") => (INITIALIZERS, "initializer"),
        _ if key.ends_with("_regularizer") => (REGULARIZERS, "regularizer"),
        _ if key.ends_with("_constraint") => (CONSTRAINTS, "constraint"),
        _ => return None,
    };
    if known.split_whitespace().any(|one| one == name) {
        return None;
    }
    Some(format!("{key} of {class} is \"{}\", and Keras has no such {what}", quoted(name)))
}
