//! A connection keeps the statements that it prepared, by their text. So two that differ in the type of a parameter alone
//! must not have the same text: the second would be sent with the first one's types.

use ak_stages::db::pool::Pooled;
use rstest::rstest;
use serde_json::Value;

use crate::support::{Declared, POOL_SIZE, Statements, TestApp, as_parameter, declared};

/// Take all connections but one, which is left to requests.
async fn leave_one(app: &TestApp) -> Vec<Pooled> {
    let mut taken = Vec::new();
    for _ in 1..POOL_SIZE {
        taken.push(app.requests.acquire().await.unwrap());
    }
    taken
}

/// An object of every resource, with a value in every field.
async fn one_of_each(app: &TestApp) -> Vec<(Declared, Value)> {
    let mut objects = Vec::new();
    for resource in declared() {
        let (number, _) = app.two_numbers();
        let object = app.row(&resource, number).await;
        objects.push((resource, object));
    }
    objects
}

#[rstest]
#[tokio::test]
async fn all_resources_get_on_with_one_connection(#[values(false, true)] from_the_last_to_the_first: bool) {
    let app = TestApp::new().await;
    let mut objects = one_of_each(&app).await;
    if from_the_last_to_the_first {
        objects.reverse();
    }
    let _taken = leave_one(&app).await;
    for (resource, object) in &objects {
        app.admin().get(&format!("{}used_by/", resource.path_of(object))).await.status(200);
    }
    for (resource, object) in &objects {
        for field in resource.readable().filter(|field| field.filter) {
            let query = format!("{}={}", field.name, as_parameter(&object[field.name]));
            app.admin().get(&format!("{}?{query}", resource.path)).await.status(200);
        }
        app.admin().send("OPTIONS", &resource.path_of(object), &[], "").await.status(200);
    }
    let kept = sqlx::query_scalar("SELECT count(*) FROM pg_prepared_statements");
    let mut connection = app.requests.acquire().await.unwrap();
    let kept: i64 = kept.fetch_one(&mut *connection).await.unwrap();
    assert!(kept > 50, "the connection keeps its statements, and has {kept}");
}

#[tokio::test]
async fn a_text_says_the_type_of_the_key_that_it_takes() {
    let app = TestApp::new().await;
    let group = app.group("a group", false, &[]).await;
    let user = app.admin().user_id().await;
    for (path, parameter) in
        [(format!("/core/groups/{group}/"), "$1::UUID"), (format!("/core/users/{user}/"), "$1::INT4")]
    {
        let watched = Statements::watch();
        app.admin().get(&format!("{path}used_by/")).await.status(200);
        let seen = watched.take();
        let relations: Vec<_> = seen.iter().filter(|text| text.contains("SELECT (")).collect();
        assert!(relations.len() > 2, "{seen:?}");
        assert!(relations.iter().all(|text| text.contains(parameter)), "{relations:?}");
    }
}
