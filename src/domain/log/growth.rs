//! Growth: whether a log only grew since an earlier checkpoint.

use super::{
    checkpoint::Checkpoint,
    proof::{InvalidProof, verify_consistency},
};
use crate::domain::Sha256Digest;

/// The relation of a log to its earlier checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// The log is the same.
    Unchanged,
    /// The log has more entries, and the earlier ones are unchanged.
    Grew {
        /// The number of new entries.
        by: u64,
    },
}

/// The reason why a log is not an extension of an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotGrown {
    /// The origins differ.
    #[error("the earlier checkpoint is of the log {old:?}, but this one is of the log {new:?}")]
    OtherLog {
        /// The origin of the earlier checkpoint.
        old: String,
        /// The origin of the later one.
        new: String,
    },
    /// The log has fewer entries.
    #[error("the log was set back: it had {old} entries and has {new}")]
    SetBack {
        /// The earlier number of entries.
        old: u64,
        /// The present number of entries.
        new: u64,
    },
    /// The log has as many entries as before, but another root.
    #[error("the log was rewritten: it still has {size} entries, but another root")]
    Rewritten {
        /// The number of entries.
        size: u64,
    },
    /// The consistency proof is not valid.
    #[error(
        "there is no proof that the log of {new} entries begins with the earlier {old} entries: {fault}"
    )]
    Proof {
        /// The earlier number of entries.
        old: u64,
        /// The present number of entries.
        new: u64,
        /// The fault of the proof.
        fault: InvalidProof,
    },
}

/// Compares a later checkpoint with an earlier one. The consistency proof between them is empty where their sizes are
/// equal. The caller has already verified the signatures.
///
/// # Errors
/// [`NotGrown`]
pub fn check_grown(
    old: &Checkpoint,
    new: &Checkpoint,
    proof: &[Sha256Digest],
) -> Result<Growth, NotGrown> {
    if old.origin != new.origin {
        let (old, new) = (old.origin.to_string(), new.origin.to_string());
        return Err(NotGrown::OtherLog { old, new });
    }
    if old.size > new.size {
        return Err(NotGrown::SetBack { old: old.size, new: new.size });
    }
    if old.size == new.size && old.root != new.root {
        return Err(NotGrown::Rewritten { size: new.size });
    }
    verify_consistency((old.size, &old.root), (new.size, &new.root), proof)
        .map_err(|fault| NotGrown::Proof { old: old.size, new: new.size, fault })?;
    Ok(match new.size - old.size {
        0 => Growth::Unchanged,
        by => Growth::Grew { by },
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::domain::log::{
        checkpoint::Origin,
        proof::{Plan, root_of_complete},
        tree::{RightEdge, leaf_hash},
    };

    fn leaves(prefix: &str, count: usize) -> Vec<Sha256Digest> {
        (0..count).map(|number| leaf_hash(format!("{prefix}{number}").as_bytes())).collect()
    }

    fn checkpoint(origin: &str, leaves: &[Sha256Digest]) -> Checkpoint {
        let mut edge = RightEdge::new();
        leaves.iter().for_each(|leaf| drop(edge.append(*leaf)));
        Checkpoint::new(Origin::parse(origin).unwrap(), edge.size(), edge.root())
    }

    fn proof(old: usize, leaves: &[Sha256Digest]) -> Vec<Sha256Digest> {
        let plan = Plan::consistency(old as u64, leaves.len() as u64).unwrap();
        plan.fill(|level, index| {
            let first = usize::try_from(index << level).unwrap();
            Ok::<_, Infallible>(root_of_complete(&leaves[first..first + (1 << level)]).unwrap())
        })
        .unwrap()
    }

    #[test]
    fn a_log_grows_stays_or_is_found_out() {
        let log = leaves("", 11);
        let (old, new) = (checkpoint("a", &log[..6]), checkpoint("a", &log));
        let proof = proof(6, &log);
        assert_eq!(check_grown(&old, &new, &proof), Ok(Growth::Grew { by: 5 }));
        assert_eq!(check_grown(&new, &new, &[]), Ok(Growth::Unchanged));
        assert_eq!(check_grown(&new, &old, &[]), Err(NotGrown::SetBack { old: 11, new: 6 }));
        assert!(matches!(
            check_grown(&checkpoint("b", &log[..6]), &new, &proof),
            Err(NotGrown::OtherLog { .. })
        ));
        let other = leaves("other", 11);
        assert_eq!(
            check_grown(&checkpoint("a", &other), &new, &[]),
            Err(NotGrown::Rewritten { size: 11 })
        );
        for (old, new, proof) in [
            (&old, &new, &proof[1..]),
            (&old, &new, &[]),
            (&checkpoint("a", &other[..6]), &new, &proof[..]),
            (&old, &checkpoint("a", &other), &proof[..]),
            (&checkpoint("a", &log[..5]), &new, &proof[..]),
        ] {
            assert!(matches!(check_grown(old, new, proof), Err(NotGrown::Proof { .. })));
        }
    }
}
