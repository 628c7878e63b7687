//! Groups.

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sqlx::{Acquire, FromRow, PgConnection, QueryBuilder};
use uuid::Uuid;
use validator::Validate;

use super::role::{self, HeldRole, Role};
use super::used_by::{self, Used, UsedBy};
use super::user::{self, PartialUser};
use crate::app::App;
use crate::audit::Change;
use crate::auth::rbac::{Model, Verb};
use crate::db::links::Links;
use crate::drf::field::{DefaultValue, Field, Key, Schema, Target};
use crate::drf::intake::{self, Content, Mode};
use crate::drf::json::Dictionary;
use crate::drf::messages;
use crate::drf::openapi::{Document, lookup_parameter, operation};
use crate::drf::params::{Filter, FilterKind, Order, Rows, asc};
use crate::drf::resource::{Check, Lookup, LookupKind, Resource, Save, Table, View};
use crate::drf::viewset::{self, Extra, extra};
use crate::error::ApiError;

/// Names and permissions.
pub const MODEL: Model = Model { app_label: "authentik_core", name: "Group", model: "group" };
/// Groups as the target of foreign keys.
pub const TARGET: Target = Target { table: "authentik_core_group", pk: "group_uuid", key: Key::Uuid };
/// Groups by their key, for filters.
pub const BY_PK: Rows = Rows { table: TARGET.table, column: TARGET.pk };
/// Groups by their name, for filters.
pub const BY_NAME: Rows = Rows { table: TARGET.table, column: "name" };
/// Permissions on groups beside the usual four.
pub const PERMISSIONS: [&str; 4] =
    ["add_user_to_group", "remove_user_from_group", "enable_group_superuser", "disable_group_superuser"];

/// A group.
#[derive(Debug, Serialize, FromRow)]
pub struct Group {
    pk: Uuid,
    #[sqlx(skip)]
    num_pk: u32,
    name: String,
    is_superuser: bool,
    parents: Vec<Uuid>,
    #[sqlx(skip)]
    parents_obj: Option<Vec<RelatedGroup>>,
    #[sqlx(skip)]
    users: Vec<i32>,
    #[sqlx(skip)]
    users_obj: Option<Vec<PartialUser>>,
    attributes: Dictionary,
    roles: Vec<Uuid>,
    #[sqlx(skip)]
    roles_obj: Vec<Role>,
    #[sqlx(skip)]
    inherited_roles_obj: Option<Vec<Role>>,
    children: Vec<Uuid>,
    #[sqlx(skip)]
    children_obj: Option<Vec<RelatedGroup>>,
    /// Clients up to 2025.10 know one parent and require both keys: the first one's, or null.
    #[sqlx(skip)]
    parent: Option<Uuid>,
    #[sqlx(skip)]
    parent_name: Option<String>,
}

/// A parent or a child.
#[derive(Debug, Clone, Serialize, FromRow)]
struct RelatedGroup {
    pk: Uuid,
    name: String,
    is_superuser: bool,
    attributes: Dictionary,
    group_uuid: Uuid,
}

const RELATED_GROUP: &[Field] = &[
    Field::uuid("pk").read_only().label("Group uuid"),
    Field::text("name").required(),
    Field::boolean("is_superuser"),
    Field::dictionary("attributes"),
    Field::uuid("group_uuid").read_only(),
];

/// The values with rules of their own.
#[derive(Debug, Deserialize, Validate)]
pub struct GroupInput {
    is_superuser: Option<bool>,
}

