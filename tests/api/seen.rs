//! What is seen of the real program: its metrics, its log, its traces, and what it tells systemd.

#![expect(clippy::float_cmp, reason = "counts are whole numbers")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use regex::Regex;
use rstest::rstest;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Program, database_of, empty_database, new_directory};

const STAGES: &str = "/api/v3/stages/email/";
const INVITATIONS: &str = "/api/v3/stages/invitation/invitations/";
const KEY: &str = "the-first-token-of-this-database";
/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(20);

async fn environment() -> Vec<(&'static str, String)> {
    let mut environment = empty_database().await;
    environment.push(("AUTHENTIK_BOOTSTRAP_TOKEN", KEY.to_owned()));
    environment
}

/// What is shown to Prometheus: each series, labels included, with its value.
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    fn of(server: &Program) -> Self {
        let text = server.scrape().unwrap();
        let series = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(
            series
                .map(|line| line.rsplit_once(' ').unwrap())
                .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
                .collect(),
        )
    }

    /// The sum of the series of this name that have all of these labels.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let is_it = |series: &str| {
            series.split('{').next() == Some(name) && labels.iter().all(|label| series.contains(label))
        };
        self.0.iter().filter(|(series, _)| is_it(series)).map(|(_, value)| value).sum()
    }

    /// How many requests were counted for a route.
    fn requests(&self, labels: &[(&str, &str)]) -> f64 {
        self.sum("ak_stages_http_request_duration_seconds_count", labels)
    }
}

/// The lines of the log that say this.
fn lines(server: &Program, message: &str) -> Vec<Value> {
    let log = server.stderr();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == message).collect()
}

fn create(server: &Program, path: &str, body: &Value) -> String {
    let (status, body) = server.request("POST", path, KEY, &body.to_string()).unwrap();
    assert_eq!(status, 201, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    body["pk"].as_str().unwrap().to_owned()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "not seen in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// On a PostgreSQL that nobody else writes to, since any commit there makes a read ask once more.
#[test]
fn requests_and_their_statements_add_up_while_they_run() {
    const CLIENTS: u32 = 4;
    const EACH: u32 = 25;
    let directory = new_directory("seen").to_str().unwrap().to_owned();
    let environment = [
        ("DATA_DIR", directory),
        ("AUTHENTIK_BOOTSTRAP_TOKEN", KEY.to_owned()),
        // A connection that is opened for a request has statements of its own.
        ("AUTHENTIK_STAGES__POOL_SIZE", "1".to_owned()),
    ];
    let server = Program::serve(&environment);
    let stage = create(&server, STAGES, &json!({ "name": "a stage" }));
    let path = format!("{STAGES}{stage}/");
    for _ in 0..2 {
        assert_eq!(server.request("GET", &path, KEY, "").unwrap().0, 200);
    }
    let route = ("route", "/api/v3/stages/email/{key}/");
    let of_route = [route, ("method", "GET")];
    let reads = [route, ("method", "GET"), ("status", "200")];
    let per_read = ["ak_stages_http_request_statements_total", "ak_stages_http_request_rows_total"];
    let before = Scrape::of(&server);
    for _ in 0..EACH {
        assert_eq!(server.request("GET", &path, KEY, "").unwrap().0, 200);
    }
    let after = Scrape::of(&server);
    assert_eq!(after.requests(&reads) - before.requests(&reads), f64::from(EACH));
    for name in per_read {
        assert_eq!(
            after.sum(name, &of_route) - before.sum(name, &of_route),
            f64::from(EACH),
            "{name}: one each"
        );
    }

    let before = Scrape::of(&server);
    let is_over = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let scrapes = scope.spawn(|| {
            let mut seen = vec![before.requests(&reads)];
            while !is_over.load(Ordering::SeqCst) {
                seen.push(Scrape::of(&server).requests(&reads));
            }
            seen
        });
        let clients = (0..CLIENTS).map(|_| {
            scope.spawn(|| {
                for _ in 0..EACH {
                    assert_eq!(server.request("GET", &path, KEY, "").unwrap().0, 200);
                }
            })
        });
        clients.collect::<Vec<_>>().into_iter().for_each(|client| client.join().unwrap());
        is_over.store(true, Ordering::SeqCst);
        scrapes.join().unwrap()
    });
    assert!(seen.is_sorted(), "a counter went back: {seen:?}");

    let after = Scrape::of(&server);
    let made = f64::from(CLIENTS * EACH);
    assert_eq!(after.requests(&reads) - before.requests(&reads), made);
    for name in per_read {
        let more = after.sum(name, &of_route) - before.sum(name, &of_route);
        assert!((1.0..=made).contains(&more), "reads that come at once may share one, {name}: {more}");
    }
    assert_eq!(after.sum("ak_stages_http_requests_in_flight", &[]), 0.0);
    assert_eq!(after.sum("ak_stages_database_up", &[]), 1.0);
    assert_eq!(after.sum("ak_stages_database_replication_lag_seconds", &[]), 0.0);
    assert!(after.sum("process_resident_memory_bytes", &[]) > 1e6);
    let infinite = [reads.as_slice(), &[("le", "+Inf")]].concat();
    let buckets = "ak_stages_http_request_duration_seconds_bucket";
    assert_eq!(after.sum(buckets, &infinite), after.requests(&reads), "times are in buckets");

    let logged = lines(&server, "request");
    let of_reads = logged.iter().filter(|line| line["route"] == route.1 && line["method"] == "GET");
    let of_reads: Vec<_> = of_reads.collect();
    assert_eq!(f64::from(u32::try_from(of_reads.len()).unwrap()), after.requests(&reads));
    let one = of_reads[2]; // of those that came one by one
    assert_eq!((&one["status"], &one["statements"]), (&json!(200), &json!(1)));
    assert!(one["user"].is_i64() && one["runtime_us"].is_u64(), "{one}");

    server.request("BREW", "/api/v3/stages/email/", KEY, "").unwrap();
    server.request("GET", "/made/up/", KEY, "").unwrap();
    let after = Scrape::of(&server);
    assert_eq!(after.requests(&[("method", "other"), ("status", "405")]), 1.0, "methods can't be made up");
    assert_eq!(after.requests(&[("route", "none"), ("status", "404")]), 1.0, "routes can't be made up");
    assert!(!server.scrape().unwrap().contains(&stage), "a route names no object");
}

