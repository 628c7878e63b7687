//! `?search=`: what it looks through, and its terms, as Django REST framework splits them.

use std::collections::HashSet;

use super::field::Target;
use super::params::Query;
use super::{messages, python};

/// A text that `?search=` looks through.
#[derive(Debug, Clone, Copy)]
pub struct Searched {
    /// The column: of the resource's table (`t.…`), of its parent (`p.…`), or of the row that [`Self::of`] points at.
    pub column: &'static str,
    /// The foreign key of the resource's table and where it points, for the text of another row.
    pub of: Option<(&'static str, &'static Target)>,
    /// What the column holds.
    pub kind: Kind,
}

/// What a searched column holds. PostgreSQL prints it, and the print is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// `timestamp with time zone`
    DateTime,
    /// `uuid`
    Uuid,
    /// `boolean`
    Boolean,
}

impl Searched {
    /// A text of the row itself, or of its parent.
    pub const fn text(column: &'static str) -> Self {
        Self { column, of: None, kind: Kind::Text }
    }

    /// Something of the row that PostgreSQL prints.
    pub const fn printed(column: &'static str, kind: Kind) -> Self {
        Self { column, of: None, kind }
    }

    /// A text of the row that the foreign key `link` points at.
    pub const fn of(link: &'static str, target: &'static Target, column: &'static str) -> Self {
        Self { column, of: Some((link, target)), kind: Kind::Text }
    }

    /// Whether the term can be part of it at all. Only ASCII tells: PostgreSQL may make an ASCII letter of another one.
    pub fn may_contain(&self, term: &str) -> bool {
        let printed = match self.kind {
            Kind::Text => return true,
            Kind::DateTime => "0123456789-:. +INFTYBC", // `infinity` and `BC` included
            Kind::Uuid => "0123456789ABCDEF-",
            Kind::Boolean => "TRUEFALS",
        };
        term.chars().all(|c| !c.is_ascii() || printed.contains(c.to_ascii_uppercase()))
    }
}

/// The terms of `?search=`: split at white space and commas, quoted phrases kept together. A term counts once.
///
/// # Errors
/// The value holds a NUL character, or more than `most` terms.
pub fn terms(query: &Query, most: usize) -> Result<Vec<String>, String> {
    let given = query.last("search").unwrap_or_default();
    if given.contains('\0') {
        return Err(messages::NULL_CHARACTERS.to_owned());
    }
    let mut terms = split(given);
    let mut seen = HashSet::new();
    terms.retain(|term| seen.insert(term.clone()));
    if terms.len() > most { Err(messages::too_many_terms(most)) } else { Ok(terms) }
}

fn split(given: &str) -> Vec<String> {
    let mut terms = Vec::new();
    for token in smart_split(given) {
        let token = token.trim_matches(',');
        let quote = token.chars().next().filter(|c| matches!(c, '"' | '\''));
        match quote {
            Some(quote) if token.ends_with(quote) => {
                let inner = token.get(1..token.len() - 1).unwrap_or_default();
                terms.push(inner.replace(&format!("\\{quote}"), &quote.to_string()).replace("\\\\", "\\"));
            }
            _ => terms.extend(
                token.split(',').filter(|term| !term.is_empty()).map(|term| python::strip(term).to_owned()),
            ),
        }
    }
    terms
}

/// Django's `smart_split`: tokens between white space, where a quoted stretch may hold white space. A token with such a
/// stretch ends before a quote that nothing closes.
fn smart_split(text: &str) -> Vec<&str> {
    let (mut tokens, mut unclosed) = (Vec::new(), HashSet::new());
    let mut rest = text.trim_start_matches(python::is_space);
    while !rest.is_empty() {
        let end = token_end(rest, &mut unclosed);
        let (token, behind) = rest.split_at(end);
        tokens.push(token);
        rest = behind.trim_start_matches(python::is_space);
    }
    tokens
}

/// Bytes of the token that `text` begins with. No quote that is `unclosed` has another one behind it that could close it:
/// to look for it again from each token would take long.
fn token_end(text: &str, unclosed: &mut HashSet<char>) -> usize {
    let is_quote = |c: char| matches!(c, '"' | '\'');
    let plain = |from: usize| {
        text[from..].find(|c| is_quote(c) || python::is_space(c)).map_or(text.len(), |length| from + length)
    };
    let (mut end, mut quoted) = (plain(0), false);
    while let Some(quote) = text[end..].chars().next().filter(|c| is_quote(*c) && !unclosed.contains(c)) {
        match closing_quote(&text[end + 1..], quote) {
            Closing::At(length) => (end, quoted) = (plain(end + 1 + length + 1), true),
            Closing::Broken => break,
            Closing::Nowhere => {
                unclosed.insert(quote);
            }
        }
    }
    if quoted { end } else { text.find(python::is_space).unwrap_or(text.len()) }
}

/// What closes a phrase.
enum Closing {
    /// A quote behind so many bytes.
    At(usize),
    /// Nothing: a backslash before a line feed.
    Broken,
    /// Nothing, up to the end.
    Nowhere,
}

fn closing_quote(text: &str, quote: char) -> Closing {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '\n' if escaped => return Closing::Broken,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Closing::At(at),
            _ => {}
        }
    }
    Closing::Nowhere
}

/// A pattern for LIKE that finds `term` anywhere.
pub fn contains_pattern(term: &str) -> String {
    format!("%{}%", escape_like(term))
}

/// What LIKE takes for `text` itself.
pub fn escape_like(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a b", &["a", "b"])]
    #[case("a,b ,c", &["a", "b", "c"])]
    #[case("\"a b\" c", &["a b", "c"])]
    #[case("'", &[""])]
    #[case("\"open", &["\"open"])]
    #[case("'it\\'s'", &["it's"])]
    #[case("a\"\"%\"", &["a\"\"%", ""])]
    #[case("\"a b\"c\"d e", &["\"a b\"c", "\"d", "e"])]
    #[case("b\x1c'", &["b", ""])]
    #[case("\"a\\\nb\"", &["\"a\\", "b\""])]
    #[case("  ", &[])]
    fn splits_search(#[case] text: &str, #[case] expected: &[&str]) {
        assert_eq!(split(text), expected);
    }

    #[test]
    fn a_term_counts_once_and_there_may_be_so_many() {
        let query = Query::parse(Some("search=a b a"));
        assert_eq!(terms(&query, 2), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(terms(&query, 1), Err("Search for no more than 1 terms.".to_owned()));
    }

    #[rstest]
    #[case(Kind::DateTime, "2026-11", true)]
    #[case(Kind::DateTime, "x", false)]
    #[case(Kind::Uuid, "aB-0", true)]
    #[case(Kind::Uuid, "g", false)]
    #[case(Kind::Boolean, "rue", true)]
    #[case(Kind::Boolean, "1", false)]
    #[case(Kind::Uuid, "\u{131}", true)]
    fn knows_what_cannot_be_there(#[case] kind: Kind, #[case] term: &str, #[case] may: bool) {
        assert_eq!(Searched::printed("t.x", kind).may_contain(term), may);
    }
}
