//! The variables of the identity provider.

use std::time::Duration;

use jsonwebtoken::Algorithm;

use super::Reader;
use crate::{
    auth::{
        IdentitySettings, KeySource, algorithm, claim_path::InvalidClaimPath,
        provider::check_address, rules::Rules,
    },
    policy::PolicyInForce,
};

pub(super) const ISSUER: &str = "MODEL_REGISTRY_JWT_ISSUER";
const AUDIENCE: &str = "MODEL_REGISTRY_JWT_AUDIENCE";
const JWKS_URL: &str = "MODEL_REGISTRY_JWT_JWKS_URL";
const JWKS_FILE: &str = "MODEL_REGISTRY_JWT_JWKS_FILE";
const ALGORITHMS: &str = "MODEL_REGISTRY_JWT_ALGORITHMS";
const SCOPE_CLAIM: &str = "MODEL_REGISTRY_JWT_SCOPE_CLAIM";
const LEEWAY: &str = "MODEL_REGISTRY_JWT_LEEWAY_SECONDS";
const MAX_STALE: &str = "MODEL_REGISTRY_JWT_MAX_STALE_SECONDS";
const REQUIRE_AT_START: &str = "MODEL_REGISTRY_JWT_REQUIRE_AT_START";
const ACCEPT_AT_HASH: &str = "MODEL_REGISTRY_JWT_ACCEPT_AT_HASH";

const DEFAULT_ALGORITHMS: [Algorithm; 4] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];

/// What has a meaning only with an issuer.
const WITH_AN_ISSUER: [&str; 8] = [
    JWKS_URL,
    JWKS_FILE,
    ALGORITHMS,
    SCOPE_CLAIM,
    LEEWAY,
    MAX_STALE,
    REQUIRE_AT_START,
    ACCEPT_AT_HASH,
];

/// A clock that is off by more must be set right.
const MAX_LEEWAY: u64 = 300;
/// Less would be over before a failed request is tried again.
const MIN_MAX_STALE: u64 = 10;
/// A provider that was away for a month will not come back.
const MAX_MAX_STALE: u64 = 31 * 24 * 60 * 60;

/// Reads the settings of the identity provider; `None` where none is configured, or there is a problem with them.
pub(super) fn read(reader: &mut Reader<'_>, policy: &PolicyInForce) -> Option<IdentitySettings> {
    let issuer = reader.text(ISSUER).map(|text| text.trim().to_owned());
    let audience = reader.text(AUDIENCE).map(|text| text.trim().to_owned());
    let url = reader.text(JWKS_URL).map(|text| text.trim().to_owned());
    let file = reader.path(JWKS_FILE);
    let algorithms = reader.parsed(ALGORITHMS, DEFAULT_ALGORITHMS.into(), algorithms);
    let scope_claim = reader.parsed(SCOPE_CLAIM, None, |text| {
        text.parse().map(Some).map_err(|error: InvalidClaimPath| error.to_string())
    });
    let leeway = reader.parsed(LEEWAY, 30, |text| seconds(text, 0, MAX_LEEWAY));
    let max_stale =
        reader.parsed(MAX_STALE, 86_400, |text| seconds(text, MIN_MAX_STALE, MAX_MAX_STALE));
    let require_at_start = reader.flag(REQUIRE_AT_START);
    let accept_at_hash = reader.flag(ACCEPT_AT_HASH);
    // Nothing is asked of an issuer whose keys come from elsewhere: it may have any name.
    if url.is_none()
        && file.is_none()
        && let Some(Err(what)) = issuer.as_deref().map(check_issuer)
    {
        reader.problem(
            ISSUER,
            format!("{what}; an issuer of any other form needs {JWKS_URL} or {JWKS_FILE}"),
        );
    }
    if let Some(Err(what)) = url.as_deref().map(check_address) {
        reader.problem(JWKS_URL, what);
    }
    if url.is_some() && file.is_some() {
        reader.problem(JWKS_URL, format!("{JWKS_FILE} is set as well; keep one of them"));
    }
    match (&issuer, &audience) {
        (Some(_), None) => {
            reader.problem(AUDIENCE, format!("is required with {ISSUER}: what `aud` must hold"));
        }
        (None, Some(_)) => reader.problem(ISSUER, format!("is required with {AUDIENCE}")),
        (None, None) => {
            for name in WITH_AN_ISSUER {
                if reader.variables.get(name).is_some_and(|value| !value.is_empty()) {
                    reader
                        .problem(name, format!("has no effect without {ISSUER}; set both or none"));
                }
            }
        }
        (Some(_), Some(_)) => {}
    }
    let (issuer, audience) = (issuer?, audience?);
    let source = match (file, url) {
        (Some(file), _) => KeySource::File(file),
        (None, Some(url)) => KeySource::Url(url),
        (None, None) => KeySource::Discovery { issuer: issuer.clone() },
    };
    let policy = policy.clone();
    let rules = Rules { issuer, audience, algorithms, scope_claim, leeway, accept_at_hash, policy };
    let max_stale = Duration::from_secs(max_stale);
    Some(IdentitySettings { rules, source, max_stale, require_at_start })
}

/// Whether keys can be found by discovery from this issuer (OpenID Connect Discovery 1.0, section 2).
fn check_issuer(issuer: &str) -> Result<(), &'static str> {
    check_address(issuer)?;
    if issuer.contains(['?', '#']) {
        return Err("must have no query and no fragment, so that its keys can be discovered");
    }
    Ok(())
}

