//! Entity tags (RFC 9110, section 8.8.3): which state of an object or a list an answer shows. A tag is a digest of the
//! answer's body, so every server gives the same one for the same state.
//!
//! A compressed answer has other bytes, and so a tag of its own: that of the plain one with the coding behind. Both name
//! the same state.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

/// What stands behind the tag of an answer that is compressed.
const GZIP: &str = "-gzip";
/// Bytes of the digest that a tag shows: enough that no two states ever have the same one.
const SHOWN: usize = 16;
/// The digits of a tag.
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The strong tag of a plain answer with this body, as an `ETag` header: `"44136fa355b3678a1146ad16f7e8649e"`.
pub fn of(body: &[u8]) -> Option<HeaderValue> {
    let digest = Sha256::digest(body);
    let mut quoted = [b'"'; 2 * SHOWN + 2];
    for (byte, place) in digest.iter().zip(quoted[1..=2 * SHOWN].chunks_exact_mut(2)) {
        place[0] = DIGITS[usize::from(byte >> 4)];
        place[1] = DIGITS[usize::from(byte & 15)];
    }
    HeaderValue::from_bytes(&quoted).ok()
}

/// The tag of the same answer compressed; `None` for a weak tag, which stands for both.
pub fn compressed(plain: &HeaderValue) -> Option<HeaderValue> {
    let opaque = plain.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?;
    HeaderValue::from_str(&format!("\"{opaque}{GZIP}\"")).ok()
}

/// The tags that an `If-Match` or `If-None-Match` header names.
#[derive(Debug, PartialEq, Eq)]
pub enum Named<'h> {
    /// `*`: whatever is there.
    Any,
    /// These.
    Tags(Vec<Tag<'h>>),
}

/// A tag as a client names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag<'h> {
    is_weak: bool,
    /// With its quotes.
    opaque: &'h [u8],
}

/// A header isn't a list of tags.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

impl<'h> Named<'h> {
    /// What the headers of this name say; `None` without one.
    ///
    /// # Errors
    /// It isn't a list of tags.
    pub fn read(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<Self>, Malformed> {
        let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes).peekable();
        let Some(first) = values.peek() else { return Ok(None) };
        if first.trim_ascii() == b"*" {
            return if values.count() == 1 { Ok(Some(Self::Any)) } else { Err(Malformed) };
        }
        let mut tags = Vec::new();
        for value in values {
            read_list(value, &mut tags)?;
        }
        if tags.is_empty() { Err(Malformed) } else { Ok(Some(Self::Tags(tags))) }
    }

    /// Whether one of them is this `ETag` header, by the strong comparison: a weak tag is none.
    pub fn has(&self, header: &HeaderValue) -> bool {
        self.any(|tag| !tag.is_weak && tag.opaque == header.as_bytes())
    }

    /// The same by the weak comparison: it may be said to be weak.
    pub fn has_weakly(&self, header: &HeaderValue) -> bool {
        self.any(|tag| tag.opaque == header.as_bytes())
    }

    fn any(&self, is_it: impl Fn(&Tag<'h>) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(is_it),
        }
    }
}

/// The tags of a list; empty elements don't count (RFC 9110, section 5.6.1.2).
fn read_list<'h>(mut rest: &'h [u8], tags: &mut Vec<Tag<'h>>) -> Result<(), Malformed> {
    loop {
        rest = rest.trim_ascii_start();
        match rest.first() {
            None => return Ok(()),
            Some(b',') => rest = &rest[1..],
            Some(_) => {
                let (tag, behind) = read_tag(rest).ok_or(Malformed)?;
                tags.push(tag);
                rest = behind.trim_ascii_start();
                if !matches!(rest.first(), None | Some(b',')) {
                    return Err(Malformed);
                }
            }
        }
    }
}

/// The tag at the start of a text, and what is behind.
fn read_tag(text: &[u8]) -> Option<(Tag<'_>, &[u8])> {
    let (is_weak, text) = match text.strip_prefix(b"W/") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let length = text.strip_prefix(b"\"")?.iter().position(|byte| *byte == b'"')?;
    let (opaque, behind) = text.split_at(length + 2);
    let is_tag = |byte: &u8| matches!(byte, 0x21..=0x7e | 0x80..);
    opaque.iter().all(is_tag).then_some((Tag { is_weak, opaque }, behind))
}

#[cfg(test)]
mod tests {
    use axum::http::header;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let header = |value: &&str| (header::IF_MATCH, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        values.iter().map(header).collect()
    }