impl Resource for Group {
    const MODEL: Model = MODEL;
    const PATH: &'static str = "/core/groups/";
    const OPERATION: &'static str = "core_groups";
    const VIEW_NAME: &'static str = "Group";
    const TABLE: Table = Table { name: "authentik_core_group", pk: "group_uuid", parent: None, joins: "" };
    const FIELDS: &'static [Field] = &[
        Field::uuid("pk").column("group_uuid").read_only().label("Group uuid"),
        Field::computed("num_pk", Schema::Integer),
        Field::text("name").required().filter().unique("Group with this name already exists."),
        Field::boolean("is_superuser")
            .default(DefaultValue::Boolean(false))
            .filter()
            .help("Users added to this group will be superusers."),
        Field::many("parents", &TARGET),
        Field::nested_list("parents_obj", "RelatedGroup", RELATED_GROUP).read_only().nullable(),
        Field::many("users", &user::TARGET).emptied_by_put(),
        Field::nested_list("users_obj", "PartialUser", PartialUser::FIELDS).read_only().nullable(),
        Field::dictionary("attributes").default(DefaultValue::EmptyObject),
        Field::many("roles", &role::TARGET),
        Field::nested_list("roles_obj", "Role", role::FIELDS).read_only(),
        Field::nested_list("inherited_roles_obj", "Role", role::FIELDS).read_only().nullable(),
        Field::computed("children", Schema::Uuids),
        Field::nested_list("children_obj", "RelatedGroup", RELATED_GROUP).read_only().nullable(),
    ];
    const LOOKUP: Lookup = Lookup {
        parameter: "group_uuid",
        expression: "t.group_uuid",
        kind: LookupKind::Uuid,
        description: "A UUID string identifying this Group.",
    };
    const FILTERS: &'static [Filter] = &[
        Filter {
            name: "members_by_pk",
            expression: "t.group_uuid IN (SELECT m.group_id FROM {user_groups} m WHERE m.user_id = ANY({}))",
            kind: FilterKind::Numbers(user::BY_PK),
        },
        Filter {
            name: "members_by_username",
            expression: "t.group_uuid IN (SELECT m.group_id FROM {user_groups} m \
                JOIN authentik_core_user u ON u.id = m.user_id WHERE u.username = ANY({}))",
            kind: FilterKind::Texts(user::BY_USERNAME),
        },
        Filter { name: "attributes", expression: "t.attributes", kind: FilterKind::Attributes },
    ];
    const AUTOCOMPLETE: Option<fn() -> Map<String, Value>> = Some(autocomplete);
    const INCLUDES: &'static [(&'static str, bool)] = &[
        ("include_children", false),
        ("include_inherited_roles", false),
        ("include_parents", false),
        ("include_users", true),
    ];
    const SEARCH: &'static [&'static str] = &["t.name", "t.is_superuser"];
    const DEFAULT_ORDER: &'static [Order] = &[asc("name")];
    const EXTRA_COLUMNS: &'static str = ", \
        ARRAY(SELECT a.parent_id FROM authentik_core_groupparentage a WHERE a.child_id = t.group_uuid ORDER BY a.uuid) \
          AS parents, \
        ARRAY(SELECT a.child_id FROM authentik_core_groupparentage a WHERE a.parent_id = t.group_uuid ORDER BY a.uuid) \
          AS children, \
        ARRAY(SELECT r.role_id FROM authentik_core_group_roles r WHERE r.group_id = t.group_uuid ORDER BY r.id) AS roles";
    type Input = GroupInput;
    type Key = Uuid;

    fn pk(&self) -> Uuid {
        self.pk
    }

    /// Up to 2025.10 a group had one parent.
    fn modernise(body: &mut Value) {
        let Value::Object(map) = body else { return };
        if let Some(parent) = map.remove("parent").filter(|_| !map.contains_key("parents")) {
            map.insert("parents".into(), if parent.is_null() { json!([]) } else { json!([parent]) });
        }
    }

    async fn check(check: &mut Check<'_, Self>, input: &Self::Input) -> Result<(), ApiError> {
        let Some(status) = input.is_superuser else { return Ok(()) };
        if status == check.row.is_some_and(|group| group.is_superuser) {
            return Ok(());
        }
        let codename = if status { "enable_group_superuser" } else { "disable_group_superuser" };
        let pk = check.row.map(|group| group.pk.to_string()).unwrap_or_default();
        if !check.view.caller.may_on(check.connection, &MODEL, codename, &pk).await? {
            check.errors.add("is_superuser", messages::superuser_status(status));
        }
        Ok(())
    }

    async fn attach(
        view: View<'_>,
        connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        let keys: Vec<Uuid> = rows.iter().map(|row| row.pk).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let mut members = members(view, connection, &keys).await?;
        let mut roles = roles(connection, &keys).await?;
        let asks = |name| viewset::included::<Self>(view.query, name);
        let mut inherited = if asks("include_inherited_roles") {
            Some(inherited_roles(connection, &keys).await?)
        } else {
            None
        };
        let (parents, children) = (asks("include_parents"), asks("include_children"));
        let any_parent = rows.iter().any(|row| !row.parents.is_empty());
        let related = if any_parent || children { related(connection, rows).await? } else { HashMap::new() };
        let pick =
            |keys: &[Uuid]| keys.iter().filter_map(|key| related.get(key).cloned()).collect::<Vec<_>>();
        for row in rows {
            row.num_pk = num_pk(row.pk);
            let users = members.remove(&row.pk).unwrap_or_default();
            row.users = users.iter().map(PartialUser::pk).collect();
            row.users_obj = asks("include_users").then_some(users);
            row.roles_obj = roles.remove(&row.pk).unwrap_or_default();
            row.inherited_roles_obj = inherited.as_mut().map(|all| all.remove(&row.pk).unwrap_or_default());
            row.parent = row.parents.first().copied();
            row.parent_name = row.parent.and_then(|parent| Some(related.get(&parent)?.name.clone()));
            row.parents_obj = parents.then(|| pick(&row.parents));
            row.children_obj = children.then(|| pick(&row.children));
        }
        Ok(())
    }

    async fn saved(save: &mut Save<'_>, _input: &Self::Input) -> Result<(), ApiError> {
        let user_groups = save.view.app.database.layout.user_groups();
        if let Some(parents) = save.draft.keys::<Uuid>("parents") {
            sqlx::query("DELETE FROM authentik_core_groupparentage WHERE child_id = $1")
                .bind(save.pk)
                .execute(&mut *save.connection)
                .await?;
            let links: Vec<Uuid> = parents.iter().map(|_| save.view.app.ids.next()).collect();
            sqlx::query(
                "INSERT INTO authentik_core_groupparentage (uuid, child_id, parent_id) \
                 SELECT n.uuid, $1, n.parent FROM unnest($2::uuid[], $3::uuid[]) AS n (uuid, parent)",
            )
            .bind(save.pk)
            .bind(links)
            .bind(parents)
            .execute(&mut *save.connection)
            .await?;
        }
        if let Some(roles) = save.draft.keys::<Uuid>("roles") {
            let links = Links { table: "authentik_core_group_roles", holder: "group_id", held: "role_id" };
            links.replace(save.connection, save.pk, &roles).await?;
        }
        if let Some(users) = save.draft.keys::<i32>("users") {
            let links = Links { table: user_groups, holder: "group_id", held: "user_id" };
            links.replace(save.connection, save.pk, &users).await?;
        }
        Ok(())
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    async fn used_by(
        view: View<'_>,
        connection: &mut PgConnection,
        row: &Self,
    ) -> Result<Vec<UsedBy>, ApiError> {
        used_by::find(view, connection, Used::Group, row.pk).await
    }
}

