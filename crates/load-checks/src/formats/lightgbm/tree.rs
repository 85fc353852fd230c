//! One tree of a text model: every array counted and parsed, every branch followed.

use std::collections::HashMap;
use std::str::FromStr;

use super::super::report::quoted;
use super::super::trees::{Child, Leaf, Missing, Node, Rule, Tree, reach_all};
use super::super::{Halt, Job};
use super::header::Header;
use super::lines::Lines;

/// Lines of one tree; the loader takes what comes after them for the next one.
const MAX_LINES: usize = 22;
/// Bytes of one tree, which is in memory while it is read.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Numbers parsed between two questions whether to go on.
const POLL_EVERY: usize = 8192;

/// A tree whose every part was checked.
#[derive(Debug, Default)]
pub(super) struct Checked {
    left: Vec<i32>,
    right: Vec<i32>,
    features: Vec<i32>,
    thresholds: Vec<f64>,
    decisions: Vec<i8>,
    leaf_values: Vec<f64>,
    boundaries: Vec<i32>,
    bits: Vec<u32>,
    linear: Option<Linear>,
}

#[derive(Debug)]
struct Linear {
    constants: Vec<f64>,
    counts: Vec<u32>,
    features: Vec<i32>,
    factors: Vec<f64>,
}

/// Whether a tree comes next. Blank lines may stand before it unless the header says that it
/// is `due` here: the loader aborts the process where one is due and none starts.
pub(super) fn starts(
    due: bool,
    lines: &mut Lines<'_, '_>,
    job: &mut Job<'_>,
) -> Result<bool, Halt> {
    while !due && lines.peek(job)?.is_some_and(|line| line.text.is_empty()) {
        lines.next(job)?;
    }
    Ok(lines.peek(job)?.is_some_and(|line| line.text.starts_with("Tree=")))
}

/// Reads tree number `index`, which ends at byte `end` where the header says so.
pub(super) fn read(
    header: &Header,
    index: usize,
    end: Option<u64>,
    lines: &mut Lines<'_, '_>,
    job: &mut Job<'_>,
) -> Result<Checked, Halt> {
    let start = lines.offset();
    let title = lines.next(job)?.map(|line| line.text).unwrap_or_default();
    if title.strip_prefix("Tree=") != Some(index.to_string().as_str()) {
        let title = quoted(&title);
        return job.broken(format!("\"{title}\" at byte {start} where Tree={index} should be"));
    }
    let mut fields = HashMap::new();
    while let Some(line) = lines.next(job)? {
        if line.text.is_empty() {
            break;
        }
        let Some((key, value)) = line.text.split_once('=') else {
            return job
                .broken(format!("a line without '=' in tree {index} at byte {}", line.start));
        };
        if fields.insert(key.to_owned(), value.to_owned()).is_some() {
            let key = quoted(key);
            return job.broken(format!("\"{key}\" stands twice in tree {index}"));
        }
        if fields.len() > MAX_LINES || lines.offset() - start > MAX_BYTES {
            return job.broken(format!(
                "tree {index} at byte {start} has more than {MAX_LINES} lines or {MAX_BYTES} bytes"
            ));
        }
    }
    if let Some(end) = end {
        while lines.offset() < end && lines.peek(job)?.is_some_and(|line| line.text.is_empty()) {
            lines.next(job)?;
        }
        if lines.offset() != end {
            let found = lines.offset();
            return job.broken(format!(
                "tree {index} ends at byte {found} where tree_sizes says {end}; LightGBM itself aborts the process there"
            ));
        }
    }
    let fields = Fields { fields, job: &*job };
    match fields.check(header) {
        Ok(tree) => Ok(tree),
        Err(Fault::Halt(halt)) => Err(halt),
        Err(Fault::Wrong(what)) => job.broken(format!("tree {index} at byte {start}: {what}")),
    }
}

enum Fault {
    Halt(Halt),
    Wrong(String),
}

impl<T: Into<String>> From<T> for Fault {
    fn from(what: T) -> Self {
        Fault::Wrong(what.into())
    }
}

/// The lines of a tree; each is dropped once it was parsed.
struct Fields<'j, 'a> {
    fields: HashMap<String, String>,
    job: &'j Job<'a>,
}

