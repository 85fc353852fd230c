//! The alert rules and the dashboard ask for metrics that there are.

use std::collections::BTreeSet;

use crate::support::{World, ask};

/// The words of a text that name a metric of ours, or of the process.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    let ours = |word: &&str| word.starts_with("model_registry_") || word.starts_with("process_");
    words.filter(ours).map(ToOwned::to_owned).collect()
}

fn shipped(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn what_alerts_and_dashboard_ask_for_is_there() {
    let world = World::promoted(&["v1.0.0"]);
    // Example A.1 of RFC 7517: for the age of keys there must be keys.
    let keys = world.outside("keys.json");
    let key = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"1","alg":"ES256","use":"sig",
        "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;
    std::fs::write(&keys, key).unwrap();
    let server = world.serve_with(&[
        ("MODEL_REGISTRY_METRICS_PORT", "0"),
        ("MODEL_REGISTRY_JWT_ISSUER", "https://identity.example.com"),
        ("MODEL_REGISTRY_JWT_AUDIENCE", "model-registry"),
        ("MODEL_REGISTRY_JWT_JWKS_FILE", keys.to_str().unwrap()),
        ("MODEL_REGISTRY_FAULT", "auth.resolve=panic"),
    ]);
    // The first kills an actor, so that there is a death to be counted.
    assert_eq!(server.model("risk_model/current").status, 503);
    // Each worker has its own actors: another one answers before this one is replaced.
    crate::support::until(std::time::Duration::from_secs(20), || {
        server.events("an actor died and will be replaced").len() == 1
            && server.validate("risk_model/v1.0.0").status == 200
    });
    let port = server.events("serving")[0]["metrics_port"].as_u64().unwrap();
    let scraped = ask("GET", &format!("http://127.0.0.1:{port}/metrics"), &[]);
    let there: BTreeSet<_> = String::from_utf8(scraped.body)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap().to_owned())
        .collect();
    assert!(there.len() > 15, "{there:?}");
    // It exists from the first round on, which begins minutes after the start.
    let mut there = there;
    there.insert("model_registry_integrity_round_timestamp_seconds".to_owned());
    for name in ["alerts.yaml", "alerts.test.yaml", "grafana-dashboard.json"] {
        let asked = metrics_in(&shipped(name));
        assert!(asked.len() > 8, "{name}: {asked:?}");
        let missing: Vec<_> = asked.difference(&there).collect();
        assert!(missing.is_empty(), "{name} asks for {missing:?}; there are {there:#?}");
    }
}
