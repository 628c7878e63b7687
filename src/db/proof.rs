//! [`Proof`]: what a database held when something was read from it, so that it can be told whether it still does.
//!
//! `pg_current_snapshot()` names which transactions a statement sees: all below `xmax` but those that were running. Two
//! statements with equal snapshots see the same rows. Whoever committed between them had a transaction id at or above the
//! first one's `xmax`, or in its list of running ones, and either changes the second. That holds for subtransactions,
//! whose changes show with their parent's commit, and for prepared transactions, which are in the list until they end. So
//! what was read under a snapshot is exact for as long as the server answers with the same one.
//!
//! It does not hold on a standby, whose list leaves out what the primary runs, nor from one server to another, which may
//! have lost transactions and given their ids again; nor across a crash, if commits don't wait for the disk
//! (`synchronous_commit = off`). So a proof names the server, by the instants at which it started and at which it last
//! recovered, and a standby gives none. Nor does it hold for what a statement locks, which may be newer than its snapshot:
//! writes remember nothing.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::{PgConnection, Row};

/// A running PostgreSQL, told from any other and from itself before a restart or a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Server {
    place: u64,
    started: i64,
    /// When its statistics begin. A crash of one of its processes drops them, and leaves the start as it is.
    counted_from: i64,
    database: i64,
}

impl Server {
    /// Ask which one this is, at the address `place`, and whether it is a standby.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ask(connection: &mut PgConnection, place: u64) -> sqlx::Result<(Self, bool)> {
        let row = sqlx::query(
            "SELECT pg_is_in_recovery(), (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, \
             (SELECT (extract(epoch FROM stats_reset) * 1000000)::bigint FROM pg_stat_bgwriter), \
             (SELECT oid::bigint FROM pg_database WHERE datname = current_database())",
        )
        .persistent(false)
        .fetch_one(connection)
        .await?;
        let is_standby: bool = row.try_get(0)?;
        let (started, counted_from, database) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        Ok((Self { place, started, counted_from, database }, is_standby))
    }
}

/// See the module. Equal proofs stand for equal contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    server: Server,
    snapshot: Arc<str>,
}

impl Proof {
    /// What a snapshot proves, as `pg_current_snapshot()::text` on this server.
    pub fn new(server: Server, snapshot: String) -> Self {
        Self { server, snapshot: snapshot.into() }
    }

    /// Whether it is this server that it is about.
    pub fn is_of(&self, server: Server) -> bool {
        self.server == server
    }

    /// What the database holds now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ask(connection: &mut PgConnection, server: Server) -> sqlx::Result<Self> {
        let snapshot = sqlx::query_scalar("SELECT pg_current_snapshot()::text").fetch_one(connection).await?;
        Ok(Self::new(server, snapshot))
    }
}

/// Where statements of a read leave the snapshots under which they ran; the last one counts.
#[derive(Debug, Default)]
pub struct Seen(Mutex<Option<String>>);

impl Seen {
    /// A statement ran under this one.
    pub fn keep(&self, snapshot: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
    }

    /// The last one, if any; it is forgotten.
    pub fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
