//! What stands before the trees: sizes, names, the objective.

use std::collections::HashMap;

use super::super::report::quoted;
use super::super::trees::Transform;
use super::super::{Halt, Job};
use super::lines::Lines;
use super::objective;

/// Lines before the first tree.
const MAX_LINES: usize = 1000;
/// Classes of a model; each costs the loader memory at every prediction.
const MAX_CLASSES: usize = 100_000;

/// The header, checked.
#[derive(Debug)]
pub(super) struct Header {
    /// How many features a row has.
    pub(super) features: usize,
    /// Trees of one round of boosting.
    pub(super) trees_per_round: usize,
    /// Whether the answer is the mean of the trees.
    pub(super) averages: bool,
    /// What becomes of the sums, where it is known.
    pub(super) transform: Option<Transform>,
    /// Version 2 ends in several ways, later ones in one.
    pub(super) old: bool,
    /// Where each tree ends, counted from the first one's start.
    ends: Option<Vec<u64>>,
    /// Where the first tree starts.
    start: u64,
}

impl Header {
    pub(super) fn read(lines: &mut Lines<'_, '_>, job: &mut Job<'_>) -> Result<Self, Halt> {
        if lines.next(job)?.is_none_or(|line| line.text != "tree") {
            return job.broken("a LightGBM model starts with the line \"tree\"");
        }
        let mut fields = HashMap::new();
        let mut count = 0;
        while let Some(line) = lines.peek(job)? {
            if line.text.starts_with("Tree=") || line.text == "end of trees" {
                break;
            }
            let Some(line) = lines.next(job)? else { break };
            count += 1;
            if count > MAX_LINES {
                return job.broken(format!("more than {MAX_LINES} lines before the first tree"));
            }
            if line.text.is_empty() {
                continue;
            }
            let (key, value) = line.text.split_once('=').unwrap_or((&line.text, ""));
            let place = line.start;
            if value.contains('=') && !["feature_names", "monotone_constraints"].contains(&key) {
                return job.broken(format!("a line with two '=' at byte {place}"));
            }
            if fields.insert(key.to_owned(), value.to_owned()).is_some() {
                let key = quoted(key);
                return job
                    .broken(format!("\"{key}\" stands twice in the header, at byte {place}"));
            }
        }
        let start = lines.offset();
        match Self::of(fields, start) {
            Ok(header) => Ok(header),
            Err(what) => job.broken(what),
        }
    }

    fn of(mut fields: HashMap<String, String>, start: u64) -> Result<Self, String> {
        let old = match fields.get("version").map(String::as_str) {
            None | Some("v2") => true,
            Some("v3" | "v4") => false,
            Some(other) => {
                let other = quoted(other);
                return Err(format!("version \"{other}\" of LightGBM's model is not known"));
            }
        };
        let classes = whole(&fields, "num_class")?.ok_or("the header has no num_class")?;
        let trees_per_round = whole(&fields, "num_tree_per_iteration")?.unwrap_or(classes);
        for (key, count) in [("num_class", classes), ("num_tree_per_iteration", trees_per_round)] {
            if !(1..=MAX_CLASSES as i64).contains(&count) {
                return Err(format!("{key} is {count}; 1 to {MAX_CLASSES} can be loaded"));
            }
        }
        whole(&fields, "label_index")?.ok_or("the header has no label_index")?;
        let last = whole(&fields, "max_feature_idx")?.ok_or("the header has no max_feature_idx")?;
        let features = usize::try_from(last)
            .ok()
            .and_then(|last| last.checked_add(1))
            .ok_or(format!("max_feature_idx is {last}"))?;
        let counted = |key: &str, value: &str| {
            let count = words(value).count();
            if count == features {
                return Ok(());
            }
            Err(format!("{key} holds {count} words where max_feature_idx says {features}"))
        };
        for key in ["feature_names", "feature_infos"] {
            let value = fields.get(key).ok_or(format!("the header has no {key}"))?;
            counted(key, value)?;
            if let Some(bad) = words(value).find(|w| key == "feature_infos" && !is_info(w)) {
                return Err(format!("feature_infos holds \"{}\"", quoted(bad)));
            }
        }
        if let Some(value) = fields.get("monotone_constraints") {
            counted("monotone_constraints", value)?;
            if let Some(bad) = words(value).find(|w| w.parse::<i8>().is_err()) {
                return Err(format!("monotone_constraints holds \"{}\"", quoted(bad)));
            }
        }
        let transform = match fields.get("objective") {
            Some(line) => objective::read(line)?,
            None => Some(Transform::Identity),
        };
        let ends = fields.remove("tree_sizes").map(|sizes| ends(&sizes)).transpose()?;
        Ok(Self {
            features,
            trees_per_round: usize::try_from(trees_per_round).unwrap_or(1),
            averages: fields.contains_key("average_output"),
            transform,
            old,
            ends,
            start,
        })
    }

    /// Whether the header names a tree of this number, which then starts where the last one ended.
    pub(super) fn has_tree(&self, index: usize) -> bool {
        self.ends.as_ref().is_some_and(|ends| index < ends.len())
    }

    /// Where tree number `index` ends in the file, if the header says so.
    pub(super) fn end_of_tree(
        &self,
        index: usize,
        lines: &mut Lines<'_, '_>,
        job: &mut Job<'_>,
    ) -> Result<Option<u64>, Halt> {
        let Some(ends) = &self.ends else {
            return Ok(None);
        };
        let Some(end) = ends.get(index) else {
            let place = lines.offset();
            return job.broken(format!("tree {index} at byte {place} is not in tree_sizes"));
        };
        Ok(Some(self.start.saturating_add(*end)))
    }

    /// Whether the trees that were read are all there should be.
    pub(super) fn all_trees_read(&self, count: usize, job: &mut Job<'_>) -> Result<(), Halt> {
        if let Some(ends) = &self.ends
            && ends.len() != count
        {
            let told = ends.len();
            return job.broken(format!("{count} trees where tree_sizes names {told}"));
        }
        if !count.is_multiple_of(self.trees_per_round) {
            let round = self.trees_per_round;
            return job.broken(format!("{count} trees are no whole rounds of {round}"));
        }
        Ok(())
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

/// A whole number of the header, where it is there.
fn whole(fields: &HashMap<String, String>, key: &str) -> Result<Option<i64>, String> {
    let Some(text) = fields.get(key) else {
        return Ok(None);
    };
    match text.parse::<i32>() {
        Ok(number) => Ok(Some(number.into())),
        Err(_) => Err(format!("{key} is \"{}\" and no number", quoted(text))),
    }
}

/// `none`, a range `[0:1]`, or categories `1:2:3`.
fn is_info(word: &str) -> bool {
    let float = |text: &str| text.parse::<f64>().is_ok();
    match word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(range) => range.split_once(':').is_some_and(|(a, b)| float(a) && float(b)),
        None => word == "none" || word.split(':').all(|part| part.parse::<i32>().is_ok()),
    }
}

/// Where the trees end, from their sizes.
fn ends(sizes: &str) -> Result<Vec<u64>, String> {
    let mut end = 0_u64;
    words(sizes)
        .map(|word| {
            let size: u64 = word
                .parse()
                .map_err(|_| format!("tree_sizes holds \"{}\" and no size", quoted(word)))?;
            end = end.checked_add(size).ok_or("tree_sizes is beyond every file")?;
            Ok(end)
        })
        .collect()
}
