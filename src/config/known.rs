//! The names of all variables that are read; and what is told of others that look like one of ours.

use super::Variables;

/// The prefix of the variables that are ours alone.
const PREFIX: &str = "MODEL_REGISTRY_";

/// Every variable that is read. A name that is not here is a slip of the operator's.
const KNOWN: [&str; 48] = [
    "ALLOWED_ORIGINS",
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "ENVIRONMENT",
    "RUST_LOG",
    "MODEL_REGISTRY_ADMIN_TOKEN",
    "MODEL_REGISTRY_ADMIN_TOKEN_FILE",
    "MODEL_REGISTRY_ALLOWED_HOSTS",
    "MODEL_REGISTRY_AUTH_DISABLED",
    "MODEL_REGISTRY_CA_FILE",
    "MODEL_REGISTRY_DB_LISTEN_URL",
    "MODEL_REGISTRY_DB_LISTEN_URL_FILE",
    "MODEL_REGISTRY_DB_POOL",
    "MODEL_REGISTRY_DIR",
    "MODEL_REGISTRY_DRAIN_SECONDS",
    "MODEL_REGISTRY_FAULT",
    "MODEL_REGISTRY_HOST",
    "MODEL_REGISTRY_JWT_ACCEPT_AT_HASH",
    "MODEL_REGISTRY_JWT_ALGORITHMS",
    "MODEL_REGISTRY_JWT_AUDIENCE",
    "MODEL_REGISTRY_JWT_ISSUER",
    "MODEL_REGISTRY_JWT_JWKS_FILE",
    "MODEL_REGISTRY_JWT_JWKS_URL",
    "MODEL_REGISTRY_JWT_LEEWAY_SECONDS",
    "MODEL_REGISTRY_JWT_MAX_STALE_SECONDS",
    "MODEL_REGISTRY_JWT_REQUIRE_AT_START",
    "MODEL_REGISTRY_JWT_SCOPE_CLAIM",
    "MODEL_REGISTRY_LOG_FILTER_FILE",
    "MODEL_REGISTRY_LOG_FORMAT",
    "MODEL_REGISTRY_LOG_KEY_FILE",
    "MODEL_REGISTRY_LOG_ORIGIN",
    "MODEL_REGISTRY_MAX_ARTIFACT_BYTES",
    "MODEL_REGISTRY_METRICS_PORT",
    "MODEL_REGISTRY_POLICY",
    "MODEL_REGISTRY_PORT",
    "MODEL_REGISTRY_READ_TOKEN",
    "MODEL_REGISTRY_READ_TOKEN_FILE",
    "MODEL_REGISTRY_REQUIRE_EXISTING",
    "MODEL_REGISTRY_SANDBOX",
    "MODEL_REGISTRY_TLS_CERT",
    "MODEL_REGISTRY_TLS_CLIENT_CA",
    "MODEL_REGISTRY_TLS_KEY",
    "MODEL_REGISTRY_TOKEN",
    "MODEL_REGISTRY_TOKEN_FILE",
    "MODEL_REGISTRY_TRUSTED_PROXIES",
    "MODEL_REGISTRY_WRITE_API",
    "SSL_CERT_FILE",
    "STRICT_VERSION_MODE",
];

/// Characters that may be wrong in a name that is still taken for a known one.
const SLIPS: usize = 3;
/// The same where the name lacks our prefix, and may well be another program's.
const SLIPS_OF_OTHERS: usize = 1;

/// Whether a variable is read.
#[must_use]
pub fn is_known(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// A sentence for each variable that has no effect and looks as if it should have one.
pub fn warnings(variables: &Variables) -> Vec<String> {
    let is_service_link = |name: &&str| {
        name.starts_with(PREFIX)
            && variables.raw(name).is_some_and(|value| {
                self::is_service_link(name, value.to_str().unwrap_or_default())
            })
    };
    let (links, others): (Vec<_>, Vec<_>) =
        variables.names().filter(|name| !is_known(name)).partition(is_service_link);
    let mut told: Vec<_> = others.iter().filter_map(|name| unknown(name, variables)).collect();
    if !links.is_empty() {
        told.push(format!(
            "{} have no effect: they are service links that Kubernetes sets for a service called model-registry…; \
             enableServiceLinks: false in the pod's spec keeps them out",
            links.join(", ")
        ));
    }
    told
}

fn unknown(name: &str, variables: &Variables) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    let (ours, limit) =
        if upper.starts_with(PREFIX) { (true, SLIPS) } else { (false, SLIPS_OF_OTHERS) };
    let nearest =
        KNOWN.iter().map(|known| (strsim::osa_distance(&upper, known), *known)).min().filter(
            |(distance, known)| {
                *distance <= limit && (ours || !variables.names().any(|name| name == *known))
            },
        );
    match nearest {
        Some((_, known)) => Some(format!(
            "{name} is not a variable of this program and has no effect; {known} is one"
        )),
        None if ours => Some(format!(
            "{name} is not a variable of this program and has no effect; the README lists them all"
        )),
        None => None,
    }
}

