//! ONNX graphs.
//!
//! The reference is what the format's own checker and runtime accept: a node may read what was
//! written before it, once; an operator is what its opset says; a tensor holds what its shape
//! says; a contradiction between shapes is found before the first prediction. Operators of a
//! domain that ONNX does not define are passed over with a note: their loader must bring them.

mod constants;
mod einsum;
mod functions;
mod graph;
mod model;
mod operators;
mod read;
mod rules;
mod scopes;
mod shape_moves;
mod shapes;
mod tensors;
mod trees;
mod wire;

use super::report::{Depth, quoted};
use super::source::Source;
use super::{Halt, Job};
use graph::Checker;
use model::{NONE, Opset};
use read::Reader;
use scopes::Scopes;

/// Releases of the format's own library can read so far.
const NEWEST_IR: i64 = 14;
/// Versions of a later format that may come; a number beyond is damage.
const LATER: i64 = 4;

pub(super) fn check(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    let mut reader = Reader::new(source, job.keep_going);
    let model = reader.model()?.indexed();
    let names = reader.names;
    let ir = model.ir_version.unwrap_or(0);
    if !(1..=NEWEST_IR + LATER).contains(&ir) {
        return job.broken(format!("there is no version {ir} of the format"));
    }
    let Some(main) = &model.graph else {
        return job.broken("a model without a graph");
    };
    let scopes = Scopes::default();
    let mut checker = Checker { names: &names, job, model: &model, ir, scopes, whole: true };
    if ir > NEWEST_IR {
        checker.job.findings.note(format!("the format's version {ir} is newer than this check"));
        checker.whole = false;
    }
    let opsets = checker.opsets(&model.opsets, ir)?;
    checker.main(main, &opsets)?;
    for graph in &model.training {
        checker.subgraph(graph, &opsets, None)?;
    }
    functions::check(&mut checker, main, &model)?;
    Ok(if checker.whole { Depth::Typed } else { Depth::Parsed })
}

/// The versions of the domains that a graph or function uses.
type Opsets = model::NameMap<i64>;

impl Checker<'_, '_, '_> {
    fn opsets(&mut self, given: &[Opset], ir: i64) -> Result<Opsets, Halt> {
        let mut opsets = Opsets::default();
        for opset in given {
            let domain = self.names.get(opset.domain);
            let told = if opset.domain == NONE { "ai.onnx".to_owned() } else { quoted(domain) };
            let known = operators::knows(domain);
            if opset.version < 1 || (known && opset.version > operators::newest(domain) + LATER) {
                return self.job.broken(format!("there is no opset {} of {told}", opset.version));
            }
            if opsets.insert(opset.domain, opset.version).is_some_and(|v| v != opset.version) {
                return self.job.broken(format!("two versions of the operators of {told}"));
            }
        }
        if given.is_empty() {
            if ir >= 3 {
                return self.job.broken("a model that says no version of its operators");
            }
            opsets.insert(NONE, 1);
        }
        Ok(opsets)
    }
}
