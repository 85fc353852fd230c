//! scikit-learn's compiled trees and distances: states whose parts C code reads without looking.

use crate::formats::pickle::libraries::numpy::arrays::Array;
use crate::formats::pickle::libraries::numpy::dtypes::print_of_field;
use crate::formats::pickle::unpickler::arena::{Arena, GlobalNote};
use crate::formats::pickle::unpickler::values::Value;

/// A node of a decision tree: its fields, their types and where they begin. The last one came with scikit-learn 1.3.
const NODE: [(&[u8], &[u8; 3], u64); 8] = [
    (b"left_child", b"i8\0", 0),
    (b"right_child", b"i8\0", 8),
    (b"feature", b"i8\0", 16),
    (b"threshold", b"f8\0", 24),
    (b"impurity", b"f8\0", 32),
    (b"n_node_samples", b"i8\0", 40),
    (b"weighted_n_node_samples", b"f8\0", 48),
    (b"missing_go_to_left", b"u1\0", 56),
];

/// What is remembered of a dict that could be the state of a decision tree.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TreeState {
    /// The numbers of the arrays in the arena; 0 where there is none.
    nodes: u32,
    values: u32,
    node_count: u32,
    max_depth: bool,
}

impl TreeState {
    /// Remembers an item.
    pub(crate) fn note(&mut self, arena: &Arena, key: &[u8], value: Value) {
        let array = || match value {
            Value::Instance(id) => arena.instances[id as usize].array,
            _ => 0,
        };
        match key {
            b"nodes" => self.nodes = array(),
            b"values" => self.values = array(),
            b"node_count" => {
                self.node_count = match value {
                    Value::Int(count) => u32::try_from(count).unwrap_or(0),
                    _ => 0,
                };
            }
            b"max_depth" => self.max_depth = matches!(value, Value::Int(_)),
            _ => {}
        }
    }

    /// Whether it is the whole state of a tree of so many outputs.
    fn is_tree_of(&self, arena: &Arena, outputs: u64) -> bool {
        let (Some(nodes), Some(values)) =
            (arena.array_numbered(self.nodes), arena.array_numbered(self.values))
        else {
            return false;
        };
        let count = u64::from(self.node_count);
        let values_fit = matches!(
            values.dims(), Some([of, outs, _]) if *of == count && *outs == outputs
        );
        count > 0
            && self.max_depth
            && is_nodes(&nodes)
            && nodes.dims() == Some(&[count])
            && values_fit
            && values.is(b"f8")
    }
}

/// Whether an array is of nodes, as scikit-learn lays them out.
fn is_nodes(nodes: &Array) -> bool {
    let print = |fields: &[(&[u8], &[u8; 3], u64)]| {
        fields.iter().fold(0_u64, |sum, (name, code, start)| {
            sum.wrapping_add(print_of_field(name, **code, *start))
        })
    };
    let whole = nodes.is(b"V64") && nodes.fields == print(&NODE);
    whole || (nodes.is(b"V56") && nodes.fields == print(&NODE[..7]))
}

/// `Tree(n_features, n_classes, n_outputs)`: the number of classes of each output.
pub(crate) fn is_tree(arena: &Arena, args: &[Value]) -> bool {
    match args {
        [Value::Int(features), classes, Value::Int(outputs)] => {
            let classes = arena.array(*classes).and_then(|classes| classes.length_of(b"i8"));
            *features >= 0 && *outputs > 0 && classes == u64::try_from(*outputs).ok()
        }
        _ => false,
    }
}

/// Whether a state is one that a decision tree writes. `classes` is the array that the tree was made with.
pub(crate) fn is_state_of_tree(arena: &Arena, state: Value, classes: Option<Array>) -> bool {
    let (Value::Dict(id), Some(Some([outputs]))) = (state, classes.as_ref().map(Array::dims))
    else {
        return false;
    };
    arena.dicts[id as usize].seen.sklearn.tree.is_tree_of(arena, *outputs)
}

/// Whether a state is one that `KDTree` and `BallTree` write.
pub(crate) fn is_state_of_neighbours(arena: &Arena, state: Value) -> bool {
    let Value::Tuple(id) = state else {
        return false;
    };
    let Some([data, index, nodes, bounds, numbers @ .., metric, weights]) = arena.items(id) else {
        return false;
    };
    let array = |value: &Value| arena.array(*value);
    let (Some(data), Some(index), Some(nodes), Some(bounds)) =
        (array(data), array(index), array(nodes), array(bounds))
    else {
        return false;
    };
    let [leaf_size, levels, node_count, ..] = numbers else {
        return false;
    };
    let (Some([samples, features]), Some([of_nodes]), Some([1 | 2, of_bounds, wide])) =
        (data.dims(), nodes.dims(), bounds.dims())
    else {
        return false;
    };
    let float = |array: &Array| array.is(b"f8") || array.is(b"f4");
    let whole = |value: &Value, least: i64| matches!(value, Value::Int(number) if *number >= least);
    let weighted = match weights {
        Value::None => true,
        weights => array(weights).and_then(|weights| weights.length_of(b"f8")) == Some(*samples),
    };
    float(&data)
        && float(&bounds)
        && index.length_of(b"i8") == Some(*samples)
        && of_bounds == of_nodes
        && wide == features
        && numbers.len() == 7
        && numbers.iter().all(|number| whole(number, 0))
        && whole(leaf_size, 1)
        && whole(levels, 0)
        && matches!(node_count, Value::Int(count) if u64::try_from(*count) == Ok(*of_nodes))
        && is_metric(arena, *metric)
        && weighted
}

/// Whether an object is a distance of scikit-learn's own, with its state.
fn is_metric(arena: &Arena, value: Value) -> bool {
    matches!(value, Value::Instance(id) if {
        arena.instances[id as usize].built
            && arena.global_of_instance(id).module == "sklearn.metrics._dist_metrics"
    })
}

/// Whether a state is one that a distance writes: its power, a vector and a matrix.
pub(crate) fn is_state_of_metric(arena: &Arena, state: Value) -> bool {
    let Value::Tuple(id) = state else {
        return false;
    };
    match arena.items(id) {
        Some([Value::Float(_), vector, matrix]) => {
            let matrix = arena.array(*matrix);
            arena.array(*vector).is_some_and(|vector| vector.length_of(b"f8").is_some())
                && matrix
                    .is_some_and(|matrix| matrix.is(b"f8") && matches!(matrix.dims(), Some([_, _])))
        }
        _ => false,
    }
}

/// How many numbers the state of a compiled loss function holds, which it reads without looking.
pub(crate) fn numbers_of_loss(function: &GlobalNote) -> Option<usize> {
    let loss = function.name.strip_prefix("__pyx_unpickle_Cy")?;
    Some(match loss {
        "HalfTweedieLoss" | "HalfTweedieLossIdentity" | "HuberLoss" | "PinballLoss" => 1,
        _ => 0,
    })
}
