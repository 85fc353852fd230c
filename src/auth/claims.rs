//! The claims of one access token: whether it is for this registry now, and what it grants.

use serde_json::{Map, Value};

use super::{
    Principal,
    rules::{Refusal, Rules, Verified},
};
use crate::domain::Scope;

/// The role of a principal with an access token, in the log.
pub const ROLE: &str = "jwt";

/// The last second of the year 9999. A later time is malformed.
const LAST_SECOND: u64 = 253_402_300_799;

/// Checks the claims of a token whose signature is right.
///
/// # Errors
/// The refusal.
pub fn check(claims: &Map<String, Value>, rules: &Rules, now: u64) -> Result<Verified, Refusal> {
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
        return Err("its nbf or iat is in the future or malformed");
    }
    // `cnf` binds a token to a key that the client must prove to hold; no proof is asked for here.
    if claims.contains_key("cnf") {
        return Err("it is bound to a key (cnf)");
    }
    if claims.contains_key("at_hash") && !rules.accept_at_hash {
        return Err(
            "it has at_hash, as ID tokens have (MODEL_REGISTRY_JWT_ACCEPT_AT_HASH accepts it)",
        );
    }
    if is_another_kind(claims) {
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
    principal.issuer = Some(rules.issuer.clone());
    Ok(Verified { principal: principal.into(), until })
}

/// Seconds since 1970 (RFC 7519's `NumericDate`). A fraction is cut off, as it is from the present time; a time
/// before 1970, which .NET writes for "always", is 1970.
fn seconds(value: &Value) -> Option<u64> {
    if let Some(whole) = value.as_u64() {
        return Some(whole).filter(|seconds| *seconds <= LAST_SECOND);
    }
    let seconds = value.as_number()?.as_f64()?.floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the range is checked, and every whole number in it is exact in 53 bits"
    )]
    (seconds <= LAST_SECOND as f64).then(|| seconds.max(0.0) as u64)
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

/// Whether the provider marked this as an ID, refresh or logout token.
fn is_another_kind(claims: &Map<String, Value>) -> bool {
    let other = |name: &str, access: &str| {
        claims
            .get(name)
            .is_some_and(|kind| kind.as_str().is_none_or(|kind| !kind.eq_ignore_ascii_case(access)))
    };
    let keycloak_says_access = claims.contains_key("typ") && !other("typ", "Bearer");
    let id_token = ["c_hash", "s_hash"].iter().any(|name| claims.contains_key(*name))
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
        Some(path) => path.find(claims),
        None => claims.get("scope").or_else(|| claims.get("scp")),
    };
    let values: Vec<&str> = match claim {
        Some(Value::String(text)) => text.split(' ').collect(),
        Some(Value::Array(list)) => {
            list.iter().map(Value::as_str).collect::<Option<_>>().unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let now = rules.policy.now();
    let mut granted: Vec<Scope> =
        values.into_iter().flat_map(|value| now.policy.granted_by(value)).copied().collect();
    granted.sort_unstable();
    granted.dedup();
    granted
}

#[cfg(test)]
pub(super) mod tests {
    use jsonwebtoken::Algorithm;
    use serde_json::json;

    use super::*;
    use crate::policy::{self, PolicyInForce};

    const NOW: u64 = 1_800_000_000;

    pub fn rules() -> Rules {
        let policy = policy::parse("[roles]\nquant-admin = [\"model:admin\"]").expect("policy");
        let policy = PolicyInForce::fixed(policy);
        Rules {
            issuer: "https://idp.example/".into(),
            audience: "model-registry".into(),
            algorithms: vec![Algorithm::RS256],
            scope_claim: None,
            leeway: 30,
            accept_at_hash: false,
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
        super::check(claims.as_object().expect("an object"), rules, NOW).ok()
    }

    fn check(changes: &[(&str, Value)]) -> Option<Verified> {
        check_with(&rules(), changes)
    }

    #[test]
    fn a_valid_token_names_its_subject_and_client() {
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
            ("exp", json!(NOW as f64 - 30.5)),
            ("exp", json!(1e308)),
            ("exp", json!(-1)),
            ("exp", json!(-1.5)),
            ("exp", json!(LAST_SECOND as f64 + 2.5)),
            ("nbf", json!(NOW as f64 + 31.5)),
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
            assert!(super::check(claims, &rules(), NOW).is_err(), "{missing}");
        }
    }

    #[test]
    fn claims_at_the_edge_are_accepted() {
        for (name, value) in [
            ("aud", json!(["billing", "model-registry"])),
            ("exp", json!(NOW - 29)),
            ("exp", json!(NOW as f64 + 60.5)),
            ("exp", json!(1.9e9)),
            ("nbf", json!(NOW + 30)),
            ("nbf", json!(NOW as f64 - 5.25)),
            ("nbf", json!(0)),
            ("nbf", json!(-62_135_596_800_i64)),
            ("iat", json!(NOW + 30)),
            ("iat", json!(NOW as f64 + 30.9)),
            ("typ", json!("Bearer")),
            ("token_use", json!("access")),
        ] {
            assert!(check(&[(name, value.clone())]).is_some(), "{name} {value}");
        }
        assert!(check(&[("nonce", json!("n")), ("typ", json!("Bearer"))]).is_some());
    }

    #[test]
    fn a_fraction_of_a_second_is_cut_off() {
        let verified = check(&[("exp", json!(NOW as f64 + 60.75))]).expect("good");
        assert_eq!(verified.until, NOW + 90);
        let precise = serde_json::from_str("1800000060.123456789012345678").expect("a number");
        assert_eq!(check(&[("exp", precise)]).expect("good").until, NOW + 90);
    }

    #[test]
    fn at_hash_is_accepted_where_the_operator_says_so() {
        let accepting = Rules { accept_at_hash: true, ..rules() };
        assert!(check_with(&accepting, &[("at_hash", json!("h"))]).is_some());
        for mark in ["c_hash", "s_hash", "nonce", "events"] {
            let changes = [("at_hash", json!("h")), (mark, json!("x"))];
            assert_eq!(check_with(&accepting, &changes), None, "{mark}");
        }
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
    fn the_scope_claim_may_be_within_another() {
        let path = r"resource_access.my\.client.roles".parse().expect("a path");
        let rules = Rules { scope_claim: Some(path), ..rules() };
        let roles = [("resource_access", json!({"my.client": {"roles": ["model:write"]}}))];
        assert_eq!(granted(&rules, &roles), [Scope::Write]);
        assert!(granted(&rules, &[]).is_empty(), "`scope` is not looked at then");
    }
}
