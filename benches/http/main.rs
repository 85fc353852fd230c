//! The service as its clients see it, beside a bare actix-web server that answers the same bytes.
//!
//! `cargo bench --bench http [-- CASE…] [--quick] [--json FILE]`. It starts the real binary in its release build, asks
//! it once for each path, and gives those bytes to a second server that does nothing but send them. `wrk` drives both
//! by turns, over several rounds: the server on the first core, the load on the second. So whatever else the machine
//! does falls on both, and the ratio of the two is what the registry's own work costs.
//!
//! Everything goes through the binary's command line and its port. Nothing is asserted about time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::allow_attributes,
    reason = "a measurement that cannot go on should say so and stop"
)]

mod arguments;
mod bare;
mod cases;
mod load;
mod measure;
mod postgres;
mod registry;
mod report;
mod server;
mod tokens;
mod whole;

use clap::Parser as _;

fn main() {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(bare::ARGUMENT) {
        return bare::run(&words.next().expect("the file of the answer"));
    }
    let arguments = arguments::Arguments::parse();
    if arguments.list {
        return cases::list();
    }
    if let Some(missing) = load::missing() {
        eprintln!("{missing}");
        std::process::exit(2);
    }
    load::allow_many_files();
    registry::use_binary(&arguments.binary);
    let mut report = report::Report::new(&arguments);
    cases::run(&arguments, &mut report);
    report.finish(arguments.json.as_deref());
}
