//! Start and end of the server.
//!
//! SIGTERM takes readiness away and, a moment later, the listener, and lets running requests finish; SIGINT gives them a
//! second; a second signal ends the process at once.
//! Nothing is lost either way: an answer is sent after its transaction is committed.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch as channel};
use tokio::task::JoinSet;

use super::service_manager;
use super::stdout::print;
use crate::app::App;
use crate::clock::{Clock, Ids};
use crate::config::{ExpiredMode, Secure, Settings};
use crate::db::{Server, bootstrap, idempotency};
use crate::http::{self, Connections, HEAD_TIME_LIMIT, Limits, Tls};
use crate::invitations::expiry::{self, Expiry};
use crate::mail::delivery::Delivery;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;

/// How long requests may take to finish after SIGTERM.
const GRACE: Duration = Duration::from_secs(30);
/// The same after SIGINT.
const SHORT_GRACE: Duration = Duration::from_secs(1);
/// How long what runs beside the requests may take after that, mails on their way above all. One that is broken off is sent
/// again later.
const TASK_GRACE: Duration = Duration::from_secs(5);

/// Run the server until a signal ends it.
///
/// # Errors
/// The database, the address, or an embedded PostgreSQL that ended.
pub async fn serve(settings: Settings) -> anyhow::Result<()> {
    // First of all: an address that is taken should not start a database.
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let address = listener.local_addr()?;
    let metrics = listen_for_metrics(&settings).await?;
    let traces = settings.traces.as_deref().map(Traces::start).transpose()?;
    let secure = match &settings.secure {
        Some(secure) => Some(listen_securely(secure).await?),
        None => None,
    };
    let server = Server::start(&settings.database).await?;
    // Before anybody is told that we serve: whoever is may stop us at once.
    let signals = Signals::install()?;
    let room = http::raise_open_files();
    let app = open(&server, settings, address, metrics.as_ref()).await?;
    let database = app.database.clone();
    let (stop, stopped) = oneshot::channel();
    let mut keeper = tokio::spawn(server.keep(stopped));
    let tasks = Tasks::start(&app, metrics)?;
    service_manager::tell(&NotifyState::Ready);
    let lost = tokio::select! {
        () = run(listener, secure, app, signals, room) => None,
        ended = &mut keeper => Some(ended),
    };
    tasks.stop().await;
    let closed =
        async { tokio::join!(database.requests.close(), database.replicas.close(), database.pool.close()) };
    tokio::time::timeout(SHORT_GRACE, closed).await.ok();
    if let Some(traces) = traces {
        traces.stop().await;
    }
    match lost {
        Some(ended) => ended?,
        None => {
            stop.send(()).ok();
            keeper.await?
        }
    }
}

/// Where metrics are fetched. `None` if the usual address is taken and nobody asked for it: two servers may run on a machine.
async fn listen_for_metrics(settings: &Settings) -> anyhow::Result<Option<TcpListener>> {
    let address = settings.listen_metrics;
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if settings.wants_metrics => {
            Err(error).with_context(|| format!("AUTHENTIK_LISTEN__METRICS: cannot listen on {address}"))
        }
        Err(error) => {
            tracing::warn!(%address, cause = %error, "no metrics; AUTHENTIK_LISTEN__METRICS names another address");
            Ok(None)
        }
    }
}

/// Listen for connections with TLS.
async fn listen_securely(secure: &Secure) -> anyhow::Result<(TcpListener, Tls)> {
    let tls = Tls::new(secure.certificate.clone(), secure.key.clone())?;
    let listener = TcpListener::bind(secure.listen)
        .await
        .with_context(|| format!("cannot listen on {}", secure.listen))?;
    tracing::info!(address = %listener.local_addr()?, "serving with TLS");
    Ok((listener, tls))
}

/// What runs beside the requests.
struct Tasks {
    stop: channel::Sender<bool>,
    /// Those that finish what they are at once they are to stop.
    finishing: JoinSet<()>,
    /// Those that may be broken off anywhere.
    endless: JoinSet<()>,
}

