//! `ak-stages extensions`: the tables of our own beside authentik's.

use crate::db::extensions;

/// The SQL that makes them, and lets `role` use them.
pub fn sql(role: Option<&str>) -> String {
    extensions::sql(role.map(super::quoted).as_deref())
}
