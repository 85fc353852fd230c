//! Everything around the trees: how many there are, of which round and class, what they add to.

use super::super::report::{Depth, quoted};
use super::super::trees::{self, Ensemble, Member, Tree};
use super::super::{Halt, Job};
use super::objective;
use super::parameters;
use super::tree;
use super::value::{Kind, Value};

/// Answers to a row; each costs the loader memory at every prediction.
const MAX_GROUPS: usize = 100_000;
/// Bytes that the sets of categories of all trees may take when they are loaded.
const MAX_SET_BYTES: usize = 256 * 1024 * 1024;

/// The trees that were read so far; their content only where they are to be run.
#[derive(Debug)]
pub(super) struct Trees {
    seen: Vec<Option<Seen>>,
    keep: bool,
    size: usize,
    set_bytes: usize,
    added: usize,
}

#[derive(Debug)]
struct Seen {
    last_feature: Option<usize>,
    width: usize,
    tree: Option<Tree>,
}

impl Trees {
    pub(super) fn new(keep: bool) -> Self {
        Self { seen: Vec::new(), keep, size: 0, set_bytes: 0, added: 0 }
    }

    /// Checks a tree and keeps what is needed of it.
    pub(super) fn add(&mut self, value: &Value) -> Result<(), String> {
        let checked = tree::check(value, self.keep)?;
        let id = checked.id;
        self.size = self.size.saturating_add(checked.size);
        self.set_bytes = self.set_bytes.saturating_add(checked.set_bytes);
        if self.set_bytes > MAX_SET_BYTES {
            return Err(format!(
                "the categories of the trees take more than {MAX_SET_BYTES} bytes when they are loaded"
            ));
        }
        if self.size > trees::MAX_NODES && self.keep {
            self.keep = false;
            self.seen.iter_mut().flatten().for_each(|seen| seen.tree = None);
        }
        // Trees are written in order; no other order is known.
        if id != self.added {
            return Err(format!("tree {id} stands where tree {} should", self.added));
        }
        self.added += 1;
        let (last_feature, width) = (checked.last_feature, checked.width);
        self.seen.push(Some(Seen {
            last_feature,
            width,
            tree: checked.tree.filter(|_| self.keep),
        }));
        Ok(())
    }
}

/// Checks the document around the trees, and runs its sample where one came with it.
pub(super) fn check(root: &Value, trees: Trees, job: &mut Job<'_>) -> Result<Depth, Halt> {
    let checked = Learner::of(root).and_then(|learner| {
        learner.check(&trees)?;
        Ok(learner)
    });
    let learner = match checked {
        Ok(learner) => learner,
        Err(what) => return job.broken(format!("the XGBoost model cannot be loaded: {what}")),
    };
    if job.sample.is_none() {
        return Ok(Depth::Typed);
    }
    let few = learner.best_round.and_then(|best| best.checked_add(1));
    match learner.into_ensemble(trees) {
        Ok(ensemble) => trees::run(&ensemble, few, job),
        Err(why) => {
            job.findings.note(format!("the sample was not run: {why}"));
            Ok(Depth::Typed)
        }
    }
}

/// What a model says of itself.
struct Learner<'v> {
    booster: &'v Value,
    name: &'v str,
    features: usize,
    /// Answers to a row.
    groups: usize,
    base_score: Vec<f64>,
    objective: &'v str,
    /// Where its parameters stand.
    about_objective: &'v Value,
    best_round: Option<usize>,
}

impl<'v> Learner<'v> {
    fn of(root: &'v Value) -> Result<Self, String> {
        match root.get("version") {
            None => {}
            Some(Value::Numbers(n)) if n.kind == Kind::Ints && n.values.len() == 3 => {}
            Some(_) => return Err("version is no array of three numbers".to_owned()),
        }
        let learner = root.object("learner")?;
        let booster = learner.object("gradient_booster")?;
        let param = learner.object("learner_model_param")?;
        parameters::check(learner)?;
        let features = param.count("num_feature")?;
        let classes = param.count("num_class")?;
        let targets = match param.get("num_target") {
            Some(_) => param.count("num_target")?,
            None => 1,
        };
        let groups = classes.max(targets).max(1);
        if groups > MAX_GROUPS || (classes > 1 && targets > 1) {
            return Err(format!("{classes} classes and {targets} targets"));
        }
        let base_score = base_score(param.text("base_score")?)?;
        if base_score.len() != 1 && base_score.len() != groups {
            let found = base_score.len();
            return Err(format!("base_score holds {found} numbers for {groups} answers"));
        }
        let best_round = attributes(learner)?;
        names(learner, features)?;
        Ok(Self {
            booster,
            name: booster.text("name")?,
            features,
            groups,
            base_score,
            objective: learner.object("objective")?.text("name")?,
            about_objective: learner.object("objective")?,
            best_round,
        })
    }

