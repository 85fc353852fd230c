//! Inclusion and consistency proofs: created as in RFC 6962 sections 2.1.1 and 2.1.2, verified as in RFC 9162
//! sections 2.1.3.2 and 2.1.4.2.

use super::tree::{TILE_HEIGHT, empty_root, node_hash};
use crate::domain::Sha256Digest;

/// A complete aligned subtree of 2^`level` leaves. Its first leaf is number `index` × 2^`level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subtree {
    /// The base-2 logarithm of its number of leaves.
    pub level: u8,
    /// Its position among the subtrees of its level, from 0.
    pub index: u64,
}

/// Adjacent hashes of one stored level. Level 0 holds the leaf hashes; levels 8, 16, 24, … hold the roots of complete
/// subtrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoredHashes {
    /// The level: 0, 8, 16, …
    pub level: u8,
    /// The position of the first hash in its level.
    pub first: u64,
    /// The number of hashes: at most 256.
    pub count: u16,
}

impl Subtree {
    /// The stored hashes from which [`root_of_complete`] computes the root of this subtree: at most 128.
    #[must_use]
    pub const fn stored(self) -> StoredHashes {
        let above = self.level % TILE_HEIGHT;
        StoredHashes { level: self.level - above, first: self.index << above, count: 1 << above }
    }
}

/// The root over the hashes of adjacent subtrees of equal size. `None` where their number is not a power of two.
#[must_use]
pub fn root_of_complete(hashes: &[Sha256Digest]) -> Option<Sha256Digest> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    row.first().copied()
}

/// The subtrees that a proof is computed from, known before anything is read. Each hash of the proof is the root of
/// one range of leaves, computed from the complete subtrees of that range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan(Vec<Vec<Subtree>>);

/// The reason why a proof does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoProof {
    /// The leaf is not in the tree.
    #[error("a log of {size} entries has no entry {index}")]
    NoLeaf {
        /// The requested leaf.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The earlier tree is larger than the later one.
    #[error("a log of {new} entries cannot have grown from one of {old}")]
    Shrunk {
        /// The size of the earlier tree.
        old: u64,
        /// The size of the later tree.
        new: u64,
    },
}

impl Plan {
    /// The plan of the proof that the tree of `size` leaves holds leaf `index`.
    ///
    /// # Errors
    /// [`NoProof::NoLeaf`]
    pub fn inclusion(index: u64, size: u64) -> Result<Self, NoProof> {
        if index >= size {
            return Err(NoProof::NoLeaf { index, size });
        }
        let mut parts = Vec::new();
        let (mut start, mut end) = (0, size);
        while end - start > 1 {
            let middle = start + left_width(end - start);
            if index < middle {
                parts.push(decompose(middle, end));
                end = middle;
            } else {
                parts.push(decompose(start, middle));
                start = middle;
            }
        }
        parts.reverse();
        Ok(Self(parts))
    }

    /// The plan of the proof that the tree of `new` leaves begins with the tree of `old` leaves. The plan is empty
    /// where the old tree is empty or both trees are the same.
    ///
    /// # Errors
    /// [`NoProof::Shrunk`]
    pub fn consistency(old: u64, new: u64) -> Result<Self, NoProof> {
        if old > new {
            return Err(NoProof::Shrunk { old, new });
        }
        let mut parts = Vec::new();
        if old == 0 || old == new {
            return Ok(Self(parts));
        }
        let (mut start, mut end) = (0, new);
        while old != end {
            let middle = start + left_width(end - start);
            if old <= middle {
                parts.push(decompose(middle, end));
                end = middle;
            } else {
                parts.push(decompose(start, middle));
                start = middle;
            }
        }
        // A range that begins with the tree is the old tree itself. The verifier has its root.
        if start > 0 {
            parts.push(decompose(start, end));
        }
        parts.reverse();
        Ok(Self(parts))
    }

    /// The plan of the root of the tree of `size` leaves: one hash, or no hash for the empty tree.
    #[must_use]
    pub fn root(size: u64) -> Self {
        Self(if size == 0 { Vec::new() } else { vec![decompose(0, size)] })
    }

    /// The complete subtrees whose roots [`Plan::fill`] asks for, in that order. An asynchronous store reads them
    /// first.
    pub fn subtrees(&self) -> impl Iterator<Item = Subtree> + '_ {
        self.0.iter().flatten().copied()
    }

    /// The hashes of the proof, given the roots of complete subtrees by level and index.
    ///
    /// # Errors
    /// The first error of `root`.
    pub fn fill<E>(
        &self,
        mut root: impl FnMut(u8, u64) -> Result<Sha256Digest, E>,
    ) -> Result<Vec<Sha256Digest>, E> {
        let mut path = Vec::with_capacity(self.0.len());
        for part in &self.0 {
            // Read from the largest, combined from the smallest.
            let roots: Vec<Sha256Digest> =
                part.iter().map(|s| root(s.level, s.index)).collect::<Result<_, E>>()?;
            path.extend(roots.into_iter().rev().reduce(|right, left| node_hash(&left, &right)));
        }
        Ok(path)
    }
}

