//! The binary: the command line, or the process of one load check.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: a load check's process must not even read an argument or a variable more.
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == load_checks::ARGUMENT) {
        return load_checks::run_child();
    }
    model_registry::cli::run()
}
