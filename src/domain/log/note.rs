//! Signed notes: C2SP `signed-note` with Ed25519 keys, as Go's `golang.org/x/mod/sumdb/note` writes
//! notes and keys.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};

use crate::domain::Sha256Digest;

/// The signature type of a plain Ed25519 signature.
const ED25519_TYPE: u8 = 0x01;
/// The prefix of a private key, so that nobody mistakes it for a public key.
const PRIVATE_PREFIX: &str = "PRIVATE+KEY+";
/// The prefix of a signature line: an em dash and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";
/// The most signatures that a note may have.
const SIGNATURES: usize = 100;

/// The name of a key: not empty, no white space, no plus sign.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyName(String);

/// The key's identifier: the first four bytes of a digest over name and key. It distinguishes keys of the same name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 4]);

/// The reason why a text is not a key. The message quotes nothing of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// The text does not have the parts of a verifier key.
    #[error("a verifier key is <name>+<8 hexadecimal digits>+<base64>")]
    Verifier,
    /// The text does not have the parts of a private key.
    #[error("a private note key is PRIVATE+KEY+<name>+<8 hexadecimal digits>+<base64>")]
    Private,
    /// The text is a private key where a public key is needed.
    #[error("this is a private key; the verifier key, which may be public, is needed here")]
    PrivateForVerifier,
    /// The name is invalid.
    #[error(
        "the name of a key must not be empty and must not contain white space, a control character or a plus sign"
    )]
    Name,
    /// The key is not an Ed25519 key.
    #[error("the key is not an Ed25519 key of signature type 1")]
    Type,
    /// The identifier belongs to another key.
    #[error(
        "the key's hexadecimal digits do not belong to its name and bytes: it was altered or cut"
    )]
    Id,
}

