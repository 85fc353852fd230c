//! Tokens that nobody should believe. Each is refused with 401, soon, and leaves the service as it was.

use std::{
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use crate::{
    forge::{Keys, claims, encode, header, now, with, without},
    provider::{Idp, READ_PATH, read},
    support::{Server, World},
};

/// Longer than this is slow.
const SOON: Duration = Duration::from_secs(2);

type Case = (String, Vec<u8>);

fn refuse_all(idp: &Idp, cases: Vec<Case>) {
    let world = World::new();
    let server = idp.serve(&world);
    let good = idp.keys.token(&header(), &claims(&idp.issuer));
    assert_eq!(read(&server, &good).status, 200, "the token that all of them are made from");
    for (name, token) in cases {
        let asked = Instant::now();
        let (status, body) = ask_raw(&server, &token);
        assert_eq!(status, 401, "{name}: {body}");
        assert!(body.contains("\"INVALID_TOKEN\""), "{name}: {body}");
        assert!(asked.elapsed() < SOON, "{name}: {:?}", asked.elapsed());
    }
    assert_eq!(read(&server, &good).status, 200);
    assert!(server.events("panic").is_empty());
    assert!(server.events("request").iter().all(|line| line["status"] != 500));
}

/// Asks with bytes that no HTTP client would send.
fn ask_raw(server: &Server, token: &[u8]) -> (u16, String) {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "GET {READ_PATH} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer "
    );
    // A server that has read enough may close before all is written.
    drop(stream.write_all(&[head.as_bytes(), token, b"\r\n\r\n"].concat()));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer)
}

fn case(name: impl Into<String>, token: impl Into<Vec<u8>>) -> Case {
    (name.into(), token.into())
}

