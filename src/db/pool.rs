//! [`Pool`]: the connections that requests use. sqlx's own pool asks the server with every take and every return
//! whether a connection is still there: two round trips a request. This one asks only a connection that has been idle.
//!
//! Every wait on the server ends in time, and a connection that misses its limit is closed without a word. While
//! [`watch`](Pool::watch) finds that the server doesn't answer, nobody waits for it at all.

mod figures;
mod shared_proof;
mod watch;

use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgSeverity};
use sqlx::{Connection, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch as channel};
use tokio::time::{Instant, timeout};

use self::figures::{Queue, Watched};
use super::hosts::{Found, Hosts};
use super::proof::Server;
use super::time_limit::{Limits, TIME_LIMIT};
use crate::error::{ApiError, code};
use shared_proof::SharedProofs;

/// How long a request waits for a connection, whatever that takes.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the server may take to open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server may take to say that a connection is still there, or to undo what was begun on it. One that
/// misses it is closed.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the server may take to commit: longer than it lets any statement run.
pub const COMMIT_TIMEOUT: Duration = TIME_LIMIT.saturating_add(Duration::from_secs(5));
/// A connection that was used within this time is taken to be there.
const FRESH: Duration = Duration::from_secs(1);
/// How old a connection may become: the memory of a server process grows with the statements that it has seen.
const MAX_LIFETIME: Duration = Duration::from_mins(30);

/// The connections of requests; cheap to clone.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    hosts: Hosts,
    /// Whether a PgBouncer in transaction mode stands between: then the connections are others' too.
    pgbouncer: bool,
    limits: Limits,
    size: usize,
    slots: Arc<Semaphore>,
    /// How many of them writes may have. They wait for each other's locks, and reads go on meanwhile.
    writes: Arc<Semaphore>,
    queue: Queue,
    watched: Watched,
    idle: Mutex<Vec<Idle>>,
    state: channel::Sender<State>,
    /// The connection that asks whether the server answers; no request gets it.
    probe: tokio::sync::Mutex<Option<PgConnection>>,
    proofs: SharedProofs,
}

/// What is known of the server.
#[derive(Clone, Copy)]
struct State {
    answers: bool,
    /// How often all that was open had to be given up.
    given_up: u64,
}

