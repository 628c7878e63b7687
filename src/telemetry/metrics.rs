//! Metrics, for Prometheus to fetch. Their labels take few values: a route, a method that there is, a status, a reason.
//!
//! Nothing is kept unless [`Metrics::install`] was called. The handles are made once, so what is done for a request is to
//! find those of its route, and to add.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::process::{Process, count};
use super::{Refusal, Work};

const DURATION: &str = "ak_stages_http_request_duration_seconds";
const STATEMENTS: &str = "ak_stages_http_request_statements_total";
const ROWS: &str = "ak_stages_http_request_rows_total";
const IN_FLIGHT: &str = "ak_stages_http_requests_in_flight";
const TURNED_AWAY: &str = "ak_stages_limit_refusals_total";
const REFUSED: &str = "ak_stages_authentication_failures_total";
const RETRIED: &str = "ak_stages_transactions_retried_total";
const POOL_MAX: &str = "ak_stages_pool_connections_max";
const POOL_OPEN: &str = "ak_stages_pool_connections";
const POOL_IDLE: &str = "ak_stages_pool_connections_idle";
const POOL_WAITING: &str = "ak_stages_pool_requests_waiting";
const POOL_WAITS: &str = "ak_stages_pool_waits_total";
const DATABASE_UP: &str = "ak_stages_database_up";
const LAG: &str = "ak_stages_database_replication_lag_seconds";
const REPLICA_IN_USE: &str = "ak_stages_replica_in_use";
const REPLICA_LEFT_OUT: &str = "ak_stages_replica_left_out";
const REPLICA_LAG: &str = "ak_stages_replica_lag_seconds";
const REPLICA_FAILURES: &str = "ak_stages_replica_failures_total";
const READS: &str = "ak_stages_reads_total";
const BUILD: &str = "ak_stages_build_info";
const RESIDENT: &str = "process_resident_memory_bytes";
const OPEN_FILES: &str = "process_open_fds";
const MAX_FILES: &str = "process_max_fds";
const STARTED: &str = "process_start_time_seconds";

/// Seconds: an answer that is remembered takes half a millisecond, a request has thirty seconds.
const BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// How often what was recorded has to be sorted into its buckets, fetched or not: until then each value takes memory.
pub const UPKEEP: Duration = Duration::from_secs(1);

/// What is kept of requests, once anything is.
static KEPT: OnceLock<Kept> = OnceLock::new();

struct Kept {
    in_flight: AtomicUsize,
    retried: Counter,
    refused: Vec<(Refusal, Counter)>,
    turned_away: Vec<(Limit, Counter)>,
    /// By route. It has few methods, and few statuses each.
    routes: RwLock<HashMap<String, Vec<OfRoute>>>,
}

/// What is kept of the requests for a route that had this method and this status.
struct OfRoute {
    method: &'static str,
    status: u16,
    duration: Histogram,
    statements: Counter,
    rows: Counter,
}

impl Kept {
    fn new() -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            retried: counter!(RETRIED),
            refused: Refusal::ALL.map(|why| (why, counter!(REFUSED, "reason" => why.name()))).into(),
            turned_away: Limit::ALL.map(|why| (why, counter!(TURNED_AWAY, "reason" => why.name()))).into(),
            routes: RwLock::default(),
        }
    }
}

impl OfRoute {
    fn new(method: &'static str, route: &str, status: u16) -> Self {
        let labels = [("method", method.to_owned()), ("route", route.to_owned())];
        let status_text = status.to_string();
        Self {
            method,
            status,
            duration: histogram!(DURATION, "method" => method, "route" => route.to_owned(), "status" => status_text),
            statements: counter!(STATEMENTS, &labels),
            rows: counter!(ROWS, &labels),
        }
    }

    fn add(&self, elapsed: Duration, work: &Work) {
        self.duration.record(elapsed);
        self.statements.increment(work.statements());
        self.rows.increment(work.rows());
    }
}

/// A limit of the server that turned somebody away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Requests a second.
    Rate,
    /// Connections.
    Connections,
    /// Memory for bodies of requests.
    Bodies,
    /// Memory for answers that clients have yet to take.
    Answers,
}

