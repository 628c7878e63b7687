//! [`ApiError`]: everything that ends a request early, and the body that Django REST framework gives it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::drf::errors::{FieldErrors, NON_FIELD_ERRORS};
use crate::drf::messages;

/// Why a request ends without doing what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 400, one list of sentences a field, or a bare list.
    #[error("validation failed")]
    Validation(Value),
    /// 400, the body isn't JSON.
    #[error("the body is not JSON")]
    Parse(String),
    /// 403, credentials are missing.
    #[error("not authenticated")]
    NotAuthenticated,
    /// 403, credentials are wrong. authentik never answers 401: its first authenticator names no scheme.
    #[error("authentication failed")]
    AuthenticationFailed,
    /// 403
    #[error("permission denied")]
    PermissionDenied,
    /// 404, with the sentence.
    #[error("not found")]
    NotFound(String),
    /// 404 as an HTML page: no route has this path.
    #[error("no such route")]
    NoRoute,
    /// 405, with the method.
    #[error("method not allowed")]
    MethodNotAllowed(String),
    /// 406
    #[error("not acceptable")]
    NotAcceptable,
    /// 403, the database role lacks a privilege; with PostgreSQL's sentence, which names the table.
    #[error("the database role lacks a privilege")]
    DatabaseRole(String),
    /// 409, another request changed the same rows.
    #[error("conflict")]
    Conflict,
    /// 413
    #[error("the body is too large")]
    TooLarge,
    /// 415, with the media type.
    #[error("unsupported media type")]
    UnsupportedMediaType(String),
    /// 503, no connection to the database or no answer from it in time.
    #[error("overloaded")]
    Overloaded,
    /// 500. The cause is logged here, once, and shown to nobody.
    #[error("internal error")]
    Internal(#[from] anyhow::Error),
}

impl ApiError {
    /// The rejected field and its sentence.
    pub fn field(name: &str, sentence: impl Into<String>) -> Self {
        let mut errors = FieldErrors::default();
        errors.add(name, sentence);
        Self::Validation(errors.into_body(&[]))
    }

    /// No row of this model fits.
    pub fn no_match(model: &str) -> Self {
        Self::NotFound(messages::no_match(model))
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        match code.as_deref() {
            // foreign_key_violation, unique_violation, serialization_failure, deadlock_detected: another request
            // wrote between our checks and our write. The checks themselves answer everything else.
            Some("23503" | "23505" | "40001" | "40P01") => Self::Conflict,
            // insufficient_privilege
            Some("42501") => {
                let sentence = error.as_database_error().map(|error| error.message().to_owned());
                Self::DatabaseRole(sentence.unwrap_or_default())
            }
            // query_canceled: the statement took too long.
            Some("57014") => Self::Overloaded,
            // invalid_regular_expression: only `?attributes=` runs one of a client's.
            Some("2201B") => {
                let sentence = error.as_database_error().map(|error| error.message().to_owned());
                Self::Validation(json!([messages::filter_regex(&sentence.unwrap_or_default())]))
            }
            // program_limit_exceeded: the text is longer than an index row may be.
            Some("54000") => Self::Validation(json!({ NON_FIELD_ERRORS: [messages::TOO_LONG_FOR_INDEX] })),
            _ => match error {
                sqlx::Error::PoolTimedOut => Self::Overloaded,
                other => Self::Internal(other.into()),
            },
        }
    }
}

/// A JSON answer.
pub fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let content_type = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            (status, [content_type], bytes).into_response()
        }
        Err(error) => ApiError::Internal(error.into()).into_response(),
    }
}

/// The page that authentik's web interface shows for an unknown path.
const NOT_FOUND_PAGE: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Not Found</title></head>\
<body><h1>Not Found</h1><p>The requested resource was not found on this server.</p></body></html>\n";

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let detail = |status, sentence: &str| json_response(status, &json!({ "detail": sentence }));
        match self {
            Self::Validation(body) => json_response(StatusCode::BAD_REQUEST, &body),
            Self::Parse(reason) => detail(StatusCode::BAD_REQUEST, &messages::parse_error(&reason)),
            Self::NotAuthenticated => detail(StatusCode::FORBIDDEN, messages::NOT_AUTHENTICATED),
            Self::AuthenticationFailed => detail(StatusCode::FORBIDDEN, messages::INVALID_TOKEN),
            Self::PermissionDenied => detail(StatusCode::FORBIDDEN, messages::PERMISSION_DENIED),
            Self::NotFound(sentence) => detail(StatusCode::NOT_FOUND, &sentence),
            Self::NoRoute => {
                let content_type =
                    (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
                (StatusCode::NOT_FOUND, [content_type], NOT_FOUND_PAGE).into_response()
            }
            Self::MethodNotAllowed(method) => {
                detail(StatusCode::METHOD_NOT_ALLOWED, &messages::method_not_allowed(&method))
            }
            Self::NotAcceptable => detail(StatusCode::NOT_ACCEPTABLE, messages::NOT_ACCEPTABLE),
            Self::DatabaseRole(sentence) => {
                tracing::warn!(
                    cause = sentence,
                    "the database role lacks a privilege; see `ak-stages doctor`"
                );
                detail(StatusCode::FORBIDDEN, &messages::database_role(&sentence))
            }
            Self::Conflict => detail(StatusCode::CONFLICT, messages::CHANGED_MEANWHILE),
            Self::TooLarge => detail(StatusCode::PAYLOAD_TOO_LARGE, messages::TOO_LARGE),
            Self::UnsupportedMediaType(media_type) => {
                detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, &messages::unsupported_media_type(&media_type))
            }
            Self::Overloaded => detail(StatusCode::SERVICE_UNAVAILABLE, messages::OVERLOADED),
            Self::Internal(cause) => {
                tracing::error!(cause = %redacted(&cause), "internal error");
                detail(StatusCode::INTERNAL_SERVER_ERROR, messages::INTERNAL)
            }
        }
    }
}

/// The chain of causes. PostgreSQL's DETAIL lines hold column values, so of its errors only the message is kept.
fn redacted(cause: &anyhow::Error) -> String {
    if let Some(error) = cause.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error) {
        return format!("{} ({})", error.message(), error.code().unwrap_or_default());
    }
    format!("{cause:#}")
}
