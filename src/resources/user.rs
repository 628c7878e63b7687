//! Users: of their own, and as other objects show them. No request sets a password; nobody logs in here.

mod avatar;
mod membership;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use drf::declaration::{Declaration, Lookup, LookupKind, Table};
use drf::field::{Choices, DefaultValue, Field, Fields, Key, Schema, Target, Through};
use drf::intake::{Content, Mode};
use drf::params::{Filter, FilterKind, Rows, asc};
use drf::permission::Model;
use drf::search::{self, Searched};
use drf::{rules, time};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use validator::Validate;

use super::invitation::beyond;
use super::role::{self, HeldRole, Role};
use super::{group, me, token, used_by};
use crate::auth::Gift;
use crate::contract::messages;
use crate::contract::rules as authentik_rules;
use crate::db::{Dictionary, Need, Sql, bootstrap, statements};
use crate::error::ApiError;
use crate::views::used_by::Relation;
use crate::views::{Action, Check, Context, Preparation, Resource, Save};

pub use avatar::avatar;
pub use membership::{all_groups, group_attribute};

/// Names and permissions.
pub const MODEL: Model = Model { app_label: "authentik_core", name: "User", model: "user" };
/// Users as the target of foreign keys.
pub const TARGET: Target = Target { table: "authentik_core_user", pk: "id", key: Key::Integer, model: MODEL };

/// Users by their key, for filters.
pub const BY_PK: Rows = Rows { table: TARGET.table, column: TARGET.pk };
/// Users by their name, for filters.
pub const BY_USERNAME: Rows = Rows { table: TARGET.table, column: "username" };

/// What kind of user.
pub const USER_TYPE: Choices = Choices {
    name: "UserTypeEnum",
    since: &[],
    values: &[
        ("internal", "Internal"),
        ("external", "External"),
        ("service_account", "Service Account"),
        (INTERNAL_SERVICE_ACCOUNT, "Internal Service Account"),
    ],
};
/// The type of the users that authentik makes for its outposts: requests neither make nor change one.
const INTERNAL_SERVICE_ACCOUNT: &str = "internal_service_account";

/// Whom django-guardian makes for those who aren't logged in. There is one in authentik's database alone.
const ANONYMOUS: &str = "AnonymousUser";

/// A user inside another object.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct PartialUser {
    #[sqlx(rename = "user_pk")]
    pk: i32,
    #[sqlx(rename = "user_username")]
    username: String,
    #[sqlx(rename = "user_name")]
    name: String,
    #[sqlx(rename = "user_is_active")]
    is_active: bool,
    #[sqlx(rename = "user_last_login")]
    #[serde(serialize_with = "time::serialize_option")]
    last_login: Option<DateTime<Utc>>,
    #[sqlx(rename = "user_email")]
    email: String,
    #[sqlx(rename = "user_attributes")]
    attributes: Dictionary,
    #[sqlx(skip)]
    uid: String,
}

impl PartialUser {
    /// SELECT expressions for [`FromRow`], of `authentik_core_user u`, with a comma in front.
    pub const COLUMNS: &'static str = ", u.id AS user_pk, u.username AS user_username, u.name AS user_name, \
        u.is_active AS user_is_active, u.last_login AS user_last_login, u.email AS user_email, \
        u.attributes AS user_attributes";

    /// The fields, for documents about them.
    pub const FIELDS: Fields = Fields::new(&[
        Field::serial("pk").label("ID"),
        Field::text("username").required().max_length(150)
            .help("Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only."),
        Field::text("name").required().help("User's display name."),
        Field::boolean("is_active").label("Active").help(
            "Designates whether this user should be treated as active. Unselect this instead of deleting accounts.",
        ),
        Field::datetime("last_login").nullable(),
        Field::email("email").blank().max_length(254).label("Email address"),
        Field::dictionary("attributes"),
        Field::text("uid").read_only(),
    ]);

    /// The key.
    pub fn pk(&self) -> i32 {
        self.pk
    }

    /// Fill in the `uid`.
    pub fn complete(&mut self, install_id: &str) {
        self.uid = uid(self.pk, install_id);
    }
}

