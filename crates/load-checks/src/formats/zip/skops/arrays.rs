//! Arrays, generators of random numbers and compiled classes: nodes whose numbers a loader relies on.

use std::io;

use super::super::super::pickle::{self, Granted};
use super::super::super::report::quoted;
use super::super::super::{Halt, npy};
use super::names::{self, among};
use super::nodes::{Node, Nodes, Taken, danger, fault, name};
use super::schema::Place;
use super::{Held, Part};

impl<'s> Nodes<'s, '_, '_, '_, '_> {
    /// The member that a node reads.
    pub(super) fn file(&mut self, node: Node<'s>, kind: &str) -> Result<&Held, Halt> {
        let file = self.schema.text(node.place, "file").unwrap_or_default();
        let right = file.rsplit_once('.').is_some_and(|(_, suffix)| suffix == kind);
        let Some(held) = self.parts.get_mut(file).filter(|_| right) else {
            return Err(fault(format!(
                "a {} of the file {}, which is not in the archive",
                node.loader,
                quoted(file)
            )));
        };
        held.used = true;
        // Each node reads it anew.
        let read = if self.again { 0 } else { held.size };
        self.job.budget.copy(read).map_err(io::Error::from)?;
        Ok(held)
    }

    pub(super) fn array(&mut self, node: Node<'s>) -> Taken {
        match self.schema.text(node.place, "type") {
            Some("numpy") => drop(self.file(node, "npy")?),
            Some("json") => {
                self.items(node)?;
                self.child(node.place, "shape")?;
            }
            _ => return Err(fault("an NdArrayNode of an unknown type")),
        }
        Ok(())
    }

    /// What an array beside the schema is; `None` where it is broken, which is told.
    pub(super) fn array_of(&mut self, of: Place, key: &str) -> Result<Option<&npy::Array>, Halt> {
        let child = self.child(of, key)?;
        if child.loader != "NdArrayNode" || self.schema.text(child.place, "type") != Some("numpy") {
            return Err(fault(format!("{key} is no array in a file")));
        }
        let file = self.schema.text(child.place, "file").unwrap_or_default();
        match self.parts.get(file).map(|held| &held.part) {
            Some(Part::Array(array)) => Ok(Some(array)),
            Some(Part::Broken) => Ok(None),
            _ => Err(fault(format!("{key} is no array in a file"))),
        }
    }

    pub(super) fn sparse(&mut self, node: Node<'s>) -> Taken {
        if self.schema.text(node.place, "type") != Some("scipy") {
            return Err(fault("a SparseMatrixNode of an unknown type"));
        }
        self.file(node, "npz").map(drop)
    }

    pub(super) fn random_state(&mut self, node: Node<'s>) -> Taken {
        let state = self.child(node.place, "content")?;
        let kind = self.bit_generator(state)?;
        if kind != "MT19937" {
            return Err(fault(format!("a RandomState of {}", quoted(kind))));
        }
        Ok(())
    }

    pub(super) fn generator(&mut self, node: Node<'s>) -> Taken {
        let content = self.content(node)?;
        let state = self.child(content, "bit_generator")?;
        self.bit_generator(state)?;
        if self.protocol > 1 {
            let seed = self.child(content, "seed_seq")?;
            let seed = self.content(seed)?;
            if self.number(seed, "pool_size")? > names::MAX_POOL {
                return Err(danger("a seed that is mixed into very many words"));
            }
        }
        Ok(())
    }

