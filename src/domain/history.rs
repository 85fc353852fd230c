//! The history of transitions, chained by hash so that no row can be changed, removed or slipped in
//! without breaking every row after it.

use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{ModelId, ModelType, Sha256Digest, Status, Timestamp, Version, canonical_json};

/// A transition that has yet to take its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitionDraft {
    /// The transition's own identifier.
    pub transition_id: Uuid,
    /// The version that moved.
    pub model_id: ModelId,
    /// Its type.
    pub model_type: ModelType,
    /// Its number.
    pub version: Version,
    /// Where it stood; `None` at registration.
    pub from_status: Option<Status>,
    /// Where it went.
    pub to_status: Status,
    /// When.
    pub changed_at: Timestamp,
    /// Who asked for it.
    pub changed_by: String,
    /// Why, where a reason was given.
    pub reason: Option<String>,
    /// Whether the promotion gates were skipped.
    pub gates_skipped: bool,
}

/// A link of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Position in the chain, from 1, without gaps.
    pub sequence: u64,
    /// See [`TransitionDraft::transition_id`].
    pub transition_id: Uuid,
    /// See [`TransitionDraft::model_id`].
    pub model_id: ModelId,
    /// See [`TransitionDraft::model_type`].
    pub model_type: ModelType,
    /// See [`TransitionDraft::version`].
    pub version: Version,
    /// See [`TransitionDraft::from_status`].
    pub from_status: Option<Status>,
    /// See [`TransitionDraft::to_status`].
    pub to_status: Status,
    /// See [`TransitionDraft::changed_at`].
    pub changed_at: Timestamp,
    /// See [`TransitionDraft::changed_by`].
    pub changed_by: String,
    /// See [`TransitionDraft::reason`].
    pub reason: Option<String>,
    /// See [`TransitionDraft::gates_skipped`].
    pub gates_skipped: bool,
    /// The digest of the link before, [`Sha256Digest::ZERO`] for the first.
    pub previous_sha256: Sha256Digest,
    /// The digest of this link: over everything above.
    pub row_sha256: Sha256Digest,
}

/// Where the chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// How many links there are.
    pub length: u64,
    /// The last link's digest, [`Sha256Digest::ZERO`] where there is none.
    pub head_sha256: Sha256Digest,
}

/// A link that does not follow from the one before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("history row {sequence} ({model_type}/{version}): {what}")]
pub struct BrokenChain {
    /// The row's position.
    pub sequence: u64,
    /// The type the row names.
    pub model_type: ModelType,
    /// The version the row names.
    pub version: Version,
    /// What is wrong.
    pub what: &'static str,
}

impl ChainHead {
    /// The chain before its first link.
    pub const EMPTY: Self = Self { length: 0, head_sha256: Sha256Digest::ZERO };

    /// Makes a draft the next link and moves the head to it.
    pub fn append(&mut self, draft: TransitionDraft) -> Transition {
        let mut link = Transition {
            sequence: self.length + 1,
            transition_id: draft.transition_id,
            model_id: draft.model_id,
            model_type: draft.model_type,
            version: draft.version,
            from_status: draft.from_status,
            to_status: draft.to_status,
            changed_at: draft.changed_at,
            changed_by: draft.changed_by,
            reason: draft.reason,
            gates_skipped: draft.gates_skipped,
            previous_sha256: self.head_sha256,
            row_sha256: Sha256Digest::ZERO,
        };
        link.row_sha256 = link.computed_sha256();
        *self = Self { length: link.sequence, head_sha256: link.row_sha256 };
        link
    }

