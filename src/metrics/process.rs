//! The kernel's figures about this process, under the names that all exporters use.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter},
};

/// Read anew for each scrape. A figure that cannot be read is left out.
#[derive(Debug)]
pub(super) struct Process {
    /// Seconds since 1970.
    pub started: i64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Start of the process, in seconds since 1970";
        super::gauge(&mut encoder, "process_start_time_seconds", help, self.started)?;
        if let Some(bytes) = resident_bytes() {
            let help = "Resident memory in bytes";
            super::gauge(&mut encoder, "process_resident_memory_bytes", help, bytes)?;
        }
        if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
            // One of them is this directory.
            let open = super::whole(entries.count().saturating_sub(1));
            super::gauge(&mut encoder, "process_open_fds", "Open file descriptors", open)?;
        }
        if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            super::gauge(&mut encoder, "process_max_fds", "Most open file descriptors", most)?;
        }
        if let Some(seconds) = cpu_seconds() {
            let help = "Processor time used, in seconds";
            let metric = encoder.encode_descriptor(
                "process_cpu_seconds",
                help,
                None,
                MetricType::Counter,
            )?;
            ConstCounter::new(seconds).encode(metric)?;
        }
        Ok(())
    }
}

fn resident_bytes() -> Option<i64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = pages.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(i64::try_from(rustix::param::page_size()).ok()?)
}

#[expect(clippy::cast_precision_loss, reason = "ticks since a start are far below 2^52")]
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name, in brackets, may hold anything. Fields 14 and 15 are utime and stime.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let mut ticks = || times.next()?.parse::<u64>().ok();
    let both = ticks()? + ticks()?;
    Some(both as f64 / rustix::param::clock_ticks_per_second() as f64)
}
