//! The time and the random identifiers: the only callers of `Utc::now` and `Uuid::new_v4`, so that tests can hold
//! both still and compare whole bodies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Duration, SubsecRound, Utc};
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

    /// The time when `duration` will have passed; the ends of Python's calendar, the years 1 and 9999, cut it off.
    pub fn after(&self, duration: Duration) -> DateTime<Utc> {
        let [first, last] = [-62_135_596_800_000_000, 253_402_300_799_999_999]
            .map(|microseconds| DateTime::from_timestamp_micros(microseconds).unwrap_or_default());
        let beyond = if duration < Duration::zero() { first } else { last };
        self.now().checked_add_signed(duration).unwrap_or(beyond).clamp(first, last)
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2026-03-04T05:06:07Z", Duration::minutes(30), "2026-03-04T05:36:07Z")]
    #[case("2026-03-04T05:06:07Z", Duration::days(999_999_999), "9999-12-31T23:59:59.999999Z")]
    #[case("2026-03-04T05:06:07Z", Duration::days(3_650_000), "9999-12-31T23:59:59.999999Z")]
    #[case("2026-03-04T05:06:07Z", Duration::days(-3_650_000), "0001-01-01T00:00:00Z")]
    #[case("2026-03-04T05:06:07Z", Duration::days(-999_999_999), "0001-01-01T00:00:00Z")]
    fn time_ends_with_pythons_calendar(#[case] now: &str, #[case] passes: Duration, #[case] then: &str) {
        let clock = Clock::Fixed(now.parse().unwrap());
        assert_eq!(clock.after(passes), then.parse::<DateTime<Utc>>().unwrap());
    }
}
