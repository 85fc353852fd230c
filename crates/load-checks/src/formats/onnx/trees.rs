//! Whether the parallel arrays of a tree ensemble describe trees.

use std::collections::HashMap;

use super::model::{Given, Mode, Names, Node, Tensor};

/// What is wrong with an ensemble.
pub(super) enum Bad {
    /// Its loader refuses it.
    Fault(String),
    /// A prediction would never end.
    Endless(String),
}

type Checked = Result<(), Bad>;

fn fault<T>(what: impl Into<String>) -> Result<T, Bad> {
    Err(Bad::Fault(what.into()))
}

/// Checks a node that is a tree ensemble; of any other there is nothing to say.
pub(super) fn check(node: &Node, names: &Names) -> Checked {
    let arrays = Arrays { node, names };
    match names.get(node.op) {
        "TreeEnsembleRegressor" => {
            let targets = node.int(names, "n_targets").unwrap_or(1);
            arrays.ensemble("target", targets)
        }
        "TreeEnsembleClassifier" => {
            let labels =
                arrays.len("classlabels_int64s")?.max(arrays.len("classlabels_strings")?).max(1);
            arrays.ensemble("class", i64::try_from(labels).unwrap_or(i64::MAX))
        }
        "TreeEnsemble" => arrays.one_array_of_nodes(),
        _ => Ok(()),
    }
}

struct Arrays<'a> {
    node: &'a Node,
    names: &'a Names,
}