fn algorithms(text: &str) -> Result<Vec<Algorithm>, String> {
    let known = algorithm::KNOWN;
    let names: Vec<_> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(format!("must name an algorithm: {known}"));
    }
    let parse = |name: &&str| {
        algorithm::parse(name)
            .ok_or_else(|| format!("must hold only asymmetric algorithms, without {name}: {known}"))
    };
    names.iter().map(parse).collect()
}

fn seconds(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("must be a whole number of seconds from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, ServerSettings, Variables};

    const GOOD: [(&str, &str); 3] =
        [(ISSUER, "https://idp.example"), (AUDIENCE, "model-registry"), ("ENVIRONMENT", "dev")];

    fn load(pairs: &[(&str, &str)]) -> Result<Option<IdentitySettings>, Vec<String>> {
        let variables: Variables = pairs.iter().copied().collect();
        ServerSettings::load(&variables, &Flags::default())
            .map(|(_, server)| server.identity)
            .map_err(|problems| problems.0)
    }

    fn with<'a>(extra: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        GOOD.iter().chain(extra).copied().collect()
    }

    #[test]
    fn an_issuer_and_an_audience_are_enough() {
        let settings = load(&GOOD).expect("good").expect("an issuer");
        let discovery = KeySource::Discovery { issuer: "https://idp.example".into() };
        assert_eq!(settings.source, discovery);
        assert_eq!(settings.rules.algorithms, DEFAULT_ALGORITHMS);
        assert_eq!((settings.rules.leeway, settings.rules.scope_claim), (30, None));
        assert!(!settings.require_at_start && settings.max_stale == Duration::from_secs(86_400));
    }

    #[test]
    fn everything_may_be_set() {
        let settings = load(&with(&[
            (JWKS_URL, "http://127.0.0.1:9400/jwks"),
            (ALGORITHMS, "ES256, Ed25519"),
            (SCOPE_CLAIM, r"resource_access.my\.client.roles"),
            (ACCEPT_AT_HASH, "true"),
            (LEEWAY, "0"),
            (MAX_STALE, "60"),
            (REQUIRE_AT_START, "true"),
        ]));
        let settings = settings.expect("good").expect("an issuer");
        assert_eq!(settings.source, KeySource::Url("http://127.0.0.1:9400/jwks".into()));
        assert_eq!(settings.rules.algorithms, [Algorithm::ES256, Algorithm::EdDSA]);
        assert!(settings.require_at_start && settings.rules.leeway == 0);
        assert!(settings.rules.accept_at_hash && settings.rules.scope_claim.is_some());
    }

    #[test]
    fn an_issuer_that_is_asked_nothing_may_have_any_name() {
        for issuer in [
            "http://adfs.corp.example/adfs/services/trust",
            "http://keycloak.auth.svc:8080/realms/quant",
            "kubernetes/serviceaccount",
            "accounts.google.com",
            "https://idp.example/?tenant=a",
        ] {
            for keys in [(JWKS_FILE, "/keys.json"), (JWKS_URL, "https://keys.example/jwks")] {
                let found = load(&with(&[(ISSUER, issuer), keys]));
                assert!(found.is_ok(), "{issuer} {keys:?}: {found:?}");
            }
            assert!(load(&with(&[(ISSUER, issuer)])).expect_err(issuer)[0].contains(JWKS_FILE));
        }
    }

    #[test]
    fn each_wrong_value_is_named() {
        for (name, value) in [
            (ISSUER, "http://idp.example"),
            (ISSUER, "idp.example"),
            (ISSUER, "https://idp.example/?tenant=a"),
            (ISSUER, "kubernetes/serviceaccount"),
            (SCOPE_CLAIM, r"roles\of"),
            (ACCEPT_AT_HASH, "perhaps"),
            (JWKS_URL, "http://idp.example/jwks"),
            (ALGORITHMS, "HS256"),
            (ALGORITHMS, "RS256,none"),
            (ALGORITHMS, ","),
            (LEEWAY, "-1"),
            (LEEWAY, "301"),
            (MAX_STALE, "9"),
            (REQUIRE_AT_START, "maybe"),
        ] {
            let found = load(&with(&[(name, value)])).expect_err(value);
            assert!(found.len() == 1 && found[0].starts_with(name), "{name} {value}: {found:?}");
        }
        let both = with(&[(JWKS_URL, "https://a.example"), (JWKS_FILE, "/keys.json")]);
        assert!(load(&both).expect_err("both")[0].starts_with(JWKS_URL));
    }

    #[test]
    fn issuer_and_audience_stand_together_and_the_rest_with_them() {
        let dev = ("ENVIRONMENT", "dev");
        let token = ("MODEL_REGISTRY_READ_TOKEN", "0123456789abcdef");
        for (pairs, named) in [
            (vec![dev, (ISSUER, "https://idp.example")], AUDIENCE),
            (vec![dev, token, (AUDIENCE, "a")], ISSUER),
            (vec![dev, token, (LEEWAY, "5")], LEEWAY),
            (vec![dev, token, (JWKS_FILE, "/keys")], JWKS_FILE),
        ] {
            let found = load(&pairs).expect_err(named);
            assert!(found.len() == 1 && found[0].starts_with(named), "{found:?}");
        }
        assert!(load(&[dev, token]).expect("good").is_none());
        assert!(load(&[dev, token, (ISSUER, ""), (LEEWAY, "")]).expect("good").is_none());
    }
}
