//! The nodes of a skops file: what each loader makes, and of what it may.

use std::collections::HashMap;
use std::fmt;

use super::super::super::pickle::{self, Granted};
use super::super::super::report::{Finding, quoted};
use super::super::super::{Halt, Job, json, naming};
use super::arrays::{is_metric, is_neighbours};
use super::names::{self, CLASS, ID, LOADER, MODULE, among};
use super::schema::{Json, Place, Plain, Schema};
use super::{Held, Part};

/// Nodes looked at between two questions whether to go on.
const POLL_EVERY: usize = 4096;
/// Values of nodes of one identity that are compared.
const MAX_STEPS: usize = 50_000_000;

type Parts<'m> = HashMap<&'m str, Held>;
/// Why a node is not taken.
pub(super) type Taken = Result<(), Halt>;

pub(super) fn check(schema: &Schema, parts: &mut Parts<'_>, job: &mut Job<'_>) -> Result<(), Halt> {
    let protocol = match schema.member(0, "protocol").map(|place| schema.get(place)) {
        Some(Json::Int(protocol)) if names::PROTOCOLS.contains(protocol) => *protocol,
        _ => return job.broken("no protocol of skops's that is known"),
    };
    let mut nodes = Nodes { schema, parts, job, protocol, todo: vec![0], again: false };
    nodes.all()
}

pub(super) struct Nodes<'s, 'p, 'm, 'j, 'a> {
    pub(super) schema: &'s Schema,
    pub(super) parts: &'p mut Parts<'m>,
    pub(super) job: &'j mut Job<'a>,
    pub(super) protocol: i64,
    pub(super) todo: Vec<Place>,
    /// The node stands there again, and is not loaded anew.
    pub(super) again: bool,
}

/// What a node says of itself.
#[derive(Clone, Copy)]
pub(super) struct Node<'s> {
    pub(super) place: Place,
    pub(super) class: &'s str,
    pub(super) module: &'s str,
    pub(super) loader: &'s str,
}

impl Node<'_> {
    pub(super) fn is(&self, module: &str, class: &str) -> bool {
        self.module == module && self.class == class
    }
}

/// The loader would fail.
pub(super) fn fault(what: impl fmt::Display) -> Halt {
    Halt::Found(Box::new(Finding::fault(format!("schema.json: {what}"))))
}

/// Loading could run code, or crash.
pub(super) fn danger(what: impl fmt::Display) -> Halt {
    Halt::Found(Box::new(Finding::danger(format!("schema.json: {what}"))))
}

impl<'s> Nodes<'s, '_, '_, '_, '_> {
    fn all(&mut self) -> Result<(), Halt> {
        let mut first: HashMap<i64, Place> = HashMap::new();
        let (mut count, mut steps) = (0_usize, MAX_STEPS);
        while let Some(place) = self.todo.pop() {
            count += 1;
            if count.is_multiple_of(POLL_EVERY) {
                self.job.poll()?;
            }
            self.again = false;
            if let Some(id) = self.identity(place)? {
                let known = *first.entry(id).or_insert(place);
                self.again = known != place;
                let same_file = |one: &str, other: &str| self.is_same_part(one, other);
                match self.schema.same(known, place, &mut steps, same_file) {
                    Some(true) => {}
                    Some(false) => {
                        return Err(danger(format!(
                            "two nodes of the __id__ {id} differ, of which skops loads one alone"
                        )));
                    }
                    None => return Err(fault("nodes that stand there again and again")),
                }
            }
            for taken in self.node(place)? {
                match taken {
                    Ok(()) => {}
                    // The others may hold worse.
                    Err(Halt::Found(finding)) => self.job.findings.add(*finding),
                    Err(other) => return Err(other),
                }
            }
        }
        Ok(())
    }

    /// What is saved again is written to another file, where it is made anew each time.
    fn is_same_part(&self, one: &str, other: &str) -> bool {
        let part = |file| self.parts.get(file).map(|held| &held.part);
        one == other
            || match (part(one), part(other)) {
                (Some(Part::Array(one)), Some(Part::Array(other))) => one == other,
                (Some(one), Some(other)) => {
                    std::mem::discriminant(one) == std::mem::discriminant(other)
                }
                _ => false,
            }
    }

