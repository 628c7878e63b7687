//! Roles: of their own, and as groups and users show them.

pub mod assigned;
mod assignment;
pub mod object_permission;

use drf::action::{Method, RequestBody, Route, Success};
use drf::declaration::{Declaration, Lookup, LookupKind, Table};
use drf::field::{DefaultValue, Field, Fields, Key, Target};
use drf::messages as drf_messages;
use drf::params::{Filter, FilterKind, Rows, asc};
use drf::permission::{Model, Permission, Verb};
use drf::search::Searched;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use uuid::Uuid;
use validator::Validate;

use super::{account, used_by};
use crate::auth::Gift;
use crate::contract::Release;
use crate::db::{Need, Privilege};
use crate::error::ApiError;
use crate::views::used_by::Relation;
use crate::views::{Action, Answer, Check, Request, Resource};

/// Names and permissions.
pub const MODEL: Model = Model { app_label: "authentik_rbac", name: "Role", model: "role" };
/// Roles as the target of foreign keys.
pub const TARGET: Target = Target { table: "authentik_rbac_role", pk: "uuid", key: Key::Uuid, model: MODEL };
/// Roles by their key, for filters.
pub const BY_PK: Rows = Rows { table: TARGET.table, column: TARGET.pk };
/// Roles by their name, for filters.
pub const BY_NAME: Rows = Rows { table: TARGET.table, column: "name" };
/// Roles by the part of authentik that looks after them, for filters.
const BY_MANAGED: Rows = Rows { table: TARGET.table, column: "managed" };

/// What statements read of roles.
pub const NEEDS: &[Need] = &[Need::read(TARGET.table, "uuid uuid, name text")];

/// Characters of a name, up to 2025.12.
const OLD_MAX_LENGTH: usize = 150;

/// A role; also inside another object.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct Role {
    /// Its key.
    pub pk: Uuid,
    /// Its name.
    pub name: String,
}

/// The values with rules of their own.
#[derive(Debug, Deserialize, Validate)]
pub struct RoleInput {
    name: Option<String>,
}

const NAME: Field = Field::text("name").required().filter().unique("Role with this name already exists.");

/// The fields, for documents about them.
pub const FIELDS: Fields = Fields::new(&[
    Field::uuid("pk").column("uuid").read_only().label("Uuid"),
    NAME,
    Field::text("managed").nullable().default(DefaultValue::Null).internal(),
]);

/// `authentik_rbac_role` rows by what holds them: the statement gives `(holder, pk, name)`.
#[derive(Debug, FromRow)]
pub struct HeldRole<H> {
    /// The group or user.
    pub holder: H,
    /// The role.
    #[sqlx(flatten)]
    pub role: Role,
}

/// Roles of a user, or of a group, and with `inherited` those of the groups above, too.
const OF_USER: &str = "t.uuid IN (SELECT m.role_id FROM authentik_core_user_roles m WHERE m.user_id = {})";
const OF_USER_IN_ALL: &str = "t.uuid IN (WITH RECURSIVE who (id) AS (SELECT {}::integer), up (id) AS (\
      SELECT m.group_id FROM who JOIN {user_groups} m ON m.user_id = who.id UNION \
      SELECT a.parent_id FROM up JOIN authentik_core_groupparentage a ON a.child_id = up.id\
    ) SELECT m.role_id FROM who JOIN authentik_core_user_roles m ON m.user_id = who.id UNION \
      SELECT r.role_id FROM up JOIN authentik_core_group_roles r ON r.group_id = up.id)";
const OF_GROUP: &str = "t.uuid IN (SELECT m.role_id FROM authentik_core_group_roles m WHERE m.group_id = {})";
const OF_GROUP_IN_ALL: &str = "t.uuid IN (WITH RECURSIVE up (id) AS (SELECT {}::uuid UNION \
      SELECT a.parent_id FROM up JOIN authentik_core_groupparentage a ON a.child_id = up.id\
    ) SELECT r.role_id FROM up JOIN authentik_core_group_roles r ON r.group_id = up.id)";
const BY_GROUP: FilterKind =
    FilterKind::Widened { kind: &FilterKind::Uuid, by: "inherited", expression: OF_GROUP_IN_ALL };

