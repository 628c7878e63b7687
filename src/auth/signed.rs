//! What authentik signs: the key of a session, in a JSON Web Token (RFC 7519).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::config::SecretKey;

/// The only algorithm that authentik signs sessions with.
const ALGORITHM: &str = "HS256";
/// Characters that a session's key has at least, as Django wants them.
const SHORTEST_KEY: usize = 8;

/// What is read of a token's header.
#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// The key of a session in the value of its cookie; `None` where authentik didn't sign it, or not for now. Of the claims
/// `sid` is what counts; the token may not be meant for an audience, nor be out of its time.
pub fn session_key(cookie: &[u8], secret_key: &SecretKey, now: DateTime<Utc>) -> Option<String> {
    let (signed, signature) = str::from_utf8(cookie).ok()?.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret_key.signing_key()).ok()?;
    mac.update(signed.as_bytes());
    mac.verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    if header.alg != ALGORITHM || claims.contains_key("aud") || !is_in_time(&claims, now)? {
        return None;
    }
    let key = claims.get("sid")?.as_str()?;
    // PostgreSQL has no NUL.
    (key.chars().count() >= SHORTEST_KEY && !key.contains('\0')).then(|| key.to_owned())
}

/// Whether a token has begun to hold and still does; `None` where that is no whole number of seconds.
fn is_in_time(claims: &Map<String, Value>, now: DateTime<Utc>) -> Option<bool> {
    let second = |name: &str, absent: i64| claims.get(name).map_or(Some(absent), Value::as_i64);
    let begins = second("nbf", i64::MIN)?.max(second("iat", i64::MIN)?);
    Some(begins <= now.timestamp() && now.timestamp() < second("exp", i64::MAX)?)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    const KEY: &str = "0123456789abcdefghijklmnopqrstuv";
    /// The second at which cookies are read.
    const NOW: i64 = 1_800_000_000;

    fn secret_key() -> SecretKey {
        SecretKey::new("secret".to_owned())
    }

    /// A cookie, signed as authentik does.
    fn cookie(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret_key().signing_key()).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    fn read(cookie: &str) -> Option<String> {
        session_key(cookie.as_bytes(), &secret_key(), DateTime::from_timestamp(NOW, 0).unwrap())
    }

    #[rstest]
    #[case::of_a_user(json!({ "sid": KEY, "iss": "authentik", "sub": "0a", "authenticated": true, "acr": "x" }), true)]
    #[case::of_nobody(json!({ "sid": KEY, "iss": "authentik", "sub": "anonymous", "authenticated": false }), true)]
    #[case::the_key_alone(json!({ "sid": KEY }), true)]
    #[case::of_another_issuer(json!({ "sid": KEY, "iss": "somebody" }), true)]
    #[case::that_ends(json!({ "sid": KEY, "exp": NOW + 1 }), true)]
    #[case::that_ends_now(json!({ "sid": KEY, "exp": NOW }), false)]
    #[case::that_has_ended(json!({ "sid": KEY, "exp": NOW - 1 }), false)]
    #[case::that_begins_now(json!({ "sid": KEY, "nbf": NOW, "iat": NOW }), true)]
    #[case::that_begins_later(json!({ "sid": KEY, "nbf": NOW + 1 }), false)]
    #[case::made_later(json!({ "sid": KEY, "iat": NOW + 1 }), false)]
    #[case::with_an_end_that_is_no_number(json!({ "sid": KEY, "exp": null }), false)]
    #[case::for_an_audience(json!({ "sid": KEY, "aud": "authentik" }), false)]
    #[case::for_no_audience(json!({ "sid": KEY, "aud": null }), false)]
    #[case::without_a_key(json!({ "iss": "authentik" }), false)]
    #[case::a_number_for_a_key(json!({ "sid": 12_345_678 }), false)]
    #[case::a_short_key(json!({ "sid": "1234567" }), false)]
    #[case::a_key_long_enough(json!({ "sid": "12345678" }), true)]
    #[case::a_nul(json!({ "sid": "12345678\0" }), false)]
    #[case::no_object(json!([KEY]), false)]
    fn tokens(#[case] claims: Value, #[case] is_taken: bool) {
        let found = read(&cookie(&json!({ "alg": "HS256", "typ": "JWT" }), &claims));
        assert_eq!(found, claims["sid"].as_str().filter(|_| is_taken).map(str::to_owned));
    }

    #[rstest]
    #[case::another_hash(json!({ "alg": "HS512", "typ": "JWT" }))]
    #[case::no_signature(json!({ "alg": "none" }))]
    #[case::in_other_case(json!({ "alg": "hs256" }))]
    #[case::nothing(json!({ "typ": "JWT" }))]
    #[case::no_text(json!({ "alg": ["HS256"] }))]
    fn algorithms(#[case] header: Value) {
        assert_eq!(read(&cookie(&header, &json!({ "sid": KEY }))), None);
    }

    #[test]
    fn what_is_not_signed_so_is_no_session() {
        let good = cookie(&json!({ "alg": "HS256" }), &json!({ "sid": KEY }));
        assert_eq!(read(&good).as_deref(), Some(KEY));
        for bad in
            [KEY, "", ".", "..", "...", &good[..good.len() - 1], &format!("{good}="), &format!("{good}.")]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
        let other = SecretKey::new("another secret".to_owned());
        assert_eq!(session_key(good.as_bytes(), &other, DateTime::from_timestamp(NOW, 0).unwrap()), None);
        // The secret key itself signs nothing.
        let (signed, _) = good.rsplit_once('.').unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
        mac.update(signed.as_bytes());
        assert_eq!(read(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))), None);
    }
}
