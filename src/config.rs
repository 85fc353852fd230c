//! Settings: read once, from the environment and, for the command line, from flags, which win. All
//! problems are reported together, each by the variable's name and with its remedy; no secret is printed.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    auth::IdentitySettings,
    catalog::DatabaseUrl,
    domain::{Policy, log::publisher::Publisher},
};

mod edge;
mod identity;
mod log;

pub use edge::{EdgeSettings, read_log_filter};
pub use log::load_publisher;

const DIR: &str = "MODEL_REGISTRY_DIR";
const HOST: &str = "MODEL_REGISTRY_HOST";
const PORT: &str = "MODEL_REGISTRY_PORT";
const READ_TOKEN: &str = "MODEL_REGISTRY_READ_TOKEN";
const ADMIN_TOKEN: &str = "MODEL_REGISTRY_ADMIN_TOKEN";
const LEGACY_TOKEN: &str = "MODEL_REGISTRY_TOKEN";
const AUTH_DISABLED: &str = "MODEL_REGISTRY_AUTH_DISABLED";
const ORIGINS: &str = "ALLOWED_ORIGINS";
const ENVIRONMENT: &str = "ENVIRONMENT";
const POLICY: &str = "MODEL_REGISTRY_POLICY";
const LOG_FORMAT: &str = "MODEL_REGISTRY_LOG_FORMAT";
const LOG_FILTER: &str = "RUST_LOG";
const SANDBOX: &str = "MODEL_REGISTRY_SANDBOX";
const DATABASE: &str = "DATABASE_URL";

/// What this build does not do. Setting it would silently not take effect, so it is refused.
const NOT_IN_THIS_BUILD: [(&str, &str); 1] =
    [("MODEL_REGISTRY_WRITE_API", "this build serves reads alone over HTTP")];

const LOCAL_ORIGINS: [&str; 4] = [
    "http://localhost:8501",
    "http://127.0.0.1:8501",
    "http://localhost:3000",
    "http://127.0.0.1:3000",
];

/// Largest policy or secret file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

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
    /// The operator's decisions.
    pub policy: Policy,
    /// What is done where the kernel lacks a wall of the load checks' sandbox.
    pub sandbox: load_checks::Mode,
    /// Variables that are set to nothing, and count as unset.
    pub ignored_empty: Vec<String>,
}

/// What `serve` needs as well.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// The address or host name to listen on.
    pub host: String,
    /// The port; 0 for one that is free.
    pub port: u16,
    /// The token of `model:read`.
    pub read_token: Option<SecretString>,
    /// The token of all scopes.
    pub admin_token: Option<SecretString>,
    /// The Python service's one token, of `model:read`.
    pub legacy_token: Option<SecretString>,
    /// The identity provider, where there is one.
    pub identity: Option<IdentitySettings>,
    /// Origins that browsers may call from.
    pub allowed_origins: Vec<String>,
    /// What stands between the service and its clients.
    pub edge: EdgeSettings,
    /// What makes the checkpoints of the log.
    pub publisher: Publisher,
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

/// The environment's variables.
#[derive(Debug, Clone, Default)]
pub struct Variables(BTreeMap<String, OsString>);

impl Variables {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        // A name that is not UTF-8 is none of ours.
        Self(std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v))).collect())
    }

    /// One variable, where it is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.0.get(name)?.clone().into_string().ok()
    }
}

