//! The time that requests have with the database.

use std::time::Duration;

/// [`TIME_LIMIT`] in seconds, as a literal: SQL below is put together with it.
macro_rules! time_limit {
    () => {
        30
    };
}

/// How long a request may take, and each of its statements: a request that was given up must not hold locks and a
/// connection for longer than that.
pub const TIME_LIMIT: Duration = Duration::from_secs(time_limit!());
/// [`TIME_LIMIT`] for the statements of a connection.
/// And no compilation of statements, since that takes longer than the largest of ours; and scans of a table begin where it
/// does, since lists without an order show it as it is.
pub const LIMIT_STATEMENTS: &str =
    concat!("SET statement_timeout = '", time_limit!(), "s'; SET jit = off; SET synchronize_seqscans = off");
/// What a request's first statement is behind a PgBouncer in transaction mode. A transaction pins the server
/// connection; and statements that another client left prepared on it would clash with ours.
pub const PINNED: &str = concat!(
    "BEGIN; DEALLOCATE ALL; SET LOCAL statement_timeout = '",
    time_limit!(),
    "s'; SET LOCAL jit = off; SET LOCAL synchronize_seqscans = off"
);
