//! `?attributes=` of users and groups, against what Django 5.2 finds on PostgreSQL.

use rstest::rstest;
use serde_json::{Map, Value, json};

use crate::support::{Answer, TestApp, as_parameter};

const USERS: &str = "/core/users/";
const GROUPS: &str = "/core/groups/";

/// The attributes of the rows that Django was asked about, by name; see `attributes/ask_django.py`.
const ROWS: &str = include_str!("attributes/rows.json");
/// What Django finds among them, a line a question: the parameter's value, and the names of the rows; `null` where it
/// fails.
const FOUND: &str = include_str!("attributes/found.jsonl");

async fn with_rows() -> TestApp {
    let app = TestApp::new().await;
    let rows: Map<String, Value> = serde_json::from_str(ROWS).unwrap();
    for (name, attributes) in rows {
        let user = json!({ "username": name, "name": name, "attributes": attributes });
        app.admin().post(USERS, user).await.status(201);
        app.admin().post(GROUPS, json!({ "name": name, "attributes": attributes })).await.status(201);
    }
    app
}

async fn ask(app: &TestApp, path: &str, attributes: &str) -> Answer {
    let parameter = as_parameter(&json!(attributes));
    app.admin().get(&format!("{path}?page_size=100&ordering=name&attributes={parameter}")).await
}

/// The names of the rows of the table, one letter each, in a list.
fn names(answer: &Answer) -> String {
    let names = answer.column("name");
    names.iter().filter_map(Value::as_str).filter(|name| name.len() == 1).collect()
}

#[tokio::test]
async fn a_look_up_finds_what_django_finds() {
    let app = with_rows().await;
    for line in FOUND.lines() {
        let (attributes, found): (Value, Option<String>) = serde_json::from_str(line).unwrap();
        for path in [USERS, GROUPS] {
            let answer = ask(&app, path, &attributes.to_string()).await;
            match &found {
                Some(found) => assert_eq!(names(&answer.status(200)), *found, "{path} {attributes}"),
                None => {
                    let sentences = answer.status(400).json();
                    let sentence = sentences[0].as_str().unwrap();
                    assert!(sentence.starts_with("filter: "), "{path} {attributes} {sentences}");
                }
            }
        }
    }
}

#[rstest]
#[case("{", "filter: failed to parse JSON")]
#[case("{\"a\": NaN}", "filter: failed to parse JSON")]
#[case("[]", "filter: value must be key:value mapping")]
#[case("1", "filter: value must be key:value mapping")]
#[case(r#"{"a": "\u0000"}"#, "Null characters are not allowed.")]
#[case(r#"{"a\u0000": 1}"#, "Null characters are not allowed.")]
#[case(r#"{"a__isnull": "x"}"#, "filter: a__isnull takes true or false")]
#[case(r#"{"a__in": "ab"}"#, "filter: a__in takes a list")]
#[case(r#"{"a__exact__b": 1}"#, "filter: a__exact__b goes on behind the lookup exact")]
#[case(r#"{"a__regex": "("}"#, "filter: invalid regular expression: parentheses () not balanced")]
#[case(r#"{"a__iregex": "a{2,1}"}"#, "filter: invalid regular expression: invalid repetition count(s)")]
#[tokio::test]
async fn what_makes_no_sense_is_refused(#[case] attributes: &str, #[case] sentence: &str) {
    let app = TestApp::new().await;
    for path in [USERS, GROUPS] {
        ask(&app, path, attributes).await.is(400, json!([sentence]));
    }
    let user =
        format!("{USERS}{}/?attributes={}", app.admin().user_id().await, as_parameter(&json!(attributes)));
    app.admin().patch(&user, json!({})).await.is(400, json!([sentence]));
}

#[tokio::test]
async fn other_parameters_are_refused_first() {
    let app = TestApp::new().await;
    let answer = app.admin().get(&format!("{USERS}?attributes=x&last_login=x")).await;
    answer.is(400, json!({ "last_login": ["Enter a valid date/time."] }));
    let nul = json!({ "attributes": ["Null characters are not allowed."] });
    app.admin().get(&format!("{USERS}?attributes=%00")).await.is(400, nul);
}

#[tokio::test]
async fn blank_is_no_filter() {
    let app = with_rows().await;
    for blank in ["", " ", "{}"] {
        assert_eq!(names(&ask(&app, USERS, blank).await.status(200)), "abcdefg", "{blank:?}");
    }
}

#[tokio::test]
async fn there_may_be_as_many_keys_as_a_url_holds() {
    let app = with_rows().await;
    let mut attributes: Map<String, Value> =
        (0..2000).map(|n| (format!("{n}__isnull"), json!(true))).collect();
    assert_eq!(names(&ask(&app, USERS, &json!(attributes).to_string()).await.status(200)), "abcdefg");
    attributes.insert("team".into(), json!("x"));
    assert_eq!(names(&ask(&app, USERS, &json!(attributes).to_string()).await.status(200)), "a");
}