    /// The name of a generator of bits in its state. skops calls what numpy has under it.
    pub(super) fn bit_generator(&mut self, state: Node<'s>) -> Result<&'s str, Halt> {
        if state.loader != "DictNode" {
            return Err(fault("the state of a generator is no dict"));
        }
        let content = self.content(state)?;
        let kind = self.child(content, "bit_generator")?;
        let text = if kind.loader == "JsonNode" { self.json(kind)? } else { "" };
        let kind = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or("");
        if !among(names::BIT_GENERATORS, kind) {
            return Err(danger(format!(
                "numpy.random.{} would be called to make a generator",
                quoted(text)
            )));
        }
        if kind == "MT19937" {
            let words = self.child(content, "state")?;
            let words = self.content(words)?;
            let place = self.number(words, "pos")?;
            let key = self.array_of(words, "key")?;
            let whole = key.is_none_or(|key| key.shape == [names::MT19937_WORDS]);
            if !whole || u64::try_from(place).map_or(true, |place| place > names::MT19937_WORDS) {
                return Err(danger("the state of MT19937 points beyond its words"));
            }
        }
        Ok(kind)
    }

    pub(super) fn loss(&mut self, node: Node<'s>) -> Taken {
        self.child(node.place, "content")?;
        let Some(reduced) = self.schema.member(node.place, "__reduce__") else {
            return Err(fault("a LossNode without arguments"));
        };
        let args = self.child(reduced, "args")?;
        for place in self.schema.list(args.place, "content").unwrap_or_default() {
            let plain = self.peek(*place)?;
            let number =
                plain.loader == "JsonNode" && self.json(plain)?.trim().parse::<f64>().is_ok();
            if !number {
                return Err(fault("a LossNode whose arguments are no numbers"));
            }
        }
        Ok(())
    }

    /// `Tree(n_features, n_classes, n_outputs)`, which reads as many numbers as it is told, and its state.
    pub(super) fn tree(&mut self, node: Node<'s>) -> Taken {
        let Some(reduced) = self.schema.member(node.place, "__reduce__") else {
            return Err(fault("a TreeNode without arguments"));
        };
        let args = self.child(reduced, "args")?;
        let state = self.child(node.place, "content")?;
        let [features, classes, outputs] =
            self.schema.list(args.place, "content").unwrap_or_default()
        else {
            return Err(fault("a TreeNode without its three arguments"));
        };
        let features = self.number_of(self.peek(*features)?)?;
        let outputs = self.number_of(self.peek(*outputs)?)?;
        let (Ok(_), Ok(outputs)) = (u64::try_from(features), u64::try_from(outputs)) else {
            return Err(fault("a tree of negative sizes"));
        };
        let wrong = |what: &str| danger(format!("a tree whose {what}"));
        let classes = self.schema.text(*classes, "file").and_then(|file| self.parts.get(file));
        match classes.map(|held| &held.part) {
            Some(Part::Array(classes))
                if classes.shape == [outputs] && classes.names == ["<i8"] => {}
            Some(Part::Broken) => return Ok(()),
            _ => return Err(wrong("classes are not as many as its outputs")),
        }
        let state = self.content(state)?;
        self.number(state, "max_depth")?;
        let count = self.number(state, "node_count")?;
        let count = u64::try_from(count).map_err(|_| wrong("nodes are fewer than none"))?;
        if let Some(nodes) = self.array_of(state, "nodes")? {
            let fields = nodes.names.iter().map(String::as_str);
            let known = fields.eq(names::TREE_FIELDS) || nodes.names[..] == names::TREE_FIELDS[..7];
            if nodes.shape != [count] || !known {
                return Err(wrong("nodes are not those that it counts"));
            }
        }
        if let Some(values) = self.array_of(state, "values")? {
            let right =
                matches!(values.shape[..], [nodes, held, _] if nodes == count && held == outputs);
            if !right || values.names != ["<f8"] {
                return Err(wrong("values are not those of its nodes and outputs"));
            }
        }
        Ok(())
    }

    /// The state of a compiled class of neighbours or metrics, which is read without looking at its length.
    pub(super) fn neighbours(&self, node: Node<'s>) -> Taken {
        let metric = is_metric(node);
        if !is_neighbours(node) && !metric {
            return Ok(());
        }
        let wanted: &[&str] = if metric { &names::METRIC_STATE } else { &names::NEIGHBOURS_STATE };
        let state = self.schema.member(node.place, "content").map(|state| self.peek(state));
        let state = state.transpose()?.filter(|state| state.is("builtins", "tuple"));
        let items = state.and_then(|state| self.schema.list(state.place, "content"));
        let Some(items) = items.filter(|items| items.len() == wanted.len()) else {
            return Err(danger(format!("the state of {} is not as long as one", name(node))));
        };
        for (place, wanted) in items.iter().zip(wanted) {
            let item = self.peek(*place)?;
            let array = item.loader != "NdArrayNode"
                || self.schema.text(item.place, "type") == Some("numpy");
            if !among(wanted, item.loader)
                || !array
                || (item.loader == "ObjectNode" && !is_metric(item))
            {
                return Err(danger(format!(
                    "the state of {} holds another kind of value",
                    name(node)
                )));
            }
        }
        Ok(())
    }
}

pub(super) fn is_neighbours(node: Node<'_>) -> bool {
    let of =
        |(module, classes): &(&str, &str)| *module == node.module && among(classes, node.class);
    names::NEIGHBOURS.iter().any(of)
}

pub(super) fn is_metric(node: Node<'_>) -> bool {
    node.module == names::METRICS
        && pickle::granted(node.module, node.class) == Some(Granted::Named)
        && node.class.contains("Distance")
}
