//! authentik's own database: nothing in it is ever altered. At start-up the tables and columns that we need are checked,
//! and a schema that doesn't have them ends the start with a list of what is missing.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use sqlx::PgConnection;

use super::catalogue::ForeignKeys;
use super::layout::{self, Installation, Layout};
use crate::contract::Release;
use crate::contract::stage_types::StageType;

/// A table that we need.
struct Needed {
    name: &'static str,
    /// Whether rows are inserted: then a required column that we don't know is a reason not to start.
    inserted: bool,
    /// `(column, type)`; `text` stands for `varchar` too.
    columns: &'static [(&'static str, &'static str)],
}

const fn table(
    name: &'static str,
    inserted: bool,
    columns: &'static [(&'static str, &'static str)],
) -> Needed {
    Needed { name, inserted, columns }
}

/// What we read and write, but for the table between users and groups, whose name differs between releases.
const NEEDED: &[Needed] = &[
    table("authentik_install_id", false, &[("id", "text")]),
    table(
        "authentik_core_token",
        true,
        &[
            ("token_uuid", "uuid"),
            ("expires", "timestamptz"),
            ("expiring", "boolean"),
            ("description", "text"),
            ("user_id", "integer"),
            ("intent", "text"),
            ("identifier", "text"),
            ("key", "text"),
            ("managed", "text"),
        ],
    ),
    table(
        "authentik_core_user",
        true,
        &[
            ("id", "integer"),
            ("password", "text"),
            ("last_login", "timestamptz"),
            ("username", "text"),
            ("first_name", "text"),
            ("last_name", "text"),
            ("email", "text"),
            ("is_active", "boolean"),
            ("date_joined", "timestamptz"),
            ("uuid", "uuid"),
            ("name", "text"),
            ("password_change_date", "timestamptz"),
            ("attributes", "jsonb"),
            ("path", "text"),
            ("type", "text"),
            ("last_updated", "timestamptz"),
        ],
    ),
    table(
        "authentik_core_group",
        true,
        &[("group_uuid", "uuid"), ("name", "text"), ("attributes", "jsonb"), ("is_superuser", "boolean")],
    ),
    table(
        "authentik_core_groupparentage",
        true,
        &[("uuid", "uuid"), ("child_id", "uuid"), ("parent_id", "uuid")],
    ),
    table("authentik_core_group_roles", false, &[("group_id", "uuid"), ("role_id", "uuid")]),
    table("authentik_core_user_roles", false, &[("user_id", "integer"), ("role_id", "uuid")]),
    table("authentik_rbac_role", false, &[("uuid", "uuid"), ("name", "text")]),
    table("authentik_rbac_initialpermissions", false, &[("id", "integer"), ("role_id", "uuid")]),
    table(
        "authentik_rbac_initialpermissions_permissions",
        false,
        &[("initialpermissions_id", "integer"), ("permission_id", "integer")],
    ),
    table(
        "auth_permission",
        false,
        &[("id", "integer"), ("content_type_id", "integer"), ("codename", "text")],
    ),
    table("django_content_type", false, &[("id", "integer"), ("app_label", "text"), ("model", "text")]),
    table("guardian_rolemodelpermission", false, &[("permission_id", "integer"), ("role_id", "uuid")]),
    table(
        "guardian_roleobjectpermission",
        false,
        &[
            ("object_pk", "text"),
            ("content_type_id", "integer"),
            ("permission_id", "integer"),
            ("role_id", "uuid"),
        ],
    ),
    table(
        "authentik_policies_policybindingmodel",
        true,
        &[("pbm_uuid", "uuid"), ("policy_engine_mode", "text")],
    ),
    table(
        "authentik_policies_policybinding",
        false,
        &[("order", "integer"), ("policy_id", "uuid"), ("target_id", "uuid")],
    ),
    table(
        "authentik_flows_flow",
        true,
        &[
            ("flow_uuid", "uuid"),
            ("name", "text"),
            ("slug", "text"),
            ("designation", "text"),
            ("policybindingmodel_ptr_id", "uuid"),
            ("title", "text"),
            ("background", "text"),
            ("compatibility_mode", "boolean"),
            ("layout", "text"),
            ("denied_action", "text"),
            ("authentication", "text"),
        ],
    ),
    table("authentik_flows_stage", true, &[("stage_uuid", "uuid"), ("name", "text")]),
    table(
        "authentik_flows_flowstagebinding",
        true,
        &[
            ("policybindingmodel_ptr_id", "uuid"),
            ("fsb_uuid", "uuid"),
            ("re_evaluate_policies", "boolean"),
            ("order", "integer"),
            ("target_id", "uuid"),
            ("stage_id", "uuid"),
            ("evaluate_on_plan", "boolean"),
            ("invalid_response_action", "text"),
        ],
    ),
    table(
        "authentik_stages_email_emailstage",
        true,
        &[
            ("stage_ptr_id", "uuid"),
            ("host", "text"),
            ("port", "integer"),
            ("username", "text"),
            ("password", "text"),
            ("use_tls", "boolean"),
            ("use_ssl", "boolean"),
            ("timeout", "integer"),
            ("from_address", "text"),
            ("token_expiry", "text"),
            ("subject", "text"),
            ("template", "text"),
            ("use_global_settings", "boolean"),
            ("activate_user_on_success", "boolean"),
            ("recovery_cache_timeout", "text"),
            ("recovery_max_attempts", "integer"),
        ],
    ),
    table(
        "authentik_stages_user_write_userwritestage",
        true,
        &[
            ("stage_ptr_id", "uuid"),
            ("create_users_as_inactive", "boolean"),
            ("create_users_group_id", "uuid"),
            ("user_path_template", "text"),
            ("user_creation_mode", "text"),
            ("user_type", "text"),
        ],
    ),
    table(
        "authentik_stages_invitation_invitationstage",
        true,
        &[("stage_ptr_id", "uuid"), ("continue_flow_without_invitation", "boolean")],
    ),
    table(
        "authentik_stages_invitation_invitation",
        true,
        &[
            ("invite_uuid", "uuid"),
            ("expires", "timestamptz"),
            ("fixed_data", "jsonb"),
            ("created_by_id", "integer"),
            ("single_use", "boolean"),
            ("expiring", "boolean"),
            ("name", "text"),
            ("flow_id", "uuid"),
        ],
    ),
    table(
        "authentik_events_event",
        true,
        &[
            ("event_uuid", "uuid"),
            ("action", "text"),
            ("app", "text"),
            ("context", "jsonb"),
            ("client_ip", "inet"),
            ("created", "timestamptz"),
            ("user", "jsonb"),
            ("expires", "timestamptz"),
            ("expiring", "boolean"),
            ("brand", "jsonb"),
        ],
    ),
    table(
        "authentik_brands_brand",
        false,
        &[
            ("brand_uuid", "uuid"),
            ("domain", "text"),
            ("default", "boolean"),
            ("branding_default_flow_background", "text"),
        ],
    ),
    table(
        "authentik_tenants_tenant",
        false,
        &[
            ("schema_name", "text"),
            ("event_retention", "text"),
            ("default_token_duration", "text"),
            ("pagination_default_page_size", "integer"),
            ("pagination_max_page_size", "integer"),
        ],
    ),
    table("authentik_version_history", false, &[("id", "bigint"), ("version", "text")]),
    table("django_postgres_cache_cacheentry", false, &[("cache_key", "text")]),
];

