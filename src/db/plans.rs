//! The flow plans that authentik caches in its database. A write that changes what a flow does drops its plans.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::App;
use crate::error::ApiError;

/// Drop the cached plans of these flows. Our own database has none.
///
/// # Errors
/// The database failed.
pub async fn drop_of(app: &App, connection: &mut PgConnection, flows: &[Uuid]) -> Result<(), ApiError> {
    if flows.is_empty() || !app.database.layout.is_attached() {
        return Ok(());
    }
    let patterns: Vec<String> =
        flows.iter().map(|flow| format!("public::1:goauthentik.io/flows/planner/{flow}#%")).collect();
    sqlx::query("DELETE FROM django_postgres_cache_cacheentry WHERE cache_key LIKE ANY($1)")
        .bind(patterns)
        .execute(connection)
        .await?;
    Ok(())
}
