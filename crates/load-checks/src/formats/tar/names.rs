//! Code that a text names: a configuration from which a framework builds objects.
//!
//! Hydra, Lightning, torchtune and others import and call what stands at a certain key; YAML's tags
//! have its reader build objects. Two readers of YAML understand many texts differently, so none is
//! imitated here: where the key's word stands in a text, what follows it must be plain to any reader
//! and a class that an operator trusts. Prose about such keys is refused as well.

use super::super::json::{self, Scalar, ScanError, Visitor};
use super::super::naming;
use super::super::report::quoted;
use super::super::source::Source;
use super::super::{Halt, Job, pickle};
use crate::job::TrustedGlobals;

/// Words that name code wherever they stand: Hydra's and torchtune's.
const WORDS: [&str; 2] = ["_target_", "_component_"];
/// Keys that name code, whose words stand elsewhere too: Lightning's, MLflow's and jsonpickle's.
const KEYS: [&str; 9] = [
    TARGET,
    "class_path",
    "loader_module",
    "py/object",
    "py/reduce",
    "py/type",
    "py/function",
    "py/repr",
    "py/initargs",
];
/// A key of diffusion models and of NeMo, which names code where its value is a name with dots.
const TARGET: &str = "target";
/// A resolver that many programs register with OmegaConf: Python's own `eval`.
const EVAL: &str = "${eval:";
/// Bytes of a line that are looked at before and after a word.
const WINDOW: usize = 256;
/// What stands for a value that is not plain to any reader.
const UNREAD: &str = "in a way that is not read";
/// MLflow's own loaders.
const MLFLOW: &str = "mlflow.";
/// Tags of YAML that build plain values.
const PLAIN_TAGS: [&str; 13] = [
    "!!str",
    "!!int",
    "!!float",
    "!!bool",
    "!!null",
    "!!map",
    "!!seq",
    "!!binary",
    "!!timestamp",
    "!!set",
    "!!omap",
    "!!pairs",
    "!",
];

/// Refuses code that a text names.
pub(super) fn in_text(text: &str, job: &mut Job<'_>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for line in text.split(['\n', '\r', '\u{2028}', '\u{2029}']) {
        if line.starts_with("%TAG") {
            job.danger("a %TAG directive of YAML, which gives tags another meaning; leave it out");
        }
        if let Some(tag) = tags(line).find(|tag| !is_plain_tag(tag)) {
            job.danger(format!(
                "the tag {} has a reader of YAML build an object; write plain values",
                quoted(tag)
            ));
        }
    }
    let mut found = named(text, job.trusted);
    let mut evaluated = text.contains(EVAL);
    if text.contains('\\') {
        let text = unescaped(text);
        found = found.or_else(|| named(&text, job.trusted));
        evaluated |= text.contains(EVAL);
    }
    if evaluated {
        job.danger(format!("{EVAL}…}} has many programs evaluate Python; write the value itself"));
    }
    if let Some((key, value)) = found {
        tell(key, &value, job);
    }
}

fn tell(key: &str, value: &str, job: &mut Job<'_>) {
    let module =
        value.rsplit_once('.').filter(|_| naming::is_path(value)).map(|(module, _)| module);
    let value = quoted(value);
    let remedy = if module.is_some_and(pickle::may_be_trusted) {
        format!(
            "; if this class is yours and safe, add \"{value}\" to [pickle] trusted in the policy file"
        )
    } else {
        String::new()
    };
    job.danger(format!("{key} names code, {value}, that is imported and called{remedy}"));
}

/// Refuses code that a document names by its keys.
pub(super) fn in_json(inside: &mut Source<'_>, job: &mut Job<'_>) -> Result<(), Halt> {
    let mut keys = Keys { trusted: job.trusted, key: None, found: None };
    match json::visit(inside, job.keep_going, &mut keys) {
        // What is wrong with it is told already.
        Ok(()) | Err(ScanError::Fault(_)) => {}
        Err(ScanError::Io(error)) => return Err(error.into()),
    }
    if let Some((key, value)) = keys.found {
        tell(key, &value, job);
    }
    Ok(())
}

struct Keys<'t> {
    trusted: &'t TrustedGlobals,
    /// The key that names code and whose value comes next.
    key: Option<&'static str>,
    found: Option<(&'static str, String)>,
}

