//! [`Layout`]: what differs from one database to another, found out once at the start.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use sqlx::PgConnection;

use super::catalogue::ForeignKeys;
use crate::contract::Release;
use crate::contract::stage_types::StageType;

/// What differs from one database to another, found out once at start-up.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Ours or authentik's.
    pub(super) installation: Installation,
    /// The release whose enumerations, templates and version the answers show.
    pub(super) release: Release,
    pub(super) authentik_version: String,
    pub(super) install_id: String,
    pub(super) user_groups: &'static str,
    pub(super) stage_tables: Vec<(&'static StageType, String)>,
    pub(super) foreign_keys: ForeignKeys,
    pub(super) tables: BTreeSet<String>,
    pub(super) readable: BTreeSet<String>,
    pub(super) counted: BTreeSet<String>,
    pub(super) columns: Texts,
    pub(super) has_extensions: bool,
}

/// Texts of SQL that are put together once.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts(Arc<RwLock<HashMap<&'static str, Arc<str>>>>);

impl Texts {
    /// The one of this name.
    pub(super) fn get_or_make(&self, name: &'static str, make: impl FnOnce() -> String) -> Arc<str> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        known.unwrap_or_else(|| {
            let text: Arc<str> = make().into();
            self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::clone(&text));
            text
        })
    }
}

/// Whose tables these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installation {
    /// Ours: made by our migrations.
    Own,
    /// Those of an authentik: never altered, and its traces of a write are written too.
    Attached,
}

impl Layout {
    /// Whether the tables are authentik's.
    pub fn is_attached(&self) -> bool {
        self.installation == Installation::Attached
    }

    /// The release whose enumerations and templates hold.
    pub fn release(&self) -> Release {
        self.release
    }

    /// The version of authentik whose contract the answers keep.
    pub fn authentik_version(&self) -> &str {
        &self.authentik_version
    }

    /// The table that ties users to groups.
    pub fn user_groups(&self) -> &'static str {
        self.user_groups
    }

    /// The stage types that this database has, with the tables of their rows.
    pub fn stage_tables(&self) -> &[(&'static StageType, String)] {
        &self.stage_tables
    }

    /// Whether there is such a table and the database role may read it.
    pub fn reads(&self, table: &str) -> bool {
        self.readable.contains(table)
    }

    /// Whether there is such a table.
    pub fn exists(&self, table: &str) -> bool {
        self.tables.contains(table)
    }

    /// Whether the database keeps count of the rows of a table.
    pub fn counts(&self, table: &str) -> bool {
        self.counted.contains(table)
    }

    /// Whether the tables of our own beside authentik's were there at the start, for us to use.
    pub fn has_extensions(&self) -> bool {
        self.has_extensions
    }

    /// What points where.
    pub fn foreign_keys(&self) -> &ForeignKeys {
        &self.foreign_keys
    }

    /// What authentik derives users' `uid` from.
    pub fn install_id(&self) -> &str {
        &self.install_id
    }

    /// SQL of a declaration, with the name of the table between users and groups in place of `{user_groups}`.
    pub fn sql(&self, declared: &'static str) -> Cow<'static, str> {
        with_user_groups(declared, self.user_groups)
    }
}

/// SQL of a declaration, with this name in place of `{user_groups}`.
pub(super) fn with_user_groups(declared: &'static str, user_groups: &str) -> Cow<'static, str> {
    if declared.contains("{user_groups}") {
        Cow::Owned(declared.replace("{user_groups}", user_groups))
    } else {
        Cow::Borrowed(declared)
    }
}

/// The tables that the database role may read, in whole or in the columns that it needs of users.
pub(super) async fn readable(connection: &mut PgConnection) -> sqlx::Result<BTreeSet<String>> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace \
         AND relkind IN ('r', 'p') AND has_any_column_privilege(oid, 'SELECT')",
    )
    .fetch_all(connection)
    .await?;
    Ok(tables.into_iter().collect())
}

/// The tables of our own database that are counted: see `migrations/0005_flat.sql`.
pub(super) async fn counted(connection: &mut PgConnection) -> sqlx::Result<BTreeSet<String>> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid \
         WHERE tgname = 'ak_count_inserted' AND relnamespace = current_schema()::regnamespace",
    )
    .fetch_all(connection)
    .await?;
    Ok(tables.into_iter().collect())
}

/// The tables of the stage types that this database has: those whose key is a stage's.
pub(super) async fn stage_tables(
    connection: &mut PgConnection,
) -> sqlx::Result<Vec<(&'static StageType, String)>> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid \
         JOIN pg_constraint p ON p.conrelid = f.conrelid AND p.contype = 'p' AND p.conkey = f.conkey \
         WHERE f.contype = 'f' AND f.confrelid = 'authentik_flows_stage'::regclass ORDER BY 1",
    )
    .fetch_all(connection)
    .await?;
    Ok(tables.into_iter().filter_map(|table| Some((StageType::of_table(&table)?, table))).collect())
}
