//! authentik's own database: nothing in it is ever altered. At start-up the tables and columns that we need are checked,
//! and a schema that doesn't have them ends the start with a list of what is missing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use sqlx::PgConnection;

use super::catalogue::ForeignKeys;
use super::extensions::{self, Extensions};
use super::layout::{self, Installation, Layout};
use super::needs::{Need, Needs};
use crate::contract::Release;

/// What the start reads.
pub const NEEDS: &[Need] = &[
    Need::read("authentik_install_id", "id text"),
    Need::read("authentik_version_history", "id bigint, version text"),
];

/// The table between users and groups, by release: up to 2025.12, and from 2026.2.
const USER_GROUPS: [&str; 2] = ["authentik_core_user_ak_groups", "authentik_core_user_groups"];

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
pub async fn layout(connection: &mut PgConnection, needs: &Needs) -> anyhow::Result<Layout> {
    let columns = columns(connection).await?;
    let problems = problems(&columns, needs);
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
        stage_tables: layout::stage_tables(connection).await?,
        foreign_keys: ForeignKeys::read(connection).await?,
        tables: columns.into_keys().collect(),
        readable: layout::readable(connection).await?,
        counted: BTreeSet::new(),
        columns: layout::Texts::default(),
        has_extensions: extensions::look(connection).await? == Extensions::Ready,
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

/// The columns of every table, by table and name as SQL spells them.
type Columns = BTreeMap<String, BTreeMap<String, Column>>;

async fn columns(connection: &mut PgConnection) -> sqlx::Result<Columns> {
    let rows: Vec<(String, String, String, bool)> = sqlx::query_as(
        "SELECT c.relname::text, quote_ident(a.attname), t.typname::text, \
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
fn problems(columns: &Columns, needs: &Needs) -> Vec<String> {
    let mut problems = Vec::new();
    let user_groups = user_groups(columns).map_or_else(|| USER_GROUPS.join(" or "), str::to_owned);
    for (table, needed) in &needs.tables {
        let table = layout::with_user_groups(table, &user_groups);
        let Some(found) = columns.get(&*table) else {
            problems.push(format!("table {table} is missing"));
            continue;
        };
        for (name, kind) in &needed.columns {
            match found.get(*name) {
                None => problems.push(format!("column {table}.{name} is missing")),
                Some(column) if !is_kind(&column.kind, kind) => {
                    problems.push(format!("column {table}.{name} is of type {} and not {kind}", column.kind));
                }
                Some(_) => {}
            }
        }
        let unknown = found.iter().filter(|(name, column)| {
            needed.is_inserted && column.required && !needed.columns.contains_key(name.as_str())
        });
        problems.extend(unknown.map(|(name, _)| format!("column {table}.{name} is required and not known")));
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