/// The first five decimal digits of the key: what authentik uses as a group id in LDAP.
pub fn num_pk(pk: Uuid) -> u32 {
    let mut number = pk.as_u128();
    while number > 99_999 {
        number /= 10;
    }
    u32::try_from(number).unwrap_or_default()
}

async fn members(
    view: View<'_>,
    connection: &mut PgConnection,
    groups: &[Uuid],
) -> Result<HashMap<Uuid, Vec<PartialUser>>, ApiError> {
    #[derive(FromRow)]
    struct Member {
        group_id: Uuid,
        #[sqlx(flatten)]
        user: PartialUser,
    }
    let mut query = QueryBuilder::new("SELECT m.group_id");
    query.push(PartialUser::COLUMNS).push(" FROM ").push(view.app.database.layout.user_groups());
    query.push(" m JOIN authentik_core_user u ON u.id = m.user_id WHERE m.group_id = ANY(");
    query.push_bind(groups).push(") ORDER BY u.id");
    let mut members: HashMap<Uuid, Vec<PartialUser>> = HashMap::new();
    for mut member in query.build_query_as::<Member>().fetch_all(connection).await? {
        member.user.complete(view.app.database.layout.install_id());
        members.entry(member.group_id).or_default().push(member.user);
    }
    Ok(members)
}

