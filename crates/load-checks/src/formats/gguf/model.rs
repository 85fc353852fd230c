//! The model in a GGUF file: its architecture, its hyperparameters and its tensors together.
//!
//! Holds the rules of llama.cpp's `llama-model.cpp`. They were tried on the library itself.

use super::super::report::{Depth, quoted};
use super::super::{Halt, Job};
use super::tensors::{self, Sizes};
use super::values::{BOOL, F32, I32, TEXT, U32, Value, Values};
use super::{Tensor, tokenizer};

/// The architectures that llama.cpp has.
const ARCHITECTURES: &str = include_str!("architectures.txt");
/// Files of these hold a part that goes with a language model, and no language model.
const PARTS: [&str; 1] = ["clip"];
/// Layers that llama.cpp has room for.
const MAX_LAYERS: u64 = 512;
/// Experts that llama.cpp has room for.
const MAX_EXPERTS: u64 = 1024;
/// Architectures that turn whole heads only.
const TURNS_WHOLE_HEADS: [&str; 4] = ["llama", "deci", "falcon", "llama-embed"];
/// The architecture that may have layers without tensors.
const WITH_EMPTY_LAYERS: &str = "deci";
const ROPE_SCALINGS: [&str; 4] = ["none", "linear", "yarn", "longrope"];

/// Keys below the architecture's name, with the type that llama.cpp reads. Those of `EACH` may be an array
/// with a number for each layer.
const TYPES: [(&str, u32); 30] = [
    ("context_length", U32),
    ("embedding_length", U32),
    ("embedding_length_out", U32),
    ("block_count", U32),
    ("vocab_size", U32),
    ("nextn_predict_layers", U32),
    ("pooling_type", U32),
    ("expert_count", U32),
    ("expert_used_count", U32),
    ("expert_shared_count", U32),
    ("expert_group_count", U32),
    ("expert_group_used_count", U32),
    ("leading_dense_block_count", U32),
    ("attention.causal", BOOL),
    ("attention.key_length", U32),
    ("attention.value_length", U32),
    ("attention.key_length_swa", U32),
    ("attention.value_length_swa", U32),
    ("rope.dimension_count_swa", U32),
    ("attention.layer_norm_epsilon", F32),
    ("attention.layer_norm_rms_epsilon", F32),
    ("rope.dimension_count", U32),
    ("rope.freq_base", F32),
    ("rope.scale_linear", F32),
    ("rope.scaling.type", TEXT),
    ("rope.scaling.factor", F32),
    ("rope.scaling.alpha", F32),
    ("rope.scaling.attn_factor", F32),
    ("rope.scaling.finetuned", BOOL),
    ("rope.scaling.original_context_length", U32),
];
const EACH: [&str; 3] = ["attention.head_count", "attention.head_count_kv", "feed_forward_length"];
/// Keys outside of the architecture's own.
const GENERAL: [(&str, u32, &str); 5] = [
    ("general.architecture", TEXT, "string"),
    ("general.name", TEXT, "string"),
    ("general.file_type", U32, "u32"),
    ("split.count", 2, "u16"),
    ("split.no", 2, "u16"),
];

/// A model's values, under its architecture's name.
pub(super) struct Model<'v> {
    values: &'v Values,
    pub(super) architecture: &'v str,
}

impl<'v> Model<'v> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn get(&self, key: &str) -> Option<&'v Value> {
        self.values.get(&self.key(key))
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.values.u32(&self.key(key))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// A number for each layer: one for all, or an array.
    pub(super) fn each(&self, key: &str) -> Option<Vec<u64>> {
        match self.get(key)? {
            Value::Number { kind: U32, bits } => Some(vec![*bits]),
            Value::List(list) if matches!(list.kind, U32 | I32) => Some(list.numbers.clone()),
            _ => None,
        }
    }
}