/// Why a request's work isn't known to be done.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// The server refused to commit: nothing was changed.
    #[error("the commit was refused")]
    Refused(#[source] sqlx::Error),
    /// The server didn't say whether it committed.
    #[error("the outcome of the commit is unknown")]
    Unknown(#[source] sqlx::Error),
}

impl From<Unfinished> for ApiError {
    fn from(unfinished: Unfinished) -> Self {
        match unfinished {
            Unfinished::Refused(error) => error.into(),
            Unfinished::Unknown(error) => Self::OutcomeUnknown(error),
        }
    }
}

struct Idle {
    connection: PgConnection,
    /// Which server this is a connection to; not known behind a PgBouncer.
    server: Option<Server>,
    is_standby: bool,
    opened: Instant,
    used: Instant,
    /// How often all that was open had been given up when this one was opened.
    given_up: u64,
    /// Whether it isn't used any more once it is given back.
    retired: bool,
}

/// The right to have a connection.
struct Permit {
    _slot: OwnedSemaphorePermit,
    _write: Option<OwnedSemaphorePermit>,
}

impl Pool {
    /// At most `how.pool_size` connections, none of which is opened yet. Writes leave a quarter of them to reads, and
    /// at least one where there are two.
    pub fn new(hosts: impl Into<Hosts>, how: &super::Options) -> Self {
        let size = usize::try_from(how.pool_size).unwrap_or(usize::MAX >> 3);
        let writes = (size - (size / 4).max(1).min(size - 1)).max(1);
        Self(Arc::new(Inner {
            hosts: hosts.into(),
            pgbouncer: how.pgbouncer,
            limits: how.limits,
            size,
            slots: Arc::new(Semaphore::new(size)),
            writes: Arc::new(Semaphore::new(writes)),
            queue: Queue::default(),
            watched: Watched::default(),
            idle: Mutex::default(),
            state: channel::Sender::new(State { answers: true, given_up: 0 }),
            probe: tokio::sync::Mutex::default(),
            proofs: SharedProofs::default(),
        }))
    }

    /// A connection to read with, the one that was used last if there is any. Behind a PgBouncer in transaction mode it
    /// is in a transaction, which alone makes it the caller's own.
    ///
    /// # Errors
    /// None became free in time, or the server can't be reached.
    pub async fn acquire(&self) -> sqlx::Result<Pooled> {
        self.take(false).await
    }

    /// The same, to write with.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn acquire_to_write(&self) -> sqlx::Result<Pooled> {
        self.take(true).await
    }

    async fn take(&self, to_write: bool) -> sqlx::Result<Pooled> {
        let taken = pin!(async {
            let permit = self.permit(to_write).await?;
            // Not before: it may have been lost while this one waited.
            if !self.0.state.borrow().answers {
                return Err(out_of_reach());
            }
            while let Some(mut idle) = self.pop() {
                if idle.opened.elapsed() > MAX_LIFETIME {
                    continue;
                }
                if idle.used.elapsed() < FRESH
                    || matches!(timeout(REPLY_TIMEOUT, idle.connection.ping()).await, Ok(Ok(())))
                {
                    return self.lend(idle, permit).await;
                }
                // Whatever happened to this one has happened to those that have been idle for longer.
                self.close_idle();
            }
            // In a box: few requests open one, and all would carry the room that it takes.
            self.lend(Box::pin(self.open()).await?, permit).await
        });
        timeout(ACQUIRE_TIMEOUT, taken).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    async fn permit(&self, to_write: bool) -> sqlx::Result<Permit> {
        let of = async |semaphore: &Arc<Semaphore>| {
            if let Ok(permit) = Arc::clone(semaphore).try_acquire_owned() {
                return Ok(permit);
            }
            let _waiting = self.0.queue.enter();
            Arc::clone(semaphore).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)
        };
        let write = if to_write { Some(of(&self.0.writes).await?) } else { None };
        Ok(Permit { _slot: of(&self.0.slots).await?, _write: write })
    }

    /// Close what is idle, so that the next connection is one that no request has used before: where another one turned
    /// out to be gone, all that are idle were opened before whatever cut that one.
    pub fn close_idle(&self) {
        self.idle().clear();
    }

    /// Done when the connections that are open now are given up: the server has missed its time, so what is waited for
    /// on them may never come. Where nobody [watches](Self::watch) the server, never.
    pub fn given_up(&self) -> impl Future<Output = ()> + use<> {
        let (pool, mut state) = (self.clone(), self.0.state.subscribe());
        let before = state.borrow_and_update().given_up;
        async move {
            state.wait_for(|state| state.given_up != before).await.ok();
            drop(pool); // it has the sender
        }
    }

    /// Close what is idle, and lend no more.
    pub async fn close(&self) {
        self.0.slots.close();
        self.0.writes.close();
        let idle = std::mem::take(&mut *self.idle());
        for idle in idle {
            timeout(REPLY_TIMEOUT, idle.connection.close()).await.ok();
        }
    }

    async fn open(&self) -> sqlx::Result<Idle> {
        let opened = async {
            let (Found { mut connection, place, .. }, given_up) = self.connect().await?;
            let (server, is_standby) = if self.0.pgbouncer {
                (None, false)
            } else {
                sqlx::raw_sql(self.0.limits.of_connection()).execute(&mut connection).await?;
                let (server, is_standby) = Server::ask(&mut connection, place).await?;
                (Some(server), is_standby)
            };
            let now = Instant::now();
            Ok(Idle { connection, server, is_standby, opened: now, used: now, given_up, retired: false })
        };
        timeout(CONNECT_TIMEOUT, opened).await.unwrap_or_else(|_| Err(out_of_reach()))
    }

    /// A connection as the server gives it, and how often all that was open had been given up when it was asked for.
    /// Where another one than before takes writes now, that is done once more: what is open goes to the wrong one.
    pub(super) async fn connect(&self) -> sqlx::Result<(Found, u64)> {
        let given_up = self.given_up_so_far();
        let found = self.0.hosts.connect().await.map_err(refused_connection)?;
        if !found.moved {
            return Ok((found, given_up));
        }
        self.give_up();
        Ok((found, given_up + 1))
    }

    /// Where the server is.
    pub(super) fn hosts(&self) -> &Hosts {
        &self.0.hosts
    }

    /// How often all that was open had to be given up.
    pub(super) fn given_up_so_far(&self) -> u64 {
        self.0.state.borrow().given_up
    }

    async fn lend(&self, idle: Idle, permit: Permit) -> sqlx::Result<Pooled> {
        let mut lent =
            Pooled { idle: Some(idle), pool: self.clone(), permit: Some(permit), in_transaction: false };
        if self.0.pgbouncer {
            lent.begin().await?;
        }
        Ok(lent)
    }

    fn pop(&self) -> Option<Idle> {
        self.idle().pop()
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that a request has. [`Self::finish`] gives it back; dropped without that it is given back once the server
/// has undone what was begun on it, or closed.
pub struct Pooled {
    idle: Option<Idle>,
    pool: Pool,
    permit: Option<Permit>,
    in_transaction: bool,
}

impl Pooled {
    /// Begin a transaction.
    ///
    /// # Errors
    /// The server failed, or is gone.
    pub async fn begin(&mut self) -> sqlx::Result<()> {
        if self.pool.0.pgbouncer {
            self.in_transaction = true;
            sqlx::raw_sql(self.pool.0.limits.pinned()).execute(&mut **self).await?;
        } else if let (connection, Some(unbegun)) = self.parts() {
            unbegun.begin(connection).await?;
        }
        Ok(())
    }

    /// The connection itself, and the right to begin a transaction on it, unless one was begun.
    pub fn parts(&mut self) -> (&mut PgConnection, Option<Unbegun<'_>>) {
        let Self { idle, in_transaction, .. } = self;
        let unbegun = if *in_transaction { None } else { Some(Unbegun(in_transaction)) };
        (&mut lent(idle).connection, unbegun)
    }

    /// Put a new connection in its place, since it was cut; what is idle was opened before whatever cut it.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn reopen(&mut self) -> sqlx::Result<()> {
        self.pool.close_idle();
        self.idle = Some(self.pool.open().await?);
        Ok(())
    }

    /// Let nobody have it after this: its buffers here, and the server's process, keep the room that large rows took.
    pub fn retire(&mut self) {
        if let Some(idle) = &mut self.idle {
            idle.retired = true;
        }
    }

    /// Whether a transaction was begun.
    pub fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Check now what a commit would check.
    ///
    /// # Errors
    /// The server refused, failed, or is gone.
    pub async fn check(&mut self) -> sqlx::Result<()> {
        self.end_with("SET CONSTRAINTS ALL IMMEDIATE").await
    }

    /// Undo what was begun, if anything was.
    ///
    /// # Errors
    /// The server failed, or is gone.
    pub async fn undo(&mut self) -> sqlx::Result<()> {
        if self.in_transaction {
            self.end_with("ROLLBACK").await?;
            self.in_transaction = false;
        }
        Ok(())
    }

    /// Run a statement that belongs to the end of a transaction, when nobody bounds the time of the request any more.
    async fn end_with(&mut self, statement: &'static str) -> sqlx::Result<()> {
        let given_up = self.pool.given_up();
        let done = async {
            tokio::select! {
                biased;
                done = sqlx::raw_sql(statement).execute(&mut **self) => done.map(drop),
                () = given_up => Err(out_of_reach()),
            }
        };
        timeout(COMMIT_TIMEOUT, done).await.unwrap_or_else(|_| Err(out_of_reach()))
    }

    /// Commit what was begun, if anything was, and give the connection back.
    ///
    /// # Errors
    /// The server refused, or didn't say whether it committed.
    pub async fn finish(mut self) -> Result<(), Unfinished> {
        if self.in_transaction {
            match self.end_with("COMMIT").await {
                Ok(()) => self.in_transaction = false,
                Err(error) if is_refusal(&error) => return Err(Unfinished::Refused(error)),
                Err(error) => {
                    self.idle = None; // closed hard
                    return Err(Unfinished::Unknown(error));
                }
            }
        }
        if let Some(idle) = self.idle.take() {
            self.pool.take_back(idle);
        }
        Ok(())
    }

    /// Which server this is; `None` where what it says of its state proves nothing.
    pub fn server(&self) -> Option<Server> {
        self.idle.as_ref().filter(|idle| !idle.is_standby).and_then(|idle| idle.server)
    }

    /// Whether it is a connection to this server.
    pub(super) fn is_of(&self, server: Server) -> bool {
        self.idle.as_ref().is_some_and(|idle| idle.server == Some(server))
    }

    /// When it was opened.
    pub(super) fn opened(&self) -> Option<Instant> {
        self.idle.as_ref().map(|idle| idle.opened)
    }
}

/// A connection that no transaction was begun on. Behind a PgBouncer there is none that is lent so.
pub struct Unbegun<'a>(&'a mut bool);

