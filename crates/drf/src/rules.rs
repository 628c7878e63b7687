//! Rules on values for `#[validate(custom(function = …))]`. The shape of a value (type, range, length, choice) is
//! checked from the field table before any of these run.
//!
//! The error carries the finished sentence and nothing else: `validator` would add the offending value to its
//! parameters, and that value may be a password.

use std::borrow::Cow;

use validator::ValidationError;

use super::{email as address, messages};

/// The error of a rule, with its sentence.
pub fn invalid(sentence: impl Into<Cow<'static, str>>) -> ValidationError {
    ValidationError::new("invalid").with_message(sentence.into())
}

/// Django's `EmailValidator`. Like all of them it isn't asked about an empty text: whether that may be is the field's
/// to say.
///
/// # Errors
/// `Enter a valid email address.`
pub fn email(value: &str) -> Result<(), ValidationError> {
    if value.is_empty() || address::is_valid(value) { Ok(()) } else { Err(invalid(messages::NOT_AN_EMAIL)) }
}

/// Django's `validate_slug`: ASCII letters, digits, `-` and `_`.
///
/// # Errors
/// `Enter a valid “slug” …`
pub fn slug(value: &str) -> Result<(), ValidationError> {
    if is_slug(value) { Ok(()) } else { Err(invalid(messages::NOT_A_SLUG)) }
}

/// The same rule in the words of DRF's `SlugField`.
///
/// # Errors
/// `Enter a valid "slug" …`
pub fn slug_field(value: &str) -> Result<(), ValidationError> {
    if is_slug(value) { Ok(()) } else { Err(invalid(messages::NOT_A_SLUG_FIELD)) }
}

fn is_slug(value: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !value.is_empty() && value.bytes().all(fits)
}
