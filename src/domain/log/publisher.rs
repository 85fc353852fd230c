//! The log's name, and the key that signs its checkpoints.

use std::sync::Arc;

use super::{
    checkpoint::{Checkpoint, InvalidOrigin, Origin},
    note::{InvalidNote, SigningKey, VerifierKey},
    published::PublishedCheckpoint,
};
use crate::domain::Sha256Digest;

/// Publishes checkpoints of a log. Its `Debug` form shows only the name of the key.
#[derive(Debug, Clone)]
pub struct Publisher {
    origin: Origin,
    key: Option<Arc<SigningKey>>,
}

impl Default for Publisher {
    /// An unnamed log without a key.
    fn default() -> Self {
        Self { origin: Origin::unnamed(), key: None }
    }
}

/// The name and the key are not compatible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublisher {
    /// The key's name is not a valid origin.
    #[error("the name of the key cannot name the log: {0}")]
    Name(#[from] InvalidOrigin),
    /// The key belongs to another log.
    #[error("the key's name is {key:?}, but the log's origin is {origin:?}; both must be the same")]
    OtherName {
        /// The name of the key.
        key: String,
        /// The log's origin.
        origin: String,
    },
}

impl Publisher {
    /// A log with this origin and key. Without an origin, the log takes the name of its key; without both, it is
    /// `model-registry`.
    ///
    /// # Errors
    /// [`InvalidPublisher`]
    pub fn new(origin: Option<Origin>, key: Option<SigningKey>) -> Result<Self, InvalidPublisher> {
        let Some(key) = key else {
            return Ok(Self { origin: origin.unwrap_or_else(Origin::unnamed), key: None });
        };
        let name = key.verifier().name().as_str();
        let origin = origin.map_or_else(|| Origin::parse(name), Ok)?;
        if origin.as_str() != name {
            let (key, origin) = (name.to_owned(), origin.to_string());
            return Err(InvalidPublisher::OtherName { key, origin });
        }
        Ok(Self { origin, key: Some(Arc::new(key)) })
    }

    /// The log's name.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The key that verifies the checkpoints; `None` where they are not signed.
    #[must_use]
    pub fn verifier(&self) -> Option<&VerifierKey> {
        self.key.as_deref().map(SigningKey::verifier)
    }

    /// The log's checkpoint at this size.
    ///
    /// # Errors
    /// [`InvalidNote`], which cannot happen for the text of a checkpoint.
    pub fn publish(
        &self,
        size: u64,
        root: Sha256Digest,
    ) -> Result<PublishedCheckpoint, InvalidNote> {
        let checkpoint = Checkpoint::new(self.origin.clone(), size, root);
        match &self.key {
            Some(key) => PublishedCheckpoint::signed(checkpoint, key),
            None => Ok(PublishedCheckpoint::unsigned(checkpoint)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::log::{note::KeyName, tree::empty_root};

    fn key(name: &str) -> SigningKey {
        SigningKey::from_seed(KeyName::parse(name).unwrap(), &[5; 32]).unwrap()
    }

    #[test]
    fn a_log_is_named_by_its_origin_by_its_key_or_not_at_all() {
        let origin = |text| Some(Origin::parse(text).unwrap());
        let named = |origin, key| Publisher::new(origin, key).map(|it| it.origin.to_string());
        assert_eq!(named(None, None).as_deref(), Ok("model-registry"));
        assert_eq!(named(origin("a b"), None).as_deref(), Ok("a b"));
        assert_eq!(named(None, Some(key("c"))).as_deref(), Ok("c"));
        assert_eq!(named(origin("c"), Some(key("c"))).as_deref(), Ok("c"));
        assert!(matches!(
            named(origin("a"), Some(key("c"))),
            Err(InvalidPublisher::OtherName { .. })
        ));
        assert!(matches!(named(None, Some(key(&"c".repeat(300)))), Err(InvalidPublisher::Name(_))));
    }

    #[test]
    fn a_published_checkpoint_is_verified_by_the_publishers_own_key() {
        let publisher = Publisher::new(None, Some(key("c"))).unwrap();
        let published = publisher.publish(0, empty_root()).unwrap();
        assert!(published.verify(publisher.verifier().unwrap()).is_ok());
        let unsigned = Publisher::default();
        assert!(unsigned.verifier().is_none());
        assert_eq!(
            unsigned.publish(0, empty_root()).unwrap().to_string(),
            "model-registry\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
        );
    }
}
