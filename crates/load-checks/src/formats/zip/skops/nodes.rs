//! The nodes of a skops file: what each loader makes, and of what it may.

use std::collections::HashMap;
use std::fmt;

use super::super::super::pickle::{self, Granted};
use super::super::super::report::{Finding, quoted};
use super::super::super::{Halt, Job, json, naming};
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
    todo: Vec<Place>,
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
            match self.node(place) {
                Ok(()) => {}
                // The others may hold worse.
                Err(Halt::Found(finding)) => self.job.findings.add(*finding),
                Err(other) => return Err(other),
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

    pub(super) fn items(&mut self, node: Node<'s>) -> Result<&'s [Place], Halt> {
        let items = self
            .schema
            .list(node.place, "content")
            .ok_or_else(|| fault(format!("the content of a {} is no list", node.loader)))?;
        self.todo.extend(items.iter().copied());
        Ok(items)
    }

    fn node(&mut self, place: Place) -> Taken {
        let node = self.peek(place)?;
        match node.loader {
            "JsonNode" => self.json(node).map(drop),
            "DictNode" => self.dict(node),
            "DefaultDictNode" => self.default_dict(node),
            "ListNode" => {
                self.items(node)?;
                self.made_by(node, node.is("builtins", "list"))
            }
            "SetNode" => {
                self.items(node)?;
                let set = node.is("builtins", "set") || node.is("builtins", "frozenset");
                self.made_by(node, set)
            }
            "TupleNode" => {
                self.items(node)?;
                self.made_by(node, node.is("builtins", "tuple"))
            }
            "BytesNode" | "BytearrayNode" => {
                let kind = if node.loader == "BytesNode" { "bytes" } else { "bytearray" };
                self.made_by(node, node.is("builtins", kind))?;
                self.file(node, "bin").map(drop)
            }
            "SliceNode" => self.slice(node),
            "FunctionNode" if self.protocol == 0 => self.old_function(node),
            "FunctionNode" | "TypeNode" => {
                let named = pickle::granted(node.module, node.class).is_some();
                let container = node.module == "builtins" && among(names::CONTAINERS, node.class);
                self.made_by(node, named || container || is_scalar(node))
            }
            "PartialNode" => self.partial(node),
            "ConstructorFromReduceNode" => self.called(node),
            "ObjectNode" => self.object(node),
            "MethodNode" => Err(self.method(node)),
            "OperatorFuncNode" => self.operator(node),
            "NdArrayNode" => self.array(node),
            "MaskedArrayNode" => {
                let content = self.content(node)?;
                self.child(content, "data")?;
                self.child(content, "mask")?;
                self.made_by(
                    node,
                    node.module.starts_with("numpy.ma") && node.class == "MaskedArray",
                )
            }
            "DTypeNode" => {
                self.child(node.place, "content")?;
                self.made_by(node, node.is("numpy", "dtype"))
            }
            "SparseMatrixNode" => self.sparse(node),
            "RandomStateNode" => self.random_state(node),
            "RandomGeneratorNode" => self.generator(node),
            "LossNode" => self.loss(node),
            "TreeNode" => self.tree(node),
            other => Err(fault(format!(
                "the loader {} of {} is not read here",
                quoted(other),
                name(node)
            ))),
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
        if !node.is("builtins", "str") {
            return Err(fault(format!("a JsonNode of {}", name(node))));
        }
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

    fn dict(&mut self, node: Node<'s>) -> Taken {
        let Some(members) = self.schema.object(node.place, "content") else {
            return Err(fault("the content of a DictNode is no object"));
        };
        self.todo.extend(members.iter().map(|(_, place)| *place));
        let types = self.child(node.place, "key_types")?;
        let kinds = self.schema.list(types.place, "content").unwrap_or_default();
        if types.loader != "ListNode" || kinds.len() != members.len() {
            return Err(fault("a DictNode without a type for each of its keys"));
        }
        for (kind, (key, _)) in kinds.iter().zip(members) {
            self.key(self.peek(*kind)?, key)?;
        }
        let harmless = node.is("builtins", "dict")
            || node.is("collections", "OrderedDict")
            || (node.module.starts_with("sklearn.utils") && node.class == "Bunch");
        self.made_by(node, harmless)
    }

    /// A key is what its type makes of a text.
    fn key(&self, kind: Node<'s>, key: &str) -> Taken {
        let plain = kind.module == "builtins" && among(names::PLAIN_TYPES, kind.class);
        if kind.loader != "TypeNode" || !(plain || is_scalar(kind)) {
            return Err(danger(format!("{} would be called with the text of a key", name(kind))));
        }
        let number = kind.class.contains("int");
        if number && key.trim().parse::<i128>().is_err() {
            return Err(fault(format!("the key {} is no whole number", quoted(key))));
        }
        Ok(())
    }

    fn default_dict(&mut self, node: Node<'s>) -> Taken {
        let content = self.content(node)?;
        let main = self.child(content, "main")?;
        let factory = self.child(content, "default_factory")?;
        let known = format!("{} {}", names::PLAIN_TYPES, names::CONTAINERS);
        let plain = factory.loader == "JsonNode"
            || (factory.loader == "TypeNode"
                && factory.module == "builtins"
                && among(&known, factory.class));
        if main.loader != "DictNode" || !plain {
            return Err(danger(format!("{} would be called for a missing value", name(factory))));
        }
        self.made_by(node, node.is("collections", "defaultdict"))
    }

    fn slice(&self, node: Node<'s>) -> Taken {
        let content = self.content(node)?;
        for key in ["start", "stop", "step"] {
            let end = self.schema.member(content, key).map(|place| self.schema.get(place));
            if !matches!(end, Some(Json::Null | Json::Int(_))) {
                return Err(fault("a slice whose ends are no whole numbers"));
            }
        }
        self.made_by(node, node.is("builtins", "slice"))
    }

    /// The first protocol named a function in the content of its node as well.
    fn old_function(&self, node: Node<'s>) -> Taken {
        let content = self.content(node)?;
        let (Some(module), Some(class)) =
            (self.schema.text(content, "module_path"), self.schema.text(content, "function"))
        else {
            return Err(fault("a FunctionNode without its function"));
        };
        let node = Node { module, class, ..node };
        self.made_by(node, pickle::granted(module, class).is_some())
    }

    fn partial(&mut self, node: Node<'s>) -> Taken {
        let content = self.content(node)?;
        let function = self.child(content, "func")?;
        let args = self.child(content, "args")?;
        let keywords = self.child(content, "kwds")?;
        let attributes = self.child(content, "namespace")?;
        if args.loader != "TupleNode"
            || keywords.loader != "DictNode"
            || !matches!(attributes.loader, "JsonNode" | "DictNode")
        {
            return Err(fault("a PartialNode whose parts are not those of one"));
        }
        let library = function.module == "numpy" || function.module.starts_with("sklearn.");
        let harmless = function.loader == "FunctionNode"
            && self.protocol > 0
            && library
            && pickle::granted(function.module, function.class) == Some(Granted::Function);
        self.made_by(function, harmless)?;
        if node.is("functools", "partial") { Ok(()) } else { Err(untrusted(node)) }
    }

    fn called(&mut self, node: Node<'s>) -> Taken {
        let args = self.child(node.place, "content")?;
        if args.loader != "TupleNode" {
            return Err(fault("a ConstructorFromReduceNode without a tuple"));
        }
        let plain =
            self.schema.list(args.place, "content").unwrap_or_default().iter().all(|place| {
                self.peek(*place).is_ok_and(|one| {
                    matches!(one.loader, "JsonNode" | "BytesNode" | "ConstructorFromReduceNode")
                })
            });
        self.made_by(node, plain && names::CALLED.contains(&(node.module, node.class)))
    }

    fn object(&mut self, node: Node<'s>) -> Taken {
        if let Some(content) = self.schema.member(node.place, "content")
            && *self.schema.get(content) != Json::Null
        {
            self.todo.push(content);
        }
        let library = node.module.starts_with("sklearn.")
            || names::STATED.contains(&(node.module, node.class));
        let stated = pickle::granted(node.module, node.class) == Some(Granted::Stated);
        self.made_by(node, (library && stated) || self.neighbours(node)?)
    }

    fn method(&self, node: Node<'s>) -> Halt {
        let method = self
            .content(node)
            .ok()
            .and_then(|content| self.schema.text(content, "func"))
            .unwrap_or_default();
        danger(format!(
            "a MethodNode takes {} from an object of {}; save the model without a bound method",
            quoted(method),
            name(node)
        ))
    }

    fn operator(&mut self, node: Node<'s>) -> Taken {
        self.child(node.place, "attrs")?;
        if node.is("operator", "itemgetter") {
            return Ok(());
        }
        Err(danger(format!(
            "an OperatorFuncNode makes operator.{}, which reaches any attribute or method; save the \
             model without it",
            quoted(node.class)
        )))
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
