//! The cases: what is asked, of which registry.

use crate::{
    arguments::Arguments,
    load::Request,
    measure::Comparison,
    registry::{Registry, TOKEN, pickle},
    report::Report,
    server::Server,
};

/// A case's name, and what it is.
const CASES: &[(&str, &str)] = &[
    ("health", "GET /health: no token, no registry"),
    ("current", "GET …/current with a static token"),
];

pub fn list() {
    for (name, what) in CASES {
        println!("{name:<16} {what}");
    }
}

pub fn run(arguments: &Arguments, report: &mut Report) {
    for wanted in &arguments.cases {
        if !CASES.iter().any(|(name, _)| name.starts_with(wanted.as_str())) {
            eprintln!("there is no case {wanted}; --list names them");
            std::process::exit(2);
        }
    }
    small(arguments, report);
}

/// Cases of a registry with a few versions.
fn small(arguments: &Arguments, report: &mut Report) {
    let registry = Registry::new();
    registry.register("v1.0.0", &pickle());
    registry.promote("v1.0.0");
    let service = registry.serve(&[]);
    let bearer = format!("Bearer {TOKEN}");
    let cases = [
        ("health", Request::get("/health")),
        (
            "current",
            Request::get("/api/v1/models/risk_model/current").with("Authorization", &bearer),
        ),
    ];
    for (case, request) in cases {
        if arguments.wants(case) {
            compare(arguments, report, case, &[32], &request, &registry, &service);
        }
    }
}

fn compare(
    arguments: &Arguments,
    report: &mut Report,
    case: &str,
    connections: &[usize],
    request: &Request,
    registry: &Registry,
    service: &Server,
) {
    service.until_it_answers(request);
    let answer = service.answer(request);
    let bare = Server::bare(&answer, registry.folder.path());
    bare.until_it_answers(request);
    for connections in connections {
        let comparison = Comparison {
            case,
            catalog: "sqlite",
            connections: *connections,
            request,
            body_bytes: answer.body.len(),
        };
        report.compared(comparison.run(arguments, service, Some(&bare)));
    }
}
