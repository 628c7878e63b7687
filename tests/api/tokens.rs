//! Tokens: whose they are, and how long they live. What holds for every resource is in [`crate::laws`].

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Client, IN_HALF_AN_HOUR, TestApp};

const TOKENS: &str = "/core/tokens/";
const IN_TEN_MINUTES: &str = "2026-03-04T05:16:07Z";
const IN_A_DAY: &str = "2026-03-05T05:06:07Z";

fn at(token: &Value) -> String {
    format!("{TOKENS}{}/", token["identifier"].as_str().unwrap())
}

async fn create(client: &Client, change: Value) -> Value {
    client.post(TOKENS, with("a-token", change)).await.status(201).json()
}

fn with(identifier: &str, mut body: Value) -> Value {
    body["identifier"] = json!(identifier);
    body
}

async fn set_attributes(app: &TestApp, table: &str, key: &str, name: &str, attributes: Value) {
    let update = format!("UPDATE {table} SET attributes = $1 WHERE {key} = $2");
    let update = sqlx::query(sqlx::AssertSqlSafe(update)).bind(attributes).bind(name);
    assert_eq!(update.execute(&app.pool).await.unwrap().rows_affected(), 1);
}

#[tokio::test]
async fn superusers_make_tokens_for_others_and_nobody_else_does() {
    let app = TestApp::new().await;
    let (admin, plain) = (app.admin().user_id().await, app.plain().user_id().await);
    let made = app.admin().post(TOKENS, json!({ "identifier": "one", "user": plain })).await.status(201);
    assert_eq!(made.json()["user"], plain);
    // A name that they may not view is no user's; another one is passed over.
    let refusal = json!({ "user": [format!("Invalid pk \"{admin}\" - object does not exist.")] });
    app.plain().post(TOKENS, json!({ "identifier": "two", "user": admin })).await.is(400, refusal);
    let made = app.plain().post(TOKENS, json!({ "identifier": "two", "user": plain })).await.status(201);
    assert_eq!(made.json()["user"], plain);
    let seeing = app.someone_who_may(&["view_user"]).await;
    let made = seeing.post(TOKENS, json!({ "identifier": "three", "user": admin })).await.status(201);
    assert_eq!(made.json()["user"], seeing.user_id().await);
}

#[tokio::test]
async fn a_token_stays_with_its_user() {
    let app = TestApp::new().await;
    let (admin, plain) = (app.admin().user_id().await, app.plain().user_id().await);
    let token = create(&app.plain(), json!({})).await;
    let refusal = json!({ "user": [format!("Invalid pk \"{admin}\" - object does not exist.")] });
    app.plain().patch(&at(&token), json!({ "user": admin })).await.is(400, refusal);
    let refusal = json!({ "user": ["User cannot be changed"] });
    let seeing = app.someone_who_may(&["view_token", "change_token", "view_user"]).await;
    for client in [app.admin(), seeing] {
        client.patch(&at(&token), json!({ "user": admin })).await.is(400, refusal.clone());
        client.put(&at(&token), with("a-token", json!({ "user": admin }))).await.is(400, refusal.clone());
        let kept = client.patch(&at(&token), json!({ "user": plain, "description": "x" })).await.status(200);
        assert_eq!(kept.json()["user"], plain);
        // authentik gives it to whoever doesn't name a user.
        let kept = client.patch(&at(&token), json!({ "description": "y" })).await.status(200);
        assert_eq!(kept.json()["user"], plain);
    }
}

#[tokio::test]
async fn the_life_of_an_api_token_is_not_the_clients_to_choose() {
    let app = TestApp::new().await;
    let token = create(&app.plain(), json!({ "expires": IN_A_DAY })).await;
    assert_eq!(token["expires"], IN_HALF_AN_HOUR);
    for change in [json!({ "expires": IN_A_DAY }), json!({ "expires": null }), json!({ "intent": "api" })] {
        let changed = app.plain().patch(&at(&token), change).await.status(200).json();
        assert_eq!(changed["expires"], IN_HALF_AN_HOUR);
    }
}

/// authentik begins it anew with every write, which takes a token's life that the command line gave.
#[tokio::test]
async fn a_write_that_asks_for_no_other_expiry_leaves_that_of_an_api_token() {
    for strict in [true, false] {
        let app = TestApp::with(|settings| settings.strict = strict).await;
        app.token_of_admin("long", chrono::Duration::days(1)).await;
        let path = "/core/tokens/long/";
        let shown = app.admin().get(path).await.status(200).json();
        assert_eq!(shown["expires"], "2026-03-05T05:06:07.000008Z");
        for (method, change) in [
            ("PATCH", json!({})),
            ("PATCH", json!({ "description": "x" })),
            ("PATCH", json!({ "intent": "api", "expiring": true })),
            ("PATCH", json!({ "expires": shown["expires"] })),
            ("PUT", json!({ "identifier": "long" })),
            ("PUT", shown.clone()),
        ] {
            let changed = app.admin().send_json(method, path, &change).await.status(200).json();
            assert_eq!(changed["expires"], shown["expires"], "{method} {change}");
        }
        // Asked for another one, it gets the default, as in authentik.
        let changed = app.admin().patch(path, json!({ "expires": IN_A_DAY })).await.status(200).json();
        assert_eq!(changed["expires"], IN_HALF_AN_HOUR);
        // One that never ended has none to keep.
        let changed =
            app.admin().patch("/core/tokens/viewer/", json!({ "expiring": true })).await.status(200);
        assert_eq!(changed.json()["expires"], IN_HALF_AN_HOUR);
    }
}

