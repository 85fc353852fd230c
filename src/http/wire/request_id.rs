//! Ids for requests that come without one.

use std::cell::RefCell;

use uuid::{Builder, Uuid};

/// Makes ids without asking the system for random bytes each time, which costs a system call a request. An id must be
/// unique, and nobody has to fail at guessing it: it gives no right to anything.
struct Ids {
    /// Random, so that no other thread or process has the same.
    prefix: u64,
    /// The start of the count is random too. It goes in large odd steps, so that ids that follow one another differ in
    /// most of their digits, and goes through all 2^62 numbers before it repeats one.
    count: u64,
}

/// 2^62 divided by the golden ratio, made odd.
const STEP: u64 = 0x278d_de6e_5fd2_9f05;

impl Ids {
    fn new() -> Self {
        let (prefix, count) = Uuid::new_v4().as_u64_pair();
        Self { prefix, count }
    }

    /// A UUID in the form of version 4. The two highest bits of the count give way to the variant, and four bits of the
    /// prefix to the version.
    fn next(&mut self) -> Uuid {
        self.count = self.count.wrapping_add(STEP);
        let both = (u128::from(self.prefix) << 64) | u128::from(self.count);
        Builder::from_random_bytes(both.to_be_bytes()).into_uuid()
    }
}

thread_local! {
    static IDS: RefCell<Ids> = RefCell::new(Ids::new());
}

/// A new id, in the form of a UUID of version 4.
#[must_use]
pub fn new_request_id() -> String {
    IDS.with_borrow_mut(Ids::next).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_unique_within_a_thread_and_among_threads() {
        let many = || (0..20_000).map(|_| new_request_id()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(many)).collect();
        let ids: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 80_000);
        for id in &ids {
            assert_eq!(Uuid::parse_str(id).unwrap().get_version_num(), 4, "{id}");
        }
    }
}
