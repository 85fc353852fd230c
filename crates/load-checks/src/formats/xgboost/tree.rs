//! One tree of a model: its arrays as long as they say, its branches leading from the root to
//! every node once and back by `parents`.

use super::super::trees::{Child, Leaf, Node, Rule, Tree, reach_all};
use super::value::{Kind, Value};

/// What a root names as its parent: the first since always, the second where leaves are vectors.
const NO_PARENT: [f64; 2] = [2_147_483_647.0, -1.0];
/// What a pruned node splits by.
const DELETED: [f64; 2] = [2_147_483_647.0, 4_294_967_295.0];
/// What a leaf names as its left child.
const NO_CHILD: f64 = -1.0;
/// XGBoost takes no larger number for a category.
const LAST_CATEGORY: f64 = 16_777_215.0;

/// What the model needs to know of a tree that was checked.
#[derive(Debug)]
pub(super) struct Checked {
    /// Its place among the trees.
    pub(super) id: usize,
    /// The largest feature it splits by, where it splits.
    pub(super) last_feature: Option<usize>,
    /// Values of a leaf.
    pub(super) width: usize,
    /// Nodes, and values beside them.
    pub(super) size: usize,
    /// Bytes that its sets of categories take in memory.
    pub(super) set_bytes: usize,
    /// The same tree, to be run, where that is wanted.
    pub(super) tree: Option<Tree>,
}

/// The arrays of a tree, each of the length it must have.
struct Arrays<'v> {
    left: &'v [f64],
    right: &'v [f64],
    parents: &'v [f64],
    features: &'v [f64],
    conditions: &'v [f64],
    default_left: &'v [f64],
    leaf_values: &'v [f64],
    /// Whether a node splits by category, where the tree says.
    types: Option<&'v [f64]>,
    sets: Vec<Set<'v>>,
    width: usize,
    /// Nodes that pruning has left behind, as the tree says.
    deleted: usize,
    /// Leaves name their values by a number of their own.
    numbered: bool,
}

/// The categories of one node.
struct Set<'v> {
    node: usize,
    categories: &'v [f64],
}

/// Checks a tree; `keep` makes one that can be run.
pub(super) fn check(value: &Value, keep: bool) -> Result<Checked, String> {
    let Some(Value::Int(id)) = value.get("id") else {
        return Err("a tree has no number (id)".to_owned());
    };
    let id = usize::try_from(*id).map_err(|_| format!("a tree has the number {id}"))?;
    let told = |what: String| format!("tree {id}: {what}");
    let arrays = Arrays::of(value).map_err(told)?;
    let last_feature = arrays.shape().map_err(told)?;
    let set_bytes = arrays.sets.iter().map(|set| set.words() * 4).sum();
    let size = arrays.left.len() + arrays.leaf_values.len() + set_bytes / 4;
    let tree = (keep && size <= super::super::trees::MAX_NODES).then(|| arrays.tree());
    Ok(Checked { id, last_feature, width: arrays.width, size, set_bytes, tree })
}