impl<'a> Arrays<'a> {
    fn given(&self, name: &str) -> Option<&'a Given> {
        self.node.attribute(self.names, name)
    }

    fn ints(&self, name: &str) -> &'a [i64] {
        self.node.ints(self.names, name).unwrap_or_default()
    }

    fn len(&self, name: &str) -> Result<usize, Bad> {
        Ok(match self.given(name) {
            None | Some(Given::Nothing) => 0,
            Some(Given::Ints(values)) => values.len(),
            Some(Given::Floats(count)) => usize::try_from(*count).unwrap_or(usize::MAX),
            Some(Given::Texts(modes)) => modes.len(),
            Some(Given::Tensor(tensor)) => vector(tensor, name)?,
            Some(_) => return fault(format!("{name} is no array")),
        })
    }

    /// The length of numbers that may be given as floats or as a tensor.
    fn numbers(&self, name: &str) -> Result<usize, Bad> {
        let floats = self.len(name)?;
        let tensor = self.len(&format!("{name}_as_tensor"))?;
        if floats > 0 && tensor > 0 {
            return fault(format!("{name} is given twice"));
        }
        Ok(floats.max(tensor))
    }

    fn same(&self, name: &str, len: usize, count: usize, may_miss: bool) -> Checked {
        if len == count || (may_miss && len == 0) {
            return Ok(());
        }
        fault(format!("{name} has {len} entries where {count} are needed"))
    }

    /// The arrays of the first versions: nodes named by tree and number.
    fn ensemble(&self, leaf: &str, targets: i64) -> Checked {
        let trees = self.ints("nodes_treeids");
        let count = trees.len();
        for name in [
            "nodes_nodeids",
            "nodes_featureids",
            "nodes_modes",
            "nodes_truenodeids",
            "nodes_falsenodeids",
        ] {
            self.same(name, self.len(name)?, count, false)?;
        }
        self.same("nodes_values", self.numbers("nodes_values")?, count, false)?;
        self.same("nodes_hitrates", self.numbers("nodes_hitrates")?, count, true)?;
        let tracks = "nodes_missing_value_tracks_true";
        self.same(tracks, self.len(tracks)?, count, true)?;
        let modes = self.modes(count)?;
        self.features()?;
        let mut place = HashMap::with_capacity(count);
        for (i, key) in trees.iter().zip(self.ints("nodes_nodeids")).enumerate() {
            if place.insert(key, i).is_some() {
                return fault(format!("node {} of tree {} is there twice", key.1, key.0));
            }
        }
        let mut children = Vec::with_capacity(count);
        let (yes, no) = (self.ints("nodes_truenodeids"), self.ints("nodes_falsenodeids"));
        for (i, tree) in trees.iter().enumerate() {
            children.push(match modes.get(i) {
                Some(Mode::Branch) => {
                    let (yes, no) = (yes.get(i).unwrap_or(&-1), no.get(i).unwrap_or(&-1));
                    match (place.get(&(tree, yes)), place.get(&(tree, no))) {
                        (Some(yes), Some(no)) => [Some(*yes), Some(*no)],
                        (None, _) => return no_child(*tree, *yes),
                        (_, None) => return no_child(*tree, *no),
                    }
                }
                _ => [None, None],
            });
        }
        acyclic(&children)?;
        self.leaves(leaf, targets, |tree, node| place.contains_key(&(tree, node)))
    }

    fn leaves(&self, leaf: &str, targets: i64, exists: impl Fn(&i64, &i64) -> bool) -> Checked {
        let ids = self.ints(&format!("{leaf}_ids"));
        let trees = self.ints(&format!("{leaf}_treeids"));
        let nodes = self.ints(&format!("{leaf}_nodeids"));
        for (name, len) in [("treeids", trees.len()), ("nodeids", nodes.len())] {
            self.same(&format!("{leaf}_{name}"), len, ids.len(), false)?;
        }
        let weights = format!("{leaf}_weights");
        self.same(&weights, self.numbers(&weights)?, ids.len(), false)?;
        if let Some((tree, node)) = trees.iter().zip(nodes).find(|(tree, node)| !exists(tree, node))
        {
            return no_child(*tree, *node);
        }
        match ids.iter().find(|id| !(0..targets).contains(*id)) {
            Some(id) => fault(format!("{leaf}_ids has {id}; there are {targets}")),
            None => Ok(()),
        }
    }

    fn modes(&self, count: usize) -> Result<&'a [Mode], Bad> {
        let Some(Given::Texts(modes)) = self.given("nodes_modes") else {
            return if count == 0 { Ok(&[]) } else { fault("nodes_modes is no array of strings") };
        };
        match modes.iter().position(|mode| *mode == Mode::Unknown) {
            Some(i) => fault(format!("nodes_modes has no known mode at {i}")),
            None => Ok(modes),
        }
    }

    fn features(&self) -> Checked {
        match self.ints("nodes_featureids").iter().find(|feature| **feature < 0) {
            Some(feature) => fault(format!("nodes_featureids has {feature}")),
            None => Ok(()),
        }
    }

    /// The arrays of version 5: nodes and leaves named by their places.
    fn one_array_of_nodes(&self) -> Checked {
        let (yes, no) = (self.ints("nodes_truenodeids"), self.ints("nodes_falsenodeids"));
        let count = yes.len();
        for name in [
            "nodes_falsenodeids",
            "nodes_trueleafs",
            "nodes_falseleafs",
            "nodes_featureids",
            "nodes_splits",
            "nodes_modes",
        ] {
            self.same(name, self.len(name)?, count, false)?;
        }
        for name in ["nodes_hitrates", "nodes_missing_value_tracks_true"] {
            self.same(name, self.len(name)?, count, true)?;
        }
        let leaves = self.ints("leaf_targetids");
        self.same("leaf_weights", self.len("leaf_weights")?, leaves.len(), false)?;
        let targets = self.node.int(self.names, "n_targets").unwrap_or(1);
        if let Some(id) = leaves.iter().find(|id| !(0..targets).contains(*id)) {
            return fault(format!("leaf_targetids has {id}; there are {targets}"));
        }
        self.features()?;
        let within = |id: &i64, end: usize| usize::try_from(*id).ok().filter(|id| *id < end);
        let mut children = vec![[None, None]; count];
        for (side, (ids, are_leaves)) in
            [(yes, "nodes_trueleafs"), (no, "nodes_falseleafs")].into_iter().enumerate()
        {
            for (i, (id, is_leaf)) in ids.iter().zip(self.ints(are_leaves)).enumerate() {
                let is_leaf = *is_leaf != 0;
                let child = within(id, if is_leaf { leaves.len() } else { count });
                if child.is_none() {
                    return fault(format!("node {i} leads to {id}, which is not there"));
                }
                if let Some(place) = children.get_mut(i).filter(|_| !is_leaf) {
                    place[side] = child;
                }
            }
        }
        if let Some(root) = self.ints("tree_roots").iter().find(|id| within(id, count).is_none()) {
            return fault(format!("tree_roots has {root}, which is not there"));
        }
        acyclic(&children)
    }
}

fn no_child<T>(tree: i64, node: i64) -> Result<T, Bad> {
    fault(format!("node {node} of tree {tree} is named and not there"))
}

fn vector(tensor: &Tensor, name: &str) -> Result<usize, Bad> {
    match &tensor.dims[..] {
        [len] => Ok(usize::try_from(*len).unwrap_or(usize::MAX)),
        _ => fault(format!("{name} is no tensor of one dimension")),
    }
}

/// Takes away what nothing leads to, until nothing is left or what is left leads in a circle.
fn acyclic(children: &[[Option<usize>; 2]]) -> Checked {
    let mut parents = vec![0_u32; children.len()];
    for child in children.iter().flatten().flatten() {
        parents[*child] += 1;
    }
    let mut free: Vec<usize> =
        parents.iter().enumerate().filter(|(_, count)| **count == 0).map(|(i, _)| i).collect();
    let mut taken = 0;
    while let Some(i) = free.pop() {
        taken += 1;
        for child in children[i].iter().flatten() {
            parents[*child] -= 1;
            if parents[*child] == 0 {
                free.push(*child);
            }
        }
    }
    if taken == children.len() {
        return Ok(());
    }
    let i = parents.iter().position(|count| *count > 0).unwrap_or_default();
    Err(Bad::Endless(format!(
        "a tree runs in a circle through entry {i}: a prediction would never end"
    )))
}
