//! Every route of the binary's own table against tokens that are signed and nevertheless nobody's, and against
//! those that are somebody's.

use jsonwebtoken::Algorithm;
use model_registry::{domain::Scope, http::routes};
use serde_json::json;

use crate::{
    forge::{Keys, claims, encode, header, now, with, without},
    provider::Idp,
    support::{WRITES, World},
};

#[test]
fn every_route_lets_in_exactly_whose_token_holds_its_scope() {
    let (idp, world) = (Idp::start(), World::promoted(&["v1.0.0"]));
    let server = idp.serve_with(&world, &[("MODEL_REGISTRY_WRITE_API", "true")]);
    let good = claims(&idp.issuer);
    let signed = |changes: &[(&str, serde_json::Value)]| {
        idp.keys.token(&header(), &with(good.clone(), changes))
    };
    let stranger = Keys::new();
    let all = "model:read model:write model:admin";
    let unsigned = json!({"alg": "none", "typ": "at+jwt"}).to_string();
    let nobody: Vec<(&str, String)> = vec![
        ("expired", signed(&[("exp", json!(now() - 3600)), ("scope", json!(all))])),
        ("not yet valid", signed(&[("nbf", json!(now() + 3600)), ("scope", json!(all))])),
        ("never expires", idp.keys.token(&header(), &without(good.clone(), "exp"))),
        ("of another issuer", signed(&[("iss", json!("https://evil.example"))])),
        ("for another audience", signed(&[("aud", json!("other"))])),
        (
            "signed by a stranger",
            stranger.token(&header(), &with(good.clone(), &[("scope", json!(all))])),
        ),
        ("unsigned", format!("{}.{}.", encode(unsigned), encode(good.to_string()))),
        (
            "signed with another algorithm than it says",
            idp.keys.token_of(Algorithm::ES256, &header().to_string(), good.to_string()),
        ),
        ("garbage", "a.b.c".to_owned()),
    ];
    let scopes: [(&str, &str, &[Scope]); 6] = [
        ("read", "model:read", &[Scope::Read]),
        ("write", "model:write", &[Scope::Write]),
        ("read and write", "model:read model:write", &[Scope::Read, Scope::Write]),
        ("admin", "model:admin", &[Scope::Read, Scope::Write, Scope::Admin]),
        ("all", all, &[Scope::Read, Scope::Write, Scope::Admin]),
        ("nothing of ours", "openid profile", &[]),
    ];
    let somebody =
        scopes.map(|(name, scope, holds)| (name, signed(&[("scope", json!(scope))]), holds));
    let mut asked = 0;
    for row in routes::table(Some(WRITES)) {
        let path = row
            .path
            .replace("{model_type}", "risk_model")
            .replace("{version}", "v1.0.0")
            .replace("{tile}", "0/000.p/1");
        let methods: &[&str] =
            if row.method == "GET" { &["GET", "HEAD"] } else { &[row.method.as_str()] };
        for method in methods {
            let ask = |token: &str| {
                server.ask(method, &path, &[("authorization", &format!("Bearer {token}"))])
            };
            for (name, token) in &nobody {
                let found = ask(token).status;
                let refused = found == 401;
                assert_eq!(refused, row.scope.is_some(), "{method} {path}: {name}: {found}");
            }
            for (name, token, holds) in &somebody {
                let found = ask(token).status;
                let Some(scope) = row.scope else {
                    // Some of these redirect, and one is for files that have names of their own.
                    assert!(![401, 403].contains(&found), "{method} {path}: {name}: {found}");
                    continue;
                };
                // A change without a body is let in, and refused for that or for the model's state.
                let let_in: &[u16] =
                    if row.changes && row.method != "GET" { &[404, 409, 422] } else { &[200] };
                let expected = if holds.contains(&scope) { let_in } else { &[403] };
                assert!(expected.contains(&found), "{method} {path}: {name}: {found}");
            }
            asked += nobody.len() + somebody.len();
        }
    }
    println!("{asked} requests");
    assert!(asked >= 15 * 15, "{asked}");
}
