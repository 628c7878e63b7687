//! Groups.

use std::collections::HashMap;

use drf::action::{Method, RequestBody, Route, Success};
use drf::declaration::{Declaration, Lookup, LookupKind, Table};
use drf::field::{DefaultValue, Field, Fields, Key, Schema, Target, Through};
use drf::params::{Filter, FilterKind, Rows, asc};
use drf::permission::{Model, Permission};
use drf::search::{self, Searched};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use validator::Validate;

use super::role::{self, HeldRole, Role};
use super::user::{self, PartialUser};
use super::{account, used_by};
use crate::auth::{ENABLE_SUPERUSER, Gift, Lack};
use crate::authentik::Change;
use crate::contract::messages;
use crate::db::{Dictionary, Need, Sql};
use crate::error::ApiError;
use crate::views::used_by::Relation;
use crate::views::{Action, Answer, Check, Context, Request, Resource};

/// Names and permissions.
pub const MODEL: Model = Model { app_label: "authentik_core", name: "Group", model: "group" };
/// Groups as the target of foreign keys.
pub const TARGET: Target =
    Target { table: "authentik_core_group", pk: "group_uuid", key: Key::Uuid, model: MODEL };
/// Groups by their key, for filters.
pub const BY_PK: Rows = Rows { table: TARGET.table, column: TARGET.pk };
/// Groups by their name, for filters.
pub const BY_NAME: Rows = Rows { table: TARGET.table, column: "name" };
/// Permissions on groups that a rule asks for, and no action.
pub const PERMISSIONS: [&str; 2] = [ENABLE_SUPERUSER, DISABLE_SUPERUSER];
const DISABLE_SUPERUSER: &str = "disable_group_superuser";

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

const RELATED_GROUP: Fields = Fields::new(&[
    Field::uuid("pk").read_only().label("Group uuid"),
    Field::text("name").required(),
    Field::boolean("is_superuser"),
    Field::dictionary("attributes"),
    Field::uuid("group_uuid").read_only(),
]);

/// The values with rules of their own.
#[derive(Debug, Deserialize, Validate)]
pub struct GroupInput {
    is_superuser: Option<bool>,
}

const IS_SUPERUSER: Field = Field::boolean("is_superuser")
    .default(DefaultValue::Boolean(false))
    .filter()
    .help("Users added to this group will be superusers.");
const PARENTS: Field = Field::many("parents", &TARGET, &PARENTAGE);
const USERS: Field = Field::many("users", &user::TARGET, &MEMBERS).emptied_by_put();
const ROLES: Field = Field::many("roles", &role::TARGET, &HELD_ROLES);
const PARENTAGE: Through = Through {
    table: "authentik_core_groupparentage",
    holder: "child_id",
    held: "parent_id",
    key: Some("uuid"),
};
const MEMBERS: Through = Through { table: "{user_groups}", holder: "group_id", held: "user_id", key: None };
const HELD_ROLES: Through =
    Through { table: "authentik_core_group_roles", holder: "group_id", held: "role_id", key: None };

