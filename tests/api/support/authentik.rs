//! What an authentik beside the server keeps of those who ask: their sessions and access tokens, made as it makes them.

use ak_stages::clock::Ids;
use ak_stages::config::{SecretKey, Settings};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Person, TestApp, now};

/// The secret key of that authentik.
pub const SECRET_KEY: &str = "the-secret-key-of-tests";
/// The user of its embedded outpost.
pub const OUTPOST: &str = "ak-outpost-0aaba44b5367418fb44bbb5dc2a2d1d3";
/// The data of a session, as authentik pickles them.
const DATA: &[u8] = b"\x80\x05\x95_\0\0\0\0\0\0\0}\x94(\x8c&authentik/stages/user_login/login_time\
\x94\x8c\n2026-03-04\x94\x8c goauthentik.io/user/known_device\x94\x88u.";
/// The same of somebody who impersonates somebody.
pub const IMPERSONATING: &[u8] = b"\x80\x05\x95Y\0\0\0\0\0\0\0}\x94(\x8c\x1aauthentik/impersonate/user\
\x94}\x94\x8c\x02pk\x94K\x01s\x8c#authentik/impersonate/original_user\x94}\x94h\x03K\x02su.";

/// A row of authentik's sessions.
#[derive(Debug, Clone)]
pub struct Session {
    pub key: String,
    /// The username, unless nobody has logged in.
    pub user: Option<&'static str>,
    pub expires: Option<DateTime<Utc>>,
    pub data: &'static [u8],
    pub last_ip: &'static str,
}

impl Session {
    /// One of somebody who has just logged in.
    pub fn of(user: &'static str) -> Self {
        let key = Ids::Random.next().simple().to_string();
        let expires = Some(now() + Duration::days(14));
        // Where a request of these tests comes from.
        Self { key, user: Some(user), expires, data: DATA, last_ip: "255.255.255.255" }
    }

    /// The value of its cookie.
    pub fn cookie(&self) -> String {
        let user = self.user.is_some();
        let sub = if user { "a-users-uid" } else { "anonymous" };
        signed(&json!({
            "sid": self.key, "iss": "authentik", "sub": sub, "authenticated": user,
            "acr": "goauthentik.io/core/default",
        }))
    }
}

/// A cookie with these claims, signed as authentik signs.
pub fn signed(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(claims));
    let key = SecretKey::new(SECRET_KEY.to_owned());
    let mut mac = Hmac::<Sha256>::new_from_slice(key.signing_key()).unwrap();
    mac.update(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// A row of authentik's access tokens.
#[derive(Debug, Clone)]
pub struct AccessToken {
    pub token: &'static str,
    pub user: &'static str,
    pub scope: &'static str,
    pub expiring: bool,
    pub life: Duration,
    pub revoked: bool,
}

impl AccessToken {
    /// One that is good for the API.
    pub fn of(user: &'static str, token: &'static str) -> Self {
        let scope = "openid goauthentik.io/api profile";
        Self { token, user, scope, expiring: true, life: Duration::hours(1), revoked: false }
    }
}

impl TestApp {
    /// A server with its secret key, and tables such as an authentik's for what only that gives.
    pub async fn beside_authentik() -> Self {
        Self::beside_authentik_with(|_| ()).await
    }

    /// The same with other settings.
    pub async fn beside_authentik_with(change: impl FnOnce(&mut Settings)) -> Self {
        let app = Self::with_tables(include_str!("authentik.sql"), |settings| {
            settings.secret_key = Some(SecretKey::new(SECRET_KEY.to_owned()));
            change(settings);
        })
        .await;
        app.enter(Person::named(OUTPOST).of_type("internal_service_account")).await;
        app
    }

    /// Keep a session.
    pub async fn keep_session(&self, session: &Session) {
        sqlx::query(
            "INSERT INTO authentik_core_session VALUES ($1, $2, TRUE, $3, $4::inet, 'a browser', $5)",
        )
        .bind(&session.key)
        .bind(session.expires)
        .bind(session.data)
        .bind(session.last_ip)
        .bind(now())
        .execute(&self.pool)
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO authentik_core_authenticatedsession \
             SELECT $1, gen_random_uuid(), id FROM authentik_core_user WHERE username = $2",
        )
        .bind(&session.key)
        .bind(session.user)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// The cookie of a new session of this user.
    pub async fn log_in(&self, user: &'static str) -> String {
        let session = Session::of(user);
        self.keep_session(&session).await;
        session.cookie()
    }

    /// Keep an access token.
    pub async fn keep_access_token(&self, token: &AccessToken) {
        let done = sqlx::query(
            "INSERT INTO authentik_providers_oauth2_accesstoken \
             (expires, expiring, revoked, _scope, token, _id_token, provider_id, user_id, auth_time) \
             SELECT $1, $2, $3, $4, $5, '{}', 1, id, $6 FROM authentik_core_user WHERE username = $7",
        )
        .bind(now() + token.life)
        .bind(token.expiring)
        .bind(token.revoked)
        .bind(token.scope)
        .bind(token.token)
        .bind(now())
        .bind(token.user)
        .execute(&self.pool)
        .await
        .unwrap();
        assert_eq!(done.rows_affected(), 1, "there is a user {}", token.user);
    }
}
