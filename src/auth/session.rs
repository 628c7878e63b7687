//! authentik's sessions, which browsers name with the cookie `authentik_session`. They are read and never written: their
//! end, their address and their data are authentik's to say.

use std::net::IpAddr;
use std::sync::OnceLock;

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use super::cookie::cookie;
use super::csrf::{self, Site};
use super::found_by::FoundBy;
use super::{Caller, signed};
use crate::config::SecretKey;
use crate::contract::messages;
use crate::db::{Layout, Need, Sql};
use crate::error::ApiError;
use crate::telemetry::{self, Refusal};

/// The cookie that names a session.
pub const COOKIE: &str = "authentik_session";
/// The table of sessions.
const TABLE: &str = "authentik_core_session";

/// What is read of sessions.
pub(super) const NEEDS: &[Need] = &[
    Need::read(TABLE, "session_key text, expires timestamptz, session_data bytea, last_ip inet"),
    Need::read("authentik_core_authenticatedsession", "session_id text, user_id integer"),
    Need::read("authentik_stages_user_login_userloginstage", "network_binding text, geoip_binding text"),
];

/// The cookie of a request, and what came of it.
pub struct SessionCookie {
    /// The session's key, if it is one that authentik signed.
    key: Option<String>,
    site: Site,
    found: OnceLock<Found>,
}

/// What there is by a cookie's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A user.
    User,
    /// A session of nobody.
    Nobody,
    /// A user who is inactive.
    Inactive,
    /// Nothing.
    Nothing,
}

/// What a session is judged by.
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// Where the client is.
    pub client_ip: IpAddr,
    /// The host that was asked, as brands have it.
    pub host: &'a str,
    /// The time.
    pub now: DateTime<Utc>,
}

/// A session that hasn't ended.
#[derive(FromRow)]
struct Row {
    user_id: Option<i32>,
    is_understood: bool,
    impersonates: bool,
    is_elsewhere: bool,
}

/// Whether sessions can be looked up in this database.
pub fn are_there(layout: &Layout) -> bool {
    layout.reads(TABLE)
}

impl SessionCookie {
    /// That of a request to `site`; `None` where there is none.
    pub fn of(headers: &HeaderMap, site: Site, secret_key: &SecretKey, now: DateTime<Utc>) -> Option<Self> {
        let value = cookie(headers, COOKIE)?;
        Some(Self { key: signed::session_key(&value, secret_key, now), site, found: OnceLock::new() })
    }

    /// Whether it may name a session: authentik signed it.
    pub fn is_signed(&self) -> bool {
        self.key.is_some()
    }

    /// Whether it was found to be a user's.
    pub fn is_of_user(&self) -> bool {
        self.found.get() == Some(&Found::User)
    }

    /// Whether it names no session, so that the browser had better forget it.
    pub fn is_void(&self) -> bool {
        self.key.is_none() || self.found.get() == Some(&Found::Nothing)
    }

    /// Why whoever sent it is nobody.
    pub fn refusal(&self) -> Refusal {
        match self.found.get() {
            Some(Found::Inactive) => Refusal::Inactive,
            Some(Found::User | Found::Nobody) => Refusal::Missing,
            Some(Found::Nothing) | None => Refusal::Session,
        }
    }

    /// Whether the request was sent with https.
    pub fn is_secure(&self) -> bool {
        self.site.is_secure
    }

    /// The session's user; `None` where there is none, which counts as no credentials.
    ///
    /// # Errors
    /// 403 for a session that isn't taken, or a request that other sites may have made the browser send.
    pub async fn authenticate(
        &self,
        connection: &mut PgConnection,
        layout: &Layout,
        request: &Request<'_>,
    ) -> Result<Option<Caller>, ApiError> {
        let Some(key) = &self.key else { return Ok(None) };
        let Some(row) = look_up(connection, key, request).await? else {
            return Ok(self.nobody(Found::Nothing));
        };
        let Some(user) = row.user_id else {
            return Ok(self.nobody(Found::Nobody));
        };
        row.judge()?;
        let caller = FoundBy::Id(user).find(connection, layout, request.host).await?;
        let Some(caller) = caller.filter(|caller| caller.is_active) else {
            return Ok(self.nobody(Found::Inactive));
        };
        self.found.set(Found::User).ok();
        csrf::check(request.method, request.headers, &self.site).map_err(|rejection| {
            telemetry::refused(Refusal::Csrf);
            ApiError::CsrfFailed(rejection.to_string())
        })?;
        Ok(Some(caller))
    }

    fn nobody(&self, found: Found) -> Option<Caller> {
        self.found.set(found).ok();
        None
    }
}

impl Row {
    /// Whether the session may be taken.
    fn judge(&self) -> Result<(), ApiError> {
        let (refusal, sentence) = if !self.is_understood {
            (Refusal::Session, messages::SESSION_NOT_UNDERSTOOD)
        } else if self.impersonates {
            (Refusal::Impersonates, messages::SESSION_IMPERSONATES)
        } else if self.is_elsewhere {
            (Refusal::Elsewhere, messages::SESSION_ELSEWHERE)
        } else {
            return Ok(());
        };
        telemetry::refused(refusal);
        Err(ApiError::SessionRefused(sentence))
    }
}

/// The session of this key, if it hasn't ended.
///
/// Its data is a pickle, which is never read as one: that would be to run it. A pickle of authentik's begins with the
/// operation that names its protocol, and has texts as they are, so those that it may hold can be looked for. Whoever
/// impersonates has themselves and somebody else in there. Whether a session is bound to its address is decided by the
/// stage that began it, which nothing tells; so one stage that binds them binds all.
async fn look_up(
    connection: &mut PgConnection,
    key: &str,
    request: &Request<'_>,
) -> Result<Option<Row>, ApiError> {
    let mut query = Sql::new(
        "SELECT a.user_id, substr(s.session_data, 1, 1) = '\\x80'::bytea AS is_understood, \
           position('authentik/impersonate/'::bytea IN s.session_data) > 0 AS impersonates, \
           s.last_ip <> ",
    );
    query.bind(request.client_ip.to_string()).push(
        "::inet AND EXISTS (SELECT 1 FROM authentik_stages_user_login_userloginstage l \
             WHERE l.network_binding <> 'no_binding' OR l.geoip_binding <> 'no_binding') AS is_elsewhere \
         FROM authentik_core_session s \
         LEFT JOIN authentik_core_authenticatedsession a ON a.session_id = s.session_key \
         WHERE s.session_key = ",
    );
    query.bind(key).push(" AND s.expires > ").bind(request.now);
    Ok(query.build_query_as().fetch_optional(connection).await?)
}
