//! Users: of their own, and as other objects show them. No request sets a password; nobody logs in here.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use sqlx::{FromRow, PgConnection, QueryBuilder};
use uuid::Uuid;
use validator::Validate;

use super::group;
use super::role::{self, HeldRole, Role};
use super::used_by::{self, Used, UsedBy};
use crate::auth::rbac::Model;
use crate::db::links::Links;
use crate::db::{Layout, bootstrap, cascade};
use crate::drf::errors::NON_FIELD_ERRORS;
use crate::drf::field::{Choices, DefaultValue, Field, Key, Schema, Target};
use crate::drf::intake::{Content, Mode};
use crate::drf::json::Dictionary;
use crate::drf::params::{Filter, FilterKind, Order, Rows, asc};
use crate::drf::resource::{Check, Lookup, LookupKind, Resource, Save, Table, View};
use crate::drf::sql;
use crate::drf::{messages, rules, time, viewset};
use crate::error::ApiError;

/// Names and permissions.
pub const MODEL: Model = Model { app_label: "authentik_core", name: "User", model: "user" };
/// Users as the target of foreign keys.
pub const TARGET: Target = Target { table: "authentik_core_user", pk: "id", key: Key::Integer };

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
    pub const FIELDS: &'static [Field] = &[
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
    ];

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
    #[validate(custom(function = rules::user_path))]
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

const PARTIAL_GROUP: &[Field] = &[
    Field::uuid("pk").read_only().label("Group uuid"),
    Field::computed("num_pk", Schema::Integer),
    Field::text("name").required(),
    Field::boolean("is_superuser"),
    Field::dictionary("attributes"),
];

/// Whether the user `t` is in a superusers' group, directly or through its ancestors.
const IS_SUPERUSER: &str = "(EXISTS (WITH RECURSIVE up (id) AS (\
      SELECT m.group_id FROM {user_groups} m WHERE m.user_id = t.id UNION \
      SELECT a.parent_id FROM up JOIN authentik_core_groupparentage a ON a.child_id = up.id\
    ) SELECT 1 FROM up JOIN authentik_core_group g ON g.group_uuid = up.id WHERE g.is_superuser))";

const fn at(name: &'static str, expression: &'static str, kind: FilterKind) -> Filter {
    Filter { name, expression, kind }
}

