//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a POST that its client may send again, because it heard no
//! answer. The first answer is kept in the transaction of what it tells of, so there is one exactly if the other is done.
//!
//! What was refused, or failed, did nothing, and its repeat is judged anew. The draft would give the first refusal again;
//! then a client that mended what stood in its way would need another key, and a refusal would have to be written.
//!
//! An answer is kept as it is. That of no POST shows a secret that isn't in clear where its object stands, too.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use drf::action::Method;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use sqlx::types::Json;

use super::{Answer, Call};
use crate::auth::Caller;
use crate::contract::messages;
use crate::db::extensions;
use crate::db::idempotency::{self, Kept};
use crate::error::ApiError;

/// The header that names a request.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header that says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// Characters that a key has at most.
const MAX_LENGTH: usize = 255;

/// A request that may be sent again.
pub(super) struct Repeatable {
    user: i32,
    key: String,
    /// A digest of all that another request with this key must have in common with it.
    request: Vec<u8>,
}

impl Repeatable {
    /// A POST with a key. `None` for any other request, and for one whose body is refused anyhow.
    ///
    /// # Errors
    /// 400 for what is no key.
    pub(super) fn of(call: &Call, declared: &drf::Action, caller: &Caller) -> Result<Option<Self>, ApiError> {
        if declared.method != Method::Post {
            return Ok(None);
        }
        let (Some(key), Ok(body)) = (read_key(&call.headers)?, &call.body) else { return Ok(None) };
        let mut request = Sha256::new();
        // No target has a line break.
        request.update(format!("{} {}\n", call.method, call.target));
        request.update(body);
        Ok(Some(Self { user: caller.id, key: key.to_owned(), request: request.finalize().to_vec() }))
    }

    /// The answer that it got before, if it did. From here on until the end of the transaction nobody else serves one with
    /// its key.
    ///
    /// # Errors
    /// 409 while somebody else does; 422 if the key was another request's; 501 if there is no table for keys.
    pub(super) async fn recall(&self, connection: &mut PgConnection) -> Result<Option<Answer>, ApiError> {
        if !idempotency::take(connection, self.user, &self.key).await? {
            return Err(ApiError::KeyInUse);
        }
        let kept = idempotency::find(connection, self.user, &self.key).await.map_err(|error| {
            if extensions::are_missing(&error) {
                ApiError::NotSetUp(messages::NO_IDEMPOTENCY)
            } else {
                error.into()
            }
        })?;
        match kept {
            None => Ok(None),
            Some(kept) if kept.request != self.request => Err(ApiError::KeyReused),
            Some(kept) => Ok(Some(replayed(kept)?)),
        }
    }

    /// Keep its answer, if the transaction is committed.
    ///
    /// # Errors
    /// The database failed.
    pub(super) async fn keep(&self, connection: &mut PgConnection, answer: &Answer) -> Result<(), ApiError> {
        let named = [(header::CONTENT_TYPE, &answer.content_type), (header::ETAG, &answer.etag)];
        let named = named.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let all = named.chain(answer.headers.iter().map(|(name, value)| (name, value)));
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.to_string(), value.to_str().ok()?.to_owned()))
        };
        let kept = Kept {
            request: self.request.clone(),
            status: answer.status.as_u16().into(),
            headers: Json(all.filter_map(text).collect()),
            body: answer.body.to_vec(),
        };
        Ok(idempotency::keep(connection, self.user, &self.key, &kept).await?)
    }
}

/// The key of a request, as sent.
fn read_key(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let bytes = value.as_bytes().trim_ascii();
    let is_key = (1..=MAX_LENGTH).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(bytes) {
        Ok(key) if is_key && values.next().is_none() => Ok(Some(key)),
        _ => Err(ApiError::Validation(json!({ "detail": messages::NOT_A_KEY }))),
    }
}

/// An answer that was given before.
fn replayed(kept: Kept) -> Result<Answer, ApiError> {
    let status = u16::try_from(kept.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let status =
        status.ok_or_else(|| anyhow::anyhow!("an answer is kept with the status {}", kept.status))?;
    let mut answer = Answer { status, body: kept.body.into(), ..Answer::no_content() };
    for (name, value) in kept.headers.0 {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(anyhow::Error::from)?;
        let value = HeaderValue::from_str(&value).map_err(anyhow::Error::from)?;
        match name {
            header::CONTENT_TYPE => answer.content_type = Some(value),
            header::ETAG => answer.etag = Some(value),
            other => answer.headers.push((other, value)),
        }
    }
    Ok(answer.with_header(REPLAYED, HeaderValue::from_static("true")))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::none(&[], Some(None))]
    #[case::a_uuid(&["8e03978e-40d5-43e8-bc93-6894a57f9324"], Some(Some("8e03978e-40d5-43e8-bc93-6894a57f9324")))]
    #[case::quoted(&["\"a\""], Some(Some("\"a\"")))]
    #[case::empty(&[""], None)]
    #[case::blanks(&["  "], None)]
    #[case::a_blank_inside(&["a b"], None)]
    #[case::beyond_ascii(&["ä"], None)]
    #[case::two(&["a", "b"], None)]
    fn keys_are_read(#[case] values: &[&str], #[case] expected: Option<Option<&str>>) {
        let headers = values.iter().map(|value| (KEY, HeaderValue::from_bytes(value.as_bytes()).unwrap()));
        assert_eq!(read_key(&headers.collect()).ok(), expected);
    }

    #[test]
    fn a_key_has_at_most_255_characters() {
        let key = |length| HeaderMap::from_iter([(KEY, HeaderValue::from_str(&"k".repeat(length)).unwrap())]);
        assert!(read_key(&key(255)).is_ok());
        assert!(read_key(&key(256)).is_err());
    }
}