#[tokio::test]
async fn failed_authentications_are_counted_and_logged_by_reason() {
    let environment = environment().await;
    let (server, pool) = (Program::serve(&environment), database_of(&environment));
    let token = |key: &str, and: &str| {
        format!(
            "INSERT INTO authentik_core_token (token_uuid, identifier, key, user_id, expires, expiring, intent, description, managed) \
             SELECT gen_random_uuid(), '{key}', '{key}', u.id, now() + '1 day', true, 'api', '', NULL \
             FROM authentik_core_user u WHERE username = 'akadmin'; {and}"
        )
    };
    let statements = [
        token(
            "expired-key",
            "UPDATE authentik_core_token SET expires = now() - interval '1 s' WHERE key = 'expired-key'",
        ),
        token("intent-key", "UPDATE authentik_core_token SET intent = 'recovery' WHERE key = 'intent-key'"),
    ];
    for statement in statements {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&pool).await.unwrap();
    }
    let refused = |key: &str| assert_eq!(server.request("GET", STAGES, key, "").unwrap().0, 403);
    assert_eq!(
        server.request("GET", STAGES, KEY, "").unwrap().0,
        200,
        "the one that is about to be inactive"
    );
    for key in ["unknown-key", "unknown-key", "expired-key", "intent-key", ""] {
        refused(key);
    }
    sqlx::query("UPDATE authentik_core_user SET is_active = false").execute(&pool).await.unwrap();
    refused(KEY);
    let scrape = Scrape::of(&server);
    let expected = [("missing", 1.0), ("unknown", 2.0), ("expired", 1.0), ("intent", 1.0), ("inactive", 1.0)];
    for (reason, count) in expected {
        let counted = scrape.sum("ak_stages_authentication_failures_total", &[("reason", reason)]);
        assert_eq!(counted, count, "{reason}");
    }
    let mut logged = lines(&server, "request");
    logged.retain(|line| line["status"] == 403);
    let reasons: Vec<_> = logged.iter().map(|line| line["refused"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["unknown", "unknown", "expired", "intent", "missing", "inactive"]);
    assert!(logged.iter().all(|line| line["client"] == "127.0.0.1" && line["user"].is_null()), "{logged:?}");
    assert!(!server.stderr().contains("-key"), "a key is logged");
}