impl<K: Into<String>, V: Into<OsString>> FromIterator<(K, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Reads variables and gathers what is wrong with them.
struct Reader<'a> {
    variables: &'a Variables,
    problems: Vec<String>,
    ignored_empty: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(variables: &'a Variables) -> Self {
        Self { variables, problems: Vec::new(), ignored_empty: Vec::new() }
    }

    fn problem(&mut self, name: &str, what: impl fmt::Display) {
        self.problems.push(format!("{name}: {what}"));
    }

    fn path(&mut self, name: &str) -> Option<PathBuf> {
        match self.variables.0.get(name) {
            Some(value) if value.is_empty() => {
                self.ignored_empty.push(name.to_owned());
                None
            }
            value => value.map(PathBuf::from),
        }
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let value = self.path(name)?;
        match value.into_os_string().into_string() {
            Ok(text) if text.trim().is_empty() => {
                self.ignored_empty.push(name.to_owned());
                None
            }
            Ok(text) => Some(text),
            Err(_) => {
                self.problem(name, "is not UTF-8 text");
                None
            }
        }
    }

    fn parsed<T>(
        &mut self,
        name: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        match self.text(name).map(|text| parse(text.trim())) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(what)) => {
                self.problem(name, what);
                default
            }
        }
    }

    /// A secret from the variable, or from the file that `<name>_FILE` names.
    fn secret(&mut self, name: &str) -> Option<SecretString> {
        let file_variable = format!("{name}_FILE");
        let inline = self.text(name);
        let file = self.path(&file_variable);
        let secret = match (inline, file) {
            (Some(_), Some(_)) => {
                self.problem(name, format!("{file_variable} is set as well; keep one of them"));
                return None;
            }
            (Some(text), None) => text,
            (None, Some(path)) => match read_limited(&path) {
                Ok(text) => text.trim_end_matches(['\r', '\n']).to_owned(),
                Err(error) => {
                    self.problem(
                        &file_variable,
                        format!("cannot read {}: {error}", path.display()),
                    );
                    return None;
                }
            },
            (None, None) => return None,
        };
        if secret.trim().is_empty() {
            self.ignored_empty.push(file_variable);
            return None;
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            // Never the value itself.
            self.problem(name, "holds a space or a character that no HTTP header can carry");
            return None;
        }
        Some(SecretString::from(secret))
    }
}

