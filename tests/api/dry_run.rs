//! `?dry_run=true`: a write that is answered and not done.

use drf::action::{Method, Route};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    Answer, EMAIL, INVITATION, INVITATION_STAGE, JSON, TestApp, USER_WRITE, declared, flow_set_entry,
};

const EFFECTS: &str = "x-ak-stages-effects";

/// A write that isn't to be done.
async fn dry(app: &TestApp, method: Method, path: &str, body: &Value) -> Answer {
    app.admin().send_json(method.name(), &format!("{path}?dry_run=true"), body).await
}

/// An answer without what is drawn or counted anew for each object.
fn without_keys(mut answer: Value) -> Value {
    for key in ["pk", "policybindingmodel_ptr_id", "num_pk", "uid", "uuid"] {
        answer.as_object_mut().unwrap().remove(key);
    }
    for flow in answer["flow_set"].as_array_mut().into_iter().flatten() {
        *flow = flow["slug"].take();
    }
    answer
}

#[tokio::test]
async fn every_write_can_be_tried_and_leaves_nothing() {
    let app = TestApp::new().await;
    for resource in declared() {
        let (first, second) = app.two_numbers();
        let row = app.row(&resource, first).await;
        let mut path = resource.path_of(&row);
        let change = if resource.does(Method::Patch, Route::OBJECT) {
            app.body(resource.required().filter(|field| field.name != "intent"), second).await
        } else {
            json!({})
        };
        if resource.does(Method::Post, Route::LIST) {
            let body = app.body(resource.writable(), second).await;
            let before = app.everything().await;
            let tried = dry(&app, Method::Post, resource.path, &body).await.status(201);
            app.nobody_is_in_a_transaction().await;
            assert_eq!(app.everything().await, before, "POST {}", resource.path);
            assert!(tried.header(EFFECTS).is_some() && tried.header("etag").is_none(), "{tried}");
            let made = app.admin().post(resource.path, body).await.status(201);
            assert_eq!(made.header(EFFECTS), None, "{made}");
            assert_eq!(without_keys(tried.json()), without_keys(made.json()));
            app.admin().delete(&resource.path_of(&made.json())).await.status(204);
        }
        for method in [Method::Put, Method::Patch, Method::Delete] {
            if !resource.does(method, Route::OBJECT) {
                continue;
            }
            let before = app.everything().await;
            let tried = dry(&app, method, &path, &change).await;
            app.nobody_is_in_a_transaction().await;
            assert_eq!(app.everything().await, before, "{method:?} {}", resource.path);
            assert!(tried.header(EFFECTS).is_some() && tried.header("etag").is_none(), "{tried}");
            let done = app.admin().send_json(method.name(), &path, &change).await;
            assert!(done.status < 300, "{done}");
            assert_eq!((tried.status, &tried.body), (done.status, &done.body), "{tried}, then {done}");
            if method != Method::Delete {
                path = resource.path_of(&done.json()); // a slug may have changed
            }
        }
    }
}

