//! Whether a request that a browser sends with a session's cookie is its user's own, as Django judges it: by `Origin` or
//! `Referer`, and by a token that stands both in a cookie, which comes by itself, and in a header, which other sites can't
//! send.

use axum::http::{HeaderMap, HeaderName, header};
use subtle::ConstantTimeEq;

use super::cookie::cookie;

/// The cookie with the token.
const COOKIE: &str = "authentik_csrf";
/// The header with the token.
const HEADER: HeaderName = HeaderName::from_static("x-authentik-csrf");
/// Characters of a token.
const LENGTH: usize = 32;
/// Characters of a token with its mask before it.
const MASKED: usize = 2 * LENGTH;
/// The characters of tokens, in the order by which masks count.
const CHARACTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Where a request was sent, as the client knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Whether with https.
    pub is_secure: bool,
    /// The `Host` header as it is, with a port if there is one.
    pub host: String,
}

/// Why a request isn't taken for its user's own; in Django's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It comes from the page of another site.
    #[error("Origin checking failed - {0} does not match any trusted origins.")]
    Origin(String),
    /// With https, neither `Origin` nor `Referer`.
    #[error("Referer checking failed - no Referer.")]
    NoReferer,
    /// `Referer` is no URL with a host.
    #[error("Referer checking failed - Referer is malformed.")]
    MalformedReferer,
    /// It comes from a page without https.
    #[error("Referer checking failed - Referer is insecure while host is secure.")]
    InsecureReferer,
    /// It comes from the page of another site.
    #[error("Referer checking failed - {0} does not match any trusted origins.")]
    Referer(String),
    /// There is no cookie.
    #[error("CSRF cookie not set.")]
    NoCookie,
    /// The cookie holds no token.
    #[error("CSRF cookie {0}.")]
    Cookie(Malformed),
    /// There is no header.
    #[error("CSRF token missing.")]
    NoToken,
    /// The header holds no token.
    #[error("CSRF token from the 'X-Authentik-Csrf' HTTP header {0}.")]
    Token(Malformed),
    /// The header holds another token than the cookie.
    #[error("CSRF token from the 'X-Authentik-Csrf' HTTP header incorrect.")]
    OtherToken,
}

/// What is wrong with what should be a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Neither 32 characters nor, masked, 64.
    #[error("has incorrect length")]
    Length,
    /// Others than letters and digits.
    #[error("has invalid characters")]
    Characters,
}

/// Judge a request to `site`.
///
/// # Errors
/// The first thing that is wrong, in Django's order.
pub fn check(method: &str, headers: &HeaderMap, site: &Site) -> Result<(), Rejection> {
    if matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE") {
        return Ok(());
    }
    check_source(headers, site)?;
    let cookie = cookie(headers, COOKIE).ok_or(Rejection::NoCookie)?;
    let expected = token(&cookie).map_err(Rejection::Cookie)?;
    let sent = headers.get(HEADER).ok_or(Rejection::NoToken)?;
    let sent = token(sent.as_bytes()).map_err(Rejection::Token)?;
    if bool::from(sent.ct_eq(&expected)) { Ok(()) } else { Err(Rejection::OtherToken) }
}

/// Whether it comes from a page of the site itself, as far as it says where it comes from.
fn check_source(headers: &HeaderMap, site: &Site) -> Result<(), Rejection> {
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let scheme = if site.is_secure { "https" } else { "http" };
    if let Some(origin) = text(header::ORIGIN) {
        let is_own = origin.split_once("://") == Some((scheme, &site.host));
        return if is_own { Ok(()) } else { Err(Rejection::Origin(origin.into_owned())) };
    }
    if !site.is_secure {
        return Ok(());
    }
    let referer = text(header::REFERER).ok_or(Rejection::NoReferer)?;
    let (scheme, host) = scheme_and_host(&referer).ok_or(Rejection::MalformedReferer)?;
    if scheme != "https" {
        return Err(Rejection::InsecureReferer);
    }
    if host == site.host.to_lowercase() { Ok(()) } else { Err(Rejection::Referer(referer.into_owned())) }
}

