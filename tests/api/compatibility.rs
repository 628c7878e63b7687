//! What docs/COMPATIBILITY.md says of differences from authentik that no other file here is about.

use std::collections::HashSet;

use ak_stages::contract::paths;
use ak_stages::resources::document;
use regex::Regex;
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
    app.admin().get(flow["export_url"].as_str().unwrap()).await.status(501);
}

#[rstest]
#[case("POST", "/core/tokens/one/set_key/")]
#[case("GET", "/flows/instances/one/diagram/")]
#[case("GET", "/flows/instances/one/execute/")]
#[case("GET", "/flows/instances/one/export/")]
#[case("GET", "/flows/executor/one/")]
#[case("GET", "/core/users/paths/")]
#[case("POST", "/core/users/3/recovery/")]
#[case("POST", "/core/users/3/set_password/")]
#[case("POST", "/core/users/service_account/")]
#[case("GET", "/flows/instances/cache_info/")]
#[case("POST", "/flows/instances/cache_clear/")]
#[case("GET", "/providers/all/")]
#[case("GET", "/rbac/initial_permissions/")]
#[case("PATCH", "/stages/dummy/0a0b0c0d-1111-4222-8333-0000abcdef01/")]
#[case("DELETE", "/api/v3//stages/dummy/0a0b0c0d-1111-4222-8333-0000abcdef01/")]
#[case("HEAD", "/stages/dummy/?page=1")]
#[case("OPTIONS", "/stages/dummy/")]
#[tokio::test]
async fn what_is_not_served_says_so(#[case] method: &str, #[case] path: &str) {
    let app = TestApp::new().await;
    app.flow("one").await;
    for client in [app.admin(), app.bearer("expired"), app.anonymous()] {
        let answer = client.send_json(method, path, &json!({})).await.status(501);
        assert_eq!(answer.media_type(), "application/json", "{answer}");
        if method != "HEAD" {
            answer.is(501, json!({ "detail": "ak-stages does not serve this part of authentik's API." }));
        }
    }
}

/// The paths of authentik's API either have an operation in our document, or none of them is served.
#[tokio::test]
async fn no_path_of_authentiks_is_an_html_page() {
    let app = TestApp::new().await;
    let document = document::document();
    let without_names = |path: &str| Regex::new(r"\{\w+\}").unwrap().replace_all(path, "{}").into_owned();
    let served: HashSet<_> =
        document["paths"].as_object().unwrap().keys().map(|p| without_names(p)).collect();
    let (mut here, mut elsewhere) = (0, 0);
    for template in paths::templates().map(without_names) {
        let path = template.replace("{}", "0a0b0c0d-1111-4222-8333-0000abcdef01");
        for method in ["GET", "PROPFIND"] {
            let answer = app.admin().send(method, &path, &[], "").await;
            assert_eq!(answer.status == 501, !served.contains(&template), "{answer}");
            assert_ne!((answer.status, answer.media_type()), (404, "text/html"), "{answer}");
        }
        *if served.contains(&template) { &mut here } else { &mut elsewhere } += 1;
    }
    assert!(here >= 40 && elsewhere > 500, "{here} are served, {elsewhere} are not");
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
async fn our_own_database_keeps_no_events() {
    let app = TestApp::new().await;
    app.admin().create(EMAIL, "a stage").await;
    assert!(app.contents().await.keys().all(|table| !table.contains("event")));
}