#[test]
fn headers_and_algorithms() {
    let idp = Idp::start();
    let (keys, claims) = (&idp.keys, claims(&idp.issuer));
    let mut cases = Vec::new();
    for none in ["none", "None", "NONE", "nOnE", "", " none", "none\u{0}"] {
        let header = json!({"alg": none, "typ": "JWT", "kid": "rs256-1"});
        let unsigned = format!("{}.{}.", encode(header.to_string()), encode(claims.to_string()));
        cases.push(case(format!("alg {none:?}, unsigned"), unsigned.clone()));
        cases.push(case(
            format!("alg {none:?}, signed"),
            keys.token_of(Algorithm::RS256, &header.to_string(), claims.to_string()),
        ));
        cases.push(case(format!("alg {none:?}, some signature"), format!("{unsigned}AAAA")));
    }
    // The public key, as everybody knows it, for a shared secret.
    for (secret, file) in [("PEM", "rs256.pub.pem"), ("JWK set", "jwks.json")] {
        for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            for kid in [json!("rs256-1"), json!("es256-1"), json!("eddsa-1")] {
                let header = json!({"alg": format!("{alg:?}"), "typ": "JWT", "kid": kid});
                let message =
                    format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
                let secret_key = EncodingKey::from_secret(&keys.file(file));
                let signature = crypto::sign(message.as_bytes(), &secret_key, alg).unwrap();
                cases.push(case(
                    format!("{alg:?} with the {secret} for its secret"),
                    format!("{message}.{signature}"),
                ));
            }
        }
    }
    for (name, changes) in [
        ("crit", json!({"crit": ["exp"]})),
        ("empty crit", json!({"crit": []})),
        ("crit of null", json!({"crit": null})),
        ("b64", json!({"b64": false, "crit": ["b64"]})),
        ("cty", json!({"cty": "JWT"})),
        ("an ID token's typ", json!({"typ": "id+jwt"})),
        ("a logout token's typ", json!({"typ": "logout+jwt"})),
        ("a DPoP proof's typ", json!({"typ": "dpop+jwt"})),
        ("typ of null", json!({"typ": null})),
        ("kid of another kind", json!({"kid": ["rs256-1"]})),
        ("kid of another key", json!({"kid": "es256-1"})),
        ("unknown kid", json!({"kid": "rs256-99"})),
        ("kid as a path", json!({"kid": "../../../../dev/null"})),
        ("kid as SQL", json!({"kid": "x' UNION SELECT 'a"})),
        ("PS256 with a key bound to RS256", json!({"alg": "PS256"})),
        ("an algorithm that is not configured", json!({"alg": "RS512"})),
    ] {
        let mut changed = header();
        changed.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        cases.push(case(name, keys.token(&changed, &claims)));
    }
    for (name, text) in [
        ("alg twice", r#"{"alg":"RS256","kid":"rs256-1","alg":"none"}"#),
        ("kid twice", r#"{"alg":"RS256","kid":"x","kid":"rs256-1"}"#),
        ("header that is a list", r#"["RS256"]"#),
        ("header that is no JSON", "alg=RS256"),
        ("alg as a list", r#"{"alg":["RS256"],"kid":"rs256-1"}"#),
        ("no alg", r#"{"kid":"rs256-1"}"#),
    ] {
        cases.push(case(name, keys.token_of(Algorithm::RS256, text, claims.to_string())));
    }
    refuse_all(&idp, cases);
}

#[test]
fn signatures() {
    let idp = Idp::start();
    let (keys, claims) = (&idp.keys, claims(&idp.issuer));
    let others = Keys::new();
    let mut cases = Vec::new();
    for alg in ["RS256", "ES256", "EdDSA"] {
        let header =
            json!({"alg": alg, "typ": "at+jwt", "kid": format!("{}-1", alg.to_lowercase())});
        let good = keys.token(&header, &claims);
        let (message, signature) = good.rsplit_once('.').unwrap();
        let (own, body) = message.split_once('.').unwrap();
        let signed = |signature: &str| format!("{message}.{signature}");
        let with_jwk = json!({
            "jwk": serde_json::from_slice::<Value>(&others.file("jwks.json")).unwrap()["keys"][0],
        });
        let mut offering = header.clone();
        offering.as_object_mut().unwrap().extend(with_jwk.as_object().unwrap().clone());
        let swapped = with(header.clone(), &[("typ", json!("JWT"))]).to_string();
        let length = signature.len();
        for (name, token) in [
            ("another's key", others.token(&header, &claims)),
            ("another's key, embedded", others.token(&offering, &claims)),
            ("another's key, without kid", others.token(&without(header.clone(), "kid"), &claims)),
            ("swapped header", format!("{}.{body}.{signature}", encode(swapped))),
            (
                "swapped claims",
                format!(
                    "{own}.{}.{signature}",
                    encode(with(claims.clone(), &[("scope", json!("model:admin"))]).to_string())
                ),
            ),
            ("truncated by a character", signed(&signature[..length - 1])),
            ("truncated by four", signed(&signature[..length - 4])),
            ("half", signed(&signature[..length / 2])),
            ("none", signed("")),
            ("padded", signed(&format!("{signature}="))),
            ("padded twice", signed(&format!("{signature}=="))),
            ("longer", signed(&format!("{signature}AAAA"))),
            ("twice", signed(&format!("{signature}{signature}"))),
            ("standard base64", signed(&signature.replace(['-', '_'], "+"))),
            ("white space within", signed(&format!("{} {}", &signature[..9], &signature[9..]))),
            ("zeros", signed(&encode([0; 64]))),
            ("as many zeros", signed(&encode(vec![0; length * 3 / 4]))),
            ("ones", signed(&encode([255; 64]))),
            ("r = s = 1", signed(&encode([vec![0; 31], vec![1], vec![0; 31], vec![1]].concat()))),
            ("DER", signed(&encode([0x30, 6, 2, 1, 0, 2, 1, 0]))),
        ] {
            if token != good {
                cases.push(case(format!("{alg}: {name}"), token));
            }
        }
        // Bits that belong to no byte: another spelling of the same signature.
        let last = signature.chars().last().unwrap();
        for spelling in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
            if spelling != last {
                let token = signed(&format!("{}{spelling}", &signature[..length - 1]));
                cases.push(case(format!("{alg}: last character {spelling}"), token));
            }
        }
    }
    refuse_all(&idp, cases);
}

#[test]
fn claims_of_the_wrong_value_or_type() {
    let idp = Idp::start();
    let (keys, good) = (&idp.keys, claims(&idp.issuer));
    let mut cases = Vec::new();
    let slashed = format!("{}/", idp.issuer);
    for (name, value) in [
        ("exp", json!(now() - 60)),
        ("exp", json!((now() + 300).to_string())),
        ("exp", json!(1e308)),
        ("exp", json!(-1)),
        ("exp", json!(u64::MAX)),
        ("exp", json!(null)),
        ("exp", json!([now() + 300])),
        ("nbf", json!(now() + 120)),
        ("nbf", json!("0")),
        ("iat", json!(now() + 120)),
        ("iat", json!("now")),
        ("iss", json!("https://evil.example")),
        ("iss", json!(slashed)),
        ("iss", json!([idp.issuer])),
        ("iss", json!(null)),
        ("aud", json!("billing")),
        ("aud", json!("MODEL-REGISTRY")),
        ("aud", json!(["billing", "urn:model-registry"])),
        ("aud", json!([])),
        ("aud", json!(["model-registry", null])),
        ("aud", json!({"model-registry": 1})),
        ("sub", json!({"name": "alice"})),
        ("cnf", json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})),
        ("cnf", json!(null)),
        ("nonce", json!("of an ID token")),
        ("at_hash", json!("of an ID token")),
        ("typ", json!("ID")),
        ("typ", json!("Refresh")),
        ("token_use", json!("id")),
        ("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}})),
    ] {
        let token = keys.token(&header(), &with(good.clone(), &[(name, value.clone())]));
        cases.push(case(format!("{name} {value}"), token));
    }
    for missing in ["iss", "aud", "exp"] {
        cases.push(case(
            format!("no {missing}"),
            keys.token(&header(), &without(good.clone(), missing)),
        ));
    }
    let text = good.to_string();
    let (start, end) = (&text[..text.len() - 1], "}");
    let head = header().to_string();
    let signed = |claims: &[u8]| keys.token_of(Algorithm::RS256, &head, claims);
    let long = "9".repeat(309);
    for (name, claims) in [
        ("exp as 309 digits", text.replace(&good["exp"].to_string(), &long)),
        ("exp as 1e308", text.replace(&good["exp"].to_string(), "1e308")),
        ("scope twice", format!("{start},\"scope\":\"model:admin\"{end}")),
        ("aud twice", format!("{start},\"aud\":\"model-registry\"{end}")),
        ("exp twice", format!("{start},\"exp\":{}{end}", now() + 9999)),
        ("a name in other letters, twice", format!("{start},\"sco\\u0070e\":\"model:admin\"{end}")),
        ("a member within, twice", format!("{start},\"x\":{{\"a\":1,\"a\":2}}{end}")),
        ("something after", format!("{text}{{}}")),
        ("a list", format!("[{text}]")),
        ("a token within", "\"e30.e30.\"".to_owned()),
        ("nothing", String::new()),
        ("NaN", format!("{start},\"x\":NaN{end}")),
        ("depth", format!("{start},\"x\":{}{}{end}", "[".repeat(5000), "]".repeat(5000))),
    ] {
        cases.push(case(name, signed(claims.as_bytes())));
    }
    cases
        .push(case("invalid UTF-8", signed(&[start.as_bytes(), b",\"x\":\"\xff\xfe\"}"].concat())));
    cases.push(case(
        "UTF-16",
        signed(&text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()),
    ));
    refuse_all(&idp, cases);
}

#[test]
fn shapes_and_sizes() {
    let idp = Idp::start();
    let (keys, good) = (&idp.keys, claims(&idp.issuer));
    let token = keys.token(&header(), &good);
    let parts: Vec<_> = token.split('.').collect();
    let jwe_header = json!({"alg": "RSA-OAEP", "enc": "A256GCM", "cty": "JWT", "kid": "rs256-1"});
    let nested = keys.token_of(Algorithm::RS256, &header().to_string(), &token);
    let fat = |bytes: usize| {
        keys.token(&header(), &with(good.clone(), &[("x", json!("x".repeat(bytes)))]))
    };
    let mut cases = vec![
        case(
            "nested JWE",
            format!("{}.AAAA.AAAA.{}.AAAA", encode(jwe_header.to_string()), encode(&token)),
        ),
        case("nested JWS", nested),
        case("over 16 kB", fat(13_000)),
        case("30 kB", fat(22_000)),
        case(
            "JSON serialisation",
            json!({"payload": parts[1], "protected": parts[0], "signature": parts[2]}).to_string(),
        ),
        case("standard alphabet, padded", format!("{}==.{}.{}", parts[0], parts[1], parts[2])),
        case("a part too many", format!("{token}.")),
        case("a part too few", format!("{}.{}", parts[0], parts[1])),
        case("dots", ".."),
        case("a dot", "."),
        case("letters", "abc"),
        case("Bearer twice", format!("Bearer {token}")),
        case("quoted", format!("\"{token}\"")),
        case("two tokens", format!("{token},{token}")),
        case("invalid UTF-8", [token.as_bytes(), b"\xff\xfe"].concat()),
        case("Latin letters", "\u{e4}.\u{f6}.\u{fc}".to_owned()),
    ];
    for at in [0, parts[0].len(), parts[0].len() + 1] {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = b'!';
        cases.push(case(format!("! at {at}"), bytes));
    }
    refuse_all(&idp, cases);
}

#[test]
fn a_token_of_a_megabyte_is_cut_off_by_the_http_layer() {
    let (idp, world) = (Idp::start(), World::new());
    let server = idp.serve(&world);
    let asked = Instant::now();
    // No server reads a request's head of a megabyte: it is refused before anybody knows of a token.
    let (status, _) = ask_raw(&server, &vec![b'a'; 1 << 20]);
    assert!([0, 400, 401, 431].contains(&status), "{status}");
    assert!(asked.elapsed() < SOON);
    assert_eq!(read(&server, &idp.token("ci-rs256")).status, 200);
}

#[test]
fn addresses_in_a_token_are_never_called() {
    let (idp, world) = (Idp::start(), World::new());
    let server = idp.serve(&world);
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/keys", trap.local_addr().unwrap());
    let called = Arc::new(AtomicUsize::new(0));
    let count = called.clone();
    std::thread::spawn(move || {
        for _ in trap.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let others = Keys::new();
    let claims = claims(&idp.issuer);
    let offers = json!({
        "jku": address, "x5u": address, "x5c": ["AAAA"], "url": address, "iss": address,
        "jwk": serde_json::from_slice::<Value>(&others.file("jwks.json")).unwrap()["keys"][0],
    });
    for kid in [json!("rs256-1"), json!("unknown"), json!(address)] {
        let mut header = with(header(), &[("kid", kid)]);
        header.as_object_mut().unwrap().extend(offers.as_object().unwrap().clone());
        read(&server, &others.token(&header, &claims)).is_error(401, "INVALID_TOKEN", "");
        let elsewhere = with(claims.clone(), &[("iss", json!(address))]);
        read(&server, &idp.keys.token(&header, &elsewhere)).is_error(401, "INVALID_TOKEN", "");
    }
    // What a good token offers beside its signature is not looked at.
    let mut header = header();
    header.as_object_mut().unwrap().extend(offers.as_object().unwrap().clone());
    assert_eq!(read(&server, &idp.keys.token(&header, &claims)).status, 200);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(called.load(Ordering::SeqCst), 0);
}
