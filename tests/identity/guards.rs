//! Each guard in front of a handler, in this process: a guard may be there before a route uses it.

use std::{path::Path, sync::Arc, time::Duration};

use actix_cors::Cors;
use actix_web::{
    App, HttpRequest, HttpResponse,
    dev::Service as _,
    http::{
        Method,
        header::{AUTHORIZATION, HOST},
    },
    test::{TestRequest, call_service, init_service, read_body_json},
    web::Data,
};
use model_registry::{
    actors::{
        AuthActor,
        auth::{RefreshKeys, Rounds},
        supervise,
    },
    auth::{StaticTokens, TokenVerifier},
    config::{Flags, ServerSettings, Variables},
    domain::{Scope, log::publisher::Publisher},
    http::{
        edge::{
            admission::RequestLimits,
            client::Gateways,
            guard::{Admin, Guard, HttpState, Read, RequiredScope, WorkerActors, Write},
            lifecycle::Lifecycle,
            service::{Edge, Layers, endpoint},
        },
        errors::ApiError,
        openapi::operations,
        route::{RouteSpec, guarded, routing},
    },
    startup::{Core, Opening},
};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

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

/// A registry of its own, and the actors that know static tokens and these keys.
async fn state(keys: &Keys, directory: &Path) -> (HttpState, WorkerActors) {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let variables = Variables::from_iter([
        ("MODEL_REGISTRY_DIR", text(&directory.join("registry"))),
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
    let auth = supervise::start(
        move || AuthActor::new(tokens.clone(), verifier.clone(), Rounds::Made),
        fatal,
    );
    auth.ask(RefreshKeys).await.unwrap();
    let actors = WorkerActors { auth: auth.clone(), db: core.registry.db.clone() };
    (HttpState::new(core.registry, auth, Publisher::default()), actors)
}

/// The layers in front of these rows' handlers.
fn layers(rows: Vec<RouteSpec>, limits: &RequestLimits) -> Layers {
    let not_found = endpoint(|| std::future::ready(HttpResponse::NotFound().finish()));
    let edge = Edge {
        routing: routing(rows, not_found),
        gateways: Gateways::default(),
        lifecycle: Lifecycle::default(),
        limits: limits.clone(),
    };
    Layers::new(edge, Cors::default())
}

/// How many requests are in their handler, and how many may leave it.
struct Gate {
    inside: Semaphore,
    open: Semaphore,
}

async fn held(guard: Guard<Read>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    guard.registry().await?;
    let gate = request.app_data::<Data<Gate>>().unwrap();
    gate.inside.add_permits(1);
    gate.open.acquire().await.unwrap().forget();
    Ok(HttpResponse::NoContent().finish())
}

#[actix_web::test]
async fn a_caller_waits_for_its_turn_after_it_was_authorised_and_load_checks_take_none() {
    let (keys, directory) = (Keys::new(), tempfile::tempdir().unwrap());
    let (state, actors) = state(&keys, directory.path()).await;
    let gate = Data::new(Gate { inside: Semaphore::new(0), open: Semaphore::new(0) });
    let rows = || {
        vec![
            guarded(Method::GET, "/held", held, operations::root),
            guarded(Method::POST, "/check", held, operations::root).load_check(),
        ]
    };
    let limits = RequestLimits::new(9, 9, 1, Duration::from_millis(200));
    let app = App::new()
        .app_data(Data::new(state))
        .app_data(Data::new(actors))
        .app_data(gate.clone())
        .app_data(Data::new(limits.clone()))
        .wrap(layers(rows(), &limits));
    let app = init_service(app).await;
    let ask = |request: TestRequest, token: &str| {
        let request = request.insert_header((AUTHORIZATION, format!("Bearer {token}")));
        let request = request.insert_header((HOST, "x"));
        let answer = app.call(request.to_request());
        async { answer.await.unwrap().status().as_u16() }
    };
    let mut checked = Box::pin(ask(TestRequest::post().uri("/check"), READ));
    let mut first = Box::pin(ask(TestRequest::with_uri("/held"), READ));
    let rest = async {
        drop(gate.inside.acquire_many(2).await.unwrap());
        let refused = ask(TestRequest::with_uri("/held"), READ).await;
        (refused, ask(TestRequest::with_uri("/held"), "unknown").await)
    };
    tokio::select! {
        found = rest => assert_eq!(found, (503, 401)),
        status = &mut first => panic!("{status}"),
        status = &mut checked => panic!("{status}"),
    }
    gate.open.add_permits(2);
    assert_eq!((first.await, checked.await), (204, 204));
}

#[actix_web::test]
async fn each_guard_lets_in_exactly_who_holds_its_scope() {
    let (keys, directory) = (Keys::new(), tempfile::tempdir().unwrap());
    let (state, actors) = state(&keys, directory.path()).await;
    let limits = RequestLimits::new(9, 9, 9, Duration::from_secs(60));
    let app = App::new()
        .app_data(Data::new(state))
        .app_data(Data::new(actors))
        .app_data(Data::new(limits.clone()))
        .wrap(layers(rows(), &limits));
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
        let request = || TestRequest::with_uri(row.path).insert_header((HOST, "x"));
        let stranger = call_service(&app, request().to_request()).await;
        assert_eq!(stranger.status(), 401, "{}", row.path);
        for (name, token, holds) in &callers {
            let request = request().insert_header((AUTHORIZATION, format!("Bearer {token}")));
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
