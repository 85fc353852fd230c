//! Tiles: the log in pieces that never change, as in C2SP `tlog-tiles`.

use std::fmt;

use super::{
    checkpoint::parse_decimal, entry::MAX_ENTRY_BYTES, proof::StoredHashes, tree::TILE_HEIGHT,
};

/// The number of hashes in a full tile, and of entries in a full bundle.
pub const TILE_WIDTH: u16 = 1 << TILE_HEIGHT;

/// The highest level that a path may name.
const HIGHEST_LEVEL: u64 = 63;
/// The most three-digit groups in the index of a 64-bit tree.
const INDEX_GROUPS: usize = 7;

/// A tile or an entry bundle. Its path below the log's address is `tile/<L>/<N>[.p/<W>]` or
/// `tile/entries/<N>[.p/<W>]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// The kind of its content.
    pub content: Content,
    /// Its position in its level, from 0.
    pub index: u64,
    /// The number of hashes or entries: 256, or fewer in a partial tile.
    width: u16,
}

/// The content of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// Hashes of a tile level: level 0 holds the leaves, level L the roots of subtrees of 256^L leaves.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

/// The path does not name a tile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a tile is tile/<level>/<index> or tile/entries/<index>, the index in groups of three digits as \
     in x001/234, with .p/<width> behind it where it is partial"
)]
pub struct InvalidTile;

impl Tile {
    /// A full tile.
    #[must_use]
    pub const fn full(content: Content, index: u64) -> Self {
        Self { content, index, width: TILE_WIDTH }
    }

    /// The tile, full or partial, at this position in a tree of `size` leaves. `None` where the tree has none.
    #[must_use]
    pub fn of_tree(content: Content, index: u64, size: u64) -> Option<Self> {
        let before = index.checked_mul(u64::from(TILE_WIDTH))?;
        let left = level_size(content, size).checked_sub(before)?;
        let width = u16::try_from(left.min(u64::from(TILE_WIDTH))).unwrap_or(TILE_WIDTH);
        (width > 0).then_some(Self { content, index, width })
    }

    /// Parses a path; each tile has exactly one path.
    ///
    /// # Errors
    /// [`InvalidTile`]
    pub fn parse(path: &str) -> Result<Self, InvalidTile> {
        Self::parse_path(path).ok_or(InvalidTile)
    }

    fn parse_path(path: &str) -> Option<Self> {
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let content = if level == "entries" {
            Content::Entries
        } else {
            let level = parse_decimal(level).filter(|level| *level <= HIGHEST_LEVEL)?;
            Content::Hashes(u8::try_from(level).ok()?)
        };
        let (index, width) = match rest.split_once(".p/") {
            None => (rest, TILE_WIDTH),
            Some((index, width)) => {
                let width = u16::try_from(parse_decimal(width)?).ok()?;
                (index, Some(width).filter(|width| (1..TILE_WIDTH).contains(width))?)
            }
        };
        Some(Self { content, index: parse_index(index)?, width })
    }

    /// The number of hashes or entries: 1 to 256.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether it has fewer than 256 hashes or entries.
    #[must_use]
    pub const fn is_partial(&self) -> bool {
        self.width < TILE_WIDTH
    }

    /// Whether a tree of `size` leaves has everything in this tile. If so, every larger tree has the same content.
    #[must_use]
    pub fn is_within(&self, size: u64) -> bool {
        Self::of_tree(self.content, self.index, size).is_some_and(|tile| self.width <= tile.width)
    }

    /// The stored hashes of the tile; for an entry bundle, the hashes of its entries. `None` where no 64-bit tree has
    /// them.
    #[must_use]
    pub fn stored(&self) -> Option<StoredHashes> {
        let level = match self.content {
            Content::Hashes(level) => level.checked_mul(TILE_HEIGHT)?,
            Content::Entries => 0,
        };
        let first = self.index.checked_mul(u64::from(TILE_WIDTH))?;
        Some(StoredHashes { level, first, count: self.width })
    }
}

/// The number of hashes or entries at a tile level of a tree of `size` leaves.
fn level_size(content: Content, size: u64) -> u64 {
    match content {
        Content::Entries => size,
        Content::Hashes(level) => {
            size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0)
        }
    }
}

