//! Invitations: their expiry, their creator, their flow.

use chrono::Duration;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Answer, IN_HALF_AN_HOUR, INVITATION, NOW, TestApp};

fn at(pk: &str) -> String {
    format!("{INVITATION}{pk}/")
}

#[tokio::test]
async fn an_invitation_with_nothing_but_a_name() {
    let app = TestApp::new().await;
    let answer = app.admin().post(INVITATION, json!({ "name": "welcome" })).await;
    answer.is(
        201,
        json!({
            "pk": answer.pk(),
            "name": "welcome",
            "expires": IN_HALF_AN_HOUR,
            "fixed_data": {},
            "created_by": {
                "pk": app.admin().user_id().await, "username": "akadmin", "name": "authentik Default Admin", "is_active": true,
                "last_login": null, "email": "akadmin@peer.invalid", "attributes": {},
                "uid": answer.json()["created_by"]["uid"],
            },
            "single_use": false,
            "flow": null,
            "flow_obj": null,
        }),
    );
    let uid = answer.json()["created_by"]["uid"].as_str().unwrap().to_owned();
    assert!(uid.len() == 64 && uid.bytes().all(|byte| byte.is_ascii_hexdigit()), "{uid}");
}

#[rstest]
#[case::absent(json!({ "name": "welcome" }))]
#[case::null(json!({ "name": "welcome", "expires": null }))]
#[tokio::test]
async fn one_without_an_expiry_gets_the_default_duration(#[case] body: Value) {
    let app = TestApp::new().await;
    let pk = app.admin().post(INVITATION, body).await.status(201).pk();
    assert_eq!(expires(&app.admin().get(&at(&pk)).await), IN_HALF_AN_HOUR);

    let hurried = TestApp::with(|settings| settings.default_token_duration = Duration::seconds(90)).await;
    let answer = hurried.admin().post(INVITATION, json!({ "name": "welcome" })).await.status(201);
    assert_eq!(expires(&answer), "2026-03-04T05:07:37.000008Z");
}

#[tokio::test]
async fn an_update_keeps_the_expiry_unless_it_names_one() {
    let app = TestApp::new().await;
    let admin = app.admin();
    let body = json!({ "name": "welcome", "expires": "2030-01-01" });
    let path = at(&admin.post(INVITATION, body).await.status(201).pk());
    assert_eq!(expires(&admin.get(&path).await), "2030-01-01T00:00:00Z");
    assert_eq!(expires(&admin.put(&path, json!({ "name": "other" })).await), "2030-01-01T00:00:00Z");
    assert_eq!(expires(&admin.patch(&path, json!({ "single_use": true })).await), "2030-01-01T00:00:00Z");
    let moved = admin.patch(&path, json!({ "expires": "2031-02-03T04:05:06.5+02:00" })).await;
    assert_eq!(expires(&moved), "2031-02-03T02:05:06.500000Z");
    for answer in [
        admin.patch(&path, json!({ "expires": null })).await,
        admin.put(&path, json!({ "name": "other", "expires": null })).await,
    ] {
        assert_eq!(expires(&answer), IN_HALF_AN_HOUR);
    }
}

