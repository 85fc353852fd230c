//! The interactive page: served whole from the binary, and held to that by its own policy.

use crate::support::{READ, World};

#[test]
fn the_page_loads_nothing_from_elsewhere_and_its_policy_forbids_it() {
    let world = World::new();
    let server = world.serve();
    let page = server.ask("GET", "/docs", &[]);
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
        "{policy}"
    );
    for loose in ["unsafe", "http:", "https:", "*", "blob:"] {
        assert!(!policy.contains(loose), "{policy}");
    }
    let text = String::from_utf8(page.body).unwrap();
    assert!(!text.contains("//"), "{text}");
    assert!(!text.contains("style=") && !text.contains("<style") && !text.contains("javascript:"));
    let mut named = 0;
    for part in text.split(['"']).filter(|part| part.starts_with("docs/")) {
        let reply = server.ask("GET", &format!("/{part}"), &[("accept-encoding", "gzip")]);
        assert_eq!(reply.status, 200, "{part}");
        named += 1;
    }
    assert_eq!(named, 3, "{text}");
    let tag = server.ask("GET", "/docs", &[]).header("etag").unwrap().to_owned();
    assert_eq!(server.ask("GET", "/docs", &[("if-none-match", &tag)]).status, 304);
}

#[test]
fn its_files_come_compressed_to_those_who_take_that_and_plain_to_others() {
    let world = World::new();
    let server = world.serve();
    for (name, kind, says) in [
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8", "SwaggerUIBundle"),
        ("swagger-ui.css", "text/css; charset=utf-8", ".swagger-ui"),
        ("start.js", "text/javascript; charset=utf-8", "openapi.json"),
        ("swagger-ui-licence.txt", "text/plain; charset=utf-8", "Apache License"),
    ] {
        let path = format!("/docs/{name}");
        let get = |accept: &str| server.ask("GET", &path, &[("accept-encoding", accept)]);
        let (plain, packed) = (get("identity"), get("gzip"));
        for reply in [&plain, &packed] {
            assert_eq!(reply.status, 200, "{name}");
            assert_eq!(reply.header("content-type"), Some(kind));
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
            let tag = reply.header("etag").unwrap();
            let accept = if std::ptr::eq(reply, &plain) { "identity" } else { "gzip" };
            let headers = [("accept-encoding", accept), ("if-none-match", tag)];
            assert_eq!(server.ask("GET", &path, &headers).status, 304, "{name}");
        }
        assert!(String::from_utf8_lossy(&plain.body).contains(says), "{name}");
        assert_eq!(plain.header("content-encoding"), None);
        if packed.header("content-encoding") == Some("gzip") {
            assert!(packed.body.len() * 3 < plain.body.len(), "{name}");
            assert_ne!(plain.header("etag"), packed.header("etag"));
            let vary = packed.header("vary").unwrap().to_lowercase();
            assert!(vary.contains("accept-encoding"), "{name}: {vary}");
        }
    }
    server.ask("GET", "/docs/other.js", &[]).is_error(404, "NOT_FOUND", "Not Found");
    server.get("/docs/..%2fopenapi.json").is_error(404, "NOT_FOUND", "Not Found");
}

#[test]
fn other_places_lead_to_the_page_behind_any_prefix() {
    let world = World::new();
    let server = world.serve();
    for (path, location) in [("/docs/", "../docs"), ("/redoc", "docs")] {
        let reply = server.ask("GET", path, &[("authorization", &format!("Bearer {READ}"))]);
        assert_eq!((reply.status, reply.header("location")), (308, Some(location)), "{path}");
    }
}
