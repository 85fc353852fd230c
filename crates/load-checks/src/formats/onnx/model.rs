//! What is kept of an ONNX model.
//!
//! Knows its parts; whether they make sense together is asked elsewhere, and how they are written
//! is known to the reader.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use super::super::index::Index;

/// A name, kept once.
pub(super) type Name = u32;

/// Spreads the numbers of names, which are given in turn and not by the artifact's author: nothing
/// could be made to collide, and there are many of them.
#[derive(Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

/// A set of names.
pub(super) type NameSet = HashSet<Name, BuildHasherDefault<Spread>>;
/// What is known of names.
pub(super) type NameMap<T> = HashMap<Name, T, BuildHasherDefault<Spread>>;

/// The name that was not given.
pub(super) const NONE: Name = 0;

/// All names, one after the other.
#[derive(Default)]
pub(super) struct Names {
    text: String,
    ends: Vec<u32>,
    of: Index,
}

impl Names {
    pub(super) fn get(&self, name: Name) -> &str {
        text_of(&self.text, &self.ends, name)
    }

    /// The number of a name and what it costs to keep.
    pub(super) fn keep(&mut self, name: &str) -> (Name, u64) {
        let Self { text, ends, of } = self;
        let next = ends.len() as Name;
        let known = of.place(name.as_bytes(), next, |other| text_of(text, ends, other) == name);
        if known != next {
            return (known, 0);
        }
        // Bounded by what a reader may hold.
        text.push_str(name);
        ends.push(text.len() as u32);
        (next, 64 + name.len() as u64)
    }
}

fn text_of<'t>(text: &'t str, ends: &[u32], name: Name) -> &'t str {
    let end = |name: u32| ends.get(name as usize).map(|end| *end as usize);
    let start = name.checked_sub(1).map_or(Some(0), end);
    start.zip(end(name)).and_then(|(start, end)| text.get(start..end)).unwrap_or_default()
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) ir_version: Option<i64>,
    pub(super) opsets: Vec<Opset>,
    pub(super) graph: Option<Graph>,
    pub(super) functions: Vec<Function>,
    pub(super) training: Vec<Graph>,
    /// Places of the functions by domain, name and overload.
    by_name: HashMap<(Name, Name, Name), usize>,
}

impl Model {
    pub(super) fn indexed(mut self) -> Self {
        let keys = self.functions.iter().map(|f| (f.domain, f.name, f.overload));
        self.by_name = keys.enumerate().map(|(i, key)| (key, i)).collect();
        self
    }

    /// The function that a node calls, where it calls one.
    pub(super) fn function(&self, node: &Node) -> Option<usize> {
        self.by_name.get(&(node.domain, node.op, node.overload)).copied()
    }
}

pub(super) struct Opset {
    pub(super) domain: Name,
    pub(super) version: i64,
}

#[derive(Default)]
pub(super) struct Graph {
    pub(super) name: Name,
    pub(super) nodes: Vec<Node>,
    pub(super) inputs: Vec<Value>,
    pub(super) outputs: Vec<Value>,
    pub(super) initializers: Vec<Tensor>,
    pub(super) sparse: Vec<Sparse>,
}

#[derive(Default)]
pub(super) struct Function {
    pub(super) at: u64,
    pub(super) name: Name,
    pub(super) domain: Name,
    pub(super) overload: Name,
    pub(super) inputs: Vec<Name>,
    pub(super) outputs: Vec<Name>,
    pub(super) attributes: NameSet,
    pub(super) nodes: Vec<Node>,
    pub(super) opsets: Vec<Opset>,
}

#[derive(Default)]
pub(super) struct Node {
    pub(super) at: u64,
    pub(super) name: Name,
    pub(super) op: Name,
    pub(super) domain: Name,
    pub(super) overload: Name,
    pub(super) inputs: Vec<Name>,
    pub(super) outputs: Vec<Name>,
    pub(super) attributes: Vec<Attribute>,
}

