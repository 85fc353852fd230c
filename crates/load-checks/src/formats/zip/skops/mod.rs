//! Models of scikit-learn's as skops keeps them: a schema of nodes, and arrays beside it.
//!
//! Each node says its class, its module and the loader that makes an object of it. skops asks whoever
//! loads a file to trust the names in it; here a name must be one that a pickle may use in the same way,
//! or one that an operator trusts (`nodes`; `values`
//! for Python's own, `arrays` for those whose numbers count). `schema` holds the JSON, `names` skops's own names. Stricter
//! than skops in that every member of the archive must be used, and that nodes of one `__id__`, of which
//! skops reads the first alone, must be the same.

mod arrays;
mod names;
mod nodes;
mod schema;
mod values;

use std::collections::HashMap;
use std::io::Cursor;

use super::super::json::{self, ScanError};
use super::super::npy;
use super::super::report::{Depth, quoted};
use super::super::source::Source;
use super::super::{Halt, Job};
use super::directory::{self, Member};
use super::member;
use schema::Schema;

const SCHEMA: &str = "schema.json";
/// Bytes of a schema, which is held in memory as a whole.
const MAX_SCHEMA: u64 = 64 * 1024 * 1024;
/// Bytes of a sparse matrix, an archive of its own that is held to be read from its end.
const MAX_SPARSE: u64 = 128 * 1024 * 1024;

/// What stands beside the schema.
enum Part {
    Array(npy::Array),
    Sparse,
    Bytes,
    /// It is broken, which is told.
    Broken,
}

/// A part and what is known of its use.
struct Held {
    part: Part,
    size: u64,
    used: bool,
}

/// Whether these are the members of a skops file.
pub(super) fn is_one(members: &[Member]) -> bool {
    members.iter().any(|member| member.name == SCHEMA)
}

pub(super) fn check(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    members: &[Member],
) -> Result<Depth, Halt> {
    let mut parts = HashMap::new();
    let mut schema = None;
    for one in members {
        job.poll()?;
        let part = match one.name.rsplit_once('.') {
            _ if one.name == SCHEMA => {
                schema =
                    Some(member::open(source, job, one, |inner, job| read(inner, job, one.size)));
                continue;
            }
            Some((_, "npy")) => member::open(source, job, one, npy::check_plain).map(Part::Array),
            Some((_, "npz")) => member::open(source, job, one, |inner, job| {
                sparse(inner, job, one.size).map(|()| Part::Sparse)
            }),
            Some((_, "bin")) => member::pass(source, job, one).map(|()| Part::Bytes),
            _ => job.broken(format!("{} is no part of a skops file", quoted(&one.name))),
        };
        let part = match part {
            Ok(part) => part,
            // Told already; the others may hold worse.
            Err(Halt::Broken) => Part::Broken,
            Err(other) => return Err(other),
        };
        parts.insert(one.name.as_str(), Held { part, size: one.size, used: false });
    }
    let Some(schema) = schema.transpose()? else {
        return job.broken("the archive holds no schema.json");
    };
    nodes::check(&schema, &mut parts, job)?;
    let mut unused: Vec<_> =
        parts.iter().filter(|(_, held)| !held.used).map(|(name, _)| *name).collect();
    unused.sort_unstable();
    match unused.first() {
        Some(name) => job.broken(format!("{} is used by nothing in the schema", quoted(name))),
        None => Ok(Depth::Typed),
    }
}

fn read(source: &mut Source<'_>, job: &mut Job<'_>, size: u64) -> Result<Schema, Halt> {
    if size > MAX_SCHEMA {
        return job.broken(format!("a schema of {size} bytes; {MAX_SCHEMA} at most are read"));
    }
    let mut schema = Schema::default();
    match json::visit(source, job.keep_going, &mut schema) {
        Ok(()) => Ok(schema),
        Err(ScanError::Fault(fault)) => {
            job.broken(format!("no strict JSON: {} at byte {}", fault.what, fault.offset))
        }
        Err(ScanError::Io(error)) => Err(error.into()),
    }
}

/// An archive within the archive, as scipy writes it.
fn sparse(source: &mut Source<'_>, job: &mut Job<'_>, size: u64) -> Result<(), Halt> {
    if size > MAX_SPARSE {
        return job
            .broken(format!("a sparse matrix of {size} bytes; {MAX_SPARSE} at most are read"));
    }
    let Some(bytes) = source.read_bytes(size)? else {
        return job.broken("the matrix ends too early");
    };
    let mut inner = Source::open(Cursor::new(bytes))?;
    job.budget.enter().map_err(std::io::Error::from)?;
    let members = directory::read(&mut inner, job)?;
    for one in &members {
        member::open(&mut inner, job, one, npy::check_plain)?;
    }
    job.budget.leave();
    let mut held: Vec<_> = members
        .iter()
        .map(|one| one.name.strip_suffix(".npy").unwrap_or(&one.name))
        .filter(|name| !matches!(*name, "format" | "shape" | "_is_array"))
        .collect();
    held.sort_unstable();
    let has = |name: &str| members.iter().any(|one| one.name.strip_suffix(".npy") == Some(name));
    if !has("format") || !has("shape") || !names::SPARSE.contains(&&held[..]) {
        return job.broken("the arrays of it are those of no sparse matrix that scipy writes");
    }
    Ok(())
}