impl Resource for User {
    const MODEL: Model = MODEL;
    const PATH: &'static str = "/core/users/";
    const OPERATION: &'static str = "core_users";
    const VIEW_NAME: &'static str = "User";
    const TABLE: Table = Table { name: "authentik_core_user", pk: "id", parent: None, joins: "" };
    const FIELDS: &'static [Field] = &[
        Field::serial("pk").column("id").label("ID"),
        Field::text("username").required().max_length(150).filter().unique(messages::UNIQUE),
        Field::text("name").required().blank().filter().help("User's display name."),
        Field::boolean("is_active").default(DefaultValue::Boolean(true)).filter().label("Active").help(
            "Designates whether this user should be treated as active. Unselect this instead of deleting accounts.",
        ),
        Field::datetime("last_login").nullable().default(DefaultValue::Null).filter(),
        Field::datetime("date_joined").read_only().filter(),
        Field::computed("is_superuser", Schema::Boolean),
        Field::many("groups", &group::TARGET).emptied_by_put(),
        Field::nested_list("groups_obj", "PartialGroup", PARTIAL_GROUP).read_only().nullable(),
        Field::many("roles", &role::TARGET).emptied_by_put(),
        Field::nested_list("roles_obj", "Role", role::FIELDS).read_only().nullable(),
        Field::email("email")
            .blank()
            .max_length(254)
            .default(DefaultValue::Text(""))
            .filter()
            .label("Email address"),
        Field::computed("avatar", Schema::String),
        Field::dictionary("attributes").default(DefaultValue::EmptyObject),
        Field::computed("uid", Schema::String),
        Field::text("path").default(DefaultValue::Text("users")).filter(),
        Field::choice("type", &USER_TYPE).default(DefaultValue::Text("internal")),
        Field::uuid("uuid").read_only().filter(),
        Field::datetime("password_change_date").read_only(),
        Field::datetime("last_updated").read_only().filter(),
        Field::text("password").max_length(128).internal(),
        Field::text("first_name").max_length(150).default(DefaultValue::Text("")).internal(),
        Field::text("last_name").max_length(150).default(DefaultValue::Text("")).internal(),
    ];
    const LOOKUP: Lookup = Lookup {
        parameter: "id",
        expression: "t.id",
        kind: LookupKind::Integer,
        description: "A unique integer value identifying this User.",
    };
    const FILTERS: &'static [Filter] = &[
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
    ];
    const AUTOCOMPLETE: Option<fn() -> Map<String, Value>> = Some(autocomplete);
    const INCLUDES: &'static [(&'static str, bool)] = &[("include_groups", true), ("include_roles", true)];
    // All but ANONYMOUS.
    const ROWS: &'static str = "t.username <> 'AnonymousUser'";
    const SEARCH: &'static [&'static str] = &["t.email", "t.name", "t.uuid", "t.username"];
    const DEFAULT_ORDER: &'static [Order] = &[asc("username")];
    const EXTRA_COLUMNS: &'static str = ", \
        ARRAY(SELECT m.group_id FROM {user_groups} m WHERE m.user_id = t.id ORDER BY m.id) AS groups, \
        ARRAY(SELECT m.role_id FROM authentik_core_user_roles m WHERE m.user_id = t.id ORDER BY m.id) AS roles, \
        (EXISTS (WITH RECURSIVE up (id) AS (\
          SELECT m.group_id FROM {user_groups} m WHERE m.user_id = t.id UNION \
          SELECT a.parent_id FROM up JOIN authentik_core_groupparentage a ON a.child_id = up.id\
        ) SELECT 1 FROM up JOIN authentik_core_group g ON g.group_uuid = up.id WHERE g.is_superuser)) AS is_superuser";
    type Input = UserInput;
    type Key = i32;

    fn pk(&self) -> i32 {
        self.pk
    }

    async fn check(check: &mut Check<'_, Self>, input: &Self::Input) -> Result<(), ApiError> {
        let (app, draft) = (check.view.app, &mut check.draft);
        // Taken in every authentik, by the user that ROWS hides.
        if draft.get("username") == Some(&Content::Text(ANONYMOUS.into())) && !check.errors.has("username") {
            check.errors.add("username", messages::UNIQUE);
        }
        let now = Content::DateTime(app.clock.now());
        if check.mode == Mode::Create {
            draft.set("password", Content::Text(bootstrap::unusable_password()));
            draft.set("uuid", Content::Uuid(app.ids.next()));
            draft.set("date_joined", now.clone());
            draft.set("password_change_date", now.clone());
        }
        draft.set("last_updated", now);
        let is_internal = |kind: &str| kind == INTERNAL_SERVICE_ACCOUNT;
        let stored = check.row.map(|user| is_internal(&user.kind));
        match (stored, input.kind.as_deref().map(is_internal)) {
            (None, Some(true)) => check.errors.add("type", messages::NO_INTERNAL_SERVICE_ACCOUNT),
            (Some(true), Some(false)) => check.errors.add("type", messages::STAYS_INTERNAL_SERVICE_ACCOUNT),
            (Some(true), _) if check.errors.is_empty() => {
                check.errors.add(NON_FIELD_ERRORS, messages::INTERNAL_SERVICE_ACCOUNT);
            }
            _ => {}
        }
        Ok(())
    }

    async fn saved(save: &mut Save<'_, i32>, _input: &Self::Input) -> Result<(), ApiError> {
        let layout = &save.view.app.database.layout;
        if let Some(groups) = save.draft.keys::<Uuid>("groups") {
            let links = Links { table: layout.user_groups(), holder: "user_id", held: "group_id" };
            links.replace(save.connection, save.pk, &groups).await?;
        }
        if let Some(roles) = save.draft.keys::<Uuid>("roles") {
            let links = Links { table: "authentik_core_user_roles", holder: "user_id", held: "role_id" };
            links.replace(save.connection, save.pk, &roles).await?;
        }
        if save.mode == Mode::Partial && layout.is_attached() && !is_active(save).await? {
            end_sessions(save.view, save.connection, save.pk).await?;
        }
        Ok(())
    }

    async fn attach(
        view: View<'_>,
        connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        let asks = |name| !rows.is_empty() && viewset::included::<Self>(view.query, name);
        let (with_groups, with_roles) = (asks("include_groups"), asks("include_roles"));
        let mut groups = if with_groups { groups(view, connection, rows).await? } else { HashMap::new() };
        let mut roles = if with_roles { roles(connection, rows).await? } else { HashMap::new() };
        for user in rows {
            user.uid = uid(user.pk, view.app.database.layout.install_id());
            user.avatar = avatar(if user.name.is_empty() { &user.username } else { &user.name });
            user.groups_obj = with_groups.then(|| groups.remove(&user.pk).unwrap_or_default());
            user.roles_obj = with_roles.then(|| roles.remove(&user.pk).unwrap_or_default());
        }
        Ok(())
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    async fn destroying(view: View<'_>, connection: &mut PgConnection, row: &Self) -> Result<(), ApiError> {
        end_sessions(view, connection, row.pk).await
    }

    async fn used_by(
        view: View<'_>,
        connection: &mut PgConnection,
        row: &Self,
    ) -> Result<Vec<UsedBy>, ApiError> {
        used_by::find(view, connection, Used::User, row.pk).await
    }
}