impl Fields<'_, '_> {
    fn check(mut self, header: &Header) -> Result<Checked, Fault> {
        let leaves: i32 = self.one("num_leaves")?.ok_or("it has no num_leaves")?;
        let categories: i32 = self.one("num_cat")?.ok_or("it has no num_cat")?;
        let Some(leaves) = usize::try_from(leaves).ok().filter(|n| *n > 0) else {
            return Err(format!("num_leaves is {leaves}").into());
        };
        let categories = usize::try_from(categories).map_err(|_| "num_cat is negative")?;
        let splits = leaves - 1;
        let leaf_values = self.needed("leaf_value", leaves)?;
        self.one::<f64>("shrinkage")?;
        let linear = self.one::<i32>("is_linear")?.unwrap_or(0) != 0;
        let mut tree = Checked { leaf_values, ..Checked::default() };
        if leaves == 1 && !linear {
            // The loader looks at nothing else of such a tree.
            return Ok(tree);
        }
        tree.left = self.needed("left_child", splits)?;
        tree.right = self.needed("right_child", splits)?;
        tree.features = self.needed("split_feature", splits)?;
        tree.thresholds = self.needed("threshold", splits)?;
        tree.decisions = self.optional("decision_type", splits)?.unwrap_or(vec![0; splits]);
        self.counted::<f64>("split_gain", splits)?;
        self.counted::<f64>("internal_value", splits)?;
        self.counted::<f64>("internal_weight", splits)?;
        self.counted::<i32>("internal_count", splits)?;
        self.counted::<f64>("leaf_weight", leaves)?;
        self.counted::<i32>("leaf_count", leaves)?;
        if linear {
            tree.linear = Some(self.linear(leaves, header)?);
        }
        if categories > 0 {
            let count = categories.checked_add(1).ok_or("num_cat is too large")?;
            tree.boundaries = self.needed("cat_boundaries", count)?;
            if tree.boundaries[0] != 0 || !tree.boundaries.is_sorted() {
                return Err("cat_boundaries does not rise from 0".into());
            }
            let words = tree.boundaries.last().copied().unwrap_or(0);
            tree.bits = self.needed("cat_threshold", usize::try_from(words).unwrap_or(0))?;
        }
        tree.shape(header, categories)?;
        Ok(tree)
    }

    fn linear(&mut self, leaves: usize, header: &Header) -> Result<Linear, Fault> {
        let constants = self.optional("leaf_const", leaves)?.unwrap_or_else(|| vec![0.0; leaves]);
        let counts: Vec<u32> =
            self.optional("num_features", leaves)?.unwrap_or_else(|| vec![0; leaves]);
        let total: u64 = counts.iter().map(|n| u64::from(*n)).sum();
        let total = usize::try_from(total).map_err(|_| "num_features is too large")?;
        if total == 0 {
            return Ok(Linear { constants, counts, features: Vec::new(), factors: Vec::new() });
        }
        let features: Vec<i32> = self.needed("leaf_features", total)?;
        let factors = self.needed("leaf_coeff", total)?;
        if let Some(bad) = features.iter().find(|f| !is_feature(**f, header)) {
            return Err(format!("a leaf uses feature {bad} of {}", header.features).into());
        }
        Ok(Linear { constants, counts, features, factors })
    }

    fn one<T: FromStr>(&mut self, key: &str) -> Result<Option<T>, Fault> {
        match self.fields.remove(key) {
            None => Ok(None),
            Some(text) => match text.trim().parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(format!("{key} is \"{}\" and no number", quoted(&text)).into()),
            },
        }
    }

    fn needed<T: FromStr>(&mut self, key: &str, count: usize) -> Result<Vec<T>, Fault> {
        match self.optional(key, count)? {
            Some(numbers) => Ok(numbers),
            None => Err(format!("it has no {key}").into()),
        }
    }

    /// The numbers of an array that may be absent; if it is there, there are exactly `count`.
    fn optional<T: FromStr>(&mut self, key: &str, count: usize) -> Result<Option<Vec<T>>, Fault> {
        let Some(text) = self.fields.remove(key) else {
            return Ok(None);
        };
        let mut numbers = Vec::new();
        self.each(key, &text, count, |number| numbers.push(number))?;
        Ok(Some(numbers))
    }

    /// The same, of numbers that only have to be there.
    fn counted<T: FromStr>(&mut self, key: &str, count: usize) -> Result<(), Fault> {
        match self.fields.remove(key) {
            Some(text) => self.each(key, &text, count, |_: T| ()),
            None => Ok(()),
        }
    }

    fn each<T: FromStr>(
        &self,
        key: &str,
        text: &str,
        count: usize,
        mut each: impl FnMut(T),
    ) -> Result<(), Fault> {
        let mut found = 0_usize;
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            found += 1;
            if found > count {
                return Err(format!("{key} holds more than {count} numbers").into());
            }
            let Ok(number) = word.parse() else {
                return Err(format!("{key} holds \"{}\"", quoted(word)).into());
            };
            each(number);
            if found.is_multiple_of(POLL_EVERY) {
                self.job.poll().map_err(Fault::Halt)?;
            }
        }
        if found < count {
            return Err(format!("{key} holds {found} numbers where {count} are needed").into());
        }
        Ok(())
    }
}

