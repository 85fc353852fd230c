//! The header and the signature of one JWT access token, by RFC 7515, RFC 9068 and RFC 8725. Pure: the keys and the
//! time are handed in. [`super::claims`] has the claims.
//!
//! `docs/identity.md` lists the decisions on odd cases. The client never learns why its token is refused; the log
//! does, in fixed words that hold nothing of the token.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, crypto};
use serde_json::{Map, Value};

use super::{
    algorithm, claims,
    jwk::Key,
    rules::{Refusal, Rules, Verified},
    strict_json,
};
use crate::limits;

/// A token whose header is acceptable. Its signature is not checked yet.
pub struct Unverified<'a> {
    token: &'a str,
    /// The algorithm that its header names.
    pub algorithm: Algorithm,
    /// The key that its header names.
    pub kid: Option<String>,
}

impl<'a> Unverified<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// The refusal, where no key could make the token good.
    pub fn parse(token: &'a [u8], rules: &Rules) -> Result<Self, Refusal> {
        const SHAPE: Refusal = "not a signed JWT";
        const HEADER: Refusal = "its header is malformed";
        if token.len() > limits::TOKEN_BYTES {
            return Err("too long");
        }
        let token = std::str::from_utf8(token).map_err(|_| SHAPE)?;
        // A signed token has three parts; an encrypted one (RFC 7516) five.
        let [header, _, _] = parts(token).ok_or(SHAPE)?;
        let header = decode_object(header).ok_or(HEADER)?;
        let text =
            |name: &str| header.get(name).map(|value| value.as_str().ok_or(HEADER)).transpose();
        // RFC 7515 section 4: a member that is not understood is ignored, unless `crit` names it. No extension is
        // understood here, so that `crit` is always one too many. `jwk`, `jku`, `x5u` and `x5c` only offer keys.
        if header.contains_key("crit") {
            return Err("its header requires an extension (crit)");
        }
        // RFC 7519 section 5.2: the payload is another token.
        if header.get("cty").is_some_and(is_nested_token) {
            return Err("it holds another token (cty)");
        }
        if !text("typ")?.is_none_or(is_token_type) {
            return Err("its typ is not an access token's");
        }
        let algorithm = text("alg")?.and_then(algorithm::parse);
        let algorithm = algorithm
            .filter(|algorithm| rules.algorithms.contains(algorithm))
            .ok_or("its algorithm is not allowed")?;
        Ok(Self { token, algorithm, kid: text("kid")?.map(ToOwned::to_owned) })
    }

    /// Checks signature and claims, with a key that fits the header.
    ///
    /// # Errors
    /// The refusal.
    pub fn verify(&self, key: &Key, rules: &Rules, now: u64) -> Result<Verified, Refusal> {
        const SIGNATURE: Refusal = "its signature is wrong";
        let (message, signature) = self.token.rsplit_once('.').ok_or(SIGNATURE)?;
        let signed = crypto::verify(signature, message.as_bytes(), &key.decoding, self.algorithm);
        if !signed.unwrap_or(false) {
            return Err(SIGNATURE);
        }
        let claims = parts(self.token).and_then(|[_, claims, _]| decode_object(claims));
        claims::check(&claims.ok_or("its claims are malformed")?, rules, now)
    }
}

fn decode_object(part: &str) -> Option<Map<String, Value>> {
    strict_json::object(&URL_SAFE_NO_PAD.decode(part).ok()?)
}

fn is_nested_token(content_type: &Value) -> bool {
    content_type.as_str().is_none_or(|name| {
        ["JWT", "application/jwt"].iter().any(|jwt| name.eq_ignore_ascii_case(jwt))
    })
}

fn parts(token: &str) -> Option<[&str; 3]> {
    let mut parts = token.split('.');
    let found = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(found)
}

/// RFC 9068's own type, or the one of providers that do not follow it. Media types ignore case.
fn is_token_type(typ: &str) -> bool {
    ["at+jwt", "application/at+jwt", "JWT"].iter().any(|good| typ.eq_ignore_ascii_case(good))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::claims::tests::rules;

    #[test]
    fn both_names_of_eddsa_are_believed_where_it_is_configured() {
        let rules = Rules { algorithms: vec![Algorithm::EdDSA], ..rules() };
        for name in ["EdDSA", "Ed25519"] {
            let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{name}"}}"#));
            let token = format!("{header}.e30.AA");
            let found = Unverified::parse(token.as_bytes(), &rules).map(|token| token.algorithm);
            assert_eq!(found, Ok(Algorithm::EdDSA), "{name}");
        }
    }

    #[test]
    fn a_header_that_no_key_could_make_good_is_refused() {
        let parse = |header: &str| {
            let token = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(header));
            Unverified::parse(token.as_bytes(), &rules()).ok().map(|unverified| unverified.kid)
        };
        assert_eq!(parse(r#"{"alg":"RS256"}"#), Some(None));
        assert_eq!(
            parse(r#"{"alg":"RS256","typ":"AT+JWT","kid":"a","jku":"http://x","jwk":{}}"#),
            Some(Some("a".into()))
        );
        for ignored in [
            r#"{"alg":"RS256","zip":"NONE"}"#,
            r#"{"alg":"RS256","zip":"DEF"}"#,
            r#"{"alg":"RS256","b64":true}"#,
            r#"{"alg":"RS256","enc":"A256GCM"}"#,
            r#"{"alg":"RS256","cty":"json"}"#,
            r#"{"alg":"RS256","x5t":"AA","ver":1,"org":{"id":null}}"#,
        ] {
            assert_eq!(parse(ignored), Some(None), "{ignored}");
        }
        for bad in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"PS256"}"#,
            r#"{"alg":"rs256"}"#,
            r#"{"alg":["RS256"]}"#,
            r#"{}"#,
            r#"{"alg":"RS256","alg":"none"}"#,
            r#"{"alg":"RS256","crit":[]}"#,
            r#"{"alg":"RS256","crit":null}"#,
            r#"{"alg":"RS256","crit":["zip"],"zip":"DEF"}"#,
            r#"{"alg":"RS256","b64":false,"crit":["b64"]}"#,
            r#"{"alg":"RS256","cty":"JWT"}"#,
            r#"{"alg":"RS256","cty":"application/jwt"}"#,
            r#"{"alg":"RS256","typ":"logout+jwt"}"#,
            r#"{"alg":"RS256","typ":null}"#,
            r#"{"alg":"RS256","kid":7}"#,
            "[]",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        for bad in ["", "a.b", "e30.e30", "a.b.c.d", "a.b.c.d.e", "..", "\u{e9}.b.c"] {
            assert!(Unverified::parse(bad.as_bytes(), &rules()).is_err(), "{bad}");
        }
        assert!(Unverified::parse(&[b'a'; limits::TOKEN_BYTES + 1], &rules()).is_err());
    }
}
