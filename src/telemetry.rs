//! Log lines, as JSON objects or text. They go to standard error: standard output belongs to the command.
//!
//! Secrets are kept out of the log at their source: tokens are [`secrecy`] types, and no code logs a header.

mod json_lines;
mod writer;

use std::{fmt, io::IsTerminal as _, sync::OnceLock};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    filter::{LevelFilter, Targets},
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Writer},
    },
    registry::LookupSpan,
    reload,
};

use self::{json_lines::JsonLines, writer::LogWriter};
use crate::{config::LogFormat, limits};

/// The service's name in every line.
pub const SERVICE: &str = "model_registry";

/// The targets of our own lines: the modules that log.
const TARGETS: [&str; 12] = [
    "model_registry::actors",
    "model_registry::artifacts",
    "model_registry::auth",
    "model_registry::catalog",
    "model_registry::cli",
    "model_registry::http",
    "model_registry::metrics",
    "model_registry::registry",
    "model_registry::startup",
    "model_registry::telemetry",
    "model_registry::tls",
    "load_checks",
];
/// Libraries whose lines an operator may want.
const OTHERS: [&str; 11] = [
    "actix",
    "diesel",
    "h1",
    "log",
    "mio",
    "rustls",
    "rustls_platform_verifier",
    "tokio",
    "tokio_postgres",
    "tracing",
    "ureq",
];

type Reload = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// Replaces the log filter of this process.
static RELOAD: OnceLock<Reload> = OnceLock::new();

/// Sets up logging for the process. A second call changes nothing.
pub fn init(format: LogFormat, filter_text: &str) {
    // The configuration has refused a filter that does not parse.
    let filter = EnvFilter::try_new(filter_text).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(LogWriter)
        // Where nobody reads standard error, to complain there would be a panic.
        .log_internal_errors(false);
    let (set, reload): (_, Reload) = match format {
        LogFormat::Json => {
            let builder =
                builder.event_format(WithoutParseErrors(JsonLines)).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), Box::new(move |filter| handle.reload(filter)))
        }
        LogFormat::Text => {
            let builder = builder.with_ansi(std::io::stderr().is_terminal());
            let lines = Format::default().with_target(false);
            let builder = builder.event_format(WithoutParseErrors(lines)).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), Box::new(move |filter| handle.reload(filter)))
        }
    };
    if set.is_ok() {
        // Only the first call gets here, so the cell is empty.
        drop(RELOAD.set(reload));
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string);
            // A field called `message` would replace "panic".
            let cause = panic.payload_as_str().unwrap_or("a panic without a message");
            tracing::error!(place, cause, "panic");
            // The process may end next.
            flush();
        }));
        tell_if_silent(filter_text);
    }
}

/// From now on log lines are written by a thread of their own, so that nothing waits for the reader of the log. A program
/// that calls this calls [`flush`] before it ends.
pub fn write_behind() {
    writer::start();
}

/// Waits until the log lines so far are written; not for ever, because their reader may have stopped.
pub fn flush() {
    writer::flush(limits::LOG_FLUSH_WAIT);
}

/// Tells in the log where a filter lets nothing of it through by mistake: with a level or a target that is none.
fn tell_if_silent(filter: &str) {
    let (true, Some(reload)) = (matches_nothing(filter), RELOAD.get()) else { return };
    let set = |filter: &str| EnvFilter::try_new(filter).ok().map(reload);
    set("warn");
    tracing::warn!(
        filter,
        "the log filter matches no line of this program, and nothing more is logged; write a level (error, warn, info, \
         debug, trace), or a target and a level such as model_registry=debug"
    );
    set(filter);
}

/// Whether a filter means to let lines through and names only targets that are none.
fn matches_nothing(filter: &str) -> bool {
    // What a filter of spans and fields matches is not known before there are any.
    if filter.contains(['[', '{']) {
        return false;
    }
    let Ok(targets) = filter.parse::<Targets>() else { return false };
    let on = |level: LevelFilter| level != LevelFilter::OFF;
    if targets.default_level().is_some_and(on) {
        return false;
    }
    let named: Vec<_> =
        targets.iter().filter(|(_, level)| on(*level)).map(|(name, _)| name).collect();
    // A target's directive is for all that begin with it.
    let real = |name: &str| {
        TARGETS.iter().any(|target| target.starts_with(name) || name.starts_with(target))
            || OTHERS.iter().any(|crate_name| name.starts_with(crate_name))
    };
    !named.is_empty() && !named.into_iter().any(real)
}

/// Changes what is logged from now on.
///
/// # Errors
/// Where the filter does not parse; the filter in use stays in use.
pub fn set_filter(filter: &str) -> Result<(), String> {
    let parsed = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let reload = RELOAD.get().ok_or("logging is not set up yet")?;
    reload(parsed).map_err(|error| error.to_string())?;
    tell_if_silent(filter);
    Ok(())
}

/// Drops the framework's ERROR line about a malformed request. Another line reports it at INFO; with this one, any client
/// could fill the log with errors that are not the service's.
struct WithoutParseErrors<F>(F);

impl<S, N, F> FormatEvent<S, N> for WithoutParseErrors<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if is_parse_error(event) {
            return Ok(());
        }
        self.0.format_event(context, writer, event)
    }
}

fn is_parse_error(event: &Event<'_>) -> bool {
    let from = event.metadata();
    if *from.level() != Level::ERROR || from.target() != "actix_http::h1::dispatcher" {
        return false;
    }
    let mut message = Message(String::new());
    event.record(&mut message);
    message.0.starts_with("stream error: request parse error")
}

/// The message of an event.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_names_no_target_of_ours_matches_nothing() {
        for silent in [
            "model-registry=debug",
            "inf",
            "debgu",
            "model_registy=debug",
            "registry=trace,other=warn",
            "http",
            "model_registry::nothing=info",
        ] {
            assert!(matches_nothing(silent), "{silent}");
        }
        for heard in [
            "",
            "info",
            "INFO",
            "off",
            "model_registry=off",
            "model_registry",
            "model_registry=debug",
            "model_registry::http=trace",
            "other=warn,error",
            "actix_server=info",
            "load_checks=debug",
            "[request]=debug",
            "warn,model-registry=debug",
        ] {
            assert!(!matches_nothing(heard), "{heard}");
        }
    }
}
