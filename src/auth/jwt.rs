//! One JWT access token: is it good, and what may its bearer do? RFC 9068 where the provider follows it, and
//! RFC 8725 throughout. Pure: keys and time are handed in.
//!
//! `docs/identity.md` tells each decision on the odd cases. Its bearer is never told why a token is refused; the
//! log is, in words of ours that hold nothing of the token.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, crypto};
use serde_json::{Map, Value};

use super::{Principal, key_set::Key, strict_json};
use crate::{
    domain::{Policy, Scope},
    limits,
};

/// How such callers are called in the log.
pub const ROLE: &str = "jwt";

/// Times beyond the year 9999 are no times.
const LAST_SECOND: u64 = 253_402_300_799;

/// What is asked of every token.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The one issuer.
    pub issuer: String,
    /// What `aud` must contain.
    pub audience: String,
    /// The algorithms that are believed.
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the scopes; `None` for `scope`, else `scp`.
    pub scope_claim: Option<String>,
    /// By how many seconds the provider's clock may differ from ours.
    pub leeway: u64,
    /// What the provider's roles mean here.
    pub policy: Policy,
}

/// A token whose header is acceptable. Nothing of it is believed yet.
pub struct Unverified<'a> {
    token: &'a str,
    /// The algorithm that it claims.
    pub algorithm: Algorithm,
    /// The key that it claims.
    pub kid: Option<String>,
}

/// A token that was found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Its bearer.
    pub principal: Principal,
    /// The second at which it is no longer good, leeway included.
    pub until: u64,
}

/// Why a token is refused, for the log.
pub type Refusal = &'static str;

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
        // Members that say how the token is to be read, none of which is followed. `jwk`, `jku`, `x5u` and
        // `x5c` only offer keys, and are not looked at.
        let changes_meaning = ["crit", "b64", "zip", "enc", "cty"];
        if changes_meaning.iter().any(|name| header.contains_key(*name)) {
            return Err("its header wants an extension");
        }
        if !text("typ")?.is_none_or(is_token_type) {
            return Err("its typ is not an access token's");
        }
        let algorithm = text("alg")?.and_then(|name| name.parse().ok());
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
        check_claims(&claims.ok_or("its claims are malformed")?, rules, now)
    }
}

fn decode_object(part: &str) -> Option<Map<String, Value>> {
    strict_json::object(&URL_SAFE_NO_PAD.decode(part).ok()?)
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

fn check_claims(claims: &Map<String, Value>, rules: &Rules, now: u64) -> Result<Verified, Refusal> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(&rules.issuer) {
        return Err("its iss is not the configured issuer");
    }
    if !claims.get("aud").is_some_and(|value| has_audience(value, &rules.audience)) {
        return Err("its aud does not hold the configured audience");
    }
    let expires = claims.get("exp").and_then(seconds).ok_or("its exp is absent or malformed")?;
    let until = expires.saturating_add(rules.leeway);
    if now >= until {
        return Err("it has expired");
    }
    let begun = |name: &str| {
        claims.get(name).is_none_or(|value| {
            seconds(value).is_some_and(|start| start <= now.saturating_add(rules.leeway))
        })
    };
    if !begun("nbf") || !begun("iat") {
        return Err("its nbf or iat is of the future or malformed");
    }
    // `cnf` binds a token to a key that its bearer must prove to hold; here nobody asks for the proof.
    if claims.contains_key("cnf") {
        return Err("it is bound to a key (cnf)");
    }
    if is_for_something_else(claims) {
        return Err("it is marked as another kind of token");
    }
    let subject = match claims.get("sub").map(Value::as_str) {
        None => None,
        Some(subject) => Some(subject.ok_or("its sub is malformed")?.to_owned()),
    };
    // RFC 9068; OpenID Connect; Okta; Entra's first version.
    let client = ["client_id", "azp", "cid", "appid"].into_iter().find_map(text);
    let mut principal = Principal::new(ROLE, subject, scopes(claims, rules));
    principal.client_id = client.map(ToOwned::to_owned);
    Ok(Verified { principal, until })
}

/// A whole number of seconds since 1970, written as one.
fn seconds(value: &Value) -> Option<u64> {
    value.as_u64().filter(|seconds| *seconds <= LAST_SECOND)
}

fn has_audience(value: &Value, ours: &str) -> bool {
    match value {
        Value::String(audience) => audience == ours,
        Value::Array(list) => {
            list.iter().all(Value::is_string) && list.iter().any(|audience| audience == ours)
        }
        _ => false,
    }
}