#[rstest]
#[case(EMAIL)]
#[case(USER_WRITE)]
#[case(INVITATION_STAGE)]
#[tokio::test]
async fn what_flow_set_would_do_is_named(#[case] resource: &str) {
    let app = TestApp::new().await;
    for slug in ["old", "kept", "free"] {
        app.flow(slug).await;
    }
    let flows = |slugs: &[&str]| slugs.iter().map(|slug| flow_set_entry(slug)).collect::<Vec<_>>();
    let body = json!({ "name": "a stage", "flow_set": flows(&["new-b", "kept", "new-a", "old"]) });
    let before = app.everything().await;
    let tried = dry(&app, Method::Post, resource, &body).await.status(201);
    assert_eq!(tried.header(EFFECTS), Some("create=\"new-a new-b\", bind=\"kept old\""));
    let plain = dry(&app, Method::Post, resource, &json!({ "name": "a stage" })).await.status(201);
    assert_eq!(plain.header(EFFECTS), Some("none"));
    app.nobody_is_in_a_transaction().await;
    assert_eq!(app.everything().await, before);

    let body = json!({ "name": "a stage", "flow_set": flows(&["old", "kept"]) });
    let path = format!("{resource}{}/", app.admin().post(resource, body).await.status(201).pk());
    let before = app.everything().await;
    let change = json!({ "name": "a stage", "flow_set": flows(&["kept", "free", "new"]) });
    for method in [Method::Put, Method::Patch] {
        let tried = dry(&app, method, &path, &change).await.status(200);
        assert_eq!(tried.header(EFFECTS), Some("create=\"new\", bind=\"free\", unbind=\"old\""));
    }
    let all = format!("/stages/all/{}", &path[resource.len()..]);
    for path in [&path, &all] {
        let tried = dry(&app, Method::Delete, path, &json!({})).await.status(204);
        assert_eq!(tried.header(EFFECTS), Some("unbind=\"kept old\""));
    }
    app.nobody_is_in_a_transaction().await;
    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn what_would_be_refused_is_refused() {
    let app = TestApp::new().await;
    let path = format!("{USER_WRITE}{}/", app.admin().create(USER_WRITE, "taken").await);
    let before = app.everything().await;
    let taken = json!({ "name": ["stage with this name already exists."] });
    dry(&app, Method::Post, USER_WRITE, &json!({ "name": "taken" })).await.is(400, taken);
    dry(&app, Method::Patch, "/stages/user_write/00000000-0000-4000-8000-000000000000/", &json!({}))
        .await
        .status(404);
    let body = json!({ "name": "another" }).to_string();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let path = if method == "POST" { USER_WRITE } else { &path };
        let tried = format!("{path}?dry_run=true");
        app.viewer().send(method, &tried, &JSON, body.clone()).await.status(403);
        for value in ["", "1", "True", "yes", "true&dry_run=false"] {
            let answer =
                app.admin().send(method, &format!("{path}?dry_run={value}"), &JSON, body.clone()).await;
            answer.is(400, json!({ "dry_run": ["Must be true or false."] }));
        }
    }
    let headers = [JSON[0], ("if-match", "\"other\"")];
    app.admin().send("PATCH", &format!("{path}?dry_run=true"), &headers, body.clone()).await.status(412);
    app.nobody_is_in_a_transaction().await;
    assert_eq!(app.everything().await, before);
    app.admin().send("PATCH", &format!("{path}?dry_run=false"), &JSON, body).await.status(200);
    assert_ne!(app.everything().await, before);
}

/// Foreign keys are checked at the end of a transaction.
#[tokio::test]
async fn what_the_commit_would_refuse_is_refused() {
    let app = TestApp::new().await;
    let path = format!("{USER_WRITE}{}/", app.admin().create(USER_WRITE, "a stage").await);
    sqlx::raw_sql(
        "CREATE TABLE other (stage uuid REFERENCES authentik_stages_user_write_userwritestage DEFERRABLE INITIALLY DEFERRED); \
         INSERT INTO other SELECT stage_ptr_id FROM authentik_stages_user_write_userwritestage",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    dry(&app, Method::Delete, &path, &json!({})).await.status(409);
    app.admin().delete(&path).await.status(409);
}

#[tokio::test]
async fn a_dry_run_uses_up_no_idempotency_key() {
    let app = TestApp::new().await;
    let headers = [JSON[0], ("idempotency-key", "a-key")];
    let (dry, body) = (format!("{INVITATION}?dry_run=true"), r#"{"name": "invited"}"#);
    for _ in 0..2 {
        let tried = app.admin().send("POST", &dry, &headers, body).await.status(201);
        assert_eq!(tried.header("idempotent-replayed"), None);
    }
    app.admin().send("POST", INVITATION, &headers, body).await.status(201);
    let tried = app.admin().send("POST", &dry, &headers, body).await.status(201);
    assert_eq!(tried.header("idempotent-replayed"), None);
    assert_eq!(
        app.admin().get(&format!("{INVITATION}?dry_run=true")).await.rows().len(),
        1,
        "a read is a read"
    );
}
