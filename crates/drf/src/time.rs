//! Points in time: what Django reads and what Python prints.

use chrono::{
    DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc, Weekday,
};
use serde::Serializer;

use super::python;

/// Why a text is no point in time.
#[derive(Debug, PartialEq, Eq)]
pub enum NotATime {
    /// Not ISO 8601, or no such day.
    Format,
    /// Outside the years 1 to 9999 once in UTC.
    Range,
}

/// Read a point in time as `django.utils.dateparse.parse_datetime` does: by Python's `datetime.fromisoformat`, and what
/// that refuses by Django's own expression. No zone is UTC, digits beyond the microsecond are dropped.
///
/// # Errors
/// [`NotATime`]
pub fn parse(text: &str) -> Result<DateTime<Utc>, NotATime> {
    let (naive, offset) = from_iso_format(text).or_else(|| by_expression(text)).ok_or(NotATime::Format)?;
    let utc = naive.checked_sub_signed(offset).ok_or(NotATime::Range)?;
    if (1..=9999).contains(&utc.year()) { Ok(utc.and_utc()) } else { Err(NotATime::Range) }
}

/// A time of day: hours, minutes, seconds, microseconds.
type Clock = [u32; 4];

/// `datetime.fromisoformat`: a date, and perhaps any one character, a clock and a zone behind it, all in full width.
fn from_iso_format(text: &str) -> Option<(NaiveDateTime, Duration)> {
    let (date, rest) = text.split_at_checked(iso_date_length(text.as_bytes())?)?;
    let date = iso_date(date)?;
    let mut rest = rest.chars();
    if rest.next().is_none() {
        return Some((date.and_time(NaiveTime::MIN), Duration::zero()));
    }
    let rest = rest.as_str();
    let (clock, zone) = rest.split_at(rest.find(['+', '-', 'Z']).unwrap_or(rest.len()));
    let offset = match zone {
        "" | "Z" => Duration::zero(),
        _ => offset(zone, iso_clock(zone.strip_prefix(['+', '-'])?)?)?,
    };
    Some((date.and_time(time_of_day(iso_clock(clock)?)?), offset))
}

/// Where the date ends. A week of a year may be followed by a day or by a clock: Python takes its guess.
fn iso_date_length(text: &[u8]) -> Option<usize> {
    let at = |place: usize| text.get(place).copied().unwrap_or_default();
    Some(match (at(4), at(5)) {
        (b'-', b'W') => match at(8) {
            b'-' if text.len() == 9 => return None,
            b'-' if at(10).is_ascii_digit() => 8,
            b'-' => 10,
            _ => 8,
        },
        (b'-', _) => 10,
        (b'W', _) => {
            let digits = text.iter().skip(7).take_while(|byte| byte.is_ascii_digit()).count();
            match digits {
                0 | 1 => 7 + digits,
                _ => 7 + (7 + digits) % 2,
            }
        }
        _ => 8,
    })
}

/// `YYYY-MM-DD` or `YYYY-Www[-D]`, or one of them without dashes.
fn iso_date(text: &str) -> Option<NaiveDate> {
    let (year, rest) = digits(text, 4, 4)?;
    let year = i32::try_from(year).ok().filter(|year| *year >= 1)?;
    let dash = if rest.starts_with('-') { "-" } else { "" };
    let rest = rest.strip_prefix(dash)?;
    let Some(rest) = rest.strip_prefix('W') else {
        let (month, rest) = digits(rest, 2, 2)?;
        let (day, rest) = digits(rest.strip_prefix(dash)?, 2, 2)?;
        return NaiveDate::from_ymd_opt(year, month, day).filter(|_| rest.is_empty());
    };
    let (week, rest) = digits(rest, 2, 2)?;
    let (day, rest) = if rest.is_empty() { (1, rest) } else { digits(rest.strip_prefix(dash)?, 1, 1)? };
    let day = u8::try_from(day).ok()?.checked_sub(1)?;
    let date = NaiveDate::from_isoywd_opt(year, week, Weekday::try_from(day).ok()?)?;
    (rest.is_empty() && date.year() <= 9999).then_some(date)
}

/// `HH[:MM[:SS[.f…]]]`, or without the colons.
fn iso_clock(text: &str) -> Option<Clock> {
    let mut clock = [0; 4];
    let (hours, mut rest) = digits(text, 2, 2)?;
    clock[0] = hours;
    let colon = if rest.starts_with(':') { ":" } else { "" };
    for part in &mut clock[1..3] {
        if rest.is_empty() {
            return Some(clock);
        }
        (*part, rest) = digits(rest.strip_prefix(colon)?, 2, 2)?;
    }
    if !rest.is_empty() {
        clock[3] = microseconds(rest.strip_prefix(['.', ',']).or((colon.is_empty()).then_some(rest))?)?;
    }
    Some(clock)
}

