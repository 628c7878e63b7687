//! The transaction of a request: where it begins, where it is committed, and what follows that. Nothing else in views
//! and resources begins or commits one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::PgConnection;
use tokio::time::{Instant, sleep, sleep_until};

use super::Answer;
use super::action::Answering;
use crate::db::Database;
use crate::db::pool::{self, Pooled, Unbegun};
use crate::db::proof::Server;
use crate::error::ApiError;
use crate::telemetry::{self, metrics};

/// What is to be done once the transaction is committed. If it isn't, none of it is done.
#[derive(Default)]
pub struct AfterCommit {
    quick: Vec<Box<dyn FnOnce() + Send>>,
    answer: Option<Answering<'static>>,
}

impl AfterCommit {
    /// Do this, too. It must be quick, and can't fail any more.
    pub fn push(&mut self, work: impl FnOnce() + Send + 'static) {
        self.quick.push(Box::new(work));
    }

    /// Answer with what this gives, rather than with what the action did. It may take its time: the request has no
    /// connection to the database any more.
    pub fn answer(&mut self, work: impl Future<Output = Result<Answer, ApiError>> + Send + 'static) {
        self.answer = Some(Box::pin(work));
    }

    /// Do it. Gives the answer that is still to come, if one is.
    fn run(self) -> Option<Answering<'static>> {
        for work in self.quick {
            work();
        }
        self.answer
    }
}

/// When the transaction of a request begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// Never: it reads.
    Never,
    /// With the request.
    AtOnce,
    /// When the request asks for it, if it does.
    Later,
}

/// A connection, in a transaction if one begins at once.
async fn begun(database: &Database, begins: Begins, anew: bool) -> sqlx::Result<Pooled> {
    let pool = &database.requests;
    if anew {
        pool.close_idle();
    }
    let mut connection = match begins {
        Begins::Never => pool.acquire().await?,
        Begins::AtOnce | Begins::Later => pool.acquire_to_write().await?,
    };
    if begins == Begins::AtOnce && !connection.in_transaction() {
        connection.begin().await?;
    }
    Ok(connection)
}

/// Whether a request has sent a statement that commits itself: from then on what ends the request early is no sign that
/// nothing was changed.
#[derive(Debug, Clone, Default)]
pub struct Committing(Arc<AtomicBool>);

impl Committing {
    /// Done when the request's time is over, and that of the commit that is under way then.
    pub async fn over(self, deadline: Instant) {
        sleep_until(deadline).await;
        if self.0.load(Ordering::Relaxed) {
            sleep(pool::COMMIT_TIMEOUT).await;
        }
    }

    /// What is told of a request that this ended.
    pub fn judge(&self, error: ApiError) -> ApiError {
        if self.0.load(Ordering::Relaxed) { error.of_unknown_outcome() } else { error }
    }

    /// What came of the statement. One that the server refused has changed nothing.
    pub fn came_to<T>(&self, done: sqlx::Result<T>) -> sqlx::Result<T> {
        if done.as_ref().is_err_and(pool::is_refusal) {
            self.0.store(false, Ordering::Relaxed);
        }
        done
    }
}

/// The choice of a request that writes with one statement if it can: such a statement needs no transaction around it, and
/// its locks last no longer than itself.
pub struct Later<'a> {
    connection: Unbegun<'a>,
    committing: &'a Committing,
}

impl<'a> Later<'a> {
    /// Begin the transaction now, on the request's connection.
    ///
    /// # Errors
    /// The database failed.
    pub async fn now(self, connection: &mut PgConnection) -> Result<(), ApiError> {
        Ok(self.connection.begin(connection).await?)
    }

    /// No transaction: the next statement is the only one that writes, and commits itself.
    pub fn never(self) -> &'a Committing {
        self.committing.0.store(true, Ordering::Relaxed);
        self.committing
    }
}

