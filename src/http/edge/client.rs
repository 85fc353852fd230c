//! The client of a request, and the address under which it knows the service. Gateways tell both in
//! `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix`; only gateways that the operator named are believed.
//!
//! Anybody can send these headers. `X-Forwarded-For` is therefore read from its right end, over all its lines, and an
//! entry is believed only where the host that wrote it is trusted. Of the other headers the last value counts, which the
//! peer itself wrote. `Forwarded` (RFC 7239) is ignored.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use actix_web::{
    HttpRequest,
    http::{
        header::{self, HeaderMap, HeaderName},
        uri::Authority,
    },
};
use ipnet::IpNet;

use super::context::RequestContext;
use crate::error::{ErrorKind, RegistryError};

static FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// The longest prefix that is accepted.
const MAX_PREFIX: usize = 256;

/// The operator's settings about gateways and hosts.
#[derive(Debug, Clone, Default)]
pub struct Gateways {
    /// The networks whose forwarding headers are believed.
    pub trusted: Vec<IpNet>,
    /// Whether the service speaks TLS itself.
    pub encrypted: bool,
    /// The hosts that requests may name, in lower case; any host where the list is empty.
    pub hosts: Vec<String>,
}

/// A request's client, and how it addressed the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientView {
    /// The client's address; `None` where the connection is not TCP.
    pub address: Option<IpAddr>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host as the client named it, perhaps with a port; `None` where that is not a valid host, or nobody asks for
    /// it: [`Gateways::hosts`] is empty.
    pub host: Option<String>,
    /// What a gateway removed from the front of the path: empty, or `/…` without a slash at its end.
    pub prefix: String,
}

impl ClientView {
    /// The path under which a request's client finds `/`: empty, or `/…` without a slash at its end.
    #[must_use]
    pub fn base_path(request: &HttpRequest) -> String {
        RequestContext::of(request).map_or_else(String::new, |known| known.client.prefix.clone())
    }

    /// The URL under which the client finds a path of the service, which begins with a slash. Where the host is not
    /// known, the URL has none.
    #[must_use]
    pub fn external_url(&self, path: &str) -> String {
        let Self { scheme, prefix, .. } = self;
        match &self.host {
            Some(host) => format!("{scheme}://{host}{prefix}{path}"),
            None => format!("{prefix}{path}"),
        }
    }

    fn resolve(
        peer: Option<SocketAddr>,
        headers: &HeaderMap,
        authority: Option<&Authority>,
        secure: bool,
        trusted: &[IpNet],
        wants_host: bool,
    ) -> Self {
        let peer = peer.map(|peer| peer.ip().to_canonical());
        let own_host = || {
            let named = authority.map(Authority::as_str);
            host(named.or_else(|| headers.get(header::HOST)?.to_str().ok())?)
        };
        let own_scheme = if secure { "https" } else { "http" };
        let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
        let Some(gateway) = peer.filter(is_trusted) else {
            let host = if wants_host { own_host() } else { None };
            return Self { address: peer, scheme: own_scheme, host, prefix: String::new() };
        };
        let mut address = gateway;
        for entry in values(headers, &FOR) {
            // A trusted gateway writes addresses. The client is then the last address known.
            let Some(before) = entry.and_then(forwarded_address) else { break };
            address = before;
            if !is_trusted(&address) {
                break;
            }
        }
        let last = |name| values(headers, name).next().flatten();
        Self {
            address: Some(address),
            scheme: last(&PROTO).and_then(scheme).unwrap_or(own_scheme),
            host: if wants_host { last(&HOST).and_then(host).or_else(own_host) } else { None },
            prefix: last(&PREFIX).and_then(prefix).unwrap_or_default(),
        }
    }
}

/// As log lines show it.
impl fmt::Display for ClientView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => address.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

impl Gateways {
    /// The client of a request.
    #[must_use]
    pub fn look(&self, request: &HttpRequest) -> ClientView {
        let (peer, headers) = (request.peer_addr(), request.headers());
        let authority = request.uri().authority();
        let wants_host = !self.hosts.is_empty();
        ClientView::resolve(peer, headers, authority, self.encrypted, &self.trusted, wants_host)
    }

