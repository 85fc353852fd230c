//! Access tokens signed with keys of the measurement's own, and the key file that lets the service verify them.

use std::path::{Path, PathBuf};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "model-registry";
/// Twice as many tokens as the service remembers: taken by turns, each is new again when it comes.
const NEW: usize = 20_000;

pub struct Tokens {
    pub rs256: String,
    pub es256: String,
    /// For `wrk`: another ES256 token with each request.
    pub new: String,
    keys: PathBuf,
}

impl Tokens {
    pub fn make(folder: &Path) -> Self {
        let random = SystemRandom::new();
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let ec = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).unwrap();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = rsa.public_key();
        // An uncompressed point: 4, x, y.
        let point = ec.public_key().as_ref();
        let keys = json!({"keys": [
            {
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "rsa",
                "n": encode(public.modulus().big_endian_without_leading_zero()),
                "e": encode(public.exponent().big_endian_without_leading_zero()),
            },
            {
                "kty": "EC", "use": "sig", "alg": "ES256", "kid": "ec", "crv": "P-256",
                "x": encode(&point[1..33]), "y": encode(&point[33..]),
            },
        ]});
        let file = folder.join("keys.json");
        std::fs::write(&file, keys.to_string()).unwrap();

        let signed = |algorithm: &str, kid: &str, subject: usize| {
            let header = json!({"alg": algorithm, "kid": kid, "typ": "at+jwt"}).to_string();
            let claims = json!({
                "iss": ISSUER, "aud": AUDIENCE, "exp": 4_000_000_000_u64, "iat": 1_700_000_000,
                "sub": subject.to_string(), "client_id": "bench", "scope": "model:read",
            });
            let text =
                format!("{}.{}", encode(header.as_bytes()), encode(claims.to_string().as_bytes()));
            let signature = if kid == "rsa" {
                let mut signature = vec![0; rsa.public_modulus_len()];
                rsa.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
                encode(&signature)
            } else {
                encode(ec.sign(&random, text.as_bytes()).unwrap().as_ref())
            };
            format!("{text}.{signature}")
        };
        let new: Vec<_> = (0..NEW).map(|subject| signed("ES256", "ec", subject)).collect();
        let list = folder.join("tokens");
        std::fs::write(&list, new.join("\n")).unwrap();
        let new = format!(
            "local tokens, at = {{}}, 0\n\
             for line in io.lines('{}') do tokens[#tokens + 1] = 'Bearer ' .. line end\n\
             request = function()\n\
             at = at % #tokens + 1\n\
             wrk.headers['Authorization'] = tokens[at]\n\
             return wrk.format()\n\
             end\n",
            list.display()
        );
        Self { rs256: signed("RS256", "rsa", 0), es256: signed("ES256", "ec", 0), new, keys: file }
    }

    /// What the service must be told of them.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("MODEL_REGISTRY_JWT_ISSUER", ISSUER.to_owned()),
            ("MODEL_REGISTRY_JWT_AUDIENCE", AUDIENCE.to_owned()),
            ("MODEL_REGISTRY_JWT_JWKS_FILE", self.keys.to_str().unwrap().to_owned()),
        ]
    }
}
