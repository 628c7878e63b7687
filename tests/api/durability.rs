//! The real program: what it keeps when it is killed, how it starts and how it ends.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{
    HeldCommits, Program, database_of, embedded_settings, empty_database, flow_set_entry, new_directory,
};

const STAGES: &str = "/api/v3/stages/user_write/";
const INVITATIONS: &str = "/api/v3/stages/invitation/invitations/";
const KEY: &str = "the-first-token-of-this-database";

fn embedded_in(directory: &Path) -> Vec<(&'static str, String)> {
    vec![("DATA_DIR", directory.to_str().unwrap().to_owned()), ("AUTHENTIK_BOOTSTRAP_TOKEN", KEY.to_owned())]
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    const WRITERS: usize = 4;
    const ENOUGH: usize = 60;
    let directory = new_directory("killed");
    let environment = embedded_in(&directory);
    let acknowledged = Mutex::new(BTreeSet::new());
    for life in 1..=2 {
        let mut server = Program::serve(&environment);
        let (is_over, enough) = (AtomicBool::new(false), life * ENOUGH);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (server, acknowledged, is_over) = (&server, &acknowledged, &is_over);
                scope.spawn(move || {
                    for n in 0.. {
                        let name = format!("stage {life}-{writer}-{n}");
                        let slug = format!("flow-{life}-{writer}-{n}");
                        let body = json!({ "name": name, "flow_set": [flow_set_entry(&slug)] }).to_string();
                        match server.request("POST", STAGES, KEY, &body) {
                            Ok((status, body)) => assert_eq!(status, 201, "{body}"),
                            Err(error) => {
                                assert!(is_over.load(Ordering::SeqCst), "{error}");
                                break;
                            }
                        }
                        acknowledged.lock().unwrap().insert(name);
                    }
                });
            }
            while acknowledged.lock().unwrap().len() < enough {
                std::thread::sleep(Duration::from_millis(1));
            }
            is_over.store(true, Ordering::SeqCst);
            server.signal(Signal::KILL);
        });
        server.wait();
    }

    let mut server = Program::serve(&environment);
    let stages = all(&server, STAGES);
    let names: BTreeSet<_> = stages.iter().map(|stage| stage["name"].as_str().unwrap().to_owned()).collect();
    let acknowledged = acknowledged.into_inner().unwrap();
    let lost: Vec<_> = acknowledged.difference(&names).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    for stage in &stages {
        assert_eq!(stage["flow_set"].as_array().unwrap().len(), 1, "a stage without its flow: {stage}");
    }

    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0), "{}", server.stderr());
    assert!(embedded_settings(&directory).running().unwrap().is_none());
    assert!(server.stderr().contains("\"message\":\"starting the database\""), "{}", server.stderr());
}

/// Every row of a list.
fn all(server: &Program, path: &str) -> Vec<Value> {
    let (mut rows, mut page) = (Vec::new(), json!(1));
    while page != json!(0) {
        let (status, body) =
            server.request("GET", &format!("{path}?page_size=100&page={page}"), KEY, "").unwrap();
        assert_eq!(status, 200, "{body}");
        let mut list: Value = serde_json::from_str(&body).unwrap();
        page = list["pagination"]["next"].take();
        rows.append(list["results"].as_array_mut().unwrap());
    }
    rows
}

const FLOW: &str = r#"{"name": "a flow", "slug": "a-flow", "title": "A flow", "designation": "enrollment"}"#;

