//! The cases: what is asked, of which registry.

use crate::{
    arguments::{Arguments, matches},
    load::Request,
    measure::Comparison,
    postgres::Postgres,
    registry::{Registry, TOKEN, pickle, write_safetensors},
    report::Report,
    server::Server,
    tokens::Tokens,
    whole,
};

/// A case's name, and what it is.
const CASES: &[(&str, &str)] = &[
    ("health", "GET /health: no token, no registry"),
    ("current", "GET …/current with a static token"),
    ("current-304", "the same with If-None-Match"),
    ("current-rs256", "the same with one access token, signed with RS256"),
    ("current-es256", "the same with one access token, signed with ES256"),
    ("current-new-tokens", "the same with another access token in each request"),
    ("metadata", "GET of one version"),
    ("history", "GET …/history of one version"),
    ("list-10", "a page of 10 versions"),
    ("list-1000", "1,000 versions in one answer"),
    ("page-50", "the first page of 50 of 100,000 versions (with --quick of 10,000)"),
    ("page-50-deep", "the last page of 50 of the same"),
    ("artifact", "a download of 100 MB"),
    ("validate", "validation of safetensors of 1 KiB to 1 GiB, beside openssl dgst"),
    ("start", "from the start of the process to its first answer, by number of versions"),
    ("visible", "from another process's promotion to the first answer that shows it"),
    ("beside", "current while a validation, verify and promotions run"),
];

/// Cases of a registry with a few versions.
const OF_FEW: &[&str] = &[
    "health",
    "current",
    "current-304",
    "current-rs256",
    "current-es256",
    "current-new-tokens",
    "metadata",
    "history",
    "list-10",
    "visible",
];
/// Those of them in which the catalog matters.
const OVER_POSTGRES: &[&str] =
    &["current", "current-304", "metadata", "history", "list-10", "visible"];

/// The connections of the two cases that every client makes most.
const MANY: &[usize] = &[1, 32, 256, 1000];
const SOME: &[usize] = &[32];

pub fn list() {
    for (name, what) in CASES {
        println!("{name:<20} {what}");
    }
}

pub fn run(arguments: &Arguments, report: &mut Report) {
    for wanted in &arguments.cases {
        if !CASES.iter().any(|(name, _)| matches(wanted, name)) {
            eprintln!("there is no case {wanted}; --list names them");
            std::process::exit(2);
        }
    }
    let any = |cases: &[&str]| cases.iter().any(|case| arguments.wants(case));
    if any(OF_FEW) {
        few(Registry::new(), arguments, report);
        if any(OVER_POSTGRES) && !arguments.no_postgres {
            match Postgres::start() {
                Some(postgres) => few(Registry::in_database(postgres.url()), arguments, report),
                None => report.left_out("postgres", "apt-get install postgresql"),
            }
        }
    }
    if any(&["list-1000", "page-50", "page-50-deep", "start"]) {
        many(arguments, report);
    }
    if arguments.wants("artifact") {
        artifact(arguments, report);
    }
    if arguments.wants("validate") {
        whole::validations(arguments, report);
    }
    if arguments.wants("beside") {
        whole::beside(arguments, report);
    }
}

fn get(path: &str) -> Request {
    with_token(path, TOKEN)
}

fn with_token(path: &str, token: &str) -> Request {
    Request::get(format!("/api/v1/models/risk_model{path}"))
        .with("Authorization", format!("Bearer {token}"))
}

/// Cases of a registry with a few versions.
fn few(registry: Registry, arguments: &Arguments, report: &mut Report) {
    for number in 0..12 {
        registry.register(&format!("v1.{number}.0"), &pickle());
    }
    registry.promote("v1.0.0");
    let tokens = Tokens::make(registry.folder.path());
    let service = registry.serve(&tokens.variables());
    let world = World { registry: &registry, service: &service, arguments };
    if registry.catalog() == "sqlite" {
        world.compare("health", MANY, &Request::get("/health"), report);
    }
    world.compare("current", MANY, &get("/current"), report);
    if arguments.wants("current-304") {
        let answer = service.answer(&get("/current"));
        match answer.headers.into_iter().find(|(name, _)| name == "etag") {
            Some((_, tag)) => {
                let request = get("/current").with("If-None-Match", tag);
                world.compare("current-304", SOME, &request, report);
            }
            None => report.left_out("current-304", "the answer has no ETag"),
        }
    }
    if registry.catalog() == "sqlite" {
        let of = |token| with_token("/current", token);
        world.compare("current-rs256", SOME, &of(&tokens.rs256), report);
        world.compare("current-es256", SOME, &of(&tokens.es256), report);
        let mut new = of(&tokens.es256);
        new.script = Some(tokens.new.clone());
        world.compare("current-new-tokens", SOME, &new, report);
    }
    world.compare("metadata", SOME, &get("/v1.0.0"), report);
    world.compare("history", SOME, &get("/v1.0.0/history"), report);
    world.compare("list-10", SOME, &get("?limit=10"), report);
    if arguments.wants("visible") {
        whole::visible(&registry, &service, arguments, report);
    }
}

/// Cases of registries with many versions.
fn many(arguments: &Arguments, report: &mut Report) {
    let largest = if arguments.quick { 10_000 } else { 100_000 };
    let sizes = [100, 1_000, 10_000, 100_000];
    let starts = arguments.wants("start");
    let needed = |size: usize| {
        starts
            || (size == 1_000 && arguments.wants("list-1000"))
            || (size == largest && (arguments.wants("page-50") || arguments.wants("page-50-deep")))
    };
    for size in sizes.into_iter().filter(|size| *size <= largest && needed(*size)) {
        let registry = Registry::new();
        registry.fill(size);
        if starts {
            whole::start(&registry, size, arguments, report);
        }
        let service = registry.serve(&[]);
        let world = World { registry: &registry, service: &service, arguments };
        if size == 1_000 {
            world.compare("list-1000", SOME, &get(""), report);
        }
        if size == largest {
            world.compare("page-50", SOME, &get("?limit=50"), report);
            let deep = format!("?limit=50&offset={}", size - 50);
            world.compare("page-50-deep", SOME, &get(&deep), report);
        }
    }
}

fn artifact(arguments: &Arguments, report: &mut Report) {
    let registry = Registry::new();
    let file = registry.outside("large.safetensors");
    write_safetensors(&file, 100_000_000);
    registry.register("v1.0.0", &file);
    // A file that has just changed is not remembered as verified.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let service = registry.serve(&[]);
    let world = World { registry: &registry, service: &service, arguments };
    world.compare("artifact", &[4], &get("/v1.0.0/artifact"), report);
}

struct World<'a> {
    registry: &'a Registry,
    service: &'a Server,
    arguments: &'a Arguments,
}

impl World<'_> {
    fn compare(&self, case: &str, connections: &[usize], request: &Request, report: &mut Report) {
        if !self.arguments.wants(case) {
            return;
        }
        self.service.until_it_answers(request);
        let answer = self.service.answer(request);
        let bare = Server::bare(&answer, self.registry.folder.path());
        bare.until_it_answers(request);
        for connections in connections {
            let comparison = Comparison {
                case,
                catalog: self.registry.catalog(),
                connections: *connections,
                request,
                body_bytes: answer.body.len(),
            };
            report.compared(comparison.run(self.arguments, self.service, Some(&bare)));
        }
    }
}