#[rstest]
#[case::an_api_token("api")]
#[case::an_app_password("app_password")]
#[tokio::test]
async fn a_token_is_made_unending_by_those_who_may_make_unending_ones(#[case] intent: &str) {
    let forever = json!({ "expiring": false });
    let refusal = json!({ "expiring": ["User does not have permission to make tokens that never expire."] });
    for strict in [true, false] {
        let app = TestApp::with(|settings| settings.strict = strict).await;
        let token = create(&app.plain(), json!({ "intent": intent })).await;
        let editor = app.someone_who_may(&["view_token", "change_token"]).await;
        for (client, method) in [(app.plain(), "PATCH"), (app.plain(), "PUT"), (editor, "PATCH")] {
            let body = with("a-token", forever.clone());
            let answer = client.send_json(method, &at(&token), &body).await;
            if strict {
                answer.is(400, refusal.clone());
            } else {
                assert_eq!(answer.status(200).json()["expiring"], false);
                client.patch(&at(&token), json!({ "expiring": true })).await.status(200);
            }
        }
        // It stays one for whoever writes back what they read.
        let shown = app.admin().patch(&at(&token), forever.clone()).await.status(200).json();
        assert_eq!(app.plain().put(&at(&token), shown).await.status(200).json()["expiring"], false);

        let attributes = json!({ "goauthentik.io/user/token-expires": false });
        set_attributes(&app, "authentik_core_user", "username", "plain", attributes).await;
        for expiring in [true, false] {
            app.plain().patch(&at(&token), json!({ "expiring": expiring })).await.status(200);
        }
    }
}

#[tokio::test]
async fn nobody_says_who_manages_a_token() {
    let managed = json!({ "managed": "goauthentik.io/outpost/x" });
    let refusal = json!({ "managed": ["Managed cannot be set"] });
    for strict in [true, false] {
        let app = TestApp::with(|settings| settings.strict = strict).await;
        let token = create(&app.plain(), json!({})).await;
        for client in [app.admin(), app.plain()] {
            let answer = client.patch(&at(&token), managed.clone()).await;
            let body = with("a-token", managed.clone());
            let replaced = client.put(&at(&token), body).await;
            if strict {
                answer.is(400, refusal.clone());
                replaced.is(400, refusal.clone());
            } else {
                assert_eq!(answer.status(200).json()["managed"], managed["managed"]);
                client.patch(&at(&token), json!({ "managed": null })).await.status(200);
            }
        }
        let answer = app.plain().post(TOKENS, with("two", managed.clone())).await;
        assert_eq!(answer.status, if strict { 400 } else { 201 }, "{answer}");
        if strict {
            let token = app.admin().post(TOKENS, with("two", managed.clone())).await.status(201).json();
            app.admin().put(&at(&token), token.clone()).await.status(200);
            app.admin().patch(&at(&token), json!({ "managed": null })).await.is(400, refusal.clone());
        }
    }
}

#[rstest]
#[case::an_api_token("api")]
#[case::an_app_password("app_password")]
#[tokio::test]
async fn only_superusers_make_tokens_that_never_expire(#[case] intent: &str) {
    let app = TestApp::new().await;
    let body = json!({ "intent": intent, "expiring": false });
    let token = create(&app.plain(), body.clone()).await;
    assert_eq!((&token["expiring"], &token["expires"]), (&json!(true), &json!(IN_HALF_AN_HOUR)));

    let expires = if intent == "api" { json!(IN_HALF_AN_HOUR) } else { json!(null) };
    let token = app.admin().post(TOKENS, with("of-admin", body)).await.status(201).json();
    assert_eq!((&token["expiring"], &token["expires"]), (&json!(false), &expires));

    let attributes = json!({ "goauthentik.io/user/token-expires": false });
    set_attributes(&app, "authentik_core_user", "username", "plain", attributes).await;
    let token = app.plain().post(TOKENS, with("allowed", json!({ "intent": intent }))).await.status(201);
    assert_eq!((&token.json()["expiring"], &token.json()["expires"]), (&json!(false), &expires));

    let attributes = json!({ "goauthentik.io/user/token-expires": false });
    set_attributes(&app, "authentik_core_user", "username", "akadmin", attributes).await;
    let token = app.admin().post(TOKENS, with("ended", json!({ "intent": intent }))).await.status(201).json();
    assert_eq!((&token["expiring"], &token["expires"]), (&json!(true), &json!(IN_HALF_AN_HOUR)));
}

