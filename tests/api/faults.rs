//! A database that can't do what it is asked for: 503 with `Retry-After` and a sentence, and nothing is changed. Never 500.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::{Answer, EMAIL, INVITATION, INVITATION_STAGE, POOL_SIZE, TestApp, USER_WRITE};

const DISCONNECTED: &str = "The database is out of reach. Try again.";
const LOCKED: &str =
    "Another session of the database has locked what this takes. Nothing was changed; try again.";
const READ_ONLY: &str = "The database is read-only at the moment. Nothing was changed; try again later.";
const OUT_OF_RESOURCES: &str = "The database is out of disk space, memory or connections, or its disk fails. \
                                Nothing was changed; try again later.";
const OUTCOME_UNKNOWN: &str =
    "The database did not say whether it stored this. Look whether it did before you send it again.";

async fn execute(app: &TestApp, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&app.pool).await.unwrap();
}

/// The name of the test's own database.
async fn database(app: &TestApp) -> String {
    sqlx::query_scalar("SELECT current_database()::text").fetch_one(&app.pool).await.unwrap()
}

#[track_caller]
fn is_503(answer: &Answer, sentence: &str) {
    answer.is(503, json!({ "detail": sentence }));
    assert_eq!(answer.header("retry-after"), Some("1"), "{answer}");
}

/// What PostgreSQL says while it can't: the statement fails, whatever the reason.
#[rstest]
#[case::disk_full("53100", OUT_OF_RESOURCES)]
#[case::out_of_memory("53200", OUT_OF_RESOURCES)]
#[case::too_many_connections("53300", OUT_OF_RESOURCES)]
#[case::configuration_limit("53400", OUT_OF_RESOURCES)]
#[case::system_error("58000", OUT_OF_RESOURCES)]
#[case::io_error("58030", OUT_OF_RESOURCES)]
#[case::read_only("25006", READ_ONLY)]
#[case::lock_not_available("55P03", LOCKED)]
#[case::admin_shutdown("57P01", DISCONNECTED)]
#[case::crash_shutdown("57P02", DISCONNECTED)]
#[case::cannot_connect_now("57P03", DISCONNECTED)]
#[case::database_dropped("57P04", DISCONNECTED)]
#[case::idle_in_transaction("25P03", DISCONNECTED)]
#[case::connection_failure("08006", DISCONNECTED)]
#[case::protocol_violation("08P01", DISCONNECTED)]
#[tokio::test]
async fn what_the_database_says_is_told(#[case] code: &str, #[case] sentence: &str) {
    let app = TestApp::new().await;
    let statements = format!(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS \
           'BEGIN RAISE EXCEPTION ''a secret value'' USING ERRCODE = ''{code}''; END'; \
         CREATE TRIGGER fail BEFORE INSERT ON authentik_stages_email_emailstage EXECUTE FUNCTION fail()"
    );
    execute(&app, &statements).await;
    let before = app.contents().await;
    is_503(&app.admin().post(EMAIL, json!({ "name": "a stage" })).await, sentence);
    assert_eq!(app.contents().await, before);
    // And so it is at the COMMIT, where the server itself says that it was refused.
    execute(
        &app,
        "DROP TRIGGER fail ON authentik_stages_email_emailstage; \
         CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON authentik_stages_email_emailstage \
           DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()",
    )
    .await;
    is_503(&app.admin().post(EMAIL, json!({ "name": "a stage" })).await, sentence);
    assert_eq!(app.contents().await, before);
}