#[tokio::test]
async fn whom_the_rate_turns_away_is_counted() {
    let mut environment = environment().await;
    environment.push(("AUTHENTIK_THROTTLE__DEFAULT", "2/hour".to_owned()));
    let server = Program::serve(&environment);
    let status = || server.request("GET", "/api/v3/root/config/", "", "").unwrap().0;
    assert_eq!([status(), status(), status(), status()], [200, 200, 429, 429]);
    let counted = Scrape::of(&server).sum("ak_stages_limit_refusals_total", &[("reason", "rate")]);
    assert_eq!(counted, 2.0);
}

#[tokio::test]
async fn requests_that_run_and_that_wait_for_a_connection_are_seen() {
    let mut environment = environment().await;
    environment.push(("AUTHENTIK_STAGES__POOL_SIZE", "1".to_owned()));
    let (server, pool) = (Program::serve(&environment), database_of(&environment));
    let path = format!("{STAGES}{}/", create(&server, STAGES, &json!({ "name": "a stage" })));
    let mut holder = pool.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM authentik_flows_stage FOR UPDATE").execute(&mut *holder).await.unwrap();
    let change = r#"{"name": "another name"}"#;
    let first = server.ask("PATCH", &path, KEY, change).unwrap();
    let figure = |name: &str| Scrape::of(&server).sum(&format!("ak_stages_{name}"), &[]);
    wait_until("one that runs", || figure("http_requests_in_flight") == 1.0);
    let second = server.ask("GET", &path, KEY, "").unwrap();
    wait_until("one that waits", || figure("pool_requests_waiting") == 1.0);
    assert_eq!(figure("http_requests_in_flight"), 2.0);
    assert_eq!((figure("pool_connections_max"), figure("pool_connections")), (1.0, 1.0));
    assert_eq!(figure("pool_connections_idle"), 0.0);
    holder.rollback().await.unwrap();
    for mut stream in [first, second] {
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    wait_until("their end", || figure("http_requests_in_flight") == 0.0);
    assert_eq!((figure("pool_waits_total"), figure("pool_requests_waiting")), (1.0, 0.0));
    assert_eq!(figure("pool_connections_idle"), 1.0);
}

#[tokio::test]
async fn a_read_that_was_begun_once_more_is_counted() {
    let environment = environment().await;
    let (server, pool) = (Program::serve(&environment), database_of(&environment));
    assert_eq!(server.request("GET", STAGES, KEY, "").unwrap().0, 200);
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(cut).execute(&pool).await.unwrap();
    // Not the same list: a remembered answer whose proof fails isn't begun once more, but done in full.
    assert_eq!(server.request("GET", &format!("{STAGES}?page_size=1"), KEY, "").unwrap().0, 200);
    assert_eq!(Scrape::of(&server).sum("ak_stages_transactions_retried_total", &[]), 1.0);
}

#[rstest]
#[case("GET", "/-/metrics/", 200)]
#[case("HEAD", "/metrics", 200)]
#[case("POST", "/-/metrics/", 405)]
#[case("GET", "/api/v3/stages/email/", 404)]
#[tokio::test]
async fn the_address_of_metrics_shows_nothing_else(
    #[case] method: &str,
    #[case] path: &str,
    #[case] status: u16,
) {
    let server = Program::serve(&environment().await);
    let answer = server.ask_for_metrics(method, path);
    assert_eq!(answer.0, status);
    assert_eq!(answer.1.is_empty(), method != "GET" || status != 200);
    assert_eq!(server.request("GET", "/-/metrics/", KEY, "").unwrap().0, 404, "not where clients come");
}

#[tokio::test]
async fn the_usual_address_may_be_taken_and_a_named_one_may_not() {
    let taken = TcpListener::bind("127.0.0.1:9300"); // unless it is taken already
    let mut environment = environment().await;
    environment.push(("AUTHENTIK_LISTEN__METRICS", String::new()));
    let server = Program::serve(&environment);
    assert_eq!(server.scrape(), None);
    assert_eq!(server.request("GET", STAGES, KEY, "").unwrap().0, 200);
    assert!(server.stderr().contains("no metrics"), "{}", server.stderr());
    drop((server, taken));

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    environment.extend([
        ("AUTHENTIK_LISTEN__METRICS", address),
        ("AUTHENTIK_LISTEN__HTTP", "127.0.0.1:0".to_owned()),
    ]);
    let output = Program::command(&environment).arg("serve").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("ak-stages: AUTHENTIK_LISTEN__METRICS: cannot listen on"), "{stderr}");
}

