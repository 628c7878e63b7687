//! [`ApiError`]: everything that ends a request early.

use std::borrow::Cow;

use drf::errors::{FieldErrors, NON_FIELD_ERRORS};
use drf::field::Fields;
use drf::negotiation::Refusal;
use serde_json::{Value, json};

use crate::contract::messages;

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
    /// 403, another site may have made a browser send this; with what is wrong.
    #[error("CSRF failed")]
    CsrfFailed(String),
    /// 403, a session that isn't taken here, with the sentence that says why.
    #[error("session refused")]
    SessionRefused(&'static str),
    /// 403
    #[error("permission denied")]
    PermissionDenied,
    /// 404, with the sentence.
    #[error("not found")]
    NotFound(String),
    /// 404 as an HTML page: no route has this path.
    #[error("no such route")]
    NoRoute,
    /// 501, the path is one of authentik's API that isn't served here. A 404 would say that the object is gone.
    #[error("not served")]
    NotServed,
    /// 501, this installation isn't set up for it, with the sentence that says what to do. To try again is no use, so it
    /// is no 503.
    #[error("not set up")]
    NotSetUp(&'static str),
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
    /// 409, the first request with this `Idempotency-Key` isn't answered yet.
    #[error("the key is in use")]
    KeyInUse,
    /// 422, this `Idempotency-Key` was used for another request.
    #[error("the key was used for another request")]
    KeyReused,
    /// 412, what is there isn't what the request's `If-Match` or `If-None-Match` goes by.
    #[error("a precondition failed")]
    PreconditionFailed,
    /// 400, the answer would take more than it may.
    #[error("the answer is too large")]
    AnswerTooLarge,
    /// 408, the body doesn't come.
    #[error("the body does not come")]
    BodyTimeout,
    /// 413
    #[error("the body is too large")]
    TooLarge,
    /// 415, with the media type.
    #[error("unsupported media type")]
    UnsupportedMediaType(String),
    /// 429, somebody who doesn't say who they are asks too often; after so many seconds they may ask again.
    #[error("throttled")]
    Throttled(u64),
    /// 503, the connection to the database was cut, or there is no database to connect to.
    #[error("disconnected")]
    Disconnected(sqlx::Error),
    /// 503, no connection to the database or no answer from it in time.
    #[error("overloaded")]
    Overloaded,
    /// 503, the database answers and can't do it now, with the sentence that says why. Nothing was changed.
    #[error("unavailable")]
    Unavailable(&'static str, sqlx::Error),
    /// 503, the database was asked to commit and didn't say whether it did.
    #[error("outcome unknown")]
    OutcomeUnknown(sqlx::Error),
    /// 500. The cause is logged once, where the answer is made, and shown to nobody.
    #[error("internal error")]
    Internal(#[from] anyhow::Error),
}

impl ApiError {
    /// The rejected field or parameter and its sentence.
    pub fn field(name: &str, sentence: impl Into<String>) -> Self {
        let mut errors = FieldErrors::default();
        errors.add_named(name, sentence);
        Self::Validation(errors.into_body(Fields::NONE))
    }

    /// The same, told of a request of which it isn't known whether it changed anything.
    #[must_use]
    pub fn of_unknown_outcome(self) -> Self {
        match self {
            Self::Disconnected(error) | Self::Unavailable(_, error) => Self::OutcomeUnknown(error),
            Self::Overloaded => Self::OutcomeUnknown(sqlx::Error::PoolTimedOut),
            Self::AnswerTooLarge => Self::OutcomeUnknown(sqlx::Error::Decode(TooMuch.into())),
            other => other,
        }
    }

    /// Nothing is there, and the kind of object isn't known.
    pub fn not_found() -> Self {
        Self::NotFound(drf::messages::NOT_FOUND.to_owned())
    }

    /// No row of this model fits.
    pub fn no_match(model: &str) -> Self {
        Self::NotFound(drf::messages::no_match(model))
    }
}

/// Errors by field, in one line.
pub fn sentence(errors: &Value) -> String {
    match errors {
        Value::Object(fields) => {
            let of_field = |(name, errors): (&String, &Value)| format!("{name}: {}", sentence(errors));
            fields.iter().map(of_field).collect::<Vec<_>>().join("; ")
        }
        Value::Array(items) => items.iter().map(sentence).collect::<Vec<_>>().join(" "),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The code of what PostgreSQL said (SQLSTATE), if it was PostgreSQL.
pub fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code)
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownFormat => Self::not_found(),
            Refusal::NotAcceptable => Self::NotAcceptable,
        }
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        if is_too_much(&error) {
            return Self::AnswerTooLarge;
        }
        let code = code(&error);
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
                Self::Validation(json!([drf::messages::filter_regex(&sentence.unwrap_or_default())]))
            }
            // lock_not_available: another session had it for longer than `lock_timeout`.
            Some("55P03") => Self::Unavailable(messages::LOCKED, error),
            // read_only_sql_transaction: a standby, or a database that was set so.
            Some("25006") => Self::Unavailable(messages::READ_ONLY, error),
            // program_limit_exceeded: the text is longer than an index row may be.
            Some("54000") => Self::Validation(json!({ NON_FIELD_ERRORS: [messages::TOO_LONG_FOR_INDEX] })),
            // Classes 53, insufficient resources (disk, memory, connections), and 58, errors of its system (such as
            // those of its disk).
            Some(code) if code.starts_with("53") || code.starts_with("58") => {
                Self::Unavailable(messages::OUT_OF_RESOURCES, error)
            }
            // Class 57, operator intervention (shutdown, crash, start); class 08, connection exceptions;
            // idle_in_transaction_session_timeout, transaction_timeout.
            Some(code)
                if code.starts_with("57") || code.starts_with("08") || matches!(code, "25P03" | "25P04") =>
            {
                Self::Disconnected(error)
            }
            _ => match error {
                sqlx::Error::PoolTimedOut => Self::Overloaded,
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => Self::Disconnected(error),
                other => Self::Internal(other.into()),
            },
        }
    }
}

/// A request has taken all the room that it may for its rows and its answer.
#[derive(Debug, thiserror::Error)]
#[error("more than an answer may take")]
pub struct TooMuch;

impl From<TooMuch> for ApiError {
    fn from(_: TooMuch) -> Self {
        Self::AnswerTooLarge
    }
}

fn is_too_much(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Decode(source) | sqlx::Error::ColumnDecode { source, .. } => source.is::<TooMuch>(),
        _ => false,
    }
}

/// The chain of causes, for the log. PostgreSQL's DETAIL lines hold column values, so of its errors only the message is
/// kept.
pub fn redacted(cause: &anyhow::Error) -> String {
    if let Some(error) = cause.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error) {
        return format!("{} ({})", error.message(), error.code().unwrap_or_default());
    }
    format!("{cause:#}")
}