    /// Python takes 1, 1.0 and true for the same key, so whole numbers alone are read.
    fn identity(&self, place: Place) -> Result<Option<i64>, Halt> {
        match self.schema.member(place, ID).map(|id| self.schema.get(id)) {
            None | Some(Json::Null | Json::Int(0)) => Ok(None),
            Some(Json::Int(id)) => Ok(Some(*id)),
            Some(_) => Err(fault("a node whose __id__ is no whole number")),
        }
    }

    pub(super) fn peek(&self, place: Place) -> Result<Node<'s>, Halt> {
        let text = |key| {
            self.schema.text(place, key).ok_or_else(|| fault(format!("a node without its {key}")))
        };
        Ok(Node { place, class: text(CLASS)?, module: text(MODULE)?, loader: text(LOADER)? })
    }

    /// A child, which is looked at later.
    pub(super) fn child(&mut self, of: Place, key: &str) -> Result<Node<'s>, Halt> {
        let place = self.schema.member(of, key);
        let Some(place) = place else {
            return Err(fault(format!("a node without its {key}")));
        };
        self.todo.push(place);
        self.peek(place)
    }

    pub(super) fn content(&self, node: Node<'s>) -> Result<Place, Halt> {
        self.schema
            .member(node.place, "content")
            .ok_or_else(|| fault(format!("a {} without content", node.loader)))
    }

    pub(super) fn items(&mut self, node: Node<'s>) -> Taken {
        let items = self
            .schema
            .list(node.place, "content")
            .ok_or_else(|| fault(format!("the content of a {} is no list", node.loader)))?;
        self.todo.extend(items.iter().copied());
        Ok(())
    }

    /// Whether what the node names may be made by its loader, and what it tells of itself otherwise.
    fn node(&mut self, place: Place) -> Result<[Taken; 2], Halt> {
        let node = self.peek(place)?;
        Ok([self.made_by(node, self.is_known(node)), self.parts_of(node)])
    }

    /// Whether the loader makes nothing of the node's class but what is harmless.
    fn is_known(&self, node: Node<'s>) -> bool {
        let builtin = |names| node.module == "builtins" && among(names, node.class);
        match node.loader {
            "JsonNode" => builtin("str"),
            "DictNode" => {
                let bunch = node.module.starts_with("sklearn.utils") && node.class == "Bunch";
                builtin("dict") || node.is("collections", "OrderedDict") || bunch
            }
            "DefaultDictNode" => node.is("collections", "defaultdict"),
            "ListNode" => builtin("list"),
            "SetNode" => builtin("set frozenset"),
            "TupleNode" => builtin("tuple"),
            "BytesNode" => builtin("bytes"),
            "BytearrayNode" => builtin("bytearray"),
            "SliceNode" => builtin("slice"),
            // Its content names it.
            "FunctionNode" if self.protocol == 0 => true,
            "FunctionNode" | "TypeNode" => {
                pickle::granted(node.module, node.class).is_some()
                    || builtin(names::CONTAINERS)
                    || is_scalar(node)
            }
            "PartialNode" => node.is("functools", "partial"),
            "ConstructorFromReduceNode" => names::CALLED.contains(&(node.module, node.class)),
            "ObjectNode" => {
                let library = node.module.starts_with("sklearn.")
                    || names::STATED.contains(&(node.module, node.class));
                let stated = pickle::granted(node.module, node.class) == Some(Granted::Stated);
                (library && stated) || is_metric(node) || is_neighbours(node)
            }
            "NdArrayNode" => node.is("numpy", "ndarray") || is_scalar(node),
            "MaskedArrayNode" => node.module.starts_with("numpy.ma") && node.class == "MaskedArray",
            "DTypeNode" => node.is("numpy", "dtype"),
            "SparseMatrixNode" => node.module.starts_with("scipy.sparse."),
            "RandomStateNode" => {
                among("numpy.random numpy.random.mtrand", node.module)
                    && node.class == "RandomState"
            }
            "RandomGeneratorNode" => {
                among("numpy.random numpy.random._generator", node.module)
                    && node.class == "Generator"
            }
            "LossNode" => {
                names::LOSS_MODULES.contains(&node.module) && among(names::LOSSES, node.class)
            }
            "TreeNode" => node.is("sklearn.tree._tree", "Tree"),
            // What is wrong with these is told by their parts.
            _ => true,
        }
    }

    fn parts_of(&mut self, node: Node<'s>) -> Taken {
        match node.loader {
            "JsonNode" => self.json(node).map(drop),
            "DictNode" => self.dict(node),
            "DefaultDictNode" => self.default_dict(node),
            "ListNode" | "SetNode" | "TupleNode" => self.items(node),
            "BytesNode" | "BytearrayNode" => self.file(node, "bin").map(drop),
            "SliceNode" => self.slice(node),
            "FunctionNode" if self.protocol == 0 => self.old_function(node),
            "FunctionNode" | "TypeNode" => Ok(()),
            "PartialNode" => self.partial(node),
            "ConstructorFromReduceNode" => self.called(node),
            "ObjectNode" => self.object(node),
            "MethodNode" => Err(self.method(node)),
            "OperatorFuncNode" => self.operator(node),
            "NdArrayNode" => self.array(node),
            "MaskedArrayNode" => {
                let content = self.content(node)?;
                self.child(content, "data")?;
                self.child(content, "mask").map(drop)
            }
            "DTypeNode" => self.child(node.place, "content").map(drop),
            "SparseMatrixNode" => self.sparse(node),
            "RandomStateNode" => self.random_state(node),
            "RandomGeneratorNode" => self.generator(node),
            "LossNode" => self.loss(node),
            "TreeNode" => self.tree(node),
            other => {
                let (loader, name) = (quoted(other), name(node));
                Err(fault(format!("the loader {loader} of {name} is not read here")))
            }
        }
    }

    /// Takes what is known to be harmless, and what an operator trusts.
    pub(super) fn made_by(&self, node: Node<'s>, harmless: bool) -> Taken {
        let trusted = pickle::may_be_trusted(node.module)
            && self.job.trusted.contains(node.module, node.class)
            && naming::is_path(node.module);
        if harmless || trusted { Ok(()) } else { Err(untrusted(node)) }
    }

    /// A value in JSON within JSON.
    pub(super) fn json(&self, node: Node<'s>) -> Result<&'s str, Halt> {
        let Some(text) = self.schema.text(node.place, "content") else {
            return Err(fault("a JsonNode whose content is no text"));
        };
        match json::visit(&mut text.as_bytes(), self.job.keep_going, &mut Plain) {
            Ok(()) => Ok(text),
            Err(error) => {
                Err(fault(format!("the content of a JsonNode: {}", quoted(&error.to_string()))))
            }
        }
    }

    /// The whole number that a child is.
    pub(super) fn number(&mut self, of: Place, key: &str) -> Result<i64, Halt> {
        let child = self.child(of, key)?;
        self.number_of(child)
    }

    pub(super) fn number_of(&self, node: Node<'s>) -> Result<i64, Halt> {
        let text = if node.loader == "JsonNode" { self.json(node)? } else { "" };
        text.trim().parse().map_err(|_| fault(format!("{} is no whole number", name(node))))
    }
}

pub(super) fn is_scalar(node: Node<'_>) -> bool {
    node.module == "numpy" && among(names::SCALARS, node.class)
}

pub(super) fn name(node: Node<'_>) -> String {
    quoted(&format!("{}.{}", node.module, node.class))
}

pub(super) fn untrusted(node: Node<'_>) -> Halt {
    let name = name(node);
    let trustable = pickle::may_be_trusted(node.module) && naming::is_path(node.module);
    let remedy = if trustable {
        format!(
            "if this class is yours and safe, add \"{name}\" to [pickle] trusted in the policy file"
        )
    } else {
        "it is never trusted; have the model saved again without it".to_owned()
    };
    let told = format!("schema.json: untrusted {} of {name}; {remedy}", quoted(node.loader));
    let finding = Finding { global: Some(name), ..Finding::danger(told) };
    Halt::Found(Box::new(finding))
}
