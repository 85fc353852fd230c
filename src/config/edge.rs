//! The variables of how the service is reached, stopped and watched: gateways, TLS, the drain, metrics, the log.

use std::{
    fmt::Display,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net};

use super::{Environment, Reader, read_limited};
use crate::tls::{TlsFile, TlsFiles};

const DRAIN: &str = "MODEL_REGISTRY_DRAIN_SECONDS";
const PROXIES: &str = "MODEL_REGISTRY_TRUSTED_PROXIES";
const METRICS_PORT: &str = "MODEL_REGISTRY_METRICS_PORT";
const LOG_FILTER_FILE: &str = "MODEL_REGISTRY_LOG_FILTER_FILE";
const TLS_CERT: &str = "MODEL_REGISTRY_TLS_CERT";
const TLS_KEY: &str = "MODEL_REGISTRY_TLS_KEY";
const TLS_CLIENT_CA: &str = "MODEL_REGISTRY_TLS_CLIENT_CA";
const HOSTS: &str = "MODEL_REGISTRY_ALLOWED_HOSTS";

/// The default drain, in seconds: what gateways take to see that a replica is stopping.
const DEFAULT_DRAIN: u64 = 5;
/// The longest drain, in seconds.
const MAX_DRAIN: u64 = 600;

/// How the service is reached, stopped and watched.
#[derive(Debug, Clone, Default)]
pub struct EdgeSettings {
    /// How long it goes on serving after a signal to stop.
    pub drain: Duration,
    /// The gateways whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The hosts that requests may be for, in lower case; empty for any host.
    pub allowed_hosts: Vec<String>,
    /// The port of the metrics, 0 for a free one; `None` for no metrics.
    pub metrics_port: Option<u16>,
    /// A file with the log filter, read again on SIGHUP.
    pub log_filter_file: Option<PathBuf>,
    /// The files for TLS; `None` for plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// Reads the variables.
pub(super) fn read(reader: &mut Reader<'_>, environment: Environment) -> EdgeSettings {
    let default_drain = match environment {
        Environment::Production | Environment::Staging => DEFAULT_DRAIN,
        Environment::Dev | Environment::Test => 0,
    };
    let drain = reader.parsed(DRAIN, default_drain, |text| {
        let seconds = text.parse().ok().filter(|seconds| *seconds <= MAX_DRAIN);
        seconds.ok_or_else(|| format!("must be a whole number of seconds from 0 to {MAX_DRAIN}"))
    });
    let metrics_port = reader.parsed(METRICS_PORT, None, |text| super::port(text).map(Some));
    let log_filter_file = reader.path(LOG_FILTER_FILE);
    if let Some(Err(what)) = log_filter_file.as_deref().map(read_log_filter) {
        reader.problem(LOG_FILTER_FILE, what);
    }
    EdgeSettings {
        metrics_port,
        log_filter_file,
        tls: tls(reader),
        drain: Duration::from_secs(drain),
        trusted_proxies: reader.parsed(PROXIES, Vec::new(), networks),
        allowed_hosts: reader.parsed(HOSTS, Vec::new(), hosts),
    }
}

/// Certificate and key are set together, and the authorities of clients only with them.
fn tls(reader: &mut Reader<'_>) -> Option<TlsFiles> {
    let (certificate, key) = (reader.path(TLS_CERT), reader.path(TLS_KEY));
    let client_ca = reader.path(TLS_CLIENT_CA);
    let (certificate, key) = match (certificate, key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) => {
            reader.problem(TLS_KEY, format!("is required with {TLS_CERT}"));
            return None;
        }
        (None, Some(_)) => {
            reader.problem(TLS_CERT, format!("is required with {TLS_KEY}"));
            return None;
        }
        (None, None) => {
            if client_ca.is_some() {
                reader.problem(
                    TLS_CLIENT_CA,
                    format!("has no effect without {TLS_CERT} and {TLS_KEY}; set all or none"),
                );
            }
            return None;
        }
    };
    let files = TlsFiles { certificate, key, client_ca };
    if let Err(problem) = files.check() {
        let name = match problem.file {
            TlsFile::Certificate => TLS_CERT,
            TlsFile::Key => TLS_KEY,
            TlsFile::ClientCa => TLS_CLIENT_CA,
        };
        reader.problem(name, problem);
    }
    Some(files)
}

/// Two servers cannot listen on one port.
pub(super) fn check_ports(reader: &mut Reader<'_>, port: u16, edge: &EdgeSettings) {
    if port != 0 && edge.metrics_port == Some(port) {
        reader.problem(METRICS_PORT, "is the port of the service itself; choose another");
    }
}

/// Reads the log filter from its file; `None` where the file is empty.
///
/// # Errors
/// A sentence where it cannot be read, or holds no filter.
pub fn read_log_filter(file: &Path) -> Result<Option<String>, String> {
    let named = |what: &dyn Display| format!("{}: {what}", file.display());
    let text = read_limited(file).map_err(|error| named(&error))?;
    let filter = text.trim();
    tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| named(&error))?;
    Ok(Some(filter.to_owned()).filter(|filter| !filter.is_empty()))
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Networks and addresses. IPv4 addresses mapped into IPv6 become IPv4 addresses.
fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    items(text)
        .map(|item| {
            let network = item.parse::<IpNet>().ok();
            let network = network.or_else(|| item.parse::<IpAddr>().ok().map(IpNet::from));
            let network = network.ok_or_else(|| {
                format!(
                    "\"{item}\" is neither a network nor an address; for example 10.0.0.0/8, 192.0.2.7, \
                     2001:db8::/32"
                )
            })?;
            if network.addr() != network.network() {
                return Err(format!("{item} is an address within {}; write that", network.trunc()));
            }
            Ok(without_mapping(network))
        })
        .collect()
}