impl Resource for Role {
    const DECLARATION: &'static Declaration = &Declaration {
        path: "/rbac/roles/",
        operation: "rbac_roles",
        fields: FIELDS,
        lookup: Lookup {
            parameter: "uuid",
            expression: "t.uuid",
            kind: LookupKind::Uuid,
            description: "A UUID string identifying this Role.",
        },
        filters: &[
            Filter {
                name: "managed",
                expression: "t.managed = ANY({})",
                kind: FilterKind::Texts(BY_MANAGED),
            },
            Filter {
                name: "managed__isnull",
                expression: "",
                kind: FilterKind::Switch { on: "t.managed IS NULL", off: "t.managed IS NOT NULL" },
            },
            // It widens the next three.
            Filter {
                name: "inherited",
                expression: "",
                kind: FilterKind::Switch { on: "TRUE", off: "TRUE" },
            },
            Filter {
                name: "users",
                expression: OF_USER,
                kind: FilterKind::Widened {
                    kind: &FilterKind::Number,
                    by: "inherited",
                    expression: OF_USER_IN_ALL,
                },
            },
            Filter { name: "groups", expression: OF_GROUP, kind: BY_GROUP },
            // Its name in 2025.12.
            Filter { name: "ak_groups", expression: OF_GROUP, kind: BY_GROUP },
        ],
        search: &[Searched::text("t.name")],
        default_order: &[asc("name")],
        ..Declaration::of(MODEL, Table { name: TARGET.table, pk: TARGET.pk, parent: None, joins: "" })
    };
    const EXTRA_ACTIONS: &'static [Action<Self>] = &[ADD_USER, REMOVE_USER];
    const USED_BY: &'static [Relation] = used_by::ROLE;
    const NEEDS: &'static [Need] = &[
        Need::read(TARGET.table, "managed text"),
        Need {
            table: "authentik_core_user_roles",
            privileges: &[Privilege::Select, Privilege::Insert, Privilege::Delete],
            columns: "user_id integer, role_id uuid",
        },
    ];
    type Input = RoleInput;
    type Key = Uuid;

    fn pk(&self) -> Uuid {
        self.pk
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    async fn check(check: &mut Check<'_, Self>, input: &Self::Input) -> Result<(), ApiError> {
        let old = check.context.app.database.layout.release() <= Release::V2025_12;
        let name = input.name.as_deref().unwrap_or_default();
        if old && name.chars().count() > OLD_MAX_LENGTH {
            check.errors.add(&NAME, drf_messages::max_length(OLD_MAX_LENGTH));
        }
        Ok(())
    }
}

const ACCOUNT: RequestBody = account::body("UserAccountSerializerForRole");

/// `POST /rbac/roles/{uuid}/add_user/`
const ADD_USER: Action<Role> = Action::on_object(
    drf::Action::extra(
        "add_user_create",
        Method::Post,
        Route { detail: true, url_path: "add_user" },
        Permission::Model(Verb::Change),
        "Add user",
        "Add user to role",
    )
    .takes(ACCOUNT)
    .answers(Success::NoContent),
    |request, role| Box::pin(add_user(request, role)),
);

/// `POST /rbac/roles/{uuid}/remove_user/`
const REMOVE_USER: Action<Role> = Action::on_object(
    drf::Action::extra(
        "remove_user_create",
        Method::Post,
        Route { detail: true, url_path: "remove_user" },
        Permission::Model(Verb::Change),
        "Remove user",
        "Remove user from role",
    )
    .takes(ACCOUNT)
    .answers(Success::NoContent),
    |request, role| Box::pin(remove_user(request, role)),
);

async fn add_user(request: Request<'_>, role: Role) -> Result<Answer, ApiError> {
    let Request { context, connection, draft, .. } = request;
    let user = account::named(context.caller, connection, &draft).await?;
    let holds: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM authentik_core_user_roles WHERE user_id = $1 AND role_id = $2)",
    )
    .bind(user)
    .bind(role.pk)
    .fetch_one(&mut *connection)
    .await?;
    let gift = Gift { groups: &[], roles: &[role.pk] };
    if !holds && context.lacks(connection, gift).await?.is_some() {
        return Err(ApiError::PermissionDenied);
    }
    sqlx::query(
        "INSERT INTO authentik_core_user_roles (user_id, role_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(user)
    .bind(role.pk)
    .execute(connection)
    .await?;
    Ok(Answer::no_content())
}

async fn remove_user(request: Request<'_>, role: Role) -> Result<Answer, ApiError> {
    let Request { context, connection, draft, .. } = request;
    let user = account::named(context.caller, connection, &draft).await?;
    sqlx::query("DELETE FROM authentik_core_user_roles WHERE user_id = $1 AND role_id = $2")
        .bind(user)
        .bind(role.pk)
        .execute(connection)
        .await?;
    Ok(Answer::no_content())
}
