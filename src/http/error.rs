//! [`ApiError`] as an answer: its status, and the body that Django REST framework gives it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use drf::messages;
use serde_json::{Value, json};

use crate::contract::messages as sentences;
use crate::error::{ApiError, redacted};

/// The page that authentik's web interface shows for an unknown path.
const NOT_FOUND_PAGE: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><title>Not Found</title></head>\
<body><h1>Not Found</h1><p>The requested resource was not found on this server.</p></body></html>\n";

/// In how many seconds a request that was answered with 503, or while its first attempt runs, may be tried again.
pub(super) const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

fn json(status: StatusCode, body: &Value) -> Response {
    let content_type = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (status, [content_type], body.to_string()).into_response()
}

/// A 503 that says when to try again.
fn unavailable(sentence: &str) -> Response {
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "detail": sentence }));
    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    response
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let detail = |status, sentence: &str| json(status, &json!({ "detail": sentence }));
        match self {
            Self::Validation(body) => json(StatusCode::BAD_REQUEST, &body),
            Self::Parse(reason) => detail(StatusCode::BAD_REQUEST, &messages::parse_error(&reason)),
            Self::NotAuthenticated => detail(StatusCode::FORBIDDEN, messages::NOT_AUTHENTICATED),
            Self::AuthenticationFailed => detail(StatusCode::FORBIDDEN, sentences::INVALID_TOKEN),
            Self::CsrfFailed(reason) => detail(StatusCode::FORBIDDEN, &messages::csrf_failed(&reason)),
            Self::SessionRefused(sentence) => detail(StatusCode::FORBIDDEN, sentence),
            Self::PermissionDenied => detail(StatusCode::FORBIDDEN, messages::PERMISSION_DENIED),
            Self::NotFound(sentence) => detail(StatusCode::NOT_FOUND, &sentence),
            Self::NoRoute => {
                let content_type =
                    (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
                (StatusCode::NOT_FOUND, [content_type], NOT_FOUND_PAGE).into_response()
            }
            Self::NotServed => detail(StatusCode::NOT_IMPLEMENTED, sentences::NOT_SERVED),
            Self::NotSetUp(sentence) => detail(StatusCode::NOT_IMPLEMENTED, sentence),
            Self::MethodNotAllowed(method) => {
                detail(StatusCode::METHOD_NOT_ALLOWED, &messages::method_not_allowed(&method))
            }
            Self::NotAcceptable => detail(StatusCode::NOT_ACCEPTABLE, messages::NOT_ACCEPTABLE),
            Self::DatabaseRole(sentence) => {
                tracing::warn!(
                    cause = sentence,
                    "the database role lacks a privilege; see `ak-stages doctor`"
                );
                detail(StatusCode::FORBIDDEN, &sentences::database_role(&sentence))
            }
            Self::Conflict => detail(StatusCode::CONFLICT, sentences::CHANGED_MEANWHILE),
            Self::KeyInUse => {
                let mut response = detail(StatusCode::CONFLICT, sentences::KEY_IN_USE);
                response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
                response
            }
            Self::KeyReused => detail(StatusCode::UNPROCESSABLE_ENTITY, sentences::KEY_REUSED),
            Self::PreconditionFailed => detail(StatusCode::PRECONDITION_FAILED, sentences::OTHER_STATE),
            Self::AnswerTooLarge => detail(StatusCode::BAD_REQUEST, sentences::ANSWER_TOO_LARGE),
            Self::BodyTimeout => detail(StatusCode::REQUEST_TIMEOUT, sentences::BODY_TIMEOUT),
            Self::TooLarge => detail(StatusCode::PAYLOAD_TOO_LARGE, sentences::TOO_LARGE),
            Self::UnsupportedMediaType(media_type) => {
                detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, &messages::unsupported_media_type(&media_type))
            }
            Self::Throttled(seconds) => {
                let mut response = detail(StatusCode::TOO_MANY_REQUESTS, &messages::throttled(seconds));
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
                response
            }
            Self::Disconnected(cause) => {
                tracing::warn!(cause = %redacted(&cause.into()), "the database is out of reach");
                unavailable(sentences::DISCONNECTED)
            }
            Self::Overloaded => unavailable(sentences::OVERLOADED),
            Self::Unavailable(sentence, cause) => {
                tracing::warn!(cause = %redacted(&cause.into()), "the database can't do it now");
                unavailable(sentence)
            }
            Self::OutcomeUnknown(cause) => {
                tracing::warn!(cause = %redacted(&cause.into()), "the database didn't answer a commit");
                unavailable(sentences::OUTCOME_UNKNOWN)
            }
            Self::Internal(cause) => {
                tracing::error!(cause = %redacted(&cause), "internal error");
                detail(StatusCode::INTERNAL_SERVER_ERROR, sentences::INTERNAL)
            }
        }
    }
}
