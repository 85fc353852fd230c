//! Checkpoints: the state of the log in the format of C2SP `tlog-checkpoint`.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::tree::empty_root;
use crate::domain::Sha256Digest;

/// The name of a log: the first line of its checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin(String);

/// The longest origin, in bytes.
pub const ORIGIN_BYTES: usize = 255;

/// The text cannot name a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the origin of a log is 1 to {ORIGIN_BYTES} bytes without control characters, for example example.com/models"
)]
pub struct InvalidOrigin;

impl Origin {
    /// The default name of a log.
    #[must_use]
    pub fn unnamed() -> Self {
        Self("model-registry".to_owned())
    }

    /// Checks a name.
    ///
    /// # Errors
    /// [`InvalidOrigin`]
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let sized = !text.is_empty() && text.len() <= ORIGIN_BYTES;
        if sized && !text.contains(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidOrigin)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The state of a log: its name, its size and its root.
///
/// `Display` gives the text of the note: each line ends in a line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log.
    pub origin: Origin,
    /// The number of entries.
    pub size: u64,
    /// The root of the Merkle tree over the entries.
    pub root: Sha256Digest,
    extensions: Vec<String>,
}

/// The reason why a text is not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCheckpoint {
    /// The last line has no line feed, or there are fewer than three lines.
    #[error("a checkpoint is at least three lines (origin, size, root), each with its line feed")]
    Lines,
    /// The origin is invalid.
    #[error("line 1 of the checkpoint: {0}")]
    Origin(#[from] InvalidOrigin),
    /// The size is invalid.
    #[error("line 2 of the checkpoint, the size, is a decimal number without leading zeros")]
    Size,
    /// The root is invalid.
    #[error("line 3 of the checkpoint, the root, is the base64 form of 32 bytes")]
    Root,
    /// The log is empty, but the root is not that of an empty tree.
    #[error("the checkpoint is of an empty log, but its root is not that of an empty log")]
    EmptyRoot,
    /// A later line is empty or has a control character.
    #[error("line {0} of the checkpoint is empty or has a control character")]
    Extension(usize),
}

impl Checkpoint {
    /// A checkpoint without extension lines.
    #[must_use]
    pub const fn new(origin: Origin, size: u64, root: Sha256Digest) -> Self {
        Self { origin, size, root, extensions: Vec::new() }
    }

    /// Reads the text of a note, without signatures: see [`super::note`].
    ///
    /// # Errors
    /// [`InvalidCheckpoint`] for any text that `Display` would not give.
    pub fn parse(text: &str) -> Result<Self, InvalidCheckpoint> {
        let body = text.strip_suffix('\n').ok_or(InvalidCheckpoint::Lines)?;
        let mut lines = body.split('\n');
        let mut line = || lines.next().ok_or(InvalidCheckpoint::Lines);
        let (origin, size, root) = (line()?, line()?, line()?);
        let origin = Origin::parse(origin)?;
        let size = parse_decimal(size).ok_or(InvalidCheckpoint::Size)?;
        let root = parse_hash(root).ok_or(InvalidCheckpoint::Root)?;
        if size == 0 && root != empty_root() {
            return Err(InvalidCheckpoint::EmptyRoot);
        }
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        for (number, line) in extensions.iter().enumerate() {
            if line.is_empty() || line.contains(char::is_control) {
                return Err(InvalidCheckpoint::Extension(number + 4));
            }
        }
        Ok(Self { origin, size, root, extensions })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = STANDARD.encode(self.root.as_bytes());
        write!(f, "{}\n{}\n{root}\n", self.origin, self.size)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Parses a decimal number: digits only, no sign, no leading zero.
pub(super) fn parse_decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok())?
}

/// Decodes 32 bytes from canonical base64 with padding.
fn parse_hash(text: &str) -> Option<Sha256Digest> {
    let bytes: [u8; 32] = STANDARD.decode(text).ok()?.try_into().ok()?;
    Some(Sha256Digest::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PINNED: &str = "example.com/behind-the-sofa\n\
                          20852163\n\
                          CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_checkpoint_of_the_specification_reads_back_as_itself() {
        let checkpoint = Checkpoint::parse(PINNED).unwrap();
        assert_eq!(checkpoint.origin.as_str(), "example.com/behind-the-sofa");
        assert_eq!(checkpoint.size, 20_852_163);
        assert_eq!(
            checkpoint.root.to_string(),
            "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62"
        );
        assert_eq!(checkpoint.to_string(), PINNED);
        let extended = format!("{PINNED}more\nand more\n");
        assert_eq!(Checkpoint::parse(&extended).unwrap().to_string(), extended);
    }

    #[test]
    fn the_checkpoint_of_a_log_is_pinned() {
        let origin = Origin::parse("registry.example/models").unwrap();
        let checkpoint = Checkpoint::new(origin.clone(), 0, empty_root());
        assert_eq!(
            checkpoint.to_string(),
            "registry.example/models\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
        );
        let leaf = super::super::tree::leaf_hash(b"");
        assert_eq!(
            Checkpoint::new(origin, 1, leaf).to_string(),
            "registry.example/models\n1\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n"
        );
    }

    #[test]
    fn every_other_spelling_is_refused_and_its_line_named() {
        let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        let cases = [
            (String::new(), InvalidCheckpoint::Lines),
            (PINNED.trim_end().to_owned(), InvalidCheckpoint::Lines),
            ("a\n1\n".to_owned(), InvalidCheckpoint::Lines),
            (format!("\n1\n{root}\n"), InvalidCheckpoint::Origin(InvalidOrigin)),
            (format!("a\tb\n1\n{root}\n"), InvalidCheckpoint::Origin(InvalidOrigin)),
            (format!("{}\n1\n{root}\n", "a".repeat(256)), InvalidCheckpoint::Origin(InvalidOrigin)),
            (format!("a\n01\n{root}\n"), InvalidCheckpoint::Size),
            (format!("a\n+1\n{root}\n"), InvalidCheckpoint::Size),
            (format!("a\n-1\n{root}\n"), InvalidCheckpoint::Size),
            (format!("a\n\n{root}\n"), InvalidCheckpoint::Size),
            (format!("a\n1 \n{root}\n"), InvalidCheckpoint::Size),
            (format!("a\n1\r\n{root}\n"), InvalidCheckpoint::Size),
            (format!("a\n18446744073709551616\n{root}\n"), InvalidCheckpoint::Size),
            (format!("a\n1\n{}\n", root.trim_end_matches('=')), InvalidCheckpoint::Root),
            (format!("a\n1\n{root} \n"), InvalidCheckpoint::Root),
            (format!("a\n1\n{}\n", root.replace("2I=", "2J=")), InvalidCheckpoint::Root),
            (format!("a\n1\n{}\n", root.replace('/', "_")), InvalidCheckpoint::Root),
            (format!("a\n1\n{}\n", "AAAA"), InvalidCheckpoint::Root),
            (format!("a\n0\n{root}\n"), InvalidCheckpoint::EmptyRoot),
            (format!("a\n1\n{root}\n\n"), InvalidCheckpoint::Extension(4)),
            (format!("a\n1\n{root}\nx\ny\tz\n"), InvalidCheckpoint::Extension(5)),
        ];
        for (text, fault) in cases {
            assert_eq!(Checkpoint::parse(&text), Err(fault), "{text:?}");
        }
    }
}
