//! What the log tells of a bearer, and that nothing of a token is in it.

use std::time::Duration;

use serde_json::json;

use crate::{
    forge::{Keys, claims, encode, header, with},
    provider::{Idp, read, write},
    support::{World, until},
};

#[test]
fn the_log_names_bearer_and_client() {
    let (idp, world) = (Idp::start(), World::new());
    let server = idp.serve(&world);
    let long = format!("a\n{{\"message\":\"forged\"}}\u{202e}{}", "x".repeat(500));
    let changes = [("sub", json!(long)), ("client_id", json!("ci\u{0}\r\nforged"))];
    let token = idp.keys.token(&header(), &with(claims(&idp.issuer), &changes));
    assert_eq!(read(&server, &token).status, 200);
    assert_eq!(read(&server, &idp.token("ci-rs256")).status, 200);
    until(Duration::from_secs(5), || server.events("request").len() == 2);
    let lines = server.events("request");
    assert!(lines.iter().all(|line| line["auth_role"] == "jwt"), "{lines:?}");
    let subject = lines[0]["auth_subject"].as_str().unwrap();
    assert!(subject.starts_with("a\u{fffd}{") && !subject.contains('\u{202e}'), "{subject}");
    // 128, and the mark that it was cut.
    assert_eq!(subject.chars().count(), 129);
    assert_eq!(lines[0]["client_id"], "ci\u{fffd}\u{fffd}\u{fffd}forged");
    assert_eq!(lines[1]["client_id"], "ci-rs256");
    assert!(server.events("forged").is_empty());
}

#[test]
fn the_log_says_why_a_token_is_refused_and_its_bearer_is_not_told() {
    let (idp, world) = (Idp::start(), World::new());
    let server = idp.serve(&world);
    let good = claims(&idp.issuer);
    let with_claim = |name, value| idp.keys.token(&header(), &with(good.clone(), &[(name, value)]));
    let cases = [
        (with_claim("iss", json!("x")), "its iss is not the configured issuer"),
        (with_claim("aud", json!("x")), "its aud does not hold the configured audience"),
        (with_claim("exp", json!(1)), "it has expired"),
        (Keys::new().token(&header(), &good), "its signature is wrong"),
        (
            idp.keys.token(&with(header(), &[("kid", json!("x"))]), &good),
            "its key is not in the key set",
        ),
        ("x".to_owned(), "not a signed JWT"),
    ];
    for (token, _) in &cases {
        let body = String::from_utf8(read(&server, token).body).unwrap();
        let said = r#"{"detail":"Invalid authentication token","code":"INVALID_TOKEN"}"#;
        assert_eq!(body, said);
    }
    until(Duration::from_secs(5), || server.events("request").len() == cases.len());
    for ((token, why), line) in cases.iter().zip(server.events("request")) {
        assert_eq!(
            (&line["token_refused"], &line["token_length"]),
            (&json!(why), &json!(token.len()))
        );
    }
}

#[test]
fn no_byte_of_a_token_is_logged_at_any_level() {
    let (idp, world) = (Idp::start(), World::new());
    let server = idp.serve_with(&world, &[("RUST_LOG", "trace")]);
    let good = claims(&idp.issuer);
    let unknown = with(header(), &[("kid", json!("kid-that-nobody-has"))]);
    let mut tokens = vec![
        idp.token("ci-rs256"),
        idp.token("ci-es256"),
        idp.token("ci-eddsa"),
        idp.token_for("reader-rs256", "model:read"),
        idp.keys.token(&unknown, &good),
        Keys::new().token(&header(), &good),
        idp.keys.token(&header(), &with(good.clone(), &[("exp", json!("never"))])),
        format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(good.to_string())),
    ];
    tokens.push(tokens[0].replace('.', "!"));
    tokens.push(tokens[0][..tokens[0].len() - 9].to_owned());
    for token in &tokens {
        read(&server, token);
        write(&server, token);
    }
    idp.control("mode-garbage");
    read(&server, &tokens[4]);
    let requests = 2 * tokens.len() + 1;
    until(Duration::from_secs(5), || server.events("request").len() >= requests);
    let log = server.log();
    assert!(log.iter().any(|line| line.contains("\"TRACE\"")), "nothing was logged at trace level");
    let everything = log.join("\n");
    for token in &tokens {
        // Eight characters of base64url are six bytes; a random eight do not stand in a log by chance.
        for at in 0..token.len() - 8 {
            let part = &token[at..at + 8];
            assert!(!everything.contains(part), "{part}");
        }
    }
    assert!(!everything.contains("kid-that-nobody-has"));
    assert!(!everything.to_lowercase().contains("bearer ey"));
}
