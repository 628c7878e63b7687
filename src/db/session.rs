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
pub enum Session {
    /// An ordinary one.
    Connection(PoolConnection<Postgres>),
    /// Behind a PgBouncer: all in one transaction, writes being savepoints in it.
    Pinned(Transaction<'static, Postgres>),
}

impl Database {
    /// A connection for a request.
    ///
    /// # Errors
    /// None became free in time.
    pub async fn session(&self) -> sqlx::Result<Session> {
        if self.pgbouncer {
            self.pool.begin_with(PINNED).await.map(Session::Pinned)
        } else {
            self.pool.acquire().await.map(Session::Connection)
        }
    }
}

impl Session {
    /// The request is done and what it wrote stays. A session that is dropped without this undoes what is pinned.
    ///
    /// # Errors
    /// The commit failed.
    pub async fn finish(self) -> sqlx::Result<()> {
        match self {
            Self::Connection(_) => Ok(()),
            Self::Pinned(transaction) => transaction.commit().await,
        }
    }
}

impl Deref for Session {
    type Target = PgConnection;
    fn deref(&self) -> &PgConnection {
        match self {
            Self::Connection(connection) => connection,
            Self::Pinned(transaction) => transaction,
        }
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Self::Connection(connection) => connection,
            Self::Pinned(transaction) => transaction,
        }
    }
}
