//! `ArtifactFile`: the name of the one model file in a version's folder.

use std::fmt;

use super::serde_as_text;

const STEM: &str = "model.";
const MAX_EXTENSION: usize = 16;

/// `model.<ext>`; the extension is 1 to 16 lower-case letters or digits. It is the only part of a file name that a
/// client chooses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArtifactFile(String);

/// The text is not the name of a model file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a model file is named model.<ext>; the extension is 1 to 16 lower-case letters or digits")]
pub struct InvalidArtifactFile;

impl ArtifactFile {
    /// Parses a stored name.
    ///
    /// # Errors
    /// [`InvalidArtifactFile`] where the text is not `model.<ext>`.
    pub fn parse(name: &str) -> Result<Self, InvalidArtifactFile> {
        let extension = name.strip_prefix(STEM).ok_or(InvalidArtifactFile)?;
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if (1..=MAX_EXTENSION).contains(&extension.len()) && extension.bytes().all(allowed) {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidArtifactFile)
        }
    }

    /// The stored name of a file with this extension; `bin` where it has none.
    ///
    /// # Errors
    /// [`InvalidArtifactFile`] where the extension has other characters or is too long.
    pub fn for_extension(extension: Option<&str>) -> Result<Self, InvalidArtifactFile> {
        Self::parse(&format!("{STEM}{}", extension.unwrap_or("bin").to_ascii_lowercase()))
    }

    /// The file name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The extension.
    #[must_use]
    pub fn extension(&self) -> &str {
        &self.0[STEM.len()..]
    }
}

impl fmt::Display for ArtifactFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(ArtifactFile);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_folder() {
        for name in
            ["model.", "model", "model.p/l", "model...", "../model.pkl", "model.PKL", "x.pkl"]
        {
            assert!(ArtifactFile::parse(name).is_err(), "{name:?}");
        }
        assert_eq!(
            ArtifactFile::for_extension(Some("PKL")).map(|file| file.0).as_deref(),
            Ok("model.pkl")
        );
        assert_eq!(
            ArtifactFile::for_extension(None).map(|file| file.0).as_deref(),
            Ok("model.bin")
        );
        assert!(ArtifactFile::for_extension(Some("pkl\0")).is_err());
    }
}
