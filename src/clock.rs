//! The only place that reads the time of day.

use time::OffsetDateTime;

use crate::{
    domain::Timestamp,
    error::RegistryError,
    fault::{self, Point},
};

/// The present time, to the microsecond.
///
/// # Errors
/// An internal error where the system's clock is outside the years 0000 to 9999.
pub fn now() -> Result<Timestamp, RegistryError> {
    Timestamp::new(OffsetDateTime::now_utc() + fault::shift(Point::ClockRead))
        .map_err(RegistryError::internal)
}
