//! NumPy archives (`numpy.savez`): every member is one array.

use super::super::npy;
use super::super::report::{Depth, quoted};
use super::super::source::Source;
use super::super::{Halt, Job};
use super::directory::Member;
use super::member;

/// Checks every member, because `numpy.load` opens each of them only when it is asked for.
pub(super) fn check(
    source: &mut Source<'_>,
    job: &mut Job<'_>,
    members: &[Member],
) -> Result<Depth, Halt> {
    for one in members {
        job.poll()?;
        if !one.name.ends_with(".npy") {
            job.findings.broken(format!(
                "{} stands among NumPy arrays and is none; numpy.savez does not write that",
                quoted(&one.name)
            ));
            continue;
        }
        match member::open(source, job, one, npy::check) {
            // Told already; the other members may hold worse.
            Ok(_) | Err(Halt::Broken) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(Depth::Typed)
}
