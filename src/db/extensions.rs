//! The tables of our own beside authentik's. On a database of our own the migrations make them. On authentik's nothing is
//! made unasked: `ak-stages extensions` prints the SQL, and what needs them says so until they are there.

use std::fmt::Write;

use sqlx::PgConnection;

use crate::error::code;

/// What makes them: the migrations themselves, which leave alone what is there.
const SQL: &[&str] = &[
    include_str!("../../migrations/0006_mail.sql"),
    include_str!("../../migrations/0007_mail_stage.sql"),
    include_str!("../../migrations/0008_invitations.sql"),
    include_str!("../../migrations/0009_idempotency.sql"),
];

/// The tables.
const TABLES: &[&str] = &[
    "ak_stages.mail",
    "ak_stages.message",
    "ak_stages.invitation_uses",
    "ak_stages.reservation",
    "ak_stages.invitation_history",
    "ak_stages.imported_line",
    "ak_stages.idempotency",
];

/// The SQL that makes the tables, and gives `role`, which is quoted already, what it needs of them.
pub fn sql(role: Option<&str>) -> String {
    let mut sql = format!("BEGIN;\n\n{}", SQL.join("\n"));
    if let Some(role) = role {
        sql.push('\n');
        // `fmt::Write` for a `String` can't fail.
        let _ = writeln!(sql, "GRANT USAGE ON SCHEMA ak_stages TO {role};");
        for table in TABLES {
            let _ = writeln!(sql, "GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role};");
        }
    }
    sql + "\nCOMMIT;\n"
}

/// What the connected role lacks of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extensions {
    /// Nothing.
    Ready,
    /// A privilege.
    NotGranted,
    /// A table, or a column that came later.
    Missing,
}

/// Whether the tables are there, and the connected role may use them.
///
/// # Errors
/// The database failed.
pub async fn look(connection: &mut PgConnection) -> sqlx::Result<Extensions> {
    // By the catalogue: a schema that the role may not use hides its tables from `to_regclass`.
    let select = sqlx::query_as(
        "SELECT count(*) = cardinality($1) AND coalesce(bool_or(EXISTS (SELECT 1 FROM pg_attribute a \
           WHERE a.attrelid = c.oid AND a.attname = 'stage')), FALSE), \
         coalesce(bool_and(has_schema_privilege(n.oid, 'USAGE') AND \
           has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') AND \
           has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')), FALSE) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname || '.' || c.relname = ANY ($1)",
    );
    let (there, granted): (bool, bool) = select.bind(TABLES).fetch_one(connection).await?;
    Ok(match (there, granted) {
        (false, _) => Extensions::Missing,
        (true, false) => Extensions::NotGranted,
        (true, true) => Extensions::Ready,
    })
}

/// Whether a statement failed because the tables aren't there, as they are today: `undefined_table`,
/// `invalid_schema_name`, and what [`are_old`] says.
pub fn are_missing(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("42P01" | "3F000")) || are_old(error)
}

/// Whether a statement failed because the tables are those of an earlier version: `undefined_column`.
pub fn are_old(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("42703")
}
