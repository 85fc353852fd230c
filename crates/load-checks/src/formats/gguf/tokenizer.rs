//! The tokenizer of a language model: its tokens, and what is told of each.
//!
//! Holds the rules of llama.cpp's `llama-vocab.cpp`. They were tried on the library itself.

use super::super::Job;
use super::super::report::quoted;
use super::values::{BOOL, F32, I32, TEXT, Texts, U32, Value, Values};

/// The tokenizers that llama.cpp has.
const MODELS: [&str; 10] =
    ["no_vocab", "none", "llama", "bert", "gpt2", "t5", "rwkv", "plamo2", "hybriddna", "gemma4"];
/// Those that join pieces by a list of pairs.
const WITH_MERGES: [&str; 3] = ["gpt2", "hybriddna", "gemma4"];
/// The ways to cut a text that llama.cpp has for `gpt2`.
const PRE_TOKENIZERS: &str = include_str!("pre_tokenizers.txt");
/// A token that stands for a byte.
const BYTE: u64 = 6;
/// The least bytes of a token that stands for a byte: `<0x`.
const BYTE_PREFIX: usize = 3;

/// Keys of numbers, of switches and of strings.
const NUMBERS: [&str; 19] = [
    "bos_token_id",
    "eos_token_id",
    "eot_token_id",
    "eom_token_id",
    "unknown_token_id",
    "seperator_token_id",
    "padding_token_id",
    "cls_token_id",
    "mask_token_id",
    "fim_pre_token_id",
    "fim_suf_token_id",
    "fim_mid_token_id",
    "fim_pad_token_id",
    "fim_rep_token_id",
    "fim_sep_token_id",
    "prefix_token_id",
    "suffix_token_id",
    "middle_token_id",
    "token_type_count",
];
const SWITCHES: [&str; 7] = [
    "add_bos_token",
    "add_eos_token",
    "add_sep_token",
    "add_space_prefix",
    "remove_extra_whitespaces",
    "normalizer.lowercase",
    "normalizer.strip_accents",
];

/// Checks the tokenizer; answers how many tokens there are, where that is known.
pub(super) fn check(values: &Values, job: &mut Job<'_>) -> Option<u64> {
    types(values, job);
    let Some(model) = values.text("tokenizer.ggml.model") else {
        if values.get("tokenizer.ggml.model").is_none() {
            job.findings
                .broken("there is no tokenizer.ggml.model; convert the model with its tokenizer");
        }
        return None;
    };
    if !MODELS.contains(&model) {
        job.findings.broken(format!(
            "tokenizer.ggml.model is \"{}\", which llama.cpp does not know",
            quoted(model)
        ));
        return None;
    }
    if matches!(model, "none" | "no_vocab") {
        return None;
    }
    merges(values, job, model);
    if model == "t5" {
        charsmap(values, job);
    }
    tokens(values, job, model)
}

fn types(values: &Values, job: &mut Job<'_>) {
    let numbers = NUMBERS.iter().map(|key| (*key, U32));
    let switches = SWITCHES.iter().map(|key| (*key, BOOL));
    for (key, kind) in numbers.chain(switches).chain([("model", TEXT), ("pre", TEXT)]) {
        let key = format!("tokenizer.ggml.{key}");
        if let Some(value) = values.get(&key)
            && value.kind() != kind
        {
            let wanted = match kind {
                U32 => "u32",
                BOOL => "bool",
                _ => "string",
            };
            let found = value.kind_name();
            job.findings.broken(format!("{key} is of type {found}; it must be of type {wanted}"));
        }
    }
    array(values, job, "suppress_tokens", &[I32], "i32");
}

/// An array of a type; answers its length, where it is there and of that type.
fn array(
    values: &Values,
    job: &mut Job<'_>,
    key: &str,
    kinds: &[u32],
    wanted: &str,
) -> Option<u64> {
    let key = format!("tokenizer.ggml.{key}");
    match values.get(&key)? {
        Value::List(list) if kinds.contains(&list.kind) => Some(list.count),
        other => {
            let found = other.kind_name();
            job.findings
                .broken(format!("{key} is of type {found}; it must be an array of {wanted}"));
            None
        }
    }
}