#[track_caller]
fn expires(answer: &Answer) -> String {
    answer.json()["expires"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_expired_one_is_there_until_somebody_deletes_it() {
    let app = TestApp::new().await;
    let body = json!({ "name": "late", "expires": "2001-01-01T00:00:00Z" });
    let pk = app.admin().post(INVITATION, body).await.status(201).pk();
    assert_eq!(app.admin().get(INVITATION).await.column("pk"), [json!(pk)]);
    app.admin().get(&at(&pk)).await.status(200);
    app.admin().delete(&at(&pk)).await.status(204);
    app.admin().get(&at(&pk)).await.status(404);
}

#[tokio::test]
async fn the_creator_is_whoever_posted_and_stays_so() {
    let app = TestApp::new().await;
    let host = app.someone_who_may(&["add_invitation"]).await;
    let body = json!({ "name": "welcome", "created_by": { "username": "akadmin" } });
    let created = host.post(INVITATION, body).await.status(201).json();
    assert_ne!(created["created_by"]["username"], "akadmin");

    let path = at(created["pk"].as_str().unwrap());
    let change = json!({ "name": "changed", "created_by": 1 });
    let changed = app.admin().put(&path, change).await.status(200).json();
    assert_eq!(changed["created_by"], created["created_by"]);
}

#[tokio::test]
async fn lists_filter_search_and_sort_by_the_creator() {
    let app = TestApp::new().await;
    let host = app.someone_who_may(&["add_invitation"]).await;
    let theirs = host.post(INVITATION, json!({ "name": "theirs" })).await.status(201).json();
    let ours = app.admin().post(INVITATION, json!({ "name": "ours" })).await.status(201).json();
    let username = theirs["created_by"]["username"].as_str().unwrap();
    let names = async |query: &str| app.admin().get(&format!("{INVITATION}?{query}")).await.column("name");

    assert_eq!(names(&format!("created_by__username={username}")).await, ["theirs"]);
    assert_eq!(names("created_by__username=nobody").await, Vec::<Value>::new());
    assert_eq!(names("search=AKADMIN").await, ["ours"]);
    let theirs_first = theirs["created_by"]["pk"].as_i64() < ours["created_by"]["pk"].as_i64();
    let (first, last) = if theirs_first { ("theirs", "ours") } else { ("ours", "theirs") };
    assert_eq!(names("ordering=created_by").await, [first, last]);
    assert_eq!(names("ordering=-created_by").await, [last, first]);
}

#[tokio::test]
async fn the_flow_is_shown_whole() {
    let app = TestApp::new().await;
    let flow = app.flow("enrollment").await;
    let answer = app.admin().post(INVITATION, json!({ "name": "welcome", "flow": flow })).await.status(201);
    assert_eq!(answer.json()["flow"], json!(flow));
    let shown = answer.json()["flow_obj"].take();
    assert_eq!(shown["pk"], json!(flow));
    assert_eq!(shown["slug"], "enrollment");
    assert_eq!(shown["background_url"], "/static/dist/assets/images/flow_background.jpg");
    assert_eq!(shown["stages"], json!([]));

    let path = at(&answer.pk());
    for nothing in [json!(null), json!("")] {
        app.admin().patch(&path, json!({ "flow": flow })).await.status(200);
        let cleared = app.admin().patch(&path, json!({ "flow": nothing })).await.status(200).json();
        assert_eq!((&cleared["flow"], &cleared["flow_obj"]), (&json!(null), &json!(null)));
    }
}

#[tokio::test]
async fn lists_filter_by_the_flows_slug() {
    let app = TestApp::new().await;
    let flow = app.flow("enrollment").await;
    app.admin().post(INVITATION, json!({ "name": "with", "flow": flow })).await.status(201);
    app.admin().create(INVITATION, "without").await;
    for query in ["flow__slug=enrollment", "search=enrollment"] {
        let list = app.admin().get(&format!("{INVITATION}?{query}")).await.status(200);
        assert_eq!(list.column("name"), ["with"], "{query}");
    }
}

#[tokio::test]
async fn what_expires_last_comes_first() {
    let app = TestApp::new().await;
    for (name, expires) in [("second", "2031-01-01"), ("first", "2032-01-01"), ("third", NOW)] {
        app.admin().post(INVITATION, json!({ "name": name, "expires": expires })).await.status(201);
    }
    assert_eq!(app.admin().get(INVITATION).await.column("name"), ["first", "second", "third"]);
    let list = app.admin().get(&format!("{INVITATION}?expires={NOW}")).await.status(200);
    assert_eq!(list.column("name"), ["third"]);
}

#[tokio::test]
async fn names_may_repeat() {
    let app = TestApp::new().await;
    let (first, second) =
        (app.admin().create(INVITATION, "same").await, app.admin().create(INVITATION, "same").await);
    assert_ne!(first, second);
    assert_eq!(app.admin().get(&format!("{INVITATION}?name=same")).await.rows().len(), 2);
}

#[rstest]
#[case::nested(json!({ "a": [1, { "b": null }], "ü": "ß", "": true }))]
#[case::wide_integers(json!({ "most": u64::MAX, "least": i64::MIN }))]
#[case::fractions(json!({ "x": 1.5, "tiny": 1e-300, "huge": 1e300 }))]
#[tokio::test]
async fn fixed_data_comes_back_as_it_was_sent(#[case] fixed_data: Value) {
    let app = TestApp::new().await;
    let body = json!({ "name": "welcome", "fixed_data": fixed_data });
    let created = app.admin().post(INVITATION, body).await.status(201);
    assert_eq!(created.json()["fixed_data"], fixed_data);
    assert_eq!(app.admin().get(&at(&created.pk())).await.json()["fixed_data"], fixed_data);
}
