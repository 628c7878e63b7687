//! How the connections and the server are, for metrics.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Pool;
use crate::telemetry::metrics;

/// By how many seconds a standby is behind: the server itself, if it is one, else the last of those that follow it; 0 where
/// none does. One that has replayed all that it got isn't behind, however long ago that was. Who follows is told only to
/// roles that may know (`pg_monitor`); NULL for others.
const REPLICATION_LAG: &str = "SELECT (CASE WHEN NOT pg_is_in_recovery() \
       THEN (SELECT coalesce(max(EXTRACT(EPOCH FROM coalesce(replay_lag, '0'))) FILTER (WHERE state IS NOT NULL), \
           CASE WHEN count(*) = 0 THEN 0 END) FROM pg_stat_replication) \
     WHEN pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn() THEN 0 \
     ELSE EXTRACT(EPOCH FROM now() - pg_last_xact_replay_timestamp()) END)::float8";

/// The requests that wait for a connection.
#[derive(Default)]
pub(super) struct Queue {
    waiting: AtomicUsize,
    entered: AtomicU64,
}

impl Queue {
    /// One more, until it is dropped.
    pub(super) fn enter(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.entered.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }
}

/// A request that waits.
pub(super) struct Waiting<'a>(&'a Queue);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When the watch over the server was last seen at work.
pub(super) struct Watched(Mutex<Instant>);

impl Default for Watched {
    fn default() -> Self {
        Self(Mutex::new(Instant::now()))
    }
}

impl Watched {
    /// It is at work.
    pub(super) fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

impl Pool {
    /// For how long nothing was seen of [`Self::watch`]. Seconds are usual, whatever the server does.
    pub fn unwatched_for(&self) -> Duration {
        self.0.watched.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// How many connections there are, and who waits for one.
    pub fn figures(&self) -> metrics::Pool {
        let (idle, queue) = (self.idle().len(), &self.0.queue);
        let lent = self.0.size.saturating_sub(self.0.slots.available_permits());
        metrics::Pool {
            max: self.0.size,
            open: lent + idle,
            idle,
            waiting: queue.waiting.load(Ordering::Relaxed),
            waits: queue.entered.load(Ordering::Relaxed),
        }
    }

    /// Whether the server answered when it was asked last.
    pub fn is_up(&self) -> bool {
        self.0.state.borrow().answers && !self.0.slots.is_closed()
    }

    /// By how many seconds a standby is behind, asked now on the connection that no request gets. `None` where that can't be
    /// told.
    pub async fn replication_lag(&self) -> Option<f64> {
        if !self.is_up() {
            return None;
        }
        let mut probe = self.0.probe.lock().await;
        // Taken out: dropped halfway, it doesn't come back.
        let mut connection = match probe.take() {
            Some(connection) => connection,
            None => self.connect().await.ok()?.0.connection,
        };
        let asked = sqlx::query_scalar(REPLICATION_LAG).persistent(false).fetch_one(&mut connection).await;
        *probe = Some(connection);
        asked.ok().flatten()
    }
}
