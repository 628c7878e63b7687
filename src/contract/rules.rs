//! authentik's rules on values, for `#[validate(custom(function = …))]`; see [`drf::rules`].

use drf::rules::invalid;
use validator::ValidationError;

use super::duration::parse_timedelta;
use super::messages;

/// authentik's duration text, see [`parse_timedelta`].
///
/// # Errors
/// `<value> is not in the correct format of 'hours=3;minutes=1'.`
pub fn timedelta(value: &str) -> Result<(), ValidationError> {
    match parse_timedelta(value) {
        Some(_) => Ok(()),
        None => Err(invalid(messages::invalid_timedelta(value))),
    }
}

/// authentik's rule for the path of a user, such as `users/invited`.
///
/// # Errors
/// `No leading or trailing slashes allowed.` or `No empty segments in user path allowed.`
pub fn user_path(value: &str) -> Result<(), ValidationError> {
    if value.starts_with('/') || value.ends_with('/') {
        Err(invalid(messages::SLASH_AROUND))
    } else if value.contains("//") {
        Err(invalid(messages::EMPTY_SEGMENT))
    } else {
        Ok(())
    }
}

/// Where addresses of background images begin; anything else is the name of a media file.
const ADDRESSES: [&str; 4] = ["http://", "https://", "fa://", "/static/"];
/// The placeholder for a theme's name in the name of a media file.
pub const THEME: &str = "%(theme)s";

/// Whether a background is an address rather than the name of a media file.
pub fn is_address(background: &str) -> bool {
    ADDRESSES.iter().any(|start| background.starts_with(start))
}

/// A background is an address or the name of a media file, in which [`THEME`] stands for `light` and `dark`.
///
/// # Errors
/// A sentence that says what is wrong with the name.
pub fn background(background: &str) -> Result<(), ValidationError> {
    if background.is_empty() || is_address(background) {
        return Ok(());
    }
    let name = background.replace(THEME, "");
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._/-".contains(&b);
    let sentence = if !name.bytes().all(plain) {
        messages::INVALID_FILE_NAME
    } else if name.contains("//") {
        messages::DOUBLE_SLASH
    } else if name.starts_with('/') {
        messages::ABSOLUTE_PATH
    } else if name.contains("..") {
        messages::PARENT_DIRECTORY
    } else {
        return Ok(());
    };
    Err(invalid(sentence))
}
