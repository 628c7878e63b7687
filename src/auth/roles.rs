//! What roles are given: permissions on everything of a model, and on single objects.

use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::db::{Need, Privilege, Sql};

/// What roles may do with everything of a model.
const MODEL_PERMISSIONS: &str = "guardian_rolemodelpermission";
/// What they may do with single objects.
const OBJECT_PERMISSIONS: &str = "guardian_roleobjectpermission";

/// What the statements here need.
pub(super) const NEEDS: &[Need] = &[
    Need {
        table: MODEL_PERMISSIONS,
        privileges: &[Privilege::Select, Privilege::Insert, Privilege::Delete],
        columns: "id integer, content_type_id integer, permission_id integer, role_id uuid",
    },
    Need {
        table: OBJECT_PERMISSIONS,
        privileges: &[Privilege::Select, Privilege::Insert, Privilege::Delete],
        columns: "id integer, object_pk text, content_type_id integer, permission_id integer, role_id uuid",
    },
    Need::read("django_content_type", "id integer, app_label text, model text"),
];

/// A permission that a role was given or lost, or that it had already.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct Held {
    /// Of the row that says so.
    pub id: i32,
    /// The permission.
    pub permission_id: i32,
}

/// The permissions with these names, in their order: an app label and a codename each, of this model alone where there is
/// one. None where there is no such permission.
///
/// # Errors
/// The database failed.
pub async fn permissions(
    connection: &mut PgConnection,
    names: &[(&str, &str)],
    model: Option<&str>,
) -> sqlx::Result<Vec<Option<i32>>> {
    let (apps, codenames): (Vec<&str>, Vec<&str>) = names.iter().copied().unzip();
    let select = sqlx::query_scalar(
        "SELECT (SELECT min(p.id) FROM auth_permission p JOIN django_content_type c ON c.id = p.content_type_id \
           WHERE p.codename = n.codename AND c.app_label = n.app AND ($3::text IS NULL OR c.model = $3)) \
         FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS n (app, codename, place) ORDER BY n.place",
    );
    select.bind(apps).bind(codenames).bind(model).fetch_all(connection).await
}

/// Let a role do this, with the object of this key or with everything. Gives what it was given now; it may have some of it
/// already.
///
/// # Errors
/// The database failed.
pub async fn give(
    connection: &mut PgConnection,
    role: Uuid,
    permissions: &[i32],
    object_pk: Option<&str>,
) -> sqlx::Result<Vec<Held>> {
    let insert = match object_pk {
        None => sqlx::query_as(
            "INSERT INTO guardian_rolemodelpermission (content_type_id, permission_id, role_id) \
             SELECT content_type_id, id, $1 FROM auth_permission WHERE id = ANY($2) ORDER BY id \
             ON CONFLICT DO NOTHING RETURNING id, permission_id",
        )
        .bind(role)
        .bind(permissions),
        Some(object_pk) => sqlx::query_as(
            "INSERT INTO guardian_roleobjectpermission (content_type_id, permission_id, role_id, object_pk) \
             SELECT content_type_id, id, $1, $3 FROM auth_permission WHERE id = ANY($2) ORDER BY id \
             ON CONFLICT DO NOTHING RETURNING id, permission_id",
        )
        .bind(role)
        .bind(permissions)
        .bind(object_pk),
    };
    insert.fetch_all(connection).await
}

/// What a role may do of this, with the object of this key or with everything.
///
/// # Errors
/// The database failed.
pub async fn held(
    connection: &mut PgConnection,
    role: Uuid,
    permissions: &[i32],
    object_pk: Option<&str>,
) -> sqlx::Result<Vec<Held>> {
    let mut select = Sql::new("SELECT id, permission_id");
    push_held(&mut select, role, permissions, object_pk);
    select.build_query_as().fetch_all(connection).await
}

/// Take this from a role. Gives what it had of it.
///
/// # Errors
/// The database failed.
pub async fn take(
    connection: &mut PgConnection,
    role: Uuid,
    permissions: &[i32],
    object_pk: Option<&str>,
) -> sqlx::Result<Vec<Held>> {
    let mut delete = Sql::new("DELETE");
    push_held(&mut delete, role, permissions, object_pk);
    delete.push(" RETURNING id, permission_id").build_query_as().fetch_all(connection).await
}

/// Those of the permissions that the role has, with the object of this key or with everything.
fn push_held<'a>(query: &mut Sql, role: Uuid, permissions: &'a [i32], object_pk: Option<&'a str>) {
    let table = if object_pk.is_none() { MODEL_PERMISSIONS } else { OBJECT_PERMISSIONS };
    query.push(format_args!(" FROM {table} WHERE role_id = ")).bind(role);
    query.push(" AND permission_id = ANY(").bind(permissions).push(")");
    if let Some(object_pk) = object_pk {
        query.push(" AND object_pk = ").bind(object_pk);
    }
}
