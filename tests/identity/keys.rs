//! Where keys come from, and how often anybody asks for them.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    forge::{Keys, claims, header, with, without},
    provider::{Idp, keys_line, read, serve},
    support::{World, until},
};

#[test]
fn unknown_keys_cause_one_request_however_many_come() {
    let (idp, world) = (Idp::start(), World::new());
    let server = idp.serve(&world);
    assert_eq!(read(&server, &idp.token("ci-rs256")).status, 200);
    let before = idp.jwks_hits();
    let begun = Instant::now();
    let good = idp.token("ci-es256");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (server, idp, good) = (&server, &idp, &good);
            scope.spawn(move || {
                for number in 0..25 {
                    let kid = json!(format!("unknown-{thread}-{number}"));
                    let token =
                        idp.keys.token(&with(header(), &[("kid", kid)]), &claims(&idp.issuer));
                    read(server, &token).is_error(401, "INVALID_TOKEN", "");
                    assert_eq!(read(server, good).status, 200);
                }
            });
        }
    });
    // One in ten seconds: a busy machine takes longer than that.
    let (asked, most) = (idp.jwks_hits() - before, 1 + begun.elapsed().as_secs() / 10);
    assert!((1..=most).contains(&asked), "{asked} of {most}");
}

#[test]
fn a_token_without_a_kid_is_believed_where_one_key_fits() {
    let (idp, world) = (Idp::start(), World::new());
    let server = idp.serve(&world);
    let token = idp.keys.token(&without(header(), "kid"), &claims(&idp.issuer));
    assert_eq!(read(&server, &token).status, 200);
    idp.control("prepublish");
    idp.control("switch");
    assert_eq!(read(&server, &idp.token("ci-rs256")).status, 200, "the second key is here");
    let other = with(claims(&idp.issuer), &[("sub", json!("bob"))]);
    let other = idp.keys.token(&without(header(), "kid"), &other);
    read(&server, &other).is_error(401, "INVALID_TOKEN", "");
}

#[test]
fn a_key_file_is_read_again_when_it_changes() {
    let (world, first, second) = (World::new(), Keys::new(), Keys::new());
    let file = world.outside("jwks.json");
    let path = file.to_str().unwrap();
    fs::write(&file, first.file("jwks.json")).unwrap();
    let issuer = "https://idp.example";
    let variables = [("MODEL_REGISTRY_JWT_ISSUER", issuer), ("MODEL_REGISTRY_JWT_JWKS_FILE", path)];
    let server = serve(&world, &variables);
    let (old, new) =
        (first.token(&header(), &claims(issuer)), second.token(&header(), &claims(issuer)));
    until(Duration::from_secs(5), || read(&server, &old).status == 200);
    read(&server, &new).is_error(401, "INVALID_TOKEN", "");
    // As a mounted secret changes: another file takes the name.
    let next = world.outside("next.json");
    fs::write(&next, second.file("jwks.json")).unwrap();
    fs::rename(&next, &file).unwrap();
    until(Duration::from_secs(5), || read(&server, &new).status == 200);
    read(&server, &old).is_error(401, "INVALID_TOKEN", "");
    // Of the same length, in place.
    let mut keys: Value = serde_json::from_slice(&second.file("jwks.json")).unwrap();
    keys["keys"][0]["kid"] = json!("rs256-2");
    fs::write(&file, keys.to_string()).unwrap();
    until(Duration::from_secs(5), || read(&server, &new).status == 401);
    // What is no key set changes nothing but what is told of it.
    let renamed = second.token(&with(header(), &[("kid", json!("rs256-2"))]), &claims(issuer));
    assert_eq!(read(&server, &renamed).status, 200);
    for broken in ["{", "", "{\"keys\":[]}"] {
        fs::write(&file, broken).unwrap();
        until(Duration::from_secs(5), || {
            keys_line(&server).unwrap()
                == (true, "known, but the identity provider provides no new ones".into())
        });
        assert_eq!(read(&server, &renamed).status, 200);
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(read(&server, &renamed).status, 200);
    fs::write(&file, first.file("jwks.json")).unwrap();
    until(Duration::from_secs(5), || read(&server, &old).status == 200);
    assert_eq!(keys_line(&server).unwrap(), (true, "known".into()));
}

#[test]
fn readiness_tells_of_identity_keys_only_where_there_is_a_provider() {
    let world = World::new();
    assert_eq!(keys_line(&world.serve()), None);
}

#[test]
fn the_age_of_the_keys_is_a_number_to_watch() {
    let (idp, world) = (Idp::start(), World::new());
    let server = idp.serve_with(&world, &[("MODEL_REGISTRY_METRICS_PORT", "0")]);
    assert_eq!(read(&server, &idp.token("ci-rs256")).status, 200);
    let port = &server.events("serving")[0]["metrics_port"];
    let reply = crate::support::ask("GET", &format!("http://127.0.0.1:{port}/metrics"), &[]);
    let text = String::from_utf8(reply.body).unwrap();
    let sample =
        text.lines().find(|line| line.starts_with("model_registry_identity_keys_age_seconds "));
    let age: f64 = sample.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!((0.0..60.0).contains(&age), "{age}");
}
