//! The tokens of the configuration, by value or from files that are read again when they change.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Instant,
};

use secrecy::{ExposeSecret as _, SecretString};
use subtle::{Choice, ConstantTimeEq as _};

use super::{
    Principal,
    token_file::{self, NamedToken},
};
use crate::{
    domain::{Scope, Sha256Digest},
    file_stamp::FileStamp,
    limits,
};

/// Shorter tokens can be guessed.
const SHORTEST: usize = 16;

/// What a configured token is for. The first of them wins where one token has two roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenRole {
    /// Every scope.
    Admin,
    /// `model:read`.
    Read,
    /// `model:read`, by the variable of the Python service.
    LegacyRead,
}

impl TokenRole {
    /// The role's name in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Read => "read",
            Self::LegacyRead => "legacy_read",
        }
    }

    const fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Admin => &[Scope::Read, Scope::Write, Scope::Admin],
            Self::Read | Self::LegacyRead => &[Scope::Read],
        }
    }
}

/// Where the tokens of a role are.
#[derive(Debug, Clone)]
pub enum TokenPlace {
    /// In the variable itself.
    Value(SecretString),
    /// In a file.
    File(PathBuf),
}

/// The tokens of a role, and the variable that says where they are.
#[derive(Debug, Clone)]
pub struct TokenSource {
    /// What they are for.
    pub role: TokenRole,
    /// The variable.
    pub variable: String,
    /// Where they are.
    pub place: TokenPlace,
}

impl TokenSource {
    fn read(&self) -> Result<Vec<Known>, String> {
        let tokens = match &self.place {
            TokenPlace::Value(secret) => vec![NamedToken { name: None, secret: secret.clone() }],
            TokenPlace::File(path) => token_file::read(path)?,
        };
        // An empty token is no token.
        let tokens = tokens.iter().filter(|token| !token.secret.expose_secret().is_empty());
        Ok(tokens.map(|token| Known::of(token, self.role)).collect())
    }

    fn stamp(&self) -> Option<FileStamp> {
        match &self.place {
            TokenPlace::Value(_) => None,
            TokenPlace::File(path) => FileStamp::of(path).ok(),
        }
    }
}

/// A token's digest, and what must be known of it beside that. The token itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    digest: Sha256Digest,
    name: Option<String>,
    short: bool,
    /// Whom the token stands for.
    principal: Arc<Principal>,
}

impl Known {
    fn of(token: &NamedToken, role: TokenRole) -> Self {
        let secret = token.secret.expose_secret();
        Self {
            digest: Sha256Digest::of(secret.as_bytes()),
            name: token.name.clone(),
            short: secret.len() < SHORTEST,
            principal: Arc::new(Principal::new(
                role.name(),
                token.name.clone(),
                role.scopes().to_vec(),
            )),
        }
    }
}

/// A source with what was last read of it.
#[derive(Debug, Clone)]
struct Followed {
    source: TokenSource,
    known: Vec<Known>,
    stamp: Option<FileStamp>,
    /// When the file was seen to have changed last.
    since: Instant,
    /// Why what is there now cannot be used.
    trouble: Option<String>,
}

/// The configured tokens. Requests are resolved from a table that is replaced as a whole, so that none is refused
/// while a file is read again.
pub struct StaticTokens {
    sources: Mutex<Vec<Followed>>,
    table: RwLock<Arc<Vec<Followed>>>,
    from_files: bool,
}

impl StaticTokens {
    /// Reads the tokens, and tells the log what is unwise about them.
    ///
    /// # Errors
    /// A sentence, where a file cannot be used.
    pub fn load(mut sources: Vec<TokenSource>) -> Result<Self, String> {
        sources.sort_by_key(|source| source.role);
        let from_files = sources.iter().any(|source| matches!(source.place, TokenPlace::File(_)));
        let read = |source: TokenSource| {
            let stamp = source.stamp();
            let known = source.read()?;
            Ok(Followed { source, known, stamp, since: Instant::now(), trouble: None })
        };
        let sources: Vec<_> = sources.into_iter().map(read).collect::<Result<_, String>>()?;
        tell_concerns(&sources);
        let table = RwLock::new(Arc::new(sources.clone()));
        Ok(Self { sources: Mutex::new(sources), table, from_files })
    }

    /// Whether there are files to follow.
    #[must_use]
    pub fn from_files(&self) -> bool {
        self.from_files
    }

