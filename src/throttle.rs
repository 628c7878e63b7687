//! [`Throttle`]: how often each may ask for something within a period.

use std::convert::Infallible;
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use quick_cache::sync::Cache;

use crate::config::Rate;

/// Of so many it is remembered how often they asked.
const REMEMBERED: usize = 4096;

/// Who asked how often within the period.
pub struct Throttle<K> {
    rate: Rate,
    asked: Cache<K, Arc<AtomicU32>>,
    began: Mutex<Instant>,
}

impl<K: Hash + Eq + Clone> Throttle<K> {
    /// Nobody has asked yet.
    pub fn new(rate: Rate) -> Self {
        Self { rate, asked: Cache::new(REMEMBERED), began: Mutex::new(Instant::now()) }
    }

    /// Somebody asks once more.
    ///
    /// # Errors
    /// It is once too often, with the seconds until they may again.
    pub fn count(&self, who: &K) -> Result<(), u64> {
        let left = {
            let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
            if began.elapsed() >= self.rate.period {
                *began = Instant::now();
                self.asked.clear();
            }
            self.rate.period.saturating_sub(began.elapsed())
        };
        let count = self.asked.get_or_insert_with(who, || Ok::<_, Infallible>(Arc::default()));
        if count.is_ok_and(|count| count.fetch_add(1, Ordering::Relaxed) < self.rate.requests) {
            return Ok(());
        }
        Err(left.as_secs() + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_address_has_its_share_of_a_period() {
        let period = Duration::from_mins(1);
        let throttle = Throttle::<IpAddr>::new(Rate { requests: 100, period });
        let count =
            |address: [u8; 4], times| (0..times).filter(|_| throttle.count(&address.into()).is_ok()).count();
        assert_eq!(count([192, 0, 2, 1], 150), 100);
        assert_eq!(count([192, 0, 2, 2], 10), 10);
        let refused = throttle.count(&[192, 0, 2, 1].into());
        assert!(matches!(refused, Err(1..=60)), "{refused:?}");
        *throttle.began.lock().unwrap() -= period;
        assert_eq!(count([192, 0, 2, 1], 10), 10);
    }

    #[test]
    fn each_user_has_a_share_of_a_period() {
        let period = Duration::from_mins(1);
        let throttle = Throttle::new(Rate { requests: 2, period });
        assert_eq!((throttle.count(&1), throttle.count(&1), throttle.count(&2)), (Ok(()), Ok(()), Ok(())));
        assert!(throttle.count(&1).is_err_and(|left| (1..=60).contains(&left)));
        *throttle.began.lock().unwrap() -= period;
        assert_eq!(throttle.count(&1), Ok(()));
    }
}