fn is_feature(feature: i32, header: &Header) -> bool {
    usize::try_from(feature).is_ok_and(|f| f < header.features)
}

/// Bits of a decision type.
const CATEGORICAL: i8 = 1;
const DEFAULT_LEFT: i8 = 2;
const MISSING_SHIFT: u32 = 2;
/// The highest that is defined: by default left, NaN is missing.
const LAST_DECISION: i8 = 11;

fn child(index: i32) -> Child {
    match usize::try_from(index) {
        Ok(node) => Child::Split(node),
        Err(_) => Child::Leaf(usize::try_from(!index).unwrap_or(usize::MAX)),
    }
}

impl Checked {
    /// Follows every branch, and looks at what each node decides by.
    fn shape(&self, header: &Header, categories: usize) -> Result<(), Fault> {
        for (node, feature) in self.features.iter().enumerate() {
            if !is_feature(*feature, header) {
                let features = header.features;
                return Err(format!("node {node} splits by feature {feature} of {features}").into());
            }
            let decision = self.decisions[node];
            if !(0..=LAST_DECISION).contains(&decision) {
                return Err(format!("node {node} has the unknown decision type {decision}").into());
            }
            let set = self.thresholds[node];
            let is_set = set >= 0.0 && set < categories as f64 && set.fract() == 0.0;
            if decision & CATEGORICAL != 0 && !is_set {
                return Err(format!("node {node} splits by set {set} of {categories}").into());
            }
        }
        let (splits, leaves) = (self.left.len(), self.left.len() + 1);
        let reached = reach_all(splits, leaves, |node| {
            Ok(Some([child(self.left[node]), child(self.right[node])]))
        })?;
        if splits > 0 && reached != (splits, leaves) {
            return Err(format!(
                "{} of {splits} nodes and {} of {leaves} leaves are reached from the root",
                reached.0, reached.1
            )
            .into());
        }
        Ok(())
    }

    /// Nodes and leaves together.
    pub(super) fn nodes(&self) -> usize {
        self.left.len()
            + self.leaf_values.len()
            + self.bits.len()
            + self.linear.as_ref().map_or(0, |linear| linear.factors.len())
    }

    /// The same tree, to be run.
    pub(super) fn into_tree(self) -> Tree {
        let splits = self.left.len();
        let place = |index: i32| match child(index) {
            Child::Split(node) => node as u32,
            Child::Leaf(leaf) => (splits + leaf) as u32,
        };
        let mut nodes: Vec<Node> = (0..splits)
            .map(|node| Node::Split {
                feature: self.features[node] as u32,
                rule: self.rule(node),
                left: place(self.left[node]),
                right: place(self.right[node]),
            })
            .collect();
        let mut start = 0;
        for leaf in 0..self.leaf_values.len() {
            let linear = self.linear.as_ref().map(|linear| {
                let count = linear.counts[leaf];
                start += count;
                (linear.constants[leaf], start - count, count)
            });
            nodes.push(Node::Leaf(Leaf { value: leaf as u32, count: 1, linear }));
        }
        let factors = self.linear.map_or(Vec::new(), |linear| {
            linear.features.iter().map(|f| *f as u32).zip(linear.factors).collect()
        });
        Tree { nodes, bits: self.bits, values: self.leaf_values, factors }
    }

    fn rule(&self, node: usize) -> Rule {
        let decision = self.decisions[node];
        if decision & CATEGORICAL != 0 {
            let set = self.thresholds[node] as usize;
            let (start, end) = (self.boundaries[set], self.boundaries[set + 1]);
            return Rule::In { start: start as u32, words: (end - start) as u32 };
        }
        let missing = match decision >> MISSING_SHIFT {
            0 => Missing::None,
            1 => Missing::Zero,
            _ => Missing::Nan,
        };
        Rule::AtMost {
            threshold: self.thresholds[node],
            missing,
            missing_left: decision & DEFAULT_LEFT != 0,
        }
    }
}