    fn tag(is_weak: bool, opaque: &str) -> Tag<'_> {
        Tag { is_weak, opaque: opaque.as_bytes() }
    }

    #[rstest]
    #[case::one(&["\"a\""], vec![tag(false, "\"a\"")])]
    #[case::weak(&["W/\"a\""], vec![tag(true, "\"a\"")])]
    #[case::more(&["\"a\", W/\"b\",\"c\""], vec![tag(false, "\"a\""), tag(true, "\"b\""), tag(false, "\"c\"")])]
    #[case::in_lines(&["\"a\"", "\"b\""], vec![tag(false, "\"a\""), tag(false, "\"b\"")])]
    #[case::a_comma_inside(&["\"a,b\" , \"c\""], vec![tag(false, "\"a,b\""), tag(false, "\"c\"")])]
    #[case::empty_elements(&[",, \"a\" ,"], vec![tag(false, "\"a\"")])]
    #[case::empty_tag(&["\"\""], vec![tag(false, "\"\"")])]
    #[case::beyond_ascii(&["\"ä\""], vec![tag(false, "\"ä\"")])]
    fn lists_of_tags_are_read(#[case] values: &[&str], #[case] tags: Vec<Tag<'_>>) {
        assert_eq!(Named::read(&headers(values), &header::IF_MATCH), Ok(Some(Named::Tags(tags))));
    }

    #[rstest]
    #[case::bare(&["a"])]
    #[case::unfinished(&["\"a"])]
    #[case::nothing(&[""])]
    #[case::commas_alone(&[" , "])]
    #[case::a_blank_inside(&["\"a b\""])]
    #[case::lower_case(&["w/\"a\""])]
    #[case::no_comma(&["\"a\" \"b\""])]
    #[case::a_star_among_tags(&["\"a\", *"])]
    #[case::a_star_before_tags(&["*", "\"a\""])]
    fn what_is_no_list_of_tags_is_told(#[case] values: &[&str]) {
        assert_eq!(Named::read(&headers(values), &header::IF_MATCH), Err(Malformed));
    }

    #[test]
    fn a_weak_tag_is_the_same_only_weakly() {
        let (given, star) = (headers(&["W/\"a\", \"b\""]), headers(&["*"]));
        let named = Named::read(&given, &header::IF_MATCH).unwrap().unwrap();
        let [a, b, c] = ["\"a\"", "\"b\"", "\"c\""].map(HeaderValue::from_static);
        assert_eq!([&a, &b, &c].map(|tag| named.has(tag)), [false, true, false]);
        assert_eq!([&a, &b, &c].map(|tag| named.has_weakly(tag)), [true, true, false]);
        let any = Named::read(&star, &header::IF_MATCH).unwrap().unwrap();
        assert!(any.has(&c) && any.has_weakly(&c));
        assert_eq!(Named::read(&HeaderMap::new(), &header::IF_MATCH), Ok(None));
    }

    #[test]
    fn a_tag_is_the_digest_of_the_body() {
        let tag = of(b"{}").unwrap();
        assert_eq!(tag, "\"44136fa355b3678a1146ad16f7e8649e\"");
        assert_eq!(compressed(&tag).unwrap(), "\"44136fa355b3678a1146ad16f7e8649e-gzip\"");
        assert_eq!(compressed(&HeaderValue::from_static("W/\"a\"")), None);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_or_refused(text in any::<Vec<u8>>()) {
            if let Ok(value) = HeaderValue::from_bytes(&text) {
                let headers = HeaderMap::from_iter([(header::IF_MATCH, value)]);
                Named::read(&headers, &header::IF_MATCH).ok();
            }
        }

        #[test]
        fn what_is_printed_is_read(bodies in prop::collection::vec(any::<Vec<u8>>(), 1..5), other in any::<Vec<u8>>()) {
            let tags: Vec<_> = bodies.iter().filter_map(|body| of(body)).collect();
            let list = tags.iter().map(|tag| tag.to_str().unwrap()).collect::<Vec<_>>().join(", ");
            let headers = headers(&[&list]);
            let named = Named::read(&headers, &header::IF_MATCH).unwrap().unwrap();
            for tag in &tags {
                prop_assert!(named.has(tag) && !named.has(&compressed(tag).unwrap()));
            }
            prop_assert_eq!(named.has(&of(&other).unwrap()), bodies.contains(&other));
        }
    }
}
