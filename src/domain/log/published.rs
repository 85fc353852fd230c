//! A checkpoint as it is handed out: a signed note, or its text alone where the log has no key.

use std::fmt;

use super::{
    checkpoint::{Checkpoint, InvalidCheckpoint},
    note::{InvalidNote, KeyName, Note, SigningKey, Unverified, VerifierKey},
};

/// A checkpoint with the note that it was read from or signed as. `Display` gives the note, or the
/// text alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedCheckpoint {
    checkpoint: Checkpoint,
    note: Option<Note>,
}

/// Why a checkpoint cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Its signatures.
    #[error(transparent)]
    Note(#[from] InvalidNote),
    /// Its text.
    #[error(transparent)]
    Checkpoint(#[from] InvalidCheckpoint),
}

/// Why a checkpoint is not the one of the log whose key was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// The key's name is another log's.
    #[error(
        "the checkpoint is of the log {origin:?}, and the key that was given is of the log {key:?}"
    )]
    OtherLog {
        /// The origin of the checkpoint.
        origin: String,
        /// The name of the key.
        key: String,
    },
    /// It has no signatures at all.
    #[error("the checkpoint is not signed, so that the key that was given cannot verify it")]
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

    /// Reads a note or the text alone. No line of that text is empty, so that an empty line tells
    /// the two apart.
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

    /// What it says. Trust it only as far as [`PublishedCheckpoint::verify`] was asked.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Verifies that the log whose key this is signed it. The name of a log's key is the log's origin.
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

    /// A signature or spelling that changes makes checkpoints that others keep worthless.
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
