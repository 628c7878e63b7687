//! Requests at the same time: one of them wins, the others are told, and none fails.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Answer, Client, EMAIL, INVITATION_STAGE, TestApp, USER_WRITE, flow_set_entry};

const RIVALS: usize = 8;

/// Send a request many times at once; the number of each tells it what to send.
async fn at_once<F: Future<Output = Answer> + Send + 'static>(request: impl Fn(usize) -> F) -> Vec<Answer> {
    let rivals: Vec<_> = (0..RIVALS).map(|number| tokio::spawn(request(number))).collect();
    let mut answers = Vec::new();
    for rival in rivals {
        answers.push(rival.await.unwrap());
    }
    answers
}

/// How many answers have this status; the others must have one of those.
#[track_caller]
fn count(answers: &[Answer], status: u16, others: &[u16]) -> usize {
    for answer in answers {
        assert!(answer.status == status || others.contains(&answer.status), "{answer}");
    }
    answers.iter().filter(|answer| answer.status == status).count()
}

async fn post(client: Client, path: &'static str, body: Value) -> Answer {
    client.post(path, body).await
}

#[tokio::test]
async fn a_name_is_given_once() {
    let app = TestApp::new().await;
    let paths = [EMAIL, USER_WRITE, INVITATION_STAGE];
    let answers = at_once(|n| post(app.admin(), paths[n % 3], json!({ "name": "wanted" }))).await;
    assert_eq!(count(&answers, 201, &[400, 409]), 1);
    assert_eq!(app.admin().get("/stages/all/?name=wanted").await.rows().len(), 1);
}

#[tokio::test]
async fn a_name_that_is_taken_between_check_and_write_is_told_as_one_that_was_taken_before() {
    let app = TestApp::new().await;
    let mut rival = app.pool.begin().await.unwrap();
    sqlx::query("INSERT INTO authentik_flows_stage (stage_uuid, name) VALUES (gen_random_uuid(), 'wanted')")
        .execute(&mut *rival)
        .await
        .unwrap();
    let waiting = tokio::spawn(post(app.admin(), EMAIL, json!({ "name": "wanted" })));
    app.somebody_waits_for_a_lock().await;
    rival.commit().await.unwrap();
    let taken = json!({ "name": ["stage with this name already exists."] });
    waiting.await.unwrap().is(400, taken);
    assert_eq!(app.admin().get(EMAIL).await.rows().len(), 0, "the refused request leaves nothing");
}

#[tokio::test]
async fn a_flow_that_all_want_to_create_is_created_once() {
    let app = TestApp::new().await;
    let body = |n| json!({ "name": format!("stage {n}"), "flow_set": [flow_set_entry("wanted")] });
    let answers = at_once(|n| post(app.admin(), EMAIL, body(n))).await;
    let created = count(&answers, 201, &[409]);
    assert!(created >= 1);
    assert_eq!(app.bindings("wanted").await.len(), created, "a refused request leaves no binding");
    assert_eq!(app.admin().get(EMAIL).await.rows().len(), created, "nor a stage");
}

#[tokio::test]
async fn stages_bound_at_once_are_all_bound() {
    let app = TestApp::new().await;
    app.flow("busy").await;
    let body = |n| json!({ "name": format!("stage {n}"), "flow_set": [flow_set_entry("busy")] });
    let answers = at_once(|n| post(app.admin(), EMAIL, body(n))).await;
    assert_eq!(count(&answers, 201, &[]), RIVALS);
    assert_eq!(app.bindings("busy").await.len(), RIVALS);
}

#[tokio::test]
async fn an_object_is_deleted_once() {
    let app = TestApp::new().await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    let answers = at_once(|_| {
        let (client, path) = (app.admin(), path.clone());
        async move { client.delete(&path).await }
    })
    .await;
    assert_eq!(count(&answers, 204, &[404]), 1);
}

#[rstest]
#[case::a_field(|n| json!({ "port": n }))]
#[case::the_whole_set(|n| json!({ "flow_set": [flow_set_entry(["one", "two"][n % 2])] }))]
#[tokio::test]
async fn updates_of_one_object_follow_one_another(#[case] change: fn(usize) -> Value) {
    let app = TestApp::new().await;
    app.flow("one").await;
    app.flow("two").await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    let answers = at_once(|n| {
        let (client, path) = (app.admin(), path.clone());
        async move { client.patch(&path, change(n)).await }
    })
    .await;
    assert_eq!(count(&answers, 200, &[]), RIVALS);
    let last = app.admin().get(&path).await.json();
    assert!(
        answers.iter().any(|answer| answer.json() == last),
        "the state is one that somebody asked for: {last}"
    );
}

#[tokio::test]
async fn an_update_of_what_is_being_deleted_is_whole_or_not_at_all() {
    let app = TestApp::new().await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    let answers = at_once(|n| {
        let (client, path) = (app.admin(), path.clone());
        async move {
            if n == RIVALS / 2 {
                client.delete(&path).await
            } else {
                client.patch(&path, json!({ "flow_set": [flow_set_entry(&format!("flow-{n}"))] })).await
            }
        }
    })
    .await;
    assert_eq!(count(&answers, 204, &[200, 404]), 1);
    app.admin().get(&path).await.status(404);
    for n in 0..RIVALS {
        assert_eq!(app.bindings(&format!("flow-{n}")).await, [], "a binding of a stage that is gone");
    }
}
