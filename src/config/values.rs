//! How values are written that aren't numbers, words or addresses.

use std::time::Duration;

use super::Rate;
use crate::contract::duration::parse_timedelta;
use crate::telemetry::LogFormat;

/// What [`up_to_1000`] takes.
pub(super) const UP_TO_1000: &str = "a number from 1 to 1000";

pub(super) fn up_to_1000(text: &str) -> Option<u16> {
    text.parse().ok().filter(|number| (1..=1000).contains(number))
}

/// A duration of at most so many seconds, in whole milliseconds: PostgreSQL counts in those.
pub(super) fn seconds(text: &str, most: u64) -> Option<Duration> {
    let milliseconds = parse_timedelta(text)?.num_milliseconds();
    let duration = Duration::from_millis(u64::try_from(milliseconds).ok()?);
    (duration <= Duration::from_secs(most)).then_some(duration)
}

/// As Django REST framework reads one: of the period only the first letter counts.
pub(super) fn rate(text: &str) -> Option<Rate> {
    let (requests, period) = text.split_once('/')?;
    let seconds = match period.chars().next()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86400,
        _ => return None,
    };
    Some(Rate { requests: requests.parse().ok()?, period: Duration::from_secs(seconds) })
}

pub(super) fn log_format(text: &str) -> Option<Option<LogFormat>> {
    match text {
        "" => Some(None),
        "pretty" => Some(Some(LogFormat::Pretty)),
        "json" => Some(Some(LogFormat::Json)),
        _ => None,
    }
}

/// The URL of a collector, without credentials, which would be in a log.
pub(super) fn collector(text: &str) -> Option<Option<String>> {
    match text {
        "" => Some(None),
        url => (url.starts_with("http://") && !url.contains('@')).then(|| Some(url.to_owned())),
    }
}
