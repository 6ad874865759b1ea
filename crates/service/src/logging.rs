//! Log lines as the peer prints them: `[FMWK][HH:MM:SS][LEVEL] text`, or ECS JSON for Filebeat.

use std::fmt;
use std::io::IsTerminal;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// The peer's level names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Everything.
    Debug,
    /// What happens.
    Info,
    /// What may need a look.
    Warning,
    /// What failed.
    Error,
    /// As `Error`: nothing of ours is graver.
    Critical,
}

impl Level {
    /// Reads a name in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "DEBUG" => Self::Debug,
            "INFO" => Self::Info,
            "WARNING" | "WARN" => Self::Warning,
            "ERROR" => Self::Error,
            "CRITICAL" => Self::Critical,
            _ => return None,
        })
    }

    fn filter(self) -> tracing::Level {
        match self {
            Self::Debug => tracing::Level::DEBUG,
            Self::Info => tracing::Level::INFO,
            Self::Warning => tracing::Level::WARN,
            Self::Error | Self::Critical => tracing::Level::ERROR,
        }
    }
}

/// Starts logging to standard error for the rest of the process. Only this project's own crates log below WARNING.
pub fn start(level: Level, filebeat: bool) {
    let ansi = !filebeat && std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .fmt_fields(SpanText)
        .event_format(Lines { filebeat, ansi });
    let subscriber = tracing_subscriber::registry().with(Only(level.filter())).with(layer);
    // A second start in one process (tests) keeps the first.
    let _already_started = tracing::subscriber::set_global_default(subscriber);
}

/// Lets through our crates' events at the level asked for, and others' warnings.
struct Only(tracing::Level);

impl<S: Subscriber> Layer<S> for Only {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        let ours = metadata.target().starts_with("connectors_")
            || metadata.target().starts_with("elastic_ingest")
            || metadata.target() == "connectors";
        let limit = if ours { self.0 } else { self.0.min(tracing::Level::WARN) };
        *metadata.level() <= limit
    }
}

/// Span fields as `[name: value, ...]`, in the peer's words.
struct SpanText;

impl<'w> FormatFields<'w> for SpanText {
    fn format_fields<R: tracing_subscriber::field::RecordFields>(
        &self,
        mut writer: Writer<'w>,
        fields: R,
    ) -> fmt::Result {
        let mut collected = Fields::default();
        fields.record(&mut collected);
        let mut first = true;
        for (name, value) in &collected.fields {
            let separator = if std::mem::take(&mut first) { "" } else { ", " };
            let label = match name.as_str() {
                "connector_id" => "Connector id",
                "index_name" => "index name",
                "sync_job_id" => "Sync job id",
                other => other,
            };
            write!(writer, "{separator}{label}: {}", plain(value))?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    fields: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = plain(&value);
        } else {
            self.fields.insert(field.name().to_owned(), value);
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

struct Lines {
    filebeat: bool,
    ansi: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let now = jiff::Timestamp::now();
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => "ERROR",
            tracing::Level::WARN => "WARNING",
            tracing::Level::INFO => "INFO",
            _ => "DEBUG",
        };
        let mut prefix = String::new();
        if let Some(scope) = context.event_scope() {
            for span in scope.from_root() {
                if let Some(text) = span.extensions().get::<FormattedFields<N>>()
                    && !text.is_empty()
                {
                    prefix.push('[');
                    prefix.push_str(text);
                    prefix.push_str("] ");
                }
            }
        }
        if self.filebeat {
            let mut line = json!({
                "@timestamp": format!("{now:.3}"),
                "log.level": level.to_ascii_lowercase(),
                "message": format!("{prefix}{}", fields.message),
                "ecs.version": "8.11.0",
                "log": { "logger": event.metadata().target() },
                "service": { "type": "connectors", "version": env!("CARGO_PKG_VERSION") },
            });
            if !fields.fields.is_empty() {
                line["labels"] = Value::Object(fields.fields);
            }
            return writeln!(writer, "{line}");
        }
        let (colour, reset) = match (self.ansi, level) {
            (false, _) => ("", ""),
            (_, "ERROR") => ("\x1b[31m", "\x1b[0m"),
            (_, "WARNING") => ("\x1b[33m", "\x1b[0m"),
            (_, "INFO") => ("\x1b[32m", "\x1b[0m"),
            _ => ("\x1b[2m", "\x1b[0m"),
        };
        let time = now.strftime("%H:%M:%S");
        write!(writer, "{colour}[FMWK][{time}][{level}]{reset} {prefix}{}", fields.message)?;
        for (name, value) in &fields.fields {
            write!(writer, " {name}={}", plain(value))?;
        }
        writeln!(writer)
    }
}
