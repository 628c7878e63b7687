//! The foreign keys that PostgreSQL's catalogue knows: which tables point where.

use std::collections::BTreeMap;

use anyhow::Context;
use sqlx::{FromRow, PgConnection};

/// A foreign key of one column, as the catalogue spells it.
#[derive(Debug, Clone, FromRow)]
pub struct ForeignKey {
    /// The table that points.
    pub table: String,
    /// Its column.
    pub column: String,
    /// Its primary key.
    pub pk: String,
    /// The type of that key.
    pub pk_type: String,
    /// Whether the column may be NULL.
    pub nullable: bool,
    /// The table that is pointed at.
    pub target: String,
    /// Its primary key.
    pub target_pk: String,
    /// The type of that key, and so of the column.
    pub target_type: String,
    /// Whether the column links the row to a parent of Django's multi-table inheritance.
    pub is_link: bool,
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

    /// The foreign keys that point at `table`.
    pub fn to(&self, table: &str) -> &[ForeignKey] {
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
    pub fn parents(&self, table: &str) -> impl Iterator<Item = &ForeignKey> {
        self.by_target.values().flatten().filter(move |key| key.table == table && key.is_link)
    }

    /// The primary key of `table` and its type.
    ///
    /// # Errors
    /// Nothing points at the table or from it.
    pub fn primary(&self, table: &str) -> anyhow::Result<(&str, &str)> {
        let known = self.primary.get(table).map(|(column, kind)| (column.as_str(), kind.as_str()));
        known.with_context(|| format!("table {table} has no known primary key"))
    }
}
