//! Starts that are refused say why, by variable and with the remedy, all at once, with exit status 2.

use crate::support::{READ, Ran, Server, World};

fn serve(world: &World, variables: &[(&str, &str)]) -> Ran {
    let mut command = world.command(&["serve", "--host", "127.0.0.1", "--port", "0"]);
    command.envs(variables.iter().copied()).output().unwrap().into()
}

#[test]
fn without_a_token_the_service_refuses_to_start() {
    let world = World::new();
    serve(&world, &[]).refused(2, "MODEL_REGISTRY_READ_TOKEN");
    serve(&world, &[("MODEL_REGISTRY_READ_TOKEN", "")]).refused(2, "MODEL_REGISTRY_READ_TOKEN");
    assert!(!world.dir().exists(), "a refused start makes no directory");
}

#[test]
fn every_problem_is_reported_in_one_go_and_no_secret_is_printed() {
    let world = World::new();
    let ran = serve(
        &world,
        &[
            ("MODEL_REGISTRY_READ_TOKEN", "hunter2 hunter2"),
            ("MODEL_REGISTRY_AUTH_DISABLED", "true"),
            ("ENVIRONMENT", "production"),
            ("MODEL_REGISTRY_LOG_FORMAT", "xml"),
            ("RUST_LOG", "a=b=c"),
            ("DATABASE_URL", "mysql://user:hunter2@host/db"),
            ("MODEL_REGISTRY_JWT_ISSUER", "http://idp.example"),
            ("MODEL_REGISTRY_WRITE_API", "maybe"),
            ("MODEL_REGISTRY_MAX_ARTIFACT_BYTES", "10 GB"),
            ("MODEL_REGISTRY_TRUSTED_PROXIES", "10.0.0.1/8"),
            ("MODEL_REGISTRY_ALLOWED_HOSTS", "*.example.com"),
            ("MODEL_REGISTRY_DRAIN_SECONDS", "soon"),
            ("MODEL_REGISTRY_METRICS_PORT", "99999"),
            ("MODEL_REGISTRY_LOG_FILTER_FILE", "/no/such/file"),
            ("MODEL_REGISTRY_TLS_CERT", "/no/such/file"),
            ("MODEL_REGISTRY_TLS_KEY", "/no/such/file"),
        ],
    )
    .refused(2, "MODEL_REGISTRY_READ_TOKEN");
    for name in [
        "MODEL_REGISTRY_AUTH_DISABLED",
        "ALLOWED_ORIGINS",
        "MODEL_REGISTRY_LOG_FORMAT",
        "MODEL_REGISTRY_TRUSTED_PROXIES",
        "MODEL_REGISTRY_ALLOWED_HOSTS",
        "MODEL_REGISTRY_DRAIN_SECONDS",
        "MODEL_REGISTRY_METRICS_PORT",
        "MODEL_REGISTRY_LOG_FILTER_FILE",
        "MODEL_REGISTRY_TLS_CERT",
        "RUST_LOG",
        "DATABASE_URL",
        "MODEL_REGISTRY_JWT_ISSUER",
        "MODEL_REGISTRY_WRITE_API",
        "MODEL_REGISTRY_MAX_ARTIFACT_BYTES",
    ] {
        assert!(ran.stderr.contains(name), "{name}: {ran:?}");
    }
    assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
}

#[test]
fn a_port_that_is_taken_names_port_and_remedy() {
    let world = World::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ran: Ran = world
        .command(&["serve", "--host", "127.0.0.1", "--port", &port])
        .env("MODEL_REGISTRY_READ_TOKEN", "0123456789abcdef")
        .output()
        .unwrap()
        .into();
    ran.refused(2, "MODEL_REGISTRY_PORT");
}

#[test]
fn variables_set_to_nothing_count_as_unset_and_are_logged() {
    let world = World::new();
    let server = world.serve_with(&[("MODEL_REGISTRY_POLICY", ""), ("DATABASE_URL", "")]);
    let logged = server.log().join("\n");
    assert!(
        logged.contains("MODEL_REGISTRY_POLICY") && logged.contains("DATABASE_URL"),
        "{logged}"
    );
}

#[test]
fn a_token_may_come_from_a_mounted_file() {
    let world = World::new();
    let file = world.outside("token");
    std::fs::write(&file, "mounted-secret-0123\n").unwrap();
    let server = world.serve_with(&[
        ("MODEL_REGISTRY_READ_TOKEN", ""),
        ("MODEL_REGISTRY_READ_TOKEN_FILE", file.to_str().unwrap()),
    ]);
    let headers = [("authorization", "Bearer mounted-secret-0123")];
    assert_eq!(server.ask("GET", "/api/v1/models/risk_model", &headers).status, 200);
}

