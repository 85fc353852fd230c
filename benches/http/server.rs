//! A process under measurement, and what the kernel knows of it.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::Value;

use crate::{
    bare,
    load::{Answer, Request, SERVER_CORE, ask},
};

/// A running server. It ends with this value.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A program on the server's core.
pub fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", SERVER_CORE]).arg(program);
    command
}

impl Server {
    /// The bare server, with this answer.
    pub fn bare(answer: &Answer, folder: &Path) -> Self {
        let file = folder.join("answer");
        answer.write_to(&file);
        let mut command = pinned(&std::env::current_exe().unwrap());
        command.arg(bare::ARGUMENT).arg(&file).stderr(Stdio::null());
        let mut server = Self::spawn(command);
        let line = server.first_line();
        server.port = line.trim().parse().expect("the bare server's port");
        server
    }

    /// The service; its port is in the document that it prints.
    pub fn service(mut command: Command) -> Self {
        // A container's runtime reads the log from a pipe, too.
        command.stderr(Stdio::piped());
        let mut server = Self::spawn(command);
        let mut log = server.child.stderr.take().unwrap();
        std::thread::spawn(move || {
            let mut some = vec![0; 1 << 16];
            while log.read(&mut some).is_ok_and(|count| count > 0) {}
        });
        let output = BufReader::new(server.child.stdout.take().unwrap());
        let mut documents = serde_json::Deserializer::from_reader(output).into_iter::<Value>();
        let started = documents.next().expect("the service did not start").unwrap();
        server.port = started["port"].as_u64().and_then(|port| port.try_into().ok()).unwrap();
        server
    }

    fn spawn(mut command: Command) -> Self {
        let child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn();
        Self { child: child.unwrap_or_else(|error| panic!("{command:?}: {error}")), port: 0 }
    }

    fn first_line(&mut self) -> String {
        let mut line = String::new();
        let mut output = BufReader::new(self.child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        line
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks once and insists on an answer below 400.
    pub fn answer(&self, request: &Request) -> Answer {
        let answer = ask(self.port, request).unwrap();
        assert!(
            answer.status < 400,
            "{} {}: {} {}",
            request.method,
            request.path,
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        answer
    }

    /// Waits until it answers this request well.
    pub fn until_it_answers(&self, request: &Request) {
        let started = Instant::now();
        while !ask(self.port, request).is_ok_and(|answer| answer.status < 400) {
            assert!(started.elapsed() < Duration::from_secs(120), "no answer to {}", request.path);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn counters(&self) -> Counters {
        Counters::of(self.id())
    }

    pub fn memory(&self) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let kilobytes = |name| field(&status, name).unwrap_or(0);
        Memory { resident_kb: kilobytes("VmRSS:"), peak_kb: kilobytes("VmHWM:") }
    }
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy)]
pub struct Counters {
    /// Processor time, in microseconds.
    pub cpu: f64,
    pub switches: u64,
}

impl Counters {
    fn of(process: u32) -> Self {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        // The name in parentheses may hold blanks; utime and stime are the 14th and 15th field.
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        let ticks = rest.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        let a_second = rustix::param::clock_ticks_per_second();
        let mut switches = 0;
        for task in std::fs::read_dir(format!("/proc/{process}/task")).unwrap() {
            // A thread may end between the two calls.
            let Ok(status) = std::fs::read_to_string(task.unwrap().path().join("status")) else {
                continue;
            };
            switches += field(&status, "voluntary_ctxt_switches:").unwrap_or(0)
                + field(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0);
        }
        Self { cpu: ticks as f64 * 1e6 / a_second as f64, switches }
    }
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    pub resident_kb: u64,
    pub peak_kb: u64,
}
