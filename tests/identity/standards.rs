//! What the RFCs allow and real providers send: it is accepted.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::{
    forge::{Keys, claims, header, now, with},
    provider::{read, serve},
    support::{Server, World, until},
};

/// Nothing answers under this name, and nobody asks.
const ISSUER: &str = "http://adfs.corp.example/adfs/services/trust";

/// A server that has these keys by file.
fn serve_keys(world: &World, keys: &[u8], issuer: &str, variables: &[(&str, &str)]) -> Server {
    let file = world.outside("jwks.json");
    std::fs::write(&file, keys).unwrap();
    let identity = [
        ("MODEL_REGISTRY_JWT_ISSUER", issuer),
        ("MODEL_REGISTRY_JWT_JWKS_FILE", file.to_str().unwrap()),
    ];
    let server = serve(world, &[&identity, variables].concat());
    until(std::time::Duration::from_secs(20), || {
        let keys = server.events("the identity keys are up to date");
        !keys.is_empty()
    });
    server
}

#[test]
fn an_issuer_whose_keys_come_by_file_may_have_any_name() {
    let keys = Keys::new();
    for issuer in
        [ISSUER, "http://keycloak.auth.svc:8080/realms/quant", "kubernetes/serviceaccount"]
    {
        let world = World::new();
        let server = serve_keys(&world, &keys.file("jwks.json"), issuer, &[]);
        assert_eq!(read(&server, &keys.token(&header(), &claims(issuer))).status, 200, "{issuer}");
    }
}

#[test]
fn times_may_have_a_fraction() {
    let (world, keys) = (World::new(), Keys::new());
    let server = serve_keys(&world, &keys.file("jwks.json"), ISSUER, &[]);
    let status = |name: &str, value: Value| {
        let token = keys.token(&header(), &with(claims(ISSUER), &[(name, value)]));
        read(&server, &token).status
    };
    let now = now() as f64;
    for (name, value) in [
        ("exp", json!(now + 600.25)),
        ("exp", json!(now + 600.0)),
        ("iat", json!(now - 5.5)),
        ("nbf", json!(now - 5.5)),
        ("nbf", json!(-62_135_596_800_i64)),
    ] {
        assert_eq!(status(name, value.clone()), 200, "{name} {value}");
    }
    for (name, value) in [("exp", json!(now - 60.5)), ("nbf", json!(now + 120.5))] {
        assert_eq!(status(name, value.clone()), 401, "{name} {value}");
    }
}

#[test]
fn header_members_that_are_not_known_are_ignored() {
    let (world, keys) = (World::new(), Keys::new());
    let server = serve_keys(&world, &keys.file("jwks.json"), ISSUER, &[]);
    let status = |name: &str, value: Value| {
        read(&server, &keys.token(&with(header(), &[(name, value)]), &claims(ISSUER))).status
    };
    for (name, value) in [
        ("zip", json!("NONE")),
        ("zip", json!("DEF")),
        ("b64", json!(true)),
        ("enc", json!("none")),
        ("cty", json!("json")),
        ("org", json!({"id": 1})),
    ] {
        assert_eq!(status(name, value.clone()), 200, "{name} {value}");
    }
    assert_eq!(status("crit", json!(["zip"])), 401);
}

#[test]
fn eddsa_goes_by_both_of_its_names() {
    let keys = Keys::new();
    for variables in [&[][..], &[("MODEL_REGISTRY_JWT_ALGORITHMS", "RS256,Ed25519")]] {
        let world = World::new();
        let server = serve_keys(&world, &keys.file("jwks.json"), ISSUER, variables);
        for name in ["EdDSA", "Ed25519"] {
            let header = json!({"alg": name, "typ": "at+jwt", "kid": "eddsa-1"}).to_string();
            let claims = claims(ISSUER).to_string();
            let token = keys.token_of(Algorithm::EdDSA, &header, claims);
            assert_eq!(read(&server, &token).status, 200, "{name} {variables:?}");
        }
    }
}

#[test]
fn members_of_a_key_that_are_null_or_empty_are_absent() {
    let keys = Keys::new();
    let mut set: Value = serde_json::from_slice(&keys.file("jwks.json")).unwrap();
    for key in set["keys"].as_array_mut().unwrap() {
        for (name, nothing) in [
            ("alg", json!(null)),
            ("use", json!(null)),
            ("key_ops", json!([])),
            ("x5c", json!([])),
            ("oth", json!([])),
            ("d", json!(null)),
            ("k", json!("")),
            ("x5t", json!("")),
        ] {
            key[name] = nothing;
        }
    }
    let world = World::new();
    let server = serve_keys(&world, set.to_string().as_bytes(), ISSUER, &[]);
    assert_eq!(read(&server, &keys.token(&header(), &claims(ISSUER))).status, 200);
    assert!(server.events("the identity keys are up to date")[0]["not_used"].is_null());
}

#[test]
fn the_log_says_of_each_key_why_it_is_not_used() {
    let (world, keys) = (World::new(), Keys::new());
    let mut set: Value = serde_json::from_slice(&keys.file("jwks.json")).unwrap();
    let list = set["keys"].as_array_mut().unwrap();
    list.push(with(list[0].clone(), &[("kid", json!("for encryption")), ("use", json!("enc"))]));
    list.push(json!({"kty": "oct", "k": "AAAA"}));
    let place = list.len();
    let server = serve_keys(&world, set.to_string().as_bytes(), ISSUER, &[]);
    let told = server.events("the identity keys are up to date")[0]["not_used"].clone();
    let told = told.as_str().unwrap();
    assert!(told.contains("\"for encryption\": its use is not sig"), "{told}");
    assert!(told.contains(&format!("key {place}: it is a symmetric key")), "{told}");
}

#[test]
fn a_claims_name_may_hold_escaped_dots() {
    let (world, keys) = (World::new(), Keys::new());
    let path = [("MODEL_REGISTRY_JWT_SCOPE_CLAIM", r"resource_access.my\.client.roles")];
    let server = serve_keys(&world, &keys.file("jwks.json"), ISSUER, &path);
    let roles = json!({"my.client": {"roles": ["model:read"]}});
    let token = keys.token(&header(), &with(claims(ISSUER), &[("resource_access", roles)]));
    assert_eq!(read(&server, &token).status, 200);
    assert_eq!(read(&server, &keys.token(&header(), &claims(ISSUER))).status, 403);
}

#[test]
fn at_hash_is_accepted_by_the_operators_word_alone() {
    let keys = Keys::new();
    let hashed = |more: &[(&str, Value)]| {
        let claims = with(claims(ISSUER), &[&[("at_hash", json!("h"))], more].concat());
        keys.token(&header(), &claims)
    };
    for (word, status) in [("false", 401), ("true", 200)] {
        let world = World::new();
        let variables = [("MODEL_REGISTRY_JWT_ACCEPT_AT_HASH", word)];
        let server = serve_keys(&world, &keys.file("jwks.json"), ISSUER, &variables);
        assert_eq!(read(&server, &hashed(&[])).status, status, "{word}");
        for mark in ["nonce", "c_hash", "s_hash"] {
            assert_eq!(read(&server, &hashed(&[(mark, json!("x"))])).status, 401, "{word} {mark}");
        }
    }
}
