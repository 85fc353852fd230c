//! Every route against every kind of caller.

use model_registry::{
    domain::Scope,
    http::{route::RouteSpec, routes},
};

use crate::support::{ADMIN, LEGACY, READ, WRITES, World};

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

/// Methods that are asked of every path, whatever the table says of them.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];

/// Paths that no row has.
const NOWHERE: [&str; 5] = [
    "/nope",
    "/api/v1/model",
    "/api/v1/models/{model_type}/{version}/demote",
    "/api/v1/models/{model_type}/{version}/validate/x",
    "/API/v1/models/{model_type}/current",
];

/// Generated from the binary's own table: each of its paths and some that it has not, each method, each caller.
#[test]
fn every_route_lets_in_exactly_who_holds_its_scope() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve_writing();
    let table = routes::table(Some(WRITES));
    let mut paths: Vec<_> = table.iter().map(|row| row.path).collect();
    paths.dedup();
    paths.extend(NOWHERE);
    let mut asked = [0; 5];
    for path in &paths {
        let address = path
            .replace("{model_type}", "risk_model")
            .replace("{version}", "v1.0.0")
            .replace("{tile}", "0/000.p/1")
            .replace("{asset}", "start.js");
        let rows: Vec<_> = table.iter().filter(|row| row.path == *path).collect();
        for method in METHODS {
            // A path answers HEAD as it would GET.
            let is = |row: &&&RouteSpec| {
                row.method == method || (method == "HEAD" && row.method == "GET")
            };
            let row = rows.iter().find(is);
            for caller in callers() {
                let headers: Vec<_> = caller
                    .authorization
                    .iter()
                    .map(|value| ("authorization", value.as_str()))
                    .collect();
                let reply = server.ask(method, &address, &headers);
                let case = format!("{method} {address} as {}", caller.name);
                let error = |status: u16, code: &str, sentence: &str| {
                    assert_eq!(reply.status, status, "{case}: {reply:?}");
                    if method != "HEAD" {
                        reply.is_error(status, code, sentence);
                    }
                };
                asked[usize::from(reply.status / 100) - 1] += 1;
                let changes = row.is_some_and(|row| row.changes && row.method != "GET");
                match (row.map(|row| row.scope), caller.holds) {
                    (None, _) if rows.is_empty() => error(404, "NOT_FOUND", "Not Found"),
                    (None, _) if method == "OPTIONS" => {
                        assert_eq!((reply.status, reply.body.len()), (204, 0), "{case}");
                        assert_allows(&reply, &rows, &case);
                    }
                    (None, _) => {
                        error(405, "METHOD_NOT_ALLOWED", "Method Not Allowed");
                        assert_allows(&reply, &rows, &case);
                    }
                    (Some(None), _) if *path == "/redoc" => {
                        assert_eq!(reply.status, 308, "{case}");
                    }
                    (Some(None), _) => assert_eq!(reply.status, 200, "{case}"),
                    (Some(Some(required)), Some(holds)) if holds.contains(&required) => {
                        // A change without a body is let in, and refused for that or for the model's state.
                        let let_in: &[u16] = if changes { &[404, 409, 422] } else { &[200] };
                        assert!(let_in.contains(&reply.status), "{case}: {reply:?}");
                    }
                    (Some(Some(required)), Some(_)) => {
                        let sentence = format!("Insufficient scope: {required} required");
                        error(403, "INSUFFICIENT_SCOPE", &sentence);
                    }
                    (Some(Some(_)), None) => {
                        let challenge = reply.header("www-authenticate").unwrap();
                        assert!(challenge.starts_with("Bearer"), "{case}");
                        let invalid = caller.refusal == "INVALID_TOKEN";
                        assert_eq!(
                            challenge.contains("error=\"invalid_token\""),
                            invalid,
                            "{case}"
                        );
                        let sentence = if invalid {
                            "Invalid authentication token"
                        } else {
                            "Missing authorization header"
                        };
                        error(401, caller.refusal, sentence);
                    }
                }
                if method == "HEAD" {
                    assert!(reply.body.is_empty(), "{case}");
                }
            }
        }
    }
    assert_eq!(asked.iter().sum::<usize>(), paths.len() * METHODS.len() * callers().len());
    assert!(asked[1] > 200 && asked[3] > 1000 && asked[4] == 0, "{asked:?}");
    println!("{} requests: {asked:?} by class", asked.iter().sum::<usize>());
}

/// `Allow` names the path's methods, and no other.
#[track_caller]
fn assert_allows(reply: &crate::support::Reply, rows: &[&RouteSpec], case: &str) {
    let mut expected: Vec<_> = rows.iter().map(|row| row.method.to_string()).collect();
    if expected.contains(&"GET".to_owned()) {
        expected.push("HEAD".to_owned());
    }
    expected.push("OPTIONS".to_owned());
    expected.sort_unstable();
    expected.dedup();
    let mut allowed: Vec<_> = reply.header("allow").unwrap().split(", ").collect();
    allowed.sort_unstable();
    assert_eq!(allowed, expected, "{case}");
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
