//! The provider is down, hangs, talks nonsense or sends elsewhere: who has a token goes on.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    forge::{Keys, claims, header, with},
    provider::{Idp, keys_line, read},
    support::{Server, World, until},
};

const LAST_GOOD: &str = "known, but the identity provider provides no new ones";

/// A good token goes on, known or new, while one with an unknown key makes the service ask the provider.
fn goes_on(idp: &Idp, server: &Server, state: &str) {
    let known = idp.keys.token(&header(), &claims(&idp.issuer));
    assert_eq!(read(server, &known).status, 200);
    let unknown =
        idp.keys.token(&with(header(), &[("kid", json!("unknown"))]), &claims(&idp.issuer));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let asked = Instant::now();
            read(server, &unknown).is_error(401, "INVALID_TOKEN", "");
            assert!(asked.elapsed() < Duration::from_secs(5), "{state}");
        });
        let mut number = 0;
        while !asking.is_finished() || number < 20 {
            number += 1;
            let asked = Instant::now();
            let subject = json!(format!("{state}-{number}"));
            let fresh = idp.keys.token(&header(), &with(claims(&idp.issuer), &[("sub", subject)]));
            assert_eq!(read(server, &fresh).status, 200, "{state}");
            assert_eq!(read(server, &known).status, 200, "{state}");
            assert!(asked.elapsed() < Duration::from_millis(500), "{state}: {:?}", asked.elapsed());
        }
    });
    until(Duration::from_secs(10), || keys_line(server).unwrap() == (true, LAST_GOOD.into()));
    assert_eq!(server.ask("GET", "/ready", &[]).status, 200, "{state}");
}

#[test]
fn a_provider_that_answers_nonsense_changes_nothing() {
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = format!("http://localhost:{}/jwks", trap.local_addr().unwrap().port());
    let called = Arc::new(AtomicUsize::new(0));
    let count = called.clone();
    std::thread::spawn(move || {
        for _ in trap.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    std::thread::scope(|scope| {
        for mode in
            ["down", "garbage", "hang", "drip", "huge", "redirect", "empty", "stranger", "inward"]
        {
            let elsewhere = &elsewhere;
            scope.spawn(move || {
                let idp = Idp::start_with(Keys::new(), &[("IDP_ELSEWHERE", elsewhere)]);
                let world = World::new();
                let server = idp.serve(&world);
                assert_eq!(read(&server, &idp.token("ci-rs256")).status, 200, "{mode}");
                idp.control(&format!("mode-{mode}"));
                goes_on(&idp, &server, mode);
                let logged =
                    server.events("the identity keys could not be refreshed; it is tried again");
                assert!(!logged.is_empty() && logged.len() <= 2, "{mode}: {logged:?}");
                idp.control("mode-ok");
                until(Duration::from_secs(20), || {
                    keys_line(&server).unwrap() == (true, "known".into())
                });
            });
        }
    });
    assert_eq!(called.load(Ordering::SeqCst), 0, "a redirect was followed");
}

#[test]
fn a_provider_that_is_gone_is_missed_only_by_its_new_tokens() {
    let (idp, world) = (Idp::start(), World::new());
    let server = idp.serve(&world);
    let known = idp.token("ci-rs256");
    assert_eq!(read(&server, &known).status, 200);
    let issuer = idp.issuer.clone();
    let (keys, port) = idp.stop();
    assert_eq!(read(&server, &known).status, 200);
    let fresh = with(claims(&issuer), &[("sub", json!("bob"))]);
    assert_eq!(read(&server, &keys.token(&header(), &fresh)).status, 200);
    let unknown = keys.token(&with(header(), &[("kid", json!("unknown"))]), &fresh);
    read(&server, &unknown).is_error(401, "INVALID_TOKEN", "");
    let idp = Idp::start_with(keys, &[("IDP_PORT", &port)]);
    assert_eq!(read(&server, &idp.token("ci-es256")).status, 200);
}

#[test]
fn a_start_does_not_need_the_provider() {
    let (idp, world) = (Idp::start(), World::new());
    let issuer = idp.issuer.clone();
    let (keys, port) = idp.stop();
    let server = crate::provider::serve(&world, &[("MODEL_REGISTRY_JWT_ISSUER", &issuer)]);
    let token = keys.token(&header(), &claims(&issuer));
    let reply = read(&server, &token);
    reply.is_error(503, "REGISTRY_UNAVAILABLE", "identity provider's keys");
    assert!(reply.header("retry-after").is_some());
    assert!(!keys_line(&server).unwrap().0);
    let ready = server.ask("GET", "/ready", &[]);
    assert!(ready.status == 503 && !String::from_utf8_lossy(&ready.body).contains(&port));
    // What no key could make good needs none to be refused.
    read(&server, "e30.e30.").is_error(401, "INVALID_TOKEN", "");
    let _idp = Idp::start_with(keys, &[("IDP_PORT", &port)]);
    until(Duration::from_secs(20), || read(&server, &token).status == 200);
    assert_eq!(keys_line(&server).unwrap(), (true, "known".into()));
}

#[test]
fn the_last_good_keys_serve_up_to_their_age() {
    let (idp, world) = (Idp::start(), World::new());
    let server = idp.serve_with(&world, &[("MODEL_REGISTRY_JWT_MAX_STALE_SECONDS", "10")]);
    let token = idp.keys.token(&header(), &claims(&idp.issuer));
    // Refreshed in time, a set never gets so old.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(12) {
        assert_eq!(read(&server, &token).status, 200);
        std::thread::sleep(Duration::from_millis(100));
    }
    idp.control("mode-down");
    let down = Instant::now();
    until(Duration::from_secs(20), || read(&server, &token).status == 503);
    assert!(down.elapsed() > Duration::from_secs(3), "the last good set was not used");
    let (ready, detail) = keys_line(&server).unwrap();
    assert!(!ready && detail.starts_with("too old"), "{detail}");
}

#[cfg(debug_assertions)]
#[test]
fn an_actor_that_dies_takes_no_keys_with_it() {
    let (idp, world) = (Idp::start(), World::new());
    let server = idp.serve_with(&world, &[("MODEL_REGISTRY_FAULT", "auth.resolve=panic")]);
    until(Duration::from_secs(5), || keys_line(&server).unwrap() == (true, "known".into()));
    let before = idp.jwks_hits();
    let token = idp.keys.token(&header(), &claims(&idp.issuer));
    read(&server, &token).is_error(503, "REGISTRY_UNAVAILABLE", "");
    until(Duration::from_secs(1), || read(&server, &token).status == 200);
    assert_eq!(idp.jwks_hits(), before);
}
