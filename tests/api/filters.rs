//! How query parameters are read: by django-filter's rules, and those of the search.

use serde_json::{Value, json};

use crate::support::{EMAIL, INVITATION, TestApp, USER_WRITE};

/// What a list with each of these queries holds, by name.
async fn assert_lists(app: &TestApp, path: &str, expected: &[(&str, &[&str])]) {
    for (query, names) in expected {
        let list = app.admin().get(&format!("{path}?{query}")).await.status(200);
        assert_eq!(list.column("name"), *names, "{query}");
        assert_eq!(list.json()["pagination"]["count"], names.len(), "{query}");
    }
}

async fn with_stages(path: &str, bodies: &[Value]) -> TestApp {
    let app = TestApp::new().await;
    for body in bodies {
        app.admin().post(path, body.clone()).await.status(201);
    }
    app
}

#[tokio::test]
async fn booleans_are_words_or_digits_and_anything_else_is_no_filter() {
    let app = with_stages(EMAIL, &[json!({ "name": "off" }), json!({ "name": "on", "use_tls": true })]).await;
    for query in ["true", "True", "TRUE", "1"] {
        assert_lists(&app, EMAIL, &[(&format!("use_tls={query}"), &["on"])]).await;
    }
    for query in ["false", "False", "0"] {
        assert_lists(&app, EMAIL, &[(&format!("use_tls={query}"), &["off"])]).await;
    }
    for query in ["yes", "on", "t", "2", "null", "", "%20true"] {
        assert_lists(&app, EMAIL, &[(&format!("use_tls={query}"), &["off", "on"])]).await;
    }
}

#[tokio::test]
async fn numbers_are_decimals_cut_to_integers() {
    let app = with_stages(EMAIL, &[json!({ "name": "a" }), json!({ "name": "b", "port": 1000 })]).await;
    let expected: &[(&str, &[&str])] = &[
        ("port=25", &["a"]),
        ("port=25.0", &["a"]),
        ("port=25.9", &["a"]),
        ("port=%2b25", &["a"]),
        ("port=1e3", &["b"]),
        ("port=26", &[]),
        ("port=-25", &[]),
        ("port=99999999999999999999", &[]),
    ];
    assert_lists(&app, EMAIL, expected).await;
    for number in ["abc", "NaN", "inf", "0x19", "2 5"] {
        let answer = app.admin().get(&format!("{EMAIL}?port={}", number.replace(' ', "%20"))).await;
        answer.is(400, json!({ "port": ["Enter a number."] }));
    }
}

#[tokio::test]
async fn texts_are_compared_to_the_letter_but_for_blanks_around() {
    let app = with_stages(EMAIL, &[json!({ "name": "Über 100%" }), json!({ "name": "über_100%" })]).await;
    let expected: &[(&str, &[&str])] = &[
        ("name=Über%20100%25", &["Über 100%"]),
        ("name=%20%20Über+100%25%20", &["Über 100%"]),
        ("name=über%20100%25", &[]),
        ("name=%25", &[]),
        ("host=localhost&name=über_100%25", &["über_100%"]),
        ("host=elsewhere&name=über_100%25", &[]),
        ("name=Über%20100%25&name=über_100%25", &["über_100%"]),
    ];
    assert_lists(&app, EMAIL, expected).await;
}

#[tokio::test]
async fn keys_may_be_spelled_as_python_takes_them() {
    let app = TestApp::new().await;
    let group = app.group("a group", false, &[]).await;
    let body = json!({ "name": "with", "create_users_group": group });
    app.admin().post(USER_WRITE, body).await.status(201);
    app.admin().create(USER_WRITE, "without").await;
    for spelling in [
        group.to_string(),
        group.to_string().to_uppercase(),
        group.simple().to_string(),
        format!("%7B{group}%7D"),
        format!("urn:uuid:{group}"),
    ] {
        assert_lists(&app, USER_WRITE, &[(&format!("create_users_group={spelling}"), &["with"])]).await;
    }
    let missing = "0a0b0c0d-1111-4222-8333-0000abcdef01";
    app.admin().get(&format!("{USER_WRITE}?create_users_group={missing}")).await.is(
        400,
        json!({ "create_users_group": ["Select a valid choice. That choice is not one of the available choices."] }),
    );
}