/// A user's identifier towards the outside: 64 hexadecimal digits from the id and the installation.
pub fn uid(id: i32, install_id: &str) -> String {
    let digest = Sha256::digest(format!("{id}-{install_id}"));
    digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// A user.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct User {
    pk: i32,
    username: String,
    name: String,
    is_active: bool,
    #[serde(serialize_with = "time::serialize_option")]
    last_login: Option<DateTime<Utc>>,
    #[serde(serialize_with = "time::serialize")]
    date_joined: DateTime<Utc>,
    is_superuser: bool,
    groups: Vec<Uuid>,
    #[sqlx(skip)]
    groups_obj: Option<Vec<PartialGroup>>,
    roles: Vec<Uuid>,
    #[sqlx(skip)]
    roles_obj: Option<Vec<Role>>,
    email: String,
    #[sqlx(skip)]
    avatar: String,
    attributes: Dictionary,
    #[sqlx(skip)]
    uid: String,
    path: String,
    #[serde(rename = "type")]
    #[sqlx(rename = "type")]
    kind: String,
    uuid: Uuid,
    #[serde(serialize_with = "time::serialize")]
    password_change_date: DateTime<Utc>,
    #[serde(serialize_with = "time::serialize")]
    last_updated: DateTime<Utc>,
}

