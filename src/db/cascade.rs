//! Deletion as Django's collector does it. authentik's foreign keys carry no `ON DELETE`, so what hangs on a row has to
//! be found: the database's own catalogue says which tables point where.
//!
//! A nullable key is set to NULL, any other takes its row along; a row that extends a parent's takes the parent's
//! along. The few nullable keys that Django cascades over are listed. What would take along a provider or a source is
//! refused: their deletion has consequences that only authentik knows.

use std::collections::{BTreeMap, HashSet};

use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};

use super::Layout;
use crate::drf::errors::NON_FIELD_ERRORS;
use crate::drf::messages;
use crate::error::ApiError;

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

/// A foreign key of one column, as the catalogue spells it.
#[derive(Debug, Clone, FromRow)]
struct ForeignKey {
    /// The table that points.
    table: String,
    /// Its column.
    column: String,
    /// Its primary key.
    pk: String,
    /// The type of that key.
    pk_type: String,
    /// Whether the column may be NULL.
    nullable: bool,
    /// The table that is pointed at.
    target: String,
    /// Its primary key.
    target_pk: String,
    /// The type of that key, and so of the column.
    target_type: String,
    /// Whether the column links the row to a parent of Django's multi-table inheritance.
    is_link: bool,
}

/// All foreign keys of the database, by the table that they point at, and the primary keys of the tables.
#[derive(Debug, Clone, Default)]
pub struct ForeignKeys {
    by_target: BTreeMap<String, Vec<ForeignKey>>,
    primary: BTreeMap<String, (String, String)>,
}

impl ForeignKeys {
    /// Read the catalogue.
    ///
    /// # Errors
    /// The database failed.
    pub async fn read(connection: &mut PgConnection) -> sqlx::Result<Self> {
        let keys: Vec<ForeignKey> = sqlx::query_as(
            "SELECT f.conrelid::regclass::text AS table, quote_ident(a.attname) AS column, \
               quote_ident(pa.attname) AS pk, format_type(pa.atttypid, NULL) AS pk_type, \
               NOT a.attnotnull AS nullable, f.confrelid::regclass::text AS target, \
               quote_ident(ta.attname) AS target_pk, format_type(ta.atttypid, NULL) AS target_type, \
               right(a.attname, 7) = '_ptr_id' AND EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = f.conrelid \
                 AND i.indisunique AND i.indnatts = 1 AND i.indkey[0] = a.attnum) AS is_link \
             FROM pg_constraint f \
             JOIN pg_class c ON c.oid = f.conrelid AND c.relnamespace = current_schema()::regnamespace \
             JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1] \
             JOIN pg_constraint p ON p.conrelid = f.conrelid AND p.contype = 'p' AND cardinality(p.conkey) = 1 \
             JOIN pg_attribute pa ON pa.attrelid = p.conrelid AND pa.attnum = p.conkey[1] \
             JOIN pg_attribute ta ON ta.attrelid = f.confrelid AND ta.attnum = f.confkey[1] \
             WHERE f.contype = 'f' AND cardinality(f.conkey) = 1 ORDER BY 1, 2",
        )
        .fetch_all(connection)
        .await?;
        let mut all = Self::default();
        for key in keys {
            all.primary.insert(key.table.clone(), (key.pk.clone(), key.pk_type.clone()));
            all.primary.insert(key.target.clone(), (key.target_pk.clone(), key.target_type.clone()));
            all.by_target.entry(key.target.clone()).or_default().push(key);
        }
        Ok(all)
    }

    fn to(&self, table: &str) -> &[ForeignKey] {
        self.by_target.get(table).map(Vec::as_slice).unwrap_or_default()
    }

    /// The tables that point at these, with the columns that say so.
    pub fn pointing_at(&self, tables: &[String]) -> BTreeMap<&str, Vec<String>> {
        let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for key in tables.iter().flat_map(|table| self.to(table)) {
            let columns = found.entry(&key.table).or_default();
            for column in [&key.pk, &key.column] {
                if !columns.contains(column) {
                    columns.push(column.clone());
                }
            }
        }
        found
    }

    /// The links of `table` to its parents.
    fn parents(&self, table: &str) -> impl Iterator<Item = &ForeignKey> {
        self.by_target.values().flatten().filter(move |key| key.table == table && key.is_link)
    }

    /// Whether the rows of `table` are [`KEPT`].
    fn keeps(&self, table: &str) -> bool {
        KEPT.contains(&table) || self.parents(table).any(|link| self.keeps(&link.target))
    }

    fn primary(&self, table: &str) -> Result<(&str, &str), ApiError> {
        let known = self.primary.get(table).map(|(column, kind)| (column.as_str(), kind.as_str()));
        known.ok_or_else(|| anyhow::anyhow!("table {table} has no known primary key").into())
    }
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
            } else if foreign_keys.keeps(&key.table) {
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
        let mut query = QueryBuilder::new("SELECT ");
        query.push(format_args!("{wanted}::text FROM {table}"));
        push_in(&mut query, column, kind, keys);
        Ok(query.build_query_scalar().fetch_all(&mut *self.connection).await?)
    }

    async fn set_null(&mut self, key: &ForeignKey, keys: &[String]) -> Result<(), ApiError> {
        let mut query = QueryBuilder::new("UPDATE ");
        query.push(format_args!("{} SET {} = NULL", key.table, key.column));
        push_in(&mut query, &key.column, &key.target_type, keys);
        query.build().execute(&mut *self.connection).await?;
        Ok(())
    }

    /// Delete what was collected. Foreign keys are checked at the commit, so any order does.
    async fn delete(self) -> Result<(), ApiError> {
        for (table, keys) in &self.rows {
            let (pk, kind) = self.foreign_keys.primary(table)?;
            let mut query = QueryBuilder::new("DELETE FROM ");
            query.push(table);
            push_in(&mut query, pk, kind, keys);
            query.build().execute(&mut *self.connection).await?;
        }
        Ok(())
    }
}

/// ` WHERE column = ANY(keys)`, the keys cast so that an index on the column serves.
fn push_in(query: &mut QueryBuilder<Postgres>, column: &str, kind: &str, keys: &[String]) {
    query.push(format_args!(" WHERE {column} = ANY((")).push_bind(keys.to_vec());
    query.push(format_args!(")::{kind}[])"));
}
