//! The tensors that an architecture needs, with their shapes, against the ones that are there.
//!
//! `tensors.txt` holds the architectures whose tensors are known: what llama.cpp itself asked for
//! when it was given a model without tensors. The others are passed over with a note.

use std::collections::{HashMap, HashSet};

use super::super::report::quoted;
use super::super::{Halt, Job};
use super::Tensor;
use super::model::Model;

/// A line an architecture: its name; `dense`, `experts` or `any`; then its tensors. `!` marks one that must be there, `?`
/// one that may, `@` a value that must be there; `*` stands for the number of a layer. Each size is a letter (see
/// `Sizes::of_letter`) or a number.
const TABLE: &str = include_str!("tensors.txt");
/// Endings of tensors that belong to others, which quantised models have.
const COMPANIONS: [&str; 3] = [".scale", ".input_scale", ".weight_scale"];
/// Architectures of which every tensor is known that may be there.
pub(super) const COMPLETE: [&str; 1] = ["llama"];
/// The types of whole numbers and of 64-bit ones, which no weight is kept in.
const NO_WEIGHTS: std::ops::RangeInclusive<u32> = 24..=28;
const F32: u32 = 0;
/// Findings about tensors.
const MOST: usize = 10;

/// The hyperparameters that shapes are made of.
pub(super) struct Sizes {
    layers: u64,
    vocabulary: Option<u64>,
    embedding: Option<u64>,
    pub(super) heads: Vec<u64>,
    pairs: Vec<u64>,
    forward: Vec<u64>,
    /// Numbers of a key of one head, and of a value.
    pub(super) key: Option<u64>,
    value: Option<u64>,
    /// Numbers of a head that are turned by their place.
    turned: Option<u64>,
    experts: Option<u64>,
    expert_forward: Option<u64>,
    context: Option<u64>,
}

impl Sizes {
    pub(super) fn of(model: &Model<'_>, layers: u64, vocabulary: Option<u64>) -> Self {
        let heads = model.each("attention.head_count").unwrap_or_else(|| vec![0]);
        let pairs = model.each("attention.head_count_kv").unwrap_or_else(|| heads.clone());
        let embedding = model.number("embedding_length");
        // Where no heads are told, none has a size.
        let each = embedding
            .zip(heads.first().copied())
            .map(|(embedding, heads)| embedding.checked_div(heads).unwrap_or(0));
        Self {
            layers,
            vocabulary,
            embedding,
            pairs,
            heads,
            forward: model.each("feed_forward_length").unwrap_or_else(|| vec![0]),
            key: model.number("attention.key_length").or(each),
            value: model.number("attention.value_length").or(each),
            turned: model.number("rope.dimension_count"),
            experts: model.number("expert_count"),
            expert_forward: model.number("expert_feed_forward_length"),
            context: model.number("context_length"),
        }
    }

    /// A size in a layer; `None` where it is not known.
    fn of_letter(&self, letter: &str, layer: usize) -> Option<u64> {
        let at = |all: &[u64]| all.get(layer).or(all.first()).copied();
        let (heads, pairs) = (at(&self.heads), at(&self.pairs));
        let times = |a: Option<u64>, b: Option<u64>| a?.checked_mul(b?);
        let plus = |a: Option<u64>, b: Option<u64>| a?.checked_add(b?);
        let (q, k, v) = (times(self.key, heads), times(self.key, pairs), times(self.value, pairs));
        match letter {
            "E" => self.embedding,
            "N" => self.vocabulary,
            "F" => at(&self.forward),
            "FF" => times(at(&self.forward), Some(2)),
            "H" => self.key,
            "HALF" => self.turned.or(self.key).map(|turned| turned / 2),
            "W" => self.value,
            "A" => heads,
            "Q" => q,
            "K" => k,
            "V" => v,
            "O" => times(self.value, heads),
            "QKV" => plus(plus(q, k), v),
            "EKK" => plus(self.embedding, plus(k, k)),
            "EEE" => times(self.embedding, Some(3)),
            "C" => self.context,
            "X" => self.experts,
            "D" => self.expert_forward,
            number => number.parse().ok(),
        }
    }
}

/// A line of the table, taken apart.
struct Needs<'t> {
    keys: Vec<&'t str>,
    tensors: Vec<Rule<'t>>,
}

struct Rule<'t> {
    needed: bool,
    name: &'t str,
    sizes: Vec<&'t str>,
}

fn needs(architecture: &str, with_experts: bool) -> Option<Needs<'static>> {
    let variant = if with_experts { "experts" } else { "dense" };
    let line = TABLE.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let rest = line.strip_prefix(architecture)?.strip_prefix(' ')?;
        rest.strip_prefix(variant).or_else(|| rest.strip_prefix("any"))?.strip_prefix(' ')
    })?;
    let mut needs = Needs { keys: Vec::new(), tensors: Vec::new() };
    for word in line.split(' ') {
        if let Some(key) = word.strip_prefix('@') {
            needs.keys.push(key);
            continue;
        }
        let (name, sizes) = word[1..].split_once('=')?;
        let sizes = sizes.split(',').collect();
        needs.tensors.push(Rule { needed: word.starts_with('!'), name, sizes });
    }
    Some(needs)
}