async fn is_active(save: &mut Save<'_, i32>) -> Result<bool, ApiError> {
    let select = sqlx::query_scalar("SELECT is_active FROM authentik_core_user WHERE id = $1");
    Ok(select.bind(save.pk).fetch_one(&mut *save.connection).await?)
}

/// Log a user out: authentik does where a PATCH leaves somebody inactive, and on a deletion. Only its own database has
/// sessions.
async fn end_sessions(view: View<'_>, connection: &mut PgConnection, pk: i32) -> Result<(), ApiError> {
    let layout = &view.app.database.layout;
    if !layout.is_attached() {
        return Ok(());
    }
    let select =
        sqlx::query_scalar("SELECT session_id FROM authentik_core_authenticatedsession WHERE user_id = $1");
    let keys: Vec<String> = select.bind(pk).fetch_all(&mut *connection).await?;
    cascade::delete(connection, layout, "authentik_core_session", keys).await
}

/// A group that a user is in, directly or through a group below it.
#[derive(Debug, Serialize, FromRow)]
pub struct Membership {
    name: String,
    pk: Uuid,
    #[serde(skip)]
    attributes: Dictionary,
}

/// All groups of a user, by name.
///
/// # Errors
/// The database failed.
pub async fn all_groups(
    layout: &Layout,
    connection: &mut PgConnection,
    user: i32,
) -> Result<Vec<Membership>, ApiError> {
    let mut query = QueryBuilder::new("WITH RECURSIVE up (id) AS (SELECT m.group_id FROM ");
    query.push(layout.user_groups()).push(" m WHERE m.user_id = ").push_bind(user).push(
        " UNION SELECT a.parent_id FROM up JOIN authentik_core_groupparentage a ON a.child_id = up.id\
         ) SELECT g.name, g.group_uuid AS pk, g.attributes FROM up \
         JOIN authentik_core_group g ON g.group_uuid = up.id ORDER BY g.name",
    );
    Ok(query.build_query_as().fetch_all(connection).await?)
}