#[test]
fn a_policy_that_cannot_be_read_is_named() {
    let world = World::new();
    let policy = world.outside("policy.toml");
    std::fs::write(&policy, "[typos]\n").unwrap();
    let ran: Ran =
        world.command(&["list"]).env("MODEL_REGISTRY_POLICY", &policy).output().unwrap().into();
    ran.refused(2, "MODEL_REGISTRY_POLICY").refused(2, "typos");
}

#[test]
fn a_registry_directory_that_cannot_be_made_is_named() {
    let ran: Ran = crate::support::binary()
        .args(["--registry-dir", "/proc/no/such", "serve", "--port", "0"])
        .env("MODEL_REGISTRY_READ_TOKEN", "0123456789abcdef")
        .output()
        .unwrap()
        .into();
    ran.refused(6, "/proc/no/such");
}

/// The warnings of a service's start.
fn warnings(server: &Server) -> String {
    server.log().into_iter().filter(|line| line.contains("\"WARN\"")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_variable_that_is_not_known_is_a_warning_with_the_nearest_name() {
    let world = World::new();
    let server = world.serve_with(&[
        ("MODEL_REGISTRY_DRAIN_SECOND", "9"),
        ("MODEL_REGISTRY_NOTHING_LIKE_IT", "x"),
        ("ALLOWED_ORIGIN", "https://a.example"),
        ("MODEL_REGISTRY_SERVICE_HOST", "10.96.0.12"),
        ("MODEL_REGISTRY_PORT_8003_TCP", "tcp://10.96.0.12:8003"),
    ]);
    let told = warnings(&server);
    for part in [
        "MODEL_REGISTRY_DRAIN_SECONDS is one",
        "MODEL_REGISTRY_NOTHING_LIKE_IT is not a variable",
        "ALLOWED_ORIGINS is one",
        "MODEL_REGISTRY_PORT_8003_TCP, MODEL_REGISTRY_SERVICE_HOST have no effect",
        "enableServiceLinks",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let ran: Ran = world.command(&["list"]).env("MODEL_REGISTRY_DRI", "x").output().unwrap().into();
    assert!(ran.ok().stderr.contains("MODEL_REGISTRY_DIR is one"));
}

#[test]
fn a_service_link_in_the_ports_place_is_explained() {
    let world = World::new();
    let link =
        [("MODEL_REGISTRY_PORT", "tcp://10.96.0.12:8003"), ("MODEL_REGISTRY_READ_TOKEN", READ)];
    let serve = world.command(&["serve"]).envs(link).output().unwrap();
    Ran::from(serve).refused(2, "enableServiceLinks");
    let health = world.command(&["health"]).envs(link).output().unwrap();
    Ran::from(health).refused(2, "enableServiceLinks");
    // The flag wins, and the variable is not asked.
    let server = world.serve_with(&link);
    assert_eq!(server.ask("GET", "/health", &[]).status, 200);
}

#[test]
fn a_log_filter_that_matches_nothing_is_told() {
    let world = World::new();
    for (filter, told) in
        [("model-registry=debug", true), ("inf", true), ("off", false), ("error", false)]
    {
        let ran = world.command(&["list"]).env("RUST_LOG", filter).output().unwrap();
        let ran = Ran::from(ran);
        assert_eq!(
            ran.stderr.contains("the log filter matches no line"),
            told,
            "{filter}: {ran:?}"
        );
    }
    let server = world.serve_with(&[]);
    assert!(!server.log().join("\n").contains("the log filter matches"));
}

#[test]
fn serve_refuses_a_directory_with_other_files_and_no_registry() {
    let world = World::new();
    std::fs::create_dir_all(world.dir()).unwrap();
    std::fs::write(world.path("thesis.tex"), "text").unwrap();
    let token = [("MODEL_REGISTRY_READ_TOKEN", READ)];
    serve(&world, &token).refused(2, "thesis.tex");
    let left: Vec<_> = std::fs::read_dir(world.dir()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing is made there: {left:?}");
}

#[test]
fn serve_makes_a_registry_where_there_is_none_and_warns_of_it() {
    let world = World::new();
    let made = "created a new registry; if one should exist already, the directory's name is wrong or its volume is \
                not mounted; MODEL_REGISTRY_REQUIRE_EXISTING=true refuses to start without one";
    let token = [("MODEL_REGISTRY_READ_TOKEN", READ), ("MODEL_REGISTRY_REQUIRE_EXISTING", "true")];
    serve(&world, &token).refused(2, "MODEL_REGISTRY_REQUIRE_EXISTING");
    assert!(!world.dir().exists());
    // A volume that was just made.
    std::fs::create_dir_all(world.path("lost+found")).unwrap();
    serve(&world, &token).refused(2, "MODEL_REGISTRY_REQUIRE_EXISTING");
    assert_eq!(world.serve().events(made)[0]["before"], "empty");
    let again = world.serve_with(&[("MODEL_REGISTRY_REQUIRE_EXISTING", "true")]);
    assert!(again.events(made).is_empty(), "it is there now");
    let world = World::new();
    assert_eq!(world.serve().events(made)[0]["before"], "absent");
}
