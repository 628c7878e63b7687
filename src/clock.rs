//! The time and the random identifiers: the only callers of `Utc::now` and `Uuid::new_v4`, so that tests can hold
//! both still and compare whole bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

/// Where the server reads the time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Always this instant.
    Fixed(DateTime<Utc>),
}

impl Clock {
    /// The time in UTC, in whole microseconds: PostgreSQL and Python keep no more.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Self::System => Utc::now().trunc_subsecs(6),
            Self::Fixed(instant) => *instant,
        }
    }
}

/// Where primary keys and request ids come from.
#[derive(Clone, Debug)]
pub enum Ids {
    /// Random (version 4) UUIDs. An invitation's key is the secret of its link, so nothing guessable will do.
    Random,
    /// 1, 2, 3, … as UUIDs.
    Sequential(Arc<AtomicU64>),
}

impl Ids {
    /// A UUID that was not handed out before.
    #[expect(clippy::disallowed_methods, reason = "the one place that draws random UUIDs")]
    pub fn next(&self) -> Uuid {
        match self {
            Self::Random => Uuid::new_v4(),
            Self::Sequential(counter) => {
                Uuid::from_u128(u128::from(counter.fetch_add(1, Ordering::Relaxed)) + 1)
            }
        }
    }
}
