//! `DATABASE_URL` with libpq's parameters. Errors name no value of the URL, because one of them is the password.

use std::{fmt, ops::RangeInclusive, path::PathBuf, str::FromStr as _};

use percent_encoding::percent_decode_str;
use tokio_postgres::{Config, config::Host};

use super::tls::{Roots, SslMode, Tls, TlsOptions, Version};
use crate::limits;

/// The address of a database and its connection settings. It has no `Display`, because it may hold a password.
#[derive(Clone)]
pub struct DatabaseUrl {
    pub(super) config: Config,
    /// `None` where TLS is not used.
    pub(super) tls: Option<Tls>,
    pool_size: Option<usize>,
    listen: Option<Box<Self>>,
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

/// The reason why the URL cannot be used. It quotes no value of the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidDatabaseUrl(String);

fn invalid(what: impl Into<String>) -> InvalidDatabaseUrl {
    InvalidDatabaseUrl(what.into())
}

/// Parameters that the driver reads itself.
const OF_THE_DRIVER: [&str; 14] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "channel_binding",
];
/// Parameters that this module reads.
const READ_HERE: [&str; 15] = [
    "sslmode",
    "sslrootcert",
    "sslnegotiation",
    "sslsni",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "gssencmode",
    "client_encoding",
    "fallback_application_name",
    "keepalives_count",
    "target_session_attrs",
    "load_balance_hosts",
    "pool_max_conns",
    "connection_limit",
    "pgbouncer",
];
/// Parameters that have no effect without GSSAPI and compression, which this program does not support.
const WITHOUT_EFFECT: [&str; 4] = ["krbsrvname", "gsslib", "gssdelegation", "sslcompression"];
/// Parameters of libpq that are not supported.
const UNSUPPORTED: [&str; 20] = [
    "sslcert",
    "sslkey",
    "sslpassword",
    "sslcertmode",
    "sslcrl",
    "sslcrldir",
    "sslkeylogfile",
    "passfile",
    "service",
    "servicefile",
    "requirepeer",
    "requiressl",
    "require_auth",
    "replication",
    "scram_client_key",
    "scram_server_key",
    "min_protocol_version",
    "max_protocol_version",
    "oauth_issuer",
    "oauth_client_id",
];

/// The parameters that the driver does not read from the URL, and those that it does.
struct Parameters {
    /// `name=value` for the driver, still percent-encoded.
    kept: Vec<String>,
    tls: TlsOptions,
    mode_is_given: bool,
    fallback_name: Option<String>,
    pool_size: Option<usize>,
}

impl DatabaseUrl {
    /// The allowed sizes of a pool. A change needs two connections: one holds the lock, the other runs the
    /// transaction. Beside a pool of one, the lock has a connection of its own.
    pub const POOL_SIZES: RangeInclusive<usize> = 1..=1000;

    /// Parses a `postgres://` URL.
    ///
    /// # Errors
    /// [`InvalidDatabaseUrl`], which names the part or parameter and its allowed values.
    pub fn parse(url: &str) -> Result<Self, InvalidDatabaseUrl> {
        let address = ["postgres://", "postgresql://"].iter().find_map(|s| url.strip_prefix(s));
        let Some(address) = address else { return Err(other_form(url)) };
        let (base, query) = address.split_once('?').unwrap_or((address, ""));
        check_base(base, query)?;
        let parameters = Parameters::read(query)?;
        let mut config = Config::from_str(&format!("postgres://{base}?{}", parameters.kept.join("&")))
            .map_err(|_| {
                invalid("must be postgres://user:password@host:port/database?parameter=value, with a number for \
                         the port")
            })?;
        name_hosts(&mut config)?;
        let tls = parameters.tls(&config)?;
        with_defaults(&mut config, &parameters);
        let pool_size = parameters.pool_size;
        Ok(Self { config, tls, pool_size, listen: None })
    }

    /// Where to wait for notifications, if not at this URL: a transaction pooler does not pass them on.
    #[must_use]
    pub fn with_listening_at(self, url: Self) -> Self {
        Self { listen: Some(Box::new(url)), ..self }
    }

    /// The URL of the connection that waits for notifications. The server shows it under a name of its own.
    #[must_use]
    pub fn listening(&self) -> Self {
        let mut url = self.listen.as_deref().unwrap_or(self).clone();
        let name = url.config.get_application_name().unwrap_or_default();
        let name = format!("{name} listener");
        url.config.application_name(name);
        url
    }

