//! `flow_set` in a request: flows are named by slug, bound, and created where there are none.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    Answer, Client, EMAIL, INVITATION, INVITATION_STAGE, TestApp, USER_WRITE, flow_set_entry,
};

/// What the documentation shows for a flow.
fn documented_flow() -> Value {
    json!({
        "name": "string", "slug": "string", "title": "string", "designation": "authentication",
        "policy_engine_mode": "all", "compatibility_mode": true, "layout": "stacked",
        "denied_action": "message_continue",
    })
}

#[rstest]
#[case::email("/api/v3//stages/email/", json!({
    "name": "string", "flow_set": [documented_flow()], "use_global_settings": true, "host": "string", "port": 0,
    "username": "string", "password": "string", "use_tls": true, "use_ssl": true, "timeout": 0,
    "from_address": "user@example.com", "token_expiry": "minutes=3", "subject": "string",
    "template": "email/password_reset.html", "activate_user_on_success": true,
}))]
#[case::user_write("/api/v3//stages/user_write/", json!({
    "name": "string", "flow_set": [documented_flow()], "user_creation_mode": "never_create",
    "create_users_as_inactive": true, "user_type": "internal", "user_path_template": "string",
}))]
#[case::invitation_stage("/api/v3//stages/invitation/stages/", json!({
    "name": "string", "flow_set": [documented_flow()], "continue_flow_without_invitation": true,
}))]
#[tokio::test]
async fn a_documented_body_makes_the_stage_and_its_flow(#[case] path: &str, #[case] body: Value) {
    let app = TestApp::new().await;
    let created = app.admin().post(path, body.clone()).await.status(201);
    let stage = app.admin().get(&format!("{path}{}/", created.pk())).await.status(200).json();
    assert_eq!(stage, created.json());
    for (key, value) in
        body.as_object().unwrap().iter().filter(|(key, _)| *key != "flow_set" && *key != "password")
    {
        assert_eq!(stage[key], *value, "{key}");
    }
    let flow = &stage["flow_set"][0];
    for (key, value) in documented_flow().as_object().unwrap() {
        assert_eq!(flow[key], *value, "{key}");
    }
    assert_eq!(flow["export_url"], "/api/v3/flows/instances/string/export/");
    assert_eq!(app.bindings("string").await, [(created.pk(), 0)]);
}

#[tokio::test]
async fn the_documented_invitation_is_made_and_shows_its_flow() {
    let app = TestApp::new().await;
    let flow = app.flow("enrollment").await;
    let body = json!({
        "name": "string", "expires": "2034-07-29T15:51:28.071Z", "fixed_data": {}, "single_use": true, "flow": flow,
    });
    let path = "/api/v3//stages/invitation/invitations/";
    let invitation = app.admin().post(path, body).await.status(201).json();
    assert_eq!(invitation["expires"], "2034-07-29T15:51:28.071000Z");
    assert_eq!(invitation["flow_obj"]["slug"], "enrollment");
    assert_eq!(app.admin().get(INVITATION).await.column("pk"), [invitation["pk"].clone()]);
}

