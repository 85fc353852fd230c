//! What the attributes of an operator may say, whatever its inputs are.
//!
//! Each rule is one that onnxruntime holds a node to when it loads a model; they were tried on it.

use super::super::report::quoted;
use super::model::{Names, Node};
use super::tensors;

/// Operators that slide a window over an image.
const WINDOWS: [&str; 8] = [
    "Conv",
    "ConvTranspose",
    "ConvInteger",
    "QLinearConv",
    "MaxPool",
    "AveragePool",
    "LpPool",
    "MaxUnpool",
];
const POOLS: [&str; 3] = ["MaxPool", "AveragePool", "LpPool"];
const RECURRENT: [&str; 3] = ["LSTM", "GRU", "RNN"];

/// Operators with an attribute that is one of some words.
const WORDS: [(&[&str], &str, &[&str]); 12] = [
    (&WINDOWS, "auto_pad", &["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]),
    (&["DepthToSpace"], "mode", &["DCR", "CRD"]),
    (&RECURRENT, "direction", &["forward", "reverse", "bidirectional"]),
    (&["Resize", "Upsample"], "mode", &["nearest", "linear", "cubic"]),
    (
        &["Resize"],
        "coordinate_transformation_mode",
        &[
            "half_pixel",
            "half_pixel_symmetric",
            "pytorch_half_pixel",
            "align_corners",
            "asymmetric",
            "tf_crop_and_resize",
            "tf_half_pixel_for_nn",
        ],
    ),
    (
        &["Resize"],
        "nearest_mode",
        &["round_prefer_floor", "round_prefer_ceil", "floor", "ceil", "simple", ""],
    ),
    (&["GridSample"], "mode", &["bilinear", "nearest", "bicubic", "linear", "cubic"]),
    (&["GridSample"], "padding_mode", &["zeros", "border", "reflection"]),
    (&["RoiAlign"], "mode", &["avg", "max"]),
    (&["Pad"], "mode", &["constant", "reflect", "edge", "wrap"]),
    (&["BitShift"], "direction", &["LEFT", "RIGHT"]),
    (&["ScatterElements", "ScatterND"], "reduction", &["none", "add", "mul", "max", "min"]),
];

/// Operators with an attribute that names a type; 0 stands for the type of the input.
const TYPES: [(&[&str], &str); 2] = [
    (&["Bernoulli", "EyeLike", "RandomNormal", "RandomUniform"], "dtype"),
    (&["RandomNormalLike", "RandomUniformLike"], "dtype"),
];

/// What is wrong with a node of ONNX's own domain, as its operator is since that version.
pub(super) fn fault(node: &Node, since: i64, names: &Names) -> Option<String> {
    if !names.get(node.domain).is_empty() {
        return None;
    }
    let op = names.get(node.op);
    for (ops, attribute, words) in WORDS {
        if ops.contains(&op)
            && let Some(word) = node.text(names, attribute)
            && !words.contains(&word)
        {
            return Some(format!(
                "{attribute} is \"{}\"; it may be {}",
                quoted(word),
                words.join(", ")
            ));
        }
    }
    for (ops, attribute) in TYPES {
        if ops.contains(&op)
            && let Some(kind) = node.int(names, attribute)
            && !tensors::is_type(kind)
        {
            return Some(format!("{attribute} is {kind}, and there is no such data type"));
        }
    }
    let int = |name: &str| node.int(names, name);
    let positive = |name: &str| match int(name) {
        Some(value) if value < 1 => Some(format!("{name} is {value}; it must be 1 or more")),
        _ => None,
    };
    match op {
        _ if WINDOWS.contains(&op) => window(node, names, op),
        "DepthToSpace" | "SpaceToDepth" => positive("blocksize"),
        "LRN" => positive("size").or_else(|| {
            int("size")
                .filter(|size| size % 2 == 0)
                .map(|size| format!("size is {size}; it must be odd"))
        }),
        "GroupNormalization" => positive("num_groups"),
        "LSTM" | "GRU" | "RNN" => positive("hidden_size").or_else(|| {
            int("hidden_size").is_none().then(|| "the attribute hidden_size is missing".to_owned())
        }),
        "LpNormalization" => {
            int("p").filter(|p| !matches!(p, 1 | 2)).map(|p| format!("p is {p}; it must be 1 or 2"))
        }
        "MaxRoiPool" => numbers(node, names, "pooled_shape", 1),
        "RandomNormal" | "RandomUniform" => numbers(node, names, "shape", 0),
        "RoiAlign" => int("sampling_ratio")
            .filter(|ratio| *ratio < 0)
            .map(|ratio| format!("sampling_ratio is {ratio}; it must be 0 or more")),
        "Multinomial" => int("dtype")
            .filter(|kind| !matches!(kind, 6 | 7))
            .map(|kind| format!("dtype is {kind}; it must be 6 (int32) or 7 (int64)")),
        "ReverseSequence" => {
            let (batch, time) = (int("batch_axis").unwrap_or(1), int("time_axis").unwrap_or(0));
            (batch == time).then(|| format!("batch_axis and time_axis are both {batch}"))
        }
        "Split" if since >= 18 => {
            let sizes = node.inputs.get(1).is_some_and(|name| *name != super::model::NONE);
            if int("num_outputs").is_none() && !sizes {
                return Some(
                    "neither the sizes nor the number of its outputs are given".to_owned(),
                );
            }
            positive("num_outputs")
        }
        _ => None,
    }
}

/// Numbers of an attribute, each of which must be `least` or more.
fn numbers(node: &Node, names: &Names, name: &str, least: i64) -> Option<String> {
    let bad = node.ints(names, name)?.iter().find(|value| **value < least)?;
    Some(format!("{name} holds {bad}; each must be {least} or more"))
}

fn window(node: &Node, names: &Names, op: &str) -> Option<String> {
    for name in ["kernel_shape", "strides", "dilations"] {
        if let Some(what) = numbers(node, names, name, 1) {
            return Some(what);
        }
    }
    for name in ["pads", "output_padding", "output_shape"] {
        if let Some(what) = numbers(node, names, name, 0) {
            return Some(what);
        }
    }
    if let Some(group) = node.int(names, "group").filter(|group| *group < 1) {
        return Some(format!("group is {group}; it must be 1 or more"));
    }
    if let Some(order) = node.int(names, "storage_order").filter(|order| !matches!(order, 0 | 1)) {
        return Some(format!("storage_order is {order}; it may be 0 or 1"));
    }
    let kernel = node.ints(names, "kernel_shape")?;
    if let Some(what) = lengths(node, names, kernel.len()) {
        return Some(what);
    }
    if POOLS.contains(&op)
        && let Some(pads) = node.ints(names, "pads")
        && let Some((pad, size)) =
            pads.iter().zip(kernel.iter().cycle()).find(|(pad, size)| pad >= size)
    {
        return Some(format!("it pads by {pad}; its window has {size}"));
    }
    None
}

/// Whether there is a number for each of so many dimensions.
pub(super) fn lengths(node: &Node, names: &Names, dimensions: usize) -> Option<String> {
    for (name, wanted) in [
        ("kernel_shape", dimensions),
        ("strides", dimensions),
        ("dilations", dimensions),
        ("output_padding", dimensions),
        ("pads", 2 * dimensions),
    ] {
        if let Some(numbers) = node.ints(names, name)
            && !numbers.is_empty()
            && numbers.len() != wanted
        {
            let found = numbers.len();
            return Some(format!("{name} holds {found} numbers; {wanted} are needed"));
        }
    }
    None
}
