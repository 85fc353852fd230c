//! `Timestamp`: an instant in UTC with microseconds.

use std::fmt;

use time::{
    Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};

use super::serde_as_text;

const WITHOUT_ZONE: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:1+]");
const WITHOUT_ZONE_WHOLE: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// An instant in UTC with microseconds. It is written as `2026-11-14T08:03:36.458693Z`, always 27 characters, so that
/// text order is time order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(OffsetDateTime);

/// The text is not an instant in the years 0000 to 9999.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as in RFC 3339, for example 2026-11-14T08:03:36.458693Z")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// An instant from the system's clock or a file, truncated to the microsecond.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] outside the years 0000 to 9999, the range of RFC 3339.
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

    /// Parses an RFC 3339 time with any offset.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        if let Some(written) = parse_written(text) {
            return Ok(written);
        }
        OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTimestamp).and_then(Self::new)
    }

    /// Parses `YYYY-MM-DD HH:MM:SS[.fraction]` as UTC: the format in which a database without time zones exports
    /// times.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] for any other text.
    pub fn parse_without_zone(text: &str) -> Result<Self, InvalidTimestamp> {
        PrimitiveDateTime::parse(text, WITHOUT_ZONE)
            .or_else(|_| PrimitiveDateTime::parse(text, WITHOUT_ZONE_WHOLE))
            .map_err(|_| InvalidTimestamp)
            .and_then(|naive| Self::new(naive.assume_utc()))
    }
}

/// Writes a number as decimal digits with leading zeros.
fn digits(place: &mut [u8], mut number: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

/// Parses decimal digits.
fn number(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
    })
}

/// The positions of the parts of a written time.
const PARTS: [std::ops::Range<usize>; 7] = [0..4, 5..7, 8..10, 11..13, 14..16, 17..19, 20..26];
/// The separators of a written time.
const BETWEEN: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";

/// Parses the form that [`Timestamp`] writes. It is fast, because a start reads several times for each version.
/// `None` for any other form, and for a time that does not exist.
fn parse_written(text: &str) -> Option<Timestamp> {
    let text: &[u8; 27] = text.as_bytes().try_into().ok()?;
    let fits = text.iter().zip(BETWEEN).all(|(byte, between)| *between == b'0' || byte == between);
    if !fits {
        return None;
    }
    let mut parts = [0; 7];
    for (part, place) in parts.iter_mut().zip(PARTS) {
        *part = number(&text[place])?;
    }
    let [year, month, day, hour, minute, second, microsecond] = parts;
    let small = |number: u32| u8::try_from(number).ok();
    let month = Month::try_from(small(month)?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, small(day)?).ok()?;
    let time =
        Time::from_hms_micro(small(hour)?, small(minute)?, small(second)?, microsecond).ok()?;
    Some(Timestamp(PrimitiveDateTime::new(date, time).assume_utc()))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.0.date(), self.0.time());
        let parts = [
            u32::try_from(date.year()).map_err(|_| fmt::Error)?,
            u32::from(u8::from(date.month())),
            u32::from(date.day()),
            u32::from(time.hour()),
            u32::from(time.minute()),
            u32::from(time.second()),
            time.microsecond(),
        ];
        let mut text = *BETWEEN;
        for (place, part) in PARTS.into_iter().zip(parts) {
            digits(&mut text[place], part);
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
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

    #[test]
    fn what_is_written_is_what_the_time_crate_writes_and_reads() {
        let format = format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z"
        );
        for seconds in [0, 1, 951_782_399, 951_782_400, 4_102_444_799, 253_402_300_799] {
            for micros in [0, 1, 999_999] {
                let instant = OffsetDateTime::from_unix_timestamp(seconds).expect("time")
                    + time::Duration::microseconds(micros);
                let written = Timestamp::new(instant).expect("in range").to_string();
                assert_eq!(written, instant.format(format).expect("format"));
                assert_eq!(Timestamp::parse(&written).map(Timestamp::instant), Ok(instant));
            }
        }
    }

    #[test]
    fn a_written_time_that_there_is_not_is_refused() {
        for text in [
            "2026-02-29T00:00:00.000000Z",
            "2026-13-01T00:00:00.000000Z",
            "2026-01-01T24:00:00.000000Z",
            "2026-01-01T00:60:00.000000Z",
            "2026-01-01t00:00:00.00000 Z",
            "+026-01-01T00:00:00.000000Z",
        ] {
            assert_eq!(Timestamp::parse(text), Err(InvalidTimestamp), "{text}");
        }
    }
}
