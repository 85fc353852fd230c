//! The settings, read once: from the environment, and from flags, which win. All problems are reported together, each
//! with the variable's name and the remedy. No secret is printed.

use std::{fmt, path::PathBuf};

use crate::{
    auth::IdentitySettings, catalog::DatabaseUrl, domain::log::publisher::Publisher, limits,
    policy::PolicyInForce,
};

mod edge;
mod identity;
mod known;
mod log;
mod reader;
mod tokens;

pub use crate::auth::static_tokens::{TokenPlace, TokenRole, TokenSource};
pub use edge::{EdgeSettings, read_log_filter};
pub use known::service_link;
pub use log::load_publisher;
pub use reader::Variables;
use reader::{Reader, read_limited};
use tokens::{ADMIN_TOKEN, READ_TOKEN};

const DIR: &str = "MODEL_REGISTRY_DIR";
const HOST: &str = "MODEL_REGISTRY_HOST";
const PORT: &str = "MODEL_REGISTRY_PORT";
const AUTH_DISABLED: &str = "MODEL_REGISTRY_AUTH_DISABLED";
const ORIGINS: &str = "ALLOWED_ORIGINS";
const ENVIRONMENT: &str = "ENVIRONMENT";
const POLICY: &str = "MODEL_REGISTRY_POLICY";
const LOG_FORMAT: &str = "MODEL_REGISTRY_LOG_FORMAT";
const LOG_FILTER: &str = "RUST_LOG";
const STRICT_VERSIONS: &str = "STRICT_VERSION_MODE";
const SANDBOX: &str = "MODEL_REGISTRY_SANDBOX";
const DATABASE: &str = "DATABASE_URL";
const DATABASE_POOL: &str = "MODEL_REGISTRY_DB_POOL";
const DATABASE_LISTEN: &str = "MODEL_REGISTRY_DB_LISTEN_URL";
const WRITE_API: &str = "MODEL_REGISTRY_WRITE_API";
const MAX_ARTIFACT: &str = "MODEL_REGISTRY_MAX_ARTIFACT_BYTES";
const REQUIRE_EXISTING: &str = "MODEL_REGISTRY_REQUIRE_EXISTING";

const LOCAL_ORIGINS: [&str; 4] = [
    "http://localhost:8501",
    "http://127.0.0.1:8501",
    "http://localhost:3000",
    "http://127.0.0.1:3000",
];

/// Where the service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// `production`, the default.
    Production,
    /// `staging`.
    Staging,
    /// `dev`.
    Dev,
    /// `test`.
    Test,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// What every command needs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The registry directory.
    pub registry_dir: PathBuf,
    /// The database that holds the catalog; SQLite in the registry directory where there is none.
    pub database: Option<DatabaseUrl>,
    /// Where the service runs.
    pub environment: Environment,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// What is logged, as in `RUST_LOG`; `None` where nothing is set.
    pub log_filter: Option<String>,
    /// The policy: types, gates, trusted classes, roles.
    pub policy: PolicyInForce,
    /// Whether a data set of another version than the model was trained on makes the two incompatible.
    pub strict_versions: bool,
    /// Whether load checks run where the kernel lacks a part of their sandbox.
    pub sandbox: load_checks::Mode,
    /// Whether `serve` refuses to make a registry.
    pub require_existing: bool,
    /// Variables that are set to nothing, and count as unset.
    pub ignored_empty: Vec<String>,
    /// What is probably wrong with the configuration, and does not stop a command.
    pub warnings: Vec<String>,
}

/// What `serve` needs as well.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The address or host name to listen on.
    pub host: String,
    /// The port; 0 for one that is free.
    pub port: u16,
    /// Where the configured tokens are.
    pub tokens: Vec<TokenSource>,
    /// The identity provider, where there is one.
    pub identity: Option<IdentitySettings>,
    /// Origins that browsers may call from.
    pub allowed_origins: Vec<String>,
    /// How the service is reached and watched.
    pub edge: EdgeSettings,
    /// What makes the checkpoints of the log.
    pub publisher: Publisher,
    /// The largest artifact that is accepted over HTTP, in bytes; `None` where the API only reads.
    pub largest_artifact: Option<u64>,
}

/// Values that flags give.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--registry-dir`.
    pub registry_dir: Option<PathBuf>,
    /// `--host`.
    pub host: Option<String>,
    /// `--port`.
    pub port: Option<u16>,
}

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

