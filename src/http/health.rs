//! Liveness and readiness, at the paths that authentik uses.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;

use crate::app::App;

/// `GET /-/health/live/`: the process answers.
pub async fn live() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// `GET /-/health/ready/`: the database answers within two seconds; 503 otherwise.
pub async fn ready(State(app): State<App>) -> StatusCode {
    // Unprepared, so that it works behind every pooler.
    let probe = sqlx::raw_sql("SELECT 1").execute(&app.database.pool);
    match tokio::time::timeout(Duration::from_secs(2), probe).await {
        Ok(Ok(_)) => StatusCode::NO_CONTENT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}