    /// Where trees and what belongs to them stand.
    fn model(&self) -> Result<&'v Value, String> {
        match self.name {
            "dart" => self.booster.object("gbtree")?.object("model"),
            _ => self.booster.object("model"),
        }
    }

    fn check(&self, trees: &Trees) -> Result<(), String> {
        if objective::of(self.objective).is_none() {
            return Err(format!("unknown objective \"{}\"", quoted(self.objective)));
        }
        parameters::check_objective(self.about_objective, self.objective)?;
        let within = |score: &f64| (0.0..=1.0).contains(score);
        if matches!(self.objective, "binary:logistic" | "reg:logistic" | "binary:logitraw")
            && let Some(score) = self.base_score.iter().find(|score| !within(score))
        {
            return Err(format!(
                "base_score is {score}; for a logistic objective it must be from 0 to 1"
            ));
        }
        match self.name {
            "gbtree" => self.ensemble(trees),
            "dart" => {
                let inner = self.booster.object("gbtree")?.text("name")?;
                if inner != "gbtree" {
                    return Err(format!("a dart booster around \"{}\"", quoted(inner)));
                }
                self.ensemble(trees)?;
                self.dropped(trees.seen.len()).map(|_| ())
            }
            "gblinear" => {
                let takes = |kind| matches!(kind, Kind::Floats | Kind::Typed(b'd'));
                let weights = self.model()?.numbers("weights", takes)?.len();
                let needed = (self.features + 1).saturating_mul(self.groups);
                if weights == needed {
                    return Ok(());
                }
                Err(format!("weights holds {weights} numbers where {needed} are needed"))
            }
            other => Err(format!("unknown booster \"{}\"", quoted(other))),
        }
    }

    fn ensemble(&self, trees: &Trees) -> Result<(), String> {
        let model = self.model()?;
        let param = model.object("gbtree_model_param")?;
        let count = param.count("num_trees")?;
        if model.get("trees").and_then(Value::elements).is_none() {
            return Err("trees is no array of trees".to_owned());
        }
        if count != trees.seen.len() {
            let found = trees.seen.len();
            return Err(format!("num_trees is {count} where {found} trees are"));
        }
        if param.get("num_parallel_tree").is_some() && param.count("num_parallel_tree")? == 0 {
            return Err("num_parallel_tree is 0".to_owned());
        }
        let groups = self.tree_groups()?;
        if groups.len() != count {
            return Err(format!("tree_info holds {} numbers for {count} trees", groups.len()));
        }
        self.rounds(count)?;
        cats(model)?;
        for (index, (seen, group)) in trees.seen.iter().zip(groups).enumerate() {
            let Some(seen) = seen else { continue };
            if seen.last_feature.is_some_and(|last| last >= self.features) {
                let last = seen.last_feature.unwrap_or(0);
                let features = self.features;
                return Err(format!("tree {index} splits by feature {last} of {features}"));
            }
            let fits = if seen.width > 1 {
                *group == 0.0 && seen.width == self.groups
            } else {
                (0.0..self.groups as f64).contains(group)
            };
            if !fits {
                let (width, all) = (seen.width, self.groups);
                return Err(format!("tree {index} adds {width} values at answer {group} of {all}"));
            }
        }
        Ok(())
    }

    fn tree_groups(&self) -> Result<&'v [f64], String> {
        self.model()?.numbers("tree_info", is_whole)
    }

    /// Where each round starts; absent in models of before 2.0.
    fn rounds(&self, count: usize) -> Result<Option<&'v [f64]>, String> {
        let model = self.model()?;
        if model.get("iteration_indptr").is_none() {
            return Ok(None);
        }
        let starts = model.numbers("iteration_indptr", is_whole)?;
        let ends = (starts.first(), starts.last()) == (Some(&0.0), Some(&(count as f64)));
        if ends && starts.is_sorted() {
            return Ok(Some(starts));
        }
        Err(format!("iteration_indptr does not rise from 0 to {count}"))
    }

    /// What the trees of a dart booster are multiplied by.
    fn dropped(&self, count: usize) -> Result<&'v [f64], String> {
        let takes = |kind| matches!(kind, Kind::Floats | Kind::Empty | Kind::Typed(b'd'));
        let weights = self.booster.numbers("weight_drop", takes)?;
        if weights.len() == count {
            return Ok(weights);
        }
        Err(format!("weight_drop holds {} numbers for {count} trees", weights.len()))
    }

    fn into_ensemble(self, trees: Trees) -> Result<Ensemble, String> {
        let Some((transform, start)) = objective::of(self.objective) else {
            return Err("its objective is not known".to_owned());
        };
        if self.name == "gblinear" {
            return Err("linear boosters are not run".to_owned());
        }
        let count = trees.seen.len();
        let weights = match self.name {
            "dart" => self.dropped(count)?.to_vec(),
            _ => vec![1.0; count],
        };
        let rounds = self.rounds(count)?.unwrap_or_default();
        let mut members = Vec::new();
        for (index, seen) in trees.seen.into_iter().enumerate() {
            let Some(tree) = seen.and_then(|seen| seen.tree) else {
                return Err("it is too large".to_owned());
            };
            members.push(Member {
                group: self.tree_groups()?[index] as usize,
                weight: weights[index],
                round: rounds.partition_point(|start| *start <= index as f64).saturating_sub(1),
                tree,
            });
        }
        let start = (0..self.groups)
            .map(|group| {
                start.of(self.base_score[if self.base_score.len() == 1 { 0 } else { group }])
            })
            .collect();
        Ok(Ensemble { features: self.features, start, members, divisor: 1.0, transform })
    }
}

