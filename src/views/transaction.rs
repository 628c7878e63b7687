//! The transaction of a request: where it begins, where it is committed, and what follows that. Nothing else in views
//! and resources begins or commits one.

use drf::action::Effect;
use sqlx::PgConnection;

use crate::db::Database;
use crate::db::pool::Pooled;
use crate::db::proof::Server;
use crate::error::ApiError;
use crate::telemetry::{self, metrics};

/// What is to be done once the transaction is committed. If it isn't, none of it is done.
#[derive(Default)]
pub struct AfterCommit(Vec<Box<dyn FnOnce() + Send>>);

impl AfterCommit {
    /// Do this, too. It must be quick, and can't fail any more.
    pub fn push(&mut self, work: impl FnOnce() + Send + 'static) {
        self.0.push(Box::new(work));
    }
}

/// A connection, in a transaction for an action that writes.
async fn begun(database: &Database, effect: Effect, anew: bool) -> sqlx::Result<Pooled> {
    let pool = &database.requests;
    if anew {
        pool.close_idle();
    }
    let mut connection = match effect {
        Effect::Reads => pool.acquire().await?,
        Effect::Writes => pool.acquire_to_write().await?,
    };
    if effect == Effect::Writes && !connection.in_transaction() {
        connection.begin().await?;
    }
    Ok(connection)
}

/// The transaction of a request. Dropped without a commit it is rolled back.
pub struct Transaction {
    connection: Pooled,
    after_commit: AfterCommit,
    is_tried: bool,
}

impl Transaction {
    /// Take a connection, and begin a transaction on it for an action that writes. `anew` takes one that no request has
    /// used before.
    ///
    /// # Errors
    /// No connection became free in time, or the database failed.
    pub async fn begin(database: &Database, effect: Effect, anew: bool) -> Result<Self, ApiError> {
        let connection = match begun(database, effect, anew).await.map_err(ApiError::from) {
            // It was cut while nobody used it, and nothing was asked of it yet. A read notices later, and is done again.
            Err(ApiError::Disconnected(_)) if !anew && effect == Effect::Writes => {
                metrics::retried();
                begun(database, effect, true).await?
            }
            taken => taken?,
        };
        Ok(Self { connection, after_commit: AfterCommit::default(), is_tried: false })
    }

    /// Which server's state can be told from its snapshots; none in a transaction.
    pub fn server(&self) -> Option<Server> {
        if self.connection.in_transaction() { None } else { self.connection.server() }
    }

    /// The connection, and where to put what follows the commit.
    pub fn parts(&mut self) -> (&mut PgConnection, &mut AfterCommit) {
        (&mut self.connection, &mut self.after_commit)
    }

    /// Let no other request have its connection, which went through rows that were large.
    pub fn retire(&mut self) {
        self.connection.retire();
    }

    /// Undo it all in the end, rather than commit.
    pub fn only_try(&mut self) {
        self.is_tried = true;
    }

    /// Commit, and do what was put down for afterwards. The commit goes on whatever becomes of the request: neither a
    /// client that leaves nor the request's time limit stops it halfway. What was only tried is undone instead, once all
    /// that a commit checks is checked.
    ///
    /// # Errors
    /// The database refused it, or failed.
    pub async fn commit(self) -> Result<(), ApiError> {
        let Self { mut connection, after_commit, is_tried } = self;
        if !connection.in_transaction() {
            return Ok(connection.finish().await?);
        }
        if is_tried {
            sqlx::raw_sql("SET CONSTRAINTS ALL IMMEDIATE").execute(&mut *connection).await?;
            return Ok(()); // dropped, which rolls it back
        }
        let committed = tokio::spawn(telemetry::carried(async move {
            connection.finish().await?;
            for work in after_commit.0 {
                work();
            }
            Ok(())
        }));
        committed.await.map_err(anyhow::Error::from)?
    }
}
