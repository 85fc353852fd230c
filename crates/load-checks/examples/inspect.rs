//! Prints the report of each file that is named: `cargo run -p load-checks --example inspect -- FILE...`

use std::fs::File;
use std::io::{self, Write as _};

use load_checks::{TrustedGlobals, check};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for path in std::env::args().skip(1) {
        let report = check(File::open(&path)?, &TrustedGlobals::default(), None, &|| true)?;
        writeln!(out, "{path}: {} {}", report.format, report.verdict)?;
        for error in &report.errors {
            writeln!(out, "  {error}")?;
        }
    }
    Ok(())
}
