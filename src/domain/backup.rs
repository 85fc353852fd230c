//! Backups: their names, and what a backup's own manifest says of its content.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use time::{Date, Month};

use super::{ModelType, Sha256Digest, Timestamp, Version, serde_as_text};

/// The format of backups that this program writes.
pub const BACKUP_FORMAT: u32 = 1;

/// The name of a backup: `backup_YYYYMMDD_HHMMSS_<8 hex>`, its time in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackupId(String);

/// The text is not the name of a backup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a backup is named backup_YYYYMMDD_HHMMSS_ and 8 hexadecimal digits, for example \
     backup_20260115_093000_1f2e3d4c"
)]
pub struct InvalidBackupId;

impl BackupId {
    /// The name of a backup that is made at this time.
    #[must_use]
    pub fn new(at: Timestamp, random: u32) -> Self {
        let text = at.to_string();
        let digits = |from: usize, to: usize| -> String {
            text.get(from..to).unwrap_or("").chars().filter(char::is_ascii_digit).collect()
        };
        Self(format!("backup_{}_{}_{random:08x}", digits(0, 10), digits(11, 19)))
    }

    /// The part of the name that is its time, so that text order is time order.
    #[must_use]
    pub fn second(&self) -> &str {
        self.0.rsplit_once('_').map_or("", |(second, _)| second)
    }

    /// Parses a name.
    ///
    /// # Errors
    /// [`InvalidBackupId`] for anything else, above all for a path.
    pub fn parse(text: &str) -> Result<Self, InvalidBackupId> {
        let rest = text.strip_prefix("backup_").ok_or(InvalidBackupId)?;
        let parts: Vec<&str> = rest.split('_').collect();
        let [date, time, random] = parts.as_slice() else { return Err(InvalidBackupId) };
        let decimal = |part: &str, length| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let hexadecimal = random.len() == 8
            && random.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if decimal(date, 8) && decimal(time, 6) && hexadecimal {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidBackupId)
        }
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(BackupId);

/// What a backup was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupKind {
    /// To be restored.
    Backup,
    /// The state that a restore replaced.
    Safety,
}

impl fmt::Display for BackupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backup => "backup",
            Self::Safety => "safety copy",
        })
    }
}

/// A file of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackedUpFile {
    /// SHA-256 of its content.
    pub sha256: Sha256Digest,
    /// Its size.
    pub size_bytes: u64,
}

/// The content of `backup_manifest.json`, which is written last: a backup without it is not complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupManifest {
    /// The format of the backup, [`BACKUP_FORMAT`].
    pub backup_format: u32,
    /// The backup's name.
    pub backup_id: BackupId,
    /// What it was made for.
    pub kind: BackupKind,
    /// The time of the snapshot.
    pub created_at: Timestamp,
    /// The version of the program that made it.
    pub program_version: String,
    /// The layout of the registry.
    pub registry_version: String,
    /// The time when the registry was created.
    pub registry_created_at: Timestamp,
    /// The schema of the catalog.
    pub schema_version: String,
    /// The root of the log.
    pub root: Sha256Digest,
    /// The number of entries in the log.
    pub log_size: u64,
    /// The number of versions in the catalog.
    pub versions: u64,
    /// The size of all files, in bytes.
    pub size_bytes: u64,
    /// Whether every file was hashed and compared with the catalog, and every row with the log. Only then can the
    /// backup be restored.
    pub verified: bool,
    /// What a safety copy lacks, or holds although it is wrong; empty where `verified` is true.
    pub faults: Vec<String>,
    /// Every file but this one, by its path in the backup.
    pub files: BTreeMap<String, BackedUpFile>,
}

/// A backup that this program cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableBackup {
    /// It was made by a newer program.
    #[error(
        "the backup is of format {format}, made by model-registry {program}; this program knows format \
         {BACKUP_FORMAT}: use the version of model-registry that made it, or a newer one"
    )]
    Newer {
        /// The backup's format.
        format: u64,
        /// The program that made it.
        program: String,
    },
    /// Its manifest is not one.
    #[error("backup_manifest.json is not a backup's manifest: {0}")]
    Malformed(String),
}

impl BackupManifest {
    /// Parses the manifest of a backup in the folder of this name.
    ///
    /// # Errors
    /// [`UnreadableBackup`].
    pub fn parse(text: &[u8], id: &BackupId) -> Result<Self, UnreadableBackup> {
        #[derive(Deserialize)]
        struct Head {
            backup_format: u64,
            #[serde(default)]
            program_version: String,
        }
        let malformed = |what: String| UnreadableBackup::Malformed(what);
        let head: Head =
            serde_json::from_slice(text).map_err(|error| malformed(error.to_string()))?;
        if head.backup_format > u64::from(BACKUP_FORMAT) {
            let program = head.program_version.chars().take(40).collect();
            return Err(UnreadableBackup::Newer { format: head.backup_format, program });
        }
        let manifest: Self =
            serde_json::from_slice(text).map_err(|error| malformed(error.to_string()))?;
        if manifest.backup_id != *id {
            return Err(malformed(format!("it names {}", manifest.backup_id)));
        }
        match manifest.files.keys().find(|path| BackupPath::parse(path).is_none()) {
            Some(path) => Err(malformed(format!("{path:?} is no file of a backup"))),
            None => Ok(manifest),
        }
    }
}

/// A file in a backup, by its path. Any other path is refused, so that no manifest leads out of its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupPath {
    /// `catalog/<table>.jsonl`.
    Table(String),
    /// `artifacts/<type>/<version>/<file>`.
    Artifact {
        /// The model type.
        model_type: ModelType,
        /// The version.
        version: Version,
        /// The file's name.
        file: String,
    },
}

