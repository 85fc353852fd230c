//! Replicas are replaced one by one, under clients that keep their connections: nobody loses a request.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::{
    gateway::{BOTH, Gateway, free_port, replica},
    support::{ADMIN, READ, World, until},
};

const CLIENTS: usize = 24;
/// How often each replica is replaced.
const ROUNDS: usize = 2;
/// Time enough for haproxy to see that a replica is leaving: it looks twice a second.
const DRAIN_SECONDS: u32 = 2;

fn client(certificate: &Path) -> ureq::Agent {
    let pem = std::fs::read(certificate).unwrap();
    let root = Certificate::from_pem(&pem).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[root]))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .build()
        .into()
}

#[derive(Default)]
struct Tally {
    stop: AtomicBool,
    answered: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

/// Asks until it is told to stop: most for what is in production, some for bytes, some for a load check.
fn ask_on(number: usize, gateway: &Gateway, tally: &Tally) {
    let agent = client(&gateway.certificate());
    let url = |path: &str| gateway.url(&format!("/registry/api/v1/models/risk_model/{path}"));
    while !tally.stop.load(Ordering::Relaxed) {
        let answer = match number % 8 {
            0 => agent
                .post(url("v1.1.0/validate"))
                .header("authorization", format!("Bearer {ADMIN}"))
                .send_empty(),
            1 => agent
                .get(url("v1.1.0/artifact"))
                .header("authorization", format!("Bearer {READ}"))
                .call(),
            _ => agent.get(url("current")).header("authorization", format!("Bearer {READ}")).call(),
        };
        let failure = match answer {
            Ok(mut answer) => match answer.body_mut().read_to_vec() {
                Ok(_) if answer.status() == 200 => None,
                Ok(body) => {
                    Some(format!("{}: {}", answer.status(), String::from_utf8_lossy(&body)))
                }
                Err(error) => Some(error.to_string()),
            },
            Err(error) => Some(error.to_string()),
        };
        match failure {
            None => drop(tally.answered.fetch_add(1, Ordering::Relaxed)),
            Some(failure) => {
                tally.failures.lock().unwrap().push(format!("client {number}: {failure}"))
            }
        }
    }
}

#[test]
fn replicas_are_replaced_without_the_loss_of_a_request() {
    let world = World::with_legacy();
    for kind in BOTH {
        let ports = [free_port(), free_port()];
        let mut replicas = ports.map(|port| replica(&world, port, DRAIN_SECONDS));
        let gateway = Gateway::start(kind, ports);
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for number in 0..CLIENTS {
                let (gateway, tally) = (&gateway, &tally);
                scope.spawn(move || ask_on(number, gateway, tally));
            }
            for _ in 0..ROUNDS {
                for (place, port) in ports.into_iter().enumerate() {
                    replicas[place].signal(Signal::TERM);
                    assert_eq!(replicas[place].wait().code(), Some(0));
                    replicas[place] = replica(&world, port, DRAIN_SECONDS);
                    // As an orchestrator does: no sooner, and no later.
                    until(Duration::from_secs(20), || {
                        replicas[place].ask("GET", "/ready", &[]).status == 200
                    });
                }
            }
            tally.stop.store(true, Ordering::Relaxed);
        });
        let failures = tally.failures.into_inner().unwrap();
        let answered = tally.answered.into_inner();
        println!(
            "{kind:?}: {CLIENTS} clients, {} restarts, {answered} answered, {} failed",
            2 * ROUNDS,
            failures.len()
        );
        assert!(answered > 1000, "{answered}");
        assert!(
            failures.is_empty(),
            "{kind:?}, {answered} answered: {failures:#?}\n{:#?}",
            gateway.complaints()
        );
    }
}