impl Settings {
    /// Reads what every command needs.
    ///
    /// # Errors
    /// [`Problems`], all of them.
    pub fn load(variables: &Variables, flags: &Flags) -> Result<Self, Problems> {
        let mut reader = Reader::new(variables);
        let settings = Self::read(&mut reader, flags);
        if reader.problems.is_empty() { Ok(settings) } else { Err(Problems(reader.problems)) }
    }

    fn read(reader: &mut Reader<'_>, flags: &Flags) -> Self {
        let from_environment = reader.path(DIR);
        let registry_dir = flags
            .registry_dir
            .clone()
            .or(from_environment)
            .unwrap_or_else(|| PathBuf::from("data/models"));
        let database = database(reader);
        let environment = reader.parsed(ENVIRONMENT, Environment::Production, |text| match text {
            "production" => Ok(Environment::Production),
            "staging" => Ok(Environment::Staging),
            "dev" => Ok(Environment::Dev),
            "test" => Ok(Environment::Test),
            _ => Err("must be production, staging, dev or test".to_owned()),
        });
        let default_format = match environment {
            Environment::Production => LogFormat::Json,
            _ => LogFormat::Text,
        };
        let log_format = reader.parsed(LOG_FORMAT, default_format, |text| match text {
            "json" => Ok(LogFormat::Json),
            "text" => Ok(LogFormat::Text),
            _ => Err("must be json or text".to_owned()),
        });
        let log_filter = reader.text(LOG_FILTER);
        if let Some(filter) = &log_filter
            && let Err(error) = tracing_subscriber::EnvFilter::try_new(filter)
        {
            let what =
                format!("must be a log filter such as info or model_registry=debug: {error}");
            reader.problem(LOG_FILTER, what);
        }
        let policy = match reader.path(POLICY).map(PolicyInForce::load).transpose() {
            Ok(policy) => policy.unwrap_or_default(),
            Err(problem) => {
                reader.problem(POLICY, problem.to_string());
                PolicyInForce::default()
            }
        };
        let strict_versions = reader.parsed(STRICT_VERSIONS, true, reader::truth);
        let sandbox = reader.parsed(SANDBOX, load_checks::Mode::Strict, load_checks::Mode::parse);
        let require_existing = reader.flag(REQUIRE_EXISTING);
        reader.warnings.extend(known::warnings(reader.variables));
        let ignored_empty = reader.ignored_empty.clone();
        let warnings = reader.warnings.clone();
        Self {
            registry_dir,
            database,
            environment,
            log_format,
            log_filter,
            policy,
            strict_versions,
            sandbox,
            require_existing,
            ignored_empty,
            warnings,
        }
    }
}

/// The URL of the database. It may hold a password: what is wrong with it is told without it.
fn database(reader: &mut Reader<'_>) -> Option<DatabaseUrl> {
    let size = reader.parsed(DATABASE_POOL, None, |text| {
        let size = text.parse().ok().filter(|size| DatabaseUrl::POOL_SIZES.contains(size));
        let (least, most) = (DatabaseUrl::POOL_SIZES.start(), DatabaseUrl::POOL_SIZES.end());
        let what = format!("must be a whole number of connections from {least} to {most}");
        size.map(Some).ok_or(what)
    });
    let listen = reader.text_or_file(DATABASE_LISTEN);
    let listen = listen.map(|url| DatabaseUrl::parse(url.trim())).transpose();
    let listen = listen.unwrap_or_else(|error| {
        reader.problem(DATABASE_LISTEN, error);
        None
    });
    let database = reader.text_or_file(DATABASE).map(|url| DatabaseUrl::parse(url.trim()));
    if database.is_none() && listen.is_some() {
        reader.warnings.push(format!(
            "{DATABASE_LISTEN} has no effect without {DATABASE}: it is about notifications of PostgreSQL"
        ));
    }
    let database = database.map(|url| match listen {
        Some(listen) => url.map(|url| url.with_listening_at(listen)),
        None => url,
    });
    match (database, size) {
        (Some(Ok(url)), Some(size)) => Some(url.with_pool_size(size)),
        (Some(Ok(url)), None) => Some(url),
        (Some(Err(error)), _) => {
            reader.problem(DATABASE, error);
            None
        }
        (None, Some(_)) => {
            reader.warnings.push(format!(
                "{DATABASE_POOL} has no effect without {DATABASE}: it is about connections to PostgreSQL"
            ));
            None
        }
        (None, None) => None,
    }
}