#[tokio::test]
async fn choices_are_compared_to_the_letter() {
    let bodies = [json!({ "name": "a" }), json!({ "name": "b", "user_type": "internal" })];
    let app = with_stages(USER_WRITE, &bodies).await;
    assert_lists(&app, USER_WRITE, &[("user_type=internal", &["b"]), ("user_type=", &["a", "b"])]).await;
    for choice in ["INTERNAL", "nonsense"] {
        let sentence = format!("Select a valid choice. {choice} is not one of the available choices.");
        let answer = app.admin().get(&format!("{USER_WRITE}?user_type={choice}")).await;
        answer.is(400, json!({ "user_type": [sentence] }));
    }
}

#[tokio::test]
async fn times_are_instants_however_they_are_written() {
    let app = TestApp::new().await;
    for (name, expires) in [("midnight", "2030-01-01"), ("noon", "2030-01-01T12:00:00Z")] {
        app.admin().post(INVITATION, json!({ "name": name, "expires": expires })).await.status(201);
    }
    let expected: &[(&str, &[&str])] = &[
        ("expires=2030-01-01", &["midnight"]),
        ("expires=2030-01-01T14:00:00%2B02:00", &["noon"]),
        ("expires=2030-01-01%2012:00", &["noon"]),
        ("expires=2030-01-02", &[]),
    ];
    assert_lists(&app, INVITATION, expected).await;
}

#[tokio::test]
async fn all_wrong_parameters_are_named_at_once() {
    let app = TestApp::new().await;
    let answer = app.admin().get(&format!("{EMAIL}?timeout=x&port=y&name=%00")).await;
    answer.is(
        400,
        json!({
            "name": ["Null characters are not allowed."],
            "port": ["Enter a number."],
            "timeout": ["Enter a number."],
        }),
    );
}

#[tokio::test]
async fn every_term_of_a_search_has_to_be_somewhere() {
    let names = ["red apple", "green apple", "Red \"rose\"", "100% _wild_"];
    let app = with_stages(EMAIL, &names.map(|name| json!({ "name": name }))).await;
    let expected: &[(&str, &[&str])] = &[
        ("search=apple", &["green apple", "red apple"]),
        ("search=APPLE%20red", &["red apple"]),
        ("search=apple,red", &["red apple"]),
        ("search=%22red%20apple%22", &["red apple"]),
        ("search=%22apple%20red%22", &[]),
        ("search='red%20apple'", &["red apple"]),
        ("search=%25", &["100% _wild_"]),
        ("search=_", &["100% _wild_"]),
        ("search=%5C", &[]),
        ("search=apple&search=rose", &["Red \"rose\""]),
    ];
    assert_lists(&app, EMAIL, expected).await;
    for blank in ["", "%20", ",", "%20,%20,"] {
        let list = app.admin().get(&format!("{EMAIL}?search={blank}")).await.status(200);
        assert_eq!(list.rows().len(), names.len(), "{blank:?}");
    }
}

/// authentik applies a list's filters to its objects too.
#[tokio::test]
async fn filters_and_search_apply_to_an_object() {
    let app = TestApp::new().await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "mine").await);
    for query in ["name=mine", "search=min", "unknown=1"] {
        app.admin().get(&format!("{path}?{query}")).await.status(200);
    }
    let no_match = json!({ "detail": "No EmailStage matches the given query." });
    for query in ["name=other", "search=other", "port=26"] {
        app.admin().get(&format!("{path}?{query}")).await.is(404, no_match.clone());
        app.admin().patch(&format!("{path}?{query}"), json!({})).await.is(404, no_match.clone());
    }
    let answer = app.admin().get(&format!("{path}?port=x")).await;
    answer.is(400, json!({ "port": ["Enter a number."] }));
}
