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

/// The languages that an `Accept-Language` header names, the most wanted first; those that it refuses and `*` are left out.
pub fn languages(accept_language: &str) -> Vec<&str> {
    let wanted = accept_language.split(',').filter_map(|range| {
        let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
        let quality = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("q="));
        let quality: f32 = quality.map_or(Some(1.0), |text| text.trim().parse().ok())?;
        Some((tag.trim(), quality)).filter(|(tag, quality)| !matches!(*tag, "" | "*") && *quality > 0.0)
    });
    let mut wanted: Vec<_> = wanted.collect();
    wanted.sort_by(|one, other| other.1.total_cmp(&one.1)); // stable: of equals the first is meant
    wanted.into_iter().map(|(tag, _)| tag).collect()
}

/// Whether a `Content-Type` is JSON's. Parameters such as `charset` don't matter.
pub fn is_json(content_type: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}