/// Whether the provider's own marks say that this is no access token but an ID, refresh or logout token.
fn is_for_something_else(claims: &Map<String, Value>) -> bool {
    let other = |name: &str, access: &str| {
        claims
            .get(name)
            .is_some_and(|kind| kind.as_str().is_none_or(|kind| !kind.eq_ignore_ascii_case(access)))
    };
    let keycloak_says_access = claims.contains_key("typ") && !other("typ", "Bearer");
    let id_token = ["at_hash", "c_hash", "s_hash"].iter().any(|name| claims.contains_key(*name))
        // Keycloak copies the nonce of a log-in into the access token as well.
        || (claims.contains_key("nonce") && !keycloak_says_access);
    // `typ` is Keycloak's, `token_use` Cognito's, `events` that of logout and security event tokens.
    id_token
        || other("typ", "Bearer")
        || other("token_use", "access")
        || claims.contains_key("events")
}

/// What the scope claim grants. A value of the wrong type, or a list with anything but strings, grants
/// nothing.
fn scopes(claims: &Map<String, Value>, rules: &Rules) -> Vec<Scope> {
    let claim = match &rules.scope_claim {
        Some(path) => claim_at(claims, path),
        None => claims.get("scope").or_else(|| claims.get("scp")),
    };
    let values: Vec<&str> = match claim {
        Some(Value::String(text)) => text.split(' ').collect(),
        Some(Value::Array(list)) => {
            list.iter().map(Value::as_str).collect::<Option<_>>().unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let mut granted: Vec<Scope> =
        values.into_iter().flat_map(|value| rules.policy.granted_by(value)).copied().collect();
    granted.sort_unstable();
    granted.dedup();
    granted
}

/// A claim by its path. A claim that has the whole path for its name comes first: some providers name
/// theirs by URLs.
fn claim_at<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(claim) = claims.get(path) {
        return Some(claim);
    }
    let (first, rest) = path.split_once('.')?;
    rest.split('.').try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn rules() -> Rules {
        let policy =
            Policy::parse("[roles]\nquant-admin = [\"model:admin\"]", &[]).expect("policy");
        Rules {
            issuer: "https://idp.example/".into(),
            audience: "model-registry".into(),
            algorithms: vec![Algorithm::RS256],
            scope_claim: None,
            leeway: 30,
            policy,
        }
    }

    fn claims() -> Value {
        json!({
            "iss": "https://idp.example/", "aud": "model-registry", "exp": NOW + 60, "iat": NOW - 1,
            "sub": "alice", "client_id": "ci", "scope": "openid model:read",
        })
    }

    fn check_with(rules: &Rules, changes: &[(&str, Value)]) -> Option<Verified> {
        let mut claims = claims();
        for (name, value) in changes {
            claims[*name] = value.clone();
        }
        check_claims(claims.as_object().expect("an object"), rules, NOW).ok()
    }

    fn check(changes: &[(&str, Value)]) -> Option<Verified> {
        check_with(&rules(), changes)
    }

    #[test]
    fn a_good_token_names_its_bearer() {
        let verified = check(&[]).expect("good");
        assert_eq!(verified.until, NOW + 90);
        let principal = verified.principal;
        assert_eq!((principal.role, principal.subject.as_deref()), ("jwt", Some("alice")));
        assert_eq!(principal.client_id.as_deref(), Some("ci"));
        assert!(principal.holds(Scope::Read) && !principal.holds(Scope::Write));
    }

    #[test]
    fn claims_that_are_not_ours_are_refused() {
        for (name, value) in [
            ("iss", json!("https://idp.example")),
            ("iss", json!(["https://idp.example/"])),
            ("iss", json!(null)),
            ("aud", json!("Model-Registry")),
            ("aud", json!("model-registry-2")),
            ("aud", json!(["billing"])),
            ("aud", json!(["model-registry", 1])),
            ("aud", json!({"model-registry": true})),
            ("exp", json!(NOW - 30)),
            ("exp", json!((NOW + 60).to_string())),
            ("exp", json!(NOW as f64 + 60.5)),
            ("exp", json!(1e308)),
            ("exp", json!(-1)),
            ("exp", json!(null)),
            ("exp", json!(LAST_SECOND + 1)),
            ("nbf", json!(NOW + 31)),
            ("nbf", json!("0")),
            ("iat", json!(NOW + 31)),
            ("iat", json!(null)),
            ("cnf", json!({"jkt": "x"})),
            ("cnf", json!(null)),
            ("sub", json!(7)),
            ("nonce", json!("n")),
            ("at_hash", json!("h")),
            ("typ", json!("ID")),
            ("typ", json!("Refresh")),
            ("token_use", json!("id")),
            ("events", json!({})),
        ] {
            assert_eq!(check(&[(name, value.clone())]), None, "{name} {value}");
        }
        for missing in ["iss", "aud", "exp"] {
            let mut claims = claims();
            claims.as_object_mut().expect("an object").remove(missing);
            let claims = claims.as_object().expect("an object");
            assert!(check_claims(claims, &rules(), NOW).is_err(), "{missing}");
        }
    }

    #[test]
    fn claims_at_the_edge_are_accepted() {
        for (name, value) in [
            ("aud", json!(["billing", "model-registry"])),
            ("exp", json!(NOW - 29)),
            ("nbf", json!(NOW + 30)),
            ("iat", json!(NOW + 30)),
            ("typ", json!("Bearer")),
            ("token_use", json!("access")),
        ] {
            assert!(check(&[(name, value.clone())]).is_some(), "{name} {value}");
        }
        assert!(check(&[("nonce", json!("n")), ("typ", json!("Bearer"))]).is_some());
    }

    fn granted(rules: &Rules, changes: &[(&str, Value)]) -> Vec<Scope> {
        let principal = check_with(rules, changes).expect("good").principal;
        [Scope::Read, Scope::Write, Scope::Admin]
            .into_iter()
            .filter(|scope| principal.holds(*scope))
            .collect()
    }

    #[test]
    fn scopes_are_matched_whole_and_in_their_case() {
        use Scope::{Admin, Read, Write};
        for (value, scopes) in [
            (json!("model:read model:write"), vec![Read, Write]),
            (json!("model:admin"), vec![Read, Write, Admin]),
            (json!(["model:write"]), vec![Write]),
            (json!(["quant-admin"]), vec![Read, Write, Admin]),
            (json!(" model:read  x"), vec![Read]),
            (json!("model:read\tmodel:write"), vec![]),
            (json!("model:read,model:write"), vec![]),
            (json!("Model:Read model:reader xmodel:read name:model:admin Quant-Admin"), vec![]),
            (json!(["model:read model:write"]), vec![]),
            (json!(["model:read", 1]), vec![]),
            (json!([["model:read"]]), vec![]),
            (json!({"model:read": true}), vec![]),
            (json!(true), vec![]),
            (json!(null), vec![]),
        ] {
            assert_eq!(granted(&rules(), &[("scope", value.clone())]), scopes, "{value}");
        }
    }

    #[test]
    fn scp_counts_only_where_there_is_no_scope() {
        assert_eq!(granted(&rules(), &[("scp", json!("model:admin"))]), [Scope::Read]);
        let bad = [("scope", json!(1)), ("scp", json!("model:admin"))];
        assert!(granted(&rules(), &bad).is_empty());
        let mut claims = claims();
        claims.as_object_mut().expect("an object").remove("scope");
        claims["scp"] = json!(["model:write"]);
        let claims = claims.as_object().expect("an object");
        assert_eq!(scopes(claims, &rules()), [Scope::Write]);
    }

    #[test]
    fn a_path_leads_to_a_claim_within_claims() {
        let at = |path: &str| Rules { scope_claim: Some(path.into()), ..rules() };
        let roles = [("realm_access", json!({"roles": ["model:write"], "deep": {"x": 1}}))];
        assert_eq!(granted(&at("realm_access.roles"), &roles), [Scope::Write]);
        for nowhere in ["realm_access", "realm_access.", "realm_access.roles.0", "roles", "a.b.c"] {
            assert!(granted(&at(nowhere), &roles).is_empty(), "{nowhere}");
        }
        let url = "https://example.com/roles";
        assert_eq!(granted(&at(url), &[(url, json!(["model:read"]))]), [Scope::Read]);
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
        for bad in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"PS256"}"#,
            r#"{"alg":"rs256"}"#,
            r#"{"alg":["RS256"]}"#,
            r#"{}"#,
            r#"{"alg":"RS256","alg":"none"}"#,
            r#"{"alg":"RS256","crit":[]}"#,
            r#"{"alg":"RS256","b64":true}"#,
            r#"{"alg":"RS256","cty":"JWT"}"#,
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
