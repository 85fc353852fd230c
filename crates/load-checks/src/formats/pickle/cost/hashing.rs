//! The cost of hashing, comparing and freeing values, as far as a pickle can drive it up.
//!
//! Python hashes a shared part again for each mention of it, and compares keys with equal hashes. The author of a file
//! can choose the hashes of numbers, and of tuples and frozensets of numbers; those of texts are random.
//! The numbers here follow CPython's (`long_hash`, `_Py_HashDouble`, `tuple_hash`, `frozenset_hash`).

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

/// Levels a dict key may nest, because hashing it recurses on the C stack.
pub(crate) const MAX_KEY_DEPTH: u16 = 500;
/// The modulus of the hashes of numbers.
const PRIME: u64 = (1 << 61) - 1;
/// Stands for a hash that the file cannot choose.
const UNSTEERED: u64 = 0x9e37_79b9_7f4a_7c15;

/// The cost of a value, and its hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weight {
    /// Steps to hash it, or to compare it with an equal one.
    pub(crate) steps: u32,
    /// Depth of nesting, which is the depth of recursion of its hash.
    pub(crate) depth: u16,
    /// Depth of numpy arrays within arrays, which is the depth of recursion when they are freed.
    pub(crate) arrays: u16,
    /// Its hash runs Python code over a state that the file chose.
    pub(crate) risky: bool,
    /// It holds buffers of Arrow, which are not checked, so that nothing may read them while loading.
    pub(crate) buffers: bool,
    /// Its hash, if it is made of numbers alone.
    pub(crate) hash: u64,
    /// Tells different values with equal hashes apart; 0 where the file cannot choose the hash.
    pub(crate) print: u32,
}

impl Weight {
    /// A value whose hash the file cannot choose.
    pub(crate) const PLAIN: Weight = Weight {
        steps: 1,
        depth: 0,
        arrays: 0,
        risky: false,
        buffers: false,
        hash: UNSTEERED,
        print: 0,
    };

    pub(crate) fn int(number: i64) -> Self {
        let size = number.unsigned_abs() % PRIME;
        Weight {
            hash: signed(size, number < 0),
            print: print(number.cast_unsigned()),
            ..Self::PLAIN
        }
    }

    pub(crate) fn word(number: u64) -> Self {
        Weight { hash: number % PRIME, print: print(number), ..Self::PLAIN }
    }

    pub(crate) fn float(bits: u64) -> Self {
        Weight { hash: float_hash(bits), print: print(bits), ..Self::PLAIN }
    }

    pub(crate) fn big(number: Big) -> Self {
        let steps = 1 + number.len / 16;
        Weight { steps, hash: number.hash, print: number.print, ..Self::PLAIN }
    }

    /// An object whose hash the file can choose. `number` tells it from others.
    pub(crate) fn steered(self, number: u32) -> Self {
        Weight { hash: 0, print: print(u64::from(number)), ..self }
    }

    /// An empty container.
    pub(crate) fn holder() -> Self {
        Weight { depth: 1, ..Self::PLAIN }
    }

    /// Adds the cost of a value that it holds.
    pub(crate) fn hold(&mut self, other: Weight) {
        self.steps = self.steps.saturating_add(other.steps);
        self.depth = self.depth.max(other.depth.saturating_add(1));
        self.arrays = self.arrays.max(other.arrays);
        self.risky |= other.risky;
        self.buffers |= other.buffers;
    }

    /// A tuple of these.
    pub(crate) fn tuple(items: impl ExactSizeIterator<Item = Weight>) -> Self {
        const ONE: u64 = 11_400_714_785_074_694_791;
        const TWO: u64 = 14_029_467_366_897_019_727;
        const FIVE: u64 = 2_870_177_450_012_600_261;
        let count = items.len() as u64;
        let mut made = Self::holder();
        let mut hash = FIVE;
        for item in items {
            made.hold(item);
            hash = hash.wrapping_add(item.hash.wrapping_mul(TWO)).rotate_left(31).wrapping_mul(ONE);
            made.print = print(u64::from(made.print)).wrapping_add(item.print);
        }
        made.hash = hash.wrapping_add(count ^ (FIVE ^ 3_527_539));
        made
    }

