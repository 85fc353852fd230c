//! `ModelType`: the kind of a model.

use std::fmt;

use super::serde_as_text;

/// Longest model type, in bytes.
const MAX_LENGTH: usize = 63;

/// A model type: `[a-z][a-z0-9_]{0,62}`. The policy decides whether the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelType(String);

/// The text is not a model type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a model type is a lower-case letter followed by up to 62 lower-case letters, digits or underscores"
)]
pub struct InvalidModelType;

impl ModelType {
    /// Parses a model type.
    ///
    /// # Errors
    /// [`InvalidModelType`] where the text does not match `[a-z][a-z0-9_]{0,62}`.
    pub fn parse(text: &str) -> Result<Self, InvalidModelType> {
        let tail_ok = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let starts_ok = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        if starts_ok && text.len() <= MAX_LENGTH && text.bytes().all(tail_ok) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidModelType)
        }
    }

    /// The type as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(ModelType);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_lower_case_and_short() {
        let longest = "a".repeat(MAX_LENGTH);
        for text in ["risk_model", "a", "x9_", longest.as_str()] {
            assert!(ModelType::parse(text).is_ok(), "{text:?}");
        }
        let too_long = "a".repeat(MAX_LENGTH + 1);
        for text in
            ["", "_a", "9a", "Risk", "risk-model", "risk model", "..", "a/b", "a\0", "é", &too_long]
        {
            assert_eq!(ModelType::parse(text), Err(InvalidModelType), "{text:?}");
        }
    }
}