impl Visitor for Keys<'_> {
    fn wants(&self) -> bool {
        self.found.is_none()
    }

    fn open(&mut self, _: bool) {
        if let Some(key) = self.key.take().filter(|key| *key != TARGET) {
            self.found = Some((key, UNREAD.to_owned()));
        }
    }

    fn key(&mut self, key: &[u8]) {
        let known = |known: &&&str| known.as_bytes() == key;
        self.key = WORDS.iter().chain(&KEYS).find(known).copied();
    }

    fn close(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn scalar(&mut self, scalar: Scalar<'_>) -> Result<(), String> {
        if let Scalar::Text(value) = scalar
            && value.contains(EVAL)
        {
            self.found = Some((EVAL, value.to_owned()));
        } else if let (Some(key), Scalar::Text(value)) = (self.key.take(), scalar)
            && !is_harmless(key, value, self.trusted)
        {
            self.found = Some((key, value.to_owned()));
        }
        Ok(())
    }
}

/// Whether what a key names is no code, or code that is trusted.
fn is_harmless(key: &str, value: &str, trusted: &TrustedGlobals) -> bool {
    if matches!(value, "" | "null" | "~" | "???") {
        return true;
    }
    let pair = value.rsplit_once('.').filter(|_| naming::is_path(value));
    match key {
        TARGET if pair.is_none() => return true,
        "loader_module" if pair.is_some() && value.starts_with(MLFLOW) => return true,
        _ => {}
    }
    pair.is_some_and(|(module, name)| {
        pickle::may_be_trusted(module) && trusted.contains(module, name)
    })
}

/// The first key that names code which is not trusted, and what it names.
fn named(text: &str, trusted: &TrustedGlobals) -> Option<(&'static str, String)> {
    let words = WORDS.iter().map(|word| (*word, true));
    let keys = KEYS.iter().map(|key| (*key, false));
    words.chain(keys).find_map(|(word, always)| {
        text.match_indices(word).find_map(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + word.len()..]);
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let within = before.ends_with(is_word) || after.starts_with(is_word);
            if within && !always {
                return None;
            }
            match value(before, after) {
                Some(value) if is_harmless(word, value, trusted) => None,
                Some(value) => Some((word, value.to_owned())),
                None if always => Some((word, UNREAD.to_owned())),
                None => None,
            }
        })
    })
}

/// What stands after a key on its line; `None` where the word is no key.
fn value<'t>(before: &str, after: &'t str) -> Option<&'t str> {
    let quote = before.chars().next_back().filter(|c| "\"'".contains(*c));
    let after = match quote {
        Some(quote) => after.strip_prefix(quote)?,
        None => after,
    };
    let value = after.trim_start_matches([' ', '\t']).strip_prefix(':')?;
    let start = first(value);
    let line = start.lines().next().unwrap_or_default();
    // Nothing is called by a name of such a length.
    if line.len() == start.len() && start.len() < value.len() && !line.contains([',', '}', ']']) {
        return Some(UNREAD);
    }
    let line = line.trim();
    let (value, rest) = match line.chars().next() {
        Some(quote @ ('"' | '\'')) => match line[1..].split_once(quote) {
            Some(parts) => parts,
            None => return Some(UNREAD),
        },
        _ => {
            let end = line.find([',', '}', ']']).unwrap_or(line.len());
            let end = line.find(" #").unwrap_or(end).min(end);
            (line[..end].trim(), &line[end..])
        }
    };
    let rest = rest.trim_start();
    let ends = rest.is_empty() || rest.starts_with([',', '}', ']', '#']);
    // A value may stand on the next lines, or go on there.
    Some(if ends && !value.is_empty() { value } else { UNREAD })
}

/// The same text with the escapes of JSON and YAML replaced.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let digits = match escape.bytes().next() {
            Some(b'x') => 2,
            Some(b'u') => 4,
            Some(b'U') => 8,
            Some(b'\n' | b'\r') => {
                rest = escape.trim_start();
                continue;
            }
            _ => 0,
        };
        let code = escape.get(1..=digits).and_then(|code| u32::from_str_radix(code, 16).ok());
        match code.filter(|_| digits > 0).and_then(char::from_u32) {
            Some(c) => {
                out.push(c);
                rest = &escape[1 + digits..];
            }
            // `\/` is a slash in both.
            None => rest = escape,
        }
    }
    out.push_str(rest);
    out
}