fn is_whole(kind: Kind) -> bool {
    matches!(kind, Kind::Ints | Kind::Empty | Kind::Typed(b'l' | b'L'))
}

/// One number, or since 3.1 a list of them within the string.
fn base_score(text: &str) -> Result<Vec<f64>, String> {
    let list = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let listed = list.len() != text.len();
    let word_of =
        |word: &str| if listed { word.trim() } else { word.trim_ascii_start() }.to_owned();
    let number = |word: &str| match word_of(word).parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(format!("base_score is \"{}\"", quoted(text))),
    };
    list.split(',').map(number).collect()
}

/// What users keep with a model: strings. Answers the best round, where it names one.
fn attributes(learner: &Value) -> Result<Option<usize>, String> {
    let Value::Object(entries) = learner.object("attributes")? else {
        return Ok(None);
    };
    if let Some((key, _)) = entries.iter().find(|(_, v)| !matches!(v, Value::Text(_))) {
        return Err(format!("the attribute \"{}\" is no string", quoted(key)));
    }
    Ok(learner.object("attributes")?.text("best_iteration").ok().and_then(|t| t.parse().ok()))
}

/// Names and types of features: none, or one for each.
fn names(learner: &Value, features: usize) -> Result<(), String> {
    for key in ["feature_names", "feature_types"] {
        let Some(value) = learner.get(key) else { continue };
        let Some(names) = value.elements() else {
            return Err(format!("{key} is no array of strings"));
        };
        if names.iter().any(|name| !matches!(name, Value::Text(_))) {
            return Err(format!("{key} holds what is no string"));
        }
        if !names.is_empty() && names.len() != features {
            return Err(format!("{key} holds {} names for {features} features", names.len()));
        }
    }
    Ok(())
}

/// The names of categories, since 3.1: texts one after the other, and where each ends.
fn cats(model: &Value) -> Result<(), String> {
    let Some(cats) = model.get("cats") else {
        return Ok(());
    };
    let any = |kind: Kind| kind != Kind::Mixed && kind != Kind::Floats;
    let Some(columns) = cats.get("enc").and_then(Value::elements) else {
        return Err("cats has no enc".to_owned());
    };
    let mut total = 0_usize;
    for column in columns {
        let Some(Value::Numbers(values)) = column.get("values") else {
            return Err("a column of cats has no values".to_owned());
        };
        if column.get("offsets").is_none() {
            total += values.values.len();
            continue;
        }
        let ends = column.numbers("offsets", any)?;
        let whole = ends.is_empty() && values.values.is_empty();
        let fits = (ends.first(), ends.last()) == (Some(&0.0), Some(&(values.values.len() as f64)));
        if !(whole || (fits && ends.is_sorted())) {
            return Err("the offsets of cats do not fit its values".to_owned());
        }
        total += ends.len().saturating_sub(1);
    }
    let segments = cats.numbers("feature_segments", any)?;
    let order = cats.numbers("sorted_idx", any)?;
    let fits = segments.is_sorted()
        && (segments.is_empty() && columns.is_empty()
            || (segments.first(), segments.last()) == (Some(&0.0), Some(&(total as f64))));
    if !fits || order.len() != total || order.iter().any(|at| !(0.0..total as f64).contains(at)) {
        return Err(format!("the parts of cats do not fit its {total} categories"));
    }
    Ok(())
}