impl BackupPath {
    /// Parses a path.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let plain = |name: &str| {
            !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
        };
        match path.split('/').collect::<Vec<_>>().as_slice() {
            ["catalog", file] => {
                let table = file.strip_suffix(".jsonl")?;
                plain(table).then(|| Self::Table(table.to_owned()))
            }
            ["artifacts", model_type, version, file] if plain(file) => Some(Self::Artifact {
                model_type: ModelType::parse(model_type).ok()?,
                version: Version::parse(version).ok()?,
                file: (*file).to_owned(),
            }),
            _ => None,
        }
    }
}

/// A moment or a day, for the choice of the nearest backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A day in UTC, from its first second to its last.
    Day {
        /// The first second since 1970.
        first: i64,
        /// The last second since 1970.
        last: i64,
    },
    /// An instant.
    Instant(Timestamp),
}

/// The text is neither a date nor a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a moment is a date, 2026-01-15, or a time as in RFC 3339, 2026-01-15T09:30:00Z")]
pub struct InvalidMoment;

impl Moment {
    /// Parses a date (`2026-01-15`) or an RFC 3339 time.
    ///
    /// # Errors
    /// [`InvalidMoment`].
    pub fn parse(text: &str) -> Result<Self, InvalidMoment> {
        if let Ok(instant) = Timestamp::parse(text) {
            return Ok(Self::Instant(instant));
        }
        let parts: Vec<&str> = text.split('-').collect();
        let [year, month, day] = parts.as_slice() else { return Err(InvalidMoment) };
        if (year.len(), month.len(), day.len()) != (4, 2, 2) {
            return Err(InvalidMoment);
        }
        // The library accepts a sign before a number.
        if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
            return Err(InvalidMoment);
        }
        let number = |part: &str| part.parse::<u16>().map_err(|_| InvalidMoment);
        let small = |number: u16| u8::try_from(number).map_err(|_| InvalidMoment);
        let month = Month::try_from(small(number(month)?)?).map_err(|_| InvalidMoment)?;
        let date = Date::from_calendar_date(number(year)?.into(), month, small(number(day)?)?)
            .map_err(|_| InvalidMoment)?;
        let first = date.midnight().assume_utc().unix_timestamp();
        Ok(Self::Day { first, last: first + 86_399 })
    }

    /// How many microseconds a time is away; 0 within the day.
    #[must_use]
    pub fn distance(self, time: Timestamp) -> u128 {
        let micros = |time: Timestamp| time.instant().unix_timestamp_nanos() / 1000;
        let at = micros(time);
        match self {
            Self::Instant(instant) => at.abs_diff(micros(instant)),
            Self::Day { first, last } => {
                let (first, after) =
                    (i128::from(first) * 1_000_000, (i128::from(last) + 1) * 1_000_000);
                if at < first {
                    at.abs_diff(first)
                } else if at >= after {
                    at.abs_diff(after)
                } else {
                    0
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_backup_is_no_path() {
        let at = Timestamp::parse("2026-01-15T09:30:07.123456Z").expect("time");
        let id = BackupId::new(at, 0x1f_2e3d);
        assert_eq!(id.to_string(), "backup_20260115_093007_001f2e3d");
        assert_eq!(BackupId::parse(&id.to_string()), Ok(id));
        for text in [
            "",
            "..",
            "backup_20260115_093007_001f2e3d/..",
            "../backup_20260115_093007_001f2e3d",
            "backup_20260115_093007_001F2E3D",
            "backup_20260115_093007_001f2e3",
            "backup_2026011５_093007_001f2e3d",
            "backup_20260115_093007_001f2e3d_1",
        ] {
            assert_eq!(BackupId::parse(text), Err(InvalidBackupId), "{text}");
        }
    }

    #[test]
    fn a_path_in_a_backup_never_leaves_it() {
        for path in ["catalog/versions.jsonl", "artifacts/risk_model/v1.0.0/model.pkl"] {
            assert!(BackupPath::parse(path).is_some(), "{path}");
        }
        for path in [
            "catalog/../../x.jsonl",
            "/etc/passwd",
            "artifacts/risk_model/v1.0.0/..",
            "artifacts/../v1.0.0/model.pkl",
            "artifacts/risk_model/v1.0.0/a/b",
            "artifacts/risk_model/v1.0.0/",
            "backup_manifest.json",
            "catalog/..",
        ] {
            assert_eq!(BackupPath::parse(path), None, "{path}");
        }
    }

    #[test]
    fn the_nearest_moment_is_counted_from_the_day_or_the_instant() {
        let time = |text| Timestamp::parse(text).expect("time");
        let day = Moment::parse("2026-01-15").expect("day");
        assert_eq!(day.distance(time("2026-01-15T23:59:59Z")), 0);
        assert_eq!(day.distance(time("2026-01-14T23:59:50Z")), 10_000_000);
        assert_eq!(day.distance(time("2026-01-16T00:00:09Z")), 9_000_000);
        let instant = Moment::parse("2026-01-15T09:30:00Z").expect("instant");
        assert_eq!(instant.distance(time("2026-01-15T09:29:00Z")), 60_000_000);
        assert_eq!(instant.distance(time("2026-01-15T09:30:00.000001Z")), 1);
        for text in ["2026-13-01", "2026-02-30", "15.01.2026", "yesterday", "+026-01-01"] {
            assert_eq!(Moment::parse(text), Err(InvalidMoment), "{text}");
        }
    }
}
