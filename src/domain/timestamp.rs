//! `Timestamp`: an instant in UTC, to the microsecond, as the registry writes it.

use std::fmt;

use time::{
    OffsetDateTime, PrimitiveDateTime, UtcOffset,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

use super::serde_as_text;

const WRITTEN: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
const WITHOUT_ZONE: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:1+]");
const WITHOUT_ZONE_WHOLE: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// An instant: UTC, microseconds. Written `2026-11-14T08:03:36.458693Z`, always 27 characters, so that
/// text order is time order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(OffsetDateTime);

/// The text is not an instant of the years 0000 to 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as in RFC 3339, for example 2026-11-14T08:03:36.458693Z")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// An instant from the system's clock or a file, cut to the microsecond.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] outside the years 0000 to 9999, which RFC 3339 cannot write.
    pub fn new(instant: OffsetDateTime) -> Result<Self, InvalidTimestamp> {
        let utc = instant.checked_to_offset(UtcOffset::UTC).ok_or(InvalidTimestamp)?;
        let cut = utc.replace_microsecond(utc.microsecond()).map_err(|_| InvalidTimestamp)?;
        if (0..=9999).contains(&cut.year()) { Ok(Self(cut)) } else { Err(InvalidTimestamp) }
    }

    /// The instant, for a database that stores instants.
    #[must_use]
    pub fn instant(self) -> OffsetDateTime {
        self.0
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// Reads an RFC 3339 time with any offset.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] where it is not one.
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTimestamp).and_then(Self::new)
    }

    /// Reads `YYYY-MM-DD HH:MM:SS[.fraction]`, which a database without zones exports, as UTC.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] where it is not one.
    pub fn parse_without_zone(text: &str) -> Result<Self, InvalidTimestamp> {
        PrimitiveDateTime::parse(text, WITHOUT_ZONE)
            .or_else(|_| PrimitiveDateTime::parse(text, WITHOUT_ZONE_WHOLE))
            .map_err(|_| InvalidTimestamp)
            .and_then(|naive| Self::new(naive.assume_utc()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(WRITTEN).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(Timestamp);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_instant_is_written_one_way() {
        for text in [
            "2026-11-14T08:03:36.25218Z",
            "2026-11-14T09:03:36.252180+01:00",
            "2026-11-14T08:03:36.2521809Z",
        ] {
            let written = Timestamp::parse(text).map(|at| at.to_string());
            assert_eq!(written.as_deref(), Ok("2026-11-14T08:03:36.252180Z"), "{text}");
        }
    }

    #[test]
    fn a_time_without_a_zone_is_utc() {
        for (text, written) in [
            ("2026-11-15 08:03:37.25218", "2026-11-15T08:03:37.252180Z"),
            ("2026-11-15 08:03:37", "2026-11-15T08:03:37.000000Z"),
        ] {
            let parsed = Timestamp::parse_without_zone(text).map(|at| at.to_string());
            assert_eq!(parsed.as_deref(), Ok(written));
        }
        assert!(Timestamp::parse_without_zone("2026-11-15").is_err());
        assert!(Timestamp::parse("2026-11-15 08:03").is_err());
    }
}
