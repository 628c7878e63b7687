//! Content negotiation: one renderer and one parser, both `application/json`.

use axum::http::{HeaderMap, header};

use super::messages;
use super::params::Query;
use crate::error::ApiError;

/// Whether the client takes JSON.
///
/// # Errors
/// 404 for an unknown `?format=`, 406 for an `Accept` that JSON doesn't satisfy.
pub fn accept(headers: &HeaderMap, query: &Query) -> Result<(), ApiError> {
    if let Some(format) = query.last("format").filter(|format| !format.is_empty()) {
        return match format {
            "json" => Ok(()),
            _ => Err(ApiError::NotFound(messages::NOT_FOUND.into())),
        };
    }
    let mut ranges = headers.get_all(header::ACCEPT).iter().peekable();
    if ranges.peek().is_none() {
        return Ok(());
    }
    let takes_json =
        ranges.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|range| {
            let media_type = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            matches!(media_type.as_str(), "*/*" | "application/*" | "application/json" | "")
        });
    if takes_json { Ok(()) } else { Err(ApiError::NotAcceptable) }
}

/// Whether the body says that it is JSON. Parameters such as `charset` don't matter.
///
/// # Errors
/// 415
pub fn content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = given.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(ApiError::UnsupportedMediaType(given.to_owned()))
    }
}