#[tokio::test]
async fn an_app_password_lives_as_long_as_it_says_and_no_longer_than_it_may() {
    let app = TestApp::new().await;
    let plain = app.plain();
    let token = create(&plain, json!({ "intent": "app_password", "expires": IN_TEN_MINUTES })).await;
    assert_eq!(token["expires"], IN_TEN_MINUTES);
    let kept = plain.patch(&at(&token), json!({ "description": "x" })).await.status(200).json();
    assert_eq!((&kept["intent"], &kept["expires"]), (&json!("app_password"), &json!(IN_TEN_MINUTES)));
    let renewed = plain.patch(&at(&token), json!({ "expires": null })).await.status(200).json();
    assert_eq!(renewed["expires"], IN_HALF_AN_HOUR);

    let long = json!({ "expires": IN_A_DAY });
    let latest = "2026-03-04 05:36:07.000008+00:00";
    let refusal = json!({ "expires": [format!("Token expires exceeds maximum lifetime ({latest} UTC).")] });
    plain.patch(&at(&token), long.clone()).await.is(400, refusal.clone());
    app.admin().patch(&at(&token), long.clone()).await.is(400, refusal.clone());
    let body = json!({ "identifier": "b", "intent": "app_password", "expires": IN_A_DAY });
    plain.post(TOKENS, body).await.is(400, refusal);
}

#[rstest]
#[case::of_the_user(json!("days=2"), json!({}), json!({}), 200)]
#[case::null_of_the_user(json!(null), json!("days=2"), json!({}), 400)]
#[case::of_the_groups(json!({}), json!("days=2"), json!({}), 200)]
#[case::of_a_group_above(json!({}), json!({}), json!("days=2"), 200)]
#[case::the_last_group_counts(json!({}), json!("days=2"), json!("minutes=1"), 400)]
#[case::the_users_own_counts_more(json!("minutes=1"), json!("days=2"), json!("days=2"), 400)]
#[case::no_duration(json!("two days"), json!({}), json!({}), 400)]
#[case::no_text(json!(["days=2"]), json!({}), json!({}), 400)]
#[tokio::test]
async fn an_attribute_says_how_long_an_app_password_may_live(
    #[case] user: Value,
    #[case] group: Value,
    #[case] above: Value,
    #[case] status: u16,
) {
    let app = TestApp::new().await;
    let parent = app.group("b above", false, &[]).await;
    app.join("plain", app.group("a", false, &[parent]).await).await;
    let attributes = |value: Value| match value {
        Value::Object(none) => Value::Object(none),
        value => json!({ "goauthentik.io/user/token-maximum-lifetime": value }),
    };
    set_attributes(&app, "authentik_core_user", "username", "plain", attributes(user)).await;
    set_attributes(&app, "authentik_core_group", "name", "a", attributes(group)).await;
    set_attributes(&app, "authentik_core_group", "name", "b above", attributes(above)).await;
    let token = create(&app.plain(), json!({ "intent": "app_password" })).await;
    app.plain().patch(&at(&token), json!({ "expires": IN_A_DAY })).await.status(status);
}

#[rstest]
#[case("verification")]
#[case("recovery")]
#[tokio::test]
async fn a_token_of_another_intent_is_left_as_it_is(#[case] intent: &str) {
    let app = TestApp::new().await;
    let refusal = json!({ "intent": [format!("Invalid intent {intent}")] });
    app.plain().post(TOKENS, with("a-token", json!({ "intent": intent }))).await.is(400, refusal);
    let token = create(&app.plain(), json!({})).await;
    let update = sqlx::query("UPDATE authentik_core_token SET intent = $1 WHERE identifier = 'a-token'");
    update.bind(intent).execute(&app.pool).await.unwrap();
    // authentik would make an API token of it.
    let changed = app.plain().patch(&at(&token), json!({ "expires": IN_A_DAY })).await.status(200).json();
    assert_eq!((&changed["intent"], &changed["expires"]), (&json!(intent), &json!(IN_A_DAY)));
}

#[tokio::test]
async fn the_key_is_shown_to_the_user_and_to_those_who_may_see_keys() {
    let app = TestApp::new().await;
    let plain = app.plain().user_id().await;
    let token = create(&app.admin(), json!({ "user": plain })).await;
    let path = format!("{}view_key/", at(&token));
    let key = app.plain().get(&path).await.status(200).json()["key"].as_str().unwrap().to_owned();
    assert_eq!(app.bearer(&key).user_id().await, plain);
    for (permissions, status) in
        [(&["view_token", "view_token_key"][..], 200), (&["view_token"], 403), (&["view_token_key"], 404)]
    {
        app.someone_who_may(permissions).await.get(&path).await.status(status);
    }
    app.anonymous().get(&path).await.status(403);
}
