//! Whether the nodes of a graph fit together.
//!
//! Every value is written once and before it is read, in its own graph or one around it; every
//! node is what its operator asks for.

use super::super::report::{Finding, quoted};
use super::super::{Halt, Job};
use super::model::{
    Attribute, Function, Given, Graph, Model, NONE, Name, NameSet, Names, Node, Type,
};
use super::scopes::Scopes;
use super::shapes::Shapes;
use super::trees::Bad;
use super::{Opsets, operators, rules, tensors, trees};

/// Findings after which a graph is read no further.
const MAX_FAULTS: usize = 100;

pub(super) struct Checker<'c, 'j, 'k> {
    pub(super) names: &'c Names,
    pub(super) job: &'j mut Job<'k>,
    pub(super) model: &'c Model,
    pub(super) ir: i64,
    pub(super) scopes: Scopes,
    /// Every node so far was of an operator that is known.
    pub(super) whole: bool,
}

type Checked = Result<(), Halt>;

impl Checker<'_, '_, '_> {
    pub(super) fn fault(&mut self, at: u64, what: impl Into<String>) {
        let told = format!("{} at byte {at}", what.into());
        self.job.findings.add(Finding::fault(told).at(at));
    }

    /// Stops where so much is wrong that more would tell nothing.
    fn enough(&self) -> Checked {
        if self.job.findings.len() < MAX_FAULTS { Ok(()) } else { Err(Halt::Broken) }
    }

    fn told(&self, name: Name) -> String {
        quoted(self.names.get(name))
    }

    /// A node as a sentence names it.
    fn node_told(&self, node: &Node) -> String {
        match node.name {
            NONE => format!("a {}", self.told(node.op)),
            name => format!("{} \"{}\"", self.told(node.op), self.told(name)),
        }
    }

    pub(super) fn main(&mut self, graph: &Graph, opsets: &Opsets) -> Checked {
        for value in &graph.inputs {
            let what = match value.kind {
                Type::Tensor { element, .. } if !tensors::is_type(element) => {
                    format!("has no data type {element}")
                }
                Type::Unknown => "has no type".to_owned(),
                Type::Tensor { .. } | Type::Other => continue,
            };
            let name = self.told(value.name);
            self.fault(value.at, format!("input \"{name}\" {what}"));
        }
        let mut shapes = Shapes::of(graph);
        self.graph(graph, opsets, None, Some(&mut shapes))?;
        for value in &graph.outputs {
            let Type::Tensor { element, .. } = value.kind else { continue };
            let made = shapes.element_of(value.name);
            let what = if !tensors::is_type(element) {
                format!("has no data type {element}")
            } else if made != 0 && made != element {
                format!("is declared of type {element} and is of type {made}")
            } else {
                continue;
            };
            let name = self.told(value.name);
            self.fault(value.at, format!("output \"{name}\" {what}"));
        }
        Ok(())
    }

    pub(super) fn subgraph(
        &mut self,
        graph: &Graph,
        opsets: &Opsets,
        function: Option<&Function>,
    ) -> Checked {
        self.graph(graph, opsets, function, None)
    }

    fn graph(
        &mut self,
        graph: &Graph,
        opsets: &Opsets,
        function: Option<&Function>,
        shapes: Option<&mut Shapes>,
    ) -> Checked {
        self.scopes.open();
        for value in &graph.inputs {
            if value.name == NONE {
                self.fault(value.at, "an input without a name");
            } else if !self.scopes.write(value.name) {
                let name = self.told(value.name);
                self.fault(value.at, format!("input \"{name}\" is there twice"));
            }
        }
        self.initializers(graph)?;
        self.nodes(&graph.nodes, opsets, function, shapes)?;
        for value in &graph.outputs {
            if !self.scopes.has_here(value.name) {
                let name = self.told(value.name);
                self.fault(value.at, format!("output \"{name}\" is written by no node"));
            }
        }
        self.scopes.close();
        Ok(())
    }

    fn initializers(&mut self, graph: &Graph) -> Checked {
        let mut seen = NameSet::default();
        let sparse = graph.sparse.iter().filter_map(|sparse| sparse.values.as_ref());
        for tensor in graph.initializers.iter().chain(sparse) {
            self.job.poll()?;
            self.enough()?;
            if tensor.name == NONE {
                self.fault(tensor.at, "a tensor of the model without a name");
            } else if !seen.insert(tensor.name) {
                let name = self.told(tensor.name);
                self.fault(tensor.at, format!("tensor \"{name}\" is there twice"));
            }
            self.scopes.write(tensor.name);
        }
        for tensor in &graph.initializers {
            tensors::check(tensor, "tensor", self.names, self.job);
        }
        for sparse in &graph.sparse {
            tensors::check_sparse(sparse, self.names, self.job);
        }
        Ok(())
    }

    pub(super) fn function(&mut self, function: &Function, opsets: &Opsets) -> Checked {
        self.scopes.open();
        for name in &function.inputs {
            if *name == NONE || !self.scopes.write(*name) {
                let name = self.told(*name);
                self.fault(
                    function.at,
                    format!("parameter \"{name}\" of a function is there twice"),
                );
            }
        }
        self.nodes(&function.nodes, opsets, Some(function), None)?;
        for name in &function.outputs {
            if !self.scopes.has_here(*name) {
                let name = self.told(*name);
                self.fault(
                    function.at,
                    format!("result \"{name}\" of a function is written by no node"),
                );
            }
        }
        self.scopes.close();
        Ok(())
    }

    fn nodes(
        &mut self,
        nodes: &[Node],
        opsets: &Opsets,
        function: Option<&Function>,
        mut shapes: Option<&mut Shapes>,
    ) -> Checked {
        for (i, node) in nodes.iter().enumerate() {
            self.job.poll()?;
            self.enough()?;
            for name in &node.inputs {
                if *name != NONE && !self.scopes.has(*name) {
                    let later = nodes[i..].iter().any(|node| node.outputs.contains(name));
                    let how = if later { "before it is written" } else { "that nothing writes" };
                    let (node_told, name) = (self.node_told(node), self.told(*name));
                    self.fault(node.at, format!("{node_told} reads \"{name}\", {how}"));
                    // One search of the rest of the graph is enough to say what is wrong with it.
                    return Err(Halt::Broken);
                }
            }
            let operator = self.operator(node, opsets);
            self.attributes(node, opsets, function)?;
            if self.names.get(node.domain) == "ai.onnx.ml" {
                self.trees(node);
            }
            if let Some(since) = operator
                && let Some(what) = rules::fault(node, since, self.names)
            {
                let node_told = self.node_told(node);
                self.fault(node.at, format!("{node_told}: {what}"));
            }
            if let (Some(shapes), Some(since)) = (shapes.as_deref(), operator)
                && let Some(what) = shapes.crash(node, since, self.names)
            {
                let told = format!("{}: {what}, at byte {}", self.node_told(node), node.at);
                self.job.findings.add(Finding::danger(told).at(node.at));
            }
            if let (Some(shapes), Some(since)) = (shapes.as_deref_mut(), operator)
                && let Some(what) = shapes.step(node, since, self.names)
            {
                let node_told = self.node_told(node);
                self.fault(node.at, format!("{node_told}: {what}"));
            }
            for name in &node.outputs {
                if *name != NONE && !self.scopes.write(*name) {
                    let name = self.told(*name);
                    self.fault(node.at, format!("\"{name}\" is written twice, again by a node"));
                }
            }
        }
        Ok(())
    }

    fn trees(&mut self, node: &Node) {
        match trees::check(node, self.names) {
            Ok(()) => {}
            Err(Bad::Fault(what)) => {
                let told = self.node_told(node);
                self.fault(node.at, format!("{told}: {what}"));
            }
            Err(Bad::Endless(what)) => {
                let told = format!("{}: {what}, at byte {}", self.node_told(node), node.at);
                self.job.findings.add(Finding::danger(told).at(node.at));
            }
        }
    }

    /// Since which version its operator is as it is; `None` of one that is not ONNX's own.
    fn operator(&mut self, node: &Node, opsets: &Opsets) -> Option<i64> {
        let domain = self.names.get(node.domain);
        let Some(version) = opsets.get(&node.domain) else {
            let told = self.node_told(node);
            let domain = quoted(if domain.is_empty() { "ai.onnx" } else { domain });
            self.fault(node.at, format!("{told} is of {domain}, of which no opset is imported"));
            return None;
        };
        if let Some(called) = self.model.function(node) {
            let called = &self.model.functions[called];
            if node.inputs.len() > called.inputs.len() || node.outputs.len() > called.outputs.len()
            {
                let told = self.node_told(node);
                self.fault(node.at, format!("{told} calls a function with too many values"));
            }
            return None;
        }
        let op = self.names.get(node.op);
        if !operators::knows(domain) && operators::calls_python(op) {
            let told = self.node_told(node);
            let what = format!(
                "{told} calls a function of Python that the model names, at byte {}",
                node.at
            );
            self.job.findings.add(Finding::danger(what).at(node.at));
            return None;
        }
        if !operators::knows(domain) && !operators::may_be_known(domain, op) {
            let (told, domain) = (self.node_told(node), quoted(domain));
            self.fault(node.at, format!(
                "{told} is of {domain}, which is neither in the model nor in any stock loader; export it with ONNX's own operators or with its functions"
            ));
            return None;
        }
        if !operators::knows(domain) || *version > operators::newest(domain) {
            self.whole = false;
            let domain = quoted(if domain.is_empty() { "ai.onnx" } else { domain });
            self.job.findings.note(format!(
                "operators of {domain} {version} are not ONNX's own, or newer than this check; the loader must know them"
            ));
            return None;
        }
        let Some(operator) = operators::operator(domain, op, *version) else {
            let told = self.node_told(node);
            self.fault(node.at, format!("{told}: there is no such operator in opset {version}"));
            return None;
        };
        let Some(rules) = &operator.rules else {
            let told = self.node_told(node);
            self.fault(node.at, format!("{told}: the operator is gone from opset {version}"));
            return None;
        };
        if let Some(what) = rules.inputs.fault(node.inputs.iter().map(|name| *name != NONE)) {
            let told = self.node_told(node);
            self.fault(node.at, format!("{told}: its inputs are {what}"));
        }
        if let Some(what) = rules.outputs.fault(node.outputs.iter().map(|name| *name != NONE)) {
            let told = self.node_told(node);
            self.fault(node.at, format!("{told}: its outputs are {what}"));
        }
        for (name, _, needed) in &rules.attributes {
            if *needed && !node.attributes.iter().any(|a| self.names.get(a.name) == *name) {
                let told = self.node_told(node);
                self.fault(node.at, format!("{told}: the attribute {name} is missing"));
            }
        }
        for attribute in &node.attributes {
            let name = self.names.get(attribute.name);
            let rule = rules.attributes.iter().find(|(known, ..)| *known == name);
            match rule {
                Some((_, kind, _)) if attribute.kind.is_none_or(|given| given == *kind) => {}
                Some((_, kind, _)) => {
                    let (told, what) = (self.node_told(node), operators::kind_name(*kind));
                    self.fault(
                        attribute.at,
                        format!("{told}: the attribute {name} must be of type {what}"),
                    );
                }
                None if name.starts_with("__") => {}
                None => {
                    let (told, name) = (self.node_told(node), quoted(name));
                    self.fault(attribute.at, format!("{told} has no attribute \"{name}\""));
                }
            }
        }
        Some(operator.since)
    }

    fn attributes(&mut self, node: &Node, opsets: &Opsets, function: Option<&Function>) -> Checked {
        let mut seen = NameSet::default();
        for attribute in &node.attributes {
            if attribute.name == NONE || !seen.insert(attribute.name) {
                let (told, name) = (self.node_told(node), self.told(attribute.name));
                self.fault(
                    attribute.at,
                    format!("{told}: attribute \"{name}\" is there twice or nameless"),
                );
            }
            self.enough()?;
            if let Some(what) = self.attribute_fault(attribute, function) {
                let name = self.told(attribute.name);
                self.fault(attribute.at, format!("attribute \"{name}\" {what}"));
            }
            self.given(&attribute.given, opsets, function)?;
        }
        Ok(())
    }

    fn attribute_fault(&self, given: &Attribute, function: Option<&Function>) -> Option<String> {
        if given.reference != NONE {
            let known = function.is_some_and(|f| f.attributes.contains(&given.reference));
            return match given.given {
                _ if !known => Some("refers to one of a function, which is not there".to_owned()),
                Given::Nothing => None,
                _ => Some("has a value and refers to another".to_owned()),
            };
        }
        let (held, kind) = (given.given.kind(), given.kind);
        match kind {
            _ if given.mixed => Some("has values of more than one type".to_owned()),
            None if self.ir >= 2 => Some("has no type".to_owned()),
            Some(kind) if !(1..=14).contains(&kind) => Some(format!("has no type {kind}")),
            Some(kind) if held != 0 && held != kind => Some(format!(
                "is declared as {} and holds {}",
                operators::kind_name(kind),
                operators::kind_name(held)
            )),
            _ => None,
        }
    }

    fn given(&mut self, given: &Given, opsets: &Opsets, function: Option<&Function>) -> Checked {
        const WHAT: &str = "tensor in an attribute";
        match given {
            Given::Tensor(tensor) => tensors::check(tensor, WHAT, self.names, self.job),
            Given::Tensors(all) => {
                for tensor in all {
                    tensors::check(tensor, WHAT, self.names, self.job);
                }
            }
            Given::Sparse(all, _) => {
                for sparse in all {
                    tensors::check_sparse(sparse, self.names, self.job);
                }
            }
            Given::Graph(graph) => self.subgraph(graph, opsets, function)?,
            Given::Graphs(all) => {
                for graph in all {
                    self.subgraph(graph, opsets, function)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
