//! One key of a key set (RFC 7517): whether signatures can be checked with it, and if not, why.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::algorithm;
use crate::domain::Sha256Digest;

/// Bytes of an RSA modulus: shorter ones can be broken, longer ones cost too much to check.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// Characters of a `kid` that are shown.
const SHOWN_CHARACTERS: usize = 64;

/// A key that signatures may be checked with.
pub struct Key {
    /// Its name in the key set.
    pub kid: Option<String>,
    /// The algorithms that it may be used with.
    pub algorithms: Vec<Algorithm>,
    /// The key itself.
    pub decoding: DecodingKey,
    /// Identifies the key by all that it is: another key of the same name has another.
    pub fingerprint: Sha256Digest,
}

/// Why a key is not used, as the end of a sentence. It repeats nothing of the key.
pub type Unusable = &'static str;

/// The members of a JWK that are set. .NET writes those that are not as `null`, `""` or `[]`.
struct Members<'a>(&'a Map<String, Value>);

impl<'a> Members<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| match value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(list) => !list.is_empty(),
            _ => true,
        })
    }

    fn text(&self, name: &str, wrong: Unusable) -> Result<Option<&'a str>, Unusable> {
        self.get(name).map(|value| value.as_str().ok_or(wrong)).transpose()
    }

    fn bytes(&self, name: &str, wrong: Unusable) -> Result<Vec<u8>, Unusable> {
        let text = self.text(name, wrong)?.ok_or(wrong)?;
        URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong)
    }
}

/// The key itself, the algorithms that are possible with it, and the bytes that make it that key.
struct Material {
    decoding: DecodingKey,
    possible: Vec<Algorithm>,
    bytes: Vec<u8>,
}

impl Key {
    /// Reads one member of the list `keys`, for the algorithms that are allowed.
    ///
    /// # Errors
    /// Why it is not used.
    pub fn parse(jwk: &Value, allowed: &[Algorithm]) -> Result<Self, Unusable> {
        let members = Members(jwk.as_object().ok_or("it is not a JSON object")?);
        if members.text("use", "its use is not a string")?.is_some_and(|purpose| purpose != "sig") {
            return Err("its use is not sig");
        }
        let verifies = match members.get("key_ops") {
            None => true,
            Some(Value::Array(list)) => list.iter().any(|operation| operation == "verify"),
            Some(_) => return Err("its key_ops is not a list"),
        };
        if !verifies {
            return Err("its key_ops does not hold verify");
        }
        if members.get("k").is_some() {
            return Err("it is a symmetric key");
        }
        // Whoever read the key set has it, and can sign with it.
        if members.get("d").is_some() {
            return Err("it is published with its private part (d)");
        }
        let Material { decoding, possible, bytes } = material(&members)?;
        let named = members.text("alg", "its alg is not a string")?;
        let fits = |algorithm: &Algorithm| {
            named.is_none_or(|named| algorithm::parse(named) == Some(*algorithm))
        };
        let fitting: Vec<_> = possible.into_iter().filter(fits).collect();
        if fitting.is_empty() {
            return Err("its alg is not one for signatures with a key of its type");
        }
        let algorithms: Vec<_> =
            fitting.into_iter().filter(|algorithm| allowed.contains(algorithm)).collect();
        if algorithms.is_empty() {
            return Err("its algorithm is not in MODEL_REGISTRY_JWT_ALGORITHMS");
        }
        let kid = members.text("kid", "its kid is not a string")?.map(ToOwned::to_owned);
        let description = format!("{kid:?} {algorithms:?} {bytes:?}");
        let fingerprint = Sha256Digest::of(description.as_bytes());
        Ok(Self { kid, algorithms, decoding, fingerprint })
    }
}

fn material(members: &Members<'_>) -> Result<Material, Unusable> {
    const NO_TYPE: Unusable = "it has no kty";
    const CURVE: Unusable = "its crv is not P-256, P-384 or Ed25519";
    let curve = || members.text("crv", CURVE)?.ok_or(CURVE);
    match members.text("kty", NO_TYPE)?.ok_or(NO_TYPE)? {
        "RSA" => rsa(members),
        "EC" => {
            let (algorithm, length) = match curve()? {
                "P-256" => (Algorithm::ES256, 32),
                "P-384" => (Algorithm::ES384, 48),
                _ => return Err(CURVE),
            };
            const POINT: Unusable = "its x or y is not base64url of the curve's length";
            let (x, y) = (members.bytes("x", POINT)?, members.bytes("y", POINT)?);
            if x.len() != length || y.len() != length {
                return Err(POINT);
            }
            let bytes = [vec![4], x, y].concat();
            let decoding = DecodingKey::from_ec_der(&bytes);
            Ok(Material { decoding, possible: vec![algorithm], bytes })
        }
        "OKP" if curve()? == "Ed25519" => {
            const POINT: Unusable = "its x is not base64url of 32 bytes";
            let bytes = members.bytes("x", POINT)?;
            if bytes.len() != 32 {
                return Err(POINT);
            }
            let decoding = DecodingKey::from_ed_der(&bytes);
            Ok(Material { decoding, possible: vec![Algorithm::EdDSA], bytes })
        }
        "OKP" => Err(CURVE),
        "oct" => Err("it is a symmetric key"),
        _ => Err("its kty is not RSA, EC or OKP"),
    }
}

