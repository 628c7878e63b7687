//! Invitations by the thousand: made and deleted with one request.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Answer, IN_HALF_AN_HOUR, INVITATION, JSON, Program, Statements, TestApp};

const BULK: &str = "/stages/invitation/invitations/bulk/";
const BULK_DELETE: &str = "/stages/invitation/invitations/bulk_delete/";

async fn names(app: &TestApp) -> Vec<Value> {
    app.admin().get(&format!("{INVITATION}?ordering=name&page_size=100")).await.status(200).column("name")
}

fn created(answer: &Answer) -> Vec<Value> {
    answer.json()["results"].as_array().unwrap().clone()
}

#[tokio::test]
async fn each_has_values_of_its_own() {
    let app = TestApp::new().await;
    let flow = app.flow("enrollment").await;
    let body = json!({ "invitations": [
        { "name": "plain" },
        { "name": "rich", "expires": "2030-01-01T00:00:00Z", "single_use": true, "flow": flow,
          "fixed_data": { "email": "a@example.org", "n": [1, { "x": 1.10 }] } },
        { "name": "unending", "expires": null, "flow": null },
    ] });
    let answer = app.admin().post(BULK, body).await.status(200);
    assert_eq!((&answer.json()["created"], &answer.json()["refused"]), (&json!(3), &json!(0)));
    let entries = created(&answer);
    assert_eq!(entries[0]["expires"], IN_HALF_AN_HOUR);
    assert_eq!(entries[2]["expires"], IN_HALF_AN_HOUR, "as a single POST has it");
    let path = format!("{INVITATION}{}/", entries[1]["pk"].as_str().unwrap());
    let rich = app.admin().get(&path).await.status(200).json();
    assert_eq!(rich["fixed_data"], json!({ "email": "a@example.org", "n": [1, { "x": 1.1 }] }));
    assert_eq!((&rich["single_use"], &rich["flow"]), (&json!(true), &json!(flow)));
    assert_eq!((&rich["created_by"]["username"], &rich["name"]), (&json!("akadmin"), &json!("rich")));
    assert_eq!(names(&app).await, ["plain", "rich", "unending"]);
}

#[tokio::test]
async fn a_template_is_repeated_under_names_or_numbers() {
    let app = TestApp::new().await;
    let template = json!({ "name": "guest", "fixed_data": { "a": 1 }, "single_use": true });
    let named = json!({ "template": template, "names": ["anna", "ben"] });
    assert_eq!(app.admin().post(BULK, named).await.status(200).json()["created"], 2);
    let counted = json!({ "template": template, "count": 3 });
    assert_eq!(app.admin().post(BULK, counted).await.status(200).json()["created"], 3);
    assert_eq!(names(&app).await, ["anna", "ben", "guest-1", "guest-2", "guest-3"]);
    for row in app.admin().get(INVITATION).await.rows() {
        assert_eq!((&row["fixed_data"], &row["single_use"]), (&json!({ "a": 1 }), &json!(true)));
    }
}

#[tokio::test]
async fn all_or_nothing_and_every_error_at_its_index() {
    let app = TestApp::new().await;
    let nowhere = "0a0b0c0d-1111-4222-8333-0000abcdef01";
    let invitations = json!([
        { "name": "good" },
        { "name": "not a slug", "expires": "soon" },
        {},
        5,
        { "name": "lost", "flow": nowhere },
    ]);
    let expected = json!([
        {},
        { "name": ["Enter a valid “slug” consisting of letters, numbers, underscores or hyphens."],
          "expires": app.admin().post(INVITATION, json!({ "name": "x", "expires": "soon" })).await.json()["expires"] },
        { "name": ["This field is required."] },
        { "non_field_errors": ["Invalid data. Expected a dictionary, but got int."] },
        { "flow": [format!("Invalid pk \"{nowhere}\" - object does not exist.")] },
    ]);
    let before = app.contents().await;
    let answer = app.admin().post(BULK, json!({ "invitations": invitations })).await;
    answer.is(400, json!({ "invitations": expected }));
    assert_eq!(app.contents().await, before);

    let answer = app.admin().post(BULK, json!({ "invitations": invitations, "partial": true })).await;
    let entries = created(&answer.clone().status(200));
    assert_eq!((&answer.json()["created"], &answer.json()["refused"]), (&json!(1), &json!(4)));
    assert!(entries[0]["pk"].is_string() && entries[0]["errors"].is_null());
    for (entry, errors) in entries.iter().zip(expected.as_array().unwrap()).skip(1) {
        assert_eq!((&entry["errors"], &entry["pk"]), (errors, &Value::Null));
    }
    assert_eq!(names(&app).await, ["good"]);

    let named = json!({ "template": {}, "names": ["fine", "not fine", null] });
    app.admin().post(BULK, named).await.is(
        400,
        json!({ "names": [
            {},
            { "name": ["Enter a valid “slug” consisting of letters, numbers, underscores or hyphens."] },
            { "name": ["This field may not be null."] },
        ] }),
    );
}