/// Whether Kubernetes, or Docker before it, sets this variable for a service called `model-registry…`.
fn is_service_link(name: &str, value: &str) -> bool {
    if name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || is_link(value) {
        return true;
    }
    // _PORT_8003_TCP, _PORT_8003_TCP_ADDR, _PORT_8003_TCP_PORT, _PORT_8003_TCP_PROTO
    let Some((_, rest)) = name.split_once("_PORT_") else { return false };
    let mut parts = rest.split('_');
    let port = parts.next().is_some_and(|port| port.parse::<u16>().is_ok());
    let protocol = parts.next().is_some_and(|protocol| ["TCP", "UDP", "SCTP"].contains(&protocol));
    let part = parts.next().is_none_or(|part| ["PROTO", "PORT", "ADDR"].contains(&part));
    port && protocol && part && parts.next().is_none()
}

fn is_link(value: &str) -> bool {
    ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
}

/// What to do about a value such as `tcp://10.96.0.12:8003`, where that is one; else nothing.
#[must_use]
pub fn service_link(value: &str) -> Option<String> {
    is_link(value).then(|| {
        format!(
            "must be a port, 0 to 65535; {value} is a service link that Kubernetes sets for a service of this \
             name: set enableServiceLinks: false in the pod's spec, or give this variable a value there"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str) -> Vec<String> {
        warnings(&[(name, "x")].into_iter().collect())
    }

    #[test]
    fn a_slip_is_told_with_the_nearest_name() {
        for (slip, known) in [
            ("MODEL_REGISTRY_DRI", "MODEL_REGISTRY_DIR"),
            ("MODEL_REGISTRY_READ_TOKENS", "MODEL_REGISTRY_READ_TOKEN"),
            ("MODEL_REGISTRY_JWT_AUDIENCES", "MODEL_REGISTRY_JWT_AUDIENCE"),
            ("MODEL_REGISTRY_TLS_CERT_FILE", "MODEL_REGISTRY"),
            ("MODEL_REGISTRY_LOGFORMAT", "MODEL_REGISTRY_LOG_FORMAT"),
            ("model_registry_dir", "MODEL_REGISTRY_DIR"),
            ("MODEL_REGISTY_DIR", "MODEL_REGISTRY_DIR"),
            ("ALLOWED_ORIGIN", "ALLOWED_ORIGINS"),
            ("ENVIROMENT", "ENVIRONMENT"),
            ("MODEL_REGISTRY_NOTHING_LIKE_IT", "README"),
        ] {
            let told = told(slip);
            assert!(told.len() == 1 && told[0].starts_with(slip), "{slip}: {told:?}");
            assert!(told[0].contains(known), "{slip}: {told:?}");
        }
    }

    #[test]
    fn what_is_known_or_another_programs_is_not_told() {
        for name in KNOWN.iter().chain(&["PATH", "HOME", "DATABASE_HOST", "LANG", "PORT", "HOST"]) {
            assert!(told(name).is_empty(), "{name}: {:?}", told(name));
        }
        let both = [("DATABASE_URL", "x"), ("DATABASE_URI", "y")].into_iter().collect();
        assert!(warnings(&both).is_empty(), "another program's, beside ours");
    }

    #[test]
    fn service_links_are_told_in_one_sentence() {
        let links = [
            "MODEL_REGISTRY_PORT_8003_TCP",
            "MODEL_REGISTRY_PORT_8003_TCP_ADDR",
            "MODEL_REGISTRY_PORT_8003_TCP_PORT",
            "MODEL_REGISTRY_PORT_8003_TCP_PROTO",
            "MODEL_REGISTRY_SERVICE_HOST",
            "MODEL_REGISTRY_SERVICE_PORT",
            "MODEL_REGISTRY_SERVICE_PORT_HTTP",
            "MODEL_REGISTRY_DB_PORT",
            "MODEL_REGISTRY_DB_PORT_5432_TCP",
            "MODEL_REGISTRY_DB_SERVICE_HOST",
        ];
        let value = |name: &str| if name.ends_with("DB_PORT") { "tcp://10.0.0.1:1" } else { "x" };
        let told = warnings(&links.iter().map(|name| (*name, value(name))).collect());
        assert!(told.len() == 1 && told[0].contains("enableServiceLinks"), "{told:?}");
        for link in links {
            assert!(told[0].contains(link), "{link}");
        }
        for name in
            ["MODEL_REGISTRY_PORTS", "MODEL_REGISTRY_PORT_OF_METRICS", "MODEL_REGISTRY_METRIC_PORT"]
        {
            let told = self::told(name);
            assert!(told.len() == 1 && !told[0].contains("Kubernetes"), "{told:?}");
        }
    }

    #[test]
    fn a_link_for_a_value_is_explained() {
        assert!(
            service_link("tcp://10.96.0.12:8003").is_some_and(|told| told.contains("Kubernetes"))
        );
        assert_eq!(service_link("8003"), None);
        assert_eq!(service_link("localhost:8003"), None);
    }
}
