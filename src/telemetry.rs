//! Log lines, as JSON objects or text. They go to standard error: standard output belongs to the command.
//!
//! Secrets are kept out of the log at their source: tokens are [`secrecy`] types, and no code logs a header.

use std::{fmt, io::IsTerminal as _, sync::OnceLock};

use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Writer},
    },
    registry::LookupSpan,
    reload,
};

use crate::{clock, config::LogFormat};

/// The service's name in every line.
pub const SERVICE: &str = "model_registry";

type Reload = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// Replaces the log filter of this process.
static RELOAD: OnceLock<Reload> = OnceLock::new();

/// Sets up logging for the process. A second call changes nothing.
pub fn init(format: LogFormat, filter: &str) {
    // The configuration has refused a filter that does not parse.
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
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
        }));
    }
}

/// Changes what is logged from now on.
///
/// # Errors
/// Where the filter does not parse; the filter in use stays in use.
pub fn set_filter(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let reload = RELOAD.get().ok_or("logging is not set up yet")?;
    reload(filter).map_err(|error| error.to_string())
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
    let mut fields = Fields(Map::new());
    event.record(&mut fields);
    let message = fields.0.get("message").and_then(Value::as_str).unwrap_or_default();
    message.starts_with("stream error: request parse error")
}

/// One flat JSON object a line.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        let time = clock::now().map(|now| now.to_string()).unwrap_or_default();
        fields.0.insert("timestamp".to_owned(), time.into());
        fields.0.insert("level".to_owned(), event.metadata().level().as_str().into());
        fields.0.insert("service".to_owned(), SERVICE.into());
        fields.0.insert("target".to_owned(), event.metadata().target().into());
        event.record(&mut fields);
        writeln!(writer, "{}", Value::Object(fields.0))
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}