/// What stands in a line where a tag of YAML may.
fn tags(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices('!').filter_map(move |(at, _)| {
        let before = line[..at].trim_end();
        // Within a tag or a word is no place for one.
        let touches = before.len() == at && !before.is_empty();
        let opens = before.is_empty()
            || before.ends_with([':', '-', '?', ',', '[', '{'])
            || (!touches && last(before).rsplit(char::is_whitespace).next()?.starts_with('&'));
        opens.then(|| first(&line[at..]).split(char::is_whitespace).next()).flatten()
    })
}

/// The first bytes of a text, so that a long line is not read again for each word in it.
fn first(text: &str) -> &str {
    &text[..text.floor_char_boundary(WINDOW)]
}

/// The last bytes of a text.
fn last(text: &str) -> &str {
    &text[text.ceil_char_boundary(text.len().saturating_sub(WINDOW))..]
}

fn is_plain_tag(tag: &str) -> bool {
    // A picture in Markdown, a box in its extensions, a comparison in code.
    PLAIN_TAGS.contains(&tag)
        || tag.starts_with("![")
        || tag.starts_with("!!!")
        || tag.starts_with("!=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<(&'static str, String)> {
        let trusted = TrustedGlobals::new([("ours.models".to_owned(), "Risk".to_owned())]);
        named(text, &trusted).or_else(|| named(&unescaped(text), &trusted))
    }

    #[test]
    fn code_is_found_however_the_key_is_written() {
        for text in [
            "a:\n  _target_: os.system\n",
            "a: {_target_: os.system, command: x}",
            "{\"_target_\": \"os.system\"}",
            "'_target_': os.system",
            "\"_target_\" : os.system",
            "\"\\x5ftarget_\": os.system",
            "\"_tar\\u0067et_\": os.system",
            "\"_tar\\\n   get_\": os.system",
            "? _target_\n: os.system",
            "x: &k _target_\n*k : os.system",
            "_target_:\n  os.system",
            "_target_: \"os.sys\\\n  tem\"",
            "_target_: >\n  os.system",
            "_target_: ${a}",
            "_target_: *a",
            "_target_: !!str os.system",
            "_target_: ours.models.Risk x",
            "_component_: subprocess.run",
            "class_path: os.system",
            "loader_module: evil",
            "loader_module: mlflow",
            "model:\n  target: os.system\n  params: {}",
            "{\"py/reduce\": []}",
            "{\"py\\/object\": \"os.system\"}",
        ] {
            assert!(found(text).is_some(), "{text}");
        }
    }

    #[test]
    fn plain_values_and_trusted_classes_are_no_code() {
        for text in [
            "target: x\nprice: 1\n",
            "target: close price\n",
            "_target_: ours.models.Risk\nalpha: 1",
            "a: {_target_: 'ours.models.Risk', b: 1}",
            "_target_: ours.models.Risk # ours\n",
            "_target_: null\n",
            "loader_module: mlflow.sklearn\n",
            "a path to a class, class_path, is told\n",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn long_lines_are_read_once() {
        let many = 100_000;
        for part in ["!", "a!", "! ", "target:x,", "&a !"] {
            let line = part.repeat(many);
            assert_eq!(found(&line), None, "{part}");
            assert!(tags(&line).count() <= many, "{part}");
        }
        assert!(found(&format!("class_path: {}", "a".repeat(many))).is_some());
    }

    #[test]
    fn tags_that_build_objects_are_found_where_yaml_has_them() {
        let built = |text: &str| tags(text).any(|tag| !is_plain_tag(tag));
        for text in [
            "a: !!python/object/apply:os.system [x]",
            "!!pyth%6fn/object/apply:os.system",
            "- !new:os.system",
            "{a:!!python/name:os.system }",
            "[!x a]",
            "? !x a",
            "a: &k !x b",
            "--- !<tag:yaml.org,2002:python/name:os.system>",
            "a: &k   !x",
            "a: !x-of-a-name-of-a-module",
        ] {
            assert!(built(text), "{text}");
        }
        for text in [
            "![a picture](x.png)",
            "Hello !world",
            "a: !!str 1",
            "if a != b:",
            "!!! note",
            "great!",
            "a: ! x",
        ] {
            assert!(!built(text), "{text}");
        }
    }
}