    /// The most connections in the pool, where the URL or [`Self::with_pool_size`] sets it.
    #[must_use]
    pub fn pool_size(&self) -> Option<usize> {
        self.pool_size
    }

    /// The same URL with another pool size.
    #[must_use]
    pub fn with_pool_size(self, size: usize) -> Self {
        Self { pool_size: Some(size), ..self }
    }
}

/// The error for a text that is not a `postgres://` URL.
fn other_form(text: &str) -> InvalidDatabaseUrl {
    const SQLITE: &str = "without it the catalog is SQLite in the registry directory";
    if text.contains("://") {
        return invalid(format!("must start with postgres:// or postgresql://; {SQLITE}"));
    }
    if text.contains('=') {
        return invalid(
            "must be a URL; libpq's form host=… dbname=… is not read: write postgres://user:password@host/database",
        );
    }
    invalid(format!("must be a URL, postgres://user:password@host/database; {SQLITE}"))
}

/// Finds the part with a character that must be percent-encoded.
fn check_base(base: &str, query: &str) -> Result<(), InvalidDatabaseUrl> {
    let (authority, path) = base.split_once('/').unwrap_or((base, ""));
    if authority.matches('@').count() > 1 {
        return Err(invalid("the user or the password holds an @; write it as %40"));
    }
    if path.contains('@') {
        return Err(invalid("the user or the password holds a /; write it as %2F"));
    }
    if !authority.contains('@') && query.contains('@') {
        return Err(invalid("the user or the password holds a ?; write it as %3F"));
    }
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    for (part, text) in
        [("user", user), ("password", password), ("host", host), ("database's name", path)]
    {
        check_characters(&format!("the {part}"), text)?;
    }
    Ok(())
}

fn check_characters(part: &str, text: &str) -> Result<(), InvalidDatabaseUrl> {
    let wrong = if text.contains(|c: char| c.is_whitespace()) {
        "a space, tab or line break"
    } else if text.contains(|c: char| c.is_control()) {
        "a control character"
    } else if !text.is_ascii() {
        "a letter beyond ASCII"
    } else if has_lone_percent(text) {
        return Err(invalid(format!(
            "{part} holds a % that is not followed by two hexadecimal digits; write a % as %25"
        )));
    } else {
        return Ok(());
    };
    Err(invalid(format!("{part} holds {wrong}; write each of its bytes in UTF-8 as %XX")))
}

fn has_lone_percent(text: &str) -> bool {
    text.split('%').skip(1).any(|after| {
        let mut digits = after.chars();
        !(0..2).all(|_| digits.next().is_some_and(|c| c.is_ascii_hexdigit()))
    })
}

