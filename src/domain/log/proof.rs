//! Inclusion and consistency proofs: made as RFC 6962 sections 2.1.1 and 2.1.2 define them, verified
//! as RFC 9162 sections 2.1.3.2 and 2.1.4.2 say.

use super::tree::{TILE_HEIGHT, empty_root, node_hash};
use crate::domain::Sha256Digest;

/// A complete aligned subtree: 2^`level` leaves, the first of which is number `index` × 2^`level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subtree {
    /// The logarithm of its number of leaves.
    pub level: u8,
    /// Its place among the subtrees of its level, from 0.
    pub index: u64,
}

/// Hashes of one stored level, which lie next to each other. Level 0 holds the leaf hashes; levels 8,
/// 16, 24, … the roots of complete subtrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoredHashes {
    /// 0, 8, 16, …
    pub level: u8,
    /// The place of the first one in its level.
    pub first: u64,
    /// How many: 256 at most.
    pub count: u16,
}

impl Subtree {
    /// The stored hashes from which the root of this subtree follows ([`root_of_complete`]): 128 at most.
    #[must_use]
    pub const fn stored(self) -> StoredHashes {
        let above = self.level % TILE_HEIGHT;
        StoredHashes { level: self.level - above, first: self.index << above, count: 1 << above }
    }
}

/// The root over the hashes of a power of two of subtrees that lie next to each other. `None` where
/// their number is not a power of two.
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

/// What the hashes of a proof are made of, before anything was read. Each hash is the root of one
/// range of leaves, and follows from the complete subtrees that the range decomposes into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan(Vec<Vec<Subtree>>);

/// There is no such proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoProof {
    /// The leaf is not in the tree.
    #[error("a log of {size} entries has no entry {index}")]
    NoLeaf {
        /// The leaf that was asked for.
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

    /// The plan of the proof that the tree of `new` leaves begins with the tree of `old` leaves. It is
    /// empty where the old tree is empty or the same.
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
        // A range that begins with the tree is the old tree itself, whose root the verifier has.
        if start > 0 {
            parts.push(decompose(start, end));
        }
        parts.reverse();
        Ok(Self(parts))
    }

    /// The plan of the root of the tree of `size` leaves: one hash, or none for the empty tree.
    #[must_use]
    pub fn root(size: u64) -> Self {
        Self(if size == 0 { Vec::new() } else { vec![decompose(0, size)] })
    }

    /// The complete subtrees whose roots [`Plan::fill`] asks for, in that order. A store that is read
    /// asynchronously reads them first.
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
            // Read from the largest, folded from the smallest.
            let roots: Vec<Sha256Digest> =
                part.iter().map(|s| root(s.level, s.index)).collect::<Result<_, E>>()?;
            path.extend(roots.into_iter().rev().reduce(|right, left| node_hash(&left, &right)));
        }
        Ok(path)
    }
}

/// How many of `width` leaves are in the left subtree: the largest power of two below `width`.
const fn left_width(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

/// The complete subtrees of the leaves `start..end`, largest first. `start` is a multiple of the
/// largest one's width, as every range is that RFC 6962 splits off.
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

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProof {
    /// See [`NoProof`].
    #[error(transparent)]
    Impossible(#[from] NoProof),
    /// Hashes are missing.
    #[error("the proof is truncated: it needs {needed} hashes and has {found}")]
    Truncated {
        /// How many such a proof has.
        needed: usize,
        /// How many this one has.
        found: usize,
    },
    /// There are hashes left over.
    #[error("the proof needs {needed} hashes and has {found}")]
    TooLong {
        /// How many such a proof has.
        needed: usize,
        /// How many this one has.
        found: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to the root {computed}, and the log's is {expected}")]
    OtherRoot {
        /// The root that the proof leads to.
        computed: Sha256Digest,
        /// The root that it had to lead to.
        expected: Sha256Digest,
    },
    /// The hashes lead to another root of the earlier tree.
    #[error(
        "the proof begins at a log with the root {computed}, and the earlier log's is {expected}"
    )]
    OtherOldRoot {
        /// The root that the proof leads to.
        computed: Sha256Digest,
        /// The root that it had to lead to.
        expected: Sha256Digest,
    },
}

/// Verifies that the tree of `size` leaves with this root holds `leaf` as number `index`: RFC 9162,
/// section 2.1.3.2.
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

/// Verifies that the tree of `new` leaves begins with the tree of `old` leaves: RFC 9162, section
/// 2.1.4.2. Every tree begins with the empty one and with itself, by a proof without hashes.
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
    // Where the old tree is complete its root is where the path starts, and is not in the proof.
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
