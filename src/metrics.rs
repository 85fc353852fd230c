//! Metrics of the service, in the OpenMetrics text format that Prometheus reads.
//!
//! Nothing is counted until [`enable`] is called. Values that another part knows, such as an actor's load, are read
//! from it at each scrape. Every label has few values, whatever clients send: routes are patterns; methods and formats
//! are from fixed sets.

mod process;
mod registry;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, text},
    metrics::{
        MetricType, counter::Counter, family::Family, gauge::ConstGauge, histogram::Histogram,
        info::Info,
    },
    registry::Registry,
};

/// The media type of a scrape's answer.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The route label of a request that matches no route.
const UNMATCHED: &str = "unmatched";

/// Buckets from an answer out of memory to a gateway's time-out, in seconds.
const REQUEST_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Buckets from a small pickle to the largest file, in seconds.
const LOAD_CHECK_SECONDS: [f64; 8] = [0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    method: &'static str,
    status: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Checked {
    format: String,
    verdict: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckedFormat {
    format: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FoundBy {
    found_by: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Change {
    action: &'static str,
    model_type: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Actor {
    actor: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;
type Source<T> = Box<dyn Fn() -> T + Send + Sync>;

struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    request_seconds: Histograms<Route>,
    load_checks: Family<Checked, Counter>,
    load_check_seconds: Histograms<CheckedFormat>,
    integrity_errors: Family<FoundBy, Counter>,
    actor_deaths: Family<Actor, Counter>,
    policy_reads: Family<Outcome, Counter>,
    changes: Family<Change, Counter>,
    log_lines_lost: Counter,
}

static METRICS: OnceLock<Metrics> = OnceLock::new();

/// The load of an actor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActorLoad {
    /// Requests that wait or are in progress.
    pub requests: usize,
    /// The most there may be.
    pub capacity: usize,
}

/// The state of the pool of catalog connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// The most connections there may be.
    pub max: usize,
    /// Open connections.
    pub open: usize,
    /// Open connections that nobody uses.
    pub idle: usize,
    /// Queries that wait for a connection.
    pub waiting: usize,
}

/// The version of a type in production.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Production {
    /// The model type.
    pub model_type: String,
    /// The version.
    pub version: String,
    /// When it entered production, in seconds since 1970, where the log has it.
    pub since: Option<i64>,
}

#[derive(Default)]
struct Sources {
    actors: BTreeMap<&'static str, Vec<Source<ActorLoad>>>,
    pool: Option<Source<PoolState>>,
    in_flight: Option<Source<usize>>,
    keys_age: Option<Source<Option<Duration>>>,
    production: Option<Source<Vec<Production>>>,
    findings: Option<Source<BTreeMap<&'static str, usize>>>,
    round_ended: Option<Source<Option<i64>>>,
}

static SOURCES: Mutex<Option<Sources>> = Mutex::new(None);

fn sources() -> MutexGuard<'static, Option<Sources>> {
    SOURCES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts to count. `version` is the program's; `started` is in seconds since 1970.
pub fn enable(version: &'static str, started: i64) {
    let _first = METRICS.set(Metrics::new(version, started));
    sources().get_or_insert_default();
}

/// Whether [`enable`] was called.
#[must_use]
pub fn enabled() -> bool {
    METRICS.get().is_some()
}

/// All metrics as text.
///
/// # Errors
/// The encoder's; writing to a string causes none.
pub fn render() -> Result<String, fmt::Error> {
    let mut rendered = String::new();
    if let Some(metrics) = METRICS.get() {
        text::encode(&mut rendered, &metrics.registry)?;
    }
    Ok(rendered)
}

/// Counts a request whose answer's head was ready after this time.
pub fn request(route: Option<&'static str>, method: &str, status: u16, took: Duration) {
    let Some(metrics) = METRICS.get() else { return };
    let route = route.unwrap_or(UNMATCHED);
    let method = known_method(method);
    let answered = Answered { route, method, status: status.into() };
    metrics.requests.get_or_create(&answered).inc();
    let seconds = took.as_secs_f64();
    metrics.request_seconds.get_or_create(&Route { route, method }).observe(seconds);
}

/// Counts a refusal of bytes that are not a request.
pub fn refused(status: u16) {
    let Some(metrics) = METRICS.get() else { return };
    let (route, method) = (UNMATCHED, known_method(""));
    metrics.requests.get_or_create(&Answered { route, method, status: status.into() }).inc();
}

/// Counts an artifact that was hashed and load-checked.
pub fn load_check(format: impl fmt::Display, verdict: impl fmt::Display, took: Duration) {
    let Some(metrics) = METRICS.get() else { return };
    let format = format.to_string();
    let checked = Checked { format: format.clone(), verdict: verdict.to_string() };
    metrics.load_checks.get_or_create(&checked).inc();
    let seconds = took.as_secs_f64();
    metrics.load_check_seconds.get_or_create(&CheckedFormat { format }).observe(seconds);
}

/// Counts a difference between disk and catalog.
pub fn integrity_error(found_by: &'static str) {
    if let Some(metrics) = METRICS.get() {
        metrics.integrity_errors.get_or_create(&FoundBy { found_by }).inc();
    }
}

/// Counts an actor that died and is replaced.
pub fn actor_died(actor: &'static str) {
    if let Some(metrics) = METRICS.get() {
        metrics.actor_deaths.get_or_create(&Actor { actor }).inc();
    }
}

/// Counts that the policy file was read again; `outcome` is `ok` or `refused`.
pub fn policy_read(outcome: &'static str) {
    if let Some(metrics) = METRICS.get() {
        metrics.policy_reads.get_or_create(&Outcome { outcome }).inc();
    }
}

/// Counts a change of the registry, made by any process. `model_type` is one of those that were expected, or a word for
/// all others.
pub fn change(action: &'static str, model_type: &str) {
    if let Some(metrics) = METRICS.get() {
        let change = Change { action, model_type: model_type.to_owned() };
        metrics.changes.get_or_create(&change).inc();
    }
}

/// Makes the counters of the changes of these types exist, so that an alert on their growth sees the first change.
pub fn expect_changes(model_types: Vec<String>) {
    let Some(metrics) = METRICS.get() else { return };
    for model_type in model_types {
        for action in ["register", "promote", "restore", "fail"] {
            let change = Change { action, model_type: model_type.clone() };
            drop(metrics.changes.get_or_create(&change));
        }
    }
}

/// Sets the source of what is in production.
pub fn watch_production(source: impl Fn() -> Vec<Production> + Send + Sync + 'static) {
    if let Some(sources) = sources().as_mut() {
        sources.production = Some(Box::new(source));
    }
}

/// Sets the sources of the open integrity findings by kind, and of the end of the last round that looked for them, in
/// seconds since 1970.
pub fn watch_findings(
    findings: impl Fn() -> BTreeMap<&'static str, usize> + Send + Sync + 'static,
    round_ended: impl Fn() -> Option<i64> + Send + Sync + 'static,
) {
    if let Some(sources) = sources().as_mut() {
        sources.findings = Some(Box::new(findings));
        sources.round_ended = Some(Box::new(round_ended));
    }
}

/// Counts log lines that were not written.
pub fn log_lines_lost(lines: u64) {
    if let Some(metrics) = METRICS.get() {
        metrics.log_lines_lost.inc_by(lines);
    }
}

/// Adds a source of an actor's load. An actor that each worker has its own of has as many sources; they are added up.
pub fn watch_actor(actor: &'static str, source: impl Fn() -> ActorLoad + Send + Sync + 'static) {
    if let Some(sources) = sources().as_mut() {
        sources.actors.entry(actor).or_default().push(Box::new(source));
    }
}

/// Sets the source of the pool's state.
pub fn watch_pool(source: impl Fn() -> PoolState + Send + Sync + 'static) {
    if let Some(sources) = sources().as_mut() {
        sources.pool = Some(Box::new(source));
    }
}

/// Sets the source of the number of requests in progress.
pub fn watch_in_flight(source: impl Fn() -> usize + Send + Sync + 'static) {
    if let Some(sources) = sources().as_mut() {
        sources.in_flight = Some(Box::new(source));
    }
}

/// Sets the source of the age of the identity provider's keys; `None` while there are none.
pub fn watch_keys(source: impl Fn() -> Option<Duration> + Send + Sync + 'static) {
    if let Some(sources) = sources().as_mut() {
        sources.keys_age = Some(Box::new(source));
    }
}

/// The method label. Clients may invent methods, and each would be a new series.
fn known_method(method: &str) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("other")
}

impl Metrics {
    fn new(version: &'static str, started: i64) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process { started }));
        let own = registry.sub_registry_with_prefix("model_registry");
        let metrics = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(REQUEST_SECONDS)),
            load_checks: Family::default(),
            load_check_seconds: Family::new_with_constructor(|| Histogram::new(LOAD_CHECK_SECONDS)),
            integrity_errors: Family::default(),
            actor_deaths: Family::default(),
            policy_reads: Family::default(),
            changes: Family::default(),
            log_lines_lost: Counter::default(),
            registry: Registry::default(),
        };
        let build = Info::new([("version", version)]);
        own.register("build", "This program", build);
        let (requests, seconds) = (metrics.requests.clone(), metrics.request_seconds.clone());
        own.register("http_requests", "Requests answered", requests);
        let help = "Seconds from a request's head to its answer's";
        own.register("http_request_duration_seconds", help, seconds);
        let (checks, seconds) = (metrics.load_checks.clone(), metrics.load_check_seconds.clone());
        own.register("load_checks", "Load checks of artifacts", checks);
        let help = "Seconds to hash and load-check an artifact";
        own.register("load_check_duration_seconds", help, seconds);
        // Both exist from the first scrape on, so that an alert on their growth sees the first error.
        for found_by in ["request", "rehash"] {
            drop(metrics.integrity_errors.get_or_create(&FoundBy { found_by }));
        }
        let help = "Files, rows or manifests that differ from what was recorded";
        own.register("integrity_errors", help, metrics.integrity_errors.clone());
        let help = "Actors that died and were replaced";
        own.register("actor_deaths", help, metrics.actor_deaths.clone());
        let help = "Times that the policy file was read again";
        own.register("policy_reads", help, metrics.policy_reads.clone());
        let help = "Changes of the registry since this service started, made by any process";
        own.register("changes", help, metrics.changes.clone());
        let help = "Log lines that were not written, because they came too fast or writing failed";
        own.register("log_lines_lost", help, metrics.log_lines_lost.clone());
        own.register_collector(Box::new(Watched));
        own.register_collector(Box::new(registry::WatchedRegistry));
        Self { registry, ..metrics }
    }
}

