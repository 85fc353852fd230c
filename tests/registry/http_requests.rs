//! What the service answers to bytes that are HTTP, nearly HTTP, or an attempt to be taken for two things at once.
//! The tables of `docs/http.md` are these.

use std::time::Duration;

use serde_json::Value;

use crate::{
    raw::{Answer, Raw, answers},
    support::{ADMIN, READ, Server, World, until},
};

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// It serves the next request.
    Open,
    /// The server closes it, and answers nothing that came behind.
    Closed,
}
use After::{Closed, Open};

/// What it is, the bytes, the statuses of the answers (`h` behind one that is to `HEAD`), and what comes after.
type Row = (&'static str, Vec<u8>, &'static str, After);

const HOST: &str = "Host: registry\r\n";

fn get(fields: &str) -> Vec<u8> {
    format!("GET /health HTTP/1.1\r\n{fields}\r\n").into_bytes()
}

fn post(fields: &str, body: &str) -> Vec<u8> {
    let path = "/api/v1/models/risk_model/v1.0.0/validate";
    let token = format!("Authorization: Bearer {ADMIN}\r\n");
    format!("POST {path} HTTP/1.1\r\n{HOST}{token}{fields}\r\n{body}").into_bytes()
}

/// A request that must not be answered where it stands behind another's body.
const SMUGGLED: &str = "GET /api/v1/models/risk_model/current HTTP/1.1\r\nHost: registry\r\n\r\n";

