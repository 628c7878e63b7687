//! When callers wrote last, in a table of fixed size: two that share a place in it count as one, and read from the
//! primary for a little longer than they need to.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Replicas;
use crate::db::pool::COMMIT_TIMEOUT;
use crate::error::ApiError;

/// Places in the table; eight bytes each.
const PLACES: usize = 8192;

/// Whom a write concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concerns {
    /// The caller.
    Caller,
    /// Everybody: it may have to do with who may do what. What was taken from somebody is to be gone for them, too.
    Everybody,
}

/// See the module.
pub(super) struct Writes {
    began: Instant,
    hasher: RandomState,
    /// Nanoseconds since `began`; 0 for never.
    places: Vec<AtomicU64>,
    everybody: AtomicU64,
}

impl Default for Writes {
    fn default() -> Self {
        let places = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Self { began: Instant::now(), hasher: RandomState::new(), places, everybody: AtomicU64::new(0) }
    }
}

impl Writes {
    /// By when all writes were over that concern this caller.
    pub(super) fn last_of(&self, caller: &str) -> Option<Instant> {
        let own = self.places[self.place(caller)].load(Ordering::Acquire);
        let last = own.max(self.everybody.load(Ordering::Acquire));
        (last > 0).then(|| self.began + Duration::from_nanos(last))
    }

    fn place(&self, caller: &str) -> usize {
        let places = u64::try_from(PLACES).unwrap_or(u64::MAX);
        usize::try_from(self.hasher.hash_one(caller) % places).unwrap_or(0)
    }

    pub(super) fn begin(&self, replicas: Replicas, caller: &str, concerns: Concerns) -> Writing {
        let place = match concerns {
            Concerns::Caller => Some(self.place(caller)),
            Concerns::Everybody => None,
        };
        Writing { replicas, place, is_over: false }
    }

    fn note(&self, place: Option<usize>, ended: Instant) {
        let nanoseconds = u64::try_from((ended - self.began).as_nanos()).unwrap_or(u64::MAX).max(1);
        let place = place.map_or(&self.everybody, |place| &self.places[place]);
        place.fetch_max(nanoseconds, Ordering::AcqRel);
    }
}

/// A write that was begun. Dropped before its end is told it counts as one that may still be committed.
pub struct Writing {
    replicas: Replicas,
    /// The caller's; none for everybody's.
    place: Option<usize>,
    is_over: bool,
}

impl Writing {
    /// This came of it, and the client isn't told before.
    pub fn came_to<T>(mut self, done: &Result<T, ApiError>) {
        match done {
            Ok(_) => self.replicas.0.writes.note(self.place, Instant::now()),
            Err(ApiError::OutcomeUnknown(_)) => return, // as when it is dropped
            Err(_) => {}                                // nothing was changed
        }
        self.is_over = true;
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.is_over {
            self.replicas.0.writes.note(self.place, Instant::now() + COMMIT_TIMEOUT);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_callers_last_write_counts_for_them_and_everybodys_for_all() {
        let writes = Writes::default();
        assert_eq!((writes.last_of("a"), writes.last_of("b")), (None, None));
        advance(Duration::from_secs(1)).await;
        let own = Instant::now();
        writes.note(Some(writes.place("a")), own);
        writes.note(Some(writes.place("a")), own - Duration::from_millis(500)); // one that was told later
        assert_eq!(writes.last_of("a"), Some(own));
        assert!(writes.last_of("b").is_none() || writes.place("a") == writes.place("b"));
        advance(Duration::from_secs(1)).await;
        writes.note(None, Instant::now());
        assert_eq!((writes.last_of("a"), writes.last_of("b")), (Some(Instant::now()), Some(Instant::now())));
    }
}
