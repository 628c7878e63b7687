//! Who asks: a bearer token becomes a [`Caller`] with one statement.

mod giving;
pub mod rbac;
pub mod roles;
mod tenant;

use std::collections::HashSet;

use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::db::{Layout, Need, Sql};
use crate::error::ApiError;
use crate::telemetry::{self, Refusal};

pub use giving::{ENABLE_SUPERUSER, Gift, Lack};
pub use rbac::Scope;
pub use tenant::Tenant;

/// What the statements here read.
pub const NEEDS: [&[Need]; 4] = [CALLER, rbac::NEEDS, roles::NEEDS, tenant::NEEDS];

/// What [`authenticate`] reads of tokens, users, groups and roles.
const CALLER: &[Need] = &[
    Need::read(
        "authentik_core_token",
        "key text, intent text, user_id integer, expiring boolean, expires timestamptz",
    ),
    Need::read("authentik_core_user", "id integer, username text, email text, type text, is_active boolean"),
    Need::read("{user_groups}", "user_id integer, group_id uuid"),
    Need::read("authentik_core_group", "group_uuid uuid, is_superuser boolean"),
    Need::read("authentik_core_groupparentage", "child_id uuid, parent_id uuid"),
    Need::read("authentik_core_group_roles", "group_id uuid, role_id uuid"),
    Need::read("authentik_core_user_roles", "user_id integer, role_id uuid"),
    Need::read("guardian_rolemodelpermission", "permission_id integer, role_id uuid"),
];

/// An active user with a valid API token.
#[derive(Debug, Clone, FromRow)]
pub struct Caller {
    /// `authentik_core_user.id`
    pub id: i32,
    /// Login name.
    pub username: String,
    /// Email address.
    pub email: String,
    /// `internal`, `external`, `service_account` or `internal_service_account`.
    #[sqlx(rename = "type")]
    pub kind: String,
    /// Member of a superuser group, directly or through its ancestors.
    pub superuser: bool,
    /// Own roles and those of the groups and their ancestors.
    roles: Vec<Uuid>,
    /// `app_label.codename` of what the roles may do with every object.
    permissions: Vec<String>,
    #[sqlx(skip)]
    granted: HashSet<String>,
    /// What the installation's administrators set.
    #[sqlx(flatten)]
    pub tenant: Tenant,
    /// Whether the token is for the API.
    is_for_api: bool,
    is_active: bool,
    /// When the token ends, if it does.
    token_expires: Option<DateTime<Utc>>,
    /// The snapshot of the statement that found all this.
    pub snapshot: String,
}

impl Caller {
    /// Whether the token is still valid.
    pub fn is_valid(&self, now: DateTime<Utc>) -> bool {
        self.token_expires.is_none_or(|expires| expires > now)
    }

    /// Whether the holder of the key may ask.
    fn judged(self, now: DateTime<Utc>) -> Result<Self, Refusal> {
        if !self.is_for_api {
            Err(Refusal::Intent)
        } else if !self.is_active {
            Err(Refusal::Inactive)
        } else if !self.is_valid(now) {
            Err(Refusal::Expired)
        } else {
            Ok(self)
        }
    }

    /// The roles, to grant something to their holder or to look for object permissions.
    pub fn roles(&self) -> &[Uuid] {
        &self.roles
    }
}

/// The key of an `Authorization: Bearer` header; `None` for no header, another scheme or no key, which authentik
/// treats all alike: as no credentials.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

/// Find the caller by a token's key.
///
/// # Errors
/// [`ApiError::AuthenticationFailed`] for an unknown or expired key, another intent, an inactive user.
pub async fn authenticate(
    connection: &mut PgConnection,
    layout: &Layout,
    key: &str,
    host: &str,
    now: DateTime<Utc>,
) -> Result<Caller, ApiError> {
    if key.contains('\0') {
        telemetry::refused(Refusal::Unknown);
        return Err(ApiError::AuthenticationFailed);
    }
    let (tenant_columns, tenant_joins) = Tenant::sql(layout);
    let mut query = Sql::new("WITH RECURSIVE host (name) AS (SELECT ");
    query.bind(host).push(
        "), caller AS (\
           SELECT u.id, u.username, u.email, u.type, u.is_active, k.intent = 'api' AS is_for_api, \
             CASE WHEN k.expiring THEN k.expires END AS token_expires, pg_current_snapshot()::text AS snapshot \
           FROM authentik_core_token k \
           JOIN authentik_core_user u ON u.id = k.user_id \
           WHERE k.key = ",
    );
    query.bind(key).push(
        "), groups (id) AS (\
           SELECT m.group_id FROM caller JOIN ",
    );
    query.push(layout.user_groups()).push(
        " m ON m.user_id = caller.id UNION \
           SELECT a.parent_id FROM groups JOIN authentik_core_groupparentage a ON a.child_id = groups.id\
         ), roles (id) AS (\
           SELECT r.role_id FROM caller JOIN authentik_core_user_roles r ON r.user_id = caller.id UNION \
           SELECT r.role_id FROM groups JOIN authentik_core_group_roles r ON r.group_id = groups.id\
         ) SELECT caller.*, \
           EXISTS (SELECT 1 FROM groups JOIN authentik_core_group g ON g.group_uuid = groups.id WHERE g.is_superuser) \
             AS superuser, \
           ARRAY(SELECT id FROM roles) AS roles, \
           ARRAY(SELECT c.app_label || '.' || p.codename FROM roles \
             JOIN guardian_rolemodelpermission m ON m.role_id = roles.id \
             JOIN auth_permission p ON p.id = m.permission_id \
             JOIN django_content_type c ON c.id = p.content_type_id) AS permissions",
    );
    query.push(tenant_columns).push(" FROM caller").push(tenant_joins);
    let caller: Option<Caller> = query.build_query_as().fetch_optional(connection).await?;
    let judged = caller.ok_or(Refusal::Unknown).and_then(|caller| caller.judged(now));
    let mut caller = judged.map_err(|refusal| {
        telemetry::refused(refusal);
        ApiError::AuthenticationFailed
    })?;
    caller.granted = std::mem::take(&mut caller.permissions).into_iter().collect();
    Ok(caller)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("Bearer abc", Some("abc"))]
    #[case("bearer abc", Some("abc"))]
    #[case("Bearer ", None)]
    #[case("Bearer", None)]
    #[case("Basic dTpw", None)]
    #[case("", None)]
    fn reads_the_header(#[case] value: &str, #[case] expected: Option<&str>) {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())]);
        assert_eq!(bearer(&headers), expected);
    }
}
