//! The only place that reads the time of day.

use time::OffsetDateTime;

use crate::{domain::Timestamp, error::RegistryError};

/// The present time, to the microsecond.
///
/// # Errors
/// An internal error where the system's clock is outside the years 0000 to 9999.
pub fn now() -> Result<Timestamp, RegistryError> {
    Timestamp::new(OffsetDateTime::now_utc()).map_err(RegistryError::internal)
}
