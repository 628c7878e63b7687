//! What a caller may do. A [`Scope`] can only be made here, and no list or look-up can be built without one: to forget
//! the permission check does not compile.

use std::collections::HashSet;

use drf::field::Key;
use drf::permission::{Model, Verb};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Caller;
use crate::db::statements::Restriction;
use crate::db::{Need, Sql};
use crate::error::ApiError;

/// What the statements about permissions read.
pub(super) const NEEDS: &[Need] = &[
    Need::read("guardian_roleobjectpermission", "object_pk text, permission_id integer, role_id uuid"),
    Need::read("auth_permission", "id integer, content_type_id integer, codename text"),
    Need::read("django_content_type", "id integer, app_label text"),
];

/// Which rows a caller sees.
#[derive(Debug, Clone)]
pub struct Scope(pub(super) Rows);

#[derive(Debug, Clone)]
pub(super) enum Rows {
    All,
    /// Rows with an object permission for one of the roles.
    Granted {
        roles: Vec<Uuid>,
        app_label: &'static str,
        codename: String,
        empty_is_denied: bool,
    },
    /// Rows that a condition ties to the caller, beside the granted ones.
    Owned {
        user: i32,
        column: &'static str,
        granted: Box<Scope>,
    },
    /// Rows with an object permission for one of the roles, of several by their full names.
    GrantedByAny {
        roles: Vec<Uuid>,
        permissions: Vec<String>,
    },
    /// The user with this id.
    User(i32),
    /// The roles with these keys.
    Roles(Vec<Uuid>),
    /// The stages that have a row in this table.
    Stages(String),
    /// Rows of any of these.
    Any(Vec<Scope>),
}

impl Scope {
    /// Whether a caller who sees no row at all is refused, rather than shown an empty list.
    pub fn empty_is_denied(&self) -> bool {
        matches!(self.0, Rows::Granted { empty_is_denied: true, .. })
    }
}

impl Restriction for Scope {
    fn is_all(&self) -> bool {
        matches!(self.0, Rows::All)
    }

    fn push(&self, query: &mut Sql, pk: &str, key: Key) {
        match &self.0 {
            Rows::All => {
                query.push("TRUE");
            }
            Rows::Granted { roles, app_label, codename, .. } => {
                push_granted(query, pk, key, roles);
                query.push("c.app_label = ").bind(*app_label);
                query.push(" AND a.codename = ").bind(codename.clone()).push(")");
            }
            Rows::Owned { user, column, granted } => {
                query.push("(").push(*column).push(" = ").bind(*user).push(" OR ");
                granted.push(query, pk, key);
                query.push(")");
            }
            Rows::GrantedByAny { roles, permissions } => {
                push_granted(query, pk, key, roles);
                query.push("c.app_label || '.' || a.codename = ANY(").bind(permissions.clone()).push("))");
            }
            Rows::User(id) => {
                query.push(pk).push(" = ").bind(*id);
            }
            Rows::Roles(roles) => {
                query.push(pk).push(" = ANY(").bind(roles.clone()).push(")");
            }
            Rows::Stages(table) => {
                query.push(pk).push(format_args!(" IN (SELECT stage_ptr_id FROM {table})"));
            }
            Rows::Any(scopes) => {
                query.push("(FALSE");
                for scope in scopes {
                    query.push(" OR ");
                    scope.push(query, pk, key);
                }
                query.push(")");
            }
        }
    }
}

/// The keys of the objects on which one of the roles has a permission `a` of the content type `c`. The condition on those
/// and a parenthesis have to follow.
///
/// Keys are kept as text, spelled as Python prints them. Turned into keys they are served by an index; what is no key of
/// this kind belongs to another model.
fn push_granted(query: &mut Sql, pk: &str, key: Key, roles: &[Uuid]) {
    let (spelled, cast) = match key {
        Key::Uuid => ("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", "uuid"),
        Key::Integer => ("^(0|-?[1-9][0-9]{0,17})$", "bigint"),
    };
    query.push(pk).push(format_args!(
        " IN (SELECT CASE WHEN o.object_pk ~ '{spelled}' THEN o.object_pk::{cast} END \
         FROM guardian_roleobjectpermission o JOIN auth_permission a ON a.id = o.permission_id \
         JOIN django_content_type c ON c.id = a.content_type_id WHERE o.role_id = ANY("
    ));
    query.bind(roles.to_vec()).push(") AND ");
}