    /// A frozenset of these.
    pub(crate) fn frozenset(items: impl Iterator<Item = Weight>) -> Self {
        let mut made = Self::holder();
        let mut hash = 0;
        let mut seen: Vec<(u64, u32)> = Vec::new();
        for item in items {
            made.hold(item);
            seen.push((item.hash, item.print));
        }
        seen.sort_unstable();
        seen.dedup();
        for (hash_of_one, one) in &seen {
            hash ^= ((hash_of_one ^ 89_869_747) ^ (hash_of_one << 16)).wrapping_mul(3_644_798_167);
            made.print = made.print.wrapping_add(print(u64::from(*one)));
        }
        hash ^= (seen.len() as u64 + 1).wrapping_mul(1_927_868_237);
        hash ^= (hash >> 11) ^ (hash >> 25);
        made.hash = hash.wrapping_mul(69_069).wrapping_add(907_133_923);
        made
    }
}

/// A number that does not fit 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Big {
    /// Its length in the file, in bytes.
    pub(crate) len: u32,
    hash: u64,
    print: u32,
}

/// Reads a number of any length in pieces.
pub(crate) struct Digits {
    len: u32,
    value: u64,
    weight: u64,
    print: u32,
    negative: bool,
}

impl Digits {
    pub(crate) fn new() -> Self {
        Self { len: 0, value: 0, weight: 1, print: 1, negative: false }
    }

    /// Little-endian bytes in two's complement, the last piece last.
    pub(crate) fn bytes(&mut self, piece: &[u8]) {
        for byte in piece {
            self.value = (self.value + times(u64::from(*byte), self.weight)) % PRIME;
            self.weight = times(self.weight, 256);
            self.print = print(u64::from(self.print) << 8 | u64::from(*byte));
            self.negative = byte & 0x80 != 0;
        }
        self.len = self.len.saturating_add(u32::try_from(piece.len()).unwrap_or(u32::MAX));
    }

    /// One more digit of a written number, the highest first.
    pub(crate) fn digit(&mut self, radix: u32, digit: u32) {
        self.value = (times(self.value, u64::from(radix)) + u64::from(digit)) % PRIME;
        self.print = print(u64::from(self.print) << 8 | u64::from(digit));
        self.len = self.len.saturating_add(1);
    }

    pub(crate) fn done(&self) -> Big {
        let value =
            if self.negative { (self.weight + PRIME - self.value) % PRIME } else { self.value };
        Big { len: self.len, hash: signed(value, self.negative), print: self.print }
    }
}

impl Big {
    pub(crate) fn negated(self) -> Self {
        Self { hash: self.hash.wrapping_neg(), print: print(u64::from(self.print)), ..self }
    }
}

/// Keys by hash: counts the comparisons that adding one more key takes.
#[derive(Default)]
pub(crate) struct Crowd {
    first: HashMap<u64, u32>,
    /// All keys of each hash that several keys have.
    shared: HashMap<u64, HashSet<u32>>,
    counted: usize,
}

impl Crowd {
    /// Adds a key; returns the number of other keys with its hash.
    pub(crate) fn add(&mut self, key: Weight) -> u64 {
        if key.print == 0 {
            return 0;
        }
        let first = *self.first.entry(key.hash).or_insert(key.print);
        let shared = match self.shared.get_mut(&key.hash) {
            None if first == key.print => return 0,
            Some(shared) => shared,
            None => self.shared.entry(key.hash).or_insert_with(|| HashSet::from([first])),
        };
        self.counted += usize::from(shared.insert(key.print));
        shared.len() as u64 - 1
    }

    pub(crate) fn held(&self) -> usize {
        (self.first.capacity() + self.shared.capacity() * 4 + self.counted * 2) * 20
    }
}