/// The values with rules of their own.
#[derive(Debug, Deserialize, Validate)]
pub struct UserInput {
    #[validate(custom(function = rules::email))]
    email: Option<String>,
    #[validate(custom(function = authentik_rules::user_path))]
    path: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// A group inside a user.
#[derive(Debug, Clone, Serialize)]
struct PartialGroup {
    pk: Uuid,
    num_pk: u32,
    name: String,
    is_superuser: bool,
    attributes: Dictionary,
}

const PARTIAL_GROUP: Fields = Fields::new(&[
    Field::uuid("pk").read_only().label("Group uuid"),
    Field::computed("num_pk", Schema::Integer),
    Field::text("name").required(),
    Field::boolean("is_superuser"),
    Field::dictionary("attributes"),
]);

/// Whether the user `t` is in a superusers' group, directly or through its ancestors.
const IS_SUPERUSER: &str = "(EXISTS (WITH RECURSIVE up (id) AS (\
      SELECT m.group_id FROM {user_groups} m WHERE m.user_id = t.id UNION \
      SELECT a.parent_id FROM up JOIN authentik_core_groupparentage a ON a.child_id = up.id\
    ) SELECT 1 FROM up JOIN authentik_core_group g ON g.group_uuid = up.id WHERE g.is_superuser))";

const fn at(name: &'static str, expression: &'static str, kind: FilterKind) -> Filter {
    Filter { name, expression, kind }
}

const USERNAME: Field =
    Field::text("username").required().max_length(150).filter().unique(drf::messages::UNIQUE);
const IS_ACTIVE: Field =
    Field::boolean("is_active").default(DefaultValue::Boolean(true)).filter().label("Active").help(
        "Designates whether this user should be treated as active. Unselect this instead of deleting accounts.",
    );
const DATE_JOINED: Field = Field::datetime("date_joined").read_only().filter();
const TYPE: Field = Field::choice("type", &USER_TYPE).default(DefaultValue::Text("internal"));
const UUID: Field = Field::uuid("uuid").read_only().filter();
const PASSWORD_CHANGE_DATE: Field = Field::datetime("password_change_date").read_only();
const LAST_UPDATED: Field = Field::datetime("last_updated").read_only().filter();
const PASSWORD: Field = Field::text("password").max_length(128).internal();
const GROUPS: Field = Field::many("groups", &group::TARGET, &MEMBERSHIPS).emptied_by_put();
const ROLES: Field = Field::many("roles", &role::TARGET, &HELD_ROLES).emptied_by_put();
const ATTRIBUTES: Field = Field::dictionary("attributes").default(DefaultValue::EmptyObject);
const MEMBERSHIPS: Through =
    Through { table: "{user_groups}", holder: "user_id", held: "group_id", key: None };
const HELD_ROLES: Through =
    Through { table: "authentik_core_user_roles", holder: "user_id", held: "role_id", key: None };

/// The fields.
pub const FIELDS: Fields = Fields::new(&[
    Field::serial("pk").column("id").label("ID"),
    USERNAME,
    Field::text("name").required().blank().filter().help("User's display name."),
    IS_ACTIVE,
    Field::datetime("last_login").nullable().default(DefaultValue::Null).filter(),
    DATE_JOINED,
    Field::computed("is_superuser", Schema::Boolean),
    GROUPS,
    Field::nested_list("groups_obj", "PartialGroup", PARTIAL_GROUP).read_only().nullable(),
    ROLES,
    Field::nested_list("roles_obj", "Role", role::FIELDS).read_only().nullable(),
    Field::email("email")
        .blank()
        .max_length(254)
        .default(DefaultValue::Text(""))
        .filter()
        .label("Email address"),
    Field::computed("avatar", Schema::String),
    ATTRIBUTES,
    Field::computed("uid", Schema::String),
    Field::text("path").default(DefaultValue::Text("users")).filter(),
    TYPE,
    UUID,
    PASSWORD_CHANGE_DATE,
    LAST_UPDATED,
    PASSWORD,
    Field::text("first_name").max_length(150).default(DefaultValue::Text("")).internal(),
    Field::text("last_name").max_length(150).default(DefaultValue::Text("")).internal(),
]);

impl Resource for User {
    const DECLARATION: &'static Declaration = &Declaration {
        path: "/core/users/",
        operation: "core_users",
        fields: FIELDS,
        lookup: Lookup {
            parameter: "id",
            expression: "t.id",
            kind: LookupKind::Integer,
            description: "A unique integer value identifying this User.",
        },
        filters: &[
            at("is_superuser", IS_SUPERUSER, FilterKind::Boolean),
            at("type", "t.type = ANY({})", FilterKind::Choices(&USER_TYPE)),
            at("path_startswith", "starts_with(t.path, {})", FilterKind::Text),
            at("attributes", "t.attributes", FilterKind::Attributes),
            at("last_login__lt", "t.last_login < {}", FilterKind::DateTime),
            at("last_login__gt", "t.last_login > {}", FilterKind::DateTime),
            at("last_login__isnull", "(t.last_login IS NULL)", FilterKind::Boolean),
            at("date_joined__lt", "t.date_joined < {}", FilterKind::DateTime),
            at("date_joined__gt", "t.date_joined > {}", FilterKind::DateTime),
            at("last_updated__lt", "t.last_updated < {}", FilterKind::DateTime),
            at("last_updated__gt", "t.last_updated > {}", FilterKind::DateTime),
            at(
                "groups_by_name",
                "EXISTS (SELECT 1 FROM {user_groups} m JOIN authentik_core_group g ON g.group_uuid = m.group_id \
                 WHERE m.user_id = t.id AND g.name = ANY({}))",
                FilterKind::Texts(group::BY_NAME),
            ),
            at(
                "groups_by_pk",
                "EXISTS (SELECT 1 FROM {user_groups} m WHERE m.user_id = t.id AND m.group_id = ANY({}))",
                FilterKind::Uuids(group::BY_PK),
            ),
            at(
                "roles_by_name",
                "EXISTS (SELECT 1 FROM authentik_core_user_roles m JOIN authentik_rbac_role r ON r.uuid = m.role_id \
                 WHERE m.user_id = t.id AND r.name = ANY({}))",
                FilterKind::Texts(role::BY_NAME),
            ),
            at(
                "roles_by_pk",
                "EXISTS (SELECT 1 FROM authentik_core_user_roles m WHERE m.user_id = t.id AND m.role_id = ANY({}))",
                FilterKind::Uuids(role::BY_PK),
            ),
        ],
        autocomplete: Some(autocomplete),
        includes: &[("include_groups", true), ("include_roles", true)],
        // All but ANONYMOUS.
        rows: "t.username <> 'AnonymousUser'",
        search: &[
            Searched::text("t.email"),
            Searched::text("t.name"),
            Searched::printed("t.uuid", search::Kind::Uuid),
            Searched::text("t.username"),
        ],
        default_order: &[asc("username")],
        extra_columns: &[", \
            ARRAY(SELECT m.group_id FROM {user_groups} m WHERE m.user_id = t.id ORDER BY m.id) AS groups, \
            ARRAY(SELECT m.role_id FROM authentik_core_user_roles m WHERE m.user_id = t.id ORDER BY m.id) AS roles, \
            (EXISTS (WITH RECURSIVE up (id) AS (\
              SELECT m.group_id FROM {user_groups} m WHERE m.user_id = t.id UNION \
              SELECT a.parent_id FROM up JOIN authentik_core_groupparentage a ON a.child_id = up.id\
            ) SELECT 1 FROM up JOIN authentik_core_group g ON g.group_uuid = up.id WHERE g.is_superuser)) AS is_superuser"],
        key: Key::Integer,
        ..Declaration::of(MODEL, Table { name: "authentik_core_user", pk: "id", parent: None, joins: "" })
    };
    const EXTRA_ACTIONS: &'static [Action<Self>] = &[me::ME];
    const USED_BY: &'static [Relation] = used_by::USER;
    const NEEDS: &'static [Need] = role::NEEDS;
    /// Who may change users can become any of them.
    const WRITING_IS_GRANTED: bool = false;
    type Input = UserInput;
    type Key = i32;