fn rsa(members: &Members<'_>) -> Result<Material, Unusable> {
    let n = without_leading_zeros(members.bytes("n", "its n is not base64url")?);
    let e = without_leading_zeros(members.bytes("e", "its e is not base64url")?);
    if !RSA_MODULUS_BYTES.contains(&n.len()) {
        return Err("its modulus is shorter than 2048 or longer than 8192 bits");
    }
    if e.len() > 4 || e == [1] || e.last().is_none_or(|low| low % 2 == 0) {
        return Err("its exponent is even, 1 or longer than 32 bits");
    }
    let possible = jsonwebtoken::AlgorithmFamily::Rsa.algorithms().to_vec();
    let decoding = DecodingKey::from_rsa_raw_components(&n, &e);
    Ok(Material { decoding, possible, bytes: [n, e].concat() })
}

fn without_leading_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}

/// The name of a key of a key set for the log: its `kid`, or its place in the list.
#[must_use]
pub fn shown_name(jwk: &Value, place: usize) -> String {
    let kid = jwk.get("kid").and_then(Value::as_str).filter(|kid| !kid.is_empty());
    kid.map_or_else(
        || format!("key {}", place + 1),
        |kid| {
            let kid: String = kid.chars().take(SHOWN_CHARACTERS).collect();
            format!("\"{}\"", kid.escape_debug())
        },
    )
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub const ALL: [Algorithm; 4] =
        [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];

    pub fn coordinate(byte: u8) -> String {
        URL_SAFE_NO_PAD.encode([byte; 32])
    }

    pub fn rsa(kid: &str) -> Value {
        json!({"kty": "RSA", "kid": kid, "n": URL_SAFE_NO_PAD.encode([255; 256]), "e": "AQAB"})
    }

    pub fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    fn parse(jwk: &Value) -> Result<Key, Unusable> {
        Key::parse(jwk, &ALL)
    }

    #[test]
    fn each_key_that_is_not_used_has_its_reason() {
        let short = URL_SAFE_NO_PAD.encode([255; 128]);
        let long = URL_SAFE_NO_PAD.encode([255; 1025]);
        for (key, reason) in [
            (with(rsa("a"), "use", json!("enc")), "use is not sig"),
            (with(rsa("a"), "use", json!(1)), "use is not a string"),
            (with(rsa("a"), "key_ops", json!(["encrypt"])), "key_ops does not hold verify"),
            (with(rsa("a"), "key_ops", json!("verify")), "key_ops is not a list"),
            (with(rsa("a"), "alg", json!("RSA-OAEP")), "not one for signatures"),
            (with(rsa("a"), "alg", json!("ES256")), "not one for signatures"),
            (with(rsa("a"), "alg", json!("RS512")), "MODEL_REGISTRY_JWT_ALGORITHMS"),
            (with(rsa("a"), "alg", json!(["RS256"])), "alg is not a string"),
            (with(rsa("a"), "kid", json!(7)), "kid is not a string"),
            (with(rsa("a"), "d", json!("AQAB")), "private part"),
            (with(rsa("a"), "n", json!(short)), "shorter than 2048"),
            (with(rsa("a"), "n", json!(long)), "longer than 8192"),
            (with(rsa("a"), "n", json!("!!!")), "n is not base64url"),
            (with(rsa("a"), "n", json!(null)), "n is not base64url"),
            (with(rsa("a"), "e", json!("")), "e is not base64url"),
            (with(rsa("a"), "e", json!("AQ")), "exponent"),
            (with(rsa("a"), "e", json!("AAAC")), "exponent"),
            (with(rsa("a"), "kty", json!("oct")), "symmetric"),
            (with(rsa("a"), "kty", json!("")), "no kty"),
            (with(rsa("a"), "kty", json!("AKP")), "kty is not RSA, EC or OKP"),
            (json!({"kty": "oct", "k": coordinate(1), "alg": "HS256"}), "symmetric"),
            (json!({"kty": "EC", "crv": "P-256", "x": coordinate(1)}), "x or y"),
            (json!({"kty": "EC", "x": coordinate(1), "y": coordinate(1)}), "crv"),
            (
                json!({"kty": "EC", "crv": "secp256k1", "x": coordinate(1), "y": coordinate(1)}),
                "crv",
            ),
            (json!({"kty": "OKP", "crv": "X25519", "x": coordinate(1)}), "crv"),
            (json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}), "32 bytes"),
            (json!("key"), "not a JSON object"),
        ] {
            let told = parse(&key).err().unwrap_or("it is used");
            assert!(told.contains(reason), "{key}: {told}");
        }
    }

    #[test]
    fn a_member_that_is_null_or_empty_counts_as_absent() {
        let names =
            ["use", "key_ops", "alg", "kid", "d", "k", "oth", "p", "x5c", "x5t", "x5u", "crv", "y"];
        for name in names {
            for nothing in [json!(null), json!(""), json!([])] {
                let key = with(rsa("a"), name, nothing.clone());
                assert!(parse(&key).is_ok(), "{name} {nothing}");
            }
        }
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": coordinate(3), "y": null, "n": ""});
        assert!(parse(&ed).is_ok());
        assert_eq!(parse(&with(rsa("a"), "kid", json!(""))).expect("used").kid, None);
    }

    #[test]
    fn both_names_of_eddsa_bind_a_key_to_it() {
        for name in ["EdDSA", "Ed25519"] {
            let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": coordinate(3), "alg": name});
            assert_eq!(parse(&ed).expect(name).algorithms, [Algorithm::EdDSA]);
        }
    }

    #[test]
    fn a_name_is_fit_for_the_log() {
        assert_eq!(shown_name(&rsa("a"), 0), "\"a\"");
        assert_eq!(shown_name(&rsa("a\n\"b"), 0), "\"a\\n\\\"b\"");
        assert_eq!(shown_name(&json!({"kid": null}), 1), "key 2");
        assert_eq!(shown_name(&rsa(&"x".repeat(500)), 0).chars().count(), SHOWN_CHARACTERS + 2);
    }
}