impl Node {
    pub(super) fn attribute(&self, names: &Names, name: &str) -> Option<&Given> {
        self.attributes.iter().find(|a| names.get(a.name) == name).map(|a| &a.given)
    }

    pub(super) fn int(&self, names: &Names, name: &str) -> Option<i64> {
        match self.attribute(names, name) {
            Some(Given::Int(value)) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn text(&self, names: &Names, name: &str) -> Option<&str> {
        match self.attribute(names, name) {
            Some(Given::Text(text)) => text.as_deref(),
            _ => None,
        }
    }

    pub(super) fn ints(&self, names: &Names, name: &str) -> Option<&[i64]> {
        match self.attribute(names, name) {
            Some(Given::Ints(values)) => Some(values),
            _ => None,
        }
    }
}

#[derive(Default)]
pub(super) struct Attribute {
    pub(super) at: u64,
    pub(super) name: Name,
    /// The number of its declared type.
    pub(super) kind: Option<i64>,
    /// The attribute of the function that it takes its value from.
    pub(super) reference: Name,
    pub(super) given: Given,
    /// Values of more than one type stand in it.
    pub(super) mixed: bool,
}

/// What an attribute holds.
#[derive(Default)]
pub(super) enum Given {
    #[default]
    Nothing,
    Float,
    Int(i64),
    /// Its text, where it is short enough to be a word or an equation.
    Text(Option<Box<str>>),
    Tensor(Box<Tensor>),
    Graph(Box<Graph>),
    Floats(u64),
    Ints(Vec<i64>),
    /// Of each string, what it means in a tree.
    Texts(Vec<Mode>),
    Tensors(Vec<Tensor>),
    Graphs(Vec<Graph>),
    Sparse(Vec<Sparse>, bool),
    Types(u64, bool),
}

impl Given {
    /// The number of the type it is of.
    pub(super) fn kind(&self) -> i64 {
        match self {
            Given::Nothing => 0,
            Given::Float => 1,
            Given::Int(_) => 2,
            Given::Text(_) => 3,
            Given::Tensor(_) => 4,
            Given::Graph(_) => 5,
            Given::Floats(_) => 6,
            Given::Ints(_) => 7,
            Given::Texts(_) => 8,
            Given::Tensors(_) => 9,
            Given::Graphs(_) => 10,
            Given::Sparse(_, many) => 11 + i64::from(*many),
            Given::Types(_, many) => 13 + i64::from(*many),
        }
    }
}

/// What a node of a tree does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Branch,
    Leaf,
    Unknown,
}

/// An input or output of a graph.
#[derive(Default)]
pub(super) struct Value {
    pub(super) at: u64,
    pub(super) name: Name,
    pub(super) kind: Type,
}

#[derive(Default, Clone)]
pub(super) enum Type {
    #[default]
    Unknown,
    Tensor {
        element: i64,
        /// `None` for a size that is not said.
        shape: Option<Vec<Option<i64>>>,
    },
    Other,
}

#[derive(Default)]
pub(super) struct Tensor {
    pub(super) at: u64,
    pub(super) name: Name,
    pub(super) dims: Vec<i64>,
    pub(super) data_type: i64,
    pub(super) raw: Option<u64>,
    pub(super) floats: u64,
    pub(super) int32s: u64,
    pub(super) strings: u64,
    pub(super) int64s: u64,
    pub(super) doubles: u64,
    pub(super) uint64s: u64,
    pub(super) segment: bool,
    pub(super) external: bool,
    pub(super) location: Option<String>,
    /// What it holds, where that is short enough to be a shape.
    pub(super) small_raw: Vec<u8>,
    pub(super) small_ints: Vec<i64>,
    pub(super) small_floats: Vec<f32>,
}

#[derive(Default)]
pub(super) struct Sparse {
    pub(super) at: u64,
    pub(super) values: Option<Tensor>,
    pub(super) indices: Option<Tensor>,
    pub(super) dims: Vec<i64>,
}
