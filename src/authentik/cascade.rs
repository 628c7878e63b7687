//! Deletion as Django's collector does it. authentik's foreign keys carry no `ON DELETE`, so what hangs on a row has to
//! be found: the database's own catalogue says which tables point where.
//!
//! A nullable key is set to NULL, any other takes its row along; a row that extends a parent's takes the parent's
//! along. The few nullable keys that Django cascades over are listed. What would take along a provider or a source is
//! refused: their deletion has consequences that only authentik knows.

use std::collections::HashSet;

use drf::errors::NON_FIELD_ERRORS;
use sqlx::PgConnection;

use crate::contract::messages;
use crate::db::catalogue::{ForeignKey, ForeignKeys};
use crate::db::{Layout, Need, Privilege, Sql};
use crate::error::ApiError;

/// What goes with flows, bindings and groups. What else is read, the catalogue says.
pub(super) const NEEDS: &[Need] = &[Need {
    table: "authentik_policies_policybinding",
    privileges: &[Privilege::Select, Privilege::Delete],
    columns: "policy_binding_uuid uuid, target_id uuid, group_id uuid",
}];

/// Nullable keys whose rows go with what they point at: `(table, column)`.
const CASCADES: [(&str, &str); 8] = [
    ("authentik_core_provider", "authorization_flow_id"),
    ("authentik_endpoints_connectors_agent_deviceauthenticationtoken", "user_id"),
    ("authentik_policies_policybinding", "group_id"),
    ("authentik_policies_policybinding", "policy_id"),
    ("authentik_policies_policybinding", "user_id"),
    ("authentik_providers_oauth2_devicetoken", "user_id"),
    ("authentik_providers_ssf_ssfprovider", "token_id"),
    ("authentik_sources_scim_scimsource", "token_id"),
];

/// Tables whose rows are never taken along, nor the rows of tables that extend them.
const KEPT: [&str; 2] = ["authentik_core_provider", "authentik_core_source"];

/// Whether the rows of `table` are [`KEPT`].
fn keeps(foreign_keys: &ForeignKeys, table: &str) -> bool {
    KEPT.contains(&table) || foreign_keys.parents(table).any(|link| keeps(foreign_keys, &link.target))
}

/// Delete the rows of `table` with these keys, and what hangs on them.
///
/// # Errors
/// 400 where something hangs on a row that isn't ours to delete, or the database failed.
pub async fn delete(
    connection: &mut PgConnection,
    layout: &Layout,
    table: &str,
    keys: Vec<impl ToString>,
) -> Result<(), ApiError> {
    let mut collector =
        Collector { connection, foreign_keys: layout.foreign_keys(), seen: HashSet::new(), rows: Vec::new() };
    collector.collect(table, keys.iter().map(ToString::to_string).collect()).await?;
    collector.delete().await
}

/// Django's collector: all rows that go, found before the first one does.
struct Collector<'a> {
    connection: &'a mut PgConnection,
    foreign_keys: &'a ForeignKeys,
    seen: HashSet<(String, String)>,
    rows: Vec<(String, Vec<String>)>,
}

impl Collector<'_> {
    async fn collect(&mut self, table: &str, keys: Vec<String>) -> Result<(), ApiError> {
        let seen = &mut self.seen;
        let keys: Vec<String> =
            keys.into_iter().filter(|key| seen.insert((table.to_owned(), key.clone()))).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let foreign_keys = self.foreign_keys;
        for key in foreign_keys.to(table) {
            // Looked up first: the database role may be allowed to read a table and not to change it.
            let rows = self.keys_of(&key.table, &key.pk, &key.column, &key.target_type, &keys).await?;
            if rows.is_empty() {
                continue;
            }
            if key.nullable && !CASCADES.contains(&(key.table.as_str(), key.column.as_str())) {
                self.set_null(key, &keys).await?;
            } else if keeps(foreign_keys, &key.table) {
                return Err(ApiError::field(NON_FIELD_ERRORS, messages::in_use(&key.table)));
            } else {
                Box::pin(self.collect(&key.table, rows)).await?;
            }
        }
        let (pk, kind) = foreign_keys.primary(table)?;
        for link in foreign_keys.parents(table) {
            let parents = self.keys_of(table, &link.column, pk, kind, &keys).await?;
            Box::pin(self.collect(&link.target, parents)).await?;
        }
        self.rows.push((table.to_owned(), keys));
        Ok(())
    }

    /// `wanted` of the rows of `table` whose `column` is one of `keys`.
    async fn keys_of(
        &mut self,
        table: &str,
        wanted: &str,
        column: &str,
        kind: &str,
        keys: &[String],
    ) -> Result<Vec<String>, ApiError> {
        let mut query = Sql::new("SELECT ");
        query.push(format_args!("{wanted}::text FROM {table}"));
        push_in(&mut query, column, kind, keys);
        Ok(query.build_query_scalar().fetch_all(&mut *self.connection).await?)
    }

    async fn set_null(&mut self, key: &ForeignKey, keys: &[String]) -> Result<(), ApiError> {
        let mut query = Sql::new("UPDATE ");
        query.push(format_args!("{} SET {} = NULL", key.table, key.column));
        push_in(&mut query, &key.column, &key.target_type, keys);
        query.build().execute(&mut *self.connection).await?;
        Ok(())
    }

    /// Delete what was collected. Foreign keys are checked at the commit, so any order does.
    async fn delete(self) -> Result<(), ApiError> {
        for (table, keys) in &self.rows {
            let (pk, kind) = self.foreign_keys.primary(table)?;
            let mut query = Sql::new("DELETE FROM ");
            query.push(table);
            push_in(&mut query, pk, kind, keys);
            query.build().execute(&mut *self.connection).await?;
        }
        Ok(())
    }
}

/// ` WHERE column = ANY(keys)`, the keys cast so that an index on the column serves.
fn push_in(query: &mut Sql, column: &str, kind: &str, keys: &[String]) {
    query.push(format_args!(" WHERE {column} = ANY((")).bind(keys);
    query.push(format_args!(")::{kind}[])"));
}