/// A port, or what a service link of Kubernetes in its place means.
fn port(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| service_link(text).unwrap_or_else(|| "must be a port, 0 to 65535".to_owned()))
}

/// The largest artifact that is accepted over HTTP; `None` where the write API is off.
fn largest_artifact(reader: &mut Reader<'_>) -> Option<u64> {
    let on = reader.flag(WRITE_API);
    let set = reader.text(MAX_ARTIFACT).is_some();
    let largest = reader.parsed(MAX_ARTIFACT, limits::LARGEST_ARTIFACT, |text| {
        let bytes = text.parse().ok().filter(|bytes| *bytes > 0);
        bytes.ok_or_else(|| "must be a number of bytes above 0, for example 10737418240".to_owned())
    });
    if set && !on {
        reader.warnings.push(format!(
            "{MAX_ARTIFACT} has no effect without {WRITE_API}=true: nothing is registered over HTTP"
        ));
    }
    on.then_some(largest)
}

fn is_off(text: &str) -> bool {
    matches!(text, "" | "false" | "0")
}

impl ServerSettings {
    /// Reads what `serve` needs, and what every command needs.
    ///
    /// # Errors
    /// [`Problems`], all of them.
    pub fn load(variables: &Variables, flags: &Flags) -> Result<(Settings, Self), Problems> {
        let mut reader = Reader::new(variables);
        let mut settings = Settings::read(&mut reader, flags);
        let host = reader.text(HOST).map(|host| host.trim().to_owned());
        // What the flag says is not asked of the variable.
        let port = flags.port.unwrap_or_else(|| reader.parsed(PORT, 8003, port));
        let disabled = reader.text(AUTH_DISABLED).is_some_and(|text| !is_off(text.trim()));
        if disabled {
            reader.problem(
                AUTH_DISABLED,
                format!("authentication cannot be switched off; unset it and set {READ_TOKEN}"),
            );
        }
        let tokens = tokens::read(&mut reader);
        let server = Self {
            host: flags.host.clone().or(host).unwrap_or_else(|| "0.0.0.0".to_owned()),
            port,
            tokens: tokens.sources,
            identity: identity::read(&mut reader, &settings.policy),
            allowed_origins: allowed_origins(&mut reader, settings.environment),
            edge: edge::read(&mut reader, settings.environment),
            publisher: log::read(&mut reader),
            largest_artifact: largest_artifact(&mut reader),
        };
        edge::check_ports(&mut reader, server.port, &server.edge);
        let identity_trouble =
            reader.problems.iter().any(|problem| problem.starts_with("MODEL_REGISTRY_JWT_"));
        if !tokens.any && server.identity.is_none() && !identity_trouble {
            reader.problem(
                READ_TOKEN,
                format!(
                    "no token and no identity provider is configured, so that every request would be refused; set \
                     {READ_TOKEN}, {ADMIN_TOKEN}, {READ_TOKEN}_FILE or {}",
                    identity::ISSUER
                ),
            );
        }
        settings.warnings = reader.warnings;
        settings.ignored_empty = reader.ignored_empty;
        if reader.problems.is_empty() {
            Ok((settings, server))
        } else {
            Err(Problems(reader.problems))
        }
    }
}

fn allowed_origins(reader: &mut Reader<'_>, environment: Environment) -> Vec<String> {
    let Some(text) = reader.text(ORIGINS) else {
        return match environment {
            Environment::Dev | Environment::Test => LOCAL_ORIGINS.map(ToOwned::to_owned).into(),
            Environment::Staging => Vec::new(),
            Environment::Production => {
                reader.problem(
                    ORIGINS,
                    "is required in production: the origins that browsers may call from, for example \
                     https://trading.example.com",
                );
                Vec::new()
            }
        };
    };
    let mut origins = Vec::new();
    for origin in text.split(',').map(str::trim).filter(|origin| !origin.is_empty()) {
        match as_browsers_send(origin) {
            Some(origin) => origins.push(origin),
            None => reader.problem(
                ORIGINS,
                format!(
                    "\"{origin}\" is not an origin; write scheme://host[:port] in lower case, without a \
                     path, and no *"
                ),
            ),
        }
    }
    origins
}