impl<'v> Arrays<'v> {
    fn of(value: &'v Value) -> Result<Self, String> {
        let param = value.object("tree_param")?;
        let nodes = param.count("num_nodes")?;
        // Written as 0 before leaves could be vectors.
        let width = param.count("size_leaf_vector")?.max(1);
        let deleted = param.count("num_deleted")?;
        param.count("num_feature")?;
        if nodes == 0 {
            return Err("it has no nodes".to_owned());
        }
        let typed =
            matches!(value.get("parents"), Some(Value::Numbers(n)) if n.kind == Kind::Typed(b'l'));
        let kinds = Kinds { typed };
        let exactly = |key: &str, numbers: &'v [f64], count: usize| match numbers.len() {
            found if found == count => Ok(numbers),
            found => Err(format!("{key} holds {found} numbers where {count} are needed")),
        };
        let whole = |key: &str| exactly(key, value.numbers(key, |kind| kinds.whole(kind))?, nodes);
        let float = |key: &str, count: usize| {
            exactly(key, value.numbers(key, |kind| kinds.float(kind))?, count)
        };
        let small = |key: &str| exactly(key, value.numbers(key, |kind| kinds.small(kind))?, nodes);
        let values = nodes.checked_mul(width).ok_or("its leaves are too large")?;
        let weights = float("base_weights", values)?;
        let numbered = width > 1;
        if numbered && value.get("leaf_weights").is_none() {
            return Err("its leaves are vectors and it has no leaf_weights, without which XGBoost 3 crashes; load the \
                 model with the XGBoost that wrote it, and save it with a newer one"
                .to_owned());
        }
        let leaf_values = if numbered {
            value.numbers("leaf_weights", |kind| kinds.float(kind))?
        } else {
            weights
        };
        for key in ["loss_changes", "sum_hessian"] {
            float(key, nodes)?;
        }
        let types = match value.get("split_type") {
            Some(_) => Some(small("split_type")?),
            None => None,
        };
        let sets = if types.is_some() { sets(value, kinds, nodes)? } else { Vec::new() };
        Ok(Self {
            left: whole("left_children")?,
            right: whole("right_children")?,
            parents: whole("parents")?,
            features: exactly(
                "split_indices",
                value.numbers("split_indices", |kind| kinds.whole(kind) || kinds.long(kind))?,
                nodes,
            )?,
            conditions: float("split_conditions", nodes)?,
            default_left: small("default_left")?,
            leaf_values,
            types,
            sets,
            width,
            deleted,
            numbered,
        })
    }

    fn is_leaf(&self, node: usize) -> bool {
        self.left[node] == NO_CHILD
    }

    /// Follows every branch; answers the largest feature.
    fn shape(&self) -> Result<Option<usize>, String> {
        let nodes = self.left.len();
        if !NO_PARENT.contains(&self.parents[0]) {
            return Err(format!("the root has the parent {}", self.parents[0]));
        }
        let mut last = None;
        let mut leaves = 0_usize;
        let (reached, _) = reach_all(nodes, 0, |node| {
            if self.is_leaf(node) {
                leaves += 1;
                return self.leaf(node).map(|()| None);
            }
            last = last.max(Some(self.split(node)?));
            Ok(Some([self.child(node, self.left[node])?, self.child(node, self.right[node])?]))
        })?;
        // The mark takes all bits of a word, and the highest one says where what is missing goes.
        let deleted = (1..nodes)
            .filter(|node| {
                DELETED.contains(&self.features[*node]) && self.default_left[*node] == 1.0
            })
            .count();
        if reached + deleted != nodes || (self.width == 1 && deleted != self.deleted) {
            return Err(format!(
                "{reached} of {nodes} nodes are reached from the root, and {deleted} are marked as deleted where num_deleted is {}",
                self.deleted
            ));
        }
        if self.numbered && self.leaf_values.len() != leaves * self.width {
            let found = self.leaf_values.len();
            return Err(format!("{found} values for {leaves} leaves of {}", self.width));
        }
        Ok(last)
    }

    fn leaf(&self, node: usize) -> Result<(), String> {
        if self.numbered {
            let number = self.right[node];
            if !(0.0..(self.leaf_values.len() / self.width) as f64).contains(&number) {
                return Err(format!(
                    "node {node} is the leaf number {number}, which has no values"
                ));
            }
        }
        Ok(())
    }

    /// The feature of a node that splits.
    fn split(&self, node: usize) -> Result<usize, String> {
        let feature = self.features[node];
        if feature < 0.0 || DELETED.contains(&feature) {
            return Err(format!("node {node} splits by feature {feature}"));
        }
        let by_set = self.types.is_some_and(|types| types[node] == 1.0);
        if by_set && self.set(node).is_none() {
            return Err(format!("node {node} splits by categories and has none"));
        }
        Ok(feature as usize)
    }

    /// The place of a child, which must name this node as its parent.
    fn child(&self, node: usize, child: f64) -> Result<Child, String> {
        let place = if child >= 0.0 { child as usize } else { usize::MAX };
        match self.parents.get(place) {
            None => Err(format!("node {node} has the child {child}, which does not exist")),
            Some(parent) if *parent != node as f64 => {
                Err(format!("node {node} has the child {child}, whose parent is node {parent}"))
            }
            Some(_) => Ok(Child::Split(place)),
        }
    }

    fn set(&self, node: usize) -> Option<&Set<'v>> {
        let at = self.sets.binary_search_by_key(&node, |set| set.node).ok()?;
        self.sets.get(at)
    }

    /// The same tree, to be run. Only what `shape` has let through comes here.
    fn tree(&self) -> Tree {
        let mut tree = Tree { values: self.leaf_values.to_vec(), ..Tree::default() };
        for node in 0..self.left.len() {
            let made = if self.is_leaf(node) {
                let number = if self.numbered { self.right[node] as usize } else { node };
                let (value, count) = ((number * self.width) as u32, self.width as u32);
                Node::Leaf(Leaf { value, count, linear: None })
            } else {
                Node::Split {
                    feature: self.features[node] as u32,
                    rule: self.rule(node, &mut tree.bits),
                    left: self.left[node] as u32,
                    right: self.right[node] as u32,
                }
            };
            tree.nodes.push(made);
        }
        if !self.numbered && self.width == 1 {
            // Where leaves are single numbers, the condition of a leaf is its value.
            tree.values = self.conditions.to_vec();
        }
        tree
    }

    fn rule(&self, node: usize, bits: &mut Vec<u32>) -> Rule {
        let missing_left = self.default_left[node] != 0.0;
        let by_set = self.types.is_some_and(|types| types[node] == 1.0);
        let Some(set) = self.set(node).filter(|_| by_set) else {
            return Rule::Less { threshold: self.conditions[node] as f32, missing_left };
        };
        let start = bits.len();
        bits.resize(start + set.words(), 0);
        for category in set.categories {
            let category = *category as usize;
            bits[start + category / 32] |= 1 << (category % 32);
        }
        Rule::NotIn { start: start as u32, words: set.words() as u32, missing_left }
    }
}

