//! Rounds of load on the service and on the bare server by turns.

use std::process::{Command, Stdio};

use serde::Serialize;

use crate::{
    arguments::Arguments,
    load::{Request, wrk},
    server::{Memory, Server},
};

/// Requests that a round should have at least, and the seconds that it may take for them.
const ENOUGH: f64 = 50.0;
const LONGEST: f64 = 15.0;

/// Medians over the rounds of one server.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cost {
    pub per_second: f64,
    /// Processor time a request, in microseconds.
    pub cpu_us: f64,
    pub switches: f64,
    /// System calls a request; `None` where they cannot be counted.
    pub system_calls: Option<f64>,
    pub p50_us: f64,
    pub p99_us: f64,
    pub memory: Memory,
}

/// One case over one number of connections.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    pub case: String,
    pub catalog: &'static str,
    pub connections: usize,
    pub body_bytes: usize,
    pub rounds: usize,
    pub ours: Cost,
    pub bare: Option<Cost>,
    /// Requests a second of the service, by those of the bare server: the median of the rounds' ratios.
    pub ratio: Option<f64>,
    /// Processor time a request of the service, by that of the bare server.
    pub cpu_ratio: Option<f64>,
}

#[derive(Clone, Copy)]
struct Round {
    per_second: f64,
    cpu_us: f64,
    switches: f64,
    p50_us: f64,
    p99_us: f64,
}

/// What is measured of one case.
pub struct Comparison<'a> {
    pub case: &'a str,
    pub catalog: &'static str,
    pub connections: usize,
    pub request: &'a Request,
    pub body_bytes: usize,
}

impl Comparison<'_> {
    pub fn run(&self, arguments: &Arguments, ours: &Server, bare: Option<&Server>) -> Compared {
        let servers: Vec<&Server> = std::iter::once(ours).chain(bare).collect();
        let mut rounds = vec![Vec::new(); servers.len()];
        // Connections, caches and the branch predictor; and how long a round must be.
        let warm = servers.iter().map(|server| wrk(server.port, self.request, self.connections, 1));
        let slowest = warm.map(|run| run.per_second).fold(f64::INFINITY, f64::min);
        let enough = (ENOUGH / slowest).ceil().min(LONGEST) as u32;
        // A thousand connections take a while to be made.
        let slack = u32::from(self.connections > 500) * 2;
        let seconds = arguments.seconds().max(enough) + slack;
        for _ in 0..arguments.rounds() {
            for (at, server) in servers.iter().enumerate() {
                rounds[at].push(self.round(server, seconds));
            }
        }
        let cost_of = |(server, rounds): (&&Server, &Vec<Round>)| {
            let calls = system_calls(server, self.request, self.connections, enough);
            cost(rounds, calls, server.memory())
        };
        let costs: Vec<Cost> = servers.iter().zip(&rounds).map(cost_of).collect();
        let ratio = |of: fn(&Round) -> f64| {
            let bare = rounds.get(1)?;
            Some(median(rounds[0].iter().zip(bare).map(|(ours, bare)| of(ours) / of(bare))))
        };
        Compared {
            case: self.case.to_owned(),
            catalog: self.catalog,
            connections: self.connections,
            body_bytes: self.body_bytes,
            rounds: arguments.rounds(),
            ours: costs[0],
            bare: costs.get(1).copied(),
            ratio: ratio(|round| round.per_second),
            cpu_ratio: ratio(|round| round.cpu_us),
        }
    }

    fn round(&self, server: &Server, seconds: u32) -> Round {
        let before = server.counters();
        let run = wrk(server.port, self.request, self.connections, seconds);
        let after = server.counters();
        let requests = run.requests.max(1) as f64;
        Round {
            per_second: run.per_second,
            cpu_us: (after.cpu - before.cpu) / requests,
            switches: after.switches.saturating_sub(before.switches) as f64 / requests,
            p50_us: run.p50,
            p99_us: run.p99,
        }
    }
}

fn cost(rounds: &[Round], system_calls: Option<f64>, memory: Memory) -> Cost {
    let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value));
    Cost {
        per_second: of(|round| round.per_second),
        cpu_us: of(|round| round.cpu_us),
        switches: of(|round| round.switches),
        system_calls,
        p50_us: of(|round| round.p50_us),
        p99_us: of(|round| round.p99_us),
        memory,
    }
}

/// Counts the system calls of a second of load, in a round of its own because counting costs time.
fn system_calls(
    server: &Server,
    request: &Request,
    connections: usize,
    seconds: u32,
) -> Option<f64> {
    let perf = Command::new("perf")
        .args(["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", &server.id().to_string()])
        .args(["--", "sleep", &(seconds + 2).to_string()])
        .env("LC_ALL", "C")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    std::thread::sleep(std::time::Duration::from_millis(700));
    let run = wrk(server.port, request, connections, seconds);
    let output = perf.wait_with_output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|line| line.contains("raw_syscalls"))?;
    let calls: f64 = line.split(',').next()?.parse().ok()?;
    Some(calls / run.requests.max(1) as f64)
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
