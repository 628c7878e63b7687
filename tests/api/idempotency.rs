//! `Idempotency-Key`: a POST that is sent again gets the first answer again.
//!
//! `AK_STAGES_REPEATED` sets how many requests are repeated while the server is killed.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ak_stages::db::{extensions, idempotency};
use rstest::rstest;
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{
    Answer, Client, INVITATION, JSON, Program, TestApp, USER_WRITE, asked, database_of, empty_database,
};

const NO_TABLE: &str =
    "The database lacks the table for idempotency keys. `ak-stages extensions` prints the SQL that makes it.";

/// A POST with a key.
async fn post(client: &Client, path: &str, key: &str, body: &Value) -> Answer {
    let headers = [JSON[0], ("idempotency-key", key)];
    client.send("POST", path, &headers, body.to_string()).await
}

/// How many keys are kept.
async fn kept(app: &TestApp) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM ak_stages.idempotency").fetch_one(&app.pool).await.unwrap()
}

#[track_caller]
fn is_first_answer_again(again: &Answer, first: &Answer) {
    assert_eq!((again.status, &again.body), (first.status, &first.body), "{again}");
    for name in ["content-type", "etag", "allow", "vary"] {
        assert_eq!(again.header(name), first.header(name), "{name} of {again}");
    }
    let marks = [first, again].map(|answer| answer.header("idempotent-replayed"));
    assert_eq!(marks, [None, Some("true")], "{again}");
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_does_nothing() {
    let app = TestApp::new().await;
    let body = json!({ "name": "invited", "fixed_data": { "a": 1 } });
    let first = post(&app.admin(), INVITATION, "a-key", &body).await.status(201);
    for client in [app.admin(), app.replica()] {
        is_first_answer_again(&post(&client, INVITATION, "a-key", &body).await, &first);
    }
    let path = format!("{INVITATION}{}/", first.pk());
    app.admin().patch(&path, json!({ "name": "changed" })).await.status(200);
    is_first_answer_again(&post(&app.admin(), INVITATION, "a-key", &body).await, &first);
    app.admin().delete(&path).await.status(204);
    is_first_answer_again(&post(&app.admin(), INVITATION, "a-key", &body).await, &first);
    assert_eq!(app.admin().get(INVITATION).await.rows().len(), 0);
    post(&app.admin(), INVITATION, "another-key", &body).await.status(201);
    app.admin().post(INVITATION, body).await.status(201);
    assert_eq!((app.admin().get(INVITATION).await.rows().len(), kept(&app).await), (2, 2));
}

#[tokio::test]
async fn a_key_is_one_requests_of_one_user() {
    let app = TestApp::new().await;
    let body = json!({ "name": "invited" });
    let first = post(&app.admin(), INVITATION, "a-key", &body).await.status(201);
    let reused = json!({ "detail": "This Idempotency-Key was used for another request." });
    let query = format!("{INVITATION}?a=b");
    for (path, body) in
        [(INVITATION, json!({ "name": "other" })), (USER_WRITE, body.clone()), (&query, body.clone())]
    {
        post(&app.admin(), path, "a-key", &body).await.is(422, reused.clone());
    }
    let host = app.someone_who_may(&["view_invitation", "add_invitation"]).await;
    let own = post(&host, INVITATION, "a-key", &body).await.status(201);
    assert_ne!(own.pk(), first.pk());
    is_first_answer_again(&post(&host, INVITATION, "a-key", &body).await, &own);
    post(&app.anonymous(), INVITATION, "a-key", &body).await.status(403);
}

#[tokio::test]
async fn while_the_first_runs_its_repeats_are_told_to_wait() {
    let app = TestApp::new().await;
    let body = json!({ "name": "invited" });
    let commits = app.hold_commits("authentik_stages_invitation_invitation").await;
    let first = {
        let (client, body) = (app.admin(), body.clone());
        tokio::spawn(async move { post(&client, INVITATION, "a-key", &body).await })
    };
    commits.one_waits().await;
    for _ in 0..20 {
        let answer = post(&app.admin(), INVITATION, "a-key", &body).await;
        answer
            .is(409, json!({ "detail": "A request with this Idempotency-Key is being served. Try again." }));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    commits.release().await;
    let first = first.await.unwrap().status(201);
    is_first_answer_again(&post(&app.admin(), INVITATION, "a-key", &body).await, &first);
}

/// What was refused did nothing, so it may be mended and sent again.
#[tokio::test]
async fn a_refusal_is_not_kept() {
    let app = TestApp::new().await;
    let body = json!({ "name": "a stage" });
    app.admin().create(USER_WRITE, "a stage").await;
    post(&app.admin(), USER_WRITE, "a-key", &body).await.status(400);
    post(&app.plain(), USER_WRITE, "a-key", &body).await.status(403);
    post(&app.admin(), USER_WRITE, "a-key", &json!([])).await.status(400);
    assert_eq!(kept(&app).await, 0);
    let taken = app.admin().get(USER_WRITE).await.rows()[0]["pk"].as_str().unwrap().to_owned();
    app.admin().delete(&format!("{USER_WRITE}{taken}/")).await.status(204);
    post(&app.admin(), USER_WRITE, "a-key", &body).await.status(201);
}

/// What it was about may be gone when the repeat comes.
#[tokio::test]
async fn actions_on_an_object_are_repeated_likewise() {
    let app = TestApp::new().await;
    let group = app.group("members", false, &[]).await;
    let user = app.admin().get("/core/users/?username=plain").await.rows()[0]["pk"].clone();
    let (path, body) = (format!("/core/groups/{group}/add_user/"), json!({ "pk": user }));
    let first = post(&app.admin(), &path, "a-key", &body).await.status(204);
    app.admin().delete(&format!("/core/groups/{group}/")).await.status(204);
    is_first_answer_again(&post(&app.admin(), &path, "a-key", &body).await, &first);
    post(&app.admin(), &path, "another-key", &body).await.status(404);
}

#[tokio::test]
async fn other_methods_take_no_key() {
    let app = TestApp::new().await;
    let path = format!("{USER_WRITE}{}/", app.admin().create(USER_WRITE, "a stage").await);
    let headers = [JSON[0], ("idempotency-key", "no key")];
    for (method, status) in [("GET", 200), ("PATCH", 200), ("PUT", 400), ("DELETE", 204)] {
        app.admin().send(method, &path, &headers, "{}").await.status(status);
    }
    assert_eq!(kept(&app).await, 0);
}

#[rstest]
#[case::empty("")]
#[case::a_blank("a b")]
#[case::beyond_ascii("schlüssel")]
#[case::long(&"k".repeat(256))]
#[tokio::test]
async fn what_is_no_key_is_refused(#[case] key: &str) {
    let app = TestApp::new().await;
    let sentence = "Idempotency-Key has to be one of 1 to 255 visible ASCII characters.";
    let answer = post(&app.admin(), USER_WRITE, key, &json!({ "name": "a stage" })).await;
    answer.is(400, json!({ "detail": sentence }));
    assert_eq!(app.admin().get(USER_WRITE).await.rows().len(), 0);
}

#[tokio::test]
async fn a_key_is_kept_for_a_day() {
    let app = TestApp::new().await;
    let age = async |key: &str, hours: i32| {
        let age = sqlx::query(
            "UPDATE ak_stages.idempotency SET created = created - $2 * interval '1 hour' WHERE key = $1",
        );
        assert_eq!(age.bind(key).bind(hours).execute(&app.pool).await.unwrap().rows_affected(), 1);
    };
    let body = json!({ "name": "invited" });
    let mut firsts = BTreeMap::new();
    for (key, hours) in [("young", 23), ("old", 24), ("used-again", 25)] {
        firsts.insert(key, post(&app.admin(), INVITATION, key, &body).await.status(201));
        age(key, hours).await;
    }
    let other = json!({ "name": "another" });
    let again = post(&app.admin(), INVITATION, "used-again", &other).await.status(201);
    is_first_answer_again(&post(&app.admin(), INVITATION, "young", &body).await, &firsts["young"]);
    idempotency::delete_old(&app.pool).await.unwrap();
    assert_eq!(kept(&app).await, 2);
    is_first_answer_again(&post(&app.admin(), INVITATION, "young", &body).await, &firsts["young"]);
    is_first_answer_again(&post(&app.admin(), INVITATION, "used-again", &other).await, &again);
    let anew = post(&app.admin(), INVITATION, "old", &body).await.status(201);
    assert_ne!(anew.pk(), firsts["old"].pk());
}

#[tokio::test]
async fn where_nothing_can_be_kept_it_is_said_and_nothing_is_done() {
    let app = TestApp::new().await;
    sqlx::raw_sql("DROP TABLE ak_stages.idempotency").execute(&app.pool).await.unwrap();
    let body = json!({ "name": "a stage" });
    post(&app.admin(), USER_WRITE, "a-key", &body).await.is(501, json!({ "detail": NO_TABLE }));
    assert_eq!(app.admin().get(USER_WRITE).await.rows().len(), 0);
    app.admin().post(USER_WRITE, json!({ "name": "without a key" })).await.status(201);
    idempotency::delete_old(&app.pool).await.unwrap();
    // What is printed makes it, and does so once.
    for _ in 0..2 {
        sqlx::raw_sql(AssertSqlSafe(extensions::sql(None))).execute(&app.pool).await.unwrap();
        post(&app.admin(), USER_WRITE, "a-key", &body).await.status(201);
    }
}

const TOKEN: &str = "the-first-token-of-this-database";
/// How often a request is sent at once.
const AT_ONCE: usize = 3;

/// Send a request until it is answered with something else than that it can't be served now.
fn insist(server: &Mutex<Program>, key: &str, body: &str) -> (u16, String) {
    loop {
        let address = server.lock().unwrap().address();
        let request = format!(
            "POST /api/v3{INVITATION} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        match Program::exchange(address, &request) {
            Ok((status, body)) if ![409, 503].contains(&status) => return (status, body),
            Ok(_) => {}
            Err(error) => assert_ne!(error.kind(), io::ErrorKind::TimedOut, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Many requests, each sent three times at once and repeated until there is an answer, while the server is killed: each is
/// done once, and whoever asked knows how.
#[expect(clippy::print_stdout, reason = "figures of a longer run")]
#[tokio::test]
async fn what_is_repeated_while_the_server_is_killed_is_done_once() {
    let requests = asked("AK_STAGES_REPEATED").map_or(60, |requests| usize::try_from(requests).unwrap());
    let mut environment = empty_database().await;
    environment.push(("AUTHENTIK_BOOTSTRAP_TOKEN", TOKEN.to_owned()));
    let server = Mutex::new(Program::serve(&environment));
    let (next, done, answers) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(BTreeMap::new()));
    let kills = std::thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let mut kills = 0;
            while !done.load(Ordering::SeqCst) {
                let goal = next.load(Ordering::SeqCst) + 15;
                while next.load(Ordering::SeqCst) < goal && !done.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let mut server = server.lock().unwrap();
                server.signal(Signal::KILL);
                server.wait();
                *server = Program::serve(&environment);
                kills += 1;
            }
            kills
        });
        let workers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        if number >= requests {
                            break;
                        }
                        let (key, body) = (format!("key-{number}"), json!({ "name": format!("n-{number}") }));
                        let body = body.to_string();
                        let given: Vec<_> = std::thread::scope(|at_once| {
                            let sent = (0..AT_ONCE).map(|_| at_once.spawn(|| insist(&server, &key, &body)));
                            sent.collect::<Vec<_>>().into_iter().map(|sent| sent.join().unwrap()).collect()
                        });
                        assert!(
                            given.iter().all(|answer| answer.0 == 201 && *answer == given[0]),
                            "{given:?}"
                        );
                        answers.lock().unwrap().insert(number, given[0].1.clone());
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        killer.join().unwrap()
    });
    let stored: Vec<(String, String)> =
        sqlx::query_as("SELECT name, invite_uuid::text FROM authentik_stages_invitation_invitation")
            .fetch_all(&database_of(&environment))
            .await
            .unwrap();
    assert_eq!((stored.len(), answers.lock().unwrap().len()), (requests, requests));
    for (number, answer) in answers.into_inner().unwrap() {
        let told: Value = serde_json::from_str(&answer).unwrap();
        let told = (format!("n-{number}"), told["pk"].as_str().unwrap().to_owned());
        assert!(stored.contains(&told), "{told:?}");
    }
    assert!(kills > 1, "the server was killed {kills} times");
    println!("{requests} requests, {AT_ONCE} times each, {kills} kills: {} rows", stored.len());
}
