//! The tokens that stand in the configuration.

use secrecy::{ExposeSecret as _, SecretString};
use subtle::{Choice, ConstantTimeEq as _};

use super::Principal;
use crate::domain::{Scope, Sha256Digest};

/// A configured token's digest, and whom it makes of its bearer.
struct Known {
    digest: Sha256Digest,
    role: &'static str,
    scopes: &'static [Scope],
}

/// The configured tokens. Only their digests are kept.
pub struct StaticTokens {
    /// The weightiest first: a secret that stands twice counts as the first.
    known: Vec<Known>,
}

impl StaticTokens {
    /// Takes the tokens that are configured; an empty one is no token.
    #[must_use]
    pub fn new(
        admin: Option<&SecretString>,
        read: Option<&SecretString>,
        legacy_read: Option<&SecretString>,
    ) -> Self {
        let roles: [(_, _, &'static [Scope]); 3] = [
            (admin, "admin", &[Scope::Read, Scope::Write, Scope::Admin]),
            (read, "read", &[Scope::Read]),
            (legacy_read, "legacy_read", &[Scope::Read]),
        ];
        let known = roles
            .into_iter()
            .filter_map(|(token, role, scopes)| {
                let token = token?.expose_secret();
                let digest = Sha256Digest::of(token.as_bytes());
                (!token.is_empty()).then_some(Known { digest, role, scopes })
            })
            .collect();
        Self { known }
    }

    /// Whom a token makes of its bearer.
    ///
    /// Digests are compared, in constant time and all of them, so that the time taken tells neither how
    /// much of a guess was right nor which token it came close to.
    #[must_use]
    pub fn resolve(&self, token: &[u8]) -> Option<Principal> {
        let presented = Sha256Digest::of(token);
        let mut found: Option<&Known> = None;
        for known in &self.known {
            let equal: Choice = known.digest.as_bytes().ct_eq(presented.as_bytes());
            if bool::from(equal) && found.is_none() {
                found = Some(known);
            }
        }
        found.map(|known| Principal::new(known.role, None, known.scopes.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[test]
    fn each_token_has_its_role_and_scopes() {
        let (admin, read, legacy) = (secret("admin-secret"), secret("read-secret"), secret("old"));
        let tokens = StaticTokens::new(Some(&admin), Some(&read), Some(&legacy));
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
    fn a_secret_in_both_places_is_admins() {
        let same = secret("same-secret");
        let tokens = StaticTokens::new(Some(&same), Some(&same), Some(&same));
        assert_eq!(tokens.resolve(b"same-secret").map(|principal| principal.role), Some("admin"));
    }

    #[test]
    fn an_empty_token_authenticates_no_one() {
        let empty = secret("");
        let tokens = StaticTokens::new(Some(&empty), Some(&empty), None);
        assert_eq!(tokens.resolve(b""), None);
    }

    #[test]
    fn nothing_but_the_whole_token_will_do() {
        let read = secret("read-secret");
        let tokens = StaticTokens::new(None, Some(&read), None);
        for guess in
            ["", "read-secre", "read-secret ", "READ-SECRET", "model:read", "read:model:admin"]
        {
            assert_eq!(tokens.resolve(guess.as_bytes()), None, "{guess:?}");
        }
    }
}
