//! Reads that go by what the client has already (RFC 9110, section 13), and the tags of compressed answers.
//!
//! It is done outside of compression, since only then it is known which of its two forms an answer takes. A client that has
//! the plain form may go on with it where it would now get the compressed one; the other way it may not be able to read
//! it. What writes go by is decided where their row is locked.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};

use crate::error::ApiError;
use crate::views::entity_tag::{self, Malformed, Named};

/// The headers of a read that goes by something; none of any other request.
pub struct Conditions(Option<HeaderMap>);

impl Conditions {
    /// Those of a request.
    pub fn of(request: &Request<Body>) -> Self {
        let headers = request.headers();
        let is_conditional =
            headers.contains_key(header::IF_MATCH) || headers.contains_key(header::IF_NONE_MATCH);
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        Self((is_conditional && is_read).then(|| headers.clone()))
    }

    /// The answer to the request: with its own tag if it is compressed, or 304 or 412 in its place.
    pub fn judge(self, mut response: Response) -> Response {
        let is_compressed = response.headers().contains_key(header::CONTENT_ENCODING);
        if !is_compressed && self.0.is_none() {
            return response;
        }
        let Some(plain) = response.headers().get(header::ETAG).cloned() else { return response };
        let compressed = if is_compressed { entity_tag::compressed(&plain) } else { None };
        if let Some(compressed) = &compressed {
            response.headers_mut().insert(header::ETAG, compressed.clone());
        }
        match self.0 {
            Some(conditions) if response.status() == StatusCode::OK => {
                judge(&conditions, compressed.iter().chain([&plain]), response)
            }
            _ => response,
        }
    }
}

/// The answer, or what is said instead. `known` are its tags in the forms that its client can read, that of the answer
/// first. A header that can't be read names no tag.
fn judge<'t>(
    conditions: &HeaderMap,
    mut known: impl Iterator<Item = &'t HeaderValue> + Clone,
    response: Response,
) -> Response {
    let holds = match Named::read(conditions, &header::IF_MATCH) {
        Ok(Some(named)) => known.clone().any(|tag| named.has(tag)),
        Ok(None) => true,
        Err(Malformed) => false,
    };
    if !holds {
        return refused(&response);
    }
    let named = Named::read(conditions, &header::IF_NONE_MATCH).ok().flatten();
    match named.and_then(|named| known.find(|tag| named.has_weakly(tag))) {
        Some(tag) => not_modified(response, tag.clone()),
        None => response,
    }
}

/// 304 with the headers that the answer has, but for what describes its body (RFC 9110, section 15.4.5).
fn not_modified(mut response: Response, tag: HeaderValue) -> Response {
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.body_mut() = Body::new(NoBody);
    let headers = response.headers_mut();
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    headers.insert(header::ETAG, tag);
    response
}

/// The body of a 304. It has no length: that would be said to be the length of the body that isn't sent.
struct NoBody;

impl HttpBody for NoBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// 412 with the headers that every answer of this path has.
fn refused(response: &Response) -> Response {
    let mut refusal = ApiError::PreconditionFailed.into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        refusal.headers_mut().insert(header::ALLOW, allow.clone());
    }
    refusal
}
