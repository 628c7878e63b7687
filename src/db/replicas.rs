//! [`Replicas`]: standbys of the primary that reads go to, each as long as it is known to hold what its reader may expect.
//!
//! One notion carries it all: the instant **as of** which a replica holds everything. The [`watch`](Replicas::watch) asks
//! the primary again and again where its write-ahead log stands, and notes when it asked. What was acknowledged before an
//! asking lies before the place that the primary then names. So a replica that has replayed its log up to that place
//! holds all that was acknowledged before that instant, and goes on holding it, since replay only goes forward while a
//! server runs. A read goes to a replica that holds everything as of
//!
//! - the end of the caller's last write (`writes.rs`): nobody reads their own write's past;
//! - `max_lag` ago: nobody reads anything older. Clocks of other machines take no part in it, and where the primary
//!   is gone, or a replica is cut off, nothing new is learnt and the instants grow old.
//!
//! Instead of a commit's own place in the log, which would take a statement to ask for, it is the first place named
//! after the commit that counts. It is a tenth of a second behind at most, and writes do nothing for it.
//!
//! Places can be compared along one timeline only. A standby that didn't follow a failover may have replayed a log that is
//! longer than the new primary's, and another one. So a replica counts only while it says that it follows the primary's
//! timeline (`position.rs`). And what was learnt of a server holds for connections to that very server that were there
//! already when it was asked: after a crash PostgreSQL recovers from further back.

mod position;
mod watch;
mod writes;

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Notify, watch as channel};
use tokio::time::{Instant, timeout};

use self::position::History;
use self::writes::Writes;
use super::pool::{Pool, Pooled};
use super::proof::Server;

pub use self::position::LeftOut;
pub use self::writes::{Concerns, Writing};

/// How long a read waits for a replica's connection before it goes to the primary.
const LEND_TIMEOUT: Duration = Duration::from_secs(1);

/// See the module; cheap to clone.
#[derive(Clone)]
pub struct Replicas(Arc<Inner>);

struct Inner {
    primary: Pool,
    all: Vec<Arc<Replica>>,
    max_lag: Duration,
    history: Mutex<History>,
    writes: Writes,
    /// Whose turn it is.
    turn: AtomicUsize,
    /// Reads that the primary served.
    primary_reads: AtomicU64,
}

/// One of them.
struct Replica {
    /// Its address, for logs and metrics.
    name: String,
    pool: Pool,
    standing: channel::Sender<Standing>,
    /// Somebody wants it to be asked now.
    wanted: Notify,
    reads: AtomicU64,
    failures: AtomicU64,
}

/// What is known of a replica.
#[derive(Debug, Clone)]
struct Standing {
    /// Which server answered, and when it was asked.
    asked: Option<(Server, Instant)>,
    /// As of when it holds everything.
    as_of: Result<Instant, LeftOut>,
}

/// A replica's connection for one read.
pub struct Lent {
    /// The connection.
    pub connection: Pooled,
    /// Whose it is.
    pub replica: Source,
    /// Done when what is waited for on it may never come.
    pub given_up: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// A replica that serves a read.
#[derive(Clone)]
pub struct Source(Arc<Replica>);

/// What is told of a replica.
pub struct Figures {
    /// Its address.
    pub name: String,
    /// How far behind it is at most; or why it isn't used.
    pub lag: Result<Duration, LeftOut>,
    /// Reads that it served.
    pub reads: u64,
    /// Reads that it couldn't serve, so that the primary did.
    pub failures: u64,
}

impl Replicas {
    /// Standbys of `primary`, none of which is behind it by more than `max_lag` when it is read from. None behind a
    /// PgBouncer: there it isn't known which server a connection leads to.
    pub fn new(
        all: impl IntoIterator<Item = PgConnectOptions>,
        primary: Pool,
        max_lag: Duration,
        how: &super::Options,
    ) -> Self {
        let all = all.into_iter().filter(|_| !how.pgbouncer);
        let all = all.map(|options| Arc::new(Replica::new(super::named(options, how), how))).collect();
        Self(Arc::new(Inner {
            primary,
            all,
            max_lag,
            history: Mutex::new(History::of(max_lag)),
            writes: Writes::default(),
            turn: AtomicUsize::new(0),
            primary_reads: AtomicU64::new(0),
        }))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.all.is_empty()
    }

