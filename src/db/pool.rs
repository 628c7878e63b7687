//! [`Pool`]: the connections that requests use. sqlx's own pool asks the server with every take and every return
//! whether a connection is still there: two round trips a request. This one asks only a connection that has been idle.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::proof::Server;
use super::time_limit::{LIMIT_STATEMENTS, PINNED};

/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the server may take to say that a connection is still there, or to undo what was begun on it. One that
/// misses it is closed.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that was used within this time is taken to be there.
const FRESH: Duration = Duration::from_secs(1);
/// How old a connection may become: the memory of a server process grows with the statements that it has seen.
const MAX_LIFETIME: Duration = Duration::from_mins(30);

/// The connections of requests; cheap to clone.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    options: PgConnectOptions,
    /// Whether a PgBouncer in transaction mode stands between: then the connections are others' too.
    pgbouncer: bool,
    slots: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: PgConnection,
    server: Option<Server>,
    opened: Instant,
    used: Instant,
}

impl Pool {
    /// At most `size` connections, none of which is opened yet.
    pub fn new(options: PgConnectOptions, size: u32, pgbouncer: bool) -> Self {
        let slots = Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(usize::MAX >> 3)));
        Self(Arc::new(Inner { options, pgbouncer, slots, idle: Mutex::default() }))
    }

    /// A connection, the one that was used last if there is any. Behind a PgBouncer in transaction mode it is in a
    /// transaction, which alone makes it the caller's own.
    ///
    /// # Errors
    /// None became free in time, or the server can't be reached.
    pub async fn acquire(&self) -> sqlx::Result<Pooled> {
        let wait = timeout(ACQUIRE_TIMEOUT, Arc::clone(&self.0.slots).acquire_owned());
        let permit = match wait.await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(sqlx::Error::PoolClosed),
            Err(_) => return Err(sqlx::Error::PoolTimedOut),
        };
        loop {
            let Some(mut idle) = self.pop() else { break };
            let alive = idle.opened.elapsed() < MAX_LIFETIME
                && (idle.used.elapsed() < FRESH
                    || matches!(timeout(REPLY_TIMEOUT, idle.connection.ping()).await, Ok(Ok(()))));
            if alive {
                return self.lend(idle, permit).await;
            }
        }
        let opened = timeout(ACQUIRE_TIMEOUT, self.open()).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
        self.lend(opened, permit).await
    }

    /// A connection that no request has used before: where another one turned out to be gone.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub async fn acquire_new(&self) -> sqlx::Result<Pooled> {
        // All that are idle were opened before whatever cut that one.
        self.idle().clear();
        self.acquire().await
    }

    /// Close what is idle, and lend no more.
    pub async fn close(&self) {
        self.0.slots.close();
        let idle = std::mem::take(&mut *self.idle());
        for idle in idle {
            timeout(REPLY_TIMEOUT, idle.connection.close()).await.ok();
        }
    }

    async fn open(&self) -> sqlx::Result<Idle> {
        let mut connection = PgConnection::connect_with(&self.0.options).await?;
        let server = if self.0.pgbouncer {
            None
        } else {
            sqlx::raw_sql(LIMIT_STATEMENTS).execute(&mut connection).await?;
            Server::ask(&mut connection, self.place()).await?
        };
        let now = Instant::now();
        Ok(Idle { connection, server, opened: now, used: now })
    }

    /// Which address was asked: two servers behind two addresses may have started in the same instant.
    fn place(&self) -> u64 {
        let options = &self.0.options;
        let mut hasher = DefaultHasher::new();
        (options.get_host(), options.get_port(), options.get_socket(), options.get_database())
            .hash(&mut hasher);
        hasher.finish()
    }

    async fn lend(&self, idle: Idle, permit: OwnedSemaphorePermit) -> sqlx::Result<Pooled> {
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
    permit: Option<OwnedSemaphorePermit>,
    in_transaction: bool,
}

impl Pooled {
    /// Begin a transaction.
    ///
    /// # Errors
    /// The server failed, or is gone.
    pub async fn begin(&mut self) -> sqlx::Result<()> {
        let begin = if self.pool.0.pgbouncer { PINNED } else { "BEGIN" };
        self.in_transaction = true;
        sqlx::raw_sql(begin).execute(&mut **self).await?;
        Ok(())
    }

    /// Whether a transaction was begun.
    pub fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Commit what was begun, if anything was, and give the connection back.
    ///
    /// # Errors
    /// The server refused or failed.
    pub async fn finish(mut self) -> sqlx::Result<()> {
        if self.in_transaction {
            sqlx::raw_sql("COMMIT").execute(&mut *self).await?;
            self.in_transaction = false;
        }
        if let Some(idle) = self.idle.take() {
            self.pool.take_back(idle);
        }
        Ok(())
    }

    /// Which server this is; `None` where what it says of its state proves nothing.
    pub fn server(&self) -> Option<Server> {
        self.idle.as_ref().and_then(|idle| idle.server)
    }
}

impl Pool {
    fn take_back(&self, mut idle: Idle) {
        if !self.0.slots.is_closed() {
            idle.used = Instant::now();
            self.idle().push(idle);
        }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let (Some(mut idle), pool) = (self.idle.take(), self.pool.clone()) else { return };
        let (permit, in_transaction) = (self.permit.take(), self.in_transaction);
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
    #[expect(clippy::expect_used, reason = "it is there until `finish` or `drop` takes it")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.idle.as_mut().expect("a connection that is lent").connection
    }
}
