//! `Version`: a model's version number, `v<major>.<minor>.<patch>`.

use std::fmt;

use super::serde_as_text;

/// A version number: ASCII digits without leading zeros. Versions are ordered as numbers, not as text (`v1.9.0 <
/// v1.10.0`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
}

/// The text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a version is v<major>.<minor>.<patch> in ASCII digits without leading zeros, for example v1.4.0"
)]
pub struct InvalidVersion;

impl Version {
    /// Parses a version.
    ///
    /// # Errors
    /// [`InvalidVersion`] for any other form, and for a part that does not fit 64 bits.
    pub fn parse(text: &str) -> Result<Self, InvalidVersion> {
        let mut parts = text.strip_prefix('v').ok_or(InvalidVersion)?.split('.').map(part);
        let mut next = || parts.next().flatten().ok_or(InvalidVersion);
        let version = Self { major: next()?, minor: next()?, patch: next()? };
        match parts.next() {
            None => Ok(version),
            Some(_) => Err(InvalidVersion),
        }
    }
}

fn part(text: &str) -> Option<u64> {
    let canonical = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

serde_as_text!(Version);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_canonical_spelling_is_a_version() {
        for text in [
            "v01.0.0",
            "v1.0",
            "v1.0.0.0",
            "1.0.0",
            "V1.0.0",
            "current",
            "",
            "v",
            "v..",
            "v1..0",
            "v1.0.-1",
            "v1.0.+1",
            "v1.0.0 ",
            " v1.0.0",
            "v1.0.0\0",
            "v1.0.0\n",
            "../v1.0.0",
            "v١.٠.٠",
            "v1.0.0-rc1",
            "v1.0.00",
            "v18446744073709551616.0.0",
        ] {
            assert_eq!(Version::parse(text), Err(InvalidVersion), "{text:?}");
        }
        assert!(Version::parse(&format!("v1.0.{}", "9".repeat(10_000))).is_err());
    }

    #[test]
    fn versions_are_ordered_by_number() -> Result<(), InvalidVersion> {
        assert!(Version::parse("v1.9.0")? < Version::parse("v1.10.0")?);
        assert!(Version::parse("v2.0.0")? > Version::parse("v1.99.99")?);
        Ok(())
    }

    proptest! {
        #[test]
        fn a_version_reads_back_as_itself(major: u64, minor: u64, patch: u64) {
            let text = format!("v{major}.{minor}.{patch}");
            prop_assert_eq!(Version::parse(&text).map(|version| version.to_string()), Ok(text));
        }

        #[test]
        fn whatever_parses_is_spelled_canonically(text in "[v0-9.\u{660}-\u{669} ]{0,12}") {
            if let Ok(version) = Version::parse(&text) {
                prop_assert_eq!(version.to_string(), text);
            }
        }
    }
}
