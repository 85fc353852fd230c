//! A checkpoint as it is published: a signed note, or only its text where the log has no key.

use std::fmt;

use super::{
    checkpoint::{Checkpoint, InvalidCheckpoint},
    note::{InvalidNote, KeyName, Note, SigningKey, Unverified, VerifierKey},
};

/// A checkpoint with the note that it was read from or signed as. `Display` gives the note, or only the text where
/// there is no signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedCheckpoint {
    checkpoint: Checkpoint,
    note: Option<Note>,
}

/// The reason why a checkpoint cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The signatures cannot be read.
    #[error(transparent)]
    Note(#[from] InvalidNote),
    /// The text cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] InvalidCheckpoint),
}

/// The reason why a checkpoint does not verify with the given key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// The key belongs to another log.
    #[error("the checkpoint is of the log {origin:?}, but the given key is of the log {key:?}")]
    OtherLog {
        /// The origin of the checkpoint.
        origin: String,
        /// The name of the key.
        key: String,
    },
    /// The checkpoint has no signatures.
    #[error("the checkpoint is not signed, so the given key cannot verify it")]
    Unsigned,
    /// See [`Unverified`].
    #[error("the checkpoint cannot be trusted: {0}")]
    Signature(#[from] Unverified),
}

impl PublishedCheckpoint {
    /// A checkpoint without a signature.
    #[must_use]
    pub const fn unsigned(checkpoint: Checkpoint) -> Self {
        Self { checkpoint, note: None }
    }

    /// A checkpoint signed by a key.
    ///
    /// # Errors
    /// [`InvalidNote`] where the text cannot be signed; the text of a checkpoint always can.
    pub fn signed(checkpoint: Checkpoint, key: &SigningKey) -> Result<Self, InvalidNote> {
        let note = key.sign(&checkpoint.to_string())?;
        Ok(Self { checkpoint, note: Some(note) })
    }

    /// Reads a note, or only its text. No line of a checkpoint's text is empty, so an empty line means that there are
    /// signatures.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        if !text.contains("\n\n") {
            return Ok(Self::unsigned(Checkpoint::parse(text)?));
        }
        let note = Note::parse(text)?;
        Ok(Self { checkpoint: Checkpoint::parse(note.text())?, note: Some(note) })
    }

    /// The checkpoint. Trust it only after [`PublishedCheckpoint::verify`].
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Verifies that the log with this key signed the checkpoint. The name of a log's key is the log's origin.
    ///
    /// # Errors
    /// [`Untrusted`]
    pub fn verify(&self, key: &VerifierKey) -> Result<KeyName, Untrusted> {
        let origin = self.checkpoint.origin.as_str();
        if key.name().as_str() != origin {
            let (origin, key) = (origin.to_owned(), key.name().to_string());
            return Err(Untrusted::OtherLog { origin, key });
        }
        let note = self.note.as_ref().ok_or(Untrusted::Unsigned)?;
        note.verify(std::slice::from_ref(key))?;
        Ok(key.name().clone())
    }
}

impl fmt::Display for PublishedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.note {
            Some(note) => note.fmt(f),
            None => self.checkpoint.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::log::{checkpoint::Origin, tree::leaf_hash};

    fn key(name: &str, seed: u8) -> SigningKey {
        SigningKey::from_seed(KeyName::parse(name).unwrap(), &[seed; 32]).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint::new(Origin::parse("example.com/models").unwrap(), 1, leaf_hash(b"one"))
    }

    /// If a signature or the format changes, checkpoints that clients keep no longer verify.
    #[test]
    fn a_signed_checkpoint_is_pinned() {
        let signed =
            PublishedCheckpoint::signed(checkpoint(), &key("example.com/models", 1)).unwrap();
        assert_eq!(signed.to_string(), PINNED);
        assert_eq!(PublishedCheckpoint::parse(PINNED), Ok(signed));
    }

    const PINNED: &str = "example.com/models\n\
                          1\n\
                          0Nc2CrefWKseHj/mStd+LqC8B+NrX0btIiPt2SmN+ek=\n\
                          \n\
                          \u{2014} example.com/models bLG7yj5whZlcqFrzj2uqRrEuD8WagRYAwCYD3qLZsdYpsAzZNwDvUnLnhkyrSVVM92g+nBepMWVC/EU1wu4YKGYwvQg=\n";

    #[test]
    fn a_checkpoint_is_of_the_log_whose_key_signed_it_and_of_no_other() {
        let signed =
            PublishedCheckpoint::signed(checkpoint(), &key("example.com/models", 1)).unwrap();
        let verify = |key: &SigningKey| signed.verify(key.verifier());
        assert!(verify(&key("example.com/models", 1)).is_ok());
        assert!(matches!(
            verify(&key("example.com/models", 2)),
            Err(Untrusted::Signature(Unverified::UnknownSigners { .. }))
        ));
        assert!(matches!(verify(&key("example.com/other", 1)), Err(Untrusted::OtherLog { .. })));
        let unsigned = PublishedCheckpoint::unsigned(checkpoint());
        assert_eq!(PublishedCheckpoint::parse(&unsigned.to_string()), Ok(unsigned.clone()));
        let models = key("example.com/models", 1);
        assert_eq!(unsigned.verify(models.verifier()), Err(Untrusted::Unsigned));
        let altered = signed.to_string().replace("\n1\n", "\n2\n");
        assert!(matches!(
            PublishedCheckpoint::parse(&altered).unwrap().verify(models.verifier()),
            Err(Untrusted::Signature(Unverified::BadSignature { .. }))
        ));
    }

    #[test]
    fn a_note_that_holds_no_checkpoint_is_unreadable() {
        let note = key("example.com/models", 1).sign("a text\n").unwrap().to_string();
        assert!(matches!(PublishedCheckpoint::parse(&note), Err(Unreadable::Checkpoint(_))));
        let cut = PINNED.trim_end();
        assert_eq!(
            PublishedCheckpoint::parse(cut),
            Err(Unreadable::Note(InvalidNote::NoSignatures))
        );
    }
}
