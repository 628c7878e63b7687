//! How often somebody may ask who doesn't say who they are: authentik's `AnonRateThrottle`. It comes behind the permission,
//! so it counts what is public.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use quick_cache::sync::Cache;

use crate::config::Rate;
use crate::error::ApiError;
use crate::telemetry::metrics::{self, Limit};

/// Addresses that are remembered.
const ADDRESSES: usize = 4096;

/// Who asked how often within the period.
pub struct Throttle {
    rate: Rate,
    asked: Cache<IpAddr, Arc<AtomicU32>>,
    began: Mutex<Instant>,
}

impl Throttle {
    /// Nobody has asked yet.
    pub fn new(rate: Rate) -> Self {
        Self { rate, asked: Cache::new(ADDRESSES), began: Mutex::new(Instant::now()) }
    }

    /// Count a request.
    ///
    /// # Errors
    /// 429 for one too many.
    pub fn count(&self, address: IpAddr) -> Result<(), ApiError> {
        let left = {
            let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
            if began.elapsed() >= self.rate.period {
                *began = Instant::now();
                self.asked.clear();
            }
            self.rate.period.saturating_sub(began.elapsed())
        };
        let count =
            self.asked.get_or_insert_with(&address, || Ok::<_, std::convert::Infallible>(Arc::default()));
        if count.is_ok_and(|count| count.fetch_add(1, Ordering::Relaxed) < self.rate.requests) {
            return Ok(());
        }
        metrics::turned_away(Limit::Rate);
        Err(ApiError::Throttled(left.as_secs() + 1))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_address_has_its_share_of_a_period() {
        let period = Duration::from_mins(1);
        let throttle = Throttle::new(Rate { requests: 100, period });
        let count =
            |address: [u8; 4], times| (0..times).filter(|_| throttle.count(address.into()).is_ok()).count();
        assert_eq!(count([192, 0, 2, 1], 150), 100);
        assert_eq!(count([192, 0, 2, 2], 10), 10);
        let refused = throttle.count([192, 0, 2, 1].into());
        assert!(matches!(refused, Err(ApiError::Throttled(1..=60))), "{refused:?}");
        *throttle.began.lock().unwrap() -= period;
        assert_eq!(count([192, 0, 2, 1], 10), 10);
    }
}