async fn roles(connection: &mut PgConnection, groups: &[Uuid]) -> Result<HashMap<Uuid, Vec<Role>>, ApiError> {
    let rows = sqlx::query_as(
        "SELECT m.group_id AS holder, r.uuid AS pk, r.name FROM authentik_core_group_roles m \
         JOIN authentik_rbac_role r ON r.uuid = m.role_id WHERE m.group_id = ANY($1) ORDER BY r.name",
    );
    Ok(by_holder(rows.bind(groups).fetch_all(connection).await?))
}

/// Roles of the groups' ancestors that the groups don't have themselves.
async fn inherited_roles(
    connection: &mut PgConnection,
    groups: &[Uuid],
) -> Result<HashMap<Uuid, Vec<Role>>, ApiError> {
    let rows = sqlx::query_as(
        "WITH RECURSIVE up (holder, id) AS (\
           SELECT a.child_id, a.parent_id FROM authentik_core_groupparentage a WHERE a.child_id = ANY($1) UNION \
           SELECT up.holder, a.parent_id FROM up JOIN authentik_core_groupparentage a ON a.child_id = up.id\
         ) SELECT DISTINCT up.holder, r.uuid AS pk, r.name FROM up \
         JOIN authentik_core_group_roles m ON m.group_id = up.id JOIN authentik_rbac_role r ON r.uuid = m.role_id \
         WHERE NOT EXISTS (SELECT 1 FROM authentik_core_group_roles d WHERE d.group_id = up.holder AND d.role_id = r.uuid) \
         ORDER BY r.name",
    );
    Ok(by_holder(rows.bind(groups).fetch_all(connection).await?))
}

fn by_holder(rows: Vec<HeldRole<Uuid>>) -> HashMap<Uuid, Vec<Role>> {
    let mut roles: HashMap<Uuid, Vec<Role>> = HashMap::new();
    for row in rows {
        roles.entry(row.holder).or_default().push(row.role);
    }
    roles
}

async fn related(
    connection: &mut PgConnection,
    rows: &[Group],
) -> Result<HashMap<Uuid, RelatedGroup>, ApiError> {
    let keys: Vec<Uuid> =
        rows.iter().flat_map(|row| row.parents.iter().chain(&row.children)).copied().collect();
    let select = sqlx::query_as(
        "SELECT group_uuid AS pk, name, is_superuser, attributes, group_uuid FROM authentik_core_group \
         WHERE group_uuid = ANY($1)",
    );
    let groups: Vec<RelatedGroup> = select.bind(keys).fetch_all(connection).await?;
    Ok(groups.into_iter().map(|group| (group.pk, group)).collect())
}

/// Their operations in the OpenAPI document.
pub fn document(document: &mut Document) {
    let account = document.request("UserAccount", "Account adding/removing operations", ACCOUNT);
    for (verb, view) in [("add", ADD_USER), ("remove", REMOVE_USER)] {
        let path = format!("/core/groups/{{group_uuid}}/{verb}_user/");
        let id = format!("core_groups_{verb}_user_create");
        let parameters = json!([lookup_parameter::<Group>()]);
        let operation =
            operation(&path, &id, view.description, parameters, Some(account.clone()), "204", None);
        document.operation(&path, "post", operation);
    }
}

