//! Prints the report of each file that is named: `cargo run -p load-checks --example inspect -- FILE...`

use std::fs::File;

use load_checks::{TrustedGlobals, check};

fn main() -> std::io::Result<()> {
    for path in std::env::args().skip(1) {
        let report = check(File::open(&path)?, &TrustedGlobals::default(), None, &|| true)?;
        println!("{path}: {} {}", report.format, report.verdict);
        for error in &report.errors {
            println!("  {error}");
        }
    }
    Ok(())
}
