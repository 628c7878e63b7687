//! [`Answer`]: what a view answers when all is well.

use std::io;

use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use super::entity_tag;
use crate::db::volume;
use crate::error::ApiError;

/// A status, a body of some media type, and further headers.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The media type; none for an answer without a body.
    pub content_type: Option<HeaderValue>,
    /// The body.
    pub body: Bytes,
    /// The `ETag` header of an answer that shows an object or a list.
    pub etag: Option<HeaderValue>,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    /// 200 with a body as JSON.
    ///
    /// # Errors
    /// `body` can't be JSON.
    pub fn ok(body: &impl Serialize) -> Result<Self, ApiError> {
        Self::json(StatusCode::OK, body)
    }

    /// 201 with a body as JSON.
    ///
    /// # Errors
    /// `body` can't be JSON.
    pub fn created(body: &impl Serialize) -> Result<Self, ApiError> {
        Self::json(StatusCode::CREATED, body)
    }

    /// 202 with a body as JSON, which the client prefers to none.
    ///
    /// # Errors
    /// `body` can't be JSON.
    pub fn accepted(body: &impl Serialize) -> Result<Self, ApiError> {
        let applied = HeaderValue::from_static("return=representation");
        let answer = Self::json(StatusCode::ACCEPTED, body)?;
        Ok(answer.with_header(HeaderName::from_static("preference-applied"), applied))
    }

    /// 204
    pub fn no_content() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            content_type: None,
            body: Bytes::new(),
            etag: None,
            headers: Vec::new(),
        }
    }

    /// 200 with a document of this media type.
    pub fn document(media_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: Some(HeaderValue::from_static(media_type)),
            body: body.into(),
            etag: None,
            headers: Vec::new(),
        }
    }

    /// With this header, too.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With the tag of its body.
    #[must_use]
    pub fn tagged(self) -> Self {
        Self { etag: entity_tag::of(&self.body), ..self }
    }

    fn json(status: StatusCode, body: &impl Serialize) -> Result<Self, ApiError> {
        let mut printed = Printed { bytes: Vec::with_capacity(256), left: volume::left(), full: false };
        match serde_json::to_writer(&mut printed, body) {
            Err(_) if printed.full => return Err(ApiError::AnswerTooLarge),
            done => done.map_err(anyhow::Error::from)?,
        }
        printed.bytes.shrink_to_fit();
        Ok(Self { status, ..Self::document("application/json", printed.bytes) })
    }
}

/// A body on its way, no larger than the request may make it.
struct Printed {
    bytes: Vec<u8>,
    left: usize,
    full: bool,
}

impl io::Write for Printed {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.full = text.len() > self.left;
        if self.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.left -= text.len();
        self.bytes.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