#[rstest]
#[case::nothing(json!({}), "non_field_errors")]
#[case::no_object(json!([1]), "non_field_errors")]
#[case::two_forms(json!({ "invitations": [{ "name": "a" }], "template": {}, "count": 1 }), "non_field_errors")]
#[case::names_and_count(json!({ "template": { "name": "a" }, "names": ["a"], "count": 1 }), "non_field_errors")]
#[case::names_alone(json!({ "names": ["a"] }), "non_field_errors")]
#[case::template_alone(json!({ "template": { "name": "a" } }), "non_field_errors")]
#[case::no_list(json!({ "invitations": { "name": "a" } }), "invitations")]
#[case::empty(json!({ "invitations": [] }), "invitations")]
#[case::no_names(json!({ "template": {}, "names": [] }), "names")]
#[case::too_many(json!({ "template": { "name": "a" }, "count": 10_001 }), "count")]
#[case::none(json!({ "template": { "name": "a" }, "count": 0 }), "count")]
#[case::too_many_names(json!({ "template": {}, "names": vec!["a"; 10_001] }), "names")]
#[case::too_many_bodies(json!({ "invitations": vec![json!({ "name": "a" }); 10_001] }), "invitations")]
#[case::no_template(json!({ "template": "a", "count": 2 }), "template")]
#[case::nameless(json!({ "template": {}, "count": 2 }), "template")]
#[case::wrong(json!({ "template": { "name": "a", "single_use": "perhaps" }, "count": 2 }), "template")]
#[case::too_large(json!({ "template": { "name": "a", "fixed_data": { "a": "x".repeat(10_000) } }, "count": 10_000 }), "template")]
#[case::partial(json!({ "invitations": [{ "name": "a" }], "partial": "perhaps" }), "partial")]
#[tokio::test]
async fn what_cannot_be_made_is_said_where(#[case] body: Value, #[case] key: &str) {
    let app = TestApp::new().await;
    let answer = app.admin().post(BULK, body).await.status(400).json();
    assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), [key], "{answer}");
    assert_eq!(names(&app).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let app = TestApp::new().await;
    let body = json!({ "invitations": [{ "name": "a", "fixed_data": { "a": "x".repeat(2_700_000) } }] });
    let answer = app.admin().send("POST", BULK, &JSON, body.to_string()).await;
    answer.is(413, json!({ "detail": "Request body exceeded the limit of 2621440 bytes." }));
}

/// Ten thousand take the statements that ten take.
#[tokio::test]
async fn a_handful_of_statements_does() {
    let app = TestApp::new().await;
    let flow = app.flow("enrollment").await;
    let body = |count: usize| {
        let invitation = |n| json!({ "name": format!("guest-{n}"), "flow": flow, "fixed_data": { "email": format!("{n}@example.org") } });
        json!({ "invitations": (0..count).map(invitation).collect::<Vec<_>>() })
    };
    let statements = Statements::watch();
    app.admin().post(BULK, body(10)).await.status(200);
    let for_ten = statements.take();
    let answer = app.admin().post(BULK, body(10_000)).await.status(200);
    let for_all = statements.take();
    // The first request opens its connection.
    assert!(for_all.len() <= for_ten.len() && for_all.len() <= 7, "{for_all:#?}");
    assert_eq!(answer.json()["created"], 10_000);
    let count: i64 =
        sqlx::query_scalar("SELECT count(DISTINCT name) FROM authentik_stages_invitation_invitation")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    assert_eq!(count, 10_000);

    statements.take();
    let answer = app.admin().post(&format!("{BULK_DELETE}?flow__slug=enrollment"), json!({})).await;
    let seen = statements.take();
    assert!(seen.len() <= 10, "{seen:#?}");
    assert_eq!((answer.status(200).json()["count"].clone(), names(&app).await.len()), (json!(10_010), 10));
}

/// The largest body, and the largest template, several times.
#[tokio::test]
async fn what_ten_thousand_take_of_memory_is_bounded() {
    const MOST: usize = 100; // MB
    let app = TestApp::new().await;
    let server = Program::serve(&app.environment());
    let invitation =
        |n: usize| json!({ "name": format!("guest-{n}"), "fixed_data": { "a": "x".repeat(200) } });
    let listed = json!({ "invitations": (0..10_000).map(invitation).collect::<Vec<_>>() }).to_string();
    let repeated =
        json!({ "template": { "name": "a", "fixed_data": { "a": "x".repeat(800) } }, "count": 10_000 });
    assert!(listed.len() > 2_300_000);
    let (before, _) = server.memory();
    for body in [&listed, &repeated.to_string(), &listed] {
        let (status, answer) = server.request("POST", &format!("/api/v3{BULK}"), "admin", body).unwrap();
        assert_eq!(status, 200, "{answer:.200}");
    }
    let (_, highest) = server.memory();
    assert!(highest < before + MOST, "{before} MB, then {highest} MB");
}

