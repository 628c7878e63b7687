//! The privileges that the database role needs on authentik's tables: enough for every operation on our resources but
//! the writing of users, and no DDL. `ak-stages grants` prints them as SQL, `ak-stages doctor` looks for those that are
//! missing.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::{Layout, attached};

/// Tables whose rows we make, change and delete.
const WRITTEN: [&str; 10] = [
    "authentik_core_group",
    "authentik_core_token",
    "authentik_flows_flow",
    "authentik_flows_flowstagebinding",
    "authentik_flows_stage",
    "authentik_policies_policybindingmodel",
    "authentik_stages_email_emailstage",
    "authentik_stages_invitation_invitation",
    "authentik_stages_invitation_invitationstage",
    "authentik_stages_user_write_userwritestage",
];

/// Tables that link two others, whose rows we make and delete; that of users and groups is the layout's.
const LINKS: [&str; 2] = ["authentik_core_group_roles", "authentik_core_groupparentage"];

/// Rights on single tables.
const SINGLE: [(&str, &str); 4] = [
    ("authentik_events_event", "INSERT"),
    ("authentik_policies_policybinding", "SELECT, DELETE"),
    ("django_postgres_cache_cacheentry", "SELECT, DELETE"),
    ("guardian_roleobjectpermission", "SELECT, INSERT"),
];

/// Tables of which only some columns are read, and the columns that we know and never read.
const UNREAD: [(&str, &[&str]); 1] = [("authentik_core_user", &["password", "first_name", "last_name"])];

/// A privilege on a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// The table.
    pub table: String,
    /// `SELECT`, `INSERT`, `UPDATE` or `DELETE`, with commas between.
    pub privileges: String,
    /// The columns, where it isn't the whole table.
    pub columns: Vec<String>,
}

impl Grant {
    /// As SQL.
    pub fn sql(&self, role: &str) -> String {
        let columns =
            if self.columns.is_empty() { String::new() } else { format!(" ({})", self.columns.join(", ")) };
        format!("GRANT {}{columns} ON {} TO {role};", self.privileges, self.table)
    }
}

/// All privileges that are needed on this database; `read` are further tables to be read, as far as they are there.
pub fn needed(layout: &Layout, read: &BTreeSet<&'static str>) -> Vec<Grant> {
    let whole = |table: &str, privileges: &str| Grant {
        table: table.to_owned(),
        privileges: privileges.to_owned(),
        columns: Vec::new(),
    };
    let mut grants: Vec<Grant> =
        WRITTEN.iter().map(|table| whole(table, "SELECT, INSERT, UPDATE, DELETE")).collect();
    let links = LINKS.into_iter().chain([layout.user_groups()]);
    grants.extend(links.map(|table| whole(table, "SELECT, INSERT, DELETE")));
    grants.extend(SINGLE.iter().map(|(table, privileges)| whole(table, privileges)));
    let granted = |grants: &[Grant], table: &str| grants.iter().any(|grant| grant.table == table);
    for (table, columns) in attached::needed() {
        if granted(&grants, table) {
            continue;
        }
        let mut grant = whole(table, "SELECT");
        if let Some((_, unread)) = UNREAD.iter().find(|(name, _)| *name == table) {
            grant.columns = columns.filter(|column| !unread.contains(column)).map(str::to_owned).collect();
        }
        grants.push(grant);
    }
    let stages = layout.stage_tables().iter().map(|(_, table)| table.clone());
    let others = read.iter().copied().map(str::to_owned);
    for table in stages.chain(others) {
        if layout.exists(&table) && !granted(&grants, &table) {
            grants.push(whole(&table, "SELECT"));
        }
    }
    // To delete something, we have to see what hangs on it.
    let deleted: Vec<String> = grants
        .iter()
        .filter(|grant| grant.privileges.contains("DELETE"))
        .map(|grant| grant.table.clone())
        .collect();
    for (table, columns) in layout.foreign_keys().pointing_at(&deleted) {
        if !granted(&grants, table) {
            grants.push(Grant { columns, ..whole(table, "SELECT") });
        }
    }
    grants.sort();
    grants
}

/// The needed privileges that the connected role doesn't have.
///
/// # Errors
/// The database failed.
pub async fn missing(
    connection: &mut PgConnection,
    layout: &Layout,
    read: &BTreeSet<&'static str>,
) -> sqlx::Result<Vec<Grant>> {
    let mut missing = Vec::new();
    for grant in needed(layout, read) {
        for privilege in grant.privileges.split(", ") {
            let held: bool = if grant.columns.is_empty() {
                let check = sqlx::query_scalar("SELECT has_table_privilege($1, $2)");
                check.bind(&grant.table).bind(privilege).fetch_one(&mut *connection).await?
            } else {
                let check = sqlx::query_scalar(
                    "SELECT bool_and(has_column_privilege($1, c, $2)) FROM unnest($3::text[]) AS c",
                );
                check
                    .bind(&grant.table)
                    .bind(privilege)
                    .bind(&grant.columns)
                    .fetch_one(&mut *connection)
                    .await?
            };
            if !held {
                missing.push(Grant { privileges: privilege.to_owned(), ..grant.clone() });
            }
        }
    }
    Ok(missing)
}