/// Scheme, in lower case, and host of a URL that has both.
fn scheme_and_host(url: &str) -> Option<(String, &str)> {
    let (scheme, rest) = url.trim_start().split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (is_scheme && host.contains('[') == host.contains(']')).then(|| (scheme.to_ascii_lowercase(), host))
}

/// The token of a cookie or header, without its mask.
fn token(text: &[u8]) -> Result<[u8; LENGTH], Malformed> {
    if !matches!(text.len(), LENGTH | MASKED) {
        return Err(Malformed::Length);
    }
    if !text.iter().all(u8::is_ascii_alphanumeric) {
        return Err(Malformed::Characters);
    }
    let (mask, hidden) = text.split_at(text.len() - LENGTH);
    let mut token = [0; LENGTH];
    for (at, (place, character)) in token.iter_mut().zip(hidden).enumerate() {
        *place = mask.get(at).map_or(*character, |mask| unmasked(*mask, *character));
    }
    Ok(token)
}

/// A mask moves each character on by the number of the mask's own, in a circle.
fn unmasked(mask: u8, character: u8) -> u8 {
    let number = |character| CHARACTERS.iter().position(|known| *known == character).unwrap_or(0);
    CHARACTERS[(number(character) + CHARACTERS.len() - number(mask)) % CHARACTERS.len()]
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use rstest::rstest;

    use super::*;

    const TOKEN: &str = "abcdefghijklmnopqrstuvwxyz012345";
    const OTHER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    /// `TOKEN` behind a mask of 32 times `b`, which moves each character on by one.
    const MASKED_TOKEN: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbcdefghijklmnopqrstuvwxyzA123456";
    const HERE: &str = "auth.example.com:8443";

    /// What is said of a POST to [`HERE`] with these headers; nothing if it passes.
    fn said(is_secure: bool, headers: &[(&'static str, &str)]) -> String {
        let site = Site { is_secure, host: HERE.to_owned() };
        let value = |value| HeaderValue::from_str(value).unwrap();
        let headers: HeaderMap =
            headers.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect();
        check("POST", &headers, &site).err().map(|rejection| rejection.to_string()).unwrap_or_default()
    }

    /// The same with a cookie, a header, or neither.
    fn said_of_tokens(cookie: Option<&str>, header: Option<&str>) -> String {
        let cookie = cookie.map(|token| format!("authentik_csrf={token}"));
        let cookie = cookie.as_deref().map(|cookie| ("cookie", cookie));
        let header = header.map(|token| ("x-authentik-csrf", token));
        said(false, &cookie.into_iter().chain(header).collect::<Vec<_>>())
    }

    #[rstest]
    #[case::equal(Some(TOKEN), Some(TOKEN), "")]
    #[case::masked_header(Some(TOKEN), Some(MASKED_TOKEN), "")]
    #[case::masked_cookie(Some(MASKED_TOKEN), Some(TOKEN), "")]
    #[case::both_masked(Some(MASKED_TOKEN), Some(MASKED_TOKEN), "")]
    #[case::neither(None, None, "CSRF cookie not set.")]
    #[case::no_cookie(None, Some(TOKEN), "CSRF cookie not set.")]
    #[case::no_header(Some(TOKEN), None, "CSRF token missing.")]
    #[case::another(
        Some(TOKEN),
        Some(OTHER),
        "CSRF token from the 'X-Authentik-Csrf' HTTP header incorrect."
    )]
    #[case::short(
        Some(TOKEN),
        Some("abc"),
        "CSRF token from the 'X-Authentik-Csrf' HTTP header has incorrect length."
    )]
    #[case::empty(
        Some(TOKEN),
        Some(""),
        "CSRF token from the 'X-Authentik-Csrf' HTTP header has incorrect length."
    )]
    #[case::bad_characters(
        Some(TOKEN),
        Some("abcdefghijklmnopqrstuvwxyz01234-"),
        "CSRF token from the 'X-Authentik-Csrf' HTTP header has invalid characters."
    )]
    #[case::short_cookie(Some("abc"), Some(TOKEN), "CSRF cookie has incorrect length.")]
    #[case::short_cookie_alone(Some("abc"), None, "CSRF cookie has incorrect length.")]
    fn tokens(#[case] cookie: Option<&str>, #[case] header: Option<&str>, #[case] expected: &str) {
        assert_eq!(said_of_tokens(cookie, header), expected);
    }

    #[rstest]
    #[case::no_origin(false, None, None, "")]
    #[case::own_origin(false, Some("http://auth.example.com:8443"), None, "")]
    #[case::without_the_port(
        false,
        Some("http://auth.example.com"),
        None,
        "Origin checking failed - http://auth.example.com does not match any trusted origins."
    )]
    #[case::another_scheme(
        false,
        Some("https://auth.example.com:8443"),
        None,
        "Origin checking failed - https://auth.example.com:8443 does not match any trusted origins."
    )]
    #[case::no_page(
        false,
        Some("null"),
        None,
        "Origin checking failed - null does not match any trusted origins."
    )]
    #[case::a_foreign_referer(false, None, Some("https://evil.example/"), "")]
    #[case::secure_origin(true, Some("https://auth.example.com:8443"), None, "")]
    #[case::secure_origin_wins(
        true,
        Some("https://auth.example.com:8443"),
        Some("https://evil.example/"),
        ""
    )]
    #[case::secure_referer(true, None, Some("https://auth.example.com:8443/if/admin/"), "")]
    #[case::neither(true, None, None, "Referer checking failed - no Referer.")]
    #[case::no_url(true, None, Some("auth.example.com"), "Referer checking failed - Referer is malformed.")]
    #[case::no_host(
        true,
        None,
        Some("https:///if/admin/"),
        "Referer checking failed - Referer is malformed."
    )]
    #[case::half_a_bracket(
        true,
        None,
        Some("https://[::1/"),
        "Referer checking failed - Referer is malformed."
    )]
    #[case::insecure(
        true,
        None,
        Some("http://auth.example.com:8443/"),
        "Referer checking failed - Referer is insecure while host is secure."
    )]
    #[case::foreign(
        true,
        None,
        Some("https://evil.example/"),
        "Referer checking failed - https://evil.example/ does not match any trusted origins."
    )]
    #[case::begins_alike(
        true,
        None,
        Some("https://auth.example.com:8443.evil.example/"),
        "Referer checking failed - https://auth.example.com:8443.evil.example/ does not match any trusted origins."
    )]
    fn sources(
        #[case] is_secure: bool,
        #[case] origin: Option<&str>,
        #[case] referer: Option<&str>,
        #[case] expected: &str,
    ) {
        let cookie = format!("authentik_csrf={TOKEN}");
        let mut headers = vec![("cookie", cookie.as_str()), ("x-authentik-csrf", TOKEN)];
        headers.extend(origin.map(|text| ("origin", text)));
        headers.extend(referer.map(|text| ("referer", text)));
        assert_eq!(said(is_secure, &headers), expected);
    }

    #[rstest]
    #[case("GET", true)]
    #[case("HEAD", true)]
    #[case("OPTIONS", true)]
    #[case("TRACE", true)]
    #[case("POST", false)]
    #[case("PUT", false)]
    #[case("PATCH", false)]
    #[case("DELETE", false)]
    #[case("get", false)]
    fn methods_that_change_nothing_are_taken(#[case] method: &str, #[case] passes: bool) {
        let site = Site { is_secure: false, host: HERE.to_owned() };
        assert_eq!(check(method, &HeaderMap::new(), &site).is_ok(), passes);
    }
}