    fn pk(&self) -> i32 {
        self.pk
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    async fn prepare(preparation: &mut Preparation<'_, Self>, _input: &Self::Input) -> Result<(), ApiError> {
        let (app, draft) = (preparation.context.app, &mut preparation.draft);
        let now = Content::DateTime(app.clock.now());
        if preparation.mode == Mode::Create {
            draft.set(&PASSWORD, Content::Text(bootstrap::unusable_password()));
            draft.set(&UUID, Content::Uuid(app.ids.next()));
            draft.set(&DATE_JOINED, now.clone());
            draft.set(&PASSWORD_CHANGE_DATE, now.clone());
        }
        draft.set(&LAST_UPDATED, now);
        Ok(())
    }

    async fn check(check: &mut Check<'_, Self>, input: &Self::Input) -> Result<(), ApiError> {
        // Taken in every authentik, by the user that the declared rows leave out.
        if check.draft.get(&USERNAME) == Some(&Content::Text(ANONYMOUS.into()))
            && !check.errors.has(&USERNAME)
        {
            check.errors.add(&USERNAME, drf::messages::UNIQUE);
        }
        let is_internal = |kind: &str| kind == INTERNAL_SERVICE_ACCOUNT;
        let stored = check.row.map(|user| is_internal(&user.kind));
        match (stored, input.kind.as_deref().map(is_internal)) {
            (None, Some(true)) => check.errors.add(&TYPE, messages::NO_INTERNAL_SERVICE_ACCOUNT),
            (Some(true), Some(false)) => check.errors.add(&TYPE, messages::STAYS_INTERNAL_SERVICE_ACCOUNT),
            (Some(true), _) if check.errors.is_empty() => {
                check.errors.add_non_field(messages::INTERNAL_SERVICE_ACCOUNT);
            }
            _ => {}
        }
        // What a key gives is for those to know who may name it.
        if check.errors.is_empty() { check_gifts(check).await } else { Ok(()) }
    }

    async fn saved(save: &mut Save<'_, Self>, _input: &Self::Input) -> Result<(), ApiError> {
        let is_active = match save.draft.get(&IS_ACTIVE) {
            Some(Content::Boolean(is_active)) => *is_active,
            _ => save.before.is_none_or(|user| user.is_active),
        };
        if save.mode == Mode::Partial && !is_active {
            save.context.trace.logged_out(save.connection, save.pk).await?;
        }
        Ok(())
    }

    async fn attach(
        context: Context<'_>,
        connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        let asks = |name| !rows.is_empty() && Self::DECLARATION.included(context.query, name);
        let (with_groups, with_roles) = (asks("include_groups"), asks("include_roles"));
        let mut groups = if with_groups { groups(context, connection, rows).await? } else { HashMap::new() };
        let mut roles = if with_roles { roles(connection, rows).await? } else { HashMap::new() };
        for user in rows {
            user.uid = uid(user.pk, context.app.database.layout.install_id());
            user.avatar = avatar(if user.name.is_empty() { &user.username } else { &user.name });
            user.groups_obj = with_groups.then(|| groups.remove(&user.pk).unwrap_or_default());
            user.roles_obj = with_roles.then(|| roles.remove(&user.pk).unwrap_or_default());
        }
        Ok(())
    }

    async fn destroying(
        context: Context<'_>,
        connection: &mut PgConnection,
        row: &Self,
    ) -> Result<(), ApiError> {
        beyond::deleted_with(context, connection, row.pk).await?;
        context.trace.logged_out(connection, row.pk).await
    }
}

/// Nobody gives what they don't hold: not by a group, not by a role, and not by the attribute that lets tokens live on.
async fn check_gifts(check: &mut Check<'_, User>) -> Result<(), ApiError> {
    let new = |field, held: &[Uuid]| {
        let keys = check.draft.keys::<Uuid>(field).unwrap_or_default();
        keys.into_iter().filter(|key| !held.contains(key)).collect::<Vec<_>>()
    };
    let groups = new(&GROUPS, check.row.map_or(&[], |user| &user.groups));
    let roles = new(&ROLES, check.row.map_or(&[], |user| &user.roles));
    check.refuse_gift(&GROUPS, Gift { groups: &groups, roles: &[] }).await?;
    check.refuse_gift(&ROLES, Gift { groups: &[], roles: &roles }).await?;
    if let Some(Content::Dictionary(attributes)) = check.draft.get(&ATTRIBUTES)
        && !token::tokens_expire(attributes)
        && check.row.is_none_or(|user| token::tokens_expire(user.attributes.text()))
        && !token::may_be_unending(check.context, check.connection).await?
    {
        check.errors.add(&ATTRIBUTES, messages::UNENDING_TOKEN);
    }
    Ok(())
}

/// Users by id, complete.
///
/// # Errors
/// The database failed.
pub async fn load(
    context: Context<'_>,
    connection: &mut PgConnection,
    ids: Vec<i32>,
) -> Result<HashMap<i32, User>, ApiError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let layout = &context.app.database.layout;
    let mut users: Vec<User> = statements::reload(connection, User::DECLARATION, layout, ids, None).await?;
    User::attach(context, connection, &mut users).await?;
    Ok(users.into_iter().map(|user| (user.pk, user)).collect())
}

