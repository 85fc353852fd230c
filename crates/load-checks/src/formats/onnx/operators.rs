//! The operators that ONNX defines, and whether a node is what its operator asks for.
//!
//! Knows the table alone, no graph.

use std::collections::HashMap;
use std::sync::OnceLock;

/// Domains whose operators are all in the table, as a node names them.
const DOMAINS: [&str; 4] = ["", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training"];
/// The operators that onnxruntime 1.32 adds, each with its domain, as it lists them.
const ADDED: &str = include_str!("microsoft.txt");
/// Operators that call a function of Python.
const PYTHON: [&str; 2] = ["PyOp", "PythonOp"];
/// Names of attribute types by their numbers.
const KINDS: [&str; 15] = [
    "undefined",
    "float",
    "int",
    "string",
    "tensor",
    "graph",
    "floats",
    "ints",
    "strings",
    "tensors",
    "graphs",
    "sparse_tensor",
    "sparse_tensors",
    "type_proto",
    "type_protos",
];

/// One version of one operator.
pub(super) struct Operator {
    pub(super) since: i64,
    /// `None` of one that is no longer to be used.
    pub(super) rules: Option<Rules>,
}

pub(super) struct Rules {
    pub(super) inputs: Arity,
    pub(super) outputs: Arity,
    /// Name, type, whether it must be there.
    pub(super) attributes: Vec<(&'static str, i64, bool)>,
}

pub(super) struct Arity {
    least: usize,
    most: usize,
    /// One letter each: single, optional, variadic.
    each: &'static str,
}

impl Arity {
    fn of(count: &str, each: &'static str) -> Option<Self> {
        let (least, most) = count.split_once('-')?;
        let most = if most == "*" { usize::MAX } else { most.parse().ok()? };
        Some(Self { least: least.parse().ok()?, most, each })
    }

    /// What is wrong with so many, of which `given` says which have names.
    pub(super) fn fault(&self, given: impl ExactSizeIterator<Item = bool>) -> Option<String> {
        let count = given.len();
        if !(self.least..=self.most).contains(&count) {
            let (least, most) = (self.least, self.most);
            return Some(match most {
                usize::MAX => format!("{count}; it takes {least} or more"),
                _ if least == most => format!("{count}; it takes {least}"),
                _ => format!("{count}; it takes {least} to {most}"),
            });
        }
        let missing = given.zip(self.each.bytes()).position(|(given, how)| how == b's' && !given);
        missing.map(|i| format!("{count}, of which number {i} must not be empty"))
    }
}

/// By domain, then by name.
type Table = HashMap<&'static str, HashMap<&'static str, Vec<Operator>>>;

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table::new();
        let lines = include_str!("operators.txt").lines().filter(|line| !line.starts_with('#'));
        for ((domain, name), operator) in lines.filter_map(parse) {
            table.entry(domain).or_default().entry(name).or_default().push(operator);
        }
        table
    })
}

fn parse(line: &'static str) -> Option<((&'static str, &'static str), Operator)> {
    let mut words = line.split(' ');
    let domain = words.next().map(|domain| if domain == "." { "" } else { domain })?;
    let name = words.next()?;
    let since = words.next()?.parse().ok()?;
    let inputs = words.next()?;
    if inputs == "deprecated" {
        return Some(((domain, name), Operator { since, rules: None }));
    }
    let inputs = Arity::of(inputs, words.next()?)?;
    let outputs = Arity::of(words.next()?, words.next()?)?;
    let attributes = words
        .map(|word| {
            let at = word.find([':', '!'])?;
            let kind = KINDS.iter().position(|kind| *kind == &word[at + 1..])?;
            Some((&word[..at], kind as i64, word.as_bytes()[at] == b'!'))
        })
        .collect::<Option<_>>()?;
    Some(((domain, name), Operator { since, rules: Some(Rules { inputs, outputs, attributes }) }))
}

/// Whether all operators of a domain are known.
pub(super) fn knows(domain: &str) -> bool {
    DOMAINS.contains(&domain)
}

/// Whether an operator is no part of ONNX, and yet of a stock loader.
pub(super) fn may_be_known(domain: &str, name: &str) -> bool {
    ADDED.lines().any(|line| line.split_once(' ') == Some((domain, name)))
}

/// Whether an operator that is not ONNX's calls a function of Python where it is known.
pub(super) fn calls_python(name: &str) -> bool {
    PYTHON.contains(&name)
}

/// The newest version of a domain that the table knows.
pub(super) fn newest(domain: &str) -> i64 {
    match domain {
        "" => 28,
        "ai.onnx.ml" => 5,
        _ => 1,
    }
}

/// The operator as it is in this version of its domain.
pub(super) fn operator(domain: &str, name: &str, version: i64) -> Option<&'static Operator> {
    let versions = table().get(domain)?.get(name)?;
    versions.iter().filter(|operator| operator.since <= version).max_by_key(|o| o.since)
}

/// The name of a type of attributes.
pub(super) fn kind_name(kind: i64) -> &'static str {
    usize::try_from(kind).ok().and_then(|kind| KINDS.get(kind)).unwrap_or(&"unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_understood() {
        let lines = include_str!("operators.txt").lines().filter(|line| !line.starts_with('#'));
        let mut count = 0;
        for line in lines {
            let ((domain, _), operator) = parse(line).expect(line);
            assert!(knows(domain), "{line}");
            assert!(operator.since <= newest(domain), "{line}");
            count += 1;
        }
        assert_eq!(count, 659);
    }

    #[test]
    fn an_operator_is_taken_in_the_version_of_its_domain() {
        assert_eq!(operator("", "Squeeze", 12).map(|o| o.since), Some(11));
        assert_eq!(operator("", "Squeeze", 13).map(|o| o.since), Some(13));
        assert!(operator("", "Gelu", 19).is_none());
        assert!(operator("ai.onnx.ml", "Squeeze", 3).is_none());
    }
}
