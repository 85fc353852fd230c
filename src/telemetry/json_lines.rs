//! Log lines as JSON objects.

use std::fmt;

use serde::{Serialize, Serializer};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::SERVICE;
use crate::clock;

/// One flat JSON object a line.
pub(super) struct JsonLines;

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
        let mut line = Line(Vec::with_capacity(512));
        let metadata = event.metadata();
        let time = clock::now().map(|now| now.to_string()).unwrap_or_default();
        for (name, value) in [
            ("timestamp", time.as_str()),
            ("level", metadata.level().as_str()),
            ("service", SERVICE),
            ("target", metadata.target()),
        ] {
            // A name stands in an object once, and the event's own field is the one that counts.
            if metadata.fields().field(name).is_none() {
                line.put(name, value);
            }
        }
        event.record(&mut line);
        line.0.extend_from_slice(b"}\n");
        writer.write_str(std::str::from_utf8(&line.0).map_err(|_| fmt::Error)?)
    }
}

/// A line without its end.
struct Line(Vec<u8>);

impl Line {
    fn put(&mut self, name: &str, value: impl Serialize) {
        let before = self.0.len();
        self.0.push(if before == 0 { b'{' } else { b',' });
        let name = serde_json::to_writer(&mut self.0, name);
        self.0.push(b':');
        let value = name.and_then(|()| serde_json::to_writer(&mut self.0, &value));
        if value.is_err() {
            // A value that cannot be written is left out.
            self.0.truncate(before);
        }
    }
}

/// A value as its `Debug` shows it.
struct Shown<'a>(&'a dyn fmt::Debug);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), Shown(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }
}
