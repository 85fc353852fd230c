//! The history of layout 2.0.0: transitions chained by hash. To change, remove or insert one breaks every later one.

use serde::Serialize;
use serde_json::json;

use crate::domain::{ModelType, Sha256Digest, Version, canonical_json, history::Transition};

/// A link of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Position in the chain, from 1, without gaps.
    pub sequence: u64,
    /// The transition.
    pub said: Transition,
    /// The digest of the previous link; [`Sha256Digest::ZERO`] for the first.
    pub previous_sha256: Sha256Digest,
    /// The digest of this link, over all fields above.
    pub row_sha256: Sha256Digest,
}

/// The end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ChainHead {
    /// The number of links.
    pub length: u64,
    /// The digest of the last link; [`Sha256Digest::ZERO`] where there is none.
    pub head_sha256: Sha256Digest,
}

/// A link does not follow from the previous one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("history row {sequence} ({model_type}/{version}): {what}")]
pub struct BrokenChain {
    /// The row's position.
    pub sequence: u64,
    /// The type the row names.
    pub model_type: ModelType,
    /// The version the row names.
    pub version: Version,
    /// The fault.
    pub what: &'static str,
}

impl ChainHead {
    /// The empty chain.
    pub const EMPTY: Self = Self { length: 0, head_sha256: Sha256Digest::ZERO };

    /// Appends the next link from the catalog, after checking that it follows.
    ///
    /// # Errors
    /// [`BrokenChain`] where it does not follow.
    pub fn follow(&mut self, link: &Link) -> Result<(), BrokenChain> {
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
                model_type: link.said.model_type.clone(),
                version: link.said.version,
                what,
            });
        }
        *self = Self { length: link.sequence, head_sha256: link.row_sha256 };
        Ok(())
    }
}

impl Link {
    fn computed_sha256(&self) -> Sha256Digest {
        let said = &self.said;
        let value = json!({
            "changed_at": said.changed_at, "changed_by": said.changed_by,
            "from_status": said.from_status, "gates_skipped": said.gates_skipped,
            "model_id": said.model_id, "model_type": said.model_type,
            "previous_sha256": self.previous_sha256, "reason": said.reason,
            "sequence": self.sequence, "to_status": said.to_status,
            "transition_id": said.transition_id.to_string(), "version": said.version,
        });
        // The only number is an integer, so the canonical form always exists.
        canonical_json::digest(&value).unwrap_or(Sha256Digest::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{ModelId, Status, Timestamp};

    fn chain(length: u8) -> Vec<Link> {
        let mut head = ChainHead::EMPTY;
        let mut links = Vec::new();
        for seed in 0..length {
            let said = Transition {
                transition_id: Uuid::from_bytes([seed; 16]),
                model_id: ModelId::parse("3f9ffe7c-8e6b-47ad-acc0-ff2e1247a7ae").expect("id"),
                model_type: ModelType::parse("risk_model").expect("type"),
                version: Version::parse("v1.0.0").expect("version"),
                from_status: None,
                to_status: Status::Staged,
                changed_at: Timestamp::parse("2026-11-14T08:03:36Z").expect("time"),
                changed_by: format!("user{seed}"),
                authenticated_as: None,
                reason: None,
                gates_skipped: false,
            };
            let mut link = Link {
                sequence: head.length + 1,
                said,
                previous_sha256: head.head_sha256,
                row_sha256: Sha256Digest::ZERO,
            };
            link.row_sha256 = link.computed_sha256();
            head.follow(&link).expect("follows");
            links.push(link);
        }
        links
    }

    fn walk(links: &[Link]) -> Result<ChainHead, BrokenChain> {
        let mut head = ChainHead::EMPTY;
        links.iter().try_for_each(|link| head.follow(link))?;
        Ok(head)
    }

    #[test]
    fn a_changed_removed_or_swapped_row_breaks_the_chain() {
        assert_eq!(walk(&chain(5)).map(|head| head.length), Ok(5));
        let spoilers: [fn(&mut Vec<Link>); 4] = [
            |links| links[2].said.changed_by.push('x'),
            |links| links[2].said.reason = Some(String::new()),
            |links| drop(links.remove(2)),
            |links| links.swap(2, 3),
        ];
        for spoil in spoilers {
            let mut links = chain(5);
            spoil(&mut links);
            assert!(walk(&links).is_err());
        }
    }

    #[test]
    fn a_row_changed_together_with_its_own_digest_breaks_the_next() {
        let mut links = chain(3);
        links[1].said.changed_by = "mallory".to_owned();
        links[1].row_sha256 = links[1].computed_sha256();
        assert_eq!(walk(&links).map_err(|broken| broken.sequence), Err(3));
    }
}