fn times(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other) % u128::from(PRIME);
    u64::try_from(product).unwrap_or(0)
}

fn signed(size: u64, negative: bool) -> u64 {
    match if negative { size.wrapping_neg() } else { size } {
        u64::MAX => u64::MAX - 1,
        hash => hash,
    }
}

fn float_hash(bits: u64) -> u64 {
    let exponent = (bits >> 52) & 0x7ff;
    let fraction = bits & ((1 << 52) - 1);
    match (exponent, fraction) {
        (0x7ff, 0) => return signed(314_159, bits >> 63 != 0),
        (0x7ff, _) => return UNSTEERED,
        _ => {}
    }
    let (digits, power) =
        if exponent == 0 { (fraction, 1) } else { (fraction | (1 << 52), exponent) };
    // The value is `digits * 2^(power - 1075)`, and 2^61 is 1.
    let shift = (power + 61 * 18 - 1075) % 61;
    signed(times(digits % PRIME, 1 << shift), bits >> 63 != 0)
}

/// A fingerprint of a text that the author of a file cannot predict.
pub(crate) fn print_of_text(text: &[u8]) -> u64 {
    static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    SEED.hash_one(text)
}

/// A fingerprint of a number that the author of a file cannot predict; never 0.
fn print(number: u64) -> u32 {
    static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
    let number = (number ^ *SEED).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 29) ^ *SEED).wrapping_mul(0x94d0_49bb_1331_11eb);
    u32::try_from(number >> 32).unwrap_or(0) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn big(number: i128) -> Big {
        let mut digits = Digits::new();
        digits.bytes(&number.to_le_bytes());
        digits.done()
    }

    /// Every expected number is CPython 3.12's.
    #[test]
    fn hashes_are_pythons() {
        assert_eq!(Weight::int(-1).hash.cast_signed(), -2);
        assert_eq!(Weight::int(1 << 61).hash, 1);
        assert_eq!(Weight::int(i64::MIN).hash.cast_signed(), -4);
        assert_eq!(Weight::float(0.1_f64.to_bits()).hash, 230_584_300_921_369_408);
        assert_eq!(Weight::float((-1e300_f64).to_bits()).hash.cast_signed(), PY_FLOAT);
        assert_eq!(Weight::float(5e-324_f64.to_bits()).hash, PY_TINY);
        assert_eq!(big(10_i128.pow(30)).hash, PY_BIG);
        assert_eq!(big(-(10_i128.pow(30))).hash.cast_signed(), -PY_BIG.cast_signed());
        let items = [Weight::int(1), Weight::int(-7), Weight::float(0.5_f64.to_bits())];
        assert_eq!(Weight::tuple(items.into_iter()).hash.cast_signed(), PY_TUPLE);
        assert_eq!(Weight::frozenset(items.into_iter()).hash.cast_signed(), PY_SET);
    }

    const PY_FLOAT: i64 = -1_224_995_262_755_759_164;
    const PY_TINY: u64 = 16_777_216;
    const PY_BIG: u64 = 465_258_685_558_744_706;
    const PY_TUPLE: i64 = 3_367_874_213_380_151_020;
    const PY_SET: i64 = 3_576_249_949_469_184_241;

    #[test]
    fn only_numbers_of_one_hash_crowd() {
        let mut crowd = Crowd::default();
        assert_eq!(crowd.add(Weight::big(big(i128::from(PRIME) * 3))), 0);
        assert_eq!(crowd.add(Weight::big(big(i128::from(PRIME) * 3))), 0);
        assert_eq!(crowd.add(Weight::big(big(i128::from(PRIME) * 5))), 1);
        assert_eq!(crowd.add(Weight::big(big(i128::from(PRIME) * 7))), 2);
        assert_eq!(crowd.add(Weight::PLAIN), 0);
        assert_eq!(crowd.add(Weight::PLAIN), 0);
        assert_eq!(crowd.add(Weight::int(5)), 0);
    }
}
