//! Requests that can't go on for want of the database: each ends in time, and leaves nothing. But a COMMIT is waited for.

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::support::{EMAIL, POOL_SIZE, TestApp};

/// Longer than a request waits for a connection, shorter than it may take.
const WITHOUT_CONNECTION: Duration = Duration::from_secs(11);
/// Longer than a request may take.
const WITHOUT_END: Duration = Duration::from_secs(31);

fn overloaded() -> Value {
    json!({ "detail": "The server is overloaded. Try again." })
}

/// Let time pass for the server's timers, though not for PostgreSQL.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Let email stages be read and not be written.
async fn lock_email_stages(connection: &mut PgConnection) {
    let lock = "LOCK TABLE authentik_stages_email_emailstage IN SHARE MODE";
    sqlx::query(lock).execute(connection).await.unwrap();
}

#[tokio::test]
async fn a_request_without_a_connection_is_told_to_try_again() {
    let app = TestApp::new().await;
    let mut taken = Vec::new();
    for _ in 0..POOL_SIZE {
        taken.push(app.requests.acquire().await.unwrap());
    }
    app.anonymous().get(EMAIL).await.status(403); // which takes none
    let client = app.admin();
    let waiting = tokio::spawn(async move { client.get(EMAIL).await });
    tokio::task::yield_now().await;
    pass(WITHOUT_CONNECTION).await;
    waiting.await.unwrap().is(503, overloaded());
    drop(taken);
    app.admin().get(EMAIL).await.status(200);
}

#[tokio::test]
async fn a_write_that_takes_too_long_is_undone() {
    let app = TestApp::new().await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    let before = app.contents().await;
    let mut blocker = app.pool.begin().await.unwrap();
    lock_email_stages(&mut blocker).await;
    let (client, changed) = (app.admin(), path.clone());
    let waiting =
        tokio::spawn(
            async move { client.patch(&changed, json!({ "name": "another name", "port": 26 })).await },
        );
    app.somebody_waits_for_a_lock().await;
    pass(WITHOUT_END).await;
    waiting.await.unwrap().is(503, overloaded());
    blocker.rollback().await.unwrap();
    app.nobody_is_in_a_transaction().await;
    assert_eq!(app.contents().await, before);
    app.admin().patch(&path, json!({ "port": 26 })).await.status(200);
}

#[rstest]
#[case::post("POST", 201)]
#[case::patch("PATCH", 200)]
#[case::delete("DELETE", 204)]
#[tokio::test]
async fn a_commit_that_takes_too_long_is_waited_for(#[case] method: &'static str, #[case] status: u16) {
    let app = TestApp::new().await;
    let object = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    let commits = app.hold_commits("authentik_stages_email_emailstage").await;
    let (client, path) = (app.admin(), if method == "POST" { EMAIL.to_owned() } else { object });
    let body = json!({ "name": "another stage", "port": 26 });
    let waiting = tokio::spawn(async move { client.send_json(method, &path, &body).await });
    commits.one_waits().await;
    pass(WITHOUT_END).await;
    commits.release().await;
    waiting.await.unwrap().status(status);
    let ports = app.admin().get(EMAIL).await.column("port");
    let expected: &[u16] = match method {
        "POST" => &[25, 26],
        "PATCH" => &[26],
        _ => &[],
    };
    assert_eq!(json!(ports), json!(expected));
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let app = TestApp::new().await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    let mut connections = Vec::new();
    for _ in 0..POOL_SIZE {
        let mut connection = app.requests.acquire().await.unwrap();
        let limit: String =
            sqlx::query_scalar("SHOW statement_timeout").fetch_one(&mut *connection).await.unwrap();
        assert_eq!(limit, "30s");
        sqlx::query("SET statement_timeout = '100ms'").execute(&mut *connection).await.unwrap();
        connections.push(connection);
    }
    for connection in connections {
        connection.finish().await.unwrap();
    }
    let mut blocker = app.pool.begin().await.unwrap();
    lock_email_stages(&mut blocker).await;
    app.admin().patch(&path, json!({ "port": 26 })).await.is(503, overloaded());
    blocker.rollback().await.unwrap();
    assert_eq!(app.admin().get(&path).await.json()["port"], 25);
}
