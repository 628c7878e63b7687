//! What a browser sends with a session: cookies, and a token against forged requests.

use ak_stages::config::SecretKey;
use ak_stages::csrf::{self, Rejection, Site};
use ak_stages::{cookie, session_key};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;

const SESSION: &str = "authentik_session";
/// The characters of tokens.
const CHARACTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// Characters of a token.
const LENGTH: usize = 32;

/// The session's cookie in a `Cookie` header of these bytes.
fn of_header(bytes: &[u8]) -> Option<Vec<u8>> {
    let value = HeaderValue::from_bytes(bytes).ok()?;
    cookie(&HeaderMap::from_iter([(header::COOKIE, value)]), SESSION)
}

/// The value of a `Cookie` header, and the claims of a session.
pub fn cookies(input: &[u8]) {
    is_a_session_key(input);
    if HeaderValue::from_bytes(input).is_err() {
        return;
    }
    let found = of_header(input);
    assert_eq!(of_header(&[b"other=1; ", input].concat()), found, "another one goes before");
    let last = [input, b"; authentik_session=last"].concat();
    assert_eq!(of_header(&last).as_deref(), Some(&b"last"[..]), "the last one counts");
    let Some(value) = found else { return };
    assert!(value.len() < input.len() && input.contains(&b'='));
    let octal = |byte: &u8| [b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)];
    let quoted: Vec<u8> = value.iter().flat_map(octal).collect();
    let again = of_header(&[SESSION.as_bytes(), b"=\"", &quoted, b"\""].concat());
    assert_eq!(again, Some(value.clone()), "what was read can be read again");
    assert_eq!(session_key(&value, &SecretKey::new("not theirs".to_owned()), DateTime::UNIX_EPOCH), None);
}

/// These bytes as the claims of a token that is signed well.
fn is_a_session_key(claims: &[u8]) {
    let key = SecretKey::new("a secret".to_owned());
    let [head, payload] = [&br#"{"alg":"HS256"}"#[..], claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let signed = format!("{head}.{payload}");
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.signing_key()) else { return };
    mac.update(signed.as_bytes());
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    let found = session_key(token.as_bytes(), &key, DateTime::UNIX_EPOCH);
    let read: Map<String, Value> = serde_json::from_slice(claims).unwrap_or_default();
    if let Some(found) = &found {
        assert_eq!(read.get("sid"), Some(&Value::from(found.as_str())));
        assert!(found.chars().count() >= 8 && !found.contains('\0'), "{found:?}");
    }
    let is_timeless = !["aud", "exp", "nbf", "iat"].iter().any(|claim| read.contains_key(*claim));
    let sid = read.get("sid").and_then(Value::as_str).filter(|sid| sid.len() >= 32 && !sid.contains('\0'));
    assert!(!is_timeless || sid.is_none() || found.is_some(), "a good one is taken");
    assert_eq!(session_key(&token.as_bytes()[1..], &key, DateTime::UNIX_EPOCH), None, "a part of one isn't");
}

/// A request: a byte that picks the method and the scheme, then lines with the cookie's token, the header's, `Origin`,
/// `Referer` and the host. A line that is empty stands for a header that isn't there.
pub fn forgeries(input: &[u8]) {
    let [how, rest @ ..] = input else { return };
    masks_are_taken_off(rest);
    let mut lines = rest.split(|byte| *byte == b'\n').map(|line| HeaderValue::from_bytes(line).ok());
    let mut next = || lines.next().flatten().filter(|value| !value.is_empty());
    let [token, sent, origin, referer, host] = std::array::from_fn(|_| next());
    let is_secure = how & 1 == 1;
    let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let site = Site { is_secure, host };
    let mut headers = HeaderMap::new();
    let cookie = token.as_ref().map(|token| [b"authentik_csrf=", token.as_bytes()].concat());
    let cookie = cookie.and_then(|cookie| HeaderValue::from_bytes(&cookie).ok());
    let named = [
        (header::COOKIE, &cookie),
        (HeaderName::from_static("x-authentik-csrf"), &sent),
        (header::ORIGIN, &origin),
        (header::REFERER, &referer),
    ];
    for (name, value) in named {
        headers.extend(value.clone().map(|value| (name, value)));
    }
    for safe in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        assert_eq!(csrf::check(safe, &headers, &site), Ok(()));
    }
    let method = ["POST", "PUT", "PATCH", "DELETE"][usize::from(how >> 1) % 4];
    let judged = csrf::check(method, &headers, &site);
    assert_eq!(csrf::check("POST", &headers, &site), judged, "such methods are alike");
    let told = judged.as_ref().err().map(ToString::to_string).unwrap_or_default();
    assert!(judged.is_ok() || told.ends_with('.'), "{told}");
    let scheme = if is_secure { "https" } else { "http" };
    if let Some(origin) = &origin {
        let is_own = origin.as_bytes() == format!("{scheme}://{}", site.host).as_bytes();
        assert_eq!(!is_own, matches!(judged, Err(Rejection::Origin(_))), "{origin:?}");
    }
    if judged.is_ok() {
        let both = [ak_stages::cookie(&headers, "authentik_csrf"), sent.map(|sent| sent.as_bytes().to_vec())];
        let both = both.map(|token| token.is_some_and(|token| matches!(token.len(), 32 | 64)));
        assert_eq!(both, [true, true]);
        let is_told = origin.is_some() || referer.is_some();
        assert!(is_told || !is_secure, "with https it is told where it comes from");
    }
}

/// A token that is made of these bytes, behind a mask made of them: it is taken for itself, and for no other.
fn masks_are_taken_off(bytes: &[u8]) {
    let number = |at: usize| bytes.get(at).map_or(at, |byte| usize::from(*byte)) % CHARACTERS.len();
    let token: Vec<u8> = (0..LENGTH).map(|at| CHARACTERS[number(at)]).collect();
    let mask = (0..LENGTH).map(|at| CHARACTERS[number(LENGTH + at)]);
    let hidden = (0..LENGTH).map(|at| CHARACTERS[(number(at) + number(LENGTH + at)) % CHARACTERS.len()]);
    let masked: Vec<u8> = mask.chain(hidden).collect();
    let judge = |cookie: &[u8], sent: &[u8]| {
        let cookie = HeaderValue::from_bytes(&[b"authentik_csrf=", cookie].concat()).ok()?;
        let sent = HeaderValue::from_bytes(sent).ok()?;
        let headers = [(header::COOKIE, cookie), (HeaderName::from_static("x-authentik-csrf"), sent)];
        let site = Site { is_secure: false, host: String::new() };
        Some(csrf::check("POST", &HeaderMap::from_iter(headers), &site))
    };
    for (cookie, sent) in [(&token, &masked), (&masked, &token), (&masked, &masked), (&token, &token)] {
        assert_eq!(judge(cookie, sent), Some(Ok(())));
    }
    let mut other = masked.clone();
    other[LENGTH] = if other[LENGTH] == b'a' { b'b' } else { b'a' };
    assert_eq!(judge(&token, &other), Some(Err(Rejection::OtherToken)));
}