fn read_limited(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

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
        for (name, why) in NOT_IN_THIS_BUILD {
            let off = |text: &str| name.ends_with("WRITE_API") && is_off(text);
            if reader.text(name).is_some_and(|text| !off(text.trim())) {
                reader.problem(name, format!("{why}; unset it"));
            }
        }
        // A URL may hold a password: what is wrong with it is told without it.
        let database =
            match reader.secret(DATABASE).map(|url| DatabaseUrl::parse(url.expose_secret())) {
                Some(Err(error)) => {
                    reader.problem(DATABASE, error);
                    None
                }
                url => url.and_then(Result::ok),
            };
        let environment = reader.parsed(ENVIRONMENT, Environment::Production, |text| match text {
            "production" => Ok(Environment::Production),
            "staging" => Ok(Environment::Staging),
            "dev" => Ok(Environment::Dev),
            "test" => Ok(Environment::Test),
            _ => Err("is one of production, staging, dev, test".to_owned()),
        });
        let default_format = match environment {
            Environment::Production => LogFormat::Json,
            _ => LogFormat::Text,
        };
        let log_format = reader.parsed(LOG_FORMAT, default_format, |text| match text {
            "json" => Ok(LogFormat::Json),
            "text" => Ok(LogFormat::Text),
            _ => Err("is one of json, text".to_owned()),
        });
        let log_filter = reader.text(LOG_FILTER);
        if let Some(filter) = &log_filter
            && let Err(error) = tracing_subscriber::EnvFilter::try_new(filter)
        {
            reader
                .problem(LOG_FILTER, format!("{error}; for example info or model_registry=debug"));
        }
        let policy = reader.path(POLICY).map(|path| {
            let parsed = read_limited(&path).map_err(|error| error.to_string()).and_then(|text| {
                Policy::parse(&text, &load_checks::NEVER_TRUSTED).map_err(|error| error.to_string())
            });
            parsed.map_err(|error| format!("{}: {error}", path.display()))
        });
        let policy = match policy.transpose() {
            Ok(policy) => policy.unwrap_or_default(),
            Err(what) => {
                reader.problem(POLICY, what);
                Policy::default()
            }
        };
        let sandbox = reader.parsed(SANDBOX, load_checks::Mode::Strict, load_checks::Mode::parse);
        let ignored_empty = reader.ignored_empty.clone();
        Self {
            registry_dir,
            database,
            environment,
            log_format,
            log_filter,
            policy,
            sandbox,
            ignored_empty,
        }
    }
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
        let port = reader.parsed(PORT, 8003, |text| {
            text.parse().map_err(|_| "is a port, 0 to 65535".to_owned())
        });
        let disabled = reader.text(AUTH_DISABLED).is_some_and(|text| !is_off(text.trim()));
        if disabled {
            reader.problem(
                AUTH_DISABLED,
                format!("authentication cannot be switched off; unset it and set {READ_TOKEN}"),
            );
        }
        let server = Self {
            host: flags.host.clone().or(host).unwrap_or_else(|| "0.0.0.0".to_owned()),
            port: flags.port.unwrap_or(port),
            read_token: reader.secret(READ_TOKEN),
            admin_token: reader.secret(ADMIN_TOKEN),
            legacy_token: reader.secret(LEGACY_TOKEN),
            identity: identity::read(&mut reader, &settings.policy),
            allowed_origins: allowed_origins(&mut reader, settings.environment),
            edge: edge::read(&mut reader, settings.environment),
            publisher: log::read(&mut reader),
        };
        edge::check_ports(&mut reader, server.port, &server.edge);
        let tokens = [&server.read_token, &server.admin_token, &server.legacy_token];
        let names = [READ_TOKEN, ADMIN_TOKEN, LEGACY_TOKEN, "MODEL_REGISTRY_JWT_"];
        let token_trouble = (reader.problems.iter())
            .any(|problem| names.iter().any(|name| problem.starts_with(name)));
        let nobody = tokens.iter().all(|token| token.is_none()) && server.identity.is_none();
        if nobody && !token_trouble {
            reader.problem(
                READ_TOKEN,
                format!(
                    "no token and no identity provider is configured, so nobody could ask; set {READ_TOKEN}, \
                     {ADMIN_TOKEN}, {READ_TOKEN}_FILE or {}",
                    identity::ISSUER
                ),
            );
        }
        settings.ignored_empty = reader.ignored_empty;
        if reader.problems.is_empty() {
            Ok((settings, server))
        } else {
            Err(Problems(reader.problems))
        }
    }

    /// Names of tokens that are short enough to be guessed.
    #[must_use]
    pub fn weak_tokens(&self) -> Vec<&'static str> {
        [
            (READ_TOKEN, &self.read_token),
            (ADMIN_TOKEN, &self.admin_token),
            (LEGACY_TOKEN, &self.legacy_token),
        ]
        .into_iter()
        .filter(|(_, token)| token.as_ref().is_some_and(|token| token.expose_secret().len() < 16))
        .map(|(name, _)| name)
        .collect()
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
        assert_eq!(server.weak_tokens(), [READ_TOKEN]);
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
        assert!(server.admin_token.is_none());
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
    fn a_secret_may_come_from_a_file_but_not_from_both() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("token");
        std::fs::write(&path, "from-the-file\n").expect("written");
        let path = path.to_str().expect("UTF-8");
        let file = "MODEL_REGISTRY_ADMIN_TOKEN_FILE";
        let (_, server) = load(&with(&[(file, path)])).expect("good");
        assert_eq!(
            server.admin_token.map(|t| t.expose_secret().to_owned()).as_deref(),
            Some("from-the-file")
        );
        let found = problems(&with(&[(file, path), (ADMIN_TOKEN, "inline-secret")]));
        assert!(found[0].starts_with(ADMIN_TOKEN) && !found[0].contains("inline-secret"));
        assert!(problems(&with(&[(file, "/no/such/file")]))[0].starts_with(file));
        assert!(problems(&with(&[(ADMIN_TOKEN, "two words")]))[0].starts_with(ADMIN_TOKEN));
    }

    #[test]
    fn secrets_are_not_shown_by_debug() {
        let (_, server) = load(&GOOD).expect("good");
        assert!(!format!("{server:?}").contains("0123456789abcdef"));
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
