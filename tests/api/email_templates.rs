//! The templates that an email stage may name.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::time::timeout;

use crate::support::{EMAIL, TestApp, new_directory};

const TEMPLATES: &str = "/stages/email/templates/";

fn row(name: &str, description: &str) -> Value {
    json!({
        "name": name, "description": description, "component": "", "model_name": "",
        "requires_enterprise": false, "deprecated": false,
    })
}

fn built_in() -> Vec<Value> {
    vec![
        row("email/password_reset.html", "Password Reset"),
        row("email/account_confirmation.html", "Account Confirmation"),
        row("email/email_otp.html", "Email OTP"),
        row("email/event_notification.html", "Event Notification"),
        row("email/invitation.html", "Invitation"),
    ]
}

#[tokio::test]
async fn the_built_in_templates_are_there_without_a_directory() {
    let app = TestApp::with(|settings| settings.template_dir = "/no/such/directory".into()).await;
    app.plain().get(TEMPLATES).await.is(200, Value::Array(built_in()));
    app.anonymous().get(TEMPLATES).await.status(403);
}

#[tokio::test]
async fn html_files_of_the_directory_follow_by_name() {
    let directory = new_directory("templates");
    fs::create_dir_all(directory.join("b/deep/deeper")).unwrap();
    for file in ["z.html", "a.html", "b/deep/deeper/c.html", "notes.txt", "html", "with blank.html"] {
        fs::write(directory.join(file), "<p>").unwrap();
    }
    symlink(&directory, directory.join("b/circle")).unwrap();
    symlink("a.html", directory.join("linked.html")).unwrap();
    symlink("/no/such/file.html", directory.join("dangling.html")).unwrap();
    let app = TestApp::with(|settings| settings.template_dir = directory).await;

    let custom = |name: &str| row(name, &format!("Custom Template: {name}"));
    let listed = app.admin().get(TEMPLATES).await.status(200).json();
    let (first, rest) = listed.as_array().unwrap().split_at(built_in().len());
    assert_eq!(first, built_in());
    // Python's `**` doesn't follow links to directories.
    let files = ["a.html", "b/deep/deeper/c.html", "linked.html", "with blank.html", "z.html"];
    assert_eq!(rest, files.map(custom));

    let body = |template: &str| json!({ "name": template, "template": template });
    app.admin().post(EMAIL, body("b/deep/deeper/c.html")).await.status(201);
    for template in ["notes.txt", "c.html", "/etc/hosts", "../templates/a.html", "dangling.html", "A.html"] {
        let refused = json!({ "template": [format!("Invalid template '{template}' specified.")] });
        app.admin().post(EMAIL, body(template)).await.is(400, refused);
    }
}

#[tokio::test]
async fn a_template_that_is_gone_stops_only_requests_that_name_it() {
    let directory = new_directory("templates");
    let file = directory.join("mine.html");
    fs::write(&file, "<p>").unwrap();
    let app = TestApp::with(|settings| settings.template_dir = directory).await;
    let body = json!({ "name": "a stage", "template": "mine.html" });
    let path = format!("{EMAIL}{}/", app.admin().post(EMAIL, body).await.status(201).pk());

    fs::remove_file(file).unwrap();
    let stage = app.admin().patch(&path, json!({ "port": 26 })).await.status(200).json();
    assert_eq!(stage["template"], "mine.html");
    let refused = json!({ "template": ["Invalid template 'mine.html' specified."] });
    app.admin().patch(&path, json!({ "template": "mine.html" })).await.is(400, refused);
}

#[tokio::test]
async fn a_template_of_today_can_be_named_at_once() {
    let directory = new_directory("templates");
    let file = directory.join("mine.html");
    let app = TestApp::with(|settings| settings.template_dir = directory).await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    let body = json!({ "template": "mine.html" });
    app.admin().patch(&path, body.clone()).await.status(400);
    fs::write(&file, "<p>").unwrap();
    app.admin().patch(&path, body).await.status(200);
    fs::remove_file(&file).unwrap();
    app.admin().get(TEMPLATES).await.is(200, Value::Array(built_in()));
}

/// A directory may be slow: what is in it is read while the request has neither a connection nor a lock.
#[rstest]
#[case::before_a_write_asks_who_it_is("PATCH", "authentik_core_token")]
#[case::before_a_write_locks_the_row("PATCH", "authentik_stages_email_emailstage")]
#[case::before_the_list_asks_who_it_is("GET", "authentik_core_token")]
#[tokio::test]
async fn the_directory_is_read_before_the_database(#[case] method: &'static str, #[case] table: &str) {
    let directory = new_directory("templates");
    let file = directory.join("mine.html");
    let app = TestApp::with(|settings| settings.template_dir = directory).await;
    let object = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    fs::write(&file, "<p>").unwrap();
    let mut blocker = app.pool.begin().await.unwrap();
    let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
    sqlx::query(AssertSqlSafe(lock)).execute(&mut *blocker).await.unwrap();
    let (client, path) = (app.admin(), if method == "GET" { TEMPLATES.to_owned() } else { object });
    let body = json!({ "template": "mine.html" });
    let waiting = tokio::spawn(async move { client.send_json(method, &path, &body).await });
    app.somebody_waits_for_a_lock().await;
    fs::remove_file(&file).unwrap();
    blocker.rollback().await.unwrap();
    let answer = waiting.await.unwrap().status(200);
    assert!(answer.to_string().contains("mine.html"), "{answer}");
}

#[tokio::test]
async fn what_is_no_file_is_not_opened() {
    let directory = new_directory("templates");
    let pipe = directory.join("pipe.html");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::create_dir(directory.join("directory.html")).unwrap();
    let app = TestApp::with(|settings| settings.template_dir = directory).await;
    let listed = timeout(Duration::from_secs(10), app.admin().get(TEMPLATES)).await;
    // Whoever waits for somebody to open the other end has it.
    let _other_end = File::options().read(true).write(true).open(&pipe).unwrap();
    listed.expect("nothing to wait for").is(200, Value::Array(built_in()));
}
