//! Every route against every kind of caller.

use model_registry::{domain::Scope, http::routes};

use crate::support::{ADMIN, LEGACY, READ, World};

/// A caller: the headers it sends, and which scopes it holds; `None` where it is nobody.
struct Caller {
    name: &'static str,
    authorization: Option<String>,
    holds: Option<&'static [Scope]>,
    /// The code it is refused with where it is nobody.
    refusal: &'static str,
}

fn callers() -> Vec<Caller> {
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let nobody =
        |name, authorization, refusal| Caller { name, authorization, holds: None, refusal };
    let somebody = |name, token, holds| Caller {
        name,
        authorization: bearer(token),
        holds: Some(holds),
        refusal: "",
    };
    vec![
        nobody("no header", None, "UNAUTHENTICATED"),
        nobody("basic", Some("Basic dXNlcjpwYXNz".into()), "UNAUTHENTICATED"),
        nobody("bare token", Some(READ.into()), "UNAUTHENTICATED"),
        nobody("empty bearer", Some("Bearer ".into()), "UNAUTHENTICATED"),
        nobody("scheme alone", Some("Bearer".into()), "UNAUTHENTICATED"),
        nobody("garbage", bearer("garbage"), "INVALID_TOKEN"),
        nobody("name and scope", bearer("alice:model:admin"), "INVALID_TOKEN"),
        nobody("prefix", bearer(&READ[..READ.len() - 1]), "INVALID_TOKEN"),
        nobody("longer", bearer(&format!("{READ}x")), "INVALID_TOKEN"),
        nobody("two tokens", bearer(&format!("{READ} {ADMIN}")), "INVALID_TOKEN"),
        nobody(
            "jwt",
            bearer("eyJhbGciOiJub25lIn0.eyJzY29wZSI6Im1vZGVsOmFkbWluIn0."),
            "INVALID_TOKEN",
        ),
        nobody("long", bearer(&"x".repeat(12_000)), "INVALID_TOKEN"),
        somebody("read", READ, &[Scope::Read]),
        somebody("legacy", LEGACY, &[Scope::Read]),
        somebody("admin", ADMIN, &[Scope::Read, Scope::Write, Scope::Admin]),
        Caller {
            name: "lower-case scheme",
            authorization: Some(format!("bearer {READ}")),
            holds: Some(&[Scope::Read]),
            refusal: "",
        },
    ]
}

#[test]
fn every_route_lets_in_exactly_who_holds_its_scope() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    let mut asked = 0;
    for row in routes::table() {
        let path = row
            .path
            .replace("{model_type}", "risk_model")
            .replace("{version}", "v1.0.0")
            .replace("{asset}", "start.js");
        for caller in callers() {
            let headers: Vec<_> = caller
                .authorization
                .iter()
                .map(|value| ("authorization", value.as_str()))
                .collect();
            let reply = server.ask(row.method.as_str(), &path, &headers);
            let case = format!("{} {path} as {}", row.method, caller.name);
            asked += 1;
            match (row.scope, caller.holds) {
                (None, _) if ["/docs/", "/redoc"].contains(&row.path) => {
                    assert_eq!(reply.status, 308, "{case}");
                }
                (None, _) => assert_eq!(reply.status, 200, "{case}"),
                (Some(required), Some(holds)) if holds.contains(&required) => {
                    assert_eq!(reply.status, 200, "{case}: {reply:?}");
                }
                (Some(required), Some(_)) => {
                    assert_eq!(reply.status, 403, "{case}");
                    if row.method != "HEAD" {
                        let sentence = format!("Insufficient scope: {required} required");
                        reply.is_error(403, "INSUFFICIENT_SCOPE", &sentence);
                    }
                }
                (Some(_), None) => {
                    assert_eq!(reply.status, 401, "{case}");
                    let challenge = reply.header("www-authenticate").unwrap();
                    assert!(challenge.starts_with("Bearer"), "{case}");
                    let invalid = caller.refusal == "INVALID_TOKEN";
                    assert_eq!(challenge.contains("error=\"invalid_token\""), invalid, "{case}");
                    if row.method != "HEAD" {
                        let sentence = if invalid {
                            "Invalid authentication token"
                        } else {
                            "Missing authorization header"
                        };
                        reply.is_error(401, caller.refusal, sentence);
                    }
                }
            }
        }
    }
    assert_eq!(asked, routes::table().len() * callers().len());
}

#[test]
fn whether_a_model_exists_is_not_told_to_strangers() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    for path in
        ["risk_model/current", "risk_model/v9.9.9", "bogus/current", "risk_model/v01", "b%00/v1"]
    {
        let reply = server.ask("GET", &format!("/api/v1/models/{path}"), &[]);
        reply.is_error(401, "UNAUTHENTICATED", "Missing authorization header");
    }
}

#[test]
fn two_authorization_headers_are_refused_even_where_one_is_good() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    let (read, admin) = (format!("Bearer {READ}"), format!("Bearer {ADMIN}"));
    let headers = [("authorization", read.as_str()), ("authorization", admin.as_str())];
    let reply = server.ask("GET", "/api/v1/models/risk_model/current", &headers);
    reply.is_error(401, "INVALID_TOKEN", "Invalid authentication token");
}