/// Groups of three digits, each but the last with a leading `x`; no leading groups of zeros.
fn parse_index(text: &str) -> Option<u64> {
    let groups: Vec<&str> = text.split('/').collect();
    let (last, leading) = groups.split_last()?;
    if leading.len() >= INDEX_GROUPS || leading.first() == Some(&"x000") {
        return None;
    }
    let mut index: u64 = 0;
    let leading = leading.iter().map(|group| group.strip_prefix('x'));
    for group in leading.chain([Some(*last)]) {
        let group = group.filter(|g| g.len() == 3 && g.bytes().all(|b| b.is_ascii_digit()))?;
        index = index.checked_mul(1000)?.checked_add(group.parse().ok()?)?;
    }
    Some(index)
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content {
            Content::Hashes(level) => write!(f, "tile/{level}/")?,
            Content::Entries => f.write_str("tile/entries/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for (place, group) in groups.iter().enumerate().rev() {
            if place > 0 {
                write!(f, "x{group:03}/")?;
            } else {
                write!(f, "{group:03}")?;
            }
        }
        if self.is_partial() { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// The entry is longer than a bundle allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a log entry has {length} bytes; at most {MAX_ENTRY_BYTES} are allowed")]
pub struct EntryTooLong {
    /// The length of the entry, in bytes.
    pub length: usize,
}

/// An entry bundle: each entry follows its length, a 16-bit big-endian number.
///
/// # Errors
/// [`EntryTooLong`]
pub fn encode_bundle<'a>(
    entries: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, EntryTooLong> {
    let mut bundle = Vec::new();
    for entry in entries {
        let length =
            u16::try_from(entry.len()).map_err(|_| EntryTooLong { length: entry.len() })?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// The bundle ends inside an entry or a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the entry bundle ends within entry {0}")]
pub struct TruncatedBundle(usize);

/// The entries of a bundle.
///
/// # Errors
/// [`TruncatedBundle`]
pub fn decode_bundle(mut bundle: &[u8]) -> Result<Vec<&[u8]>, TruncatedBundle> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let truncated = TruncatedBundle(entries.len());
        let (length, rest) = bundle.split_first_chunk::<2>().ok_or(truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, rest) = rest.split_at_checked(length).ok_or(truncated)?;
        entries.push(entry);
        bundle = rest;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_tiles_of_70000_entries_are_those_of_the_specification() {
        let tile = |level, index| Tile::of_tree(Content::Hashes(level), index, 70_000);
        let width = |level, index| tile(level, index).map(|tile| tile.width());
        assert_eq!([width(0, 272), width(0, 273), width(0, 274)], [Some(256), Some(112), None]);
        assert_eq!([width(1, 0), width(1, 1), width(1, 2)], [Some(256), Some(17), None]);
        assert_eq!([width(2, 0), width(2, 1), width(3, 0)], [Some(1), None, None]);
        assert_eq!(
            Tile::of_tree(Content::Hashes(0), 0, 256),
            Some(Tile::full(Content::Hashes(0), 0))
        );
        assert_eq!(
            Tile::of_tree(Content::Hashes(1), 0, 256).unwrap().to_string(),
            "tile/1/000.p/1"
        );
        assert_eq!(
            Tile::of_tree(Content::Entries, 273, 70_000).unwrap().to_string(),
            "tile/entries/273.p/112"
        );
        assert_eq!(Tile::of_tree(Content::Entries, 0, 0), None);
        assert_eq!(Tile::of_tree(Content::Hashes(63), 0, u64::MAX), None);
    }

    #[test]
    fn a_tile_is_within_every_tree_that_has_all_of_it() {
        let tile = Tile::parse("tile/0/001.p/3").unwrap();
        assert_eq!(
            [258, 259, 260, 1000].map(|size| tile.is_within(size)),
            [false, true, true, true]
        );
        let full = Tile::parse("tile/1/000").unwrap();
        assert_eq!([65_535, 65_536].map(|size| full.is_within(size)), [false, true]);
        assert!(!Tile::parse("tile/63/000").unwrap().is_within(u64::MAX));
        assert_eq!(full.stored(), Some(StoredHashes { level: 8, first: 0, count: 256 }));
        assert_eq!(Tile::parse("tile/63/000").unwrap().stored(), None);
    }

    #[test]
    fn a_path_has_one_spelling() {
        for path in [
            "tile/0/000",
            "tile/entries/000",
            "tile/3/x001/x234/067.p/255",
            "tile/63/999",
            "tile/0/x018/x446/x744/x073/x709/x551/615",
        ] {
            assert_eq!(Tile::parse(path).unwrap().to_string(), path);
        }
        for path in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "/tile/0/000",
            "tile/64/000",
            "tile/00/000",
            "tile/-1/000",
            "tile/data/000",
            "tile/8/0/000",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/x000/001",
            "tile/0/x001",
            "tile/0/001/001",
            "tile/0/x001/x001",
            "tile/0/x1/001",
            "tile/0/001/",
            "tile/0/001.p",
            "tile/0/001.p/",
            "tile/0/001.p/0",
            "tile/0/001.p/01",
            "tile/0/001.p/256",
            "tile/0/001.p/1/",
            "tile/0/001.p/1.p/1",
            "tile/0/+01",
            "tile/0/٠٠١",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "tile/0/x001/x018/x446/x744/x073/x709/x551/615",
            "tile/entries",
            "tile/entries/1",
            "TILE/0/000",
        ] {
            assert_eq!(Tile::parse(path), Err(InvalidTile), "{path}");
        }
    }

    #[test]
    fn a_bundle_gives_back_its_entries_and_no_part_of_one() {
        let longest = vec![7; MAX_ENTRY_BYTES];
        let entries: [&[u8]; 3] = [b"one", b"", &longest];
        let bundle = encode_bundle(entries).unwrap();
        assert_eq!(bundle[..7], *b"\x00\x03one\x00\x00");
        assert_eq!(decode_bundle(&bundle).unwrap(), entries);
        assert_eq!(decode_bundle(b""), Ok(vec![]));
        for end in [1, 2, 4, 6, 8, bundle.len() - 1] {
            assert!(decode_bundle(&bundle[..end]).is_err(), "{end}");
        }
        let too_long = vec![7; MAX_ENTRY_BYTES + 1];
        assert_eq!(encode_bundle([&too_long[..]]), Err(EntryTooLong { length: 65_536 }));
    }

    proptest! {
        #[test]
        fn a_path_reads_back_as_its_tile(level in 0_u8..8, index: u64, width in 1_u16..=256) {
            for content in [Content::Hashes(level), Content::Entries] {
                let tile = Tile { content, index, width };
                prop_assert_eq!(Tile::parse(&tile.to_string()), Ok(tile));
            }
        }
    }
}