/// Compares; answers whether the architecture's tensors are known.
pub(super) fn check(
    model: &Model<'_>,
    sizes: &Sizes,
    tensors: &[Tensor],
    job: &mut Job<'_>,
) -> Result<bool, Halt> {
    let with_experts = sizes.experts.is_some_and(|experts| experts > 0);
    let Some(needs) = needs(model.architecture, with_experts) else {
        job.findings.note(format!(
            "the tensors of the architecture {} were not compared with its values",
            model.architecture
        ));
        return Ok(false);
    };
    let before = job.findings.len();
    for key in needs.keys {
        if !model.has(key) {
            let architecture = model.architecture;
            job.findings.broken(format!("there is no {architecture}.{key}, which llama.cpp needs"));
        }
    }
    let there: HashMap<&str, &Tensor> = tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    let mut known = HashSet::new();
    for rule in &needs.tensors {
        let layers = if rule.name.contains('*') { sizes.layers as usize } else { 1 };
        for layer in 0..layers {
            job.poll()?;
            if job.findings.len() >= before + MOST {
                return Ok(true);
            }
            let name = rule.name.replacen('*', &layer.to_string(), 1);
            match there.get(name.as_str()) {
                Some(tensor) => compare(rule, sizes, layer, tensor, job),
                None if rule.needed && !is_joined(&name, &there) => {
                    let name = quoted(&name);
                    job.findings.broken(format!(
                        "there is no tensor \"{name}\", which the architecture {} needs",
                        model.architecture
                    ));
                }
                None => {}
            }
            known.insert(name);
        }
    }
    let strange = tensors.iter().filter(|tensor| {
        COMPLETE.contains(&model.architecture)
            && !known.contains(&tensor.name)
            && !COMPANIONS.iter().any(|end| tensor.name.ends_with(end))
    });
    for tensor in strange.take(MOST) {
        job.findings.broken(format!(
            "the tensor \"{}\" is none of the architecture {}; llama.cpp loads no model with tensors left over",
            quoted(&tensor.name),
            model.architecture
        ));
    }
    Ok(true)
}

/// Whether a tensor of queries, keys or values stands in one tensor with the others.
fn is_joined(name: &str, there: &HashMap<&str, &Tensor>) -> bool {
    ["attn_q.weight", "attn_k.weight", "attn_v.weight"].iter().any(|end| {
        name.strip_suffix(end)
            .is_some_and(|layer| there.contains_key(format!("{layer}attn_qkv.weight").as_str()))
    })
}

fn compare(rule: &Rule<'_>, sizes: &Sizes, layer: usize, tensor: &Tensor, job: &mut Job<'_>) {
    let name = quoted(&tensor.name);
    let wanted: Vec<_> = rule.sizes.iter().map(|letter| sizes.of_letter(letter, layer)).collect();
    let mut found = tensor.sizes.clone();
    while found.len() > wanted.len() && found.last() == Some(&1) {
        found.pop();
    }
    found.resize(found.len().max(wanted.len()), 1);
    let fits = found.len() == wanted.len()
        && found.iter().zip(&wanted).all(|(found, wanted)| wanted.is_none_or(|w| w == *found));
    if !fits {
        let wanted: Vec<_> =
            wanted.iter().map(|w| w.map_or("?".to_owned(), |w| w.to_string())).collect();
        job.findings.broken(format!(
            "the tensor \"{name}\" has the shape {:?}; the model's values need [{}]",
            tensor.sizes,
            wanted.join(", ")
        ));
    } else if tensor.name.ends_with("norm.weight") && tensor.kind != F32 {
        job.danger(format!(
            "the tensor \"{name}\" is of type {}; llama.cpp ends its process where it is not F32 (type 0)",
            tensor.kind
        ));
    } else if wanted.len() > 1 && NO_WEIGHTS.contains(&tensor.kind) {
        job.danger(format!(
            "the tensor \"{name}\" is of type {}, which no weights are kept in; llama.cpp crashes at the first token",
            tensor.kind
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_understood() {
        let sizes = Sizes {
            layers: 1,
            vocabulary: Some(1),
            embedding: Some(1),
            heads: vec![1],
            pairs: vec![1],
            forward: vec![1],
            key: Some(1),
            value: Some(1),
            turned: Some(2),
            experts: Some(1),
            expert_forward: Some(1),
            context: Some(1),
        };
        let lines: Vec<_> = TABLE.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() > 20);
        for line in lines {
            let mut words = line.split(' ');
            let (name, variant) = (words.next().unwrap(), words.next().unwrap());
            let needs = needs(name, variant == "experts").expect(line);
            assert!(needs.tensors.iter().any(|rule| rule.needed), "{line}");
            for rule in needs.tensors {
                for letter in rule.sizes {
                    assert!(
                        letter == "?" || sizes.of_letter(letter, 0).is_some(),
                        "{line}: {letter}"
                    );
                }
            }
        }
    }
}
