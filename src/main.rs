//! The binary: the command line, or the process of one load check.

use std::process::ExitCode;

fn main() -> ExitCode {
    // This must come first: the process of a load check must not read arguments or variables.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == load_checks::ARGUMENT) {
        return load_checks::run_child();
    }
    model_registry::cli::run()
}