impl Parameters {
    fn read(query: &str) -> Result<Self, InvalidDatabaseUrl> {
        let mut read = Self {
            kept: Vec::new(),
            tls: TlsOptions {
                mode: SslMode::Prefer,
                roots: None,
                direct: false,
                server_name: true,
                at_least: Version::Tls12,
                at_most: Version::Tls13,
            },
            mode_is_given: false,
            fallback_name: None,
            pool_size: None,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(invalid(
                    "after the ? come parameters, name=value, joined by &; a ? or & in a value is written as %3F \
                     or %26",
                ));
            }
            check_characters(&format!("the parameter {name}"), value)?;
            let text = percent_decode_str(value).decode_utf8();
            let text = text.map_err(|_| invalid(format!("{name} must be UTF-8")))?;
            read.take(name, value, &text)?;
        }
        Ok(read)
    }

    /// Applies a parameter, given its raw and its decoded value.
    fn take(&mut self, name: &str, raw: &str, value: &str) -> Result<(), InvalidDatabaseUrl> {
        match name {
            "sslmode" => {
                self.tls.mode = ssl_mode(value)?;
                self.mode_is_given = true;
            }
            "sslrootcert" => {
                self.tls.roots = match value {
                    "" => None,
                    "system" => Some(Roots::System),
                    file => Some(Roots::File(PathBuf::from(file))),
                }
            }
            "sslnegotiation" => {
                self.tls.direct = choice(name, value, &["postgres", "direct"])? == 1;
                self.keep(name, raw)?;
            }
            "sslsni" => self.tls.server_name = choice(name, value, &["0", "1"])? == 1,
            "ssl_min_protocol_version" => self.tls.at_least = version(name, value, Version::Tls12)?,
            "ssl_max_protocol_version" => self.tls.at_most = version(name, value, Version::Tls13)?,
            // GSSAPI is not supported, and `prefer` uses it only where there is a ticket.
            "gssencmode" => {
                choice(name, value, &["disable", "prefer"])?;
            }
            "client_encoding" => {
                choice(name, &value.to_ascii_lowercase(), &["utf8", "utf-8", "auto"])?;
            }
            "fallback_application_name" => self.fallback_name = Some(value.to_owned()),
            "keepalives_count" => self.keep("keepalives_retries", raw)?,
            "target_session_attrs" => {
                choice(name, value, &["any", "read-write", "read-only"])?;
                self.keep(name, raw)?;
            }
            "load_balance_hosts" => {
                choice(name, value, &["disable", "random"])?;
                self.keep(name, raw)?;
            }
            "pool_max_conns" | "connection_limit" => self.pool_size = Some(pool_size(name, value)?),
            // It says that there is a pooler, which makes no difference here.
            "pgbouncer" => {
                choice(name, value, &["true", "false"])?;
            }
            _ if WITHOUT_EFFECT.contains(&name) => {}
            _ if OF_THE_DRIVER.contains(&name) => self.keep(name, raw)?,
            _ if UNSUPPORTED.contains(&name) => {
                return Err(invalid(format!("{name} is not supported; leave it out")));
            }
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    /// Keeps a parameter for the driver, if the driver accepts its value.
    fn keep(&mut self, name: &str, raw: &str) -> Result<(), InvalidDatabaseUrl> {
        let pair = format!("{name}={raw}");
        if Config::from_str(&format!("postgres://host/database?{pair}")).is_err() {
            return Err(invalid(format!("{name} has a value that cannot be used")));
        }
        self.kept.push(pair);
        Ok(())
    }

    fn names(&self, name: &str) -> bool {
        self.kept.iter().any(|pair| pair.split('=').next() == Some(name))
    }

    /// The TLS settings for these hosts.
    fn tls(&self, config: &Config) -> Result<Option<Tls>, InvalidDatabaseUrl> {
        let mut options = self.tls.clone();
        if options.at_least > options.at_most {
            return Err(invalid("ssl_min_protocol_version is above ssl_max_protocol_version"));
        }
        // Like libpq: anyone can get a certificate for another host from a public authority.
        if options.roots == Some(Roots::System) {
            if !self.mode_is_given {
                options.mode = SslMode::VerifyFull;
            } else if options.mode < SslMode::VerifyFull {
                return Err(invalid("sslrootcert=system needs sslmode=verify-full"));
            }
        }
        if options.direct && options.mode < SslMode::Require {
            return Err(invalid("sslnegotiation=direct needs sslmode=require or more"));
        }
        let sockets =
            config.get_hosts().iter().filter(|host| matches!(host, Host::Unix(_))).count();
        if sockets == config.get_hosts().len() || options.mode == SslMode::Disable {
            // Like libpq: a unix socket stays inside the machine, so it needs no TLS.
            return Ok(None);
        }
        if sockets > 0 && options.mode >= SslMode::Require {
            return Err(invalid(
                "names both a unix socket and a host, but sslmode applies only to the host; name one of them",
            ));
        }
        Tls::new(options).map(Some).map_err(invalid)
    }
}

fn unknown(name: &str) -> InvalidDatabaseUrl {
    let known = OF_THE_DRIVER.iter().chain(&READ_HERE);
    let nearest = known.map(|known| (strsim::osa_distance(name, known), *known)).min();
    let nearest = nearest.filter(|(distance, _)| *distance <= 3);
    let hint = nearest.map_or(String::new(), |(_, known)| format!("; did you mean {known}?"));
    invalid(format!("{name} is not a known parameter{hint}"))
}

/// The index of a value among a parameter's allowed values.
fn choice(name: &str, value: &str, choices: &[&str]) -> Result<usize, InvalidDatabaseUrl> {
    let place = choices.iter().position(|choice| *choice == value);
    place.ok_or_else(|| invalid(format!("{name} must be {}", choices.join(" or "))))
}

fn ssl_mode(value: &str) -> Result<SslMode, InvalidDatabaseUrl> {
    match value {
        "disable" => Ok(SslMode::Disable),
        "allow" => Ok(SslMode::Allow),
        "prefer" => Ok(SslMode::Prefer),
        "require" => Ok(SslMode::Require),
        "verify-ca" => Ok(SslMode::VerifyCa),
        "verify-full" => Ok(SslMode::VerifyFull),
        _ => Err(invalid(
            "sslmode must be disable, allow, prefer, require, verify-ca or verify-full",
        )),
    }
}

/// Versions below 1.2 are not supported, so as a lower bound they mean 1.2.
fn version(name: &str, value: &str, default: Version) -> Result<Version, InvalidDatabaseUrl> {
    match value {
        "" => Ok(default),
        "TLSv1" | "TLSv1.1" if default == Version::Tls12 => Ok(Version::Tls12),
        "TLSv1.2" => Ok(Version::Tls12),
        "TLSv1.3" => Ok(Version::Tls13),
        _ => Err(invalid(format!("{name} must be TLSv1.2 or TLSv1.3"))),
    }
}

fn pool_size(name: &str, value: &str) -> Result<usize, InvalidDatabaseUrl> {
    let size = value.parse().ok().filter(|size| DatabaseUrl::POOL_SIZES.contains(size));
    let (least, most) = (DatabaseUrl::POOL_SIZES.start(), DatabaseUrl::POOL_SIZES.end());
    let what = format!("{name} must be a whole number of connections from {least} to {most}");
    size.ok_or_else(|| invalid(what))
}

/// Checks that there is a host, and uses its address where only the address is given.
fn name_hosts(config: &mut Config) -> Result<(), InvalidDatabaseUrl> {
    if config.get_hosts().is_empty() {
        let addresses = config.get_hostaddrs().to_vec();
        for address in &addresses {
            config.host(address.to_string());
        }
        if addresses.is_empty() {
            return Err(invalid(
                "names no host; for a unix socket add ?host= and its directory, for example \
                 ?host=/var/run/postgresql",
            ));
        }
    }
    Ok(())
}

/// Sets the defaults that the URL leaves out.
fn with_defaults(config: &mut Config, parameters: &Parameters) {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(limits::CATALOG_CONNECTION_WAIT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(limits::CATALOG_ANSWER_WAIT);
    }
    if !parameters.names("keepalives_idle") {
        config.keepalives_idle(limits::DATABASE_KEEPALIVE);
    }
    if config.get_application_name().is_none() {
        config.application_name(parameters.fallback_name.as_deref().unwrap_or("model-registry"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(url: &str) -> String {
        DatabaseUrl::parse(url).expect_err(url).to_string()
    }

    fn parsed(url: &str) -> DatabaseUrl {
        DatabaseUrl::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_the_url() {
        for (url, named) in [
            ("mysql://u:hunter2@h/d", "postgres://"),
            ("postgresql+psycopg2://u:hunter2@h/d", "postgres://"),
            ("host=127.0.0.1 dbname=d user=u password=hunter2", "host=… dbname=…"),
            ("postgres://u:hunter2@h:port/d", "number for the port"),
            ("postgres://u:hunter2@/d", "names no host"),
            ("postgres://u:hunter2@h/d?sslmode=sometimes", "sslmode"),
            ("postgres://u:hunter2@h/d?sslkey=x", "sslkey"),
            ("postgres://u:hunter2@h/d?requirepeer=postgres", "requirepeer"),
            ("postgres://u:hunter2@h/d?sslmode=verify-full&sslrootcert=/no/such", "/no/such"),
            ("postgres://u:hunter2@h/d?gssencmode=require", "gssencmode must be disable or prefer"),
            ("postgres://u:hunter2@h/d?client_encoding=latin1", "client_encoding"),
            ("postgres://u:hunter2@h/d?connect_timeout=soon", "connect_timeout"),
            ("postgres://u:hunter2@h/d?target_session_attrs=primary", "target_session_attrs"),
            ("postgres://u:hunter2@h/d?pool_max_conns=0", "pool_max_conns must be a whole number"),
            ("postgres://u:hunter2@h/d?connection_limit=9999", "connection_limit"),
            ("postgres://u:hunter2@h/d?aplication_name=x", "did you mean application_name?"),
            ("postgres://u:hunter2@h/d?statement_cache_size=0", "statement_cache_size is not"),
            ("postgres://u:hunter2@h/d?sslrootcert=system&sslmode=require", "verify-full"),
            ("postgres://u:hunter2@h/d?sslnegotiation=direct", "sslmode=require"),
            ("postgres://u:hunter2@h/d?ssl_max_protocol_version=TLSv1.1", "TLSv1.2 or TLSv1.3"),
            (
                "postgres://u:hunter2@h/d?ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
                "above",
            ),
        ] {
            let told = told(url);
            assert!(told.contains(named) && !told.contains("hunter2"), "{url}: {told}");
        }
    }

    #[test]
    fn characters_that_must_be_encoded_are_told_by_their_part() {
        for (url, named) in [
            ("postgres://u:p\u{e4}ssw\u{f6}rd@h/d", "the password holds a letter beyond ASCII"),
            ("postgres://u:pass word@h/d", "the password holds a space"),
            ("postgres://u:50%off@h/d", "write a % as %25"),
            ("postgres://u:pa@ss@h/d", "%40"),
            ("postgres://u:pa/ss@h/d", "%2F"),
            ("postgres://u:pa?ss@h/d", "%3F"),
            ("postgres://us er:p@h/d", "the user holds a space"),
            ("postgres://u:p@h/d\u{7}", "the database's name holds a control character"),
            ("postgres://u:p@h/d?application_name=my app", "the parameter application_name holds"),
            ("postgres://u:p@h/d?options=%zz", "the parameter options holds a %"),
            ("postgres://u:p@h/d?my app=x", "after the ? come parameters"),
        ] {
            let told = told(url);
            assert!(told.contains(named), "{url}: {told}");
            for secret in ["ssw", "pass", "off", "pa@", "pa/", "pa?"] {
                assert!(!told.contains(&format!("p{secret}")) && !told.contains("50%"), "{told}");
            }
        }
        let url = parsed("postgres://u%40x:p%C3%A4%2F%3F%40%25@h/my%20db");
        assert_eq!(url.config.get_user(), Some("u@x"));
        assert_eq!(url.config.get_password(), Some("p\u{e4}/?@%".as_bytes()));
        assert_eq!(url.config.get_dbname(), Some("my db"));
    }

    #[test]
    fn parameters_of_libpq_are_taken() {
        let url = parsed(
            "postgresql://u@h:5433,i/d?gssencmode=disable&krbsrvname=postgres&sslcompression=0&client_encoding=UTF8\
             &keepalives_count=3&connect_timeout=7&fallback_application_name=desk&sslsni=0&pgbouncer=true\
             &ssl_min_protocol_version=TLSv1.3&channel_binding=prefer&target_session_attrs=read-write",
        );
        assert_eq!(url.config.get_ports(), [5433, 5432]);
        assert_eq!(url.config.get_keepalives_retries(), Some(3));
        assert_eq!(url.config.get_connect_timeout().map(|wait| wait.as_secs()), Some(&7).copied());
        assert_eq!(url.config.get_application_name(), Some("desk"));
        let named = parsed("postgres://h/d?fallback_application_name=a&application_name=b");
        assert_eq!(named.config.get_application_name(), Some("b"));
        let silent = parsed("postgres://h/d");
        assert_eq!(silent.config.get_application_name(), Some("model-registry"));
        assert_eq!(silent.pool_size(), None);
        assert_eq!(parsed("postgres://h/d?connection_limit=5").pool_size(), Some(5));
        assert_eq!(parsed("postgres:///d?hostaddr=127.0.0.1").config.get_hosts().len(), 1);
    }

    #[test]
    fn sslmode_is_for_hosts_and_not_for_unix_sockets() {
        let mode = |url: &str| parsed(url).tls.map(|tls| tls.mode());
        let socket = "postgres:///d?host=/var/run/postgresql";
        for sslmode in ["disable", "require", "verify-full&sslrootcert=/no/such"] {
            assert_eq!(mode(&format!("{socket}&sslmode={sslmode}")), None, "{sslmode}");
        }
        assert_eq!(mode("postgres://h/d"), Some(SslMode::Prefer));
        assert_eq!(mode("postgres://h/d?sslmode=disable"), None);
        assert_eq!(mode("postgres://h/d?sslmode=require&sslmode=allow"), Some(SslMode::Allow));
        assert_eq!(mode("postgres://h/d?host=/run&sslmode=prefer"), Some(SslMode::Prefer));
        assert!(told("postgres://h/d?host=/run&sslmode=require").contains("both a unix socket"));
    }

    #[test]
    fn a_url_is_never_printed() {
        let url = parsed("postgres://u:hunter2@h/d?sslmode=require");
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
