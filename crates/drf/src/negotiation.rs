//! Content negotiation: one renderer and one parser, both `application/json`.

use super::params::Query;

/// Why a request's wishes can't be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// `?format=` names a renderer that there isn't.
    UnknownFormat,
    /// No media type of `Accept` is JSON's.
    NotAcceptable,
}

/// Whether the client takes JSON; `accept` are the values of its `Accept` headers.
///
/// # Errors
/// It doesn't.
pub fn accept<'a>(accept: impl Iterator<Item = &'a str>, query: &Query) -> Result<(), Refusal> {
    if let Some(format) = query.last("format").filter(|format| !format.is_empty()) {
        return if format == "json" { Ok(()) } else { Err(Refusal::UnknownFormat) };
    }
    let mut ranges = accept.peekable();
    if ranges.peek().is_none() {
        return Ok(());
    }
    let takes_json = ranges.flat_map(|value| value.split(',')).any(|range| {
        let media_type = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        matches!(media_type.as_str(), "*/*" | "application/*" | "application/json" | "")
    });
    if takes_json { Ok(()) } else { Err(Refusal::NotAcceptable) }
}

/// Whether a `Content-Type` is JSON's. Parameters such as `charset` don't matter.
pub fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}
