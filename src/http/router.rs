//! The router and its middleware, with the reason for each layer's place.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, MatchedPath, State};
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use super::conditional::Conditions;
use super::receive::receive;
use super::{browser, console, health, sessions, trusted_proxies, unread};
use crate::app::App;
use crate::config::Rate;
use crate::contract::{API_PREFIX, paths};
use crate::error::ApiError;
use crate::resources;
use crate::telemetry::metrics::{self, Limit};
use crate::telemetry::traces::RequestSpan;
use crate::telemetry::{Refusal, Work};
use crate::throttle::Throttle;
use crate::views::Answer;
use crate::views::endpoint::Endpoint;

/// The header that names a request, 32 hexadecimal digits, on every answer.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-authentik-id");

/// The header that names a span, as W3C's Trace Context has it.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What Django's middlewares tell browsers with every answer of authentik's.
const SECURITY: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// The whole server.
pub fn router(app: App) -> Router {
    let proxies = app.clone();
    let layers = ServiceBuilder::new()
        // Outermost: every answer gets its id and its log line, those of the layers below included. Around compression,
        // which makes another form of an answer: only here is it known whether the client has it.
        .layer(middleware::from_fn_with_state(app.clone(), log_request))
        // Around all that may read a body.
        .layer(middleware::from_fn_with_state(app.settings.stall, unread::drain))
        // Compresses what everything below answers.
        .layer(CompressionLayer::new())
        // Closest to the views: a panic there is an answer for everything above.
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            ApiError::Internal(anyhow::anyhow!("a handler panicked")).into_response()
        }));
    let routes = Router::new()
        .nest(API_PREFIX, api(app.settings.throttle))
        .merge(browser::router())
        .merge(console(&app))
        .route("/-/health/live/", get(health::live))
        .route("/-/health/ready/", get(health::ready))
        .fallback(no_route)
        .layer(layers)
        .with_state(app);
    // Outside the router: one decides which route is taken, the other who asks, which holds for all routes.
    let before = ServiceBuilder::new()
        .map_request(merge_slashes)
        .map_request(move |request| trusted_proxies::name_client(&proxies.settings.trusted_proxies, request));
    Router::new().fallback_service(before.service(routes))
}

/// The console, where there is one.
fn console(app: &App) -> Router<App> {
    if app.settings.has_console(app.database.layout.is_attached()) {
        console::router(app.settings.mail.public_url.as_ref())
    } else {
        Router::new()
    }
}

/// What a path without a route is told. Whether authentik has it is no secret, so nobody is asked who they are.
async fn no_route(uri: Uri) -> ApiError {
    match uri.path().strip_prefix(API_PREFIX) {
        Some(path) if paths::is_known(path) => ApiError::NotServed,
        _ => ApiError::NoRoute,
    }
}

/// The routes of the API, below its prefix.
fn api(rate: Rate) -> Router<App> {
    let not_served = paths::LIKE_KEYS
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, any(async || ApiError::NotServed)));
    let throttle = Arc::new(Throttle::new(rate));
    resources::endpoints().into_iter().fold(not_served, |router, endpoint| {
        let path = endpoint.path.clone();
        let (endpoint, throttle) = (Arc::new(endpoint), Arc::clone(&throttle));
        let handler = move |State(app): State<App>, request: Request<Body>| {
            let (endpoint, throttle) = (Arc::clone(&endpoint), Arc::clone(&throttle));
            async move { respond(&endpoint, &throttle, app, request).await }
        };
        router.route(&path, any(handler))
    })
}