impl KeyName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`InvalidKey::Name`]
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let foreign = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if text.is_empty() || text.contains(foreign) {
            return Err(InvalidKey::Name);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl KeyId {
    fn of(name: &KeyName, public: &[u8; 32]) -> Self {
        let hashed = [name.0.as_bytes(), b"\n", &[ED25519_TYPE], public].concat();
        let [a, b, c, d, ..] = *Sha256Digest::of(&hashed).as_bytes();
        Self([a, b, c, d])
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = digits.then(|| u32::from_str_radix(text, 16).ok())??;
        Some(Self(id.to_be_bytes()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A public key that verifies notes: `<name>+<id>+<base64>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    id: KeyId,
    public: [u8; 32],
}

impl VerifierKey {
    fn new(name: KeyName, public: [u8; 32]) -> Self {
        let id = KeyId::of(&name, &public);
        Self { name, id, public }
    }

    /// Parses a key; white space around it is ignored.
    ///
    /// # Errors
    /// [`InvalidKey`]
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let text = text.trim();
        if text.starts_with(PRIVATE_PREFIX) {
            return Err(InvalidKey::PrivateForVerifier);
        }
        let (name, id, public) = key_parts(text, InvalidKey::Verifier)?;
        let key = Self::new(name, *public);
        if key.id == id { Ok(key) } else { Err(InvalidKey::Id) }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// Its identifier.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}+{}", self.name, self.id, encode_key(&self.public).as_str())
    }
}

/// The parts of `<name>+<id>+<base64>`. The base64 part holds the byte of the type and 32 more bytes.
fn key_parts(
    text: &str,
    malformed: InvalidKey,
) -> Result<(KeyName, KeyId, Zeroizing<[u8; 32]>), InvalidKey> {
    let (name, rest) = text.split_once('+').ok_or(malformed)?;
    let (id, bytes) = rest.split_once('+').ok_or(malformed)?;
    let name = KeyName::parse(name)?;
    let id = KeyId::parse(id).ok_or(malformed)?;
    let bytes = Zeroizing::new(STANDARD.decode(bytes).map_err(|_| malformed)?);
    match bytes.split_first() {
        Some((&ED25519_TYPE, key)) => {
            let key = <[u8; 32]>::try_from(key).map_err(|_| malformed)?;
            Ok((name, id, Zeroizing::new(key)))
        }
        Some(_) => Err(InvalidKey::Type),
        None => Err(malformed),
    }
}

fn encode_key(key: &[u8; 32]) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(33));
    bytes.push(ED25519_TYPE);
    bytes.extend_from_slice(key);
    Zeroizing::new(STANDARD.encode(&*bytes))
}

/// A private key that signs notes. `Debug` never shows it.
pub struct SigningKey {
    verifier: VerifierKey,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// Makes the key of a seed.
    ///
    /// # Errors
    /// [`InvalidKey::Private`] where the library refuses the seed.
    pub fn from_seed(name: KeyName, seed: &[u8; 32]) -> Result<Self, InvalidKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| InvalidKey::Private)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| InvalidKey::Private)?;
        Ok(Self { verifier: VerifierKey::new(name, public), pair })
    }

    /// Parses `PRIVATE+KEY+<name>+<id>+<base64>`; white space around it is ignored.
    ///
    /// # Errors
    /// [`InvalidKey`]
    pub fn parse(secret: &SecretString) -> Result<Self, InvalidKey> {
        let text = secret.expose_secret().trim();
        let text = text.strip_prefix(PRIVATE_PREFIX).ok_or(InvalidKey::Private)?;
        let (name, id, seed) = key_parts(text, InvalidKey::Private)?;
        let key = Self::from_seed(name, &seed)?;
        if key.verifier.id == id { Ok(key) } else { Err(InvalidKey::Id) }
    }

    /// The text form of a seed's key, as [`SigningKey::parse`] reads it.
    ///
    /// # Errors
    /// See [`SigningKey::from_seed`].
    pub fn write_secret(name: KeyName, seed: &[u8; 32]) -> Result<SecretString, InvalidKey> {
        let key = Self::from_seed(name, seed)?;
        let (name, id, seed) = (&key.verifier.name, key.verifier.id, encode_key(seed));
        Ok(format!("{PRIVATE_PREFIX}{name}+{id}+{}", seed.as_str()).into())
    }

    /// The public key that verifies this key's signatures.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a text, and gives the note.
    ///
    /// # Errors
    /// [`InvalidNote`] where the text cannot be the text of a note.
    pub fn sign(&self, text: &str) -> Result<Note, InvalidNote> {
        if !text.ends_with('\n') || has_control_characters(text) {
            return Err(InvalidNote::Text);
        }
        let signature = Signature {
            name: self.verifier.name.clone(),
            id: self.verifier.id,
            bytes: self.pair.sign(text.as_bytes()).as_ref().to_vec(),
        };
        Ok(Note { text: text.to_owned(), signatures: vec![signature] })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}+{}+…)", self.verifier.name, self.verifier.id)
    }
}

/// A signature in a note.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    name: KeyName,
    id: KeyId,
    bytes: Vec<u8>,
}

/// A text with signatures that are not yet verified. `Display` gives the note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// The reason why a text is not a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNote {
    /// The text is invalid.
    #[error("the text of a note ends in a line feed and has no other control character")]
    Text,
    /// There is no signature block.
    #[error("a note ends in an empty line and signature lines, each with its line feed")]
    NoSignatures,
    /// A signature line is invalid.
    #[error(
        "signature {0} of the note must be an em dash, a key name and the base64 form of a signature"
    )]
    Signature(usize),
    /// There are too many signatures.
    #[error("the note has more than {SIGNATURES} signatures")]
    TooMany,
}

/// The reason why a note does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// The signature of a known key is wrong.
    #[error(
        "the signature of {name}+{id} is wrong: the note was altered, or the signature is of another note"
    )]
    BadSignature {
        /// The key's name.
        name: KeyName,
        /// The key's identifier.
        id: KeyId,
    },
    /// No given key signed the note.
    #[error("the note is signed by {}, but not by a given key", signers.join(", "))]
    UnknownSigners {
        /// The keys that signed it, as name and identifier.
        signers: Vec<String>,
    },
}

fn has_control_characters(text: &str) -> bool {
    text.contains(|c: char| c < ' ' && c != '\n')
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// [`InvalidNote`]
    pub fn parse(note: &str) -> Result<Self, InvalidNote> {
        if has_control_characters(note) {
            return Err(InvalidNote::Text);
        }
        let end_of_text = note.rfind("\n\n").ok_or(InvalidNote::NoSignatures)?;
        let (text, signatures) = (&note[..=end_of_text], &note[end_of_text + 2..]);
        let lines = signatures.strip_suffix('\n').ok_or(InvalidNote::NoSignatures)?.split('\n');
        let mut signatures = Vec::new();
        for line in lines {
            if signatures.len() == SIGNATURES {
                return Err(InvalidNote::TooMany);
            }
            let fault = InvalidNote::Signature(signatures.len() + 1);
            signatures.push(Signature::parse(line).ok_or(fault)?);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The signed text, with its last line feed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Verifies that at least one of the keys signed the note, and that none of their signatures is wrong. Signatures
    /// of other keys are ignored.
    ///
    /// # Errors
    /// [`Unverified`]
    pub fn verify<'a>(&self, keys: &'a [VerifierKey]) -> Result<&'a VerifierKey, Unverified> {
        let mut verified = None;
        for signature in &self.signatures {
            let known = |key: &&VerifierKey| key.name == signature.name && key.id == signature.id;
            let Some(key) = keys.iter().find(known) else { continue };
            let public = UnparsedPublicKey::new(&ED25519, &key.public);
            public
                .verify(self.text.as_bytes(), &signature.bytes)
                .map_err(|_| Unverified::BadSignature { name: key.name.clone(), id: key.id })?;
            verified = verified.or(Some(key));
        }
        verified.ok_or_else(|| Unverified::UnknownSigners { signers: self.signers() })
    }

    /// The keys that claim to have signed it, as name and identifier. They are not verified.
    #[must_use]
    pub fn signers(&self) -> Vec<String> {
        self.signatures.iter().map(|it| format!("{}+{}", it.name, it.id)).collect()
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| {
            let bytes = STANDARD.encode([&signature.id.0[..], &signature.bytes].concat());
            writeln!(f, "{SIGNATURE_PREFIX}{} {bytes}", signature.name)
        })
    }
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let (name, base64) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
        let bytes = STANDARD.decode(base64).ok()?;
        let (id, bytes) = bytes.split_first_chunk::<4>()?;
        let name = KeyName::parse(name).ok()?;
        let signature = Self { name, id: KeyId(*id), bytes: bytes.to_vec() };
        (!bytes.is_empty()).then_some(signature)
    }
}

#[cfg(test)]
#[path = "note_tests.rs"]
mod tests;
