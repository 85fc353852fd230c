//! Tokens as the provider issues them, and what they let their bearers do.

use serde_json::json;

use crate::{
    forge::{claims, header, with},
    provider::{Idp, read, serve, write},
    support::{READ, World},
};

#[test]
fn tokens_of_each_algorithm_are_believed_for_their_scopes() {
    let (idp, world) = (Idp::start(), World::new());
    let server = idp.serve(&world);
    for client in ["ci-rs256", "ci-es256", "ci-eddsa"] {
        let token = idp.token(client);
        assert_eq!(read(&server, &token).status, 200, "{client}");
        write(&server, &token).is_error(404, "MODEL_NOT_FOUND", "risk_model/v1.0.0");
    }
    let reader = idp.token_for("reader-rs256", "model:read");
    assert_eq!(read(&server, &reader).status, 200);
    write(&server, &reader).is_error(403, "INSUFFICIENT_SCOPE", "model:write required");
    let writer = idp.token_for("ci-rs256", "model:write");
    read(&server, &writer).is_error(403, "INSUFFICIENT_SCOPE", "model:read required");
    let admin = idp.token_for("ci-rs256", "model:admin");
    assert_eq!((read(&server, &admin).status, write(&server, &admin).status), (200, 404));
    let refused = read(&server, &idp.token("other-aud-rs256"));
    refused.is_error(401, "INVALID_TOKEN", "Invalid authentication token");
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer") && challenge.contains("error=\"invalid_token\""));
    // A static token that is not configured is nothing to an identity provider.
    read(&server, READ).is_error(401, "INVALID_TOKEN", "");
}

#[test]
fn static_tokens_work_beside_the_provider_and_without_it() {
    let (idp, world) = (Idp::start(), World::new());
    let server = idp.serve_with(&world, &[("MODEL_REGISTRY_READ_TOKEN", READ)]);
    assert_eq!(read(&server, READ).status, 200);
    assert_eq!(read(&server, &idp.token("ci-rs256")).status, 200);
    idp.stop();
    assert_eq!(read(&server, READ).status, 200);
}

#[test]
fn roles_of_the_provider_grant_what_the_policy_says() {
    let (idp, world) = (Idp::start(), World::new());
    let policy = world.outside("policy.toml");
    std::fs::write(&policy, "[roles]\nadmin = [\"model:admin\"]\nviewer = [\"model:read\"]\n")
        .unwrap();
    let policy = policy.to_str().unwrap();
    let variables =
        [("MODEL_REGISTRY_POLICY", policy), ("MODEL_REGISTRY_JWT_SCOPE_CLAIM", "roles")];
    let server = idp.serve_with(&world, &variables);
    let (admin, viewer) = (idp.token("ci-rs256"), idp.token_for("reader-rs256", "model:read"));
    assert_eq!((read(&server, &admin).status, write(&server, &admin).status), (200, 404));
    assert_eq!((read(&server, &viewer).status, write(&server, &viewer).status), (200, 403));
}

#[test]
fn a_good_token_that_grants_nothing_is_forbidden_and_not_unknown() {
    let (idp, world) = (Idp::start(), World::new());
    let server = idp.serve(&world);
    for scope in [
        json!("openid"),
        json!(""),
        json!("model:reader"),
        json!("MODEL:READ"),
        json!("read:model:admin"),
        json!("model:read\tmodel:admin"),
        json!(["model:read model:write"]),
        json!(["model:read", 7]),
        json!({"model:read": true}),
        json!(7),
        json!(null),
    ] {
        let token =
            idp.keys.token(&header(), &with(claims(&idp.issuer), &[("scope", scope.clone())]));
        let reply = read(&server, &token);
        assert_eq!(reply.status, 403, "{scope}: {reply:?}");
    }
}

#[test]
fn a_start_that_needs_the_provider_fails_without_it() {
    let world = World::new();
    let mut command = world.command(&["serve", "--host", "127.0.0.1", "--port", "0"]);
    command
        .env("MODEL_REGISTRY_JWT_ISSUER", "http://127.0.0.1:1")
        .env("MODEL_REGISTRY_JWT_AUDIENCE", "model-registry")
        .env("MODEL_REGISTRY_JWT_REQUIRE_AT_START", "true");
    let ran: crate::support::Ran = command.output().unwrap().into();
    ran.refused(6, "identity provider's keys");
    let idp = Idp::start();
    let needs = [("MODEL_REGISTRY_JWT_REQUIRE_AT_START", "true")];
    let server = idp.serve_with(&world, &needs);
    assert_eq!(read(&server, &idp.token("ci-rs256")).status, 200);
    drop(server);
    let address = format!("{}/jwks", idp.issuer);
    let by_address = [
        ("MODEL_REGISTRY_JWT_ISSUER", idp.issuer.as_str()),
        ("MODEL_REGISTRY_JWT_JWKS_URL", address.as_str()),
    ];
    let server = serve(&world, &by_address);
    assert_eq!(read(&server, &idp.token("ci-es256")).status, 200);
    assert_eq!(idp.control("stats")["discovery"], 1, "of the server before");
}
