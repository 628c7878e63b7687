//! Nobody gives what they don't hold. What would give somebody rights is a [`Gift`]: a membership, a group above another
//! one, a role; [`Caller::lacks`] says what of it the caller doesn't hold. What would give a role permissions is judged by
//! [`Caller::lacks_any`]. [`Caller::nameable`] says which rows a body may name.

use drf::field::Target;
use drf::permission::Verb;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Caller;
use super::rbac::{Rows, Scope};
use crate::contract::{messages, stage_types};
use crate::db::{Layout, Sql};
use crate::error::ApiError;

/// The permission to make superusers, on all groups or on one.
pub const ENABLE_SUPERUSER: &str = "enable_group_superuser";

/// What somebody is about to give.
#[derive(Debug, Clone, Copy)]
pub struct Gift<'a> {
    /// What members of these groups are and may, by the groups above them, too.
    pub groups: &'a [Uuid],
    /// What these roles let do, with everything and with single objects.
    pub roles: &'a [Uuid],
}

/// What a caller doesn't hold and so can't give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// The status of a superuser, and the permission to give it.
    Superuser,
    /// A permission of one of the roles.
    Permission,
}

impl Lack {
    /// The sentence about it.
    pub fn sentence(self) -> String {
        match self {
            Self::Superuser => messages::superuser_status(true),
            Self::Permission => messages::BEYOND_CALLER.to_owned(),
        }
    }
}

impl Caller {
    /// What of a gift the caller doesn't hold; `None` for nothing. With one statement.
    ///
    /// # Errors
    /// The database failed.
    pub async fn lacks(
        &self,
        connection: &mut PgConnection,
        gift: Gift<'_>,
    ) -> Result<Option<Lack>, ApiError> {
        if self.superuser || (gift.groups.is_empty() && gift.roles.is_empty()) {
            return Ok(None);
        }
        let mut query = Sql::new("WITH RECURSIVE up (id) AS (SELECT unnest(");
        query.bind(gift.groups).push(
            ") UNION SELECT a.parent_id FROM up JOIN authentik_core_groupparentage a ON a.child_id = up.id\
             ), given (role_id) AS (SELECT unnest(",
        );
        query.bind(gift.roles).push(
            ") UNION SELECT r.role_id FROM up JOIN authentik_core_group_roles r ON r.group_id = up.id\
             ), own (role_id) AS (SELECT unnest(",
        );
        query.bind(self.roles()).push(
            ")), everywhere (permission_id) AS (\
               SELECT m.permission_id FROM own JOIN guardian_rolemodelpermission m ON m.role_id = own.role_id\
             ) SELECT EXISTS (SELECT 1 FROM up JOIN authentik_core_group g ON g.group_uuid = up.id \
               WHERE g.is_superuser AND NOT ",
        );
        query.bind(self.holds(&format!("authentik_core.{ENABLE_SUPERUSER}"))).push(
            " AND NOT EXISTS (SELECT 1 FROM own JOIN guardian_roleobjectpermission o ON o.role_id = own.role_id \
                JOIN auth_permission p ON p.id = o.permission_id JOIN django_content_type c ON c.id = p.content_type_id \
                WHERE c.app_label = 'authentik_core' AND o.object_pk = g.group_uuid::text AND p.codename = ",
        );
        query.bind(ENABLE_SUPERUSER).push(
            ")), EXISTS (SELECT 1 FROM given JOIN guardian_rolemodelpermission m ON m.role_id = given.role_id \
               WHERE m.permission_id NOT IN (SELECT permission_id FROM everywhere)) \
             OR EXISTS (SELECT 1 FROM given JOIN guardian_roleobjectpermission o ON o.role_id = given.role_id \
               WHERE o.permission_id NOT IN (SELECT permission_id FROM everywhere) AND NOT EXISTS (\
                 SELECT 1 FROM own JOIN guardian_roleobjectpermission h ON h.role_id = own.role_id \
                 WHERE h.permission_id = o.permission_id AND h.object_pk = o.object_pk))",
        );
        let (superuser, permission): (bool, bool) = query.build_query_as().fetch_one(connection).await?;
        Ok(match (superuser, permission) {
            (true, _) => Some(Lack::Superuser),
            (false, true) => Some(Lack::Permission),
            (false, false) => None,
        })
    }

    /// Whether the caller doesn't hold one of these permissions: on everything, or on the object with this key.
    ///
    /// # Errors
    /// The database failed.
    pub async fn lacks_any(
        &self,
        connection: &mut PgConnection,
        permissions: &[i32],
        object_pk: Option<&str>,
    ) -> Result<bool, ApiError> {
        if self.superuser {
            return Ok(false);
        }
        let lacks = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM unnest($1::integer[]) AS g (id) \
             WHERE NOT EXISTS (SELECT 1 FROM guardian_rolemodelpermission m \
                 WHERE m.permission_id = g.id AND m.role_id = ANY($2)) \
               AND NOT EXISTS (SELECT 1 FROM guardian_roleobjectpermission o \
                 WHERE o.permission_id = g.id AND o.role_id = ANY($2) AND o.object_pk = $3))",
        );
        Ok(lacks.bind(permissions).bind(self.roles()).bind(object_pk).fetch_one(connection).await?)
    }

    /// The rows that the caller may name in a body: those that they may view, a stage also by its type, themselves and
    /// their own roles. `None` for all.
    pub fn nameable(&self, target: &Target, layout: &Layout) -> Option<Scope> {
        let model = target.model;
        if self.may(&model, Verb::View) {
            return None;
        }
        let (mut scopes, mut models) = (Vec::new(), vec![model]);
        if model == stage_types::BASE.model {
            for (stage_type, table) in layout.stage_tables() {
                if self.may(&stage_type.model, Verb::View) {
                    scopes.push(Scope(Rows::Stages(table.clone())));
                } else {
                    models.push(stage_type.model);
                }
            }
        }
        match model.model {
            "user" => scopes.push(Scope(Rows::User(self.id))),
            "role" => scopes.push(Scope(Rows::Roles(self.roles().to_vec()))),
            _ => {}
        }
        let permissions = models.iter().map(|model| model.permission(Verb::View)).collect();
        scopes.push(Scope(Rows::GrantedByAny { roles: self.roles().to_vec(), permissions }));
        Some(Scope(Rows::Any(scopes)))
    }
}
