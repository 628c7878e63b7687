//! Who asks: credentials become a [`Caller`]; an API token does with one statement.

pub mod cookie;
pub mod csrf;
mod found_by;
mod giving;
pub mod rbac;
pub mod roles;
pub mod session;
pub mod signed;
mod tenant;

use std::collections::HashSet;

use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::config::SecretKey;
use crate::db::{Layout, Need};
use crate::error::ApiError;
use crate::telemetry::{self, Refusal};
use found_by::FoundBy;

pub use giving::{ENABLE_SUPERUSER, Gift, Lack};
pub use rbac::Scope;
pub use session::SessionCookie;
pub use tenant::Tenant;

/// What the statements here read.
pub const NEEDS: [&[Need]; 6] = [
    found_by::NEEDS,
    found_by::NEEDS_OF_AUTHENTIKS,
    rbac::NEEDS,
    roles::NEEDS,
    session::NEEDS,
    tenant::NEEDS,
];

/// An active user with valid credentials.
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
    /// Whether the credentials are for the API.
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

    /// With the permissions where they are looked up.
    fn indexed(mut self) -> Self {
        self.granted = std::mem::take(&mut self.permissions).into_iter().collect();
        self
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

/// Find the caller by what stands behind `Bearer`: an API token's key, an access token of OAuth 2.0, or `secret_key`
/// itself, which is the embedded outpost's. An API token takes one statement; the others are only looked for where none
/// has this key.
///
/// # Errors
/// [`ApiError::AuthenticationFailed`] for an unknown or expired key, another intent, an inactive user.
pub async fn authenticate(
    connection: &mut PgConnection,
    layout: &Layout,
    secret_key: Option<&SecretKey>,
    key: &str,
    host: &str,
    now: DateTime<Utc>,
) -> Result<Caller, ApiError> {
    let found = if key.contains('\0') {
        None // PostgreSQL has no NUL
    } else {
        match FoundBy::Token(key).find(connection, layout, host).await? {
            None => of_authentiks(connection, layout, secret_key, key, host).await?,
            found => found,
        }
    };
    found.ok_or(Refusal::Unknown).and_then(|caller| caller.judged(now)).map_err(|refusal| {
        telemetry::refused(refusal);
        ApiError::AuthenticationFailed
    })
}

/// The active user with this name, as a caller without a token: for the command line, which is told in whose name it works.
///
/// # Errors
/// The database failed.
pub async fn of_user(
    connection: &mut PgConnection,
    layout: &Layout,
    username: &str,
) -> Result<Option<Caller>, ApiError> {
    let caller = FoundBy::Username(username).find(connection, layout, "").await?;
    Ok(caller.filter(|caller| caller.is_active))
}

/// The caller by credentials that only an authentik gives, where its tables for them are.
async fn of_authentiks(
    connection: &mut PgConnection,
    layout: &Layout,
    secret_key: Option<&SecretKey>,
    key: &str,
    host: &str,
) -> Result<Option<Caller>, ApiError> {
    if layout.reads(found_by::ACCESS_TOKENS) {
        let found = FoundBy::AccessToken(key).find(connection, layout, host).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    let is_secret_key = secret_key.is_some_and(|secret_key| secret_key.is(key));
    if is_secret_key && layout.reads(found_by::OUTPOSTS) {
        return FoundBy::EmbeddedOutpost.find(connection, layout, host).await;
    }
    Ok(None)
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
