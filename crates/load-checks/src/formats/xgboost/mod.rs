//! XGBoost's models, as JSON and as Universal Binary JSON.
//!
//! The stock loader takes trees whose children do not exist or lead back, and dies or never ends
//! when it predicts. `builder` gathers a document into values (`value`), handing over each tree
//! as soon as it is complete, so that one tree at a time is in memory; `tree` checks one tree,
//! `learner` everything around them. `ubjson` reads the binary form. Whether a document is a
//! model at all is decided by what it holds.

mod builder;
mod learner;
mod objective;
mod parameters;
mod tree;
mod ubjson;
mod value;

use super::json::{self, ScanError};
use super::report::{Depth, Format};
use super::source::Source;
use super::{Halt, Job};
use builder::Builder;
use learner::Trees;

/// Reads a JSON document, and more closely where it is a model.
pub(super) fn check_json(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    let mut builder = Builder::new(Trees::new(job.sample.is_some()));
    let read = json::visit(source, job.keep_going, &mut builder);
    if builder.looks_like_model() {
        job.format = Format::XgboostJson;
    }
    match read {
        Ok(()) => {}
        Err(ScanError::Fault(fault)) => return job.broken(fault.to_string()),
        Err(ScanError::Io(error)) => return Err(error.into()),
    }
    match builder.finish() {
        Some((root, trees)) => learner::check(&root, trees, job),
        None => Ok(Depth::Parsed),
    }
}

/// Reads what Python's pickle keeps of a booster: a model and its configuration, in either form.
pub(super) fn check_pickled(
    source: &mut Source<'_>,
    binary: bool,
    job: &mut Job<'_>,
) -> Result<Depth, Halt> {
    let mut builder = Builder::with_configuration(Trees::new(false));
    if binary {
        ubjson::visit(source, job, &mut builder)?;
    } else {
        match json::visit(source, job.keep_going, &mut builder) {
            Ok(()) => {}
            Err(ScanError::Fault(fault)) => return job.broken(fault.to_string()),
            Err(ScanError::Io(error)) => return Err(error.into()),
        }
    }
    match builder.finish() {
        Some((root, trees)) => learner::check(&root, trees, job),
        None => job.broken("it holds no model beside its configuration"),
    }
}

/// Reads Universal Binary JSON, which is written here by XGBoost alone.
pub(super) fn check_ubjson(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    let mut builder = Builder::new(Trees::new(job.sample.is_some()));
    let read = ubjson::visit(source, job, &mut builder);
    if builder.looks_like_model() {
        job.format = Format::XgboostUbjson;
    }
    read?;
    match builder.finish() {
        Some((root, trees)) => learner::check(&root, trees, job),
        None => job.broken(
            "Universal Binary JSON that is no XGBoost model; if it is data, store it as JSON",
        ),
    }
}
