//! What every answer has in common, and the paths beside the API.

use std::time::Duration;

use ak_stages::config::Rate;
use serde_json::json;

use crate::support::{EMAIL, JSON, TestApp};

#[tokio::test]
async fn every_answer_names_its_request() {
    let app = TestApp::new().await;
    let paths = [EMAIL, "/stages/email/nope/", "/nowhere/", "/-/health/live/"];
    let mut ids = Vec::new();
    for client in [app.admin(), app.anonymous()] {
        for path in paths {
            let answer = client.get(path).await;
            let id = answer.header("x-authentik-id").unwrap_or_else(|| panic!("no id: {answer}")).to_owned();
            assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
            ids.push(id);
        }
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2 * paths.len(), "an id is given once");
}

#[tokio::test]
async fn every_answer_tells_browsers_to_be_careful() {
    let app = TestApp::new().await;
    for path in [EMAIL, "/nowhere/", "/schema/"] {
        let answer = app.admin().get(path).await;
        let header = |name| answer.header(name).unwrap_or_default();
        let told = ["x-content-type-options", "referrer-policy", "x-frame-options"].map(header);
        assert_eq!(told, ["nosniff", "same-origin", "DENY"], "{path}");
    }
}

#[tokio::test]
async fn who_asks_too_often_without_credentials_is_told_to_wait() {
    let rate = Rate { requests: 3, period: Duration::from_hours(1) };
    let app = TestApp::with(|settings| settings.throttle = rate).await;
    let (public, anonymous) = ("/root/config/", app.anonymous());
    for _ in 0..3 {
        anonymous.get(EMAIL).await.status(403); // isn't counted
        anonymous.get(public).await.status(200);
    }
    let answer = anonymous.get(public).await.status(429);
    let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((3000..=3600).contains(&seconds), "{seconds}");
    let sentence = format!("Request was throttled. Expected available in {seconds} seconds.");
    answer.is(429, json!({ "detail": sentence }));
    app.admin().get(public).await.status(200);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let app = TestApp::new().await;
    let stage = app.admin().create(EMAIL, "a stage").await;
    for path in [EMAIL.to_owned(), format!("{EMAIL}{stage}/"), format!("{EMAIL}templates/")] {
        let (get, head) = (app.admin().get(&path).await, app.admin().send("HEAD", &path, &[], "").await);
        assert_eq!((head.status, head.body.len()), (200, 0));
        for header in ["content-type", "allow"] {
            assert_eq!(head.header(header), get.header(header), "{header} of {path}");
        }
    }
    app.plain().send("HEAD", EMAIL, &[], "").await.status(403);
}

#[tokio::test]
async fn a_deleted_object_leaves_nothing_to_read() {
    let app = TestApp::new().await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    let answer = app.admin().delete(&path).await.status(204);
    assert_eq!((answer.body.len(), answer.header("content-type")), (0, None));
    let gone = json!({ "detail": "No EmailStage matches the given query." });
    app.admin().delete(&path).await.is(404, gone);
}

/// Hyper closes a connection on which there is still a body. A client that isn't told sends its next request there.
#[tokio::test]
async fn a_connection_with_a_body_that_nobody_asked_for_is_said_to_end() {
    let app = TestApp::new().await;
    let waits = [JSON[0], ("expect", "100-continue")];
    for path in [
        "/nowhere/",
        "/policies/all/",
        "/core/users/paths/",
        "/stages/email/a.b/",
        "/api/v3/",
        "/-/health/live/",
    ] {
        let answer = app.admin().send("POST", path, &waits, "{}").await;
        assert_eq!(answer.header("connection"), Some("close"), "{answer}");
        for (headers, body) in [(&JSON[..], "{}"), (&waits, "")] {
            let answer = app.admin().send("POST", path, headers, body).await;
            assert_eq!(answer.header("connection"), None, "{answer}");
        }
    }
    for path in [EMAIL, "/root/config/", "/stages/email/templates/"] {
        let answer = app.admin().send("POST", path, &waits, "{}").await;
        assert_eq!(answer.header("connection"), None, "{answer}");
    }
}

#[tokio::test]
async fn an_answer_is_compressed_for_those_who_ask() {
    let app = TestApp::new().await;
    app.invitation_stages(20).await;
    let list = "/stages/invitation/stages/";
    let plain = app.admin().send("GET", list, &[], "").await.status(200);
    assert_eq!(plain.header("content-encoding"), None);
    let headers = [("accept-encoding", "gzip"), ("accept", "application/json")];
    let compressed = app.admin().send("GET", list, &headers, "").await.status(200);
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    assert!(compressed.body.len() < plain.body.len());
}

#[tokio::test]
async fn a_server_that_is_about_to_stop_is_not_ready() {
    let app = TestApp::new().await;
    app.anonymous().get("/-/health/live/").await.status(204);
    app.anonymous().get("/-/health/ready/").await.status(204);
    app.stop();
    app.anonymous().get("/-/health/live/").await.status(204);
    app.anonymous().get("/-/health/ready/").await.status(503);
    app.admin().get(EMAIL).await.status(200);
}