/// The table between users and groups, by release: up to 2025.12, and from 2026.2.
const USER_GROUPS: [&str; 2] = ["authentik_core_user_ak_groups", "authentik_core_user_groups"];

/// The tables that we need, with their columns.
pub fn needed() -> impl Iterator<Item = (&'static str, impl Iterator<Item = &'static str>)> {
    NEEDED.iter().map(|table| (table.name, table.columns.iter().map(|(name, _)| *name)))
}

/// How many tables the check at start-up looks at.
pub fn tables_checked() -> usize {
    NEEDED.len() + 1
}

/// Whether the database is authentik's: Django's migrations are recorded in it.
///
/// # Errors
/// The database failed.
pub async fn is_authentik(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT to_regclass('django_migrations') IS NOT NULL").fetch_one(connection).await
}

/// Check the schema and find out what differs from release to release. Nothing is written.
///
/// # Errors
/// The schema lacks something; the message names everything.
pub async fn layout(connection: &mut PgConnection) -> anyhow::Result<Layout> {
    let columns = columns(connection).await?;
    let problems = problems(&columns);
    if !problems.is_empty() {
        bail!(
            "this authentik database has a schema that ak-stages does not support (supported: 2025.12, 2026.2, 2026.5):\n  {}",
            problems.join("\n  ")
        );
    }
    let user_groups = user_groups(&columns).context("no table between users and groups")?;
    let version: Option<String> =
        sqlx::query_scalar("SELECT version FROM authentik_version_history ORDER BY id DESC LIMIT 1")
            .fetch_optional(&mut *connection)
            .await?;
    let version = version.unwrap_or_else(|| "unknown".to_owned());
    let release = Release::of(&version).unwrap_or_else(|| {
        let nearest = if user_groups == USER_GROUPS[0] { Release::V2025_12 } else { Release::V2026_5 };
        tracing::warn!(
            version,
            ?nearest,
            "this version of authentik is not known; its schema has all that is needed"
        );
        nearest
    });
    let install_id: Option<String> =
        sqlx::query_scalar("SELECT id FROM authentik_install_id").fetch_optional(&mut *connection).await?;
    let layout = Layout {
        installation: Installation::Attached,
        release,
        authentik_version: version,
        install_id: install_id.unwrap_or_default(),
        user_groups,
        stage_tables: stage_tables(connection).await?,
        foreign_keys: ForeignKeys::read(connection).await?,
        tables: columns.into_keys().collect(),
        readable: layout::readable(connection).await?,
    };
    tracing::info!(version = layout.authentik_version, "attached to the database of an authentik");
    Ok(layout)
}

