//! What a gateway passes on, what it adds, and what it keeps out.

use std::path::Path;

use crate::{
    gateway::{BOTH, Gateway, Kind, free_port, replica},
    support::{ADMIN, READ, Server, World, fixture},
};

/// A registry behind each gateway.
fn each(check: impl Fn(&Gateway, &Server)) {
    let world = World::with_legacy();
    let server = replica(&world, free_port(), 0);
    for kind in BOTH {
        // Twice the same: whichever the gateway asks, it is this one.
        check(&Gateway::start(kind, [server.port(), server.port()]), &server);
    }
}

/// A header line for curl.
fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

#[test]
fn the_prefix_is_the_gateways_and_nothing_beside_it_is_passed_on() {
    each(|gateway, server| {
        let direct = server.model("risk_model/current").json();
        assert_eq!(gateway.model("risk_model/current", &[]).json(), direct);
        assert_eq!(gateway.ask("/registry/health", &[]).status, 200);
        let moved = gateway.ask("/registry", &[]);
        assert_eq!(moved.status, 308);
        assert!(moved.header("location").unwrap().ends_with("/registry/"), "{moved:?}");
        for path in ["/", "/health", "/registryx/health", "/api/v1/models/risk_model/current"] {
            gateway.ask(path, &[]).is_error(404, "NOT_FOUND");
        }
        // By detours, which some gateways walk and others do not.
        for path in ["/x/../registry/health", "/registry/../health", "/%72egistry/health"] {
            gateway.ask(path, &[]).is_error(404, "NOT_FOUND");
        }
    });
}

#[test]
fn the_path_arrives_as_the_client_wrote_it() {
    each(|gateway, server| {
        for path in [
            "risk_model/v1.1.0%2Fhistory",
            "risk_model/v1.1.0/history",
            "risk_model%2Fcurrent",
            "risk_model//current",
            "risk_model/../risk_model/current",
            "risk_model?limit=1&offset=1",
            "risk_model?status_filter=production%20",
        ] {
            let through = gateway.model(path, &[]);
            let (status, body) = direct(server, path);
            assert_eq!(through.status, status, "{:?} {path}", gateway.kind);
            assert_eq!(through.body, body, "{:?} {path}", gateway.kind);
        }
        // The one that tells whether %2F was decoded on the way.
        gateway.model("risk_model/v1.1.0%2Fhistory", &[]).is_error(404, "MODEL_NOT_FOUND");
    });
}

/// Asks the service itself, in the client's own words.
fn direct(server: &Server, path: &str) -> (u16, Vec<u8>) {
    let ran = std::process::Command::new("curl")
        .args(["-sS", "--path-as-is", "-w", "%{stderr}%{http_code}", "-H", &bearer(READ)])
        .arg(server.url(&format!("/api/v1/models/{path}")))
        .output()
        .unwrap();
    (String::from_utf8(ran.stderr).unwrap().parse().unwrap(), ran.stdout)
}

#[test]
fn a_request_has_one_id_everywhere() {
    each(|gateway, server| {
        let given = format!("trace-{:?}.1", gateway.kind);
        let header = format!("X-Request-Id: {given}");
        let answer = gateway.model("risk_model/current", &["-H", &header]);
        assert_eq!(answer.header("x-request-id"), Some(given.as_str()), "{answer:?}");
        let made = gateway.model("risk_model/current", &[]);
        let made = made.header("x-request-id").unwrap().to_owned();
        assert!(made.len() >= 32, "{made}");
        let hostile = gateway.model("risk_model/current", &["-H", "X-Request-Id: a\"b, c"]);
        let replaced = hostile.header("x-request-id").unwrap().to_owned();
        assert!(replaced.len() >= 32 && replaced != made, "{replaced}");
        for id in [given, made, replaced] {
            crate::support::until(std::time::Duration::from_secs(5), || {
                let service = server.events("request");
                service.iter().filter(|line| line["request_id"] == id.as_str()).count() == 1
                    && gateway.log().iter().filter(|line| line["request_id"] == id.as_str()).count()
                        == 1
            });
        }
    });
}

#[test]
fn the_log_names_the_client_whatever_it_says_of_itself() {
    each(|gateway, server| {
        let id = format!("client-{:?}", gateway.kind);
        let lines = [
            format!("X-Request-Id: {id}"),
            "X-Forwarded-For: 203.0.113.9".to_owned(),
            "X-Forwarded-For: 203.0.113.10".to_owned(),
            "X-Forwarded-Host: evil.example".to_owned(),
            "X-Forwarded-Prefix: /evil".to_owned(),
            "Forwarded: for=203.0.113.11;host=evil.example;proto=http".to_owned(),
        ];
        let arguments: Vec<_> = lines.iter().flat_map(|line| ["-H", line.as_str()]).collect();
        assert_eq!(gateway.model("risk_model/current", &arguments).status, 200);
        let line = crate::support::eventually(std::time::Duration::from_secs(5), || {
            server.events("request").into_iter().find(|line| line["request_id"] == id.as_str())
        });
        assert_eq!(line["client"], "127.0.0.1", "{line}");
        // The service believes this gateway: what a client sends arrives where the gateway lets it.
        let direct = [
            ("authorization", format!("Bearer {READ}")),
            ("x-forwarded-for", "203.0.113.12".to_owned()),
        ];
        let direct = direct.each_ref().map(|(name, value)| (*name, value.as_str()));
        server.ask("GET", "/api/v1/models/risk_model/v1.0.0", &direct);
        crate::support::until(std::time::Duration::from_secs(5), || {
            server.events("request").iter().any(|line| line["client"] == "203.0.113.12")
        });
    });
}

