//! Tokens signed by the tests themselves, with the provider's own keys or with others.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::provider::{AUDIENCE, script};

/// A key of each kind, as `keys.mjs` makes them.
pub struct Keys {
    folder: Option<TempDir>,
}

impl Keys {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        assert!(script("keys.mjs").arg(folder.path()).status().unwrap().success());
        Self { folder: Some(folder) }
    }

    pub fn none() -> Self {
        Self { folder: None }
    }

    pub fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    pub fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder().join(name)).unwrap()
    }

    /// The signature over some bytes, base64url.
    pub fn sign(&self, algorithm: Algorithm, message: &str) -> String {
        let key = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_der(&self.file("es256.der")),
            Algorithm::EdDSA => EncodingKey::from_ed_der(&self.file("eddsa.der")),
            _ => EncodingKey::from_rsa_der(&self.file("rs256.der")),
        };
        crypto::sign(message.as_bytes(), &key, algorithm).unwrap()
    }

    /// A token with these texts for header and claims, signed with `algorithm` whatever the header says.
    pub fn token_of(&self, algorithm: Algorithm, header: &str, claims: impl AsRef<[u8]>) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        format!("{message}.{}", self.sign(algorithm, &message))
    }

    /// A token with this header and these claims, signed as the header says.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        let algorithm = header["alg"].as_str().unwrap().parse().unwrap();
        self.token_of(algorithm, &header.to_string(), claims.to_string())
    }
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// The header of a good token.
pub fn header() -> Value {
    json!({"alg": "RS256", "typ": "at+jwt", "kid": "rs256-1"})
}

/// The claims of a good token.
pub fn claims(issuer: &str) -> Value {
    json!({
        "iss": issuer, "aud": AUDIENCE, "exp": now() + 300, "iat": now(), "sub": "alice",
        "client_id": "tests", "scope": "model:read",
    })
}

/// The same object with some members replaced.
pub fn with(mut object: Value, changes: &[(&str, Value)]) -> Value {
    for (name, value) in changes {
        object[*name] = value.clone();
    }
    object
}

/// The same object without a member.
pub fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().unwrap().remove(name);
    object
}