impl Caller {
    /// Whether the caller may do this to every object of the model.
    pub fn may(&self, model: &Model, verb: Verb) -> bool {
        self.holds(&model.permission(verb))
    }

    /// Whether the caller holds a permission by its full name.
    pub fn holds(&self, permission: &str) -> bool {
        self.superuser || self.granted.contains(permission)
    }

    /// The permission on every object of the model, by its codename.
    ///
    /// # Errors
    /// 403
    pub fn require(&self, model: &Model, codename: &str) -> Result<(), ApiError> {
        let held = self.holds(&format!("{}.{codename}", model.app_label));
        if held { Ok(()) } else { Err(ApiError::PermissionDenied) }
    }

    /// All rows, of what is shown to everybody with credentials.
    pub fn everything() -> Scope {
        Scope(Rows::All)
    }

    /// The rows of `model` that the caller may view.
    pub fn scope(&self, model: &Model) -> Scope {
        self.scope_to(model, Verb::View)
    }

    /// The rows of `model` to which the caller may do this.
    pub fn scope_to(&self, model: &Model, verb: Verb) -> Scope {
        if self.may(model, verb) {
            return Scope(Rows::All);
        }
        Scope(Rows::Granted {
            roles: self.roles.clone(),
            app_label: model.app_label,
            codename: model.codename(verb),
            empty_is_denied: self.kind != "internal_service_account",
        })
    }

    /// As [`Self::scope`], and the rows whose `column` (SQL) is the caller's id.
    pub fn scope_with_own(&self, model: &Model, column: &'static str) -> Scope {
        let granted = self.scope(model);
        match granted.0 {
            Rows::All => granted,
            _ => Scope(Rows::Owned { user: self.id, column, granted: Box::new(granted) }),
        }
    }

    /// The permission on every object or on this one, or 403.
    pub async fn require_on(
        &self,
        connection: &mut PgConnection,
        model: &Model,
        codename: &str,
        object_pk: &str,
    ) -> Result<(), ApiError> {
        if self.may_on(connection, model, codename, object_pk).await? {
            Ok(())
        } else {
            Err(ApiError::PermissionDenied)
        }
    }

    /// Whether the caller has the permission on every object of the model or on this one.
    pub async fn may_on(
        &self,
        connection: &mut PgConnection,
        model: &Model,
        codename: &str,
        object_pk: &str,
    ) -> Result<bool, ApiError> {
        if self.holds(&format!("{}.{codename}", model.app_label)) {
            return Ok(true);
        }
        let granted = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM guardian_roleobjectpermission o \
             JOIN auth_permission a ON a.id = o.permission_id JOIN django_content_type c ON c.id = a.content_type_id \
             WHERE c.app_label = $1 AND a.codename = $2 AND o.role_id = ANY($3) AND o.object_pk = $4)",
        )
        .bind(model.app_label)
        .bind(codename)
        .bind(&self.roles)
        .bind(object_pk)
        .fetch_one(connection)
        .await?;
        Ok(granted)
    }

    /// Which of these objects of `model` the caller may view; `None` for all of them.
    pub async fn visible(
        &self,
        connection: &mut PgConnection,
        model: &Model,
        pks: Vec<String>,
    ) -> Result<Option<HashSet<String>>, ApiError> {
        if pks.is_empty() || self.may(model, Verb::View) {
            return Ok(None);
        }
        let granted: Vec<String> = sqlx::query_scalar(
            "SELECT o.object_pk FROM guardian_roleobjectpermission o \
             JOIN auth_permission a ON a.id = o.permission_id JOIN django_content_type c ON c.id = a.content_type_id \
             WHERE c.app_label = $1 AND a.codename = $2 AND o.role_id = ANY($3) AND o.object_pk = ANY($4)",
        )
        .bind(model.app_label)
        .bind(model.codename(Verb::View))
        .bind(&self.roles)
        .bind(pks)
        .fetch_all(connection)
        .await?;
        Ok(Some(granted.into_iter().collect()))
    }
}