    /// The principal that a token stands for.
    ///
    /// Digests are compared, in constant time and all of them, so that the time taken tells neither how much of a
    /// guess was right nor which token it came close to.
    #[must_use]
    pub fn resolve(&self, token: &[u8]) -> Option<Arc<Principal>> {
        let presented = Sha256Digest::of(token);
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut found = None;
        for (_, known) in each(&table) {
            let equal: Choice = known.digest.as_bytes().ct_eq(presented.as_bytes());
            if bool::from(equal) && found.is_none() {
                found = Some(&known.principal);
            }
        }
        found.cloned()
    }

    /// Reads files again that changed, and logs what came of it. The tokens of a file that cannot be used stay as
    /// they were. It reads files: call it where that may take its time.
    pub fn follow(&self) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = sources.iter_mut().map(Followed::look).filter(|changed| *changed).count();
        if changed > 0 {
            tell_concerns(&sources);
            let table = Arc::new(sources.clone());
            *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
        }
    }
}

impl Followed {
    /// Whether other tokens than before are known now.
    fn look(&mut self) -> bool {
        if matches!(self.source.place, TokenPlace::Value(_)) {
            return false;
        }
        let stamp = self.source.stamp();
        // The file system's clock may be too coarse to show a second change soon after the first.
        if stamp == self.stamp && self.since.elapsed() >= limits::SIDECAR_SETTLED {
            return false;
        }
        if stamp != self.stamp {
            (self.stamp, self.since) = (stamp, Instant::now());
        }
        let read = self.source.read().and_then(|known| {
            if known.is_empty() && !self.known.is_empty() {
                return Err("it holds no token".to_owned());
            }
            Ok(known)
        });
        let variable = self.source.variable.as_str();
        match read {
            Ok(known) => {
                self.trouble = None;
                if known == self.known {
                    return false;
                }
                self.known = known;
                tracing::info!(variable, tokens = self.known.len(), "the tokens changed");
                true
            }
            Err(why) => {
                if self.trouble.as_ref() != Some(&why) {
                    tracing::error!(
                        variable,
                        why,
                        "the token file changed and cannot be used; the tokens before stay in use"
                    );
                }
                self.trouble = Some(why);
                false
            }
        }
    }
}

fn each(sources: &[Followed]) -> impl Iterator<Item = (TokenRole, &Known)> {
    sources
        .iter()
        .flat_map(|followed| followed.known.iter().map(move |known| (followed.source.role, known)))
}

fn tell_concerns(sources: &[Followed]) {
    for concern in concerns(sources) {
        tracing::warn!("{concern}");
    }
}

