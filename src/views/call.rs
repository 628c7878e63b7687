//! [`Call`]: a request, taken apart.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use drf::action::Method;
use drf::field::Fields;
use drf::params::Query;
use drf::{Body, negotiation};
use serde_json::json;
use sqlx::PgConnection;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::{Committing, Effects};
use crate::app::App;
use crate::auth::{self, Caller, SessionCookie, session};
use crate::authentik::Origin;
use crate::error::ApiError;
use crate::telemetry::Refusal;

/// The largest request body in bytes; Django's own figure for bodies that it keeps in memory.
pub const MAX_BODY: usize = 2_621_440;

/// A request, taken apart. The body is there already, if it is one that a view may ask for, but what is wrong with it is
/// told only when a view does.
pub struct Call {
    /// The server.
    pub app: App,
    /// The method, as sent.
    pub method: String,
    /// Where it came from.
    pub origin: Origin,
    /// The object that the path names, decoded; of a path that names one.
    pub key: Option<String>,
    /// The query string.
    pub query: Query,
    /// Path and query, as sent.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The cookie that names a session, where sessions are taken and no bearer token goes before.
    pub session: Option<Arc<SessionCookie>>,
    /// The body, or why there is none.
    pub body: Result<Bytes, ApiError>,
    /// The room that the body takes, which is given back with it.
    pub room: Option<OwnedSemaphorePermit>,
    /// Whether it may have changed something already.
    pub committing: Committing,
    /// What it does to flows.
    pub effects: Effects,
    /// When the request is given up.
    pub deadline: Instant,
}

impl Call {
    /// The method, if it is one that actions have.
    pub fn action_method(&self) -> Option<Method> {
        Method::of(&self.method)
    }

    /// The values of the `Accept` headers.
    pub fn accept(&self) -> impl Iterator<Item = &str> {
        self.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok())
    }

    /// Whether the client takes JSON.
    ///
    /// # Errors
    /// 404 for an unknown `?format=`, 406 for an `Accept` that JSON doesn't satisfy.
    pub fn negotiate(&self) -> Result<(), ApiError> {
        Ok(negotiation::accept(self.accept(), &self.query)?)
    }

    /// Who asks; `None` for no credentials.
    ///
    /// # Errors
    /// 403 for wrong ones.
    pub async fn authenticate(&self, connection: &mut PgConnection) -> Result<Option<Caller>, ApiError> {
        let (layout, now, host) = (&self.app.database.layout, self.app.clock.now(), &self.origin.host);
        if let Some(key) = self.bearer() {
            let secret_key = self.app.settings.secret_key.as_ref();
            return auth::authenticate(connection, layout, secret_key, key, host, now).await.map(Some);
        }
        let Some(cookie) = &self.session else { return Ok(None) };
        let (method, headers, client_ip) = (&self.method, &self.headers, self.origin.client_ip);
        let request = session::Request { method, headers, client_ip, host, now };
        cookie.authenticate(connection, layout, &request).await
    }

    /// Whether there are credentials that may be good.
    pub fn has_credentials(&self) -> bool {
        self.bearer().is_some() || self.session.as_ref().is_some_and(|session| session.is_signed())
    }

    /// The key that was sent as credentials.
    pub fn bearer(&self) -> Option<&str> {
        auth::bearer(&self.headers)
    }

    /// Why whoever asks is nobody.
    pub fn refusal(&self) -> Refusal {
        self.session.as_ref().map_or(Refusal::Missing, |session| session.refusal())
    }

    /// The body as JSON, as far as these fields look into it; nothing at all counts as `{}`.
    ///
    /// # Errors
    /// 413, 415, or 400 with the parser's sentence.
    pub fn json(&mut self, fields: Fields) -> Result<Body, ApiError> {
        let bytes = std::mem::replace(&mut self.body, Ok(Bytes::new()))?;
        if bytes.is_empty() {
            return Ok(json!({}).into());
        }
        let content_type = self.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !negotiation::is_json(content_type) {
            return Err(ApiError::UnsupportedMediaType(content_type.to_owned()));
        }
        Body::parse(&bytes, fields).map_err(ApiError::Parse)
    }
}
