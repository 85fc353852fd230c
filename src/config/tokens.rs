//! The variables of the configured tokens.

use secrecy::SecretString;

use super::{Reader, TokenPlace, TokenRole, TokenSource};
use crate::auth::token_file;

pub(super) const READ_TOKEN: &str = "MODEL_REGISTRY_READ_TOKEN";
pub(super) const ADMIN_TOKEN: &str = "MODEL_REGISTRY_ADMIN_TOKEN";
pub(super) const LEGACY_TOKEN: &str = "MODEL_REGISTRY_TOKEN";

/// Each variable and its role, the most powerful first.
const ROLES: [(&str, TokenRole); 3] = [
    (ADMIN_TOKEN, TokenRole::Admin),
    (READ_TOKEN, TokenRole::Read),
    (LEGACY_TOKEN, TokenRole::LegacyRead),
];

/// Where tokens are, and whether one is there.
pub(super) struct Tokens {
    pub sources: Vec<TokenSource>,
    /// Whether there is a token, or would be but for a problem that is told already.
    pub any: bool,
}

/// Reads them.
pub(super) fn read(reader: &mut Reader<'_>) -> Tokens {
    let before = reader.problems.len();
    let found: Vec<_> =
        ROLES.into_iter().filter_map(|(name, role)| one(reader, name, role)).collect();
    let any = found.iter().any(|(_, holds_one)| *holds_one) || reader.problems.len() > before;
    Tokens { sources: found.into_iter().map(|(source, _)| source).collect(), any }
}

/// The source of a role's tokens, and whether it holds one.
fn one(reader: &mut Reader<'_>, name: &str, role: TokenRole) -> Option<(TokenSource, bool)> {
    let file_variable = format!("{name}_FILE");
    match (reader.text(name), reader.path(&file_variable)) {
        (None, None) => None,
        (Some(_), Some(_)) => {
            reader.problem(name, format!("{file_variable} is set as well; keep one of them"));
            None
        }
        (Some(text), None) => match token_file::check(text.as_bytes()) {
            Ok(token) => {
                let place = TokenPlace::Value(SecretString::from(token));
                Some((TokenSource { role, variable: name.to_owned(), place }, true))
            }
            Err(what) => {
                reader.problem(name, what);
                None
            }
        },
        (None, Some(path)) => match token_file::read(&path) {
            // An empty file is followed as well: a token may come.
            Ok(tokens) => {
                if tokens.is_empty() {
                    reader.ignored_empty.push(file_variable.clone());
                }
                let place = TokenPlace::File(path);
                Some((TokenSource { role, variable: file_variable, place }, !tokens.is_empty()))
            }
            Err(what) => {
                reader.problem(&file_variable, what);
                None
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, ServerSettings};

    fn load(pairs: &[(&str, &str)]) -> Result<Vec<TokenSource>, Vec<String>> {
        let pairs = pairs.iter().chain(&[("ENVIRONMENT", "dev")]).copied().collect();
        ServerSettings::load(&pairs, &Flags::default())
            .map(|(_, server)| server.tokens)
            .map_err(|problems| problems.0)
    }

    #[test]
    fn a_token_may_come_from_a_file_but_not_from_both() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("token");
        std::fs::write(&path, "ci=from-the-file\nother\n").expect("written");
        let path = path.to_str().expect("UTF-8");
        let file = "MODEL_REGISTRY_ADMIN_TOKEN_FILE";
        let tokens = load(&[(file, path)]).expect("good");
        assert_eq!((tokens.len(), tokens[0].role), (1, TokenRole::Admin));
        let found = load(&[(file, path), (ADMIN_TOKEN, "inline-secret")]).expect_err("both");
        assert!(found[0].starts_with(ADMIN_TOKEN) && !found[0].contains("inline-secret"));
        assert!(load(&[(file, "/no/such/file")]).expect_err("absent")[0].starts_with(file));
        let found = load(&[(ADMIN_TOKEN, "two words")]).expect_err("a space");
        assert!(found.len() == 1 && found[0].starts_with(ADMIN_TOKEN), "{found:?}");
        assert!(!found[0].contains("two words"));
    }

    #[test]
    fn a_file_without_a_token_counts_as_unset() {
        let empty = tempfile::NamedTempFile::new().expect("file");
        let path = empty.path().to_str().expect("UTF-8");
        let found = load(&[("MODEL_REGISTRY_READ_TOKEN_FILE", path)]).expect_err("no token");
        assert!(found.len() == 1 && found[0].starts_with(READ_TOKEN), "{found:?}");
        let beside = [("MODEL_REGISTRY_READ_TOKEN_FILE", path), (ADMIN_TOKEN, "0123456789abcdef")];
        assert_eq!(load(&beside).expect("good").len(), 2, "it is followed: a token may come");
    }

    #[test]
    fn secrets_are_not_shown_by_debug() {
        let tokens = load(&[(READ_TOKEN, "0123456789abcdef")]).expect("good");
        assert!(!format!("{tokens:?}").contains("0123456789abcdef"));
    }
}
