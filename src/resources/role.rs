//! Roles, as groups and users show them.

use drf::field::{Field, Fields, Key, Target};
use drf::params::Rows;
use drf::permission::Model;
use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use crate::db::Need;

/// Names and permissions.
pub const MODEL: Model = Model { app_label: "authentik_rbac", name: "Role", model: "role" };
/// Permissions on roles that a rule asks for, and no action.
pub const PERMISSIONS: [&str; 1] = ["view_role"];
/// Roles as the target of foreign keys.
pub const TARGET: Target = Target { table: "authentik_rbac_role", pk: "uuid", key: Key::Uuid, model: MODEL };
/// Roles by their key, for filters.
pub const BY_PK: Rows = Rows { table: TARGET.table, column: TARGET.pk };
/// Roles by their name, for filters.
pub const BY_NAME: Rows = Rows { table: TARGET.table, column: "name" };

/// What statements read of roles.
pub const NEEDS: &[Need] = &[Need::read(TARGET.table, "uuid uuid, name text")];

/// A role inside another object.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct Role {
    /// Its key.
    pub pk: Uuid,
    /// Its name.
    pub name: String,
}

/// The fields, for documents about them.
pub const FIELDS: Fields =
    Fields::new(&[Field::uuid("pk").read_only().label("Uuid"), Field::text("name").required()]);

/// `authentik_rbac_role` rows by what holds them: the statement gives `(holder, pk, name)`.
#[derive(Debug, FromRow)]
pub struct HeldRole<H> {
    /// The group or user.
    pub holder: H,
    /// The role.
    #[sqlx(flatten)]
    pub role: Role,
}
