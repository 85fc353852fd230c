//! The layers of a configuration against the weights beside it.
//!
//! Keras builds each layer by its configuration, then copies its variables from the group of its
//! name. Held are the layers whose variables follow from a few numbers; the others are believed.

use serde_json::Value;

use super::super::super::report::quoted;
use super::super::super::{Halt, Job};
use super::hdf5::Shapes;

/// Models within models.
const MAX_DEPTH: usize = 16;
/// Layers that change no size of their input's last dimension.
const KEEPING: [&str; 12] = [
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "BatchNormalization",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "LayerNormalization",
    "LeakyReLU",
    "ReLU",
    "Softmax",
    "UnitNormalization",
];

/// A size, where it is known.
type Dim = Option<u64>;
/// The shapes of the variables of a layer, in order.
type Variables = Vec<Vec<Dim>>;

/// Compares the whole model.
pub(super) fn check(document: &Value, shapes: &Shapes, job: &mut Job<'_>) -> Result<(), Halt> {
    model(document, "", 0, shapes, job)
}

/// A layer, its place among the groups, and what it needs there.
struct Needed<'v> {
    class: &'v str,
    name: &'v str,
    group: String,
    variables: Variables,
}

fn model(
    model_object: &Value,
    prefix: &str,
    depth: usize,
    shapes: &Shapes,
    job: &mut Job<'_>,
) -> Result<(), Halt> {
    let class = model_object.get("class_name").and_then(Value::as_str).unwrap_or_default();
    if !matches!(class, "Sequential" | "Functional") || depth == MAX_DEPTH {
        return Ok(());
    }
    let Some(layers) = model_object.pointer("/config/layers").and_then(Value::as_array) else {
        return Ok(());
    };
    if class == "Sequential" {
        chain(layers, job);
    }
    let mut counts = std::collections::HashMap::<&str, usize>::new();
    let mut needed = Vec::new();
    for layer in layers {
        job.poll()?;
        let class = layer.get("class_name").and_then(Value::as_str).unwrap_or_default();
        let name = layer.pointer("/config/name").and_then(Value::as_str).unwrap_or_default();
        let count = counts.entry(class).or_default();
        let group = match *count {
            0 => format!("{prefix}layers/{}", snake(class)),
            count => format!("{prefix}layers/{}_{count}", snake(class)),
        };
        *count += 1;
        if matches!(class, "Sequential" | "Functional") {
            model(layer, &format!("{group}/"), depth + 1, shapes, job)?;
        } else if let Some(variables) = variables(class, layer) {
            needed.push(Needed { class, name, group, variables });
        }
    }
    compare(&needed, class == "Functional", shapes, job);
    Ok(())
}

fn compare(needed: &[Needed<'_>], any_order: bool, shapes: &Shapes, job: &mut Job<'_>) {
    for layer in needed {
        let found = found(&layer.group, layer.class, shapes);
        if fits(&layer.variables, &found) {
            continue;
        }
        // The layers of a graph may be counted in another order than they are written in.
        let another = any_order
            && needed.iter().filter(|other| other.class == layer.class).any(|other| {
                fits(&layer.variables, &self::found(&other.group, other.class, shapes))
            });
        if another {
            continue;
        }
        let (class, name, group) = (layer.class, quoted(layer.name), quoted(&layer.group));
        let wanted: Vec<_> = layer.variables.iter().map(|shape| told(shape)).collect();
        let there: Vec<_> = found.iter().map(|shape| format!("{shape:?}")).collect();
        job.findings.broken(format!(
            "the layer \"{name}\" ({class}) needs variables of the shapes {}; the weights hold {} under {group}",
            wanted.join(", "),
            if there.is_empty() { "none".to_owned() } else { there.join(", ") }
        ));
    }
}

/// The variables that the weights hold for a layer, in order.
fn found<'s>(group: &str, class: &str, shapes: &'s Shapes) -> Vec<&'s Vec<u64>> {
    let inner = if matches!(class, "LSTM" | "GRU" | "SimpleRNN") { "cell/" } else { "" };
    (0..).map_while(|i| shapes.get(&format!("{group}/{inner}vars/{i}"))).collect()
}

fn fits(wanted: &Variables, found: &[&Vec<u64>]) -> bool {
    wanted.len() == found.len()
        && wanted.iter().zip(found).all(|(wanted, found)| {
            wanted.len() == found.len()
                && wanted.iter().zip(*found).all(|(w, f)| w.is_none_or(|w| w == *f))
        })
}

