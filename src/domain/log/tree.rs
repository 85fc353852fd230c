//! The Merkle tree of RFC 6962, section 2.1, and its right edge, the few hashes that an append needs.

use sha2::{Digest, Sha256};

use crate::domain::Sha256Digest;

/// The number of tree levels in one tile. The roots of complete subtrees of 2^8, 2^16, 2^24, … leaves are stored:
/// every other hash is computed from at most 256 of them or of the leaves.
pub const TILE_HEIGHT: u8 = 8;

/// The hash of a leaf: `SHA-256(0x00 ‖ entry)`.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Sha256Digest {
    Sha256Digest::from_hasher(Sha256::new_with_prefix([0]).chain_update(entry))
}

/// The hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)`.
#[must_use]
pub fn node_hash(left: &Sha256Digest, right: &Sha256Digest) -> Sha256Digest {
    let hasher = Sha256::new_with_prefix([1]);
    Sha256Digest::from_hasher(hasher.chain_update(left.as_bytes()).chain_update(right.as_bytes()))
}

/// The root of the empty tree: the SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Sha256Digest {
    Sha256Digest::of(b"")
}

/// The roots of the complete subtrees of a tree, largest first.
///
/// There are as many as the size has one bits. They are enough to append a leaf and to compute the root, so a change
/// costs O(log n).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RightEdge {
    size: u64,
    hashes: Vec<Sha256Digest>,
}

/// A complete aligned subtree of 2^`level` leaves that an append completed; `level` is a multiple of [`TILE_HEIGHT`].
/// Its first leaf is number `index` × 2^`level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompletedSubtree {
    /// The level: 8, 16, 24, …
    pub level: u8,
    /// Its position among the subtrees of its level, from 0.
    pub index: u64,
    /// Its root.
    pub hash: Sha256Digest,
}

/// The text is not the right edge of a tree of this size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the right edge of a tree of {size} leaves is {} SHA-256 digests of 64 lower-case hexadecimal \
     digits each, one after the other; this text is {length} bytes long",
    .size.count_ones()
)]
pub struct InvalidRightEdge {
    size: u64,
    length: usize,
}

impl RightEdge {
    /// The right edge of the empty tree.
    pub const EMPTY: Self = Self { size: 0, hashes: Vec::new() };

    /// The right edge of the empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self::EMPTY
    }

    /// How many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The hashes, largest subtree first.
    #[must_use]
    pub fn hashes(&self) -> &[Sha256Digest] {
        &self.hashes
    }

    /// Appends a leaf by its hash ([`leaf_hash`]), and returns the completed subtrees to store, lowest level first.
    pub fn append(&mut self, leaf: Sha256Digest) -> Vec<CompletedSubtree> {
        let mut completed = Vec::new();
        let mut hash = leaf;
        // Each trailing one bit of the old size is a subtree as large as the present one.
        for level in 1..=self.size.trailing_ones() {
            let Some(left) = self.hashes.pop() else { break };
            hash = node_hash(&left, &hash);
            if level.is_multiple_of(u32::from(TILE_HEIGHT)) {
                completed.push(CompletedSubtree {
                    level: u8::try_from(level).unwrap_or(u8::MAX),
                    index: self.size.checked_shr(level).unwrap_or(0),
                    hash,
                });
            }
        }
        self.hashes.push(hash);
        self.size += 1;
        completed
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Sha256Digest {
        let mut from_the_smallest = self.hashes.iter().rev();
        let Some(&smallest) = from_the_smallest.next() else { return empty_root() };
        from_the_smallest.fold(smallest, |right, left| node_hash(left, &right))
    }

    /// The hashes as hexadecimal digits without separators; the size is stored elsewhere.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.hashes.iter().map(Sha256Digest::to_string).collect()
    }

    /// Parses [`RightEdge::to_text`] of a tree of this size.
    ///
    /// # Errors
    /// [`InvalidRightEdge`] where the text has the wrong number of hashes, or is not hexadecimal.
    pub fn parse(size: u64, text: &str) -> Result<Self, InvalidRightEdge> {
        let invalid = InvalidRightEdge { size, length: text.len() };
        let digits = text.as_bytes().chunks(64);
        if digits.len() != size.count_ones() as usize {
            return Err(invalid);
        }
        let hashes: Option<Vec<Sha256Digest>> = digits
            .map(|digits| Sha256Digest::parse(std::str::from_utf8(digits).ok()?).ok())
            .collect();
        hashes.map(|hashes| Self { size, hashes }).ok_or(invalid)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// MTH of RFC 6962, section 2.1, word for word.
    fn root_by_definition(leaves: &[Sha256Digest]) -> Sha256Digest {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&root_by_definition(left), &root_by_definition(right))
            }
        }
    }

    fn leaves(count: u64) -> Vec<Sha256Digest> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    #[test]
    fn the_roots_are_those_of_the_certificate_transparency_project() {
        let entries: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut edge = RightEdge::new();
        assert_eq!(
            edge.root().to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        for (entry, root) in entries.iter().zip(roots) {
            edge.append(leaf_hash(entry));
            assert_eq!(edge.root().to_string(), root, "{} leaves", edge.size());
        }
    }

    #[test]
    fn every_root_is_the_one_that_the_definition_gives() {
        let leaves = leaves(600);
        let mut edge = RightEdge::new();
        for count in 0..=leaves.len() {
            assert_eq!(edge.size(), count as u64);
            assert_eq!(edge.hashes().len(), count.count_ones() as usize);
            assert_eq!(edge.root(), root_by_definition(&leaves[..count]), "{count} leaves");
            if let Some(leaf) = leaves.get(count) {
                edge.append(*leaf);
            }
        }
    }

    #[test]
    fn an_append_names_each_completed_subtree_of_256_and_of_65536_leaves_once() {
        let leaves = leaves(65_536 + 512);
        let mut edge = RightEdge::new();
        let mut found = Vec::new();
        for (number, leaf) in leaves.iter().enumerate() {
            for completed in edge.append(*leaf) {
                let width = 1 << completed.level;
                let first = usize::try_from(completed.index).unwrap() * width;
                assert_eq!(first + width - 1, number);
                assert_eq!(completed.hash, root_by_definition(&leaves[first..first + width]));
                found.push((completed.level, completed.index));
            }
        }
        let mut expected: Vec<(u8, u64)> = (0..256).map(|index| (8, index)).collect();
        expected.extend([(16, 0), (8, 256), (8, 257)]);
        assert_eq!(found, expected);
    }

    #[test]
    fn a_text_of_another_size_or_of_no_hashes_is_no_right_edge() {
        let mut edge = RightEdge::new();
        leaves(5).into_iter().for_each(|leaf| drop(edge.append(leaf)));
        let text = edge.to_text();
        for (size, text) in [
            (4, text.clone()),
            (7, text.clone()),
            (5, text[1..].to_owned()),
            (5, format!("{text}0")),
            (5, text.to_uppercase()),
            (5, format!("{}é", &text[..126])),
            (0, "0".to_owned()),
            (1, String::new()),
        ] {
            assert!(RightEdge::parse(size, &text).is_err(), "{size} {text:?}");
        }
        assert_eq!(RightEdge::parse(0, ""), Ok(RightEdge::EMPTY));
    }

    proptest! {
        #[test]
        fn a_right_edge_reads_back_as_itself(size in 0_u64..2000) {
            let mut edge = RightEdge::new();
            leaves(size).into_iter().for_each(|leaf| drop(edge.append(leaf)));
            prop_assert_eq!(RightEdge::parse(size, &edge.to_text()), Ok(edge));
        }
    }
}
