//! `core/users/me/`: who the caller is.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use sqlx::FromRow;
use uuid::Uuid;

use super::user::{self, avatar, uid};
use crate::app::App;
use crate::drf::field::{Field, Schema};
use crate::drf::json::Dictionary;
use crate::drf::openapi::{Document, reference};
use crate::drf::viewset::{Extra, extra};
use crate::error::{ApiError, json_response};

/// What a superuser may do that is no permission on a model; authentik lists it for its admin interface.
const SYSTEM_PERMISSIONS: [&str; 16] = [
    "add_initialpermissions",
    "add_role",
    "access_admin_interface",
    "assign_role_permissions",
    "change_initialpermissions",
    "change_role",
    "delete_initialpermissions",
    "delete_role",
    "edit_system_settings",
    "manage_media_files",
    "unassign_role_permissions",
    "view_initialpermissions",
    "view_media_files",
    "view_role",
    "view_system_info",
    "view_system_settings",
];

#[derive(Serialize, FromRow)]
struct OwnRole {
    name: String,
    pk: Uuid,
}

const ME: Extra = Extra::get("Me", "Get information about current user");

/// `GET /core/users/me/`
pub async fn me(State(app): State<App>, request: Request<Body>) -> Response {
    extra(app, request, &ME, async |call, connection, caller| {
        let layout = &call.app.database.layout;
        let own: Option<(String, Dictionary)> =
            sqlx::query_as("SELECT name, attributes FROM authentik_core_user WHERE id = $1")
                .bind(caller.id)
                .fetch_optional(&mut *connection)
                .await?;
        let (name, attributes) = own.ok_or(ApiError::AuthenticationFailed)?;
        let groups = user::all_groups(layout, connection, caller.id).await?;
        let settings = user::group_attributes(&groups, &attributes).remove("settings");
        let roles = sqlx::query_as(
            "SELECT name, uuid AS pk FROM authentik_rbac_role WHERE uuid = ANY($1) ORDER BY name",
        );
        let roles: Vec<OwnRole> = roles.bind(caller.roles()).fetch_all(&mut *connection).await?;
        let system = |codename: &&&str| caller.holds(&format!("authentik_rbac.{codename}"));
        let user = json!({
            "pk": caller.id,
            "username": caller.username,
            "name": name,
            "is_active": true,
            "is_superuser": caller.superuser,
            "groups": groups,
            "roles": roles,
            "email": caller.email,
            "avatar": avatar(if name.is_empty() { &caller.username } else { &name }),
            "uid": uid(caller.id, layout.install_id()),
            "settings": settings.unwrap_or_else(|| json!({})),
            "type": caller.kind,
            "system_permissions": SYSTEM_PERMISSIONS.iter().filter(system).collect::<Vec<_>>(),
            "is_current": true, // 2026.8 and later
        });
        Ok(json_response(StatusCode::OK, &json!({ "user": user, "users": [user] })))
    })
    .await
}

const NAMED: &[Field] = &[Field::text("name").read_only(), Field::text("pk").read_only()];

const FIELDS: &[Field] = &[
    Field::serial("pk").label("ID"),
    Field::text("username").required().max_length(150),
    Field::text("name").required().help("User's display name."),
    Field::boolean("is_active").read_only().label("Active"),
    Field::boolean("is_superuser").read_only(),
    Field::nested_list("groups", "UserSelfGroups", NAMED).read_only(),
    Field::nested_list("roles", "UserSelfRoles", NAMED).read_only(),
    Field::email("email").blank().max_length(254).label("Email address"),
    Field::computed("avatar", Schema::String),
    Field::computed("uid", Schema::String),
    Field::computed("settings", Schema::Object),
    Field::choice("type", &super::user::USER_TYPE),
    Field::computed("system_permissions", Schema::Strings),
];

/// Its operation in the OpenAPI document.
pub fn document(document: &mut Document) {
    document.component(
        "UserSelf",
        "User Serializer for information a user can retrieve about themselves",
        FIELDS,
    );
    let user = reference("UserSelf");
    document.schema(
        "SessionUser",
        json!({
            "type": "object",
            "properties": { "user": user, "original": user, "users": { "type": "array", "items": user } },
            "required": ["user"],
        }),
    );
    document.get(
        "/core/users/me/",
        "core_users_me_retrieve",
        ME.description,
        json!([]),
        reference("SessionUser"),
    );
}