#[rstest]
#[case::by_the_terminal("", true)]
#[case::json("json", true)]
#[case::pretty("pretty", false)]
fn the_log_is_json_unless_something_else_is_asked_for(#[case] format: &str, #[case] is_json: bool) {
    let directory = new_directory("log").to_str().unwrap().to_owned();
    let environment = [("DATA_DIR", directory), ("AUTHENTIK_STAGES__LOG_FORMAT", format.to_owned())];
    let output = Program::command(&environment).arg("migrate").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let line = stderr.lines().find(|line| line.contains("starting the database")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(line).is_ok(), is_json, "{line}");
}

/// A collector of traces. It keeps the bodies that it was sent.
pub struct Collector {
    pub endpoint: String,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&taken);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map(Result::unwrap) {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                loop {
                    let length = stream.read(&mut buffer).unwrap();
                    request.extend_from_slice(&buffer[..length]);
                    if length == 0 || is_whole(&request) {
                        break;
                    }
                }
                kept.lock().unwrap().extend_from_slice(&request);
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            }
        });
        Self { endpoint, taken }
    }

    pub fn has(&self, what: &[u8]) -> bool {
        contains(&self.taken.lock().unwrap(), what)
    }
}

fn contains(all: &[u8], what: &[u8]) -> bool {
    all.windows(what.len()).any(|window| window == what)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let body = request.windows(4).position(|window| window == b"\r\n\r\n").map(|at| request.len() - at - 4);
    body >= length.and_then(|length| length.parse().ok())
}

