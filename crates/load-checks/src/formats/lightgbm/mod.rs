//! LightGBM's text model, read as its own loader does, and further.
//!
//! The stock loader aborts the whole process on a wrong `tree_sizes`, reads numbers that are not
//! there as zero, and follows whatever children a tree names. So every array is counted here,
//! every number parsed, and every tree walked. `header` holds what stands before the trees,
//! `tree` one tree, `tail` what follows; a tree at a time is in memory.

mod header;
mod lines;
mod objective;
mod parameters;
mod tail;
mod tree;

use super::report::Depth;
use super::source::Source;
use super::trees::{self, Ensemble, Member, Transform};
use super::{Halt, Job};
use header::Header;
use lines::Lines;

/// Reads the whole model, and runs its sample where one came with it.
pub(super) fn check(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    let mut lines = Lines::new(source);
    let header = Header::read(&mut lines, job)?;
    let mut kept = job.sample.is_some().then(Vec::new);
    let mut nodes = 0_usize;
    let mut count = 0_usize;
    while tree::starts(header.has_tree(count), &mut lines, job)? {
        let end = header.end_of_tree(count, &mut lines, job)?;
        let tree = tree::read(&header, count, end, &mut lines, job)?;
        nodes = nodes.saturating_add(tree.nodes());
        if nodes > trees::MAX_NODES {
            kept = None;
        }
        if let Some(kept) = &mut kept {
            kept.push(Member {
                group: count % header.trees_per_round,
                weight: 1.0,
                round: count / header.trees_per_round,
                tree: tree.into_tree(),
            });
        }
        count += 1;
    }
    header.all_trees_read(count, job)?;
    tail::read(&header, &mut lines, job)?;
    match (kept, header.transform) {
        (Some(members), Some(transform)) => {
            let ensemble = ensemble(&header, members, count, transform);
            trees::run(&ensemble, None, job)
        }
        (_, transform) => {
            if job.sample.is_some() {
                let why = if transform.is_none() { "objective" } else { "size" };
                job.findings
                    .note(format!("the sample was not run: the model's {why} is beyond it"));
            }
            Ok(Depth::Typed)
        }
    }
}

fn ensemble(header: &Header, members: Vec<Member>, count: usize, transform: Transform) -> Ensemble {
    let rounds = (count / header.trees_per_round).max(1);
    Ensemble {
        features: header.features,
        start: vec![0.0; header.trees_per_round],
        members,
        divisor: if header.averages { rounds as f64 } else { 1.0 },
        transform,
    }
}