#[tokio::test]
async fn a_flow_that_is_missing_is_created_with_the_defaults() {
    let app = TestApp::new().await;
    stage_with(&app.admin(), "a stage", &["new"]).await;
    let flow: Value = sqlx::query_scalar(
        "SELECT (to_jsonb(f) || to_jsonb(m)) - ARRAY['flow_uuid', 'policybindingmodel_ptr_id', 'pbm_uuid'] \
         FROM authentik_flows_flow f JOIN authentik_policies_policybindingmodel m ON m.pbm_uuid = policybindingmodel_ptr_id",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap();
    assert_eq!(
        flow,
        json!({
            "name": "A flow", "slug": "new", "title": "Welcome", "designation": "enrollment", "background": "",
            "compatibility_mode": false, "layout": "stacked", "denied_action": "message_continue",
            "authentication": "none", "policy_engine_mode": "any",
        })
    );
}

#[tokio::test]
async fn a_flow_that_exists_is_bound_and_never_changed() {
    let app = TestApp::new().await;
    app.flow("existing").await;
    let before = app.contents().await;
    let mut entry = documented_flow();
    entry["slug"] = json!("existing");
    let stage = app.admin().post(EMAIL, json!({ "name": "a stage", "flow_set": [entry] })).await.status(201);
    assert_eq!(stage.json()["flow_set"][0]["name"], "A flow");
    assert_eq!(app.bindings("existing").await, [(stage.pk(), 0)]);
    assert_eq!(app.contents().await["authentik_flows_flow"], before["authentik_flows_flow"]);
}

#[tokio::test]
async fn a_stage_is_bound_behind_what_the_flow_holds() {
    let app = TestApp::new().await;
    let flow = app.flow("busy").await;
    let other = app.admin().create(USER_WRITE, "other").await;
    for order in [30, 5] {
        app.bind(flow, &other, order).await;
    }
    let first = stage_with(&app.admin(), "first", &["busy"]).await;
    let second = stage_with(&app.admin(), "second", &["busy"]).await;
    let expected = [(other.clone(), 5), (other, 30), (first, 40), (second, 50)];
    assert_eq!(app.bindings("busy").await, expected);
}

#[tokio::test]
async fn the_largest_order_is_not_exceeded() {
    let app = TestApp::new().await;
    let flow = app.flow("full").await;
    let other = app.admin().create(USER_WRITE, "other").await;
    app.bind(flow, &other, i32::MAX - 3).await;
    let stage = stage_with(&app.admin(), "a stage", &["full"]).await;
    assert_eq!(app.bindings("full").await, [(other, i32::MAX - 3), (stage, i32::MAX)]);
}

#[tokio::test]
async fn post_binds_every_entry_in_the_order_given() {
    let app = TestApp::new().await;
    app.flow("old").await;
    let stage = stage_with(&app.admin(), "a stage", &["new", "old", "new", "old"]).await;
    assert_eq!(app.bindings("new").await, [(stage.clone(), 0), (stage.clone(), 10)]);
    assert_eq!(app.bindings("old").await, [(stage.clone(), 0), (stage.clone(), 10)]);
    assert_eq!(slugs(&app, &stage).await, ["new", "new", "old", "old"]);
}

#[rstest]
#[case::put("PUT")]
#[case::patch("PATCH")]
#[tokio::test]
async fn an_update_takes_the_list_for_the_whole_set(#[case] method: &str) {
    let app = TestApp::new().await;
    let stage = stage_with(&app.admin(), "a stage", &["gone", "kept"]).await;
    let kept = binding(&app, "kept").await;
    let body = json!({ "name": "a stage", "flow_set": [flow_set_entry("added"), flow_set_entry("kept")] });
    let answer = app.admin().send_json(method, &format!("{EMAIL}{stage}/"), &body).await.status(200).json();
    assert_eq!(slugs_of(&answer), ["added", "kept"]);
    assert_eq!(slugs(&app, &stage).await, ["added", "kept"]);
    assert_eq!(binding(&app, "kept").await, kept, "a binding that stays keeps its order and its settings");
    assert_eq!(app.bindings("gone").await, []);
    assert_eq!(app.bindings("added").await, [(stage, 0)]);
}

#[tokio::test]
async fn an_update_with_an_empty_set_removes_the_bindings_and_nothing_else() {
    let app = TestApp::new().await;
    let stage = app.admin().create(EMAIL, "a stage").await;
    let (flow, _) = (app.flow("kept").await, app.flow("other").await);
    let before = app.contents().await;
    app.bind(flow, &stage, 0).await;
    let answer = app.admin().patch(&format!("{EMAIL}{stage}/"), json!({ "flow_set": [] })).await.status(200);
    assert_eq!(answer.json()["flow_set"], json!([]));
    assert_eq!(app.contents().await, before);
}

#[rstest]
#[case::put("PUT")]
#[case::patch("PATCH")]
#[tokio::test]
async fn an_update_without_the_key_touches_no_binding(#[case] method: &str) {
    let app = TestApp::new().await;
    let stage = stage_with(&app.admin(), "a stage", &["one", "two"]).await;
    let before = app.contents().await;
    let path = format!("{EMAIL}{stage}/");
    app.admin().send_json(method, &path, &json!({ "name": "a stage" })).await.status(200);
    assert_eq!(app.contents().await, before);
}

#[tokio::test]
async fn an_answer_sent_back_changes_nothing() {
    let app = TestApp::new().await;
    let stage = stage_with(&app.admin(), "a stage", &["one", "two"]).await;
    let path = format!("{EMAIL}{stage}/");
    let shown = app.admin().get(&path).await.json();
    let before = app.contents().await;
    app.admin().put(&path, shown.clone()).await.is(200, shown);
    assert_eq!(app.contents().await, before);
}

#[rstest]
#[case::missing(json!([flow_set_entry("fine"), {}]), json!([{}, {
    "name": ["This field is required."], "slug": ["This field is required."],
    "title": ["This field is required."], "designation": ["This field is required."],
}]))]
#[case::of_one_key(json!([flow_set_entry("fine"), {"name": "n", "title": "t", "designation": "recovery"}]),
    json!([{}, { "slug": ["This field is required."] }]))]