/// authentik's `group_attributes`: those of all groups and then a user's own, one merged into the other. Objects are
/// merged key by key, lists appended; of anything else the later one counts.
pub fn group_attributes(groups: &[Membership], own: &Dictionary) -> Map<String, Value> {
    let mut merged = Map::new();
    for Dictionary(attributes) in groups.iter().map(|group| &group.attributes).chain([own]) {
        merge(&mut merged, attributes);
    }
    merged
}

fn merge(merged: &mut Map<String, Value>, next: &Map<String, Value>) {
    for (key, value) in next {
        match (merged.get_mut(key), value) {
            (Some(Value::Object(merged)), Value::Object(next)) => merge(merged, next),
            (Some(Value::Array(merged)), Value::Array(next)) => merged.extend(next.iter().cloned()),
            _ => {
                merged.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Users by id, complete.
///
/// # Errors
/// The database failed.
pub async fn load(
    view: View<'_>,
    connection: &mut PgConnection,
    ids: Vec<i32>,
) -> Result<HashMap<i32, User>, ApiError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut users = sql::reload::<User>(connection, &view.app.database.layout, ids).await?;
    User::attach(view, connection, &mut users).await?;
    Ok(users.into_iter().map(|user| (user.pk, user)).collect())
}

async fn groups(
    view: View<'_>,
    connection: &mut PgConnection,
    users: &[User],
) -> Result<HashMap<i32, Vec<PartialGroup>>, ApiError> {
    let mut query =
        QueryBuilder::new("SELECT m.user_id, g.group_uuid, g.name, g.is_superuser, g.attributes FROM ");
    query.push(view.app.database.layout.user_groups());
    query.push(" m JOIN authentik_core_group g ON g.group_uuid = m.group_id WHERE m.user_id = ANY(");
    query.push_bind(users.iter().map(|user| user.pk).collect::<Vec<_>>()).push(") ORDER BY g.name");
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

/// An image of the initials, as a `data:` URL. authentik asks gravatar first; we ask nobody.
pub fn avatar(name: &str) -> String {
    let mut words = name.split_whitespace().filter_map(|word| word.chars().next());
    let first = words.next();
    let initials: String = first.into_iter().chain(words.next_back()).flat_map(char::to_uppercase).collect();
    let color = Sha256::digest(name).iter().take(3).fold(0_u32, |color, byte| color << 8 | u32::from(*byte));
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"64\" height=\"64\">\
         <rect width=\"64\" height=\"64\" fill=\"#{:06x}\"/><text x=\"32\" y=\"40\" fill=\"#fff\" font-size=\"24\" \
         font-family=\"sans-serif\" text-anchor=\"middle\">{initials}</text></svg>",
        color & 0x7f_7f7f, // dark enough for white letters
    );
    let encoded = svg.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'/' | b':' | b'=' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    });
    format!("data:image/svg+xml,{}", encoded.collect::<Vec<_>>().concat())
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::{Dictionary, Membership, group_attributes};

    #[test]
    fn attributes_are_merged_from_the_groups_to_the_user() {
        let dictionary = |value: Value| Dictionary(value.as_object().cloned().unwrap_or_default());
        let group = |attributes| Membership {
            name: String::new(),
            pk: Uuid::nil(),
            attributes: dictionary(attributes),
        };
        let groups = [
            group(
                json!({ "a": 1, "list": [1], "settings": { "theme": "dark", "layout": { "type": "row" } } }),
            ),
            group(json!({ "a": 2, "b": {}, "list": [2, 1], "settings": { "theme": "light" } })),
        ];
        let own = dictionary(json!({ "b": null, "list": [3], "settings": { "layout": { "wide": true } } }));
        let expected = json!({
            "a": 2, "b": null, "list": [1, 2, 1, 3],
            "settings": { "theme": "light", "layout": { "type": "row", "wide": true } },
        });
        assert_eq!(Value::Object(group_attributes(&groups, &own)), expected);
    }
}