/// The number of leaves in the left subtree of `width` leaves: the largest power of two below `width`.
const fn left_width(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

/// The complete subtrees of the leaves `start..end`, largest first. `start` must be a multiple of the width of the
/// largest one; this is true of every range that RFC 6962 splits off.
fn decompose(start: u64, end: u64) -> Vec<Subtree> {
    let mut subtrees = Vec::new();
    let mut at = start;
    while at < end {
        let level = (end - at).ilog2();
        subtrees
            .push(Subtree { level: u8::try_from(level).unwrap_or(u8::MAX), index: at >> level });
        at += 1 << level;
    }
    subtrees
}

/// The reason why a proof is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProof {
    /// See [`NoProof`].
    #[error(transparent)]
    Impossible(#[from] NoProof),
    /// The proof has too few hashes.
    #[error("the proof is truncated: it needs {needed} hashes and has {found}")]
    Truncated {
        /// The number of hashes that the proof needs.
        needed: usize,
        /// The number of hashes that it has.
        found: usize,
    },
    /// The proof has too many hashes.
    #[error("the proof needs {needed} hashes and has {found}")]
    TooLong {
        /// The number of hashes that the proof needs.
        needed: usize,
        /// The number of hashes that it has.
        found: usize,
    },
    /// The hashes give another root.
    #[error("the proof gives the root {computed}, but the log's root is {expected}")]
    OtherRoot {
        /// The root that the proof gives.
        computed: Sha256Digest,
        /// The expected root.
        expected: Sha256Digest,
    },
    /// The hashes give another root of the earlier tree.
    #[error("the proof starts from the root {computed}, but the earlier log's root is {expected}")]
    OtherOldRoot {
        /// The root that the proof gives.
        computed: Sha256Digest,
        /// The expected root.
        expected: Sha256Digest,
    },
}

/// Verifies that the tree of `size` leaves with this root holds `leaf` as number `index`: RFC 9162, section 2.1.3.2.
///
/// # Errors
/// [`InvalidProof`]
pub fn verify_inclusion(
    leaf: &Sha256Digest,
    index: u64,
    size: u64,
    path: &[Sha256Digest],
    root: &Sha256Digest,
) -> Result<(), InvalidProof> {
    expect_length(path, Plan::inclusion(index, size)?.0.len())?;
    let (mut node, mut last) = (index, size - 1);
    let mut computed = *leaf;
    for sibling in path {
        if node & 1 == 1 || node == last {
            computed = node_hash(sibling, &computed);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            computed = node_hash(&computed, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    expect_root(computed, root)
}

/// Verifies that the tree of `new` leaves begins with the tree of `old` leaves: RFC 9162, section 2.1.4.2. Every tree
/// begins with the empty tree and with itself; those proofs have no hashes.
///
/// # Errors
/// [`InvalidProof`]
pub fn verify_consistency(
    (old, old_root): (u64, &Sha256Digest),
    (new, new_root): (u64, &Sha256Digest),
    path: &[Sha256Digest],
) -> Result<(), InvalidProof> {
    expect_length(path, Plan::consistency(old, new)?.0.len())?;
    if old == 0 {
        return expect_old_root(empty_root(), old_root);
    }
    if old == new {
        return expect_root(*old_root, new_root);
    }
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    // Where the old tree is complete, the path starts at its root, which is not in the proof.
    let (first, rest) = match path.split_first() {
        Some((first, rest)) if !old.is_power_of_two() => (*first, rest),
        _ => (*old_root, path),
    };
    let (mut old_computed, mut new_computed) = (first, first);
    for sibling in rest {
        if node & 1 == 1 || node == last {
            old_computed = node_hash(sibling, &old_computed);
            new_computed = node_hash(sibling, &new_computed);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_computed = node_hash(&new_computed, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    expect_old_root(old_computed, old_root)?;
    expect_root(new_computed, new_root)
}

const fn expect_length(path: &[Sha256Digest], needed: usize) -> Result<(), InvalidProof> {
    let found = path.len();
    if found < needed {
        Err(InvalidProof::Truncated { needed, found })
    } else if found > needed {
        Err(InvalidProof::TooLong { needed, found })
    } else {
        Ok(())
    }
}

fn expect_root(computed: Sha256Digest, expected: &Sha256Digest) -> Result<(), InvalidProof> {
    let expected = *expected;
    if computed == expected { Ok(()) } else { Err(InvalidProof::OtherRoot { computed, expected }) }
}

fn expect_old_root(computed: Sha256Digest, expected: &Sha256Digest) -> Result<(), InvalidProof> {
    let expected = *expected;
    if computed == expected {
        Ok(())
    } else {
        Err(InvalidProof::OtherOldRoot { computed, expected })
    }
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
