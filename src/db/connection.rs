//! The connection of one request.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Transaction};

use super::Database;

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
pub const LIMIT_STATEMENTS: &str = concat!("SET statement_timeout = '", time_limit!(), "s'");
/// What a request's first statement is behind a PgBouncer in transaction mode. A transaction pins the server
/// connection; and statements that another client left prepared on it would clash with ours.
pub const PINNED: &str =
    concat!("BEGIN; DEALLOCATE ALL; SET LOCAL statement_timeout = '", time_limit!(), "s'");

/// A connection to the database, given back when the request ends.
pub enum RequestConnection {
    /// For reads: every statement is a transaction of its own.
    Plain(PoolConnection<Postgres>),
    /// For writes, and behind a PgBouncer for everything. Dropped without a commit it is rolled back.
    Transaction(Transaction<'static, Postgres>),
}

impl Database {
    /// A connection for a request, in a transaction if it `writes`.
    ///
    /// # Errors
    /// None became free in time.
    pub async fn connection(&self, writes: bool) -> sqlx::Result<RequestConnection> {
        if self.pgbouncer {
            self.pool.begin_with(PINNED).await.map(RequestConnection::Transaction)
        } else if writes {
            self.pool.begin().await.map(RequestConnection::Transaction)
        } else {
            self.pool.acquire().await.map(RequestConnection::Plain)
        }
    }
}

impl RequestConnection {
    /// Whether there is something to commit.
    pub fn in_transaction(&self) -> bool {
        matches!(self, Self::Transaction(_))
    }

    /// What the request wrote stays.
    ///
    /// # Errors
    /// The commit failed.
    pub async fn commit(self) -> sqlx::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Transaction(transaction) => transaction.commit().await,
        }
    }
}

impl Deref for RequestConnection {
    type Target = PgConnection;
    fn deref(&self) -> &PgConnection {
        match self {
            Self::Plain(connection) => connection,
            Self::Transaction(transaction) => transaction,
        }
    }
}

impl DerefMut for RequestConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Plain(connection) => connection,
            Self::Transaction(transaction) => transaction,
        }
    }
}
