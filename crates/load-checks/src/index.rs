//! A table of texts by number: names of a graph, keys of an object, by the million.
//!
//! It holds hashes and numbers; the caller keeps the texts, one after the other, and the table can grow without reading
//! them again. The hashes are secret, so that a file cannot choose texts that collide.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

/// Passes a hash through.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[derive(Default)]
pub(super) struct Index {
    secret: RandomState,
    first: HashMap<u64, u32, BuildHasherDefault<Hashed>>,
    /// Texts whose hash another text has too.
    others: Vec<(u64, u32)>,
}

impl Index {
    /// The number of a text; a new one gets the number `next`. `same` says whether a number's text is this one.
    pub(super) fn place(&mut self, text: &[u8], next: u32, same: impl Fn(u32) -> bool) -> u32 {
        let hash = self.secret.hash_one(text);
        match self.first.entry(hash) {
            Entry::Vacant(place) => return *place.insert(next),
            Entry::Occupied(place) if same(*place.get()) => return *place.get(),
            Entry::Occupied(_) => {}
        }
        let known = self.others.iter().find(|(other, known)| *other == hash && same(*known));
        if let Some((_, known)) = known {
            return *known;
        }
        self.others.push((hash, next));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_placed_once_and_another_of_its_hash_beside_it() {
        let texts: [&[u8]; 3] = [b"a", b"b", b"a"];
        let mut index = Index::default();
        let mut place = |i: u32| {
            index.place(texts[i as usize], i, |known| texts[known as usize] == texts[i as usize])
        };
        assert_eq!([place(0), place(1), place(2)], [0, 1, 0]);
        // The hash of "c" is made to be known already, by a number that is of another text.
        let hash = index.secret.hash_one(&b"c"[..]);
        index.first.insert(hash, 0);
        assert_eq!(index.place(b"c", 3, |known| known == 3), 3);
        assert_eq!(index.place(b"c", 4, |known| known == 3), 3);
    }
}
