//! Logs: one line an event on standard error, JSON unless a person reads along.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::EnvFilter;

/// Start logging. Statements of the database are logged at `trace` alone.
pub fn start(level: Level) {
    let filter = if level == Level::TRACE {
        EnvFilter::new("trace")
    } else {
        let level = level.as_str().to_lowercase();
        EnvFilter::new(format!("warn,ak_stages={level},embedded_postgres={level}"))
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        subscriber.with_target(false).init();
    } else {
        subscriber.json().flatten_event(true).init();
    }
}
