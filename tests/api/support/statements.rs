//! The SQL statements that a test runs, as sqlx logs them, and PostgreSQL's plans for them.

use std::cell::RefCell;
use std::fmt::Write;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry;

/// Where sqlx logs what PostgreSQL has to say, such as plans.
const NOTICES: &str = "sqlx::postgres::notice";

thread_local! {
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static NOTICED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The statements of this thread, which is a test's own.
pub struct Statements(());

impl Statements {
    /// Watch from now on. The subscriber is one for all threads: whether an event is of interest is decided once a
    /// process, by whichever thread comes first.
    pub fn watch() -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            let statements =
                Targets::new().with_target("sqlx::query", Level::DEBUG).with_target(NOTICES, Level::INFO);
            let subscriber = registry().with(Recorder.with_filter(statements));
            tracing::subscriber::set_global_default(subscriber).unwrap();
        });
        let statements = Self(());
        statements.take();
        statements
    }

    /// What was seen since the last call.
    #[expect(clippy::unused_self, reason = "nothing is seen unless somebody watches")]
    pub fn take(&self) -> Vec<String> {
        SEEN.take()
    }

    /// What PostgreSQL said since the last call.
    #[expect(clippy::unused_self, reason = "nothing is heard unless somebody watches")]
    pub fn take_notices(&self) -> Vec<String> {
        NOTICED.take()
    }
}

struct Recorder;

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut statement = Statement(String::new());
        event.record(&mut statement);
        let log = if event.metadata().target() == NOTICES { &NOTICED } else { &SEEN };
        log.with_borrow_mut(|log| log.push(statement.0));
    }
}

/// The text of an event of sqlx: a summary, and the statement where that is longer.
struct Statement(String);

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        if matches!(field.name(), "summary" | "db.statement" | "message") {
            self.0.push_str(value);
        }
    }
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}