#[test]
fn a_long_token_is_the_services_to_refuse() {
    each(|gateway, _| {
        let segment = "eyJhbGciOiJSUzI1NiJ9".repeat(265);
        let token = bearer(&format!("{segment}.{segment}.{segment}"));
        assert!(token.len() > 15_500 && token.len() < 16_000, "{}", token.len());
        for version in ["--http1.1", "--http2"] {
            let answer =
                gateway.ask("/registry/api/v1/models/risk_model/current", &[version, "-H", &token]);
            answer.is_error(401, "INVALID_TOKEN");
            assert!(answer.header("www-authenticate").is_some(), "{answer:?}");
        }
    });
}

#[test]
fn heads_and_paths_beyond_measure_are_refused_in_the_services_shape() {
    each(|gateway, server| {
        let before = server.events("request").len();
        let header = format!("X-Filler: {}", "x".repeat(40_000));
        let answer = gateway.model("risk_model/current", &["--http1.1", "-H", &header]);
        match gateway.kind {
            Kind::Nginx => answer.is_error(400, "INVALID_REQUEST"),
            // What it cannot read at all it refuses in words that cannot be chosen.
            Kind::Haproxy => assert_eq!(answer.status, 400, "{answer:?}"),
        }
        let path = format!("risk_model?offset={}", "1".repeat(40_000));
        let answer = gateway.model(&path, &["--http1.1"]);
        match gateway.kind {
            Kind::Nginx => answer.is_error(414, "INVALID_REQUEST"),
            Kind::Haproxy => assert_eq!(answer.status, 400, "{answer:?}"),
        }
        assert_eq!(server.events("request").len(), before);
    });
}

#[test]
fn an_oversized_body_is_refused_whether_its_length_is_told_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body");
    std::fs::File::create(&body).unwrap().set_len(70_000).unwrap();
    each(|gateway, _| {
        let path = "/registry/api/v1/models/risk_model/v1.1.0/validate";
        let token = bearer(ADMIN);
        assert_eq!(gateway.ask(path, &["-X", "POST", "-H", &token]).status, 200);
        let file = format!("@{}", body.display());
        let versions: &[&str] = match gateway.kind {
            Kind::Nginx => &["--http1.1", "--http2"],
            // It cancels the stream behind its answer, which curl then does not show.
            Kind::Haproxy => &["--http1.1"],
        };
        for version in versions {
            let answer =
                gateway.ask_too_much(path, &[version, "-H", &token, "--data-binary", &file]);
            answer.is_error(413, "TOO_LARGE");
        }
        let chunked =
            ["--http1.1", "-H", &token, "-H", "Transfer-Encoding: chunked", "--data-binary", &file];
        // haproxy passes chunks on without counting; the service counts them itself.
        gateway.ask_too_much(path, &chunked).is_error(413, "TOO_LARGE");
    });
}

#[test]
fn the_edge_speaks_http_2_and_tls_1_2_at_least() {
    each(|gateway, _| {
        let answer = gateway.model("risk_model/current", &["--http2"]);
        assert_eq!((answer.status, answer.http.as_str()), (200, "2"), "{answer:?}");
        let answer = gateway.model("risk_model/current", &["--http1.1"]);
        assert_eq!((answer.status, answer.http.as_str()), (200, "1.1"), "{answer:?}");
        let old = std::process::Command::new("curl")
            .args(["-sS", "--tls-max", "1.1", "--cacert"])
            .arg(gateway.certificate())
            .arg(gateway.url("/registry/health"))
            .output()
            .unwrap();
        assert!(!old.status.success(), "{old:?}");
    });
}

#[test]
fn what_conditions_and_ranges_ask_for_comes_through() {
    each(|gateway, _| {
        let answer = gateway.model("risk_model/current", &[]);
        let tag = answer.header("etag").unwrap().to_owned();
        let again = gateway.model("risk_model/current", &["-H", &format!("If-None-Match: {tag}")]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{again:?}");
        let model = fixture("fixtures/legacy-registry/artifacts/risk_model/v1.1.0/model.pkl");
        let bytes = std::fs::read(Path::new(&model)).unwrap();
        assert_eq!(gateway.model("risk_model/v1.1.0/artifact", &[]).body, bytes);
        let part = gateway.model("risk_model/v1.1.0/artifact", &["-r", "10-19"]);
        assert_eq!((part.status, part.body.as_slice()), (206, &bytes[10..20]), "{part:?}");
    });
}

#[test]
fn without_any_replica_the_gateway_says_so_in_the_services_shape() {
    for kind in BOTH {
        let gateway = Gateway::start(kind, [free_port(), free_port()]);
        let answer = gateway.model("risk_model/current", &[]);
        answer.is_error(503, "REGISTRY_UNAVAILABLE");
        assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
    }
}
