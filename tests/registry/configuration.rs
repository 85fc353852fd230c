//! Starts that are refused say why, by variable and with the remedy, all at once, with exit status 2.

use crate::support::{Ran, World};

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
            ("MODEL_REGISTRY_WRITE_API", "true"),
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
