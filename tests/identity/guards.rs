//! Each guard in front of a handler, in this process: a guard may be there before a route uses it.

use std::sync::Arc;

use actix_web::{
    App, HttpRequest, HttpResponse,
    http::{Method, header::AUTHORIZATION},
    test::{TestRequest, call_service, init_service, read_body_json},
    web::Data,
};
use model_registry::{
    actors::{AuthActor, auth::RefreshKeys, supervise},
    auth::{StaticTokens, TokenVerifier},
    config::{Flags, ServerSettings, Variables},
    domain::Scope,
    http::{
        edge::guard::{Admin, Guard, HttpState, Read, RequiredScope, Write},
        openapi::operations,
        route::{RouteSpec, guarded, mount},
    },
    startup::{Core, Opening},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    forge::{Keys, claims, header, with},
    provider::AUDIENCE,
    support::{ADMIN, READ},
};

const ISSUER: &str = "https://idp.example";

async fn reached<S: RequiredScope>(_: Guard<S>, _: HttpRequest) -> HttpResponse {
    HttpResponse::NoContent().finish()
}

fn rows() -> Vec<RouteSpec> {
    vec![
        guarded(Method::GET, "/read", reached::<Read>, operations::root),
        guarded(Method::GET, "/write", reached::<Write>, operations::root),
        guarded(Method::GET, "/admin", reached::<Admin>, operations::root),
    ]
}

#[test]
fn a_route_has_the_scope_of_its_guard() {
    let scopes: Vec<_> = rows().iter().map(|row| row.scope).collect();
    assert_eq!(scopes, [Some(Scope::Read), Some(Scope::Write), Some(Scope::Admin)]);
}

#[actix_web::test]
async fn each_guard_lets_in_exactly_who_holds_its_scope() {
    let (keys, directory) = (Keys::new(), tempfile::tempdir().unwrap());
    let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let variables = Variables::from_iter([
        ("MODEL_REGISTRY_DIR", text(&directory.path().join("registry"))),
        ("MODEL_REGISTRY_READ_TOKEN", READ.to_owned()),
        ("MODEL_REGISTRY_ADMIN_TOKEN", ADMIN.to_owned()),
        ("MODEL_REGISTRY_JWT_ISSUER", ISSUER.to_owned()),
        ("MODEL_REGISTRY_JWT_AUDIENCE", AUDIENCE.to_owned()),
        ("MODEL_REGISTRY_JWT_JWKS_FILE", text(&keys.folder().join("jwks.json"))),
        ("ENVIRONMENT", "test".to_owned()),
    ]);
    let (settings, server) = ServerSettings::load(&variables, &Flags::default()).unwrap();
    let core = Core::open(&settings, Opening::Creating).await.unwrap();
    let tokens = Arc::new(StaticTokens::load(server.tokens.clone()).unwrap());
    let verifier = server.identity.clone().map(TokenVerifier::new).map(Arc::new);
    let (fatal, _lost) = mpsc::unbounded_channel();
    let auth = supervise::start(move || AuthActor::new(tokens.clone(), verifier.clone()), fatal);
    auth.ask(RefreshKeys).await.unwrap();
    let app = App::new()
        .app_data(Data::new(HttpState::new(core.registry, auth)))
        .configure(|config| mount(rows(), config));
    let app = init_service(app).await;
    let jwt =
        |scope: &str| keys.token(&header(), &with(claims(ISSUER), &[("scope", json!(scope))]));
    let callers: [(&str, String, &[Scope]); 7] = [
        ("static read", READ.to_owned(), &[Scope::Read]),
        ("static admin", ADMIN.to_owned(), &[Scope::Read, Scope::Write, Scope::Admin]),
        ("read", jwt("model:read"), &[Scope::Read]),
        ("write", jwt("model:write"), &[Scope::Write]),
        ("read and write", jwt("model:read model:write"), &[Scope::Read, Scope::Write]),
        ("admin", jwt("model:admin"), &[Scope::Read, Scope::Write, Scope::Admin]),
        ("none", jwt("openid"), &[]),
    ];
    for row in rows() {
        let required = row.scope.unwrap();
        let stranger = call_service(&app, TestRequest::with_uri(row.path).to_request()).await;
        assert_eq!(stranger.status(), 401, "{}", row.path);
        for (name, token, holds) in &callers {
            let request = TestRequest::with_uri(row.path)
                .insert_header((AUTHORIZATION, format!("Bearer {token}")));
            let answer = call_service(&app, request.to_request()).await;
            let status = answer.status().as_u16();
            if holds.contains(&required) {
                assert_eq!(status, 204, "{name} {}", row.path);
                continue;
            }
            assert_eq!(status, 403, "{name} {}", row.path);
            let body: Value = read_body_json(answer).await;
            assert_eq!(body["code"], "INSUFFICIENT_SCOPE");
            assert_eq!(body["detail"], format!("Insufficient scope: {required} required"));
        }
    }
}