/// A column of the database.
struct Column {
    kind: String,
    /// Whether an INSERT has to name it.
    required: bool,
}

/// The columns of every table, by table and name.
type Columns = BTreeMap<String, BTreeMap<String, Column>>;

async fn columns(connection: &mut PgConnection) -> sqlx::Result<Columns> {
    let rows: Vec<(String, String, String, bool)> = sqlx::query_as(
        "SELECT c.relname::text, a.attname::text, t.typname::text, \
           a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' \
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid \
         WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') \
           AND a.attnum > 0 AND NOT a.attisdropped",
    )
    .fetch_all(connection)
    .await?;
    let mut columns = Columns::new();
    for (table, name, kind, required) in rows {
        columns.entry(table).or_default().insert(name, Column { kind, required });
    }
    Ok(columns)
}

/// What is missing, of another type, or required without our knowing it.
fn problems(columns: &Columns) -> Vec<String> {
    let mut problems = Vec::new();
    for needed in NEEDED {
        let Some(found) = columns.get(needed.name) else {
            problems.push(format!("table {} is missing", needed.name));
            continue;
        };
        for (name, kind) in needed.columns {
            match found.get(*name) {
                None => problems.push(format!("column {}.{name} is missing", needed.name)),
                Some(column) if !is_kind(&column.kind, kind) => problems
                    .push(format!("column {}.{name} is of type {} and not {kind}", needed.name, column.kind)),
                Some(_) => {}
            }
        }
        let unknown = found.iter().filter(|(name, column)| {
            needed.inserted && column.required && !needed.columns.iter().any(|(known, _)| known == name)
        });
        problems.extend(
            unknown.map(|(name, _)| format!("column {}.{name} is required and not known", needed.name)),
        );
    }
    if user_groups(columns).is_none() {
        problems.push(format!("table {} is missing", USER_GROUPS.join(" or ")));
    }
    problems
}

/// Whether PostgreSQL's name for a type is the one that we mean.
fn is_kind(found: &str, needed: &str) -> bool {
    let found = match found {
        "varchar" => "text",
        "int4" => "integer",
        "int8" => "bigint",
        "bool" => "boolean",
        other => other,
    };
    found == needed
}

/// The table between users and groups. 2025.12 has both names, the second one for Django's own groups.
fn user_groups(columns: &Columns) -> Option<&'static str> {
    let between = |table: &&str| {
        columns
            .get(*table)
            .is_some_and(|found| found.get("group_id").is_some_and(|column| column.kind == "uuid"))
    };
    USER_GROUPS.into_iter().find(between)
}

/// The tables of the stage types that this installation has: those whose key is a stage's.
async fn stage_tables(connection: &mut PgConnection) -> sqlx::Result<Vec<(&'static StageType, String)>> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid \
         JOIN pg_constraint p ON p.conrelid = f.conrelid AND p.contype = 'p' AND p.conkey = f.conkey \
         WHERE f.contype = 'f' AND f.confrelid = 'authentik_flows_stage'::regclass ORDER BY 1",
    )
    .fetch_all(connection)
    .await?;
    Ok(tables.into_iter().filter_map(|table| Some((StageType::of_table(&table)?, table))).collect())
}
