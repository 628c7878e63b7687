//! authentik's login sessions. They are only ever ended here.

use sqlx::PgConnection;

use super::cascade;
use crate::db::{Layout, Need};
use crate::error::ApiError;

/// What [`end`] reads. It is part of writing users, for which nothing is granted.
pub(super) const NEEDS: &[Need] = &[Need {
    table: "authentik_core_authenticatedsession",
    privileges: &[],
    columns: "session_id text, user_id integer",
}];

/// Log a user out: authentik does where a PATCH leaves somebody inactive, and on a deletion.
pub(super) async fn end(layout: &Layout, connection: &mut PgConnection, user: i32) -> Result<(), ApiError> {
    let select =
        sqlx::query_scalar("SELECT session_id FROM authentik_core_authenticatedsession WHERE user_id = $1");
    let keys: Vec<String> = select.bind(user).fetch_all(&mut *connection).await?;
    cascade::delete(connection, layout, "authentik_core_session", keys).await
}
