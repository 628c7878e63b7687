//! Places in the write-ahead log: the primary's, and how far a standby has got.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use sqlx::{FromRow, PgConnection};
use tokio::time::Instant;

/// Where the primary's log stands, up to which everything that it acknowledged is in it. A commit is acknowledged once its
/// log is on the disk; with `synchronous_commit` off, once it is written down at all.
const OF_PRIMARY: &str = "SELECT ('x' || left(pg_walfile_name(place), 8))::bit(32)::bigint AS timeline, \
     (place - '0/0')::bigint AS place \
     FROM (SELECT CASE current_setting('synchronous_commit') WHEN 'off' THEN pg_current_wal_insert_lsn() \
       ELSE pg_current_wal_flush_lsn() END) AS log (place)";

/// What a standby has replayed; no row from a server that is none. It says which timeline it follows to roles that may
/// know (`pg_read_all_stats`). For others it is the one of its last restartpoint, which after a failover comes later. The
/// place comes first, so that the timeline is no older than it.
const OF_STANDBY: &str = "SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint AS place, \
     coalesce((SELECT received_tli FROM pg_stat_wal_receiver), (SELECT timeline_id FROM pg_control_checkpoint()))::bigint \
       AS timeline \
     WHERE pg_is_in_recovery()";

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub(super) struct Position {
    pub(super) timeline: i64,
    /// Bytes from the log's beginning.
    pub(super) place: i64,
}

impl Position {
    /// The primary's.
    pub(super) async fn of_primary(connection: &mut PgConnection) -> sqlx::Result<Self> {
        sqlx::query_as(OF_PRIMARY).fetch_one(connection).await
    }

    /// A standby's; `None` from a server that is none.
    pub(super) async fn of_standby(connection: &mut PgConnection) -> sqlx::Result<Option<Self>> {
        sqlx::query_as(OF_STANDBY).fetch_optional(connection).await
    }
}

/// Why a replica isn't used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// Nothing was asked yet.
    Unasked,
    /// It doesn't answer.
    Gone,
    /// It is no standby.
    NoStandby,
    /// It doesn't follow the primary's timeline.
    Elsewhere,
    /// It is behind by more than it may be.
    Behind,
    /// The primary doesn't say where its log stands.
    NoPrimary,
}

impl LeftOut {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Unasked, Self::Gone, Self::NoStandby, Self::Elsewhere, Self::Behind, Self::NoPrimary];

    /// As metrics have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unasked => "unasked",
            Self::Gone => "gone",
            Self::NoStandby => "no_standby",
            Self::Elsewhere => "elsewhere",
            Self::Behind => "behind",
            Self::NoPrimary => "no_primary",
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unasked => "it was not asked yet",
            Self::Gone => "it does not answer",
            Self::NoStandby => "it is no standby",
            Self::Elsewhere => "it does not follow the timeline of the primary",
            Self::Behind => "it is too far behind",
            Self::NoPrimary => "the primary does not say where its log stands",
        })
    }
}

/// Where the primary's log stood, and when that was asked; for as long as it can make a replica fit.
pub(super) struct History {
    kept: Duration,
    timeline: Option<i64>,
    places: VecDeque<(Instant, i64)>,
}

impl History {
    /// Of so long.
    pub(super) fn of(kept: Duration) -> Self {
        Self { kept, timeline: None, places: VecDeque::new() }
    }

    /// It stood there; `asked` before it said so.
    pub(super) fn note(&mut self, asked: Instant, position: Position) {
        if self.timeline != Some(position.timeline) {
            self.forget();
            self.timeline = Some(position.timeline);
        }
        self.places.push_back((asked, position.place));
        while self.places.front().is_some_and(|(asked, _)| asked.elapsed() > self.kept) {
            self.places.pop_front();
        }
    }

    /// Another server may be the primary now.
    pub(super) fn forget(&mut self) {
        self.timeline = None;
        self.places.clear();
    }

    /// As of when somebody who has replayed so much holds everything.
    pub(super) fn as_of(&self, standby: Position) -> Result<Instant, LeftOut> {
        let Some(timeline) = self.timeline else { return Err(LeftOut::NoPrimary) };
        if timeline != standby.timeline {
            return Err(LeftOut::Elsewhere);
        }
        if self.places.back().is_none_or(|(asked, _)| asked.elapsed() > self.kept) {
            return Err(LeftOut::NoPrimary);
        }
        let reached = self.places.iter().rev().find(|(_, place)| *place <= standby.place);
        reached.map(|(asked, _)| *asked).ok_or(LeftOut::Behind)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn at(timeline: i64, place: i64) -> Position {
        Position { timeline, place }
    }

    #[tokio::test(start_paused = true)]
    async fn a_standby_holds_what_was_there_when_the_place_was_asked_that_it_has_reached() {
        let mut history = History::of(Duration::from_secs(5));
        assert_eq!(history.as_of(at(1, 100)), Err(LeftOut::NoPrimary));
        let first = Instant::now();
        history.note(first, at(1, 100));
        advance(Duration::from_secs(1)).await;
        let second = Instant::now();
        history.note(second, at(1, 200));
        assert_eq!(history.as_of(at(1, 99)), Err(LeftOut::Behind));
        assert_eq!(history.as_of(at(1, 100)), Ok(first));
        assert_eq!(history.as_of(at(1, 199)), Ok(first));
        assert_eq!(history.as_of(at(1, 200)), Ok(second));
        assert_eq!(history.as_of(at(1, 900)), Ok(second));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_a_replica_may_be_is_forgotten() {
        let mut history = History::of(Duration::from_secs(5));
        history.note(Instant::now(), at(1, 100));
        advance(Duration::from_secs(6)).await;
        history.note(Instant::now(), at(1, 200));
        assert_eq!(history.as_of(at(1, 150)), Err(LeftOut::Behind));
    }

    #[tokio::test(start_paused = true)]
    async fn a_longer_log_of_another_timeline_proves_nothing() {
        let mut history = History::of(Duration::from_secs(5));
        history.note(Instant::now(), at(1, 100));
        history.note(Instant::now(), at(2, 100));
        assert_eq!(history.as_of(at(1, 900)), Err(LeftOut::Elsewhere));
        assert_eq!(history.as_of(at(2, 99)), Err(LeftOut::Behind));
        history.forget();
        assert_eq!(history.as_of(at(2, 900)), Err(LeftOut::NoPrimary));
    }
}
