//! authentik's durations, such as `hours=3;minutes=1`.

use chrono::Duration;
use drf::python;

/// Read a duration such as `hours=3;minutes=1`: parts between semicolons, each with one `=`; keys in any case, unknown
/// ones skipped, at least one known; a later part replaces an earlier one of the same key. `None` where authentik
/// refuses it, or would fail because it is beyond Python's `timedelta`.
pub fn parse_timedelta(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] = [
        ("microseconds", 1e-6),
        ("milliseconds", 1e-3),
        ("seconds", 1.0),
        ("minutes", 60.0),
        ("hours", 3600.0),
        ("days", 86_400.0),
        ("weeks", 604_800.0),
    ];
    const MOST_SECONDS: f64 = 999_999_999.0 * 86_400.0;
    let mut given = [None; UNITS.len()];
    for part in text.split(';') {
        let (key, value) = part.split_once('=')?;
        if value.contains('=') {
            return None;
        }
        if let Some(unit) = UNITS.iter().position(|(name, _)| *name == key.to_lowercase()) {
            given[unit] = Some(python::float(value)?);
        }
    }
    if given.iter().all(Option::is_none) {
        return None;
    }
    let seconds: f64 = given.iter().zip(UNITS).filter_map(|(value, (_, size))| value.map(|v| v * size)).sum();
    if !seconds.is_finite() || seconds.abs() > MOST_SECONDS {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most 8.64e19 µs was checked to fit before rounding"
    )]
    let microseconds = (seconds * 1e6).round() as i128;
    let whole = i64::try_from(microseconds.div_euclid(1_000_000)).ok()?;
    let rest = u32::try_from(microseconds.rem_euclid(1_000_000)).ok()?;
    Duration::new(whole, rest * 1000)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("minutes=30", Some(1800.0))]
    #[case("hours=3;minutes=1", Some(10_860.0))]
    #[case("HOURS=1", Some(3600.0))]
    #[case("minutes=1;minutes=2", Some(120.0))]
    #[case("minutes=1;foo=2", Some(60.0))]
    #[case("minutes=-1.5", Some(-90.0))]
    #[case("minutes= 5 ", Some(300.0))]
    #[case("seconds=1e3", Some(1000.0))]
    #[case("hours=3,minutes=17,seconds=300", None)]
    #[case("minutes", None)]
    #[case("minutes=", None)]
    #[case("foo=1", None)]
    #[case("minutes = 5", None)]
    #[case("minutes=5;", None)]
    #[case("minutes=1=2", None)]
    #[case("hours=nan", None)]
    #[case("hours=inf", None)]
    #[case("days=1e9", None)]
    #[case("weeks=1e300", None)]
    fn follows_authentik(#[case] text: &str, #[case] seconds: Option<f64>) {
        let parsed = parse_timedelta(text).map(Duration::as_seconds_f64);
        assert_eq!(parsed, seconds);
    }
}
