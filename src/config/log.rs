//! The variables of the log's checkpoints: its name, and the key that signs them.

use super::{Flags, Problems, Reader, Settings, Variables, read_limited};
use crate::domain::log::{checkpoint::Origin, note::SigningKey, publisher::Publisher};

const ORIGIN: &str = "MODEL_REGISTRY_LOG_ORIGIN";
const KEY_FILE: &str = "MODEL_REGISTRY_LOG_KEY_FILE";

/// Reads what every command needs, and what makes checkpoints. Other commands do not need to be able
/// to read the key.
///
/// # Errors
/// [`Problems`], all of them.
pub fn load_publisher(
    variables: &Variables,
    flags: &Flags,
) -> Result<(Settings, Publisher), Problems> {
    let mut reader = Reader::new(variables);
    let mut settings = Settings::read(&mut reader, flags);
    let publisher = read(&mut reader);
    settings.ignored_empty = reader.ignored_empty;
    if reader.problems.is_empty() {
        Ok((settings, publisher))
    } else {
        Err(Problems(reader.problems))
    }
}

/// Reads them.
pub(super) fn read(reader: &mut Reader<'_>) -> Publisher {
    let origin = reader.parsed(ORIGIN, None, |text| {
        Origin::parse(text).map(Some).map_err(|error| error.to_string())
    });
    let key = reader.path(KEY_FILE).and_then(|path| {
        let text = read_limited(&path).map_err(|error| error.to_string());
        // What is wrong with a key is told without the key.
        let key = text
            .and_then(|text| SigningKey::parse(&text.into()).map_err(|error| error.to_string()));
        key.map_err(|what| reader.problem(KEY_FILE, format!("{}: {what}", path.display()))).ok()
    });
    Publisher::new(origin, key).unwrap_or_else(|error| {
        reader.problem(ORIGIN, error);
        Publisher::default()
    })
}