/// An origin `scheme://host[:port]` as a browser sends it (RFC 6454): without the default port of its scheme, and the
/// port as a plain number. `None` where it is not an origin.
fn as_browsers_send(text: &str) -> Option<String> {
    let (scheme, authority) = text.split_once("://")?;
    let default_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-:[]".contains(c);
    if !authority.chars().all(allowed) {
        return None;
    }
    let parsed: actix_web::http::uri::Authority = authority.parse().ok()?;
    let host = parsed.host();
    let port = match authority.strip_prefix(host)? {
        "" => default_port,
        port => port.strip_prefix(':')?.parse::<u16>().ok()?,
    };
    if host.is_empty() {
        return None;
    }
    let shown = if port == default_port { String::new() } else { format!(":{port}") };
    Some(format!("{scheme}://{host}{shown}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn load(pairs: &[(&str, &str)]) -> Result<(Settings, ServerSettings), Problems> {
        let variables = pairs.iter().map(|(name, value)| (*name, *value)).collect();
        ServerSettings::load(&variables, &Flags::default())
    }

    fn problems(pairs: &[(&str, &str)]) -> Vec<String> {
        load(pairs).expect_err("refused").0
    }

    const GOOD: [(&str, &str); 2] = [(READ_TOKEN, "0123456789abcdef"), (ENVIRONMENT, "dev")];

    fn with<'a>(extra: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        GOOD.iter().chain(extra).copied().collect()
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let pairs = [(READ_TOKEN, "t"), (ORIGINS, "https://a.example")];
        let (settings, server) = load(&pairs).expect("good");
        assert_eq!(settings.registry_dir, Path::new("data/models"));
        assert_eq!((server.host.as_str(), server.port), ("0.0.0.0", 8003));
        assert_eq!(settings.environment, Environment::Production);
        assert_eq!(settings.log_format, LogFormat::Json);
        assert_eq!(load(&GOOD).expect("good").0.log_format, LogFormat::Text);
    }

    #[test]
    fn all_problems_are_reported_together_by_name() {
        let found = problems(&[
            (PORT, "70000"),
            (ENVIRONMENT, "prod"),
            (LOG_FORMAT, "xml"),
            (POLICY, "/no/such/file"),
            (AUTH_DISABLED, "true"),
            ("DATABASE_URL", "mysql://u:hunter2@h/d"),
        ]);
        for name in [
            PORT,
            ENVIRONMENT,
            LOG_FORMAT,
            POLICY,
            AUTH_DISABLED,
            "DATABASE_URL",
            READ_TOKEN,
            ORIGINS,
        ] {
            assert!(
                found.iter().any(|line| line.starts_with(&format!("{name}: "))),
                "{name}: {found:?}"
            );
        }
        assert!(!found.join("\n").contains("hunter2"));
    }

    #[test]
    fn an_empty_value_counts_as_unset_and_is_remembered() {
        let (settings, server) =
            load(&with(&[(PORT, ""), (ADMIN_TOKEN, ""), (AUTH_DISABLED, "")])).expect("good");
        assert_eq!(server.port, 8003);
        assert_eq!(server.tokens.len(), 1);
        assert_eq!(settings.ignored_empty, [PORT, AUTH_DISABLED, ADMIN_TOKEN]);
        let found = problems(&[(READ_TOKEN, ""), (ENVIRONMENT, "dev")]);
        assert!(found.len() == 1 && found[0].starts_with(READ_TOKEN), "{found:?}");
    }

    #[test]
    fn nothing_switches_authentication_off() {
        for value in ["true", "1", "yes", "FALSE", "no", " x "] {
            let found = problems(&with(&[(AUTH_DISABLED, value)]));
            assert!(found[0].starts_with(AUTH_DISABLED), "{value}");
        }
        for value in ["", "false", "0"] {
            assert!(load(&with(&[(AUTH_DISABLED, value)])).is_ok(), "{value}");
        }
    }

    #[test]
    fn origins_are_required_in_production_and_never_a_star() {
        assert!(problems(&[(READ_TOKEN, "t")])[0].starts_with(ORIGINS));
        for bad in [
            "*",
            "https://*",
            "https://a.example/",
            "a.example",
            "null",
            "https://",
            "https://a b",
            "https://a.example,*",
            "https://A.example",
            "ftp://a",
            "https://a:",
            "https://a:70000",
            "https://:443",
            "https://a:1:2",
            "https://::1",
        ] {
            assert!(load(&with(&[(ORIGINS, bad)])).is_err(), "{bad}");
        }
        let (_, server) =
            load(&with(&[(ORIGINS, "https://a.example, http://b:8080,")])).expect("good");
        assert_eq!(server.allowed_origins, ["https://a.example", "http://b:8080"]);
        for (given, sent) in [
            ("https://a.example:443", "https://a.example"),
            ("http://a.example:80", "http://a.example"),
            ("http://a.example:443", "http://a.example:443"),
            ("https://a.example:80", "https://a.example:80"),
            ("https://a.example:0443", "https://a.example"),
            ("http://a.example:08080", "http://a.example:8080"),
            ("http://[::1]:80", "http://[::1]"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            let (_, server) = load(&with(&[(ORIGINS, given)])).expect(given);
            assert_eq!(server.allowed_origins, [sent], "{given}");
        }
        assert_eq!(load(&GOOD).expect("good").1.allowed_origins, LOCAL_ORIGINS);
        let staging = [(READ_TOKEN, "t"), (ENVIRONMENT, "staging")];
        assert!(load(&staging).expect("good").1.allowed_origins.is_empty());
    }

    #[test]
    fn a_url_with_a_password_may_come_from_a_file() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("url");
        std::fs::write(&path, "postgres://u:hunter2@host/d\n").expect("written");
        let path = path.to_str().expect("UTF-8");
        let (settings, _) = load(&with(&[("DATABASE_URL_FILE", path)])).expect("good");
        assert!(settings.database.is_some());
        let both = with(&[("DATABASE_URL_FILE", path), (DATABASE, "postgres://host/e")]);
        assert!(problems(&both)[0].starts_with(DATABASE));
    }

    #[test]
    fn the_size_of_the_pool_is_the_variables_or_else_the_urls() {
        let size = |pairs: &[(&str, &str)]| {
            load(&with(pairs)).expect("good").0.database.expect("a URL").pool_size()
        };
        let url = (DATABASE, "postgres://u@host/d?pool_max_conns=3");
        assert_eq!(size(&[(DATABASE, "postgres://u@host/d")]), None);
        assert_eq!(size(&[url]), Some(3));
        assert_eq!(size(&[url, (DATABASE_POOL, "20")]), Some(20));
        assert_eq!(size(&[url, (DATABASE_POOL, "1")]), Some(1));
        for bad in ["0", "-1", "1001", "many", "8.5"] {
            assert!(problems(&with(&[url, (DATABASE_POOL, bad)]))[0].starts_with(DATABASE_POOL));
        }
        let (settings, _) = load(&with(&[(DATABASE_POOL, "8")])).expect("good");
        assert!(settings.warnings.len() == 1 && settings.warnings[0].starts_with(DATABASE_POOL));
    }

    #[test]
    fn a_service_link_in_a_ports_place_is_explained() {
        for name in [PORT, "MODEL_REGISTRY_METRICS_PORT"] {
            let found = problems(&with(&[(name, "tcp://10.96.0.12:8003")]));
            assert!(found.len() == 1 && found[0].starts_with(name), "{found:?}");
            assert!(found[0].contains("enableServiceLinks"), "{found:?}");
        }
        let flags = Flags { port: Some(1), ..Flags::default() };
        let variables = with(&[(PORT, "tcp://10.96.0.12:8003")]).into_iter().collect();
        assert_eq!(ServerSettings::load(&variables, &flags).expect("the flag").1.port, 1);
    }

    #[test]
    fn an_unknown_variable_is_a_warning() {
        let (settings, _) = load(&with(&[("MODEL_REGISTRY_DRI", "/srv")])).expect("good");
        assert!(settings.warnings.len() == 1, "{:?}", settings.warnings);
        assert!(settings.warnings[0].contains(DIR), "{:?}", settings.warnings);
        assert!(load(&GOOD).expect("good").0.warnings.is_empty());
    }

    #[test]
    fn flags_win_over_the_environment() {
        let flags =
            Flags { port: Some(1), host: Some("::1".into()), registry_dir: Some("x".into()) };
        let variables = with(&[(PORT, "2"), (HOST, "h"), (DIR, "y")]).into_iter().collect();
        let (settings, server) = ServerSettings::load(&variables, &flags).expect("good");
        assert_eq!((server.host.as_str(), server.port), ("::1", 1));
        assert_eq!(settings.registry_dir, Path::new("x"));
    }
}