    /// A connection for a read of this caller, whose credentials name them; `None` where the primary has to serve it.
    pub async fn acquire(&self, caller: &str) -> Option<Lent> {
        let all = &self.0.all;
        if self.is_empty() {
            return None;
        }
        let wrote = self.0.writes.last_of(caller);
        let first = self.0.turn.fetch_add(1, Ordering::Relaxed);
        for replica in all.iter().cycle().skip(first % all.len()).take(all.len()) {
            let given_up = Box::pin(replica.pool.given_up());
            if self.may_serve(replica, wrote)
                && let Ok(Some(connection)) = timeout(LEND_TIMEOUT, replica.lend()).await
                && self.may_serve(replica, wrote)
            {
                return Some(Lent { connection, replica: Source(Arc::clone(replica)), given_up });
            }
        }
        self.0.primary_reads.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// The rule of the module. Whoever wrote did so by `wrote`.
    fn may_serve(&self, replica: &Replica, wrote: Option<Instant>) -> bool {
        let as_of = replica.standing.borrow().as_of;
        as_of.is_ok_and(|as_of| as_of.elapsed() <= self.0.max_lag && wrote.is_none_or(|wrote| wrote <= as_of))
    }

    /// This caller begins to write; `None` where there are no replicas.
    pub fn writing(&self, caller: &str, concerns: Concerns) -> Option<Writing> {
        (!self.is_empty()).then(|| self.0.writes.begin(self.clone(), caller, concerns))
    }

    /// How it stands with each of them, and how many reads the primary served; nothing where there are none.
    pub fn figures(&self) -> (Vec<Figures>, u64) {
        let figures = self.0.all.iter().map(|replica| Figures {
            name: replica.name.clone(),
            lag: self.lag(replica),
            reads: replica.reads.load(Ordering::Relaxed),
            failures: replica.failures.load(Ordering::Relaxed),
        });
        (figures.collect(), self.0.primary_reads.load(Ordering::Relaxed))
    }

    /// How far behind this one is at most.
    fn lag(&self, replica: &Replica) -> Result<Duration, LeftOut> {
        let lag = replica.standing.borrow().as_of?.elapsed();
        if lag <= self.0.max_lag { Ok(lag) } else { Err(LeftOut::Behind) }
    }

    /// Close what is idle, and lend no more.
    pub async fn close(&self) {
        for replica in &self.0.all {
            replica.pool.close().await;
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.0.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replica {
    fn new(options: PgConnectOptions, how: &super::Options) -> Self {
        Self {
            name: format!("{}:{}", options.get_host(), options.get_port()),
            pool: Pool::new(options, how),
            standing: channel::Sender::new(Standing { asked: None, as_of: Err(LeftOut::Unasked) }),
            wanted: Notify::new(),
            reads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// A connection of which holds what is known of the server: it was there already when the server was asked. `None`
    /// where it leads to another server.
    async fn lend(&self) -> Option<Pooled> {
        let mut connection = self.pool.acquire().await.ok()?;
        let opened = connection.opened()?;
        let mut standing = self.standing.subscribe();
        if standing.borrow().asked.is_none_or(|(_, asked)| asked < opened) {
            self.wanted.notify_one();
        }
        let is_newer = |standing: &Standing| standing.asked.is_some_and(|(_, asked)| asked >= opened);
        let (server, _) = standing.wait_for(is_newer).await.ok()?.asked?;
        if !connection.is_of(server) {
            connection.retire();
            return None;
        }
        Some(connection)
    }
}

impl Source {
    /// It served a read.
    pub fn served(&self) {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// It couldn't.
    pub fn failed(&self) {
        self.0.failures.fetch_add(1, Ordering::Relaxed);
    }
}
