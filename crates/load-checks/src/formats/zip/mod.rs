//! Zip archives: NumPy's, torch's, Keras's and skops's.
//!
//! `directory` reads the headers (`extra`: their extra fields) and refuses every archive that two
//! readers could understand differently; `member` unpacks; what kind of model it is, is decided
//! by the members. An archive that is none of these has no loader and is refused.

mod directory;
mod extra;
mod keras;
mod member;
mod npz;
mod skops;
mod torch;

use super::report::Depth;
use super::source::Source;
use super::{Format, Halt, Job};
use directory::Member;

/// Reads an archive by what its members make of it.
pub(super) fn check(source: &mut Source<'_>, job: &mut Job<'_>) -> Result<Depth, Halt> {
    job.budget.enter().map_err(std::io::Error::from)?;
    let members = directory::read(source, job)?;
    let depth = match kind(&members) {
        Some(Kind::Torch(folder)) => {
            job.format = Format::Torch;
            torch::check(source, job, &members, folder)?
        }
        Some(Kind::Keras) => {
            job.format = Format::Keras;
            keras::check(source, job, &members)?
        }
        Some(Kind::Skops) => {
            job.format = Format::Skops;
            skops::check(source, job, &members)?
        }
        Some(Kind::Npz) => {
            job.format = Format::Npz;
            npz::check(source, job, &members)?
        }
        None => return unknown(job, &members),
    };
    job.budget.leave();
    Ok(depth)
}

enum Kind<'a> {
    /// With the folder its members stand in.
    Torch(&'a str),
    Keras,
    Skops,
    Npz,
}

fn kind(members: &[Member]) -> Option<Kind<'_>> {
    if let Some(folder) = torch::folder(members) {
        return Some(Kind::Torch(folder));
    }
    if keras::is_one(members) {
        return Some(Kind::Keras);
    }
    if skops::is_one(members) {
        return Some(Kind::Skops);
    }
    if members.iter().any(|member| member.name.ends_with(".npy")) {
        return Some(Kind::Npz);
    }
    None
}

fn unknown<T>(job: &mut Job<'_>, members: &[Member]) -> Result<T, Halt> {
    if members.is_empty() {
        return job.broken("the archive is empty");
    }
    job.broken(
        "a zip archive that is no model: neither NumPy arrays, nor a torch checkpoint, nor a \
         Keras or skops model; store the model itself",
    )
}

/// Goes to a place in the archive. Ahead within the buffer, nothing is read twice.
fn go_to(source: &mut Source<'_>, offset: u64) -> Result<(), Halt> {
    match offset.checked_sub(source.offset()) {
        Some(ahead) => {
            source.skip(ahead)?;
        }
        None => source.seek_to(offset)?,
    }
    Ok(())
}
