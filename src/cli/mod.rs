//! The command line: the argument tree, one file for each command, and the report of the result.

pub mod backup;
pub mod changes;
pub mod check;
pub mod collect;
pub mod compatibility;
pub mod demo;
pub mod health;
pub mod log;
pub mod operator;
pub mod output;
pub mod policy;
pub mod progress;
pub mod queries;
pub mod register;
pub mod restore;
pub mod serve;
pub mod timeline;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::{
    config::{Flags, LogFormat, Settings, Variables},
    domain::{ModelType, Status, Timestamp, Version},
    error::{ErrorKind, RegistryError},
    startup::{Core, Opening},
    telemetry,
};
use output::Output;

/// A registry of machine-learning models: which version is in production, is it intact, would it load.
///
/// It never runs a model's code. Exit status: 0 success, 1 a check or gate failed, 2 usage or configuration, 3 not
/// found, 4 conflict, 5 integrity, 6 unavailable.
#[derive(Debug, Parser)]
#[command(name = "model-registry", version)]
pub struct Arguments {
    /// The registry directory [default: $MODEL_REGISTRY_DIR, else data/models]
    #[arg(long, global = true, value_name = "DIR")]
    registry_dir: Option<PathBuf>,
    /// Print one JSON document on standard output, and nothing else there
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the registry over HTTP
    Serve(serve::Serve),
    /// Create a small registry of real models in a temporary directory, and serve it
    Demo(demo::Demo),
    /// Register a model file as a new, staged version
    Register(Box<register::Register>),
    /// Put a version into production and archive the previous one
    Promote(changes::Promote),
    /// Return the last archived version to production
    Rollback(changes::Rollback),
    /// Mark a version failed; it can then never be promoted
    Fail(changes::Fail),
    /// Remove the files of one version; its history stays
    Delete(collect::Delete),
    /// Tell which versions are no longer kept; with --execute, remove their files
    Gc(collect::Gc),
    /// List versions, newest first
    List(queries::List),
    /// Show everything about a version
    Show(VersionArguments),
    /// Show which version is in production, or was at a moment
    Current(timeline::Current),
    /// Show the history: what changed, who did it, when and why; of a type, also what was in production when
    History(timeline::History),
    /// Check that a version is intact and would load
    Validate(VersionArguments),
    /// Check that an unregistered file would load
    Inspect(check::Inspect),
    /// Test every wall of the load checks' sandbox on this machine
    Sandbox(check::TrySandbox),
    /// Re-hash manifest, catalog, history, sidecars and artifacts
    Verify(check::Verify),
    /// Import a registry directory of the Python service
    Import(check::Import),
    /// Check whether data sets are the versions that a model was trained on
    CheckCompatibility(compatibility::CheckCompatibility),
    /// Check a policy file, or show the policy in force
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Make, list, check and remove backups
    #[command(subcommand)]
    Backup(backup::Backup),
    /// Replace the registry by a backup, after a copy of its present state
    Restore(restore::Restore),
    /// Prove what happened, and check that the history was not changed
    #[command(subcommand)]
    Log(log::Log),
    /// Ask a running service whether it is healthy
    Health(health::Health),
}

/// The arguments that name a version.
#[derive(Debug, Args)]
pub struct VersionArguments {
    /// The model type, for example risk_model
    #[arg(value_parser = ModelType::parse)]
    pub model_type: ModelType,
    /// The version, for example v1.4.0
    #[arg(value_parser = Version::parse)]
    pub version: Version,
}

/// The context of every command.
pub struct Context {
    /// The environment variables.
    pub variables: Variables,
    /// The flags that override variables.
    pub flags: Flags,
    /// The output.
    pub output: Output,
}

/// The failure of a command.
pub enum Failure {
    /// The configuration is invalid.
    Configuration(crate::config::Problems),
    /// The registry refused or failed.
    Registry(RegistryError),
    /// The result was printed and is negative: exit with this status.
    Verdict(u8),
}

impl<E: Into<RegistryError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Registry(error.into())
    }
}

/// The result of a command.
pub type Outcome = Result<(), Failure>;