impl Resource for Group {
    const DECLARATION: &'static Declaration = &Declaration {
        path: "/core/groups/",
        operation: "core_groups",
        fields: Fields::new(&[
            Field::uuid("pk").column("group_uuid").read_only().label("Group uuid"),
            Field::computed("num_pk", Schema::Integer),
            Field::text("name").required().filter().unique("Group with this name already exists."),
            IS_SUPERUSER,
            PARENTS,
            Field::nested_list("parents_obj", "RelatedGroup", RELATED_GROUP).read_only().nullable(),
            USERS,
            Field::nested_list("users_obj", "PartialUser", PartialUser::FIELDS).read_only().nullable(),
            Field::dictionary("attributes").default(DefaultValue::EmptyObject),
            ROLES,
            Field::nested_list("roles_obj", "Role", role::FIELDS).read_only(),
            Field::nested_list("inherited_roles_obj", "Role", role::FIELDS).read_only().nullable(),
            Field::computed("children", Schema::Uuids),
            Field::nested_list("children_obj", "RelatedGroup", RELATED_GROUP).read_only().nullable(),
        ]),
        lookup: Lookup {
            parameter: "group_uuid",
            expression: "t.group_uuid",
            kind: LookupKind::Uuid,
            description: "A UUID string identifying this Group.",
        },
        filters: &[
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
        ],
        autocomplete: Some(autocomplete),
        includes: &[
            ("include_children", false),
            ("include_inherited_roles", false),
            ("include_parents", false),
            ("include_users", true),
        ],
        search: &[Searched::text("t.name"), Searched::printed("t.is_superuser", search::Kind::Boolean)],
        default_order: &[asc("name")],
        extra_columns: &[", \
            ARRAY(SELECT a.parent_id FROM authentik_core_groupparentage a WHERE a.child_id = t.group_uuid ORDER BY a.uuid) \
              AS parents, \
            ARRAY(SELECT a.child_id FROM authentik_core_groupparentage a WHERE a.parent_id = t.group_uuid ORDER BY a.uuid) \
              AS children, \
            ARRAY(SELECT r.role_id FROM authentik_core_group_roles r WHERE r.group_id = t.group_uuid ORDER BY r.id) AS roles"],
        ..Declaration::of(
            MODEL,
            Table { name: "authentik_core_group", pk: "group_uuid", parent: None, joins: "" },
        )
    };
    const EXTRA_ACTIONS: &'static [Action<Self>] = &[ADD_USER, REMOVE_USER];
    const USED_BY: &'static [Relation] = used_by::GROUP;
    const NEEDS: &'static [Need] = role::NEEDS;
    type Input = GroupInput;
    type Key = Uuid;

    fn pk(&self) -> Uuid {
        self.pk
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    /// Up to 2025.10 a group had one parent.
    fn modernise(body: &mut Value) {
        let Value::Object(map) = body else { return };
        if let Some(parent) = map.remove("parent").filter(|_| !map.contains_key("parents")) {
            map.insert("parents".into(), if parent.is_null() { json!([]) } else { json!([parent]) });
        }
    }

    async fn check(check: &mut Check<'_, Self>, input: &Self::Input) -> Result<(), ApiError> {
        let was = check.row.is_some_and(|group| group.is_superuser);
        let will_be = input.is_superuser.unwrap_or(was);
        if will_be != was {
            let codename = if will_be { ENABLE_SUPERUSER } else { DISABLE_SUPERUSER };
            let pk = check.row.map(|group| group.pk.to_string()).unwrap_or_default();
            if !check.context.caller.may_on(check.connection, &MODEL, codename, &pk).await? {
                check.errors.add(&IS_SUPERUSER, messages::superuser_status(will_be));
            }
        }
        // What a key gives is for those to know who may name it.
        if check.errors.is_empty() { check_gifts(check, was && will_be).await } else { Ok(()) }
    }

    async fn attach(
        context: Context<'_>,
        connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        let keys: Vec<Uuid> = rows.iter().map(|row| row.pk).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let mut members = members(context, connection, &keys).await?;
        let mut roles = roles(connection, &keys).await?;
        let asks = |name| Self::DECLARATION.included(context.query, name);
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
}

/// Nobody gives what they don't hold: a group above gives to the members of this one and those below it, a role too; a
/// new member is given all that the group will be and have. `superusers`: the group makes superusers, and did before.
async fn check_gifts(check: &mut Check<'_, Group>, superusers: bool) -> Result<(), ApiError> {
    let context = check.context;
    let (old_parents, old_roles) =
        check.row.map_or((&[][..], &[][..]), |group| (&group.parents[..], &group.roles[..]));
    let parents = check.draft.keys::<Uuid>(&PARENTS).unwrap_or_else(|| old_parents.to_vec());
    let roles = check.draft.keys::<Uuid>(&ROLES).unwrap_or_else(|| old_roles.to_vec());
    let new_parents: Vec<Uuid> = parents.iter().filter(|key| !old_parents.contains(key)).copied().collect();
    let new_roles: Vec<Uuid> = roles.iter().filter(|key| !old_roles.contains(key)).copied().collect();
    check.refuse_gift(&PARENTS, Gift { groups: &new_parents, roles: &[] }).await?;
    check.refuse_gift(&ROLES, Gift { groups: &[], roles: &new_roles }).await?;
    let Some(users) = check.draft.keys::<i32>(&USERS).filter(|users| !users.is_empty()) else {
        return Ok(());
    };
    let gift = Gift { groups: &parents, roles: &roles };
    let lack = match (check.row, context.lacks(check.connection, gift).await?) {
        (Some(group), None) if superusers => membership(context, check.connection, group.pk).await?,
        (_, lack) => lack,
    };
    if let Some(lack) = lack
        && any_stranger(context, check.connection, check.row, &users).await?
    {
        check.errors.add(&USERS, lack.sentence());
    }
    Ok(())
}

/// What of a membership the caller doesn't hold and so can't give.
async fn membership(
    context: Context<'_>,
    connection: &mut PgConnection,
    group: Uuid,
) -> Result<Option<Lack>, ApiError> {
    context.lacks(connection, Gift { groups: &[group], roles: &[] }).await
}

/// Whether any of these users isn't a member of the group as it is.
async fn any_stranger(
    context: Context<'_>,
    connection: &mut PgConnection,
    group: Option<&Group>,
    users: &[i32],
) -> Result<bool, ApiError> {
    let Some(group) = group else { return Ok(!users.is_empty()) };
    let mut query = Sql::new("SELECT EXISTS (SELECT 1 FROM unnest(");
    query.bind(users).push(") AS n (id) WHERE NOT EXISTS (SELECT 1 FROM ");
    query.push(context.app.database.layout.user_groups());
    query.push(" m WHERE m.user_id = n.id AND m.group_id = ").bind(group.pk).push("))");
    Ok(query.build_query_scalar().fetch_one(connection).await?)
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
    context: Context<'_>,
    connection: &mut PgConnection,
    groups: &[Uuid],
) -> Result<HashMap<Uuid, Vec<PartialUser>>, ApiError> {
    #[derive(FromRow)]
    struct Member {
        group_id: Uuid,
        #[sqlx(flatten)]
        user: PartialUser,
    }
    let mut query = Sql::new("SELECT m.group_id");
    query.push(PartialUser::COLUMNS).push(" FROM ").push(context.app.database.layout.user_groups());
    query.push(" m JOIN authentik_core_user u ON u.id = m.user_id WHERE m.group_id = ANY(");
    query.bind(groups).push(") ORDER BY u.id");
    let mut members: HashMap<Uuid, Vec<PartialUser>> = HashMap::new();
    for mut member in query.build_query_as::<Member>().fetch_all(connection).await? {
        member.user.complete(context.app.database.layout.install_id());
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

const ACCOUNT: RequestBody = account::body("UserAccount");

/// `POST /core/groups/{id}/add_user/`
const ADD_USER: Action<Group> = Action::on_object(
    drf::Action::extra(
        "add_user_create",
        Method::Post,
        Route { detail: true, url_path: "add_user" },
        Permission::Codename("add_user_to_group"),
        "Add user",
        "Add user to group",
    )
    .takes(ACCOUNT)
    .answers(Success::NoContent),
    |request, group| Box::pin(change_membership(request, group, true)),
);

/// `POST /core/groups/{id}/remove_user/`
const REMOVE_USER: Action<Group> = Action::on_object(
    drf::Action::extra(
        "remove_user_create",
        Method::Post,
        Route { detail: true, url_path: "remove_user" },
        Permission::Codename("remove_user_from_group"),
        "Remove user",
        "Remove user from group",
    )
    .takes(ACCOUNT)
    .answers(Success::NoContent),
    |request, group| Box::pin(change_membership(request, group, false)),
);

async fn change_membership(request: Request<'_>, group: Group, member: bool) -> Result<Answer, ApiError> {
    let Request { context, connection, draft, .. } = request;
    let user = account::named(context.caller, connection, &draft).await?;
    if member
        && membership(context, connection, group.pk).await?.is_some()
        && any_stranger(context, connection, Some(&group), &[user]).await?
    {
        return Err(ApiError::PermissionDenied);
    }
    let table = context.app.database.layout.user_groups();
    let mut query = Sql::new("");
    if member {
        query.push(format_args!("INSERT INTO {table} (group_id, user_id) VALUES ("));
        query.bind(group.pk).push(", ").bind(user).push(") ON CONFLICT DO NOTHING");
    } else {
        query.push(format_args!("DELETE FROM {table} WHERE group_id = ")).bind(group.pk);
        query.push(" AND user_id = ").bind(user);
    }
    query.build().execute(&mut *connection).await?;
    context.wrote(connection, Change::Updated, &group).await?;
    Ok(Answer::no_content())
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