/// Django's expression: `YYYY-M-D`, a `T` or a blank, `H:M[:S[.f…]]`, and perhaps blanks and a zone.
fn by_expression(text: &str) -> Option<(NaiveDateTime, Duration)> {
    let (year, rest) = digits(text, 4, 4)?;
    let (month, rest) = digits(rest.strip_prefix('-')?, 1, 2)?;
    let (day, rest) = digits(rest.strip_prefix('-')?, 1, 2)?;
    let (hours, rest) = digits(rest.strip_prefix(['T', ' '])?, 1, 2)?;
    let (minutes, mut rest) = digits(rest.strip_prefix(':')?, 1, 2)?;
    let mut clock = [hours, minutes, 0, 0];
    if let Some(seconds) = rest.strip_prefix(':') {
        (clock[2], rest) = digits(seconds, 1, 2)?;
        if let Some(fraction) = rest.strip_prefix(['.', ',']) {
            let length = fraction.bytes().take(12).take_while(u8::is_ascii_digit).count();
            clock[3] = microseconds(&fraction[..length])?;
            rest = &fraction[length..];
        }
    }
    let zone = rest.trim_start_matches(python::is_space);
    let offset = match zone.strip_suffix('\n').unwrap_or(zone) {
        "" | "Z" => Duration::zero(),
        zone => {
            let (hours, rest) = digits(zone.strip_prefix(['+', '-'])?, 2, 2)?;
            let rest = rest.strip_prefix(':').filter(|rest| !rest.is_empty()).unwrap_or(rest);
            let (minutes, rest) = if rest.is_empty() { (0, rest) } else { digits(rest, 2, 2)? };
            offset(zone, [hours, minutes, 0, 0]).filter(|_| rest.is_empty())?
        }
    };
    let year = i32::try_from(year).ok().filter(|year| *year >= 1)?;
    Some((NaiveDate::from_ymd_opt(year, month, day)?.and_time(time_of_day(clock)?), offset))
}

fn time_of_day([hours, minutes, seconds, microseconds]: Clock) -> Option<NaiveTime> {
    // To chrono a leap second is the microsecond after the last one of a minute, and there is none here.
    NaiveTime::from_hms_micro_opt(hours, minutes, seconds, microseconds)
}

/// The distance of a `zone` from UTC, less than a day. It begins with the sign.
fn offset(zone: &str, [hours, minutes, seconds, microseconds]: Clock) -> Option<Duration> {
    let seconds = i64::from(hours) * 3600 + i64::from(minutes) * 60 + i64::from(seconds);
    let distance = Duration::seconds(seconds) + Duration::microseconds(microseconds.into());
    (distance < Duration::days(1)).then_some(if zone.starts_with('-') { -distance } else { distance })
}

/// The digits behind a decimal point.
fn microseconds(digits: &str) -> Option<u32> {
    let all = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| format!("{digits:0<6}")[..6].parse().ok())?
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
    #[case("2030-01-02x03", "2030-01-02T03:00:00Z")]
    #[case("2030-01-02ü030405123", "2030-01-02T03:04:05.123000Z")]
    #[case("2030-W01-3", "2030-01-02T00:00:00Z")]
    #[case("2030W01", "2029-12-31T00:00:00Z")]
    #[case("2030W013T03", "2030-01-02T03:00:00Z")]
    #[case("2030-W01-03", "2029-12-31T03:00:00Z")]
    #[case("2030-01-02T03:04:05+02:00:05.5", "2030-01-02T01:03:59.500000Z")]
    #[case("2030-1-2 3:4 +02", "2030-01-02T01:04:00Z")]
    #[case("2030-1-2 3:4:5,5\n", "2030-01-02T03:04:05.500000Z")]
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
    #[case("2030-1-2")]
    #[case("20300102T3:04")]
    #[case("2030-01-02T  03:04")]
    #[case("2030-01-02T03:04:05z")]
    #[case("2030-01-02T03:04+24:00")]
    #[case("2030-1-2x03:04")]
    #[case("2030-01-02T03:04\u{2212}02:00")]
    #[case("2030-W54-1")]
    #[case("2030-W01-8")]
    #[case("2030-W01-0")]
    #[case("9999-W52-7")]
    fn refuses(#[case] text: &str) {
        assert_eq!(parse(text), Err(NotATime::Format));
    }

    #[test]
    fn years_beyond_the_calendar_are_out_of_range() {
        assert_eq!(parse("0001-01-01T00:00:00+01:00"), Err(NotATime::Range));
        assert_eq!(parse("9999-12-31T23:59:59-01:00"), Err(NotATime::Range));
    }
}