#[tokio::test]
async fn to_make_many_takes_what_one_takes() {
    let app = TestApp::new().await;
    let body = json!({ "invitations": [{ "name": "a" }] });
    let denied = json!({ "detail": "You do not have permission to perform this action." });
    app.viewer().post(BULK, body.clone()).await.is(403, denied);
    let flow = app.flow("enrollment").await;
    let maker = app.someone_who_may(&["view_invitation", "add_invitation"]).await;
    maker.post(BULK, body).await.status(200);
    // A flow that they may not view isn't theirs to name.
    let body = json!({ "invitations": [{ "name": "a", "flow": flow }] });
    let refused = json!({ "flow": [format!("Invalid pk \"{flow}\" - object does not exist.")] });
    maker.post(BULK, body).await.is(400, json!({ "invitations": [refused] }));
    let body = json!({ "template": { "name": "a", "flow": flow }, "count": 3 });
    maker.post(BULK, body).await.is(400, json!({ "template": refused }));
}

async fn three(app: &TestApp) -> Vec<String> {
    let body = json!({ "invitations": [{ "name": "a" }, { "name": "b" }, { "name": "b" }] });
    let answer = app.admin().post(BULK, body).await.status(200);
    created(&answer).iter().map(|entry| entry["pk"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn many_are_deleted_by_keys_or_by_filters() {
    let app = TestApp::new().await;
    let pks = three(&app).await;
    let by_name = format!("{BULK_DELETE}?name=b");
    let before = app.contents().await;
    for path in [by_name.clone(), format!("{by_name}&dry_run=true")] {
        let dry_run = !path.contains("dry_run");
        let dry = app.admin().post(&path, json!({ "dry_run": dry_run })).await.status(200).json();
        assert_eq!((&dry["dry_run"], &dry["count"]), (&json!(true), &json!(2)));
        let mut found = dry["pks"].as_array().unwrap().clone();
        found.sort_by_key(ToString::to_string);
        assert_eq!(found, pks[1..]);
        assert_eq!(app.contents().await, before);
    }
    let gone = "0a0b0c0d-1111-4222-8333-0000abcdef01";
    let answer = app.admin().post(BULK_DELETE, json!({ "pks": [pks[1], gone] })).await;
    answer.is(200, json!({ "count": 1, "pks": [pks[1]], "dry_run": false }));
    app.admin()
        .post(&by_name, json!({}))
        .await
        .is(200, json!({ "dry_run": false, "count": 1, "pks": [pks[2]] }));
    assert_eq!(names(&app).await, ["a"]);
}

/// Lists ignore what they don't know; here that would delete more than was meant.
#[rstest]
#[case::nothing("", json!({}), "non_field_errors")]
#[case::both("?name=a", json!({ "pks": [] }), "non_field_errors")]
#[case::dry_alone("?dry_run=true", json!({}), "non_field_errors")]
#[case::misspelt("?name=a&nmae=b", json!({}), "nmae")]
#[case::no_value("?name=a&flow__slug=", json!({}), "flow__slug")]
#[case::wrong("?expires=soon", json!({}), "expires")]
#[case::no_key("", json!({ "pks": ["x"] }), "pks")]
#[case::no_list("", json!({ "pks": "x" }), "pks")]
#[tokio::test]
async fn a_deletion_that_may_mean_more_is_refused(
    #[case] query: &str,
    #[case] body: Value,
    #[case] key: &str,
) {
    let app = TestApp::new().await;
    three(&app).await;
    let answer = app.admin().post(&format!("{BULK_DELETE}{query}"), body).await.status(400).json();
    assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), [key], "{answer}");
    assert_eq!(names(&app).await.len(), 3);
}

#[tokio::test]
async fn who_may_delete_some_deletes_those_alone() {
    let app = TestApp::new().await;
    let pks = three(&app).await;
    let denied = json!({ "detail": "You do not have permission to perform this action." });
    for client in [app.viewer(), app.plain()] {
        client.post(BULK_DELETE, json!({ "pks": [pks[0]] })).await.is(403, denied.clone());
        client.post(&format!("{BULK_DELETE}?name=a"), json!({})).await.is(403, denied.clone());
    }
    let some = app.granted(&["view_invitation", "delete_invitation"], &pks[1]).await;
    some.post(BULK_DELETE, json!({ "pks": [pks[0]] }))
        .await
        .is(200, json!({ "dry_run": false, "count": 0, "pks": [] }));
    let looker = app.granted(&["view_invitation"], &pks[0]).await;
    looker.post(BULK_DELETE, json!({ "pks": [pks[0]] })).await.is(403, denied);
    let answer = some.post(&format!("{BULK_DELETE}?name=b"), json!({})).await;
    answer.is(200, json!({ "count": 1, "pks": [pks[1]], "dry_run": false }));
    assert_eq!(names(&app).await, ["a", "b"]);
}
