//! What happened to invitations: kept whole, and kept when they are gone.

use ak_stages::config::Settings;
use serde_json::{Value, json};

use crate::support::{INVITATION, NOW, TestApp};

const HISTORY: &str = "/stages/invitation/invitations/history/";
const LATER: &str = "2099-01-01T00:00:00Z";

/// The entries about an invitation, the oldest first.
async fn of(app: &TestApp, pk: &str) -> Vec<Value> {
    let answer = app.admin().get(&format!("{HISTORY}?invitation={pk}")).await.status(200).json();
    let mut entries = answer.as_array().unwrap().clone();
    entries.reverse();
    entries
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect()
}

async fn made(app: &TestApp, body: Value) -> (String, String) {
    let pk = app.admin().post(INVITATION, body).await.status(201).pk();
    let path = format!("{INVITATION}{pk}/");
    (pk, path)
}

#[tokio::test]
async fn a_change_is_told_field_by_field() {
    let app = TestApp::new().await;
    let flow = app.flow("enrollment").await;
    let data = json!({ "email": "a@example.org", "kept": [1, 2], "gone": null });
    let (pk, path) = made(&app, json!({ "name": "before", "expires": LATER, "fixed_data": data })).await;
    let change = json!({
        "name": "after", "expires": "2098-01-01T00:00:00Z", "single_use": true, "flow": flow, "max_uses": 3,
        "fixed_data": { "email": "b@example.org", "kept": [1, 2], "new": { "x": 1.5 } },
    });
    app.admin().patch(&path, change.clone()).await.status(200);
    app.admin().patch(&path, change).await.status(200); // which changes nothing
    app.admin().put(&path, json!({ "name": "again" })).await.status(200);
    let entries = of(&app, &pk).await;
    assert_eq!(actions(&entries), ["created", "changed", "changed"]);
    assert_eq!(
        entries[1]["details"],
        json!({
            "flow": { "old": null, "new": flow },
            "name": { "old": "before", "new": "after" },
            "expires": { "old": "2099-01-01T00:00:00+00:00", "new": "2098-01-01T00:00:00+00:00" },
            "max_uses": { "old": null, "new": 3 },
            "single_use": { "old": false, "new": true },
            "fixed_data.new": { "old": null, "new": { "x": 1.5 } },
            "fixed_data.gone": { "old": null, "new": null },
            "fixed_data.email": { "old": "a@example.org", "new": "b@example.org" },
        })
    );
    assert_eq!(entries[2]["details"], json!({ "name": { "old": "after", "new": "again" } }));
    let first = &entries[0];
    assert_eq!(
        json!([first["invitation"], first["name"], first["created"], first["username"], first["details"]]),
        json!([pk, "before", NOW, "akadmin", {}])
    );
    assert_eq!(first["user"], app.admin().user_id().await);
    let shown = app.admin().get(&format!("{path}history/")).await.status(200).json();
    assert_eq!(
        shown.as_array().unwrap().iter().rev().collect::<Vec<_>>(),
        entries.iter().collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn it_is_kept_when_the_invitation_is_gone() {
    let url =
        |name: &str| (name == "AUTHENTIK_STAGES__PUBLIC_URL").then(|| "https://id.example.com".to_owned());
    let mail = Settings::read(url).unwrap().mail;
    let app = TestApp::with(|settings| settings.mail = mail).await;
    let flow = app.flow("enrollment").await;
    let (pk, path) = made(&app, json!({ "name": "a", "expires": LATER, "flow": flow, "max_uses": 2 })).await;
    let mail = json!({ "email_addresses": ["a@example.org", "b@example.org"] });
    app.admin().post(&format!("{path}send_email/"), mail).await.status(204);
    for _ in 0..2 {
        app.admin().post(&format!("{path}redeem/"), json!({})).await.status(200);
    }
    app.admin().get(&format!("{path}history/")).await.status(404);
    let entries = of(&app, &pk).await;
    assert_eq!(actions(&entries), ["created", "mailed", "redeemed", "redeemed", "deleted"]);
    assert_eq!(entries[1]["details"], json!({ "template": "email/invitation.html", "recipients": 2 }));
    assert_eq!(entries[3]["details"], json!({ "uses": 2 }));

    let (deleted, path) = made(&app, json!({ "name": "b" })).await;
    app.admin().delete(&path).await.status(204);
    assert_eq!(actions(&of(&app, &deleted).await), ["created", "deleted"]);
    let bulk = json!({ "template": { "name": "c" }, "count": 3 });
    let answer = app.admin().post(&format!("{INVITATION}bulk/"), bulk).await.status(200).json();
    app.admin().post(&format!("{INVITATION}bulk_delete/?search=c-"), json!({})).await.status(200);
    for entry in answer["results"].as_array().unwrap() {
        let pk = entry["pk"].as_str().unwrap();
        assert_eq!(actions(&of(&app, pk).await), ["created", "deleted"]);
    }
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM ak_stages.invitation_uses")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn what_happens_with_the_flow_and_the_creator_is_told() {
    let app = TestApp::new().await;
    let flow = app.flow("enrollment").await;
    let host = app.someone_who_may(&["add_invitation", "view_flow"]).await;
    let creator = host.user_id().await;
    let pk =
        host.post(INVITATION, json!({ "name": "a", "flow": flow, "max_uses": 2 })).await.status(201).pk();
    app.admin().delete("/flows/instances/enrollment/").await.status(204);
    app.admin().delete(&format!("/core/users/{creator}/")).await.status(204);
    let entries = of(&app, &pk).await;
    assert_eq!(actions(&entries), ["created", "changed", "deleted"]);
    assert_eq!(entries[1]["details"], json!({ "flow": { "old": flow, "new": null } }));
    assert_eq!((&entries[0]["user"], &entries[2]["username"]), (&json!(creator), &json!("akadmin")));
}

#[tokio::test]
async fn what_is_not_done_leaves_nothing() {
    let app = TestApp::new().await;
    let (pk, path) = made(&app, json!({ "name": "a", "expires": LATER })).await;
    app.admin().patch(&path, json!({ "name": "not a slug" })).await.status(400);
    app.admin().post(&format!("{path}redeem/"), json!({ "flow": 5, "reserve": 0 })).await.status(400);
    app.admin().post(INVITATION, json!({})).await.status(400);
    assert_eq!(actions(&of(&app, &pk).await), ["created"]);
    assert_eq!(app.admin().get(HISTORY).await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn it_is_read_in_pieces() {
    let app = TestApp::new().await;
    app.admin()
        .post(&format!("{INVITATION}bulk/"), json!({ "template": { "name": "a" }, "count": 150 }))
        .await;
    let (mut before, mut ids) = (String::new(), Vec::new());
    loop {
        let entries = app.admin().get(&format!("{HISTORY}{before}")).await.status(200).json();
        let Some(last) = entries.as_array().unwrap().last() else { break };
        before = format!("?before={}", last["id"]);
        ids.extend(entries.as_array().unwrap().iter().map(|entry| entry["id"].as_i64().unwrap()));
    }
    assert!(ids.len() == 150 && ids.is_sorted_by(|a, b| a > b), "{ids:?}");
    let wrong =
        [("before=x", "before", "Enter a number."), ("invitation=x", "invitation", "Enter a valid UUID.")];
    for (query, key, sentence) in wrong {
        app.admin().get(&format!("{HISTORY}?{query}")).await.is(400, json!({ key: [sentence] }));
    }
}

/// The keys of invitations are the secrets of their links.
#[tokio::test]
async fn it_is_shown_to_those_who_may_view_the_invitation() {
    let app = TestApp::new().await;
    let (pk, path) = made(&app, json!({ "name": "a" })).await;
    let (_, other) = made(&app, json!({ "name": "b" })).await;
    let denied = json!({ "detail": "You do not have permission to perform this action." });
    app.plain().get(HISTORY).await.is(403, denied);
    let one = app.granted(&["view_invitation"], &pk).await;
    let entries = one.get(HISTORY).await.status(200).json();
    assert_eq!(entries.as_array().unwrap().iter().map(|entry| &entry["name"]).collect::<Vec<_>>(), ["a"]);
    one.get(&format!("{other}history/")).await.status(404);
    one.get(&format!("{path}history/")).await.status(200);
    assert_eq!(app.viewer().get(HISTORY).await.json().as_array().unwrap().len(), 2);
}