impl Tasks {
    /// Begin all that the settings want.
    ///
    /// # Errors
    /// A setting of mail that can't be used; metrics that are there already.
    fn start(app: &App, metrics: Option<TcpListener>) -> anyhow::Result<Self> {
        let (stop, stopped) = channel::channel(false);
        let (mut finishing, mut endless) = (JoinSet::new(), JoinSet::new());
        let (database, settings) = (&app.database, &app.settings);
        endless.spawn(database.clone().watch());
        endless.spawn(service_manager::keep_alive(database.requests.clone()));
        let tidy = idempotency::tidy(database.pool.clone());
        endless.spawn(async { match tidy.await {} });
        if let Some(listener) = metrics {
            let shown = http::serve_metrics(listener, app.clone(), Metrics::install()?);
            endless.spawn(async { match shown.await {} });
        }
        if settings.mail.public_url.is_some() {
            let (pool, waker) = (database.pool.clone(), app.mail_waker.clone());
            let delivery =
                Delivery::new(pool, &settings.mail, app.clock.clone(), waker, !settings.pgbouncer)?;
            finishing.spawn(delivery.run(stopped.clone()));
        }
        if !database.layout.is_attached() && settings.expired == ExpiredMode::Delete {
            finishing.spawn(Expiry::new(database.pool.clone(), expiry::INTERVAL).run(stopped));
        }
        Ok(Self { stop, finishing, endless })
    }

    /// End them, within bounds of time.
    async fn stop(mut self) {
        self.stop.send(true).ok();
        let finished = async { while self.finishing.join_next().await.is_some() {} };
        tokio::time::timeout(TASK_GRACE, finished).await.ok();
        self.endless.abort_all();
    }
}

/// Open the database and say where everything is.
async fn open(
    server: &Server,
    settings: Settings,
    address: SocketAddr,
    metrics: Option<&TcpListener>,
) -> anyhow::Result<App> {
    let (clock, ids) = (Clock::System, Ids::Random);
    let database = super::open(server, &settings).await?;
    if !database.layout.is_attached()
        && let Some(key) = bootstrap::first_user(&database.pool, &settings.first_user, &clock, &ids).await?
    {
        print(&welcome(address, settings.first_user.token.is_none().then_some(&key)))?;
    }
    let metrics = metrics.and_then(|listener| listener.local_addr().ok()).map(tracing::field::display);
    tracing::info!(%address, metrics, version = env!("CARGO_PKG_VERSION"), "serving");
    Ok(App::new(database, settings, clock, ids))
}

/// The one time that a key is shown: on standard output, which no log collector of ours writes to.
fn welcome(address: SocketAddr, generated: Option<&String>) -> String {
    let token = generated.map_or("$AUTHENTIK_BOOTSTRAP_TOKEN", String::as_str);
    format!(
        "Welcome to ak-stages. The first user is akadmin, and this is how to ask for something:\n\n  \
         TOKEN={token}\n  \
         curl -H \"Authorization: Bearer $TOKEN\" http://{address}/api/v3/stages/email/\n\n\
         The token is shown this once. `ak-stages token create akadmin` makes another.\n"
    )
}

/// The signals that end the server. From here on they don't end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Wait for the next one: how long it gives the requests.
    async fn next(&mut self) -> Duration {
        tokio::select! {
            _ = self.terminate.recv() => GRACE,
            _ = self.interrupt.recv() => SHORT_GRACE,
        }
    }
}

/// Serve until a signal comes, to as many connections at a time as the settings say and the system has `room` for.
async fn run(
    listener: TcpListener,
    secure: Option<(TcpListener, Tls)>,
    app: App,
    mut signals: Signals,
    room: usize,
) {
    let drain = app.settings.drain;
    let settings = &app.settings;
    let limits = Limits {
        head_time: HEAD_TIME_LIMIT,
        stall: settings.stall,
        head: settings.head,
        connections: settings.connections.min(room),
        connections_per_address: settings.connections_per_address,
        trusted: settings.trusted_proxies.clone(),
    };
    let mut connections = Connections::new(listener, http::router(app.clone()), limits);
    if let Some((listener, tls)) = secure {
        connections = connections.and_secure(listener, &tls);
        tokio::spawn(tls.watch());
    }
    let grace = tokio::select! {
        never = connections.accept() => match never {},
        grace = signals.next() => grace,
    };
    tracing::info!("stopping");
    service_manager::tell(&NotifyState::Stopping);
    // First of all: whoever balances load looks here, and sends requests until it has seen it.
    app.stop();
    if grace == GRACE {
        tokio::select! {
            never = connections.accept() => match never {},
            _ = signals.next() => return,
            () = tokio::time::sleep(drain) => {}
        }
    }
    tokio::select! {
        () = connections.finish() => {}
        _ = signals.next() => {}
        () = tokio::time::sleep(grace) => tracing::warn!("requests did not finish in time"),
    }
}