#[rstest]
#[case::of_a_transaction("/api/v3/flows/instances/", "authentik_flows_flow", FLOW)]
#[case::of_a_statement(STAGES, "authentik_stages_user_write_userwritestage", r#"{"name": "a stage"}"#)]
#[tokio::test]
async fn a_client_that_leaves_does_not_end_the_commit(
    #[case] path: &str,
    #[case] table: &str,
    #[case] body: &str,
) {
    let mut environment = empty_database().await;
    environment.push(("AUTHENTIK_BOOTSTRAP_TOKEN", KEY.to_owned()));
    environment.push(("AUTHENTIK_LOG_LEVEL", "debug".to_owned()));
    let server = Program::serve(&environment);
    let database = database_of(&environment);
    let commits = HeldCommits::of(&database, table).await;
    let client = server.ask("POST", path, KEY, body).unwrap();
    commits.one_waits().await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(500)).await; // the server takes notice
    commits.release().await;
    let followed = async {
        // Nothing follows a statement that commits itself.
        while path != STAGES && !server.stderr().contains("\"message\":\"committed\"") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), followed).await.expect("what follows a commit is done");
    let began = Instant::now();
    while all(&server, path).is_empty() && began.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(all(&server, path).len(), 1);
    assert!(!server.stderr().contains(r#""method":"POST""#), "the client got an answer");
}

/// Ready or not, by a request on a connection of its own.
fn readiness(server: &Program) -> u16 {
    server.request("GET", "/-/health/ready/", KEY, "").unwrap().0
}

#[tokio::test]
async fn sigterm_takes_readiness_first_and_lets_requests_finish() {
    let mut environment = empty_database().await;
    environment.push(("AUTHENTIK_BOOTSTRAP_TOKEN", KEY.to_owned()));
    environment.push(("AUTHENTIK_STAGES__LOCK_TIMEOUT", "seconds=30".to_owned()));
    let mut server = Program::serve(&environment);
    let commits =
        HeldCommits::of(&database_of(&environment), "authentik_stages_user_write_userwritestage").await;
    let mut client = server.ask("POST", STAGES, KEY, r#"{"name": "a stage"}"#).unwrap();
    // Half a head: it isn't waited for.
    let half = server.send(b"GET /-/health/live/ HTTP/1.1\r\nHo").unwrap();
    commits.one_waits().await;
    assert_eq!(readiness(&server), 204);
    server.signal(Signal::TERM);
    let began = Instant::now();
    while !server.stderr().contains("\"message\":\"stopping\"") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(readiness(&server), 503);
    tokio::time::sleep(Duration::from_secs(3)).await; // longer than connections are taken
    commits.release().await;
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert_eq!(server.wait().code(), Some(0), "{}", server.stderr());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(half);
}

#[tokio::test]
async fn a_second_sigterm_ends_the_server_at_once() {
    let mut environment = empty_database().await;
    environment.push(("AUTHENTIK_BOOTSTRAP_TOKEN", KEY.to_owned()));
    let mut server = Program::serve(&environment);
    let commits =
        HeldCommits::of(&database_of(&environment), "authentik_stages_user_write_userwritestage").await;
    let mut client = server.ask("POST", STAGES, KEY, r#"{"name": "a stage"}"#).unwrap();
    commits.one_waits().await;
    server.signal(Signal::TERM);
    while !server.stderr().contains("\"message\":\"stopping\"") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.signal(Signal::TERM);
    let began = Instant::now();
    assert_eq!(server.wait().code(), Some(0), "{}", server.stderr());
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let mut answer = String::new();
    client.read_to_string(&mut answer).ok();
    assert_eq!(answer, "", "nothing is known of the request, so nothing is said");
}

#[test]
fn an_embedded_database_that_ends_is_started_again_but_not_without_end() {
    let directory = new_directory("ended");
    let mut server = Program::serve(&embedded_in(&directory));
    let pid_file = directory.join("postgres/pgdata/postmaster.pid");
    let mut names = BTreeSet::new();
    for life in 1..=6 {
        let pid = std::fs::read_to_string(&pid_file).unwrap();
        let pid = Pid::from_raw(pid.lines().next().unwrap().parse().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        if life == 6 {
            break;
        }
        let (name, began) = (format!("stage {life}"), Instant::now());
        loop {
            // A repeat is safe: a name is given once.
            let body = json!({ "name": name }).to_string();
            let (status, answer) = server.request("POST", STAGES, KEY, &body).unwrap();
            assert!([201, 503].contains(&status), "{answer}");
            if status == 201 {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "it doesn't come back: {}", server.stderr());
            std::thread::sleep(Duration::from_millis(10));
        }
        names.insert(name);
        // It may have been back before the server had noticed that it was gone.
        while readiness(&server) != 204 {
            std::thread::sleep(Duration::from_millis(10));
        }
        let found = all(&server, STAGES);
        let found: BTreeSet<_> =
            found.iter().map(|stage| stage["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(found, names);
    }
    assert_eq!(server.wait().code(), Some(1), "{}", server.stderr());
    let reason =
        "ak-stages: the embedded PostgreSQL ended (signal: 9 (SIGKILL)), the 6th time in ten minutes";
    assert!(server.stderr().contains(reason), "{}", server.stderr());
}

#[rstest]
#[case::terminate(Signal::TERM)]
#[case::interrupt(Signal::INT)]
#[tokio::test]
async fn a_signal_ends_the_server_cleanly(#[case] signal: Signal) {
    let mut server = Program::serve(&empty_database().await);
    server.signal(signal);
    assert_eq!(server.wait().code(), Some(0), "{}", server.stderr());
    assert!(server.stderr().contains("\"message\":\"stopping\""), "{}", server.stderr());
}

#[rstest]
#[case::address("AUTHENTIK_LISTEN__HTTP", "nine thousand")]
#[case::log_level("AUTHENTIK_LOG_LEVEL", "loud")]
#[case::pool("AUTHENTIK_STAGES__POOL_SIZE", "many")]
#[case::lock("AUTHENTIK_STAGES__LOCK_TIMEOUT", "soon")]
#[case::drain("AUTHENTIK_STAGES__DRAIN", "later")]
#[case::flow_set("AUTHENTIK_STAGES__FLOW_SET", "maybe")]
#[case::duration("AUTHENTIK_STAGES__DEFAULT_TOKEN_DURATION", "soon")]
#[case::database("DATABASE_URL", "mysql://user:secret@host/name")]
fn a_wrong_setting_is_one_line_and_exit_status_1(#[case] name: &str, #[case] value: &str) {
    let Output { status, stdout, stderr } =
        Program::command(&[(name, value.to_owned())]).arg("serve").output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with(&format!("ak-stages: {name}: must be ")), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(!stderr.contains(value) && !stderr.contains("secret"), "{stderr}");
    assert!(stdout.is_empty());
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_one_line_without_the_password() {
    let url = "postgres://user:secret@127.0.0.1:1/name".to_owned();
    let environment = [("DATABASE_URL", url), ("AUTHENTIK_LISTEN__HTTP", "127.0.0.1:0".to_owned())];
    let output = Program::command(&environment).arg("serve").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let lines: Vec<_> = stderr.lines().filter(|line| line.starts_with("ak-stages: ")).collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    assert!(lines[0].contains("127.0.0.1") && !stderr.contains("secret"), "{stderr}");
}

#[tokio::test]
async fn the_bootstrap_token_opens_the_server_and_is_not_printed() {
    let mut environment = empty_database().await;
    environment.push(("AUTHENTIK_BOOTSTRAP_TOKEN", KEY.to_owned()));
    environment.push(("AUTHENTIK_BOOTSTRAP_EMAIL", "first@example.org".to_owned()));
    let server = Program::serve(&environment);
    let (status, body) = server.request("POST", INVITATIONS, KEY, r#"{"name": "an-invitation"}"#).unwrap();
    assert_eq!(status, 201, "{body}");
    let invitation: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(invitation["created_by"]["username"], "akadmin");
    assert_eq!(invitation["created_by"]["email"], "first@example.org");
    assert!(!server.stdout().contains(KEY) && !server.stderr().contains(KEY), "the key is shown");
}

#[tokio::test]
async fn a_generated_token_is_printed_once_and_works() {
    let environment = empty_database().await;
    let server = Program::serve(&environment);
    let key = printed_key(&server).unwrap();
    assert_eq!(key.len(), 60, "{key}");
    assert_eq!(server.request("GET", STAGES, &key, "").unwrap().0, 200);
    assert!(!server.stderr().contains(&key), "the key is logged");

    let again = Program::serve(&environment);
    assert_eq!(printed_key(&again), None);
    assert_eq!(again.request("GET", STAGES, &key, "").unwrap().0, 200);
}

fn printed_key(server: &Program) -> Option<String> {
    server.stdout().lines().find_map(|line| line.trim().strip_prefix("TOKEN=").map(str::to_owned))
}

#[tokio::test]
async fn replicas_that_start_together_make_one_first_user() {
    let environment = empty_database().await;
    let replicas: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..3).map(|_| scope.spawn(|| Program::serve(&environment))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    let keys: Vec<_> = replicas.iter().filter_map(printed_key).collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    for replica in &replicas {
        assert_eq!(replica.request("GET", STAGES, &keys[0], "").unwrap().0, 200);
    }
}

/// The key of an invitation is the secret of its link, and a log is read by more people than the database.
#[rstest]
#[case("info")]
#[case("debug")]
#[case("trace")]
#[tokio::test]
async fn the_log_holds_neither_keys_nor_invitations(#[case] level: &str) {
    let mut environment = empty_database().await;
    environment.push(("AUTHENTIK_BOOTSTRAP_TOKEN", KEY.to_owned()));
    environment.push(("AUTHENTIK_LOG_LEVEL", level.to_owned()));
    let server = Program::serve(&environment);
    let (_, invitation) = server.request("POST", INVITATIONS, KEY, r#"{"name": "an-invitation"}"#).unwrap();
    let invitation: Value = serde_json::from_str(&invitation).unwrap();
    let pk = invitation["pk"].as_str().unwrap();
    let wrong_key = "a-wrong-key-that-may-be-right-elsewhere";
    let requests = [
        ("GET", format!("{INVITATIONS}{pk}/?token={KEY}"), KEY, String::new()),
        ("GET", format!("{INVITATIONS}?name={pk}&search={KEY}"), wrong_key, String::new()),
        ("GET", format!("/api/v3/nowhere/{pk}/?key={KEY}"), KEY, String::new()),
        ("PATCH", format!("{INVITATIONS}{pk}/"), KEY, json!({ "name": "x y", "flow": pk }).to_string()),
        ("PATCH", format!("{INVITATIONS}{pk}/"), KEY, format!("{{{pk} {KEY}")),
        ("DELETE", format!("{INVITATIONS}{pk}/"), KEY, String::new()),
    ];
    let statuses: Vec<_> = requests
        .iter()
        .map(|(method, path, key, body)| server.request(method, path, key, body).unwrap().0)
        .collect();
    assert_eq!(statuses, [200, 403, 404, 400, 400, 204]);
    let log = server.stderr();
    assert_eq!(log.matches("\"message\":\"request\"").count(), requests.len() + 1, "{log}");
    for secret in [KEY, wrong_key, pk, &pk.replace('-', "")] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
}
