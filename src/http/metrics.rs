//! The address at which Prometheus fetches metrics: a listener of its own, so that neither clients see them nor many
//! clients keep Prometheus out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::app::App;
use crate::db::replicas::LeftOut;
use crate::telemetry::metrics::{Database, Metrics, Replica, UPKEEP};

/// Where they are: below the first as authentik's server has them, below the second as its metrics listener does.
const PATHS: [&str; 2] = ["/-/metrics/", "/metrics"];
/// How many connections there may be; more wait.
const CONNECTIONS: usize = 8;
/// How long one may take from its begin to the end of its answer.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// How long the database may take to say how far a standby is behind.
const LAG_TIMEOUT: Duration = Duration::from_secs(1);
/// Prometheus's text format.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Show `metrics` to whoever asks `listener`. This never ends.
pub async fn serve_metrics(listener: TcpListener, app: App, metrics: Metrics) -> Infallible {
    let metrics = Arc::new(metrics);
    tokio::join!(accept(listener, app, &metrics), async {
        loop {
            sleep(UPKEEP).await;
            metrics.upkeep();
        }
    })
    .0
}

async fn accept(mut listener: TcpListener, app: App, metrics: &Arc<Metrics>) -> Infallible {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = Arc::clone(&room).acquire_owned().await;
        let (stream, _) = Listener::accept(&mut listener).await;
        let (app, metrics) = (app.clone(), Arc::clone(metrics));
        tokio::spawn(async move {
            let service =
                service_fn(async |request| Ok::<_, Infallible>(answer(&app, &metrics, request).await));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            timeout(TIME_LIMIT, connection).await.ok();
            drop(permit);
        });
    }
}

async fn answer(app: &App, metrics: &Metrics, request: Request<Incoming>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    if !PATHS.contains(&request.uri().path()) {
        *response.status_mut() = StatusCode::NOT_FOUND;
    } else if !matches!(*request.method(), Method::GET | Method::HEAD) {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    } else {
        response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
        *response.body_mut() = Body::from(metrics.render(&database(app).await));
    }
    response
}

/// The database as it is now.
async fn database(app: &App) -> Database {
    let pool = &app.database.requests;
    let lag = timeout(LAG_TIMEOUT, pool.replication_lag()).await.ok().flatten();
    let (replicas, primary_reads) = app.database.replicas.figures();
    let replicas = replicas.into_iter().map(|of| Replica {
        name: of.name,
        lag: of.lag.ok(),
        left_out: LeftOut::ALL.map(|reason| (reason.name(), of.lag == Err(reason))).into(),
        reads: of.reads,
        failures: of.failures,
    });
    Database { up: pool.is_up(), lag, pool: pool.figures(), replicas: replicas.collect(), primary_reads }
}