    /// Refuses a request for a host that this service does not serve.
    ///
    /// # Errors
    /// `MISDIRECTED_REQUEST`.
    pub fn check_host(&self, view: &ClientView) -> Result<(), RegistryError> {
        if self.hosts.is_empty() {
            return Ok(());
        }
        let allowed = view.host.as_deref().is_some_and(|host| {
            let host = host.to_ascii_lowercase();
            let bare = without_port(&host);
            self.hosts.iter().any(|allowed| *allowed == host || *allowed == bare)
        });
        if allowed {
            return Ok(());
        }
        Err(RegistryError::new(
            ErrorKind::MisdirectedRequest,
            "The request names a host that this service does not serve",
        ))
    }
}

/// The values of a list header, from the right, over all its lines; `None` for a value that is not text.
fn values<'a>(
    headers: &'a HeaderMap,
    name: &'a HeaderName,
) -> impl Iterator<Item = Option<&'a str>> {
    // The map keeps lines in their order.
    let lines: Vec<_> = headers.get_all(name).collect();
    lines.into_iter().rev().flat_map(|line| {
        line.as_bytes()
            .rsplit(|byte| *byte == b',')
            .map(|value| std::str::from_utf8(value).ok().map(str::trim))
    })
}

/// An address with or without a port, as gateways write it.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let address = text.parse::<IpAddr>().ok().or_else(with_port).or_else(bracketed);
    address.map(|address| address.to_canonical())
}

fn scheme(text: &str) -> Option<&'static str> {
    ["http", "https"].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme))
}

