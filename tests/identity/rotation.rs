//! The provider rotates its keys as providers do, in three steps, while services poll.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    provider::{Idp, READ_PATH, read},
    support::{Server, World, until},
};

/// Polls with the newest token, on a connection of its own, until told to stop.
fn poll(
    server: &Server,
    token: &Mutex<String>,
    stop: &AtomicBool,
    asked: &AtomicUsize,
    refused: &Mutex<Vec<String>>,
) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(20)))
        .http_status_as_error(false)
        .build()
        .into();
    let url = server.url(READ_PATH);
    while !stop.load(Ordering::Relaxed) {
        let bearer = format!("Bearer {}", token.lock().unwrap());
        let mut answer = agent.get(&url).header("authorization", bearer).call().unwrap();
        let body = answer.body_mut().read_to_string().unwrap();
        asked.fetch_add(1, Ordering::Relaxed);
        if answer.status() != 200 {
            refused.lock().unwrap().push(format!("{}: {body}", answer.status()));
        }
    }
}

#[test]
fn no_good_token_is_refused_while_keys_rotate_under_load() {
    let (idp, world) = (Idp::start(), World::new());
    let server = idp.serve(&world);
    let clients = ["ci-rs256", "ci-es256", "ci-eddsa"];
    let tokens: Vec<_> = clients.iter().map(|client| Mutex::new(idp.token(client))).collect();
    let (stop, asked, refused) =
        (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let renew = || {
        for (client, token) in clients.iter().zip(&tokens) {
            // Fetched before the lock is taken: who polls goes on meanwhile.
            let fresh = idp.token(client);
            *token.lock().unwrap() = fresh;
        }
    };
    // Until so many requests were made, and at least for so long: a busy machine makes fewer at a time.
    let run_for = |time: Duration| {
        let (begun, before) = (Instant::now(), asked.load(Ordering::Relaxed));
        while begun.elapsed() < time || asked.load(Ordering::Relaxed) < before + 130 {
            assert!(begun.elapsed() < Duration::from_secs(120), "too few requests");
            renew();
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for token in tokens.iter().chain(&tokens) {
            scope.spawn(|| poll(&server, token, &stop, &asked, &refused));
        }
        run_for(Duration::from_millis(500));
        idp.control("prepublish");
        run_for(Duration::from_millis(500));
        idp.control("switch");
        run_for(Duration::from_secs(1));
        idp.control("retire");
        run_for(Duration::from_secs(1));
        stop.store(true, Ordering::Relaxed);
    });
    let refused = refused.into_inner().unwrap();
    let asked = asked.into_inner();
    println!("{asked} requests, {} refused", refused.len());
    assert!(refused.is_empty(), "{} of {asked}: {:?}", refused.len(), refused.first());
    assert!(asked > 500, "{asked}");
    // The first set, one for the new key, one for good measure; and what ten seconds each allow.
    let most = 3 + begun.elapsed().as_secs() / 10;
    assert!(idp.jwks_hits() <= most, "{} of {most}", idp.jwks_hits());
}

#[test]
fn a_token_goes_with_its_key() {
    let (idp, world) = (Idp::start(), World::new());
    // The first key set comes late, with a token waiting for it: that is no reason to refuse the next key.
    idp.control("mode-down");
    let server = idp.serve(&world);
    let old = idp.token("ci-rs256");
    assert_eq!(read(&server, &old).status, 503);
    idp.control("mode-ok");
    until(Duration::from_secs(5), || read(&server, &old).status == 200);
    for step in ["prepublish", "switch", "retire"] {
        idp.control(step);
    }
    assert_eq!(read(&server, &old).status, 200, "remembered, as long as the key set is");
    assert_eq!(read(&server, &idp.token("ci-rs256")).status, 200, "the new key is fetched at once");
    read(&server, &old).is_error(401, "INVALID_TOKEN", "");
}