/// The values that the sources know.
#[derive(Debug)]
struct Watched;

impl Collector for Watched {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sources = sources();
        let Some(sources) = sources.as_ref() else { return Ok(()) };
        if let Some(in_flight) = &sources.in_flight {
            let help = "Requests in progress, until the last byte of the answer is sent";
            gauge(&mut encoder, "http_requests_in_flight", help, whole(in_flight()))?;
        }
        if let Some(age) = sources.keys_age.as_ref().and_then(|age| age()) {
            let help = "Seconds since the identity provider's keys were last fetched";
            gauge(&mut encoder, "identity_keys_age_seconds", help, age.as_secs_f64())?;
        }
        if let Some(pool) = sources.pool.as_ref().map(|pool| pool()) {
            let help = "Most connections to the catalog";
            gauge(&mut encoder, "catalog_connections_max", help, whole(pool.max))?;
            let help = "Queries that wait for a connection to the catalog";
            gauge(&mut encoder, "catalog_connection_waiters", help, whole(pool.waiting))?;
            let help = "Connections to the catalog";
            let mut states =
                encoder.encode_descriptor("catalog_connections", help, None, MetricType::Gauge)?;
            let busy = pool.open.saturating_sub(pool.idle);
            for (state, number) in [("idle", pool.idle), ("busy", busy)] {
                let labels = [("state", state)];
                ConstGauge::new(whole(number)).encode(states.encode_family(&labels)?)?;
            }
        }
        let whole_load = |loads: &Vec<Source<ActorLoad>>| {
            loads.iter().map(|load| load()).fold(ActorLoad::default(), |sum, load| ActorLoad {
                requests: sum.requests + load.requests,
                capacity: sum.capacity + load.capacity,
            })
        };
        let actors = sources.actors.iter().map(|(actor, loads)| (*actor, whole_load(loads)));
        let actors: Vec<_> = actors.collect();
        actor_gauge(
            &mut encoder,
            "actor_mailbox_requests",
            "Requests that wait for an actor or that it works on",
            actors.iter().map(|(actor, load)| (*actor, load.requests)),
        )?;
        actor_gauge(
            &mut encoder,
            "actor_mailbox_capacity",
            "Most requests that an actor accepts at a time",
            actors.iter().map(|(actor, load)| (*actor, load.capacity)),
        )
    }
}

fn actor_gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    of_actors: impl Iterator<Item = (&'static str, usize)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (actor, number) in of_actors {
        ConstGauge::new(whole(number)).encode(family.encode_family(&[("actor", actor)])?)?;
    }
    Ok(())
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: impl prometheus_client::encoding::EncodeGaugeValue,
) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(metric)
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