/// The name of a group for a class, as Keras makes it.
fn snake(class: &str) -> String {
    let chars: Vec<char> = class.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).map(|before| chars[before]);
        let word = chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
        let starts = c.is_ascii_uppercase()
            && before.is_some_and(|before| word || before.is_ascii_lowercase());
        if starts {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// What a layer must have, where that is known.
fn variables(class: &str, layer: &Value) -> Option<Variables> {
    // A layer that was not built has no variables.
    let input = layer.pointer("/build_config/input_shape")?.as_array()?;
    let config = layer.get("config")?;
    let plain = |key: &str| config.get(key).is_none_or(Value::is_null);
    let policy = config.pointer("/dtype/class_name").and_then(Value::as_str);
    let own =
        layer.get("module").and_then(Value::as_str).is_some_and(|module| module == "keras.layers");
    if !own
        || !plain("quantization_config")
        || !plain("lora_rank")
        || policy.is_some_and(|policy| policy != "DTypePolicy")
    {
        return None;
    }
    let number = |key: &str| config.get(key).and_then(Value::as_u64);
    let is = |key: &str, default: bool| config.get(key).and_then(Value::as_bool).unwrap_or(default);
    let at = |place: i64| {
        let place = if place < 0 { place + input.len() as i64 } else { place };
        input.get(usize::try_from(place).ok()?)?.as_u64()
    };
    let last = at(-1);
    let mut all = match class {
        "Dense" => {
            let units = number("units");
            let mut all = vec![vec![last, units]];
            all.extend(is("use_bias", true).then(|| vec![units]));
            all
        }
        "Embedding" => vec![vec![number("input_dim"), number("output_dim")]],
        "LSTM" | "GRU" | "SimpleRNN" => recurrent(class, config, last, number("units")?)?,
        "Conv1D" | "Conv2D" | "Conv3D" => {
            let kernel = config.get("kernel_size")?.as_array()?;
            let first = config.get("data_format").and_then(Value::as_str) == Some("channels_first");
            let channels = if first { at(1) } else { last };
            let filters = number("filters");
            let groups = number("groups").unwrap_or(1).max(1);
            let mut shape: Vec<Dim> = kernel.iter().map(Value::as_u64).collect();
            shape.push(channels.map(|channels| channels / groups));
            shape.push(filters);
            let mut all = vec![shape];
            all.extend(is("use_bias", true).then(|| vec![filters]));
            all
        }
        "BatchNormalization" => {
            let size = vec![at(config.get("axis")?.as_i64()?)];
            let kept = usize::from(is("scale", true)) + usize::from(is("center", true));
            if is("renorm", false) {
                return None;
            }
            vec![size; kept + 2]
        }
        "LayerNormalization" => {
            let size = vec![at(config
                .get("axis")?
                .as_array()
                .map_or(config.get("axis")?.as_i64(), |axes| {
                    axes.first().filter(|_| axes.len() == 1)?.as_i64()
                })?)];
            let kept = usize::from(is("scale", true)) + usize::from(is("center", true));
            if is("rms_scaling", false) {
                return None;
            }
            vec![size; kept]
        }
        _ => return None,
    };
    all.retain(|shape| !shape.is_empty());
    Some(all)
}

fn recurrent(class: &str, config: &Value, last: Dim, units: u64) -> Option<Variables> {
    let gates = match class {
        "LSTM" => 4,
        "GRU" => 3,
        _ => 1,
    };
    let wide = Some(units.checked_mul(gates)?);
    let mut all = vec![vec![last, wide], vec![Some(units), wide]];
    let is = |key: &str, default: bool| config.get(key).and_then(Value::as_bool).unwrap_or(default);
    if is("use_bias", true) {
        let two = class == "GRU" && is("reset_after", true);
        all.push(if two { vec![Some(2), wide] } else { vec![wide] });
    }
    Some(all)
}

/// The last dimension from layer to layer.
fn chain(layers: &[Value], job: &mut Job<'_>) {
    let mut size: Dim = None;
    for layer in layers {
        let class = layer.get("class_name").and_then(Value::as_str).unwrap_or_default();
        let last = |pointer: &str| layer.pointer(pointer)?.as_array()?.last()?.as_u64();
        let built = last("/build_config/input_shape");
        if let (Some(size), Some(built)) = (size, built)
            && size != built
            && matches!(class, "Dense" | "LSTM" | "GRU" | "SimpleRNN")
        {
            let name = layer.pointer("/config/name").and_then(Value::as_str).unwrap_or_default();
            let name = quoted(name);
            job.findings.broken(format!(
                "the layer \"{name}\" ({class}) takes {built} numbers; the layer before it makes {size}"
            ));
        }
        size = match class {
            "InputLayer" => last("/config/batch_shape"),
            "Dense" | "LSTM" | "GRU" | "SimpleRNN" => {
                layer.pointer("/config/units").and_then(Value::as_u64)
            }
            _ if KEEPING.contains(&class) => size,
            _ => None,
        };
    }
}

fn told(shape: &[Dim]) -> String {
    let sizes: Vec<_> =
        shape.iter().map(|dim| dim.map_or("?".to_owned(), |dim| dim.to_string())).collect();
    format!("[{}]", sizes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_named_as_keras_names_them() {
        for (class, group) in [
            ("Dense", "dense"),
            ("Conv1D", "conv1d"),
            ("LSTM", "lstm"),
            ("SimpleRNN", "simple_rnn"),
            ("BatchNormalization", "batch_normalization"),
            ("PReLU", "p_re_lu"),
            ("Conv2DTranspose", "conv2d_transpose"),
            ("EinsumDense", "einsum_dense"),
        ] {
            assert_eq!(snake(class), group);
        }
    }
}
