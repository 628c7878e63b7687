//! What docs/COMPATIBILITY.md says of differences from authentik that no other file here is about.

use rstest::rstest;
use serde_json::json;

use crate::support::{EMAIL, JSON, TestApp};

#[tokio::test]
async fn text_is_ordered_by_code_point() {
    let app = TestApp::new().await;
    for name in ["b", "a", "B", "_", "ä"] {
        app.admin().create(EMAIL, name).await;
    }
    let names = app.admin().get(&format!("{EMAIL}?ordering=name")).await.column("name");
    assert_eq!(names, ["B", "_", "a", "b", "ä"]);
}

#[tokio::test]
async fn a_search_for_an_expression_is_one_for_its_words() {
    let app = TestApp::new().await;
    app.group("x", false, &[]).await;
    app.group("name = x", false, &[]).await;
    let names = app.admin().get("/core/groups/?search=name%20=%20%22x%22").await.column("name");
    assert_eq!(names, ["name = x"]);
}

#[tokio::test]
async fn sentences_are_english() {
    let app = TestApp::new().await;
    let headers = [JSON[0], ("accept-language", "de")];
    let answer = app.admin().send("POST", EMAIL, &headers, "{}").await;
    answer.is(400, json!({ "name": ["This field is required."] }));
}

#[tokio::test]
async fn an_avatar_is_an_image_of_its_own() {
    let app = TestApp::new().await;
    let user = app.admin().get("/core/users/me/").await.json();
    let avatar = user["user"]["avatar"].as_str().unwrap();
    assert!(avatar.starts_with("data:image/svg+xml,"), "{avatar}");
}

#[tokio::test]
async fn an_export_url_leads_nowhere() {
    let app = TestApp::new().await;
    app.flow("one").await;
    let flow = app.admin().get("/flows/instances/one/").await.json();
    app.admin().get(flow["export_url"].as_str().unwrap()).await.status(404);
}

#[rstest]
#[case("POST", "/stages/invitation/invitations/0a0b0c0d-1111-4222-8333-0000abcdef01/send_email/")]
#[case("POST", "/core/tokens/one/set_key/")]
#[case("GET", "/flows/instances/one/diagram/")]
#[case("GET", "/flows/instances/one/execute/")]
#[case("GET", "/flows/instances/one/export/")]
#[case("GET", "/flows/executor/one/")]
#[case("GET", "/core/users/paths/")]
#[case("POST", "/core/users/3/recovery/")]
#[case("POST", "/core/users/3/set_password/")]
#[case("GET", "/providers/all/")]
#[tokio::test]
async fn what_is_not_served_is_not_found(#[case] method: &str, #[case] path: &str) {
    let app = TestApp::new().await;
    app.flow("one").await;
    app.admin().send_json(method, path, &json!({})).await.status(404);
}

#[tokio::test]
async fn service_account_is_taken_for_a_user() {
    let app = TestApp::new().await;
    app.admin().post("/core/users/service_account/", json!({ "name": "robot" })).await.status(405);
}

#[tokio::test]
async fn superusers_are_found_by_groups_above_theirs() {
    let app = TestApp::new().await;
    let superusers = app.group("superusers", true, &[]).await;
    let below = app.group("below", false, &[superusers]).await;
    app.join("plain", below).await;
    let names = async |value: &str| {
        let path = format!("/core/users/?is_superuser={value}&ordering=username");
        app.admin().get(&path).await.status(200).column("username")
    };
    assert_eq!(names("true").await, ["akadmin", "plain"]);
    assert_eq!(names("false").await, ["inactive", "viewer"]);
}

#[tokio::test]
async fn the_cache_of_plans_is_taken_for_a_flow() {
    let app = TestApp::new().await;
    app.admin().get("/flows/instances/cache_info/").await.status(404);
    app.admin().post("/flows/instances/cache_clear/", json!({})).await.status(405);
}

#[tokio::test]
async fn our_own_database_keeps_no_events() {
    let app = TestApp::new().await;
    app.admin().create(EMAIL, "a stage").await;
    assert!(app.contents().await.keys().all(|table| !table.contains("event")));
}