/// What is unwise about these tokens, in a sentence each.
fn concerns(sources: &[Followed]) -> Vec<String> {
    let mut told = Vec::new();
    let mut first: BTreeMap<[u8; 32], (TokenRole, &str)> = BTreeMap::new();
    for Followed { source: TokenSource { role, variable, .. }, known, .. } in sources {
        if known.iter().any(|known| known.short) {
            told.push(format!(
                "{variable}: a token is shorter than {SHORTEST} characters and can be guessed; make a long random \
                 one with `openssl rand -hex 32`"
            ));
        }
        for known in known {
            let (before, other) =
                *first.entry(*known.digest.as_bytes()).or_insert((*role, variable));
            if before != *role {
                told.push(format!(
                    "{other} and {variable} hold the same token, which counts as {}; give each role a token of its \
                     own",
                    before.name()
                ));
            }
        }
    }
    told.dedup();
    told
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn source(role: TokenRole, place: TokenPlace) -> TokenSource {
        TokenSource { role, variable: format!("THE_{role:?}_TOKEN"), place }
    }

    fn value(role: TokenRole, text: &str) -> TokenSource {
        source(role, TokenPlace::Value(SecretString::from(text)))
    }

    fn tokens(sources: Vec<TokenSource>) -> StaticTokens {
        StaticTokens::load(sources).expect("tokens")
    }

    fn subject(tokens: &StaticTokens, token: &str) -> Option<String> {
        tokens.resolve(token.as_bytes())?.subject.clone()
    }

    #[test]
    fn each_token_has_its_role_and_scopes() {
        let tokens = tokens(vec![
            value(TokenRole::LegacyRead, "old"),
            value(TokenRole::Read, "read-secret"),
            value(TokenRole::Admin, "admin-secret"),
        ]);
        for (token, role, write) in [
            ("admin-secret", "admin", true),
            ("read-secret", "read", false),
            ("old", "legacy_read", false),
        ] {
            let principal = tokens.resolve(token.as_bytes()).expect(token);
            assert_eq!(principal.role, role);
            assert!(principal.holds(Scope::Read));
            assert_eq!(principal.holds(Scope::Write), write);
            assert_eq!(principal.holds(Scope::Admin), write);
        }
    }

    #[test]
    fn a_token_of_two_roles_is_admins() {
        let same = |role| value(role, "same-secret");
        let tokens = tokens(vec![
            same(TokenRole::Read),
            same(TokenRole::LegacyRead),
            same(TokenRole::Admin),
        ]);
        assert_eq!(tokens.resolve(b"same-secret").map(|principal| principal.role), Some("admin"));
    }

    #[test]
    fn an_empty_token_authenticates_no_one() {
        let tokens = tokens(vec![value(TokenRole::Admin, ""), value(TokenRole::Read, "")]);
        assert_eq!(tokens.resolve(b""), None);
    }

    #[test]
    fn nothing_but_the_whole_token_will_do() {
        let tokens = tokens(vec![value(TokenRole::Read, "read-secret")]);
        for guess in
            ["", "read-secre", "read-secret ", "READ-SECRET", "model:read", "read:model:admin"]
        {
            assert_eq!(tokens.resolve(guess.as_bytes()), None, "{guess:?}");
        }
    }

    #[test]
    fn a_file_is_followed_also_through_a_link() {
        let folder = tempfile::tempdir().expect("folder");
        let (data, link) = (folder.path().join("..data"), folder.path().join("token"));
        let version = |name: &str, text: &str| {
            let version = folder.path().join(name);
            fs::create_dir(&version).expect("made");
            fs::write(version.join("token"), text).expect("written");
            version
        };
        // As Kubernetes mounts a secret: `token` leads through `..data` to a folder, and `..data` is swapped.
        std::os::unix::fs::symlink(version("1", "ci=first\n"), &data).expect("linked");
        std::os::unix::fs::symlink("..data/token", &link).expect("linked");
        let tokens = tokens(vec![source(TokenRole::Admin, TokenPlace::File(link))]);
        assert_eq!(subject(&tokens, "first").as_deref(), Some("ci"));
        let swapped = folder.path().join("swap");
        std::os::unix::fs::symlink(version("2", "ci=first\nci=second\n"), &swapped)
            .expect("linked");
        fs::rename(&swapped, &data).expect("swapped");
        tokens.follow();
        for token in ["first", "second"] {
            assert_eq!(subject(&tokens, token).as_deref(), Some("ci"), "{token}");
        }
    }

    #[test]
    fn tokens_stay_where_their_file_cannot_be_used() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("token");
        fs::write(&path, "first").expect("written");
        let tokens = tokens(vec![
            source(TokenRole::Read, TokenPlace::File(path.clone())),
            value(TokenRole::Admin, "of-the-variable"),
        ]);
        for broken in ["", "two words", "x\n\u{e9}\n"] {
            fs::write(&path, broken).expect("written");
            tokens.follow();
            assert!(tokens.resolve(b"first").is_some(), "{broken:?}");
        }
        fs::remove_file(&path).expect("removed");
        tokens.follow();
        assert!(tokens.resolve(b"first").is_some());
        fs::write(&path, "second").expect("written");
        tokens.follow();
        assert!(tokens.resolve(b"first").is_none() && tokens.resolve(b"second").is_some());
        assert!(tokens.resolve(b"of-the-variable").is_some());
    }

    #[test]
    fn short_and_shared_tokens_are_told_without_them() {
        let long = "0123456789abcdef";
        let told = |sources| {
            let tokens = tokens(sources);
            let table = tokens.table.read().expect("read").clone();
            concerns(&table)
        };
        assert!(told(vec![value(TokenRole::Read, long)]).is_empty());
        let short = told(vec![value(TokenRole::Read, &long[1..])]);
        assert!(short.len() == 1 && short[0].contains("THE_Read_TOKEN"), "{short:?}");
        let shared = told(vec![value(TokenRole::Read, long), value(TokenRole::Admin, long)]);
        assert!(shared.len() == 1 && shared[0].contains("counts as admin"), "{shared:?}");
        assert!(!short.concat().contains(&long[1..]) && !shared.concat().contains(long));
    }
}