#[rstest]
#[case("info")]
#[case("trace")]
#[tokio::test]
async fn no_token_no_password_and_no_invitation_is_in_logs_or_traces(#[case] level: &str) {
    const WRONG: &str = "a-key-that-opens-nothing";
    const PASSWORD: &str = "the-password-of-a-mail-server";
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let collector = Collector::start();
    let mut environment = environment().await;
    environment.push(("AUTHENTIK_LOG_LEVEL", level.to_owned()));
    environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.clone()));
    let mut server = Program::serve(&environment);
    create(
        &server,
        STAGES,
        &json!({ "name": "a stage", "password": PASSWORD, "use_global_settings": false }),
    );
    let invitation = create(&server, INVITATIONS, &json!({ "name": "an-invitation" }));
    let (status, body) =
        server.request("POST", "/api/v3/core/tokens/", KEY, r#"{"identifier": "another"}"#).unwrap();
    assert_eq!(status, 201, "{body}");
    let (_, body) = server.request("GET", "/api/v3/core/tokens/another/view_key/", KEY, "").unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    let another = body["key"].as_str().unwrap().to_owned();
    assert_eq!(server.request("GET", STAGES, &another, "").unwrap().0, 200);
    for path in [
        format!("{INVITATIONS}{invitation}/"),
        format!("{INVITATIONS}{invitation}/used_by/"),
        format!("{INVITATIONS}?search={invitation}&token={another}"),
        format!("/made/up/{invitation}/"),
    ] {
        for key in [KEY, WRONG] {
            server.request("GET", &path, key, "").unwrap();
        }
    }
    server.request("PATCH", &format!("{INVITATIONS}{invitation}/"), KEY, "{}").unwrap();
    server.request("DELETE", &format!("{INVITATIONS}{invitation}/"), KEY, "").unwrap();
    let traced = format!(
        "GET {STAGES} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\
         traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n\r\n"
    );
    let mut answer = String::new();
    server.send(traced.as_bytes()).unwrap().read_to_string(&mut answer).unwrap();
    let given = answer.lines().find_map(|line| line.strip_prefix("traceparent: ")).unwrap();
    assert!(given.starts_with(&format!("00-{TRACE}-")) && !given.contains("b7ad6b7169203331"), "{given}");

    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0), "{}", server.stderr());
    let trace_id: Vec<_> =
        (0..16).map(|i| u8::from_str_radix(&TRACE[2 * i..2 * i + 2], 16).unwrap()).collect();
    for expected in [
        b"POST /v1/traces".as_slice(),
        b"GET /api/v3/stages/invitation/invitations/{key}/",
        b"SELECT pg_current_snapshot()",
        b"INSERT INTO",
        &trace_id,
        b"ak-stages",
    ] {
        assert!(collector.has(expected), "not in the traces: {}", String::from_utf8_lossy(expected));
    }
    let log = server.stderr();
    assert!(log.contains(TRACE) && log.contains(r#""refused":"unknown""#), "{log}");
    for secret in [KEY, WRONG, PASSWORD, &another, &invitation, &invitation.replace('-', "")] {
        assert!(!log.contains(secret), "in the log: {secret}");
        assert!(!collector.has(secret.as_bytes()), "in the traces: {secret}");
    }
}

#[tokio::test]
async fn a_collector_that_is_not_there_holds_nobody_up() {
    let mut environment = environment().await;
    environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9".to_owned()));
    let mut server = Program::serve(&environment);
    assert_eq!(server.request("GET", STAGES, KEY, "").unwrap().0, 200);
    let began = Instant::now();
    server.signal(Signal::INT);
    assert_eq!(server.wait().code(), Some(0), "{}", server.stderr());
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
}

#[tokio::test]
async fn systemd_is_told_what_becomes_of_the_server() {
    let socket = new_directory("systemd").join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut environment = environment().await;
    environment.push(("NOTIFY_SOCKET", socket.to_str().unwrap().to_owned()));
    environment.push(("WATCHDOG_USEC", "400000".to_owned()));
    let mut server = Program::serve(&environment);
    let next = || {
        let mut message = [0; 64];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).trim().to_owned()
    };
    let mut first = [next(), next()];
    first.sort();
    assert_eq!(first, ["READY=1", "WATCHDOG=1"]);
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(next(), "WATCHDOG=1");
    }
    assert!(began.elapsed() > Duration::from_millis(350), "every 200 ms: {:?}", began.elapsed());
    server.signal(Signal::TERM);
    wait_until("STOPPING=1", || next() == "STOPPING=1");
    assert_eq!(server.wait().code(), Some(0));
}

#[tokio::test]
async fn dashboard_alerts_and_documentation_speak_of_the_metrics_that_there_are() {
    let mut environment = environment().await;
    // Some are shown only where there is a standby, be it one that doesn't answer.
    environment.push(("AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__HOST", "127.0.0.1".to_owned()));
    environment.push(("AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__PORT", "1".to_owned()));
    let server = Program::serve(&environment);
    assert_eq!(server.request("GET", STAGES, KEY, "").unwrap().0, 200);
    let text = server.scrape().unwrap();
    let shown: BTreeSet<_> = text.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    let metric = Regex::new(r"\b(?:ak_stages|process)_[a-z_]+\b").unwrap();
    let read =
        |path: &str| fs::read_to_string(format!("{}/docs/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for path in ["monitoring/dashboard.json", "monitoring/alerts.yml"] {
        let text = read(path);
        let used: BTreeSet<_> = metric.find_iter(&text).map(|found| found.as_str()).collect();
        assert!(used.len() > 5, "{path}: {used:?}");
        assert!(used.is_subset(&shown), "{path} reads what isn't shown: {:?}", &used - &shown);
    }
    let told = read("OPERATIONS.md");
    let told: BTreeSet<_> = metric.find_iter(&told).map(|found| found.as_str()).collect();
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let families: BTreeSet<_> = families.collect();
    assert_eq!(told, families, "docs/OPERATIONS.md lists them all");
    for family in families {
        assert!(text.contains(&format!("# HELP {family} ")), "{family} says what it is");
    }
}
