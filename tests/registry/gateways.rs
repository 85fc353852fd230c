//! Behind a gateway: whose word counts about who asks and for which host.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use crate::support::{READ, Server, World, until};

/// Sends these lines as they are, and returns the answer.
fn raw(server: &Server, host: &str, lines: &[&str]) -> String {
    raw_for(server, "/api/v1/models/risk_model", &format!("Host: {host}"), lines)
}

fn raw_for(server: &Server, path: &str, host_line: &str, lines: &[&str]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!(
        "GET {path} HTTP/1.1\r\n{host_line}\r\nAuthorization: Bearer {READ}\r\n\
         Connection: close\r\n{lines}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The client that the log names for a request with these lines.
fn logged_client(server: &Server, lines: &[&str]) -> String {
    let before = server.events("request").len();
    assert!(raw(server, "x", lines).starts_with("HTTP/1.1 200"));
    until(Duration::from_secs(5), || server.events("request").len() > before);
    server.events("request")[before]["client"].as_str().unwrap().to_owned()
}

#[test]
fn forwarding_headers_of_strangers_are_not_believed() {
    let world = World::new();
    for trusted in ["", "10.0.0.0/8, 2001:db8::/32"] {
        let server = world.serve_with(&[("MODEL_REGISTRY_TRUSTED_PROXIES", trusted)]);
        for lines in [
            &["X-Forwarded-For: 1.2.3.4"][..],
            &["X-Forwarded-For: 10.0.0.1", "X-Forwarded-For: 127.0.0.1"],
            &["Forwarded: for=1.2.3.4;host=evil;proto=https"],
            &["X-Real-IP: 1.2.3.4", "True-Client-IP: 1.2.3.4"],
        ] {
            assert_eq!(logged_client(&server, lines), "127.0.0.1", "{lines:?}");
        }
    }
}

#[test]
fn a_trusted_gateway_names_the_client_however_many_lines_and_hops_there_are() {
    let world = World::new();
    let server = world
        .serve_with(&[("MODEL_REGISTRY_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8, 2001:db8::/32")]);
    let spoofed: Vec<_> = (0..40).map(|at| format!("X-Forwarded-For: 1.2.3.{at}")).collect();
    let mut many: Vec<_> = spoofed.iter().map(String::as_str).collect();
    many.extend(["x-forwarded-for: 203.0.113.9, 10.0.0.1", "X-FORWARDED-FOR: 2001:db8::1"]);
    for (lines, client) in [
        (&["X-Forwarded-For: 203.0.113.9"][..], "203.0.113.9"),
        (&["X-Forwarded-For: 1.2.3.4, 203.0.113.9"], "203.0.113.9"),
        (&["X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 203.0.113.9"], "203.0.113.9"),
        (&["X-Forwarded-For: [2001:db9::7]:4711, 10.1.1.1"], "2001:db9::7"),
        (&["X-Forwarded-For: ::ffff:203.0.113.9"], "203.0.113.9"),
        (&["X-Forwarded-For: 203.0.113.9, garbage"], "127.0.0.1"),
        (&["Forwarded: for=1.2.3.4"], "127.0.0.1"),
        (&many, "203.0.113.9"),
    ] {
        assert_eq!(logged_client(&server, lines), client, "{lines:?}");
    }
}

#[test]
fn a_service_that_listens_on_ipv6_tells_ipv4_for_what_it_is() {
    let world = World::new();
    let serve = |trusted| world.serve_on("::", &[("MODEL_REGISTRY_TRUSTED_PROXIES", trusted)]);
    // Over a socket of both kinds a peer of IPv4 shows as ::ffff:127.0.0.1.
    let server = serve("127.0.0.0/8");
    assert_eq!(logged_client(&server, &["X-Forwarded-For: 203.0.113.9"]), "203.0.113.9");
    drop(server);
    let server = serve("::1");
    assert_eq!(logged_client(&server, &["X-Forwarded-For: 203.0.113.9"]), "127.0.0.1");
}

#[test]
fn hosts_that_are_not_allowed_are_refused_and_probes_come_by_address() {
    let world = World::new();
    let server = world.serve_with(&[
        ("MODEL_REGISTRY_ALLOWED_HOSTS", "models.example.com, inside:8003"),
        ("MODEL_REGISTRY_TRUSTED_PROXIES", "10.0.0.0/8"),
    ]);
    for host in ["models.example.com", "MODELS.example.com:8443", "inside:8003"] {
        assert!(raw(&server, host, &[]).starts_with("HTTP/1.1 200"), "{host}");
    }
    for host in ["127.0.0.1", "inside", "inside:8004", "models.example.com.evil.example", "a b", ""]
    {
        let answer = raw(&server, host, &[]);
        assert!(answer.starts_with("HTTP/1.1 421"), "{host}: {answer}");
        assert!(answer.contains("\"code\":\"MISDIRECTED_REQUEST\""), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("x-request-id: "), "{answer}");
    }
    // Of a stranger the header counts for nothing.
    let forwarded = ["X-Forwarded-Host: models.example.com"];
    assert!(raw(&server, "evil.example", &forwarded).starts_with("HTTP/1.1 421"));
    for path in ["/health", "/ready"] {
        assert!(raw_for(&server, path, "Host: 127.0.0.1", &[]).starts_with("HTTP/1.1 200"));
    }
    let refused = server.events("request").into_iter().find(|line| line["status"] == 421).unwrap();
    assert_eq!(refused["code"], "MISDIRECTED_REQUEST");
    drop(server);
    let server = world.serve_with(&[
        ("MODEL_REGISTRY_ALLOWED_HOSTS", "models.example.com"),
        ("MODEL_REGISTRY_TRUSTED_PROXIES", "127.0.0.1"),
    ]);
    assert!(raw(&server, "inside:8003", &forwarded).starts_with("HTTP/1.1 200"));
    let forwarded = ["X-Forwarded-Host: evil.example"];
    assert!(raw(&server, "models.example.com", &forwarded).starts_with("HTTP/1.1 421"));
}