/// A host with or without a port that is valid in a URL.
fn host(text: &str) -> Option<String> {
    let authority: Authority = text.parse().ok()?;
    let port = text.strip_prefix(authority.host())?;
    // After the host comes nothing, or a colon and a number; no user name may precede it.
    let fit = !authority.host().is_empty() && (port.is_empty() || authority.port_u16().is_some());
    fit.then(|| text.to_owned())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// A prefix such as `/a/b`, of characters that need no escaping, so that it means the same in every context.
fn prefix(text: &str) -> Option<String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let segment = |segment: &str| {
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(safe)
    };
    let fit = text.len() <= MAX_PREFIX
        && text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment));
    fit.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn view(peer: &str, lines: &[(&HeaderName, &[u8])], trusted: &[&str]) -> ClientView {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, HeaderValue::from_static("inside:8003"));
        for (name, value) in lines {
            headers.append((*name).clone(), HeaderValue::from_bytes(value).unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let peer = SocketAddr::new(peer.parse().unwrap(), 4711);
        ClientView::resolve(Some(peer), &headers, None, false, &trusted, true)
    }

    fn client(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let lines: Vec<_> = lines.iter().map(|line| (&FOR, line.as_bytes())).collect();
        view(peer, &lines, trusted).to_string()
    }

    #[test]
    fn forwarding_headers_of_other_peers_are_ignored() {
        let spoofed: [(&HeaderName, &[u8]); 4] =
            [(&FOR, b"1.2.3.4"), (&PROTO, b"https"), (&HOST, b"evil.example"), (&PREFIX, b"/evil")];
        for trusted in [&[][..], &["10.0.0.0/8"], &["::/0"]] {
            let seen = view("192.0.2.1", &spoofed, trusted);
            assert_eq!(seen.to_string(), "192.0.2.1");
            assert_eq!(seen.external_url("/x"), "http://inside:8003/x");
        }
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_not_a_gateway() {
        let inside = ["10.0.0.0/8", "2001:db8:1::/48"];
        for (lines, expected) in [
            (&["198.51.100.7"][..], "198.51.100.7"),
            (&["1.2.3.4, 198.51.100.7"], "198.51.100.7"),
            (&["1.2.3.4, 198.51.100.7, 10.9.9.9"], "198.51.100.7"),
            // A second line, as haproxy adds one.
            (&["1.2.3.4", "198.51.100.7"], "198.51.100.7"),
            (&["198.51.100.7", "10.1.1.1", "10.2.2.2"], "198.51.100.7"),
            (&["1.2.3.4, 198.51.100.7", "10.1.1.1 ,10.2.2.2"], "198.51.100.7"),
            // Only gateways: the farthest of them.
            (&["10.1.1.1"], "10.1.1.1"),
            (&[], "10.0.0.1"),
            // Ports, brackets, and addresses of IPv4 within IPv6.
            (&["198.51.100.7:5555"], "198.51.100.7"),
            (&["2001:db8::7"], "2001:db8::7"),
            (&["[2001:db8::7]:5555, 2001:db8:1::1"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            (&["::ffff:198.51.100.7, ::ffff:10.1.1.1"], "198.51.100.7"),
            // An entry that is not an address ends the walk at the last gateway.
            (&["198.51.100.7, unknown"], "10.0.0.1"),
            (&["198.51.100.7, "], "10.0.0.1"),
            (&["198.51.100.7, 10.1.1.1, _hidden, 10.2.2.2"], "10.2.2.2"),
            (&["1.2.3.4\u{e9}"], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", lines, &inside), expected, "{lines:?}");
        }
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7"], &inside), "198.51.100.7");
    }

    #[test]
    fn a_gateway_says_how_the_service_is_addressed() {
        let lines: [(&HeaderName, &[u8]); 7] = [
            (&PROTO, b"http, HTTPS"),
            (&HOST, b"evil.example"),
            (&HOST, b"models.example.com:8443"),
            (&PREFIX, b"/evil"),
            (&PREFIX, b"/evil, /registry/v2/"),
            (&header::FORWARDED, b"for=1.2.3.4;host=evil.example;proto=http"),
            (&FOR, b"198.51.100.7"),
        ];
        let seen = view("10.0.0.1", &lines, &["10.0.0.1/32"]);
        assert_eq!(seen.prefix, "/registry/v2");
        assert_eq!(
            seen.external_url("/api/v1/models"),
            "https://models.example.com:8443/registry/v2/api/v1/models"
        );
    }

    #[test]
    fn invalid_forwarding_headers_are_ignored() {
        for (name, value) in [
            (&PROTO, "javascript"),
            (&PROTO, ""),
            (&HOST, "a b"),
            (&HOST, "user@evil.example"),
            (&HOST, "evil.example/path"),
            (&HOST, "evil.example:99999"),
            (&HOST, ""),
            (&PREFIX, "registry"),
            (&PREFIX, "//evil.example"),
            (&PREFIX, "/a//b"),
            (&PREFIX, "/a/../b"),
            (&PREFIX, "/."),
            (&PREFIX, "/a\"b"),
            (&PREFIX, "/a>b"),
            (&PREFIX, "/a%2e"),
            (&PREFIX, "/a?b"),
            (&PREFIX, "/"),
            (&PREFIX, "https://evil.example"),
        ] {
            let seen = view("10.0.0.1", &[(name, value.as_bytes())], &["10.0.0.1/32"]);
            assert_eq!(seen.external_url("/x"), "http://inside:8003/x", "{name}: {value}");
        }
    }

    #[test]
    fn ports_are_told_from_addresses() {
        for (host, bare) in [
            ("a.example:80", "a.example"),
            ("a.example", "a.example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(without_port(host), bare);
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_a_client_of_its_choice(
            lines in proptest::collection::vec("[ -~\u{80}-\u{ff}]{0,60}", 0..5)
        ) {
            // The gateway writes the true address at the end; before it stands whatever the client likes.
            let mut all: Vec<(&HeaderName, &[u8])> =
                lines.iter().map(|line| (&FOR, line.as_bytes())).collect();
            all.push((&FOR, b"198.51.100.7"));
            prop_assert_eq!(view("10.0.0.1", &all, &["10.0.0.0/8"]).to_string(), "198.51.100.7");
        }

        #[test]
        fn a_url_is_always_one(value in "[ -~]{0,40}") {
            let lines: [(&HeaderName, &[u8]); 3] = [
                (&HOST, value.as_bytes()), (&PREFIX, value.as_bytes()), (&PROTO, value.as_bytes()),
            ];
            let url = view("10.0.0.1", &lines, &["10.0.0.1/32"]).external_url("/x");
            let parsed: actix_web::http::Uri = url.parse().unwrap();
            prop_assert!(parsed.path().ends_with("/x") && parsed.query().is_none());
            prop_assert!(parsed.authority().is_some());
        }
    }
}