#[case::no_slug(json!([flow_set_entry("no slug")]), json!([{
    "slug": ["Enter a valid “slug” consisting of letters, numbers, underscores or hyphens."],
}]))]
#[case::no_choice(json!([{"name": "n", "slug": "s", "title": "t", "designation": "party", "layout": 5}]), json!([{
    "designation": ["\"party\" is not a valid choice."], "layout": ["\"5\" is not a valid choice."],
}]))]
#[case::no_object(json!(["slug"]),
    json!([{ "non_field_errors": ["Invalid data. Expected a dictionary, but got str."] }]))]
#[case::no_list(json!({"slug": "slug"}),
    json!({ "non_field_errors": ["Expected a list of items but got type \"dict\"."] }))]
#[case::null(json!(null), json!(["This field may not be null."]))]
#[tokio::test]
async fn errors_nest_as_the_entries_do(#[case] flow_set: Value, #[case] errors: Value) {
    let app = TestApp::new().await;
    let stage = app.admin().create(EMAIL, "a stage").await;
    let before = app.contents().await;
    let body = json!({ "name": "another", "port": "x", "flow_set": flow_set });
    let expected = json!({ "flow_set": errors, "port": ["A valid integer is required."] });
    app.admin().post(EMAIL, body.clone()).await.is(400, expected.clone());
    app.admin().patch(&format!("{EMAIL}{stage}/"), body).await.is(400, expected);
    assert_eq!(app.contents().await, before);
}

#[rstest]
#[case::a_new_flow_takes_add_flow(&["add_flowstagebinding"], json!([flow_set_entry("new")]))]
#[case::a_binding_takes_add_flowstagebinding(&["add_flow"], json!([flow_set_entry("existing")]))]
#[case::one_of_two_is_not_enough(&["add_flowstagebinding"], json!([flow_set_entry("existing"), flow_set_entry("new")]))]
#[tokio::test]
async fn post_without_the_right_is_refused_whole(#[case] rights: &[&'static str], #[case] flow_set: Value) {
    let app = TestApp::new().await;
    app.flow("existing").await;
    let somebody = app.someone_who_may(&[&["add_emailstage"], rights].concat()).await;
    let before = app.contents().await;
    refused(&somebody.post(EMAIL, json!({ "name": "a stage", "flow_set": flow_set })).await);
    assert_eq!(app.contents().await, before);
}

#[rstest]
#[case::to_remove_takes_delete_flowstagebinding(&["add_flow", "add_flowstagebinding"], json!([]))]
#[case::to_replace_takes_both(&["add_flowstagebinding"], json!([flow_set_entry("other")]))]
#[case::to_add_takes_add_flowstagebinding(&["delete_flowstagebinding"],
    json!([flow_set_entry("bound"), flow_set_entry("other")]))]
