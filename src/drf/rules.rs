//! Rules on values for `#[validate(custom(function = …))]`. The shape of a value (type, range, length, choice) is
//! checked from the field table before any of these run.
//!
//! The error carries the finished sentence and nothing else: `validator` would add the offending value to its
//! parameters, and that value may be a password.

use std::borrow::Cow;

use chrono::Duration;
use validator::ValidationError;

use super::{email as address, messages, python};

fn invalid(code: &'static str, sentence: impl Into<Cow<'static, str>>) -> ValidationError {
    ValidationError::new(code).with_message(sentence.into())
}

/// Django's `EmailValidator`. Like all of them it isn't asked about an empty text: whether that may be is the field's
/// to say.
///
/// # Errors
/// `Enter a valid email address.`
pub fn email(value: &str) -> Result<(), ValidationError> {
    if value.is_empty() || address::is_valid(value) {
        Ok(())
    } else {
        Err(invalid("invalid", messages::NOT_AN_EMAIL))
    }
}

/// Django's `validate_slug`: ASCII letters, digits, `-` and `_`.
///
/// # Errors
/// `Enter a valid “slug” …`
pub fn slug(value: &str) -> Result<(), ValidationError> {
    if is_slug(value) { Ok(()) } else { Err(invalid("invalid", messages::NOT_A_SLUG)) }
}

/// The same rule in the words of DRF's `SlugField`.
///
/// # Errors
/// `Enter a valid "slug" …`
pub fn slug_field(value: &str) -> Result<(), ValidationError> {
    if is_slug(value) { Ok(()) } else { Err(invalid("invalid", messages::NOT_A_SLUG_FIELD)) }
}

fn is_slug(value: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !value.is_empty() && value.bytes().all(fits)
}

/// authentik's duration text, see [`parse_timedelta`].
///
/// # Errors
/// `<value> is not in the correct format of 'hours=3;minutes=1'.`
pub fn timedelta(value: &str) -> Result<(), ValidationError> {
    match parse_timedelta(value) {
        Some(_) => Ok(()),
        None => Err(invalid("invalid", messages::invalid_timedelta(value))),
    }
}

/// authentik's rule for the path of a user, such as `users/invited`.
///
/// # Errors
/// `No leading or trailing slashes allowed.` or `No empty segments in user path allowed.`
pub fn user_path(value: &str) -> Result<(), ValidationError> {
    if value.starts_with('/') || value.ends_with('/') {
        Err(invalid("invalid", messages::SLASH_AROUND))
    } else if value.contains("//") {
        Err(invalid("invalid", messages::EMPTY_SEGMENT))
    } else {
        Ok(())
    }
}

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
