//! Liveness and readiness, at the paths that authentik uses.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::error::RETRY_AFTER;
use crate::app::App;

/// `GET /-/health/live/`: the process answers.
pub async fn live() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// `GET /-/health/ready/`: the database answers within two seconds, on a connection that no request has, and the server
/// isn't about to stop; 503 otherwise.
pub async fn ready(State(app): State<App>) -> Response {
    let answers = timeout(Duration::from_secs(2), app.database.requests.answers());
    if !app.is_stopping() && answers.await == Ok(true) {
        return StatusCode::NO_CONTENT.into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)]).into_response()
}