/// Checks the model as a whole.
pub(super) fn check(values: &Values, tensors: &[Tensor], job: &mut Job<'_>) -> Result<Depth, Halt> {
    for (key, kind, wanted) in GENERAL {
        if let Some(value) = values.get(key)
            && value.kind() != kind
        {
            let found = value.kind_name();
            return job.broken(format!("{key} is of type {found}; it must be of type {wanted}"));
        }
    }
    let Some(architecture) = values.text("general.architecture") else {
        return job.broken(
            "there is no general.architecture; convert the model with llama.cpp's converter",
        );
    };
    if !ARCHITECTURES.lines().any(|known| known == architecture) {
        return job.broken(format!(
            "general.architecture is \"{}\", which llama.cpp does not know",
            quoted(architecture)
        ));
    }
    if let Some(Value::Number { bits: parts @ 2.., .. }) = values.get("split.count") {
        return job.broken(format!(
            "the file is one of {parts} parts; a version is one file: join them with llama-gguf-split --merge"
        ));
    }
    let before = job.findings.len();
    let model = Model { values, architecture };
    if PARTS.contains(&architecture) {
        job.findings.note(format!(
            "the file holds a part of the kind {architecture}; it is loaded beside a language model, and its \
             tensors were not compared with its values"
        ));
        return Ok(Depth::Parsed);
    }
    if values.text("general.type") == Some("adapter") {
        return adapter(tensors, job);
    }
    types(&model, job);
    if job.findings.len() > before {
        return Err(Halt::Broken);
    }
    // A model without a tokenizer says how many tokens it knows.
    let tokens = tokenizer::check(values, job);
    let vocabulary = tokens.or_else(|| model.number("vocab_size")).or(Some(0));
    let Some(layers) = layers(&model, job) else {
        return Err(Halt::Broken);
    };
    experts(&model, job);
    numbers(&model, job);
    blocks(&model, layers, tensors, job);
    // What is wrong with the numbers says more than the tensors that do not fit them.
    if job.findings.len() > before {
        return Err(Halt::Broken);
    }
    let sizes = Sizes::of(&model, layers, vocabulary);
    rope(&model, &sizes, job);
    let known = tensors::check(&model, &sizes, tensors, job)?;
    Ok(if known { Depth::Typed } else { Depth::Parsed })
}

/// An adapter changes some tensors of a model by pairs of its own.
fn adapter(tensors: &[Tensor], job: &mut Job<'_>) -> Result<Depth, Halt> {
    let strange = tensors
        .iter()
        .find(|tensor| !tensor.name.ends_with(".lora_a") && !tensor.name.ends_with(".lora_b"));
    match strange {
        Some(tensor) => job.broken(format!(
            "the file is an adapter, and its tensor \"{}\" is neither a lora_a nor a lora_b",
            quoted(&tensor.name)
        )),
        None => Ok(Depth::Typed),
    }
}

fn types(model: &Model<'_>, job: &mut Job<'_>) {
    for key in ["context_length", "embedding_length", "block_count"] {
        if model.get(key).is_none() {
            let key = model.key(key);
            job.findings.broken(format!("there is no {key}, which llama.cpp needs"));
        }
    }
    for (key, kind) in TYPES {
        let Some(value) = model.get(key) else { continue };
        // Newer architectures have numbers for each layer where others have one.
        let for_layers = model.architecture != "llama"
            && matches!(value, Value::List(list) if kind == U32 && matches!(list.kind, U32 | I32));
        if value.kind() != kind && !for_layers {
            let wanted = match kind {
                U32 => "u32",
                F32 => "f32",
                BOOL => "bool",
                _ => "string",
            };
            let (key, found) = (model.key(key), value.kind_name());
            job.findings.broken(format!("{key} is of type {found}; it must be of type {wanted}"));
        }
    }
    for key in EACH {
        if let Some(value) = model.get(key)
            && model.each(key).is_none()
        {
            let (key, found) = (model.key(key), value.kind_name());
            job.findings.broken(format!(
                "{key} is of type {found}; it must be of type u32, or an array of them"
            ));
        }
    }
}

/// The number of layers, where it is one that can be loaded.
fn layers(model: &Model<'_>, job: &mut Job<'_>) -> Option<u64> {
    let layers = model.number("block_count")?;
    let key = model.key("block_count");
    if !(1..=MAX_LAYERS).contains(&layers) {
        job.danger(format!(
            "{key} is {layers}; llama.cpp ends its process where it is not 1 to {MAX_LAYERS}"
        ));
        return None;
    }
    let ahead = model.number("nextn_predict_layers").unwrap_or(0);
    if ahead > layers {
        let key = model.key("nextn_predict_layers");
        job.danger(format!(
            "{key} is {ahead} of {layers} layers; llama.cpp ends its process where it is more than there are"
        ));
        return None;
    }
    if ahead > 0 && tensors::COMPLETE.contains(&model.architecture) {
        let (key, architecture) = (model.key("nextn_predict_layers"), model.architecture);
        job.findings.broken(format!(
            "{key} is {ahead}; the architecture {architecture} has no such layers"
        ));
        return None;
    }
    for key in EACH {
        if let Some(Value::List(list)) = model.get(key)
            && list.count != layers
        {
            let (key, count) = (model.key(key), list.count);
            job.findings.broken(format!("{key} holds {count} numbers for {layers} layers"));
            return None;
        }
    }
    Some(layers)
}