/// Serve a request, and give its answer what every answer has: an `Allow` header, and the error's body where it failed.
async fn respond(
    endpoint: &Endpoint,
    throttle: &Throttle<IpAddr>,
    app: App,
    request: Request<Body>,
) -> Response {
    let answers = Arc::clone(&app.answers);
    let takes_sessions = app.settings.secret_key.is_some();
    let mut session = None;
    let answered = async {
        let version = request.version();
        let call = receive(app, request).await?;
        session.clone_from(&call.session);
        let anonymous = call.bearer().is_none().then_some(call.origin.client_ip);
        let answer = endpoint.serve(call).await?;
        if let Some(client) =
            anonymous.filter(|_| !session.as_ref().is_some_and(|session| session.is_of_user()))
        {
            // authentik's `AnonRateThrottle`. It comes behind the permission, so it counts what is public.
            throttle.count(&client).map_err(|seconds| {
                metrics::turned_away(Limit::Rate);
                ApiError::Throttled(seconds)
            })?;
        }
        Ok(Answer { body: hold(&answers, version, answer.body)?, ..answer })
    };
    let mut response = match answered.await {
        Err(ApiError::NoRoute) => return ApiError::NoRoute.into_response(),
        Ok(answer) => answer.into_response(),
        Err(error) => error.into_response(),
    };
    if let Ok(allow) = HeaderValue::from_str(&endpoint.allow) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    if takes_sessions {
        sessions::mark(response.headers_mut(), session.as_deref());
    }
    response
}

/// An answer in HTTP/1 that takes no more room than the buffers around it. A connection has one of them at a time.
const SMALL_ANSWER: usize = 64 * 1024;

/// The body of an answer, with its share of the room that all have until their clients have taken them.
fn hold(room: &Arc<Semaphore>, version: Version, body: Bytes) -> Result<Bytes, ApiError> {
    if body.len() <= SMALL_ANSWER && version != Version::HTTP_2 {
        return Ok(body);
    }
    let bytes = u32::try_from(body.len()).unwrap_or(u32::MAX);
    // It is there already, so it can't wait for room.
    let share = Arc::clone(room).try_acquire_many_owned(bytes).map_err(|_| {
        metrics::turned_away(Limit::Answers);
        ApiError::Overloaded
    })?;
    Ok(Bytes::from_owner(Held { body, _share: share }))
}

/// See [`hold`].
struct Held {
    body: Bytes,
    _share: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        if let Some(content_type) = self.content_type {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        if let Some(etag) = self.etag {
            headers.insert(header::ETAG, etag);
        }
        headers.extend(self.headers);
        response
    }
}

/// authentik's documentation prints `/api/v3//stages/…`: take it for `/api/v3/stages/…`. `/api/v3//` alone names nothing
/// and stays what it is: no route.
fn merge_slashes(mut request: Request<Body>) -> Request<Body> {
    let merged = request.uri().path_and_query().and_then(|whole| {
        let rest = whole.as_str().strip_prefix(API_PREFIX)?.strip_prefix("//")?;
        if rest.is_empty() || rest.starts_with(['/', '?']) {
            return None;
        }
        format!("{API_PREFIX}/{rest}").parse().ok()
    });
    if let Some(path_and_query) = merged {
        // Scheme and host, which HTTP/2 has here, stay.
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(path_and_query);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// The id of a request, in its extensions.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// A method, or `other`: a client may make up as many as it likes.
fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known.into_iter().find(|name| method == name).unwrap_or("other")
}

/// What is seen of a request: one line, its metrics, its span. They name the route, never the path or the query: an
/// invitation's key is the secret of its link.
async fn log_request(State(app): State<App>, mut request: Request<Body>, next: Next) -> Response {
    let id = app.ids.next().simple().to_string();
    request.extensions_mut().insert(RequestId(id.clone()));
    let started = std::time::Instant::now();
    let method = known_method(request.method());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("none", MatchedPath::as_str);
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let running = metrics::Running::begin();
    let work = Work::new(RequestSpan::begin(method, route, request.headers()));
    let conditions = Conditions::of(&request);
    let mut response = conditions.judge(work.done_by(next.run(request)).await);
    drop(running);
    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    metrics::answered(method, route, status, elapsed, &work);
    let refusal = work.refusal();
    tracing::info!(
        request_id = id,
        method,
        route,
        status,
        runtime_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
        user = work.user(),
        statements = work.statements(),
        refused = refusal.map(Refusal::name),
        client = client.filter(|_| refusal.is_some()).map(tracing::field::display),
        trace_id = work.span().map(RequestSpan::trace_id),
        "request"
    );
    let headers = response.headers_mut();
    if let Some(span) = work.span() {
        span.end(status, &work);
        if let Some(value) = span.traceparent() {
            headers.insert(TRACEPARENT, value);
        }
    }
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    response
}