/// `POST /core/groups/{id}/add_user/`
pub async fn add_user(State(app): State<App>, request: Request<Body>) -> Response {
    change_membership(app, request, &ADD_USER, "add_user_to_group", true).await
}

/// `POST /core/groups/{id}/remove_user/`
pub async fn remove_user(State(app): State<App>, request: Request<Body>) -> Response {
    change_membership(app, request, &REMOVE_USER, "remove_user_from_group", false).await
}

const ACCOUNT: &[Field] = &[Field::integer("pk").required()];
const ADD_USER: Extra = Extra::post("Add user", "Add user to group", ACCOUNT).on_object();
const REMOVE_USER: Extra = Extra::post("Remove user", "Remove user from group", ACCOUNT).on_object();

async fn change_membership(
    app: App,
    request: Request<Body>,
    view: &Extra,
    permission: &'static str,
    member: bool,
) -> Response {
    extra(app, request, view, async |call, connection, caller| {
        let mut transaction = connection.begin().await?;
        let group = viewset::find::<Group>(call, &mut transaction, caller, true).await?;
        caller.require_on(&mut transaction, &MODEL, permission, &group.pk.to_string()).await?;
        let body = call.json()?;
        let (draft, errors) = intake::take(ACCOUNT, &body, Mode::Create, call.app.dialect());
        let Some(Content::Integer(user)) = draft.get("pk").filter(|_| errors.is_empty()) else {
            return Err(ApiError::Validation(errors.into_body(ACCOUNT)));
        };
        let exists: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM authentik_core_user WHERE id = $1)")
                .bind(user)
                .fetch_one(&mut *transaction)
                .await?;
        let view_user = user::MODEL.codename(Verb::View);
        if !exists || !caller.may_on(&mut transaction, &user::MODEL, &view_user, &user.to_string()).await? {
            return Err(ApiError::NotFound(messages::NOT_FOUND.into()));
        }
        let mut query = QueryBuilder::new("");
        let table = call.app.database.layout.user_groups();
        if member {
            query.push(format_args!("INSERT INTO {table} (group_id, user_id) VALUES ("));
            query.push_bind(group.pk).push(", ").push_bind(*user).push(") ON CONFLICT DO NOTHING");
        } else {
            query.push(format_args!("DELETE FROM {table} WHERE group_id = ")).push_bind(group.pk);
            query.push(" AND user_id = ").push_bind(*user);
        }
        query.build().execute(&mut *transaction).await?;
        viewset::wrote(call.view(caller), &mut transaction, Change::Updated, &group).await?;
        transaction.commit().await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

fn autocomplete() -> Map<String, Value> {
    let field = |kind: &str, nullable: bool| json!({ "type": kind, "nullable": nullable, "options": null });
    let mut attributes = field("relation", false);
    attributes["relation"] = json!("authentik_core.group_attributes");
    let fields = json!({
        "attributes": attributes,
        "is_superuser": field("bool", true),
        "name": field("str", false),
    });
    let schema = json!({
        "current_model": "authentik_core.group",
        "models": { "authentik_core.group": fields },
    });
    schema.as_object().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use uuid::Uuid;

    use super::num_pk;

    #[rstest]
    #[case(Uuid::max(), 34_028)]
    #[case(Uuid::from_u128(123_456), 12_345)]
    #[case(Uuid::from_u128(12_345), 12_345)]
    #[case(Uuid::from_u128(7), 7)]
    #[case(Uuid::nil(), 0)]
    fn numbers_groups(#[case] pk: Uuid, #[case] expected: u32) {
        assert_eq!(num_pk(pk), expected);
    }
}
