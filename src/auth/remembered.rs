//! Valid access tokens, by digest, so that a client that polls costs a look-up and not a signature check. Bounded:
//! the tokens that were not used for the longest time are forgotten first.

use std::{collections::HashMap, sync::Arc};

use super::{Principal, rules::Verified};
use crate::domain::Sha256Digest;

struct Entry {
    verified: Verified,
    key: Sha256Digest,
}

/// Two generations of half the capacity each. A full younger one becomes the older; a token of the older one that is
/// used moves to the younger.
pub struct RememberedTokens {
    half: usize,
    young: HashMap<Sha256Digest, Entry>,
    old: HashMap<Sha256Digest, Entry>,
    /// The generation of the policy that granted the principals their scopes.
    policy: u64,
}

impl RememberedTokens {
    /// An empty memory for this many tokens.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { half: capacity / 2, young: HashMap::new(), old: HashMap::new(), policy: 0 }
    }

    /// The principal of a token that is remembered and has not expired.
    pub fn find(&mut self, token: &Sha256Digest, now: u64) -> Option<&Arc<Principal>> {
        if let Some(entry) = self.old.remove(token) {
            self.put(*token, entry);
        }
        let expired = self.young.get(token)?.verified.until <= now;
        if expired {
            self.young.remove(token);
        }
        self.young.get(token).map(|entry| &entry.verified.principal)
    }

    /// Forgets everything where the policy is another one.
    pub fn follow(&mut self, policy: u64) {
        if self.policy != policy {
            self.young.clear();
            self.old.clear();
            self.policy = policy;
        }
    }

    /// Remembers a token, and the key that it was checked with.
    pub fn insert(&mut self, token: Sha256Digest, verified: Verified, key: Sha256Digest) {
        self.put(token, Entry { verified, key });
    }

    fn put(&mut self, token: Sha256Digest, entry: Entry) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token, entry);
    }

    /// Forgets the tokens whose key is not one of these.
    pub fn keep(&mut self, holds: impl Fn(&Sha256Digest) -> bool) {
        self.young.retain(|_, entry| holds(&entry.key));
        self.old.retain(|_, entry| holds(&entry.key));
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> Sha256Digest {
        Sha256Digest::of(&number.to_le_bytes())
    }

    fn memory(tokens: usize) -> RememberedTokens {
        let mut memory = RememberedTokens::new(100);
        for number in 0..tokens {
            let principal = Principal::new("jwt", Some(number.to_string()), Vec::new());
            memory.insert(
                digest(number),
                Verified { principal: principal.into(), until: 60 },
                digest(number % 2),
            );
        }
        memory
    }

    #[test]
    fn a_token_is_remembered_until_it_expires() {
        let mut memory = memory(1);
        assert!(memory.find(&digest(0), 59).is_some());
        assert!(memory.find(&digest(1), 59).is_none());
        assert!(memory.find(&digest(0), 60).is_none() && memory.is_empty());
    }

    #[test]
    fn the_memory_is_bounded_and_keeps_what_is_asked_for() {
        let mut memory = memory(0);
        for number in 0..10_000 {
            let principal = Principal::new("jwt", None, Vec::new());
            memory.insert(
                digest(number),
                Verified { principal: principal.into(), until: 60 },
                digest(0),
            );
            assert!(memory.find(&digest(0), 0).is_some(), "{number}");
            assert!(memory.len() <= 100, "{number}");
        }
    }

    #[test]
    fn tokens_go_with_the_policy_that_gave_them_scopes() {
        let mut memory = memory(2);
        memory.follow(0);
        assert_eq!(memory.len(), 2);
        memory.follow(1);
        assert!(memory.is_empty());
    }

    #[test]
    fn tokens_go_with_their_key() {
        let mut memory = memory(80);
        memory.keep(|key| *key == digest(1));
        assert_eq!(memory.len(), 40);
        assert!(memory.find(&digest(0), 0).is_none() && memory.find(&digest(79), 0).is_some());
    }
}
