//! The time that requests have with the database.

use std::time::Duration;

use sqlx::{AssertSqlSafe, SqlSafeStr};

/// How long a request may take, and each of its statements: a request that was given up must not hold locks and a
/// connection for longer than that.
pub const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How long a transaction of ours may be without a statement. Longer than a request ever thinks, and short enough that
/// one whose server was cut off gives its locks back.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// The limits that PostgreSQL keeps for us.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a statement may wait for a lock that another session has.
    pub lock: Duration,
}

impl Limits {
    /// What a connection is told once.
    pub fn of_connection(self) -> impl SqlSafeStr {
        statement(self.set("SET"))
    }

    /// What a request's first statement is behind a PgBouncer in transaction mode. A transaction pins the server
    /// connection; and statements that another client left prepared on it would clash with ours.
    pub fn pinned(self) -> impl SqlSafeStr {
        statement(format!("BEGIN; DEALLOCATE ALL; {}", self.set("SET LOCAL")))
    }

    fn set(self, set: &str) -> String {
        let limits = [
            ("statement_timeout", TIME_LIMIT),
            ("lock_timeout", self.lock),
            ("idle_in_transaction_session_timeout", IDLE_LIMIT),
        ];
        let limits = limits.map(|(name, limit)| format!("{set} {name} = {}", limit.as_millis()));
        // No compilation of statements, which takes longer than the largest of ours; and scans of a table begin where it
        // does, since lists without an order show it as it is.
        format!("{}; {set} jit = off; {set} synchronize_seqscans = off", limits.join("; "))
    }
}

#[expect(clippy::disallowed_methods, reason = "it has no values but numbers of ours")]
fn statement(text: String) -> impl SqlSafeStr {
    AssertSqlSafe(text)
}