impl Limit {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Rate, Self::Connections, Self::Bodies, Self::Answers];

    /// As metrics have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Connections => "connections",
            Self::Bodies => "bodies",
            Self::Answers => "answers",
        }
    }
}

/// The database, as it is when metrics are fetched.
#[derive(Debug, Default, Clone)]
pub struct Database {
    /// Whether it answers.
    pub up: bool,
    /// By how many seconds a standby is behind: this one, or the last of those that follow this one. `None` where that
    /// isn't known.
    pub lag: Option<f64>,
    /// The connections of requests.
    pub pool: Pool,
    /// The standbys that reads go to.
    pub replicas: Vec<Replica>,
    /// Reads that the primary served where there are such standbys.
    pub primary_reads: u64,
}

/// A standby that reads go to.
#[derive(Debug, Clone)]
pub struct Replica {
    /// Its address.
    pub name: String,
    /// How far behind it is at most; `None` while it isn't used.
    pub lag: Option<Duration>,
    /// Each reason for which one isn't used, by its name, and whether it is this one's.
    pub left_out: Vec<(&'static str, bool)>,
    /// Reads that it served.
    pub reads: u64,
    /// Reads that it was to serve and couldn't.
    pub failures: u64,
}

/// The connections of requests.
#[derive(Debug, Default, Clone, Copy)]
pub struct Pool {
    /// How many there may be.
    pub max: usize,
    /// How many are open, or about to be.
    pub open: usize,
    /// How many of them nobody uses.
    pub idle: usize,
    /// How many requests wait for one.
    pub waiting: usize,
    /// How many have had to.
    pub waits: u64,
}

/// The metrics of this process.
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// From now on metrics are kept.
    ///
    /// # Errors
    /// They are already.
    pub fn install() -> anyhow::Result<Self> {
        let durations = Matcher::Full(DURATION.to_owned());
        let recorder = PrometheusBuilder::new().set_buckets_for_metric(durations, &BUCKETS)?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).context("metrics are kept already")?;
        describe();
        KEPT.get_or_init(Kept::new);
        gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        gauge!(STARTED).set(started.as_secs_f64());
        Ok(Self(handle))
    }

    /// To be called every [`UPKEEP`].
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }

    /// All of them, in Prometheus's text format.
    pub fn render(&self, database: &Database) -> String {
        let (pool, process) = (database.pool, Process::now());
        let in_flight = KEPT.get().map_or(0, |kept| kept.in_flight.load(Ordering::Relaxed));
        gauge!(DATABASE_UP).set(f64::from(u8::from(database.up)));
        gauge!(LAG).set(database.lag.unwrap_or(f64::NAN));
        for (name, value) in [
            (IN_FLIGHT, in_flight),
            (POOL_MAX, pool.max),
            (POOL_OPEN, pool.open),
            (POOL_IDLE, pool.idle),
            (POOL_WAITING, pool.waiting),
        ] {
            gauge!(name).set(count(value));
        }
        counter!(POOL_WAITS).absolute(pool.waits);
        show_replicas(database);
        for (name, value) in
            [(RESIDENT, process.resident), (OPEN_FILES, process.open_files), (MAX_FILES, process.max_files)]
        {
            if let Some(value) = value {
                gauge!(name).set(value);
            }
        }
        self.0.render()
    }
}

fn show_replicas(database: &Database) {
    for Replica { name, lag, left_out, reads, failures } in &database.replicas {
        for (reason, is_it) in left_out {
            gauge!(REPLICA_LEFT_OUT, "replica" => name.clone(), "reason" => *reason)
                .set(f64::from(u8::from(*is_it)));
        }
        gauge!(REPLICA_IN_USE, "replica" => name.clone()).set(f64::from(u8::from(lag.is_some())));
        gauge!(REPLICA_LAG, "replica" => name.clone()).set(lag.map_or(f64::NAN, |lag| lag.as_secs_f64()));
        counter!(REPLICA_FAILURES, "replica" => name.clone()).absolute(*failures);
        counter!(READS, "server" => name.clone()).absolute(*reads);
    }
    if !database.replicas.is_empty() {
        counter!(READS, "server" => "primary").absolute(database.primary_reads);
    }
}