impl Unbegun<'_> {
    /// Begin one, on the connection that this is of.
    ///
    /// # Errors
    /// The server failed, or is gone.
    pub async fn begin(self, connection: &mut PgConnection) -> sqlx::Result<()> {
        *self.0 = true;
        sqlx::raw_sql("BEGIN").execute(connection).await?;
        Ok(())
    }
}

/// What a wait on the server ends with that took too long.
fn out_of_reach() -> sqlx::Error {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// Why the server gives no connection, so that it isn't taken for the answer to a statement. That it has none left stays
/// what it is.
fn refused_connection(error: sqlx::Error) -> sqlx::Error {
    match code(&error) {
        Some(code) if !code.starts_with("53") => std::io::Error::other(error).into(),
        _ => error,
    }
}

/// Whether the server itself says that it didn't do it. A session that is ended says so too, but perhaps after the commit.
pub fn is_refusal(error: &sqlx::Error) -> bool {
    let refused = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    refused.is_some_and(|error| matches!(error.severity(), PgSeverity::Error))
}

impl Pool {
    fn take_back(&self, mut idle: Idle) {
        let is_given_up = idle.given_up != self.0.state.borrow().given_up;
        if !self.0.slots.is_closed() && !is_given_up && !idle.retired {
            idle.used = Instant::now();
            self.idle().push(idle);
        }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let (Some(mut idle), pool) = (self.idle.take(), self.pool.clone()) else { return };
        let (permit, in_transaction) = (self.permit.take(), self.in_transaction);
        if idle.given_up != pool.0.state.borrow().given_up || (idle.retired && !in_transaction) {
            return; // closed, and no word is waited for
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let clean = async {
                if in_transaction {
                    sqlx::raw_sql("ROLLBACK").execute(&mut idle.connection).await.map(|_| ())
                } else {
                    idle.connection.ping().await
                }
            };
            // Closed otherwise, and its place is free: the server ends a statement of its own accord in time.
            if matches!(timeout(REPLY_TIMEOUT, clean).await, Ok(Ok(()))) {
                pool.take_back(idle);
            }
            drop(permit);
        });
    }
}

impl Deref for Pooled {
    type Target = PgConnection;
    #[expect(clippy::expect_used, reason = "it is there until `finish` or `drop` takes it")]
    fn deref(&self) -> &PgConnection {
        &self.idle.as_ref().expect("a connection that is lent").connection
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut lent(&mut self.idle).connection
    }
}

#[expect(clippy::expect_used, reason = "it is there until `finish` or `drop` takes it")]
fn lent(idle: &mut Option<Idle>) -> &mut Idle {
    idle.as_mut().expect("a connection that is lent")
}
