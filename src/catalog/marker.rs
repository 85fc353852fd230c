//! Notices commits without a query.

/// Identifies the state of a catalog: every commit, by any process, gives it another marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker([u64; 6]);

impl Marker {
    /// A marker of these words, of which a commit changes at least one.
    pub(super) const fn new(words: [u64; 6]) -> Self {
        Self(words)
    }

    /// A marker that a test can tell from others.
    #[cfg(test)]
    pub(crate) const fn for_tests(number: u64) -> Self {
        Self([number; 6])
    }
}
