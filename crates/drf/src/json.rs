//! JSON as orjson reads it: its limits and its sentences.
//!
//! `serde_json` stops at 128 levels of nesting, orjson at 1024, so the depth is checked before parsing.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::body::{NUMBERS_TOO_LONG, TOO_MANY_VALUES};
use super::transcode;

/// Levels of arrays and objects that a body may have.
const MAX_DEPTH: usize = 1024;

/// Parse a request body.
///
/// # Errors
/// orjson's sentence, such as `unexpected character: line 1 column 2 (char 1)`.
pub fn parse(bytes: &[u8]) -> Result<Value, String> {
    read(bytes, PhantomData::<Value>)
}

/// A stored JSON object (`jsonb` as PostgreSQL prints it) as answers print it, without a tree in between.
///
/// # Errors
/// As [`parse`]; and it may be no object.
pub fn reprint(stored: &[u8]) -> Result<String, String> {
    read(stored, transcode::Object)
}

/// The value of an entry of an object, as text: of the last that has this name. None for what is no object.
pub fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    serde_json::Deserializer::from_str(object).deserialize_map(Member(name)).ok().flatten()
}

/// See [`member`].
struct Member<'n>(&'n str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = entries.next_key::<String>()? {
            let value: &RawValue = entries.next_value()?;
            if name == self.0 {
                found = Some(value.get());
            }
        }
        Ok(found)
    }
}

/// Read what `seed` makes of a body.
///
/// # Errors
/// As [`parse`].
pub(crate) fn read<'de, S: DeserializeSeed<'de>>(bytes: &'de [u8], seed: S) -> Result<S::Value, String> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
        located("str is not valid UTF-8: surrogates not allowed", &before, before.len())
    })?;
    if let Some(offset) = too_deep(text) {
        return Err(located("array and object recursion depth exceeded", text, offset));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.disable_recursion_limit();
    seed.deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| explain(text, &error))
}

/// Byte offset behind the bracket that opens one level too many.
fn too_deep(text: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (offset, byte) in text.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Some(offset + 1);
        }
    }
    None
}

/// Put serde's error into orjson's words. Where serde has no counterpart the sentence is the general one.
fn explain(text: &str, error: &serde_json::Error) -> String {
    let line_start: usize =
        text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let at = (line_start + error.column().saturating_sub(1)).min(text.len());
    if error.classify() == Category::Eof {
        return located("unexpected end of data", text, text.len());
    }
    let message = error.to_string();
    let (sentence, at) = if message.starts_with("trailing comma") {
        ("trailing comma is not allowed", text[..floor(text, at)].rfind(',').unwrap_or(at))
    } else if message.contains("surrogate") || message.starts_with("unexpected end of hex escape") {
        ("no low surrogate in string", at)
    } else if message.starts_with("control character") {
        ("unexpected control character in string", at)
    } else if message.starts_with("invalid escape") {
        ("invalid escaped character in string", at)
    } else if message.starts_with("number out of range") {
        ("number is infinity when parsed as double", at)
    } else if message.starts_with(TOO_MANY_VALUES) {
        (TOO_MANY_VALUES, at)
    } else if message.starts_with(NUMBERS_TOO_LONG) {
        (NUMBERS_TOO_LONG, at)
    } else if message.starts_with("trailing characters") {
        ("unexpected content after document", at)
    } else {
        ("unexpected character", at)
    };
    located(sentence, text, at)
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// `sentence: line L column C (char N)`, lines and columns from 1, characters from 0.
fn located(sentence: &str, text: &str, at: usize) -> String {
    let before = &text[..floor(text, at)];
    let characters = before.chars().count();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{sentence}: line {line} column {column} (char {characters})")
}

/// Whether a text anywhere in `value`, keys included, holds a NUL, which `jsonb` can't store.
pub fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(map) => map.iter().any(|(key, item)| key.contains('\0') || holds_nul(item)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"{"name": "x",}"#, "trailing comma is not allowed: line 1 column 13 (char 12)")]
    #[case("{'name': 'x'}", "unexpected character: line 1 column 2 (char 1)")]
    #[case("\u{1}\u{2}", "unexpected character: line 1 column 1 (char 0)")]
    #[case(r#"{"name": NaN}"#, "unexpected character: line 1 column 10 (char 9)")]
    #[case(r#"{"name": "\ud800"}"#, "no low surrogate in string: line 1 column 17 (char 16)")]
    #[case(r#"{"name": "x""#, "unexpected end of data: line 1 column 13 (char 12)")]
    fn says_what_orjson_says(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(parse(text.as_bytes()).unwrap_err(), expected);
    }

    #[test]
    fn takes_1024_levels_and_no_more() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse(nested(1024).as_bytes()).is_ok());
        let error = parse(nested(1025).as_bytes()).unwrap_err();
        assert_eq!(error, "array and object recursion depth exceeded: line 1 column 1026 (char 1025)");
    }

    #[rstest]
    #[case(r#"{"a": 1, "b": {"a": 2}}"#, Some("1"))]
    #[case(r#"{"a": 1, "\u0061": [1, 2] }"#, Some("[1, 2]"))]
    #[case(r#"{"b": 1}"#, None)]
    #[case("[1]", None)]
    fn an_entry_is_found_without_a_tree(#[case] object: &str, #[case] expected: Option<&str>) {
        assert_eq!(member(object, "a"), expected);
    }

    #[test]
    fn brackets_in_strings_are_no_levels() {
        assert!(parse(format!("\"{}\"", "[".repeat(3000)).as_bytes()).is_ok());
    }
}