/// `::ffff:10.0.0.0/104` is 10.0.0.0/8.
fn without_mapping(network: IpNet) -> IpNet {
    if let IpNet::V6(v6) = network
        && let (Some(address), Some(length)) =
            (v6.network().to_ipv4_mapped(), v6.prefix_len().checked_sub(96))
        && let Ok(v4) = Ipv4Net::new(address, length)
    {
        return v4.into();
    }
    network
}

/// Host names or addresses as in a `Host` header, each with a port or for every port.
fn hosts(text: &str) -> Result<Vec<String>, String> {
    items(text)
        .map(|item| {
            let authority = item.parse::<actix_web::http::uri::Authority>().ok();
            let fits = authority.is_some_and(|authority| {
                let port = item.strip_prefix(authority.host());
                // Nothing, or a colon and a number: `port_u16` says of neither that it is not one.
                let port = port.is_some_and(|port| port.is_empty() || authority.port_u16().is_some());
                port && !authority.host().is_empty() && !item.contains(['@', '*'])
            });
            if fits {
                Ok(item.to_ascii_lowercase())
            } else {
                Err(format!(
                    "\"{item}\" is not a host; write models.example.com or models.example.com:8443, \
                     without a scheme or *"
                ))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, ServerSettings, Variables};

    fn load(pairs: &[(&str, &str)]) -> Result<EdgeSettings, Vec<String>> {
        let all = [("MODEL_REGISTRY_READ_TOKEN", "0123456789abcdef"), ("ENVIRONMENT", "dev")];
        let variables: Variables = all.iter().chain(pairs).copied().collect();
        ServerSettings::load(&variables, &Flags::default())
            .map(|(_, server)| server.edge)
            .map_err(|problems| problems.0)
    }

    #[test]
    fn a_drain_is_for_where_there_are_gateways() {
        let drain = |pairs: &[(&str, &str)]| load(pairs).expect("good").drain.as_secs();
        assert_eq!(drain(&[]), 0);
        assert_eq!(drain(&[("ENVIRONMENT", "staging")]), DEFAULT_DRAIN);
        assert_eq!(drain(&[(DRAIN, "600")]), 600);
    }

    #[test]
    fn networks_are_read_in_every_writing() {
        let read = |text| {
            let edge = load(&[(PROXIES, text)]).expect("good");
            edge.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(read("10.0.0.0/8, 192.0.2.7,"), ["10.0.0.0/8", "192.0.2.7/32"]);
        assert_eq!(read("2001:db8::/32,::1"), ["2001:db8::/32", "::1/128"]);
        assert_eq!(read("::ffff:10.0.0.0/104"), ["10.0.0.0/8"]);
        assert_eq!(read("::ffff:192.0.2.7"), ["192.0.2.7/32"]);
        assert_eq!(read("::/0"), ["::/0"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (name, value) in [
            (DRAIN, "-1"),
            (DRAIN, "601"),
            (DRAIN, "5s"),
            (PROXIES, "10.0.0.1/8"),
            (PROXIES, "10.0.0.0/33"),
            (PROXIES, "gateway"),
            (PROXIES, "*"),
            (HOSTS, "https://models.example.com"),
            (HOSTS, "*.example.com"),
            (HOSTS, "user@example.com"),
            (HOSTS, "example.com:99999"),
            (HOSTS, "example.com:"),
            (HOSTS, "a b"),
            (METRICS_PORT, "70000"),
            (LOG_FILTER_FILE, "/no/such/file"),
        ] {
            let found = load(&[(name, value)]).expect_err(value);
            assert!(found.len() == 1 && found[0].starts_with(name), "{name} {value}: {found:?}");
        }
    }

    #[test]
    fn the_metrics_have_a_port_of_their_own() {
        assert_eq!(load(&[]).expect("good").metrics_port, None);
        let found = load(&[(METRICS_PORT, "8003")]).expect_err("one port twice");
        assert!(found.len() == 1 && found[0].starts_with(METRICS_PORT), "{found:?}");
        assert!(load(&[(METRICS_PORT, "0"), ("MODEL_REGISTRY_PORT", "0")]).is_ok());
    }

    #[test]
    fn certificate_and_key_stand_together() {
        for (pairs, named) in [
            (&[(TLS_CERT, "/c")][..], TLS_KEY),
            (&[(TLS_KEY, "/k")], TLS_CERT),
            (&[(TLS_CLIENT_CA, "/a")], TLS_CLIENT_CA),
            (&[(TLS_CERT, "/no/such"), (TLS_KEY, "/no/such")], TLS_CERT),
        ] {
            let found = load(pairs).expect_err(named);
            assert!(found.len() == 1 && found[0].starts_with(named), "{found:?}");
        }
        assert!(load(&[(TLS_CERT, ""), (TLS_KEY, "")]).expect("good").tls.is_none());
    }

    #[test]
    fn hosts_are_compared_in_lower_case() {
        let edge = load(&[(HOSTS, "Models.Example.com, [::1]:8003")]).expect("good");
        assert_eq!(edge.allowed_hosts, ["models.example.com", "[::1]:8003"]);
    }
}