/// Runs the command in the process's arguments.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() && std::env::args_os().any(|word| word == "--json") => {
            let failure = RegistryError::new(ErrorKind::InvalidRequest, error.to_string().trim());
            return ExitCode::from(Output::new(true).failure(&failure.into()));
        }
        Err(error) => {
            // Help and version are not errors. If nobody reads them, there is nobody to tell.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let output = Output::new(arguments.json);
    let context = Context {
        variables: Variables::of_process(),
        flags: Flags { registry_dir: arguments.registry_dir, ..Flags::default() },
        output,
    };
    let outcome = dispatch(arguments.command, context);
    // What the log tells comes before the command's last word.
    telemetry::flush();
    match outcome {
        Ok(()) if output::is_lost() => ExitCode::from(ErrorKind::RegistryUnavailable.exit_status()),
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(output.failure(&failure)),
    }
}

fn dispatch(command: Command, context: Context) -> Outcome {
    match command {
        Command::Serve(serve) => on_system(serve.run(context)),
        Command::Demo(demo) => on_system(demo.run(context)),
        Command::Register(register) => on_system(register.run(context)),
        Command::Promote(promote) => on_system(promote.run(context)),
        Command::Rollback(rollback) => on_system(rollback.run(context)),
        Command::Fail(fail) => on_system(fail.run(context)),
        Command::Delete(delete) => on_system(delete.run(context)),
        Command::Gc(gc) => on_system(gc.run(context)),
        Command::CheckCompatibility(check) => on_system(check.run(context)),
        Command::Policy(policy) => policy.run(&context),
        Command::List(list) => on_system(list.run(context)),
        Command::Show(version) => on_system(queries::show(version, context)),
        Command::Current(current) => on_system(current.run(context)),
        Command::History(history) => on_system(history.run(context)),
        Command::Validate(version) => on_system(check::validate(version, context)),
        Command::Inspect(inspect) => inspect.run(&context),
        Command::Sandbox(sandbox) => sandbox.run(&context),
        Command::Verify(verify) => on_system(verify.run(context)),
        Command::Import(import) => on_system(import.run(context)),
        Command::Backup(backup) => on_system(backup.run(context)),
        Command::Restore(restore) => on_system(restore.run(context)),
        Command::Log(log) => log.run(context),
        Command::Health(health) => health.run(&context),
    }
}

/// Runs a command in an actix system.
fn on_system(command: impl Future<Output = Outcome>) -> Outcome {
    let system = actix::System::new();
    let outcome = system.block_on(command);
    // Dropping the system waits for all of its threads, one of which may hang. The command has finished, and the
    // process ends next.
    std::mem::forget(system);
    outcome
}

impl Context {
    /// Reads the settings and sets up logging. Commands other than `serve` log little, unless `RUST_LOG` is set.
    ///
    /// # Errors
    /// [`Failure::Configuration`].
    pub fn settings(&self) -> Result<Settings, Failure> {
        let settings =
            Settings::load(&self.variables, &self.flags).map_err(Failure::Configuration)?;
        start_logging(&settings, "warn");
        Ok(settings)
    }

    /// Opens the registry.
    ///
    /// # Errors
    /// [`Failure`], from the settings or the registry.
    pub async fn open(&self, opening: Opening) -> Result<Core, Failure> {
        Ok(Core::open(&self.settings()?, opening).await?)
    }
}

/// Sets up logging, and reports variables that are set but empty.
pub fn start_logging(settings: &Settings, default_filter: &str) {
    let filter = settings.log_filter.as_deref().unwrap_or(default_filter);
    let format = match (settings.log_format, default_filter) {
        // A command's warnings go to the terminal of the person who runs it.
        (LogFormat::Json, "warn") if settings.log_filter.is_none() => LogFormat::Text,
        (format, _) => format,
    };
    telemetry::init(format, filter);
    if !settings.ignored_empty.is_empty() {
        let variables = settings.ignored_empty.join(", ");
        tracing::info!(variables, "set but empty; treated as unset");
    }
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
}

/// Parses a port, for clap.
fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "must be a port, 0 to 65535".to_owned())
}

/// Parses a time, for clap.
fn time(text: &str) -> Result<Timestamp, crate::domain::timestamp::InvalidTimestamp> {
    Timestamp::parse(text)
}

/// Parses a status, for clap.
fn status(text: &str) -> Result<Status, crate::domain::status::InvalidStatus> {
    Status::parse(text)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_argument_tree_is_sound() {
        Arguments::command().debug_assert();
    }
}
