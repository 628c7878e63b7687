//! Points in time: what Django reads and what Python prints.

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};
use serde::Serializer;

/// Why a text is no point in time.
#[derive(Debug, PartialEq, Eq)]
pub enum NotATime {
    /// Not ISO 8601, or no such day.
    Format,
    /// Outside the years 1 to 9999 once in UTC.
    Range,
}

/// Read ISO 8601 as `django.utils.dateparse.parse_datetime` does: date only is midnight, no zone is UTC, digits
/// beyond the microsecond are dropped, single-digit fields are fine.
///
/// # Errors
/// [`NotATime`]
pub fn parse(text: &str) -> Result<DateTime<Utc>, NotATime> {
    let (date, rest) = split_date(text).ok_or(NotATime::Format)?;
    let mut chars = rest.chars();
    let naive = match chars.next() {
        None => return in_range(date.and_time(NaiveTime::MIN), 0),
        Some(_) => chars.as_str().trim_start(),
    };
    let (clock, zone) = split_zone(naive).ok_or(NotATime::Format)?;
    let time = parse_time(clock).ok_or(NotATime::Format)?;
    in_range(date.and_time(time), zone)
}

fn in_range(naive: NaiveDateTime, offset_seconds: i64) -> Result<DateTime<Utc>, NotATime> {
    let utc = naive.checked_sub_signed(Duration::seconds(offset_seconds)).ok_or(NotATime::Range)?;
    if (1..=9999).contains(&utc.year()) { Ok(utc.and_utc()) } else { Err(NotATime::Range) }
}

/// `YYYY-M-D` or `YYYYMMDD`, and what is behind it.
fn split_date(text: &str) -> Option<(NaiveDate, &str)> {
    let (year, rest) = digits(text, 4, 4)?;
    let (month, day, rest) = if let Some(rest) = rest.strip_prefix('-') {
        let (month, rest) = digits(rest, 1, 2)?;
        let (day, rest) = digits(rest.strip_prefix('-')?, 1, 2)?;
        (month, day, rest)
    } else {
        let (month, rest) = digits(rest, 2, 2)?;
        let (day, rest) = digits(rest, 2, 2)?;
        (month, day, rest)
    };
    let year = i32::try_from(year).ok().filter(|year| *year >= 1)?;
    Some((NaiveDate::from_ymd_opt(year, month, day)?, rest))
}

/// The clock and the offset from UTC in seconds.
fn split_zone(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = text.rfind(['+', '-']) else {
        return Some((text, 0));
    };
    let (hours, rest) = digits(&text[at + 1..], 2, 2)?;
    let (minutes, rest) =
        if rest.is_empty() { (0, rest) } else { digits(rest.strip_prefix(':').unwrap_or(rest), 2, 2)? };
    let seconds = i64::from(hours) * 3600 + i64::from(minutes) * 60;
    (rest.is_empty() && hours < 24 && minutes < 60)
        .then_some((&text[..at], if text.as_bytes()[at] == b'-' { -seconds } else { seconds }))
}

/// `H:M[:S[.f…]]`, `HHMM[SS[.f…]]` or `HH`
fn parse_time(text: &str) -> Option<NaiveTime> {
    let (clock, fraction) = text.split_once(['.', ',']).map_or((text, None), |(clock, f)| (clock, Some(f)));
    let fields: Vec<u32> = if clock.contains(':') {
        clock
            .split(':')
            .map(|field| digits(field, 1, 2).filter(|(_, rest)| rest.is_empty()).map(|(n, _)| n))
            .collect::<Option<_>>()?
    } else {
        let even = clock.len().is_multiple_of(2) && clock.is_ascii();
        even.then(|| {
            clock
                .as_bytes()
                .chunks(2)
                .map(|pair| digits(str::from_utf8(pair).ok()?, 2, 2).map(|(n, _)| n))
                .collect::<Option<Vec<_>>>()
        })??
    };
    let microseconds = match fraction {
        None => 0,
        Some(text) if fields.len() == 3 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{text:0<6}")[..6].parse().ok()?
        }
        Some(_) => return None,
    };
    match fields[..] {
        [hour] => NaiveTime::from_hms_opt(hour, 0, 0),
        [hour, minute] => NaiveTime::from_hms_opt(hour, minute, 0),
        [hour, minute, second] if second < 60 => {
            NaiveTime::from_hms_micro_opt(hour, minute, second, microseconds)
        }
        _ => None,
    }
}

/// A number of `least` to `most` digits, and what is behind it.
fn digits(text: &str, least: usize, most: usize) -> Option<(u32, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    (count >= least).then(|| Some((text[..count].parse().ok()?, &text[count..])))?
}

/// As Python's `isoformat()` with `Z` for UTC: no fraction, or six digits.
pub fn format(instant: &DateTime<Utc>) -> String {
    let precision =
        if instant.timestamp_subsec_micros() == 0 { SecondsFormat::Secs } else { SecondsFormat::Micros };
    instant.to_rfc3339_opts(precision, true)
}

/// As Python's `str()`, in UTC.
pub fn python_str(instant: &DateTime<Utc>) -> String {
    format(instant).replace('T', " ").replace('Z', "+00:00")
}

/// For `#[serde(serialize_with)]` on a point in time.
pub fn serialize<S: Serializer>(instant: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(instant))
}

/// For `#[serde(serialize_with)]` on a point in time or `null`.
pub fn serialize_option<S: Serializer>(
    instant: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match instant {
        Some(instant) => serialize(instant, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("2030-01-02T03:04:05Z", "2030-01-02T03:04:05Z")]
    #[case("2030-01-02T03:04:05.123456789Z", "2030-01-02T03:04:05.123456Z")]
    #[case("2030-01-02T03:04:05.5Z", "2030-01-02T03:04:05.500000Z")]
    #[case("2030-01-02T03:04:05+02:00", "2030-01-02T01:04:05Z")]
    #[case("2030-01-02T03:04:05-0230", "2030-01-02T05:34:05Z")]
    #[case("2030-01-02 03:04", "2030-01-02T03:04:00Z")]
    #[case("2030-1-2T3:4:5", "2030-01-02T03:04:05Z")]
    #[case("20300102T030405", "2030-01-02T03:04:05Z")]
    #[case("2030-01-02", "2030-01-02T00:00:00Z")]
    #[case("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z")]
    fn reads_and_prints(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(format(&parse(text).unwrap()), expected);
    }

    #[test]
    fn prints_as_python_does() {
        assert_eq!(python_str(&parse("2030-01-02T03:04:05Z").unwrap()), "2030-01-02 03:04:05+00:00");
        assert_eq!(python_str(&parse("2030-01-02T03:04:05.5Z").unwrap()), "2030-01-02 03:04:05.500000+00:00");
    }

    #[rstest]
    #[case("")]
    #[case("tomorrow")]
    #[case("2030-02-30T00:00:00Z")]
    #[case("2030-13-01T00:00:00Z")]
    #[case("2030-01-02T25:00:00Z")]
    #[case("2030-01-02T00:00:60Z")]
    #[case("2030-01-02T00:00:00ü")]
    #[case("0000-01-01")]
    #[case("2030-01-02T")]
    fn refuses(#[case] text: &str) {
        assert_eq!(parse(text), Err(NotATime::Format));
    }

    #[test]
    fn years_beyond_the_calendar_are_out_of_range() {
        assert_eq!(parse("0001-01-01T00:00:00+01:00"), Err(NotATime::Range));
        assert_eq!(parse("9999-12-31T23:59:59-01:00"), Err(NotATime::Range));
    }
}
