//! Values of Python's: containers, functions, objects, and what is called to make them.

use super::super::super::Halt;
use super::super::super::pickle::{self, Granted};
use super::super::super::report::quoted;
use super::names::{self, among};
use super::nodes::{Node, Nodes, Taken, danger, fault, is_scalar, name};
use super::schema::Json;

impl<'s> Nodes<'s, '_, '_, '_, '_> {
    pub(super) fn dict(&mut self, node: Node<'s>) -> Taken {
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
        Ok(())
    }

    /// A key is what its type makes of a text.
    pub(super) fn key(&self, kind: Node<'s>, key: &str) -> Taken {
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

    pub(super) fn default_dict(&mut self, node: Node<'s>) -> Taken {
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
        Ok(())
    }

    pub(super) fn slice(&self, node: Node<'s>) -> Taken {
        let content = self.content(node)?;
        for key in ["start", "stop", "step"] {
            let end = self.schema.member(content, key).map(|place| self.schema.get(place));
            if !matches!(end, Some(Json::Null | Json::Int(_))) {
                return Err(fault("a slice whose ends are no whole numbers"));
            }
        }
        Ok(())
    }

    /// The first protocol named a function in the content of its node as well.
    pub(super) fn old_function(&self, node: Node<'s>) -> Taken {
        let content = self.content(node)?;
        let (Some(module), Some(class)) =
            (self.schema.text(content, "module_path"), self.schema.text(content, "function"))
        else {
            return Err(fault("a FunctionNode without its function"));
        };
        let node = Node { module, class, ..node };
        self.made_by(node, pickle::granted(module, class).is_some())
    }

    pub(super) fn partial(&mut self, node: Node<'s>) -> Taken {
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
        self.made_by(function, harmless)
    }

    pub(super) fn called(&mut self, node: Node<'s>) -> Taken {
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
        let known = names::CALLED.contains(&(node.module, node.class));
        if known && !plain {
            Err(danger(format!("{} of other values than plain ones", name(node))))
        } else {
            Ok(())
        }
    }

    pub(super) fn object(&mut self, node: Node<'s>) -> Taken {
        if let Some(content) = self.schema.member(node.place, "content")
            && *self.schema.get(content) != Json::Null
        {
            self.todo.push(content);
        }
        self.neighbours(node)
    }

    pub(super) fn method(&self, node: Node<'s>) -> Halt {
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

    pub(super) fn operator(&mut self, node: Node<'s>) -> Taken {
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
