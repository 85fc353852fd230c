//! What the command line may say.

use std::path::PathBuf;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(
    name = "cargo bench --bench http --",
    about = "Measures the service beside bare actix-web"
)]
pub struct Arguments {
    /// The cases to measure; all without any. A name stands for all that begin with it
    pub cases: Vec<String>,
    /// Few and short rounds
    #[arg(long)]
    pub quick: bool,
    /// Writes the results to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Rounds of each measurement [default: 7, with --quick 3]
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of one load [default: 2, with --quick 1]
    #[arg(long)]
    seconds: Option<u32>,
    /// Names the cases and ends
    #[arg(long)]
    pub list: bool,
    /// Cargo passes this
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 7 }).max(1)
    }

    pub fn seconds(&self) -> u32 {
        self.seconds.unwrap_or(if self.quick { 1 } else { 2 }).max(1)
    }

    pub fn wants(&self, case: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|wanted| case.starts_with(wanted.as_str()))
    }
}