fn framing() -> Vec<Row> {
    let chunked = |fields: &str, body: &str| {
        post(&format!("Transfer-Encoding: chunked\r\n{fields}"), &format!("{body}{SMUGGLED}"))
    };
    let smuggling = |fields: &str, body: &str| post(fields, &format!("{body}{SMUGGLED}"));
    vec![
        (
            "Content-Length and Transfer-Encoding",
            smuggling("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            "400",
            Closed,
        ),
        (
            "Transfer-Encoding and Content-Length",
            smuggling("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
            "400",
            Closed,
        ),
        (
            "two lengths",
            smuggling("Content-Length: 4\r\nContent-Length: 5\r\n", "abcd"),
            "400",
            Closed,
        ),
        (
            "the same length twice",
            smuggling("Content-Length: 4\r\nContent-Length: 4\r\n", "abcd"),
            "400",
            Closed,
        ),
        ("a list of lengths", smuggling("Content-Length: 4, 4\r\n", "abcd"), "400", Closed),
        ("a negative length", smuggling("Content-Length: -1\r\n", ""), "400", Closed),
        ("a signed length", smuggling("Content-Length: +4\r\n", "abcd"), "400", Closed),
        ("a hexadecimal length", smuggling("Content-Length: 0x4\r\n", "abcd"), "400", Closed),
        (
            "a length with a space in it",
            smuggling("Content-Length: 4 4\r\n", "abcd"),
            "400",
            Closed,
        ),
        ("an empty length", smuggling("Content-Length: \r\n", ""), "400", Closed),
        (
            "a length beyond 64 bits",
            smuggling("Content-Length: 18446744073709551616\r\n", ""),
            "400",
            Closed,
        ),
        (
            "a coding that is not known",
            smuggling("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
            "400",
            Closed,
        ),
        (
            "a coding before chunked",
            smuggling("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
            "400",
            Closed,
        ),
        (
            "chunked twice",
            smuggling("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
            "400",
            Closed,
        ),
        (
            "chunked and then identity",
            smuggling("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
            "400",
            Closed,
        ),
        (
            "two Transfer-Encodings",
            smuggling("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
            "400",
            Closed,
        ),
        ("identity", smuggling("Transfer-Encoding: identity\r\n", ""), "400", Closed),
        (
            "a vertical tab before chunked",
            smuggling("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"),
            "400",
            Closed,
        ),
        (
            "chunked in HTTP/1.0",
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
            "400",
            Closed,
        ),
        ("a chunked body", chunked("", "3\r\nabc\r\n0\r\n\r\n"), "200", Closed),
        (
            "a chunked body, told in capitals",
            smuggling("transfer-encoding:\tCHUNKED\r\n", "0\r\n\r\n"),
            "200",
            Closed,
        ),
        ("a chunk extension", chunked("", "3;name=\"value\"\r\nabc\r\n0\r\n\r\n"), "200", Closed),
        (
            "a trailer",
            chunked("", "0\r\nAuthorization: Bearer x\r\nHost: y\r\n\r\n"),
            "200",
            Closed,
        ),
        (
            "a chunked body and then HEAD",
            post(
                "Transfer-Encoding: chunked\r\n",
                "0\r\n\r\nHEAD /health HTTP/1.1\r\nHost: x\r\n\r\n",
            ),
            "200",
            Closed,
        ),
        ("a chunk's size that is none", chunked("", "x\r\nabc\r\n0\r\n\r\n"), "400", Closed),
        (
            "a chunk's size beyond 64 bits",
            chunked("", "10000000000000000\r\nabc\r\n0\r\n\r\n"),
            "400",
            Closed,
        ),
        ("a negative chunk's size", chunked("", "-1\r\nabc\r\n0\r\n\r\n"), "400", Closed),
        ("a chunk longer than its size", chunked("", "2\r\nabc\r\n0\r\n\r\n"), "400", Closed),
        ("a bare LF behind a chunk's size", chunked("", "3\nabc\r\n0\r\n\r\n"), "400", Closed),
        ("a bare LF in a chunk extension", chunked("", "3;\nabc\r\n0\r\n\r\n"), "400", Closed),
        ("a bare CR behind a chunk's size", chunked("", "3\rabc\r\n0\r\n\r\n"), "400", Closed),
        (
            "a length on GET",
            [get(&format!("{HOST}Content-Length: 4\r\n")), b"abcd".to_vec()].concat(),
            "200",
            Open,
        ),
        (
            "a body that looks like a request",
            post(&format!("Content-Length: {}\r\n", SMUGGLED.len()), SMUGGLED),
            "200",
            Open,
        ),
        ("length 0", post("Content-Length: 0\r\n", ""), "200", Open),
        ("a body larger than is read", post("Content-Length: 20000000\r\n", ""), "413", Closed),
        (
            "a chunked body larger than is read",
            post(
                "Transfer-Encoding: chunked\r\n",
                &format!("{}0\r\n\r\n", format!("1000\r\n{}\r\n", "a".repeat(4096)).repeat(20)),
            ),
            "413",
            Closed,
        ),
        (
            "asking before a body",
            post("Expect: 100-continue\r\nContent-Length: 4\r\n", "abcd"),
            "100 200",
            Open,
        ),
        (
            "asking before a large body",
            post("Expect: 100-continue\r\nContent-Length: 20000000\r\n", ""),
            "413",
            Closed,
        ),
        (
            "an expectation that is not known",
            get(&format!("{HOST}Expect: wonders\r\n")),
            "200",
            Open,
        ),
    ]
}

fn heads() -> Vec<Row> {
    let raw = |text: &str| text.as_bytes().to_vec();
    vec![
        ("a bare LF behind each line", raw("GET /health HTTP/1.1\nHost: x\n\n"), "400", Closed),
        (
            "a bare LF behind the request line",
            raw("GET /health HTTP/1.1\nHost: x\r\n\r\n"),
            "400",
            Closed,
        ),
        ("a bare LF behind a field", get("Host: x\nX: y\r\n"), "400", Closed),
        (
            "a bare LF for the empty line",
            raw("GET /health HTTP/1.1\r\nHost: x\r\n\n"),
            "400",
            Closed,
        ),
        ("a bare CR in a field", get("Host: x\r\nA: b\rC: d\r\n"), "400", Closed),
        ("a folded field", get("Host: x\r\nA: b\r\n c\r\n"), "400", Closed),
        ("a fold before the first field", get(" Host: x\r\n"), "400", Closed),
        (
            "a space before the colon",
            get("Host: x\r\nTransfer-Encoding : chunked\r\n"),
            "400",
            Closed,
        ),
        ("a field without a colon", get("Host: x\r\nnonsense\r\n"), "400", Closed),
        ("a field without a name", get("Host: x\r\n: value\r\n"), "400", Closed),
        ("a NUL in a field", get("Host: x\r\nA: b\0c\r\n"), "400", Closed),
        ("a NUL in the path", raw("GET /hea\0lth HTTP/1.1\r\nHost: x\r\n\r\n"), "400", Closed),
        ("a control character in a name", get("Host: x\r\nA\x01: b\r\n"), "400", Closed),
        (
            "Latin-1 in a field",
            [b"GET /health HTTP/1.1\r\nHost: x\r\nA: ".as_slice(), b"\xe4\r\n\r\n"].concat(),
            "200",
            Open,
        ),
        ("no host", get(""), "400", Closed),
        ("two hosts", get("Host: a\r\nHost: b\r\n"), "400", Closed),
        ("the same host twice", get("Host: a\r\nHost: a\r\n"), "400", Closed),
        ("a host with a space", get("Host: a b\r\n"), "400", Closed),
        ("a list of hosts", get("Host: a, b\r\n"), "400", Closed),
        ("a host with a user", get("Host: user@a\r\n"), "400", Closed),
        ("a host with a path", get("Host: a/b\r\n"), "400", Closed),
        ("a host with a port that is none", get("Host: a:b\r\n"), "400", Closed),
        ("an empty host", get("Host:\r\n"), "200", Open),
        ("an address for a host", get("Host: [::1]:8003\r\n"), "200", Open),
        ("HTTP/0.9", raw("GET /health\r\n\r\n"), "400", Closed),
        ("HTTP/1.0", raw("GET /health HTTP/1.0\r\n\r\n"), "200", Closed),
        (
            "HTTP/1.0 that asks to go on",
            raw("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
            "200",
            Open,
        ),
        ("HTTP/1.2", raw("GET /health HTTP/1.2\r\nHost: x\r\n\r\n"), "400", Closed),
        ("HTTP/2", raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "400", Closed),
        ("http/1.1", raw("GET /health http/1.1\r\nHost: x\r\n\r\n"), "400", Closed),
        ("no version", raw("GET /health \r\nHost: x\r\n\r\n"), "400", Closed),
        (
            "two spaces in the request line",
            raw("GET  /health HTTP/1.1\r\nHost: x\r\n\r\n"),
            "400",
            Closed,
        ),
        ("a space in the path", raw("GET /hea lth HTTP/1.1\r\nHost: x\r\n\r\n"), "400", Closed),
        ("a method that is none", raw("G(T /health HTTP/1.1\r\nHost: x\r\n\r\n"), "400", Closed),
        (
            "a method that is not known",
            raw("BREW /health HTTP/1.1\r\nHost: x\r\n\r\n"),
            "405",
            Open,
        ),
        ("a method in small letters", raw("get /health HTTP/1.1\r\nHost: x\r\n\r\n"), "405", Open),
        (
            "empty lines before the request",
            raw("\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n"),
            "200",
            Open,
        ),
        ("TLS where there is none", b"\x16\x03\x01\x00\x05hello\r\n\r\n".to_vec(), "400", Closed),
        ("connection: close", get("Host: x\r\nConnection: close\r\n"), "200", Closed),
        (
            "connection: close, among others",
            get("Host: x\r\nConnection: x, close\r\n"),
            "200",
            Closed,
        ),
        (
            "another protocol",
            get("Host: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"),
            "200",
            Closed,
        ),
        (
            "another protocol with a body",
            post(
                "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 4\r\n",
                &format!("abcd{SMUGGLED}"),
            ),
            "200",
            Closed,
        ),
        (
            "HTTP/2 by upgrade",
            get(
                "Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
            ),
            "200",
            Closed,
        ),
        (
            "a request line of 9000 bytes",
            format!("GET /{} HTTP/1.1\r\n{HOST}\r\n", "a".repeat(9000)).into_bytes(),
            "414",
            Closed,
        ),
        (
            "a request line without end",
            format!("GET /{}", "a".repeat(200_000)).into_bytes(),
            "414",
            Closed,
        ),
        (
            "a head of 40,000 bytes",
            get(&format!("{HOST}A: {}\r\n", "a".repeat(40_000))),
            "431",
            Closed,
        ),
        (
            "a head without end",
            format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(50_000)).into_bytes(),
            "431",
            Closed,
        ),
        ("a hundred fields", get(&format!("{HOST}{}", "A: b\r\n".repeat(100))), "431", Closed),
    ]
}

fn targets() -> Vec<Row> {
    let target = |method: &str, target: &str| {
        format!("{method} {target} HTTP/1.1\r\n{HOST}\r\n").into_bytes()
    };
    vec![
        ("absolute form", target("GET", "http://registry/health"), "200", Open),
        (
            "absolute form with another host, which wins",
            target("GET", "http://other/health"),
            "200",
            Open,
        ),
        ("absolute form with a user", target("GET", "http://u@registry/health"), "400", Closed),
        (
            "absolute form with two ports",
            target("GET", "http://registry:1:2/health"),
            "400",
            Closed,
        ),
        ("absolute form without a path", target("GET", "http://registry"), "200", Open),
        ("OPTIONS *", target("OPTIONS", "*"), "204", Open),
        ("GET *", target("GET", "*"), "404", Open),
        ("CONNECT", target("CONNECT", "registry:80"), "404", Closed),
        ("a path without its slash", target("GET", "health"), "400", Closed),
        ("a query", target("GET", "/health?a=b&a=c&&=;%00%ff"), "200", Open),
        ("a fragment", target("GET", "/health#x"), "200", Open),
        ("a slash at the end", target("GET", "/health/"), "308", Open),
        ("two slashes at the end", target("GET", "/health//"), "404", Open),
        ("two slashes", target("GET", "//health"), "404", Open),
        ("another host behind two slashes", target("GET", "//evil.example/"), "404", Open),
        ("another host and a path of ours", target("GET", "//evil.example/health/"), "404", Open),
        ("dots", target("GET", "/x/../health"), "404", Open),
        ("encoded dots", target("GET", "/x/%2e%2e/health"), "404", Open),
        ("an encoded slash", target("GET", "/api%2Fv1/models/risk_model/current"), "404", Open),
        ("an encoded NUL", target("GET", "/health%00"), "404", Open),
        ("a percent sign alone", target("GET", "/health%"), "404", Open),
        ("encoded twice", target("GET", "/%2568ealth"), "404", Open),
        ("letters that need no encoding", target("GET", "/%68ealth"), "200", Open),
        ("a semicolon", target("GET", "/health;x=y"), "404", Open),
        ("a backslash", target("GET", "/\\health"), "404", Open),
        ("capitals", target("GET", "/HEALTH"), "404", Open),
    ]
}

fn pipelines() -> Vec<Row> {
    let list = format!(
        "GET /api/v1/models/risk_model HTTP/1.1\r\n{HOST}Authorization: Bearer {READ}\r\n\r\n"
    );
    let health = format!("GET /health HTTP/1.1\r\n{HOST}\r\n");
    let head = format!("HEAD /health HTTP/1.1\r\n{HOST}\r\n");
    let close = format!("GET /health HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n");
    let old = "GET /health HTTP/1.0\r\n\r\n";
    let all = |parts: &[&str]| parts.concat().into_bytes();
    vec![
        ("three in a row", all(&[&list, &health, &list]), "200 200 200", Open),
        ("GET and then HEAD", all(&[&list, &head, &health]), "200 200h 200", Open),
        ("HEAD and then GET", all(&[&head, &list]), "200h 200", Open),
        ("GET and then the last", all(&[&list, &close, &list]), "200 200", Closed),
        ("GET and then HTTP/1.0", all(&[&list, old, &list]), "200 200", Closed),
        (
            "fifty in a row",
            health.repeat(50).into_bytes(),
            Box::leak("200 ".repeat(50).into_boxed_str()).trim(),
            Open,
        ),
        ("GET and then nonsense", all(&[&list, "nonsense\r\n\r\n", &list]), "200 400", Closed),
        (
            "GET and then a bare LF",
            all(&[&list, "GET / HTTP/1.1\nHost: x\r\n\r\n"]),
            "200 400",
            Closed,
        ),
        (
            "an error and then GET",
            all(&["GET /nope HTTP/1.1\r\nHost: x\r\n\r\n", &list]),
            "404 200",
            Open,
        ),
        (
            "not allowed and then GET",
            all(&["DELETE /health HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", &list]),
            "405 200",
            Open,
        ),
    ]
}

fn negotiation() -> Vec<Row> {
    let with = |field: &str| get(&format!("{HOST}{field}\r\n"));
    vec![
        ("what no answer is", with("Accept: image/png;q=0.1, text/html"), "200", Open),
        ("nothing accepted", with("Accept: */*;q=0"), "200", Open),
        ("nonsense accepted", with("Accept: ;;;,,,q=;/"), "200", Open),
        (
            "no coding accepted, not even none",
            with("Accept-Encoding: identity;q=0, *;q=0"),
            "200",
            Open,
        ),
        ("a compressed answer wished for", with("Accept-Encoding: gzip, br, zstd"), "200", Open),
        ("a range of what has none", with("Range: bytes=0-0"), "200", Open),
        ("a method override", with("X-HTTP-Method-Override: DELETE"), "200", Open),
        (
            "another address by header",
            with("X-Original-URL: /api/v1/models/risk_model/current\r\nX-Rewrite-URL: /"),
            "200",
            Open,
        ),
    ]
}

fn check(server: &Server, (name, bytes, expected, after): &Row) -> Vec<Answer> {
    let mut raw = Raw::connect(server);
    raw.send(bytes);
    let mut expected: Vec<_> = expected.split(' ').collect();
    if *after == Open {
        raw.send(
            b"GET /nope HTTP/1.1\r\nHost: x\r\nX-Request-Id: probe\r\nConnection: close\r\n\r\n",
        );
        expected.push("404");
    }
    let heads: Vec<_> = expected
        .iter()
        .filter(|status| **status != "100")
        .map(|status| status.ends_with('h'))
        .collect();
    let mut found = answers(&raw.until_closed(), &heads);
    let statuses: Vec<_> = found.iter().map(|answer| answer.status.to_string()).collect();
    let expected: Vec<_> = expected.iter().map(|status| status.trim_end_matches('h')).collect();
    assert_eq!(statuses, expected, "{name}: {found:#?}");
    if *after == Open {
        let probe = found.pop().unwrap();
        assert_eq!(probe.header("x-request-id"), Some("probe"), "{name}");
    } else if !matches!(found.last(), Some(answer) if answer.head.starts_with("HTTP/1.0")) {
        assert_eq!(found.last().unwrap().header("connection"), Some("close"), "{name}");
    }
    for answer in found.iter().filter(|answer| answer.status >= 200) {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{name}");
        assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 36), "{name}");
        assert!(answer.header("cache-control").is_some(), "{name}");
        assert!(answer.header("date").is_some(), "{name}");
        assert!(answer.header("content-encoding").is_none(), "{name}");
        if answer.status >= 400 {
            assert_eq!(answer.header("content-type"), Some("application/json"), "{name}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{name}");
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            let fields: Vec<_> = body.as_object().unwrap().keys().collect();
            assert_eq!(fields, ["code", "detail"], "{name}");
        }
    }
    found
}

fn check_all(rows: &[Row]) {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    for row in rows {
        check(&server, row);
        assert_eq!(server.ask("GET", "/health", &[]).status, 200, "after {}", row.0);
    }
    assert!(server.events("panic").is_empty());
    println!("{} rows", rows.len());
}

#[test]
fn bodies_are_framed_in_one_way_or_refused() {
    check_all(&framing());
}

#[test]
fn heads_are_read_in_one_way_or_refused() {
    check_all(&heads());
}

#[test]
fn targets_name_one_route_or_none() {
    check_all(&targets());
}

#[test]
fn requests_in_a_row_are_answered_in_order_each_for_itself() {
    check_all(&pipelines());
}

#[test]
fn what_a_client_would_like_does_not_change_what_it_gets() {
    check_all(&negotiation());
}

#[test]
fn a_request_that_comes_in_pieces_is_the_same_request() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    let bytes = post("Content-Length: 4\r\n", "abcd");
    for cut in (1..bytes.len()).step_by(7) {
        let mut raw = Raw::connect(&server);
        raw.0.set_nodelay(true).unwrap();
        raw.send(&bytes[..cut]);
        std::thread::yield_now();
        raw.send(&bytes[cut..]);
        raw.send(format!("HEAD / HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n").as_bytes());
        let found = answers(&raw.until_closed(), &[false, true]);
        let statuses: Vec<_> = found.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [200, 200], "cut at {cut}");
    }
}

#[test]
fn a_client_that_is_done_sending_is_answered_nevertheless() {
    let world = World::promoted(&["v1.0.0"]);
    let server = world.serve();
    let mut raw = Raw::connect(&server);
    // Not of a validation: its work is given up when nobody may be there to hear of it.
    raw.send(&[get(HOST), get(HOST), get(HOST)].concat());
    raw.0.shutdown(std::net::Shutdown::Write).unwrap();
    let statuses: Vec<_> =
        answers(&raw.until_closed(), &[]).iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 200]);
    for body in ["3\r\nab", "0\r\nA: b\r\n\r", "0\r\n\n", "3"] {
        let mut raw = Raw::connect(&server);
        let started = std::time::Instant::now();
        raw.send(&post("Transfer-Encoding: chunked\r\n", body));
        raw.0.shutdown(std::net::Shutdown::Write).unwrap();
        let found = answers(&raw.until_closed(), &[]);
        assert_eq!(found.first().map(|answer| answer.status), Some(400), "{body:?}: {found:?}");
        assert!(
            started.elapsed() < std::time::Duration::from_secs(5),
            "{body:?}: the end is the end"
        );
    }
}

#[test]
fn the_page_on_http_tells_each_of_these_requests_and_its_answer() {
    let page = include_str!("../../docs/http.md");
    for (name, _, expected, after) in
        [framing(), heads(), targets(), pipelines(), negotiation()].into_iter().flatten()
    {
        let statuses: Vec<_> = expected.split(' ').map(|text| text.trim_end_matches('h')).collect();
        let told = match statuses.as_slice() {
            [first, .., last] if statuses.len() > 9 && first == last => {
                format!("{} × {first}", statuses.len())
            }
            few => few.join(", "),
        };
        let connection = if after == Open { "open" } else { "closed" };
        let line = format!("| {} | {told} | {connection} |", name.replace('*', "\\*"));
        assert!(page.contains(&line), "{line}");
    }
}

#[test]
fn nobody_fills_the_log_with_errors_by_sending_what_is_no_request() {
    let world = World::new();
    let server = world.serve();
    for bytes in ["GET / HTTP/1.1\r\nHost : x\r\n\r\n", "GET / HTTP/9\r\n\r\n", "GET\n\n"] {
        for _ in 0..5 {
            let mut raw = Raw::connect(&server);
            raw.send(bytes.as_bytes());
            assert!(raw.until_closed().starts_with(b"HTTP/1.1 400 "));
        }
    }
    until(Duration::from_secs(5), || server.events("request refused").len() == 15);
    assert_eq!(server.ask("GET", "/health", &[]).status, 200);
    let errors: Vec<_> = server.log().into_iter().filter(|line| line.contains("ERROR")).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}