#[case::a_new_flow_takes_add_flow(&["add_flowstagebinding", "delete_flowstagebinding"],
    json!([flow_set_entry("bound"), flow_set_entry("new")]))]
#[tokio::test]
async fn patch_without_the_right_is_refused_whole(#[case] rights: &[&'static str], #[case] flow_set: Value) {
    let app = TestApp::new().await;
    app.flow("other").await;
    let stage = stage_with(&app.admin(), "a stage", &["bound"]).await;
    let somebody = app.someone_who_may(&[&["view_emailstage", "change_emailstage"], rights].concat()).await;
    let before = app.contents().await;
    let body = json!({ "name": "renamed", "flow_set": flow_set });
    refused(&somebody.patch(&format!("{EMAIL}{stage}/"), body).await);
    assert_eq!(app.contents().await, before);
}

#[tokio::test]
async fn rights_are_needed_only_for_what_changes() {
    let app = TestApp::new().await;
    let stage = stage_with(&app.admin(), "a stage", &["bound"]).await;
    let somebody = app.someone_who_may(&["add_emailstage", "view_emailstage", "change_emailstage"]).await;
    let body = json!({ "flow_set": [flow_set_entry("bound")] });
    somebody.patch(&format!("{EMAIL}{stage}/"), body).await.status(200);
    stage_with(&somebody, "without flows", &[]).await;

    let binder = app.someone_who_may(&["add_emailstage", "add_flowstagebinding", "view_flow"]).await;
    stage_with(&binder, "second", &["bound"]).await;
}

#[tokio::test]
async fn a_server_that_ignores_flow_set_takes_anything_for_it() {
    use ak_stages::config::FlowSetMode;
    let app = TestApp::with(|settings| settings.flow_set = FlowSetMode::Ignore).await;
    for (path, flow_set) in [
        (EMAIL, json!([flow_set_entry("new")])),
        (USER_WRITE, json!("nonsense")),
        (INVITATION_STAGE, json!(null)),
    ] {
        let stage = app.admin().post(path, json!({ "name": path, "flow_set": flow_set })).await.status(201);
        assert_eq!(stage.json()["flow_set"], json!([]));
        let patched =
            app.admin().patch(&format!("{path}{}/", stage.pk()), json!({ "flow_set": flow_set })).await;
        patched.is(200, stage.json());
    }
    let flows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM authentik_flows_flow").fetch_one(&app.pool).await.unwrap();
    assert_eq!(flows, 0);
}

/// The key of a new email stage in the flows with these slugs.
async fn stage_with(client: &Client, name: &str, slugs: &[&str]) -> String {
    let flows: Vec<_> = slugs.iter().map(|slug| flow_set_entry(slug)).collect();
    client.post(EMAIL, json!({ "name": name, "flow_set": flows })).await.status(201).pk()
}

#[track_caller]
fn refused(answer: &Answer) {
    answer.is(403, json!({ "detail": "You do not have permission to perform this action." }));
}

/// The slugs that an email stage shows.
async fn slugs(app: &TestApp, stage: &str) -> Vec<String> {
    slugs_of(&app.admin().get(&format!("{EMAIL}{stage}/")).await.status(200).json())
}

fn slugs_of(stage: &Value) -> Vec<String> {
    let flows = stage["flow_set"].as_array().unwrap();
    flows.iter().map(|flow| flow["slug"].as_str().unwrap().to_owned()).collect()
}

/// The one binding of a flow, whole.
async fn binding(app: &TestApp, slug: &str) -> Value {
    let select = sqlx::query_scalar(
        "SELECT to_jsonb(b) FROM authentik_flows_flowstagebinding b \
         JOIN authentik_flows_flow f ON f.flow_uuid = b.target_id WHERE f.slug = $1",
    );
    select.bind(slug).fetch_one(&app.pool).await.unwrap()
}
