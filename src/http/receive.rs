//! A request as it comes in: taken apart for the views, within bounds of size and time.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, FromRequestParts, OriginalUri, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Request, Uri, header};
use drf::params::Query;
use tokio::time::Instant;

use super::router::RequestId;
use super::trusted_proxies::Https;
use crate::app::App;
use crate::auth::csrf::Site;
use crate::auth::{self, SessionCookie, session};
use crate::authentik::Origin;
use crate::contract::paths;
use crate::db::time_limit::TIME_LIMIT;
use crate::error::ApiError;
use crate::views::{Call, Committing, Effects, endpoint};

/// Take a request apart. Where a segment can't be a parameter, authentik's router would not have found the route.
///
/// # Errors
/// 404, or 408 for a body that doesn't come in time.
pub async fn receive(app: App, request: Request<Body>) -> Result<Call, ApiError> {
    let deadline = Instant::now() + TIME_LIMIT;
    let (mut parts, body) = request.into_parts();
    let captures = RawPathParams::from_request_parts(&mut parts, &()).await;
    let of_object = |all: RawPathParams| {
        all.iter().find(|(name, _)| *name == endpoint::KEY).map(|(_, value)| value.to_owned())
    };
    let key = captures.ok().and_then(of_object);
    if key.as_ref().is_some_and(|text| !paths::is_parameter(text)) {
        return Err(ApiError::NoRoute);
    }
    let query = Query::parse(parts.uri.query());
    let target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let origin = origin(&parts, &query);
    let session = session_cookie(&app, &parts).map(Arc::new);
    let mut call = Call {
        app,
        method: parts.method.to_string(),
        origin,
        key,
        query,
        target,
        headers: parts.headers,
        session,
        body: Ok(Bytes::new()),
        room: None,
        committing: Committing::default(),
        effects: Effects::default(),
        deadline,
    };
    super::body::read(&mut call, body).await?;
    Ok(call)
}

/// The cookie that names a session, where sessions are taken. A bearer token goes before it, whether it is good or not.
fn session_cookie(app: &App, parts: &Parts) -> Option<SessionCookie> {
    let secret_key = app.settings.secret_key.as_ref()?;
    if !session::are_there(&app.database.layout) || auth::bearer(&parts.headers).is_some() {
        return None;
    }
    let is_secure = parts.extensions.get::<Https>().is_some();
    let site = Site { is_secure, host: host(parts).to_owned() };
    SessionCookie::of(&parts.headers, site, secret_key, app.clock.now())
}

/// Where a request came from.
fn origin(parts: &Parts, query: &Query) -> Origin {
    Origin {
        method: parts.method.to_string(),
        path: Origin::decoded_path(uri(parts).path()),
        args: Origin::masked_args(query),
        user_agent: text(&parts.headers, header::USER_AGENT).to_owned(),
        request_id: parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
        client_ip: client_ip(parts),
        host: Origin::host_name(host(parts)),
    }
}

/// The target as it was sent: the router has cut the API's prefix off.
fn uri(parts: &Parts) -> &Uri {
    parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0)
}

/// The host that was asked: HTTP/2 has it in the target.
fn host(parts: &Parts) -> &str {
    match uri(parts).authority() {
        Some(authority) if !parts.headers.contains_key(header::HOST) => authority.as_str(),
        _ => text(&parts.headers, header::HOST),
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Whom the request comes from. Trusted proxies in front have given way to their client before.
fn client_ip(parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    peer.unwrap_or(IpAddr::from([255, 255, 255, 255]))
}
