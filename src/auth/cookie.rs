//! Cookies, as Django reads them.

use axum::http::{HeaderMap, header};

/// The value of a cookie, without the quotes around it; of several with this name the last one's.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<Vec<u8>> {
    let pairs =
        headers.get_all(header::COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    let mut named = pairs.filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        (pair[..equals].trim_ascii() == name.as_bytes()).then(|| pair[equals + 1..].trim_ascii())
    });
    named.next_back().map(unquoted)
}

/// The value that stands in quotes, in which a backslash is before a quote, a backslash or an octal number.
fn unquoted(value: &[u8]) -> Vec<u8> {
    let [b'"', inner @ .., b'"'] = value else { return value.to_vec() };
    let mut plain = Vec::with_capacity(inner.len());
    let mut rest = inner;
    loop {
        rest = match rest {
            [] => return plain,
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', more @ ..] => {
                plain.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                more
            }
            [b'\\', byte, more @ ..] | [byte, more @ ..] => {
                plain.push(*byte);
                more
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::alone(&["a=1"], Some("1"))]
    #[case::among_others(&["b=2; a=1; c=3"], Some("1"))]
    #[case::without_blanks(&["b=2;a=1;c=3"], Some("1"))]
    #[case::with_more_blanks(&["  b = 2 ;  a = 1  "], Some("1"))]
    #[case::the_last_one(&["a=1; a=2"], Some("2"))]
    #[case::of_several_headers(&["b=2", "a=1"], Some("1"))]
    #[case::an_equals_sign(&["a=1=2"], Some("1=2"))]
    #[case::empty(&["a="], Some(""))]
    #[case::in_quotes(&[r#"a="1""#], Some("1"))]
    #[case::escapes(&[r#"a="1\"\\\054\400""#], Some(r#"1"\,400"#))]
    #[case::half_a_quote(&[r#"a="1"#], Some(r#""1"#))]
    #[case::one_quote(&[r#"a=""#], Some("\""))]
    #[case::a_name_that_ends_so(&["aa=1"], None)]
    #[case::in_other_case(&["A=1"], None)]
    #[case::no_value(&["a"], None)]
    #[case::nothing(&[""], None)]
    #[case::no_header(&[], None)]
    fn of_a_request(#[case] values: &[&str], #[case] expected: Option<&str>) {
        let value = |value: &&str| (header::COOKIE, HeaderValue::from_str(value).unwrap());
        let mut headers = HeaderMap::new();
        headers.extend(values.iter().map(value).map(|(name, value)| (Some(name), value)));
        assert_eq!(cookie(&headers, "a"), expected.map(|text| text.as_bytes().to_vec()));
    }

    #[test]
    fn others_may_hold_anything() {
        let value = HeaderValue::from_bytes(b"b=\xff\xfe; a=1").unwrap();
        let headers = HeaderMap::from_iter([(header::COOKIE, value)]);
        assert_eq!(cookie(&headers, "a"), Some(b"1".to_vec()));
    }
}