async fn groups(
    context: Context<'_>,
    connection: &mut PgConnection,
    users: &[User],
) -> Result<HashMap<i32, Vec<PartialGroup>>, ApiError> {
    let mut query = Sql::new("SELECT m.user_id, g.group_uuid, g.name, g.is_superuser, g.attributes FROM ");
    query.push(context.app.database.layout.user_groups());
    query.push(" m JOIN authentik_core_group g ON g.group_uuid = m.group_id WHERE m.user_id = ANY(");
    query.bind(users.iter().map(|user| user.pk).collect::<Vec<_>>()).push(") ORDER BY g.name");
    let rows: Vec<(i32, Uuid, String, bool, Dictionary)> =
        query.build_query_as().fetch_all(connection).await?;
    let mut groups: HashMap<i32, Vec<PartialGroup>> = HashMap::new();
    for (user, pk, name, is_superuser, attributes) in rows {
        let group = PartialGroup { pk, num_pk: group::num_pk(pk), name, is_superuser, attributes };
        groups.entry(user).or_default().push(group);
    }
    Ok(groups)
}

async fn roles(connection: &mut PgConnection, users: &[User]) -> Result<HashMap<i32, Vec<Role>>, ApiError> {
    let select = sqlx::query_as(
        "SELECT m.user_id AS holder, r.uuid AS pk, r.name FROM authentik_core_user_roles m \
         JOIN authentik_rbac_role r ON r.uuid = m.role_id WHERE m.user_id = ANY($1) ORDER BY r.name",
    );
    let ids: Vec<i32> = users.iter().map(|user| user.pk).collect();
    let mut roles: HashMap<i32, Vec<Role>> = HashMap::new();
    for row in select.bind(ids).fetch_all(connection).await? as Vec<HeldRole<i32>> {
        roles.entry(row.holder).or_default().push(row.role);
    }
    Ok(roles)
}

fn autocomplete() -> Map<String, Value> {
    let field = |kind: &str, nullable: bool| json!({ "type": kind, "nullable": nullable, "options": null });
    let mut attributes = field("relation", false);
    attributes["relation"] = json!("authentik_core.user_attributes");
    let mut kind = field("str", false);
    kind["options"] = USER_TYPE.values.iter().map(|(value, _)| *value).collect();
    let fields = json!({
        "attributes": attributes,
        "email": field("str", false),
        "is_active": field("bool", true),
        "name": field("str", false),
        "path": field("str", false),
        "type": kind,
        "username": field("str", false),
    });
    let schema = json!({
        "current_model": "authentik_core.user",
        "models": { "authentik_core.user": fields },
    });
    schema.as_object().cloned().unwrap_or_default()
}