impl Set<'_> {
    /// Words of a bit set up to the largest category, as XGBoost makes one.
    fn words(&self) -> usize {
        let last = self.categories.iter().copied().fold(0.0, f64::max);
        last as usize / 32 + 1
    }
}

/// The categories of each node that splits by them.
fn sets(value: &Value, kinds: Kinds, nodes: usize) -> Result<Vec<Set<'_>>, String> {
    let splitting = value.numbers("categories_nodes", |kind| kinds.whole(kind))?;
    let starts = value.numbers("categories_segments", |kind| kinds.long(kind))?;
    let sizes = value.numbers("categories_sizes", |kind| kinds.long(kind))?;
    let categories = value.numbers("categories", |kind| kinds.whole(kind))?;
    if starts.len() != splitting.len() || sizes.len() != splitting.len() {
        return Err("categories_nodes, categories_segments and categories_sizes differ".to_owned());
    }
    if let Some(bad) = categories.iter().find(|c| !(0.0..=LAST_CATEGORY).contains(*c)) {
        return Err(format!("the category {bad}; 0 to {LAST_CATEGORY} can be loaded"));
    }
    let mut sets: Vec<Set<'_>> = Vec::new();
    let mut end = 0_usize;
    for ((node, start), size) in splitting.iter().zip(starts).zip(sizes) {
        let after = sets.last().is_none_or(|set| (set.node as f64) < *node);
        if !after || !(0.0..nodes as f64).contains(node) {
            return Err(format!("categories_nodes holds {node} where it does not belong"));
        }
        if *start != end as f64 || !(1.0..=(categories.len() - end) as f64).contains(size) {
            return Err(format!("the categories of node {node} are {size} from {start}"));
        }
        let next = end + *size as usize;
        sets.push(Set { node: *node as usize, categories: &categories[end..next] });
        end = next;
    }
    if end != categories.len() {
        return Err(format!("{} categories belong to no node", categories.len() - end));
    }
    Ok(sets)
}

/// Which kinds of arrays the loader takes: all packed, or none.
#[derive(Clone, Copy)]
struct Kinds {
    typed: bool,
}

impl Kinds {
    fn takes(self, kind: Kind, typed: u8, plain: &[Kind]) -> bool {
        if self.typed { kind == Kind::Typed(typed) } else { plain.contains(&kind) }
    }

    fn whole(self, kind: Kind) -> bool {
        self.takes(kind, b'l', &[Kind::Ints, Kind::Empty])
    }

    fn long(self, kind: Kind) -> bool {
        self.takes(kind, b'L', &[Kind::Ints, Kind::Empty])
    }

    fn float(self, kind: Kind) -> bool {
        self.takes(kind, b'd', &[Kind::Floats, Kind::Empty])
    }

    fn small(self, kind: Kind) -> bool {
        self.takes(kind, b'U', &[Kind::Ints, Kind::Bools, Kind::Empty])
    }
}
