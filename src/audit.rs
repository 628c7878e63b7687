//! The audit events that authentik keeps. Only an attached database has them.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, OriginalUri};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use crate::app::RequestId;
use crate::auth::rbac::Model;
use crate::drf::params::Query;
use crate::drf::resource::{PrimaryKey, View};
use crate::drf::rules::parse_timedelta;
use crate::error::ApiError;

/// The app that authentik names in the events of its API's writes.
const APP: &str = "authentik.events.middleware";
/// What stands for the values of keys that sound like secrets.
const MASK: &str = "********************";
/// Words that make a key sound like a secret.
const SECRETS: [&str; 8] =
    ["password", "token", "secret", "key", "authorization", "cookie", "signature", "credential"];

/// Where a request came from.
#[derive(Debug, Clone)]
pub struct Origin {
    method: String,
    path: String,
    args: Map<String, Value>,
    user_agent: String,
    request_id: String,
    client_ip: IpAddr,
    /// The host that the client asked, without the port.
    pub host: String,
}

impl Origin {
    /// Read it from a request's head.
    pub fn of(parts: &Parts) -> Self {
        let text = |name| header_text(&parts.headers, name).to_owned();
        let query = Query::parse(parts.uri.query());
        let host = text(header::HOST);
        // The router has cut the API's prefix off.
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        Self {
            method: parts.method.to_string(),
            path: storable(&percent_decode_str(uri.path()).decode_utf8_lossy()),
            args: query.iter().map(|(key, value)| (storable(key), mask(key, value))).collect(),
            user_agent: text(header::USER_AGENT),
            request_id: parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
            client_ip: client_ip(parts),
            host: host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name).to_lowercase(),
        }
    }
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn mask(key: &str, value: &str) -> Value {
    let key = key.to_lowercase();
    Value::String(if SECRETS.iter().any(|word| key.contains(word)) {
        MASK.to_owned()
    } else {
        storable(value)
    })
}

/// PostgreSQL has no NUL, not in JSON either, and a write must not fail for what its URL holds.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Whom the request comes from. Trusted proxies in front have given way to their client before.
fn client_ip(parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    peer.unwrap_or(IpAddr::from([255, 255, 255, 255]))
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was made.
    Created,
    /// It was saved, changed or not.
    Updated,
    /// It was deleted.
    Deleted,
    /// Its secret was shown.
    SecretViewed,
}

impl Change {
    fn action(self) -> &'static str {
        match self {
            Self::Created => "model_created",
            Self::Updated => "model_updated",
            Self::Deleted => "model_deleted",
            Self::SecretViewed => "secret_view",
        }
    }
}

/// Write the event that authentik would write, in the transaction of the change itself. On our own database nothing
/// is written.
///
/// # Errors
/// The database failed.
pub async fn record(
    view: View<'_>,
    connection: &mut PgConnection,
    change: Change,
    model: &Model,
    pk: impl PrimaryKey,
    name: &str,
) -> Result<(), ApiError> {
    if !view.app.database.layout.is_attached() {
        return Ok(());
    }
    let (caller, origin, now) = (view.caller, view.origin, view.app.clock.now());
    let retention = parse_timedelta(&caller.tenant.event_retention).unwrap_or(chrono::Duration::days(365));
    let key = if change == Change::SecretViewed { "secret" } else { "model" };
    let context = json!({
        key: { "pk": pk.in_event(), "app": model.app_label, "name": name, "model_name": model.model },
        "http_request": {
            "args": origin.args,
            "path": origin.path,
            "method": origin.method,
            "request_id": origin.request_id,
            "user_agent": origin.user_agent,
        },
    });
    sqlx::query(
        "INSERT INTO authentik_events_event \
         (event_uuid, action, app, context, client_ip, created, \"user\", expires, expiring, brand) \
         VALUES ($1, $2, $3, $4, $5::inet, $6, $7, $8, TRUE, $9)",
    )
    .bind(view.app.ids.next())
    .bind(change.action())
    .bind(APP)
    .bind(context)
    .bind(origin.client_ip.to_string())
    .bind(now)
    .bind(json!({ "pk": caller.id, "email": caller.email, "username": caller.username }))
    .bind(view.app.clock.after(retention))
    .bind(caller.tenant.brand.clone().unwrap_or_else(|| json!({})))
    .execute(connection)
    .await?;
    Ok(())
}
