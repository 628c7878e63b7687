//! authentik's `InitialPermissions`: what the roles of an object's creator may do with it.

use sqlx::PgConnection;

use crate::auth::rbac::Model;
use crate::drf::resource::{PrimaryKey, View};
use crate::error::ApiError;

/// Grant them, in the transaction that makes the object. Our own database has none.
///
/// # Errors
/// The database failed.
pub async fn grant(
    view: View<'_>,
    connection: &mut PgConnection,
    model: &Model,
    pk: impl PrimaryKey,
) -> Result<(), ApiError> {
    if view.caller.roles().is_empty() || !view.app.database.layout.is_attached() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO guardian_roleobjectpermission (object_pk, content_type_id, permission_id, role_id) \
         SELECT DISTINCT $1, p.content_type_id, p.id, i.role_id FROM authentik_rbac_initialpermissions i \
         JOIN authentik_rbac_initialpermissions_permissions m ON m.initialpermissions_id = i.id \
         JOIN auth_permission p ON p.id = m.permission_id JOIN django_content_type c ON c.id = p.content_type_id \
         WHERE i.role_id = ANY($2) AND c.app_label = $3 AND c.model = $4 ON CONFLICT DO NOTHING",
    )
    .bind(pk.to_string())
    .bind(view.caller.roles())
    .bind(model.app_label)
    .bind(model.model)
    .execute(connection)
    .await?;
    Ok(())
}
