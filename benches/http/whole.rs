//! What is measured by the clock as a whole: validations, starts, how soon a promotion is seen, and reads beside work.

use std::{
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    arguments::Arguments,
    load::{Request, ask, wrk},
    measure::median,
    registry::{ADMIN, Registry, TOKEN, pickle, version, write_safetensors},
    report::Report,
    server::Server,
};

fn current() -> Request {
    Request::get("/api/v1/models/risk_model/current")
        .with("Authorization", format!("Bearer {TOKEN}"))
}

fn timed(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64() * 1e3
}

/// `validate` of safetensors files, by the command line and over HTTP, beside `openssl dgst` of the same file.
pub fn validations(arguments: &Arguments, report: &mut Report) {
    const LABELS: [(&str, u64); 6] = [
        ("1 KiB", 1 << 10),
        ("64 KiB", 64 << 10),
        ("1 MiB", 1 << 20),
        ("16 MiB", 16 << 20),
        ("128 MiB", 128 << 20),
        ("1 GiB", 1 << 30),
    ];
    let sizes = &LABELS[..if arguments.quick { 5 } else { 6 }];
    let registry = Registry::new();
    let artifact = registry.outside("large.safetensors");
    for (at, (_, bytes)) in sizes.iter().enumerate() {
        write_safetensors(&artifact, *bytes);
        registry.register(&version(at), &artifact);
    }
    let service = registry.serve_on_all_cores();
    for (at, (label, bytes)) in sizes.iter().enumerate() {
        let version = version(at);
        write_safetensors(&artifact, *bytes);
        let mut request = Request::get(format!("/api/v1/models/risk_model/{version}/validate"))
            .with("Authorization", format!("Bearer {ADMIN}"));
        request.method = "POST";
        let [mut openssl, mut command, mut http] = [const { Vec::new() }; 3];
        for _ in 0..arguments.rounds() {
            openssl.push(timed(|| {
                let mut openssl = Command::new("openssl");
                openssl.args(["dgst", "-sha256"]).arg(&artifact).stdout(Stdio::null());
                assert!(openssl.status().expect("openssl: apt-get install openssl").success());
            }));
            command.push(timed(|| registry.run(&["validate", "risk_model", &version])));
            http.push(timed(|| drop(service.answer(&request))));
        }
        let ratio = |ours: &[f64]| median(openssl.iter().zip(ours).map(|(o, u)| o / u));
        let of = |times: &[f64]| median(times.iter().copied());
        report.whole(
            "validate",
            json!({
                "size": label, "bytes": bytes, "openssl_ms": of(&openssl), "command_ms": of(&command),
                "http_ms": of(&http), "command_times_as_fast": ratio(&command),
                "http_times_as_fast": ratio(&http),
            }),
        );
    }
}

/// The time from the start of the process to its first answer of `current`, and its memory then.
pub fn start(registry: &Registry, versions: usize, arguments: &Arguments, report: &mut Report) {
    let mut times = Vec::new();
    let mut memory = Vec::new();
    for _ in 0..arguments.rounds().min(5) {
        let started = Instant::now();
        let service = registry.serve(&[]);
        service.until_it_answers(&current());
        times.push(started.elapsed().as_secs_f64() * 1e3);
        memory.push(service.memory().peak_kb as f64 / 1024.0);
    }
    report.whole(
        "start",
        json!({
            "versions": versions, "catalog": registry.catalog(),
            "first_answer_ms": median(times.into_iter()), "peak_mb": median(memory.into_iter()),
        }),
    );
}

/// How long after a `promote` of another process the service answers with the new version.
pub fn visible(registry: &Registry, service: &Server, arguments: &Arguments, report: &mut Report) {
    const FIRST: usize = 900_000;
    let rounds = arguments.rounds() * 3;
    let mut after_end = Vec::new();
    let mut commands = Vec::new();
    for round in 0..rounds {
        let version = version(FIRST + round);
        registry.register(&version, &pickle());
        let wanted = format!("\"{version}\"");
        let seen = || {
            let answer = ask(service.port, &current());
            answer.is_ok_and(|answer| String::from_utf8_lossy(&answer.body).contains(&wanted))
        };
        let started = Instant::now();
        let (shown, ended) = std::thread::scope(|scope| {
            let watching = scope.spawn(|| {
                while !seen() {
                    assert!(started.elapsed() < Duration::from_secs(60), "{wanted} is never shown");
                }
                Instant::now()
            });
            registry.promote(&version);
            let ended = Instant::now();
            (watching.join().unwrap(), ended)
        });
        after_end.push(shown.saturating_duration_since(ended).as_secs_f64() * 1e3);
        commands.push(ended.duration_since(started).as_secs_f64() * 1e3);
    }
    after_end.sort_by(f64::total_cmp);
    report.whole(
        "visible",
        json!({
            "catalog": registry.catalog(), "promotions": rounds,
            "promote_ms": median(commands.into_iter()),
            "after_promote_p50_ms": median(after_end.iter().copied()),
            "after_promote_max_ms": after_end.last(),
        }),
    );
}

/// `current` while the same service validates, another process verifies, and others promote.
pub fn beside(arguments: &Arguments, report: &mut Report) {
    let registry = Registry::new();
    let large = registry.outside("large.safetensors");
    write_safetensors(&large, 256 << 20);
    registry.register("v1.0.0", &large);
    for round in 0..2 {
        registry.register(&format!("v2.{round}.0"), &pickle());
    }
    registry.promote("v2.0.0");
    let service = registry.serve(&[]);
    let mut validate = Request::get("/api/v1/models/risk_model/v1.0.0/validate")
        .with("Authorization", format!("Bearer {ADMIN}"));
    validate.method = "POST";
    let promotions = AtomicUsize::new(0);
    let tasks: [(&str, &(dyn Fn() + Sync)); 4] = [
        ("nothing", &|| std::thread::sleep(Duration::from_millis(10))),
        ("validation of 256 MiB", &|| drop(service.answer(&validate))),
        ("verify by the command line", &|| registry.run(&["verify"])),
        ("promotions by the command line", &|| {
            let next = promotions.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
            registry.promote(if next { "v2.1.0" } else { "v2.0.0" });
        }),
    ];
    for _ in 0..2 {
        wrk(service.port, &current(), 32, 1);
    }
    let mut rounds = vec![Vec::new(); tasks.len()];
    for _ in 0..arguments.rounds() {
        for (at, (_, task)) in tasks.iter().enumerate() {
            let over = AtomicBool::new(false);
            let run = std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        task();
                    }
                });
                let run = wrk(service.port, &current(), 32, arguments.seconds());
                over.store(true, Ordering::Relaxed);
                run
            });
            rounds[at].push(run);
        }
    }
    for (at, (name, _)) in tasks.iter().enumerate() {
        let of = |value: fn(&crate::load::Run) -> f64| median(rounds[at].iter().map(value));
        let pairs = rounds[0].iter().zip(&rounds[at]);
        report.whole(
            "beside",
            json!({
                "beside": name, "per_second": of(|run| run.per_second),
                "p50_us": of(|run| run.p50), "p99_us": of(|run| run.p99),
                "rate_ratio": median(pairs.map(|(alone, run)| run.per_second / alone.per_second)),
            }),
        );
    }
}
