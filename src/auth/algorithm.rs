//! The names of signature algorithms, as tokens, keys and the configuration write them (RFC 7518, RFC 8037, RFC 9864).

use jsonwebtoken::{Algorithm, AlgorithmFamily};

/// Every name that is understood, for messages.
pub const KNOWN: &str = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, Ed25519 (another name of EdDSA)";

/// The asymmetric algorithm of this name; `None` for any other name. `Ed25519` is what RFC 9864 calls `EdDSA`
/// with a key of that curve, the only curve that is used here.
#[must_use]
pub fn parse(name: &str) -> Option<Algorithm> {
    let name = if name == "Ed25519" { "EdDSA" } else { name };
    name.parse().ok().filter(|algorithm: &Algorithm| algorithm.family() != AlgorithmFamily::Hmac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_of_eddsa_are_one_algorithm() {
        assert_eq!(parse("EdDSA"), Some(Algorithm::EdDSA));
        assert_eq!(parse("Ed25519"), Some(Algorithm::EdDSA));
    }

    #[test]
    fn symmetric_unknown_and_misspelled_names_are_none() {
        for name in ["HS256", "none", "", "Ed448", "ed25519", "EDDSA", "rs256", "ES256K"] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn every_name_of_the_message_is_understood() {
        for name in KNOWN.split(", ").map(|name| name.split(' ').next().unwrap_or_default()) {
            assert!(parse(name).is_some(), "{name}");
        }
    }
}