fn describe() {
    describe_histogram!(DURATION, Unit::Seconds, "Time from a request's head to its answer.");
    describe_counter!(STATEMENTS, "Statements that requests ran.");
    describe_counter!(ROWS, "Rows that the statements of requests read or wrote.");
    describe_gauge!(IN_FLIGHT, "Requests that are being served.");
    describe_counter!(
        TURNED_AWAY,
        "Requests and connections that a limit of the server turned away, by reason."
    );
    describe_counter!(REFUSED, "Requests whose credentials were not taken, by reason.");
    describe_counter!(
        RETRIED,
        "Transactions and reads that were begun once more because their connection was cut."
    );
    describe_gauge!(POOL_MAX, "Connections that requests may have.");
    describe_gauge!(POOL_OPEN, "Connections that are open for requests.");
    describe_gauge!(POOL_IDLE, "Open connections that no request has.");
    describe_gauge!(POOL_WAITING, "Requests that wait for a connection.");
    describe_counter!(POOL_WAITS, "Requests that had to wait for a connection.");
    describe_gauge!(DATABASE_UP, "1 while the database answers.");
    describe_gauge!(LAG, Unit::Seconds, "How far a standby is behind; 0 where there is none.");
    describe_gauge!(REPLICA_IN_USE, "1 while reads go to this standby.");
    describe_gauge!(REPLICA_LEFT_OUT, "1 while reads do not go to this standby for this reason.");
    describe_gauge!(
        REPLICA_LAG,
        Unit::Seconds,
        "How far this standby is behind at most, while reads go to it."
    );
    describe_counter!(REPLICA_FAILURES, "Reads that the primary served since this standby couldn't.");
    describe_counter!(READS, "Reads, by the server that served them, where there is more than one.");
    describe_gauge!(BUILD, "1, with the version of the program.");
    describe_gauge!(RESIDENT, Unit::Bytes, "Memory of the server's process.");
    describe_gauge!(OPEN_FILES, "Files and connections that the process has open.");
    describe_gauge!(MAX_FILES, "Files and connections that it may open.");
    describe_gauge!(STARTED, Unit::Seconds, "When the process began, since 1970.");
}

/// A request that is being served, until it is dropped.
#[must_use = "dropped, it is served no more"]
pub struct Running(());

impl Running {
    /// It begins.
    pub fn begin() -> Self {
        if let Some(kept) = KEPT.get() {
            kept.in_flight.fetch_add(1, Ordering::Relaxed);
        }
        Self(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(kept) = KEPT.get() {
            kept.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A request was answered. `route` is the pattern that its path fits.
pub fn answered(method: &'static str, route: &str, status: u16, elapsed: Duration, work: &Work) {
    let Some(kept) = KEPT.get() else { return };
    let is_it = |known: &&OfRoute| known.method == method && known.status == status;
    let routes = kept.routes.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = routes.get(route).and_then(|all| all.iter().find(is_it)) {
        return known.add(elapsed, work);
    }
    drop(routes);
    let new = OfRoute::new(method, route, status);
    new.add(elapsed, work);
    let mut routes = kept.routes.write().unwrap_or_else(PoisonError::into_inner);
    let all = routes.entry(route.to_owned()).or_default();
    // Somebody else may have been first.
    if !all.iter().any(|known| is_it(&known)) {
        all.push(new);
    }
}

/// A limit turned somebody away.
pub fn turned_away(limit: Limit) {
    let counters = KEPT.get().into_iter().flat_map(|kept| &kept.turned_away);
    counters.filter(|(name, _)| *name == limit).for_each(|(_, counter)| counter.increment(1));
}

/// A transaction or a read is begun once more, because the connection of the first one was cut.
pub fn retried() {
    if let Some(kept) = KEPT.get() {
        kept.retried.increment(1);
    }
}

/// Credentials weren't taken.
pub(super) fn refused(refusal: Refusal) {
    let counters = KEPT.get().into_iter().flat_map(|kept| &kept.refused);
    counters.filter(|(name, _)| *name == refusal).for_each(|(_, counter)| counter.increment(1));
}
