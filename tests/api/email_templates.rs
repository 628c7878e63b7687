//! The templates that an email stage may name.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

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
