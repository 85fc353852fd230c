//! A memory that is bounded in bytes.

use std::{collections::HashMap, hash::Hash};

/// What an entry takes beside its value: the key, and its place in the table.
const ENTRY: usize = 64;

/// Values by key, up to a number of bytes. Two generations of half the capacity each: a full younger one becomes the
/// older, and a value of the older that is asked for moves to the younger. So values in use stay.
pub(super) struct Remembered<K, V> {
    half: usize,
    young: HashMap<K, (V, usize)>,
    young_size: usize,
    old: HashMap<K, (V, usize)>,
}

impl<K: Copy + Eq + Hash, V: Clone> Remembered<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        let (young, old) = (HashMap::new(), HashMap::new());
        Self { half: capacity / 2, young, young_size: 0, old }
    }

    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        if let Some((value, _)) = self.young.get(key) {
            return Some(value.clone());
        }
        let (value, size) = self.old.remove(key)?;
        self.keep(*key, value.clone(), size);
        Some(value)
    }

    /// Remembers a value that takes this many bytes. One that would fill a generation by itself is not remembered.
    pub(super) fn insert(&mut self, key: K, value: V, size: usize) {
        self.remove(&key);
        self.keep(key, value, size.saturating_add(ENTRY));
    }

    fn keep(&mut self, key: K, value: V, size: usize) {
        if size > self.half {
            return;
        }
        if self.young_size + size > self.half {
            self.old = std::mem::take(&mut self.young);
            self.young_size = 0;
        }
        self.young_size += size;
        self.young.insert(key, (value, size));
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some((_, size)) = self.young.remove(key) {
            self.young_size -= size;
        }
        self.old.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Remembered<u32, u32> {
        fn bytes(&self) -> usize {
            self.young.values().chain(self.old.values()).map(|(_, size)| size).sum()
        }
    }

    #[test]
    fn it_never_holds_more_than_its_capacity_and_keeps_what_is_in_use() {
        let mut memory = Remembered::new(100 * (ENTRY + 1000));
        memory.insert(0, 0, 1000);
        for key in 1..10_000 {
            memory.insert(key, key, 1000);
            assert!(memory.bytes() <= 100 * (ENTRY + 1000), "{}", memory.bytes());
            assert_eq!(memory.get(&key), Some(key));
            assert_eq!(memory.get(&0), Some(0), "{key}");
        }
        assert_eq!(memory.get(&1), None);
        assert!(memory.young.len() + memory.old.len() >= 50);
    }

    #[test]
    fn a_value_that_is_replaced_counts_once_and_one_that_is_too_large_not_at_all() {
        let mut memory = Remembered::new(100_000);
        for _ in 0..1000 {
            memory.insert(1, 1, 1000);
        }
        assert_eq!(memory.bytes(), 1000 + ENTRY);
        memory.insert(2, 2, 100_000);
        assert_eq!((memory.get(&2), memory.get(&1)), (None, Some(1)));
        memory.remove(&1);
        assert_eq!((memory.get(&1), memory.bytes()), (None, 0));
    }
}