fn merges(values: &Values, job: &mut Job<'_>, model: &str) {
    if !WITH_MERGES.contains(&model) {
        return;
    }
    if values.get("tokenizer.ggml.merges").is_none() {
        job.findings.broken(format!("there is no tokenizer.ggml.merges, which \"{model}\" needs"));
    }
    array(values, job, "merges", &[TEXT], "string");
    if let Some(pre) = values.text("tokenizer.ggml.pre").filter(|pre| !pre.is_empty())
        && !PRE_TOKENIZERS.split_whitespace().any(|known| known == pre)
    {
        job.findings.broken(format!(
            "tokenizer.ggml.pre is \"{}\", which llama.cpp does not know",
            quoted(pre)
        ));
    }
}

/// A table of characters: the bytes of its index as a 32-bit number, then the index and the texts.
fn charsmap(values: &Values, job: &mut Job<'_>) {
    const KEY: &str = "precompiled_charsmap";
    let Some(count) = array(values, job, KEY, &[0, 1], "u8") else {
        return;
    };
    let list = values.list("tokenizer.ggml.precompiled_charsmap");
    let head: Vec<u8> = list
        .iter()
        .flat_map(|list| list.numbers.iter().take(4).map(|number| number.to_le_bytes()[0]))
        .collect();
    // The numbers of a long array are not kept; what they say is believed.
    if count > 4 && head.is_empty() {
        return;
    }
    let index = head.first_chunk().map(|head| u64::from(u32::from_le_bytes(*head)));
    if index.is_none_or(|index| index.saturating_add(4) >= count) {
        job.findings.broken(format!("tokenizer.ggml.{KEY} of {count} bytes holds no table"));
    }
}

fn tokens(values: &Values, job: &mut Job<'_>, model: &str) -> Option<u64> {
    if values.get("tokenizer.ggml.tokens").is_none() {
        job.findings
            .broken("there is no tokenizer.ggml.tokens; convert the model with its tokenizer");
    }
    let count = array(values, job, "tokens", &[TEXT], "string")?;
    if count == 0 {
        job.findings.broken("tokenizer.ggml.tokens is empty");
        return None;
    }
    for (key, kinds, wanted) in
        [("scores", &[F32, I32][..], "f32"), ("token_type", &[I32][..], "i32")]
    {
        if let Some(found) = array(values, job, key, kinds, wanted)
            && found < count
        {
            job.findings
                .broken(format!("tokenizer.ggml.{key} holds {found} numbers for {count} tokens"));
        }
    }
    let texts = &values.list("tokenizer.ggml.tokens")?.texts;
    if let Some(again) = texts.first_again() {
        let token = quoted(&String::from_utf8_lossy(texts.get(again)));
        job.danger(format!(
            "the token \"{token}\" is there twice, again as number {again}; llama.cpp ends its process"
        ));
    }
    if let Some(types) = values.list("tokenizer.ggml.token_type") {
        bytes(&types.numbers, texts, model, job);
    }
    Some(count)
}

/// The tokens that are said to stand for a byte.
fn bytes(types: &[u64], texts: &Texts, model: &str, job: &mut Job<'_>) {
    let mut of_bytes =
        types.iter().take(texts.len()).enumerate().filter(|(_, kind)| **kind == BYTE);
    let found = match model {
        "llama" => of_bytes.find(|(i, _)| texts.get(*i).len() < BYTE_PREFIX),
        "bert" => of_bytes.next(),
        _ => None,
    };
    let Some((i, _)) = found else { return };
    let token = quoted(&String::from_utf8_lossy(texts.get(i)));
    let told = format!("the token \"{token}\", number {i}, is said to stand for a byte");
    if model == "bert" {
        job.danger(format!("{told}, which \"bert\" has none of; llama.cpp ends its process"));
    } else {
        job.findings.broken(format!("{told} and is not written as one"));
    }
}