/// The transaction of a request. Dropped without a commit it is rolled back.
pub struct Transaction {
    begins: Begins,
    connection: Pooled,
    after_commit: AfterCommit,
    is_tried: bool,
}

impl Transaction {
    /// Take a connection, and begin a transaction on it if one begins at once. `anew` takes one that no request has used
    /// before.
    ///
    /// # Errors
    /// No connection became free in time, or the database failed.
    pub async fn begin(database: &Database, begins: Begins, anew: bool) -> Result<Self, ApiError> {
        let connection = match begun(database, begins, anew).await.map_err(ApiError::from) {
            // It was cut while nobody used it, and nothing was asked of it yet. Others notice later, and are done again.
            Err(ApiError::Disconnected(_)) if !anew && begins == Begins::AtOnce => {
                metrics::retried();
                Box::pin(begun(database, begins, true)).await?
            }
            taken => taken?,
        };
        Ok(Self { begins, connection, after_commit: AfterCommit::default(), is_tried: false })
    }

    /// None: a connection to read on.
    pub fn of_reader(connection: Pooled) -> Self {
        Self { begins: Begins::Never, connection, after_commit: AfterCommit::default(), is_tried: false }
    }

    /// Whether it may write and wasn't begun yet.
    pub fn is_to_begin(&self) -> bool {
        self.begins == Begins::Later && !self.connection.in_transaction()
    }

    /// Go on with a new connection in place of one that was cut.
    ///
    /// # Errors
    /// The database is gone.
    pub async fn reconnect(&mut self) -> Result<(), ApiError> {
        Ok(self.connection.reopen().await?)
    }

    /// Which server's state can be told from its snapshots; none in a transaction.
    pub fn server(&self) -> Option<Server> {
        if self.connection.in_transaction() { None } else { self.connection.server() }
    }

    /// The connection, and where to put what follows the commit.
    pub fn parts(&mut self) -> (&mut PgConnection, &mut AfterCommit) {
        (&mut self.connection, &mut self.after_commit)
    }

    /// The same, and the choice to begin a transaction, if none was begun yet.
    pub fn parts_to_begin<'a>(
        &'a mut self,
        committing: &'a Committing,
    ) -> (&'a mut PgConnection, &'a mut AfterCommit, Option<Later<'a>>) {
        let (connection, unbegun) = self.connection.parts();
        let is_to_begin = self.begins == Begins::Later;
        let later = unbegun.filter(|_| is_to_begin).map(|connection| Later { connection, committing });
        (connection, &mut self.after_commit, later)
    }

    /// Let no other request have its connection, which went through rows that were large.
    pub fn retire(&mut self) {
        self.connection.retire();
    }

    /// Undo it all now, rather than after the answer: others may wait for what it holds.
    pub async fn undo(&mut self) {
        self.connection.undo().await.ok(); // else it is done when the connection is given up
    }

    /// Undo it all in the end, rather than commit.
    pub fn only_try(&mut self) {
        self.is_tried = true;
    }

    /// Commit, and do what was put down for afterwards. The commit goes on whatever becomes of the request: neither a
    /// client that leaves nor the request's time limit stops it halfway. What was only tried is undone instead, once all
    /// that a commit checks is checked. Gives the answer that is still to come, if one is.
    ///
    /// # Errors
    /// The database refused it, or failed.
    pub async fn commit(self) -> Result<Option<Answering<'static>>, ApiError> {
        let Self { mut connection, after_commit, is_tried, .. } = self;
        if !connection.in_transaction() {
            connection.finish().await?;
            return Ok(after_commit.run());
        }
        if is_tried {
            connection.check().await?;
            connection.undo().await?;
            connection.finish().await?;
            return Ok(None);
        }
        let committed = tokio::spawn(telemetry::carried(async move {
            connection.finish().await?;
            Ok(after_commit.run())
        }));
        committed.await.map_err(anyhow::Error::from)?
    }
}