/// llama.cpp ends its process where these do not fit together.
fn experts(model: &Model<'_>, job: &mut Job<'_>) {
    let number = |key: &str| model.number(key).unwrap_or(0);
    let (all, groups) = (number("expert_count"), number("expert_group_count"));
    let used = match model.each("expert_used_count") {
        Some(used) => used.into_iter().max().unwrap_or(0),
        None => 0,
    };
    let used_groups = number("expert_group_used_count");
    let what = if all > MAX_EXPERTS {
        format!("{all} experts, of which it has room for {MAX_EXPERTS}")
    } else if used > all {
        format!("{used} of {all} experts at a time")
    } else if all > 0 && used == 0 {
        format!("none of {all} experts at a time")
    } else if groups > 0 && groups >= all {
        format!("{all} experts in {groups} groups")
    } else if groups > 1 && !all.is_multiple_of(groups) {
        format!("{all} experts in {groups} groups, which cannot be alike")
    } else if groups > 1 && !(1..groups).contains(&used_groups) {
        format!("{used_groups} of {groups} groups of experts at a time")
    } else {
        return;
    };
    let architecture = model.architecture;
    job.danger(format!(
        "{architecture}.expert_count and its like say {what}; llama.cpp ends its process"
    ));
}

fn numbers(model: &Model<'_>, job: &mut Job<'_>) {
    if let Some(Value::Text(scaling)) = model.get("rope.scaling.type")
        && !ROPE_SCALINGS.contains(&scaling.as_str())
    {
        let (key, scaling) = (model.key("rope.scaling.type"), quoted(scaling));
        job.danger(format!(
            "{key} is \"{scaling}\"; llama.cpp ends its process where it is none of {}",
            ROPE_SCALINGS.join(", ")
        ));
    }
    for key in ["attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon"] {
        if let Some(Value::Number { kind: F32, bits }) = model.get(key) {
            let value = f32::from_bits(*bits as u32);
            if value.is_nan() || value < 0.0 {
                let key = model.key(key);
                job.danger(format!(
                    "{key} is {value}; llama.cpp ends its process at the first token where it is below 0"
                ));
            }
        }
    }
}

/// Every tensor of a layer must be of one of the layers, and every layer must have some.
fn blocks(model: &Model<'_>, layers: u64, tensors: &[Tensor], job: &mut Job<'_>) {
    let mut seen = vec![false; layers as usize];
    for tensor in tensors {
        let Some(rest) = tensor.name.strip_prefix("blk.") else { continue };
        let number = rest.split('.').next().unwrap_or_default();
        let place = number.parse::<usize>().ok();
        match place.and_then(|place| seen.get_mut(place)) {
            Some(seen) => *seen = true,
            None => {
                let name = quoted(&tensor.name);
                job.findings.broken(format!("tensor \"{name}\" is of none of the {layers} layers"));
                return;
            }
        }
    }
    let missing = seen.iter().position(|seen| !seen);
    if let Some(missing) = missing.filter(|_| in_blocks(model)) {
        job.findings
            .broken(format!("the layer {missing} of {layers} has no tensors (blk.{missing}.…)"));
    }
}

/// Whether every layer has tensors of the form `blk.N.…`.
fn in_blocks(model: &Model<'_>) -> bool {
    !matches!(
        model.architecture,
        WITH_EMPTY_LAYERS | "t5" | "t5encoder" | "wavtokenizer-dec" | "pockettts" | "qwen3tts"
    )
}

fn rope(model: &Model<'_>, sizes: &Sizes, job: &mut Job<'_>) {
    if !TURNS_WHOLE_HEADS.contains(&model.architecture) {
        return;
    }
    if let (Some(turned), Some(head)) = (model.number("rope.dimension_count"), sizes.key)
        && sizes.heads.first().is_some_and(|heads| *heads > 0)
        && turned != head
    {
        let key = model.key("rope.dimension_count");
        job.findings.broken(format!("{key} is {turned}; the heads have {head} numbers"));
    }
}
