//! What the command line may say.

use std::path::PathBuf;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(
    name = "cargo bench --bench http --",
    about = "Measures the service beside bare actix-web"
)]
pub struct Arguments {
    /// The cases to measure; all without any. `current*` stands for all that begin so
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
    /// The service's binary, for instance of another commit [default: the one that cargo built]
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_model-registry"))]
    pub binary: PathBuf,
    /// Leaves PostgreSQL out
    #[arg(long)]
    pub no_postgres: bool,
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
        self.cases.is_empty() || self.cases.iter().any(|wanted| matches(wanted, case))
    }
}

/// Whether a word of the command line means this case.
pub fn matches(wanted: &str, case: &str) -> bool {
    wanted == case || wanted.strip_suffix('*').is_some_and(|start| case.starts_with(start))
}
