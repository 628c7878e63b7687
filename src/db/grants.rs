//! The privileges that the database role needs on authentik's tables, from [`Needs`]: enough for every operation on our
//! resources but the writing of users, and no DDL. `ak-stages grants` prints them as SQL, `ak-stages doctor` looks for those
//! that are missing.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use super::{Layout, Needs, Privilege};

/// Privileges on a table.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The table.
    pub table: String,
    /// Which.
    pub privileges: BTreeSet<Privilege>,
    /// The columns as SQL spells them, where it isn't the whole table.
    pub columns: Vec<String>,
}

impl Grant {
    /// As SQL.
    pub fn sql(&self, role: &str) -> String {
        let columns =
            if self.columns.is_empty() { String::new() } else { format!(" ({})", self.columns.join(", ")) };
        let privileges: Vec<&str> = self.privileges.iter().map(|privilege| privilege.name()).collect();
        format!("GRANT {}{columns} ON {} TO {role};", privileges.join(", "), self.table)
    }
}

/// All privileges that are needed on this database.
pub fn needed(layout: &Layout, needs: &Needs) -> Vec<Grant> {
    let reading = || BTreeSet::from([Privilege::Select]);
    let mut grants: BTreeMap<String, Grant> = BTreeMap::new();
    for (table, needed) in needs.tables.iter().filter(|(_, needed)| !needed.privileges.is_empty()) {
        let (table, privileges) = (layout.sql(table).into_owned(), needed.privileges.clone());
        // Where the role only reads, it reads no more than it has to.
        let in_part = privileges == reading() && needed.read.len() < needed.columns.len();
        let columns = needed.read.iter().filter(|_| in_part).map(|column| (*column).to_owned()).collect();
        grants.insert(table.clone(), Grant { table, privileges, columns });
    }
    let mut read = |table: &str, columns| {
        let grant = || Grant { table: table.to_owned(), privileges: reading(), columns };
        grants.entry(table.to_owned()).or_insert_with(grant);
    };
    let stages = layout.stage_tables().iter().map(|(_, table)| table.as_str());
    for table in stages.chain(needs.optional.iter().copied()).filter(|table| layout.exists(table)) {
        read(table, Vec::new());
    }
    // To delete something, we have to see what hangs on it.
    let deleted = needs.tables.iter().filter(|(_, needed)| needed.privileges.contains(&Privilege::Delete));
    let deleted: Vec<String> = deleted.map(|(table, _)| layout.sql(table).into_owned()).collect();
    for (table, columns) in layout.foreign_keys().pointing_at(&deleted) {
        read(table, columns);
    }
    grants.into_values().collect()
}

/// The needed privileges that the connected role doesn't have.
///
/// # Errors
/// The database failed.
pub async fn missing(
    connection: &mut PgConnection,
    layout: &Layout,
    needs: &Needs,
) -> sqlx::Result<Vec<Grant>> {
    let mut missing = Vec::new();
    for grant in needed(layout, needs) {
        for privilege in &grant.privileges {
            let held: bool = if grant.columns.is_empty() {
                let check = sqlx::query_scalar("SELECT has_table_privilege($1, $2)");
                check.bind(&grant.table).bind(privilege.name()).fetch_one(&mut *connection).await?
            } else {
                let check = sqlx::query_scalar(
                    "SELECT bool_and(has_column_privilege($1, btrim(c, '\"'), $2)) FROM unnest($3::text[]) AS c",
                );
                check
                    .bind(&grant.table)
                    .bind(privilege.name())
                    .bind(&grant.columns)
                    .fetch_one(&mut *connection)
                    .await?
            };
            if !held {
                missing.push(Grant { privileges: BTreeSet::from([*privilege]), ..grant.clone() });
            }
        }
    }
    Ok(missing)
}
