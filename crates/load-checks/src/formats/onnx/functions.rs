//! The functions that a model brings: each is a graph, and together they may not grow beyond measure.

use std::collections::HashSet;

use super::super::Halt;
use super::graph::Checker;
use super::model::{Given, Graph, Model, Node};

/// Nodes that a model may have once every call is replaced by what it calls, as loaders do.
const MAX_EXPANDED: u64 = 10_000_000;

pub(super) fn check(
    checker: &mut Checker<'_, '_, '_>,
    main: &Graph,
    model: &Model,
) -> Result<(), Halt> {
    let mut seen = HashSet::new();
    for function in &model.functions {
        checker.job.poll()?;
        if !seen.insert((function.domain, function.name, function.overload)) {
            let name = super::quoted(checker.names.get(function.name));
            checker.fault(function.at, format!("the function \"{name}\" is there twice"));
        }
        let opsets = checker.opsets(&function.opsets, 0)?;
        checker.function(function, &opsets)?;
    }
    if model.functions.is_empty() {
        return Ok(());
    }
    let mut sizes: Vec<Option<u64>> = vec![None; model.functions.len()];
    let calls: Vec<Vec<usize>> =
        model.functions.iter().map(|function| calls(&function.nodes, model)).collect();
    let mut callers = vec![Vec::new(); calls.len()];
    let mut waits: Vec<usize> = calls.iter().map(Vec::len).collect();
    for (caller, called) in calls.iter().enumerate() {
        for one in called {
            callers[*one].push(caller);
        }
    }
    let mut ready: Vec<usize> = (0..calls.len()).filter(|i| waits[*i] == 0).collect();
    while let Some(i) = ready.pop() {
        let own = count(&model.functions[i].nodes);
        sizes[i] = Some(expanded(own, &calls[i], &sizes));
        for caller in &callers[i] {
            waits[*caller] -= 1;
            if waits[*caller] == 0 {
                ready.push(*caller);
            }
        }
    }
    if let Some(i) = sizes.iter().position(Option::is_none) {
        let name = super::quoted(checker.names.get(model.functions[i].name));
        checker.job.danger(format!(
            "the function \"{name}\" calls itself, or leads to one that does: expanding it would never end"
        ));
        return Ok(());
    }
    let all = expanded(count(&main.nodes), &self::calls(&main.nodes, model), &sizes);
    if all > MAX_EXPANDED {
        checker.job.danger(format!(
            "the functions expand to {all} nodes; a loader would exhaust the machine"
        ));
    }
    Ok(())
}

fn expanded(own: u64, calls: &[usize], sizes: &[Option<u64>]) -> u64 {
    calls.iter().fold(own, |sum, called| sum.saturating_add(sizes[*called].unwrap_or(0)))
}

/// Every node, those of graphs within nodes too. Graphs nest no deeper than they are read.
fn each<'n>(nodes: &'n [Node], visit: &mut impl FnMut(&'n Node)) {
    for node in nodes {
        visit(node);
        for attribute in &node.attributes {
            match &attribute.given {
                Given::Graph(graph) => each(&graph.nodes, visit),
                Given::Graphs(graphs) => graphs.iter().for_each(|graph| each(&graph.nodes, visit)),
                _ => {}
            }
        }
    }
}

fn count(nodes: &[Node]) -> u64 {
    let mut count = 0;
    each(nodes, &mut |_| count += 1);
    count
}

fn calls(nodes: &[Node], model: &Model) -> Vec<usize> {
    let mut calls = Vec::new();
    each(nodes, &mut |node| calls.extend(model.function(node)));
    calls
}