    /// Takes the next link read from the catalog, after checking that it follows.
    ///
    /// # Errors
    /// [`BrokenChain`] where it does not.
    pub fn follow(&mut self, link: &Transition) -> Result<(), BrokenChain> {
        let what = if link.sequence != self.length + 1 {
            Some("rows before it are missing")
        } else if link.previous_sha256 != self.head_sha256 {
            Some("does not follow from the row before it")
        } else if link.row_sha256 != link.computed_sha256() {
            Some("was changed after it was written")
        } else {
            None
        };
        if let Some(what) = what {
            return Err(BrokenChain {
                sequence: link.sequence,
                model_type: link.model_type.clone(),
                version: link.version,
                what,
            });
        }
        *self = Self { length: link.sequence, head_sha256: link.row_sha256 };
        Ok(())
    }
}

impl Transition {
    /// Whether this link was made of that draft.
    #[must_use]
    pub fn is_of(&self, draft: &TransitionDraft) -> bool {
        let ours = (&self.transition_id, &self.model_id, &self.model_type, &self.version);
        let theirs = (&draft.transition_id, &draft.model_id, &draft.model_type, &draft.version);
        ours == theirs
            && (self.from_status, self.to_status) == (draft.from_status, draft.to_status)
            && (self.changed_at, &self.changed_by) == (draft.changed_at, &draft.changed_by)
            && (&self.reason, self.gates_skipped) == (&draft.reason, draft.gates_skipped)
    }

    fn computed_sha256(&self) -> Sha256Digest {
        let value = json!({
            "changed_at": self.changed_at, "changed_by": self.changed_by,
            "from_status": self.from_status, "gates_skipped": self.gates_skipped,
            "model_id": self.model_id, "model_type": self.model_type,
            "previous_sha256": self.previous_sha256, "reason": self.reason,
            "sequence": self.sequence, "to_status": self.to_status,
            "transition_id": self.transition_id.to_string(), "version": self.version,
        });
        // The only number in it is an integer, so the canonical form always exists.
        canonical_json::digest(&value).unwrap_or(Sha256Digest::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn draft(seed: u8) -> TransitionDraft {
        TransitionDraft {
            transition_id: Uuid::from_bytes([seed; 16]),
            model_id: ModelId::parse("3f9ffe7c-8e6b-47ad-acc0-ff2e1247a7ae").expect("id"),
            model_type: ModelType::parse("risk_model").expect("type"),
            version: Version::parse("v1.0.0").expect("version"),
            from_status: None,
            to_status: Status::Staged,
            changed_at: Timestamp::parse("2026-11-14T08:03:36Z").expect("time"),
            changed_by: format!("user{seed}"),
            reason: None,
            gates_skipped: false,
        }
    }

    fn chain(length: u8) -> Vec<Transition> {
        let mut head = ChainHead::EMPTY;
        (0..length).map(|seed| head.append(draft(seed))).collect()
    }

    fn walk(links: &[Transition]) -> Result<ChainHead, BrokenChain> {
        let mut head = ChainHead::EMPTY;
        links.iter().try_for_each(|link| head.follow(link))?;
        Ok(head)
    }

    proptest! {
        #[test]
        fn an_untouched_chain_is_whole(length in 0_u8..20) {
            let links = chain(length);
            prop_assert_eq!(walk(&links).map(|head| head.length), Ok(u64::from(length)));
        }

        #[test]
        fn a_changed_removed_or_swapped_row_breaks_the_chain(
            length in 3_u8..12, at in 0_usize..10, how in 0_u8..4,
        ) {
            let mut links = chain(length);
            let at = at % (links.len() - 1);
            match how {
                0 => links[at].changed_by.push('x'),
                1 => links[at].reason = Some(String::new()),
                2 => { links.remove(at); }
                _ => links.swap(at, at + 1),
            }
            prop_assert!(walk(&links).is_err());
        }
    }

    #[test]
    fn a_row_changed_together_with_its_own_digest_breaks_the_next() {
        let mut links = chain(3);
        links[1].changed_by = "mallory".to_owned();
        links[1].row_sha256 = links[1].computed_sha256();
        assert_eq!(walk(&links).map_err(|broken| broken.sequence), Err(3));
    }
}
