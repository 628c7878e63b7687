//! `core/users/me/`: who the caller is.

use drf::action::{Component, Method, Route, Success};
use drf::field::{Field, Fields, Schema};
use drf::openapi::reference;
use drf::permission::Permission;
use serde::Serialize;
use serde_json::json;
use sqlx::FromRow;
use uuid::Uuid;

use super::user::{self, User, avatar, uid};
use crate::db::Dictionary;
use crate::error::ApiError;
use crate::views::{Action, Answer, Request};

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

/// `GET /core/users/me/`
pub const ME: Action<User> = Action::on_list(
    drf::Action::extra(
        "me_retrieve",
        Method::Get,
        Route { detail: false, url_path: "me" },
        Permission::Authenticated,
        "Me",
        "Get information about current user",
    )
    .answers(Success::One(&SESSION_USER)),
    |request| Box::pin(me(request)),
);

async fn me(request: Request<'_>) -> Result<Answer, ApiError> {
    let Request { context, connection, .. } = request;
    let (caller, layout) = (context.caller, &context.app.database.layout);
    let own: Option<(String, Dictionary)> =
        sqlx::query_as("SELECT name, attributes FROM authentik_core_user WHERE id = $1")
            .bind(caller.id)
            .fetch_optional(&mut *connection)
            .await?;
    let (name, attributes) = own.ok_or(ApiError::AuthenticationFailed)?;
    let groups = user::all_groups(layout, connection, caller.id).await?;
    let settings = user::group_attribute(&groups, &attributes, "settings")?;
    let roles =
        sqlx::query_as("SELECT name, uuid AS pk FROM authentik_rbac_role WHERE uuid = ANY($1) ORDER BY name");
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
    Answer::ok(&json!({ "user": user, "users": [user] }))
}

const NAMED: Fields = Fields::new(&[Field::text("name").read_only(), Field::text("pk").read_only()]);

const FIELDS: Fields = Fields::new(&[
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
    Field::boolean("is_current").read_only(),
]);

const SESSION_USER: Component = Component {
    name: "SessionUser",
    schema: |document| {
        let description = "User Serializer for information a user can retrieve about themselves";
        let schema = document.fields(description, FIELDS);
        document.schema("UserSelf", schema);
        let user = reference("UserSelf");
        json!({
            "type": "object",
            "properties": { "user": user, "original": user, "users": { "type": "array", "items": user } },
            "required": ["user", "users"],
        })
    },
};
