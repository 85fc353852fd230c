//! Prints results as they come, and writes them down as JSON.

use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    arguments::Arguments,
    measure::{Compared, Cost},
};

pub struct Report {
    about: Value,
    compared: Vec<Compared>,
    whole: BTreeMap<&'static str, Vec<Value>>,
    left_out: BTreeMap<String, String>,
}

impl Report {
    pub fn new(arguments: &Arguments) -> Self {
        let about = json!({
            "binary": arguments.binary.file_name().map(|name| name.to_string_lossy()),
            "commit": output_of("git", &["describe", "--always", "--dirty"]),
            "date": output_of("date", &["-u", "+%Y-%m-%d"]),
            "processor": processor(),
            "cores": std::thread::available_parallelism().map_or(1, usize::from),
            "kernel": output_of("uname", &["-r"]),
            "load_before": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
            "rounds": arguments.rounds(),
            "seconds": arguments.seconds(),
        });
        println!("{about:#}");
        Self { about, compared: Vec::new(), whole: BTreeMap::new(), left_out: BTreeMap::new() }
    }

    /// A result of a measurement by the clock.
    pub fn whole(&mut self, kind: &'static str, found: Value) {
        println!("{kind:<24} {found}");
        self.whole.entry(kind).or_default().push(found);
    }

    /// Something that could not be measured here, and why.
    pub fn left_out(&mut self, what: &str, why: &str) {
        println!("left out: {what}: {why}");
        self.left_out.insert(what.to_owned(), why.to_owned());
    }

    pub fn compared(&mut self, found: Compared) {
        if found.ours.system_calls.is_none() {
            self.left_out("system calls", "perf is missing, or may not count raw_syscalls here");
        }
        if self.compared.is_empty() {
            println!(
                "{:<24} {:>5} {:<5} {:>9} {:>8} {:>8} {:>8} {:>9} {:>9} {:>7} {:>7}",
                "case",
                "conns",
                "",
                "req/s",
                "cpu us",
                "calls",
                "switches",
                "p50 us",
                "p99 us",
                "rss MB",
                "peak MB"
            );
        }
        let name = format!("{} ({})", found.case, found.catalog);
        print_cost(&name, found.connections, "ours", &found.ours);
        if let Some(bare) = &found.bare {
            print_cost("", found.connections, "bare", bare);
        }
        if let (Some(ratio), Some(cpu)) = (found.ratio, found.cpu_ratio) {
            println!("{:<24} {:>5} ratio {ratio:>9.3} {cpu:>8.2}", "", "");
        }
        self.compared.push(found);
    }

    pub fn finish(self, file: Option<&Path>) {
        let Self { about, compared, whole, left_out } = self;
        let mut results = json!({ "about": about, "compared": compared, "left_out": left_out });
        for (kind, found) in whole {
            results[kind] = found.into();
        }
        if let Some(file) = file {
            std::fs::write(file, format!("{results:#}\n")).unwrap();
            println!("written to {}", file.display());
        }
    }
}

fn print_cost(name: &str, connections: usize, whose: &str, cost: &Cost) {
    let calls = cost.system_calls.map_or("-".to_owned(), |calls| format!("{calls:.1}"));
    println!(
        "{name:<24} {connections:>5} {whose:<5} {:>9.0} {:>8.1} {calls:>8} {:>8.2} {:>9.0} {:>9.0} {:>7.1} {:>7.1}",
        cost.per_second,
        cost.cpu_us,
        cost.switches,
        cost.p50_us,
        cost.p99_us,
        cost.memory.resident_kb as f64 / 1024.0,
        cost.memory.peak_kb as f64 / 1024.0,
    );
}

fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split(": ").nth(1)).unwrap_or("unknown").to_owned()
}
