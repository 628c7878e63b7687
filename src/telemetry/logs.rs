//! Logs: one line an event on standard error. And what sqlx logs of each statement, which is counted for the request that
//! runs it.

use std::io::IsTerminal;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::{fmt, registry};

use super::work;

/// What sqlx says of each statement, and of nothing else.
const STATEMENT: &str = "sqlx::query";

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text, for a person who reads along.
    Pretty,
    /// An object of JSON.
    Json,
}

/// Start logging; where `format` isn't given, by whether standard error is a terminal. Statements of the database are logged
/// at `trace` alone.
///
/// # Errors
/// It was started before.
pub fn start(level: Level, format: Option<LogFormat>) -> anyhow::Result<()> {
    let everything = level == Level::TRACE;
    let filter =
        Targets::new().with_default(if everything { Level::TRACE } else { Level::WARN }).with_targets([
            ("ak_stages", level),
            ("embedded_postgres", level),
            (STATEMENT, level.max(Level::DEBUG)),
        ]);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let by_terminal = || if std::io::stderr().is_terminal() { LogFormat::Pretty } else { LogFormat::Json };
    let lines = match format.unwrap_or_else(by_terminal) {
        LogFormat::Pretty => lines.with_target(false).boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
    };
    let subscriber = registry().with(lines).with(Statements { are_logged: everything }).with(filter);
    // Not `init`: that takes the `log` crate's records, too, and sqlx then asks both whether a statement is wanted.
    Ok(tracing::subscriber::set_global_default(subscriber)?)
}

/// Counts the statements that sqlx says it ran.
struct Statements {
    are_logged: bool,
}

impl<S: Subscriber> Layer<S> for Statements {
    /// Whether the event becomes a line. A filter of the lines' own would cost each of them more.
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        if event.metadata().target() != STATEMENT {
            return true;
        }
        let mut statement = Statement { texts: work::wants_texts(), ..Statement::default() };
        event.record(&mut statement);
        work::statement(&statement);
        // Slow ones are warnings.
        self.are_logged || *event.metadata().level() < Level::DEBUG
    }
}

/// What sqlx says of a statement. There are no values in it.
#[derive(Default)]
pub(super) struct Statement {
    texts: bool,
    /// Its SQL, if a trace wants it.
    pub text: String,
    /// Rows read or written.
    pub rows: u64,
    /// How long it took, rows included.
    pub elapsed: Duration,
}

impl Visit for Statement {
    fn record_u64(&mut self, field: &Field, value: u64) {
        // Of an INSERT … RETURNING both are told.
        if matches!(field.name(), "rows_affected" | "rows_returned") {
            self.rows = self.rows.max(value);
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.elapsed = Duration::try_from_secs_f64(value).unwrap_or_default();
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        // The summary is the whole of a short statement; a longer one follows, between blank lines.
        let is_text = matches!(field.name(), "summary" | "db.statement");
        if self.texts && is_text && !value.is_empty() {
            value.trim().clone_into(&mut self.text);
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}
