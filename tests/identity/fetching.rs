//! How the provider is asked for its keys, and what is made of its answers.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use crate::{
    forge::{Keys, claims, header},
    provider::{read, serve},
    support::{World, until},
};

/// A provider that answers as it is told to, and keeps the heads of the requests.
struct Provider {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    /// `slash` is what the issuer has at its end in the discovery document; `packed` says how answers are encoded.
    fn start(keys: Vec<u8>, slash: &'static str, packed: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let (own, kept) = (address.clone(), heads.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let head = read_head(&stream);
                let body = if head.starts_with("GET /jwks ") {
                    keys.clone()
                } else {
                    let document = json!({"issuer": format!("{own}{slash}"), "jwks_uri": format!("{own}/jwks")});
                    document.to_string().into_bytes()
                };
                kept.lock().unwrap().push(head);
                answer(stream, body, packed);
            }
        });
        Self { address, heads }
    }
}

fn read_head(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.take_while(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

fn answer(mut stream: TcpStream, body: Vec<u8>, packed: Option<&str>) {
    let (encoding, body) = match packed {
        Some(name) => {
            let mut packer = GzEncoder::new(Vec::new(), Compression::default());
            packer.write_all(&body).unwrap();
            (format!("Content-Encoding: {name}\r\n"), packer.finish().unwrap())
        }
        None => (String::new(), body),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{encoding}Content-Length: {}\r\n\r\n",
        body.len()
    );
    // The service may have gone meanwhile.
    drop(stream.write_all(&[head.as_bytes(), &body].concat()));
}

#[test]
fn a_packed_answer_is_unpacked() {
    for encoding in [None, Some("gzip"), Some("x-gzip")] {
        let (world, keys) = (World::new(), Keys::new());
        let provider = Provider::start(keys.file("jwks.json"), "", encoding);
        let server = serve(&world, &[("MODEL_REGISTRY_JWT_ISSUER", &provider.address)]);
        let token = keys.token(&header(), &claims(&provider.address));
        until(Duration::from_secs(20), || read(&server, &token).status == 200);
    }
}

#[test]
fn both_media_types_of_key_sets_are_asked_for() {
    let (world, keys) = (World::new(), Keys::new());
    let provider = Provider::start(keys.file("jwks.json"), "", None);
    let server = serve(&world, &[("MODEL_REGISTRY_JWT_ISSUER", &provider.address)]);
    let token = keys.token(&header(), &claims(&provider.address));
    until(Duration::from_secs(20), || read(&server, &token).status == 200);
    for head in provider.heads.lock().unwrap().iter() {
        let accept = head.lines().find(|line| line.to_lowercase().starts_with("accept:"));
        let accept = accept.unwrap_or_else(|| panic!("{head}"));
        for kind in ["application/json", "application/jwk-set+json"] {
            assert!(accept.contains(kind), "{head}");
        }
    }
}

#[test]
fn what_is_wrong_with_an_answer_is_in_the_log() {
    for (slash, packed, said) in [("/", None, "/\", and"), ("", Some("br"), "encoded as \"br\"")] {
        let (world, keys) = (World::new(), Keys::new());
        let provider = Provider::start(keys.file("jwks.json"), slash, packed);
        let server = serve(&world, &[("MODEL_REGISTRY_JWT_ISSUER", &provider.address)]);
        let told = || server.events("the identity keys could not be refreshed; it is tried again");
        until(Duration::from_secs(20), || !told().is_empty());
        let cause = told()[0]["cause"].as_str().unwrap().to_owned();
        assert!(cause.contains(said) && cause.contains(&provider.address), "{cause}");
    }
}
