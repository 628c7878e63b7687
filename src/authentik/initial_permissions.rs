//! authentik's `InitialPermissions`: what the roles of an object's creator may do with it.

use drf::permission::Model;
use sqlx::PgConnection;

use crate::auth::Caller;
use crate::db::{Need, Privilege};
use crate::error::ApiError;

/// What [`grant`] needs.
pub(super) const NEEDS: &[Need] = &[
    Need {
        table: "guardian_roleobjectpermission",
        privileges: &[Privilege::Insert],
        columns: "object_pk text, content_type_id integer, permission_id integer, role_id uuid",
    },
    Need::read("authentik_rbac_initialpermissions", "id integer, role_id uuid"),
    Need::read(
        "authentik_rbac_initialpermissions_permissions",
        "initialpermissions_id integer, permission_id integer",
    ),
    Need::read("auth_permission", "id integer, content_type_id integer"),
    Need::read("django_content_type", "id integer, app_label text, model text"),
];

/// Grant them on the objects with these keys, in the transaction that makes them.
pub(super) async fn grant(
    caller: &Caller,
    connection: &mut PgConnection,
    model: &Model,
    pks: Vec<String>,
) -> Result<(), ApiError> {
    if caller.roles().is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO guardian_roleobjectpermission (object_pk, content_type_id, permission_id, role_id) \
         SELECT DISTINCT o.pk, p.content_type_id, p.id, i.role_id FROM unnest($1::text[]) AS o (pk) \
         CROSS JOIN authentik_rbac_initialpermissions i JOIN authentik_rbac_initialpermissions_permissions m ON m.initialpermissions_id = i.id \
         JOIN auth_permission p ON p.id = m.permission_id JOIN django_content_type c ON c.id = p.content_type_id \
         WHERE i.role_id = ANY($2) AND c.app_label = $3 AND c.model = $4 ON CONFLICT DO NOTHING",
    )
    .bind(pks)
    .bind(caller.roles())
    .bind(model.app_label)
    .bind(model.model)
    .execute(connection)
    .await?;
    Ok(())
}