#[tokio::test]
async fn a_read_only_database_is_read() {
    let app = TestApp::new().await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    let name = database(&app).await;
    execute(&app, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    app.requests.close_idle();
    is_503(&app.admin().post(EMAIL, json!({ "name": "another" })).await, READ_ONLY);
    is_503(&app.admin().patch(&path, json!({ "port": 26 })).await, READ_ONLY);
    is_503(&app.admin().delete(&path).await, READ_ONLY);
    app.admin().get(&path).await.status(200);
    app.anonymous().get("/-/health/ready/").await.status(204);
}

#[tokio::test]
async fn one_lock_does_not_stop_the_house() {
    let app = TestApp::with(|settings| settings.lock_timeout = Duration::from_millis(400)).await;
    let locked = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    let mut blocker = app.pool.begin().await.unwrap();
    let lock = "LOCK TABLE authentik_stages_email_emailstage IN SHARE MODE";
    sqlx::query(lock).execute(&mut *blocker).await.unwrap();
    // More writes than there are connections.
    let mut waiting = Vec::new();
    for _ in 0..4 * POOL_SIZE {
        let (client, path) = (app.admin(), locked.clone());
        waiting.push(tokio::spawn(async move { client.patch(&path, json!({ "port": 26 })).await }));
    }
    app.so_many_wait_for_locks(2).await;
    let began = Instant::now();
    for path in [EMAIL, USER_WRITE, INVITATION_STAGE, "/root/config/", "/schema/", "/-/health/ready/"] {
        let answer = app.admin().get(path).await;
        assert!(answer.status < 300, "{answer}");
    }
    assert!(began.elapsed() < Duration::from_millis(300), "reads wait for no writer: {:?}", began.elapsed());
    for answer in waiting {
        is_503(&answer.await.unwrap(), LOCKED);
    }
    blocker.rollback().await.unwrap();
    app.admin().patch(&locked, json!({ "port": 26 })).await.status(200);
}

#[rstest]
#[case::a_list(EMAIL)]
#[case::credentials_alone("/root/config/")]
#[tokio::test]
async fn a_read_whose_connection_is_cut_is_done_again(#[case] path: &str) {
    let app = TestApp::new().await;
    app.admin().get(path).await.status(200);
    cut(&app, "application_name = 'ak-stages' OR application_name = ''").await;
    app.admin().get(path).await.status(200);
}

/// End the sessions of the test's database that are like that, but for the one that does it.
async fn cut(app: &TestApp, condition: &str) {
    let statement = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND ({condition})"
    );
    execute(app, &statement).await;
}

#[tokio::test]
async fn a_write_whose_connection_is_cut_changes_nothing() {
    let app = TestApp::new().await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    let before = app.contents().await;
    let mut blocker = app.pool.begin().await.unwrap();
    let lock = "LOCK TABLE authentik_stages_email_emailstage IN SHARE MODE";
    sqlx::query(lock).execute(&mut *blocker).await.unwrap();
    let client = app.admin();
    let waiting = tokio::spawn(async move { client.patch(&path, json!({ "port": 26 })).await });
    app.somebody_waits_for_a_lock().await;
    cut(&app, "wait_event_type = 'Lock'").await;
    is_503(&waiting.await.unwrap(), DISCONNECTED);
    blocker.rollback().await.unwrap();
    assert_eq!(app.contents().await, before);
}

#[rstest]
#[case::of_a_transaction("/flows/instances/", "authentik_flows_flow")]
#[case::of_a_statement(EMAIL, "authentik_stages_email_emailstage")]
#[tokio::test]
async fn a_commit_whose_connection_is_cut_has_an_unknown_outcome(
    #[case] path: &'static str,
    #[case] table: &str,
) {
    let app = TestApp::new().await;
    let body = json!({ "name": "one", "slug": "one", "title": "One", "designation": "enrollment" });
    let commits = app.hold_commits(table).await;
    let (client, sent) = (app.admin(), body.clone());
    let waiting = tokio::spawn(async move { client.post(path, sent).await });
    commits.one_waits().await;
    cut(&app, "wait_event = 'advisory'").await;
    is_503(&waiting.await.unwrap(), OUTCOME_UNKNOWN);
    commits.release().await;
    // What has a unique name may be sent again, whatever became of it.
    let again = app.admin().post(path, body).await;
    assert!([201, 400].contains(&again.status), "{again}");
    assert_eq!(app.admin().get(path).await.column("name"), [json!("one")]);
}

#[rstest]
#[case::one_statement(EMAIL)]
#[case::a_transaction(INVITATION)]
#[tokio::test]
async fn a_write_whose_connection_was_cut_before_is_done_on_another(#[case] path: &str) {
    let app = TestApp::new().await;
    app.admin().get(path).await.status(200);
    cut(&app, "application_name = 'ak-stages' OR application_name = ''").await;
    app.admin().post(path, json!({ "name": "one" })).await.status(201);
}

#[tokio::test]
async fn the_server_is_ready_again_when_the_database_is() {
    let app = TestApp::new().await;
    app.anonymous().get("/-/health/ready/").await.status(204);
    let name = database(&app).await;
    let elsewhere = app.pool.connect_options().as_ref().clone().database("postgres");
    let mut elsewhere = PgConnection::connect_with(&elsewhere).await.unwrap();
    let mut allow = async |allowed: bool| {
        let statements = format!(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        );
        for statement in statements.split("; ") {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut elsewhere).await.unwrap();
        }
    };
    allow(false).await;
    let readiness = app.anonymous().get("/-/health/ready/").await.status(503);
    assert_eq!(readiness.header("retry-after"), Some("1"));
    app.anonymous().get("/-/health/live/").await.status(204);
    is_503(&app.admin().get(EMAIL).await, DISCONNECTED);
    allow(true).await;
    app.anonymous().get("/-/health/ready/").await.status(204);
    app.admin().get(EMAIL).await.status(200);
}
