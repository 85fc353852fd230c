//! Checks whether a new registry may be created in a directory. A mistyped directory or an unmounted volume must not
//! become an empty registry that looks valid.

use std::{fs, io, path::Path};

use super::root::{ARTIFACTS, CATALOG, MANIFEST};
use crate::error::{ErrorKind, RegistryError};

/// The content of the place for a registry directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A registry, or something that cannot be read; opening it then gives the error.
    Taken,
    /// No directory.
    Absent,
    /// A directory without files; hidden names and `lost+found` do not count.
    Empty,
}

/// Folders deeper than this count as files.
const DEEPEST: u32 = 4;

/// Examines the directory. `external` says that the catalog is not stored in it.
///
/// # Errors
/// `INVALID_REQUEST` where it contains files but no registry.
pub fn look(directory: &Path, external: bool) -> Result<Place, RegistryError> {
    let has = |name: &str| directory.join(name).symlink_metadata().is_ok();
    if has(CATALOG) || has(MANIFEST) || (external && has(ARTIFACTS)) {
        return Ok(Place::Taken);
    }
    match first_file(directory, 0) {
        Ok(None) => Ok(Place::Empty),
        Ok(Some(name)) => Err(RegistryError::new(
            ErrorKind::InvalidRequest,
            format!(
                "{} holds other files ({name} is one) and no registry; name a registry's directory, or an empty one \
                 for a new registry, with --registry-dir or MODEL_REGISTRY_DIR",
                directory.display()
            ),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Place::Absent),
        Err(_) => Ok(Place::Taken),
    }
}

/// The name of any file in the folder or beneath it. Hidden names and `lost+found`, which file systems create, do not
/// count at the top level.
fn first_file(folder: &Path, depth: u32) -> io::Result<Option<String>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if depth == 0 && (name.as_encoded_bytes().starts_with(b".") || name == "lost+found") {
            continue;
        }
        if !entry.file_type()?.is_dir() || depth == DEEPEST {
            return Ok(Some(format!("{name:?}")));
        }
        if let Some(found) = first_file(&entry.path(), depth + 1)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_and_an_empty_directory_are_free() {
        let folder = tempfile::tempdir().expect("folder");
        assert_eq!(look(&folder.path().join("none"), false), Ok(Place::Absent));
        assert_eq!(look(folder.path(), false), Ok(Place::Empty));
        for name in ["lost+found", ".snapshot", "artifacts/risk_model"] {
            fs::create_dir_all(folder.path().join(name)).expect("made");
        }
        fs::write(folder.path().join(".lock"), "").expect("written");
        assert_eq!(look(folder.path(), false), Ok(Place::Empty));
        assert_eq!(look(folder.path(), true), Ok(Place::Taken), "a catalog elsewhere may know it");
    }

    #[test]
    fn a_registry_is_known_by_its_files() {
        for name in [CATALOG, MANIFEST] {
            let folder = tempfile::tempdir().expect("folder");
            fs::write(folder.path().join("other"), "").expect("written");
            fs::write(folder.path().join(name), "").expect("written");
            assert_eq!(look(folder.path(), false), Ok(Place::Taken), "{name}");
        }
    }

    #[test]
    fn other_files_are_refused_by_name_wherever_they_are() {
        for name in ["thesis.tex", "artifacts/risk_model/v1.0.0/model.pkl", "a/b/c/d/e/f"] {
            let folder = tempfile::tempdir().expect("folder");
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            fs::write(&file, "").expect("written");
            let error = look(folder.path(), false).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::InvalidRequest);
            assert!(error.detail().contains("holds other files"), "{error}");
        }
    }
}
