//! The task that deletes expired invitations. It goes by the database's clock.

use std::time::Duration;

use ak_stages::config::{ExpiredMode, Settings};
use ak_stages::invitations::expiry::{Expiry, delete_expired};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::{INVITATION, TestApp};

const LATER: &str = "2099-01-01T00:00:00Z";
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

async fn invitation(app: &TestApp, name: &str, expires: &str) -> String {
    let body = json!({ "name": name, "expires": expires, "max_uses": 5 });
    app.admin().post(INVITATION, body).await.status(201).pk()
}

async fn names(app: &TestApp) -> Vec<Value> {
    app.admin().get(&format!("{INVITATION}?ordering=name")).await.column("name")
}

async fn happened(app: &TestApp, pk: &str) -> Value {
    let path = format!("{INVITATION}history/?invitation={pk}");
    app.admin().get(&path).await.status(200).json()[0].take()
}

#[tokio::test]
async fn expired_ones_go_and_leave_their_history() {
    let app = TestApp::new().await;
    let gone = invitation(&app, "gone", LONG_AGO).await;
    for name in ["b", "c", "d", "e"] {
        invitation(&app, name, LONG_AGO).await;
    }
    invitation(&app, "stays", LATER).await;
    // A use that is kept for somebody keeps it.
    let kept = invitation(&app, "kept", LATER).await;
    let path = format!("{INVITATION}{kept}/");
    app.admin().post(&format!("{path}redeem/"), json!({ "reserve": 3600 })).await.status(200);
    app.admin().patch(&path, json!({ "expires": LONG_AGO })).await.status(200);

    assert_eq!(delete_expired(&app.pool, 2).await.unwrap(), 5);
    assert_eq!(names(&app).await, ["kept", "stays"]);
    let last = happened(&app, &gone).await;
    assert_eq!(
        (&last["action"], &last["user"], &last["name"]),
        (&json!("expired"), &Value::Null, &json!("gone"))
    );
    let limits: i64 = sqlx::query_scalar("SELECT count(*) FROM ak_stages.invitation_uses")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(limits, 2);

    let passed = "UPDATE ak_stages.reservation SET expires = now() - interval '2 minutes'";
    sqlx::query(passed).execute(&app.pool).await.unwrap();
    assert_eq!(delete_expired(&app.pool, 500).await.unwrap(), 1);
    assert_eq!(names(&app).await, ["stays"]);
    assert_eq!(delete_expired(&app.pool, 500).await.unwrap(), 0);
    let kept: i64 =
        sqlx::query_scalar("SELECT count(*) FROM ak_stages.reservation").fetch_one(&app.pool).await.unwrap();
    assert_eq!(kept, 0);
}

#[tokio::test]
async fn rows_that_somebody_holds_are_passed_over() {
    let app = TestApp::new().await;
    invitation(&app, "free", LONG_AGO).await;
    let held = invitation(&app, "held", LONG_AGO).await;
    let mut transaction = app.pool.begin().await.unwrap();
    sqlx::query(
        "SELECT 1 FROM authentik_stages_invitation_invitation WHERE invite_uuid = $1::uuid FOR NO KEY UPDATE",
    )
    .bind(&held)
    .execute(&mut *transaction)
    .await
    .unwrap();
    assert_eq!(delete_expired(&app.pool, 500).await.unwrap(), 1);
    assert_eq!(names(&app).await, ["held"]);
    transaction.rollback().await.unwrap();
    assert_eq!(delete_expired(&app.pool, 500).await.unwrap(), 1);
}

/// Two servers on one database: each row goes once.
#[tokio::test]
async fn any_number_of_servers_may_do_it() {
    let app = TestApp::new().await;
    let body = json!({ "template": { "name": "a", "expires": LONG_AGO }, "count": 1000 });
    app.admin().post(&format!("{INVITATION}bulk/"), body).await.status(200);
    let (stop, stopped) = watch::channel(false);
    let task = || tokio::spawn(Expiry::new(app.pool.clone(), Duration::from_millis(20)).run(stopped.clone()));
    let tasks = [task(), task()];
    while !names(&app).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.send(true).unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    let expired = "SELECT count(*), count(DISTINCT invitation) FROM ak_stages.invitation_history WHERE action = 'expired'";
    let counts: (i64, i64) = sqlx::query_as(expired).fetch_one(&app.pool).await.unwrap();
    assert_eq!(counts, (1000, 1000));
}

#[test]
fn they_are_deleted_unless_somebody_says_otherwise() {
    let mode = |text: Option<&str>| {
        let value = |name: &str| text.filter(|_| name == "AUTHENTIK_STAGES__EXPIRED").map(str::to_owned);
        Settings::read(value).unwrap().expired
    };
    assert_eq!((mode(None), mode(Some("keep"))), (ExpiredMode::Delete, ExpiredMode::Keep));
}
