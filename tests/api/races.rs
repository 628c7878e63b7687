//! Requests at the same time: one of them wins, the others are told, and none fails.

use std::time::Duration;

use drf::action::{Method, Route};
use drf::field::Place;
use rstest::rstest;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::time::timeout;

use crate::laws::FIXED;
use crate::support::{
    Answer, Client, EMAIL, INVITATION, INVITATION_STAGE, TestApp, USER_WRITE, declared, flow_set_entry,
};

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

#[rstest]
#[case::of_a_new_object(Method::Post)]
#[case::of_another_object(Method::Patch)]
#[tokio::test]
async fn a_text_that_is_taken_between_check_and_write_is_told_as_one_that_was_taken_before(
    #[case] method: Method,
) {
    let app = TestApp::new().await;
    let mut tried = Vec::new();
    for resource in declared().iter().filter(|resource| resource.does(Method::Post, Route::LIST)) {
        for field in resource.writable().filter(|field| field.unique.is_some()) {
            if method == Method::Patch && FIXED.contains(&(resource.model.name, field.name)) {
                continue;
            }
            let table = match field.place {
                Place::Parent => resource.table.parent.unwrap().name,
                _ => resource.table.name,
            };
            let (first, second) = app.two_numbers();
            let winner = app.body(resource.writable(), first).await;
            let (path, loser) = match method {
                Method::Post => {
                    let mut loser = app.body(resource.writable(), second).await;
                    loser[field.name] = winner[field.name].clone();
                    (resource.path.to_owned(), loser)
                }
                _ => {
                    let other = app.row(resource, second).await;
                    (resource.path_of(&other), json!({ field.name: winner[field.name] }))
                }
            };
            let commits = app.hold_commits(table).await;
            let winner = tokio::spawn(post(app.admin(), resource.path, winner));
            commits.one_waits().await;
            let client = app.admin();
            let loser = tokio::spawn(async move { client.send_json(method.name(), &path, &loser).await });
            app.so_many_wait_for_locks(2).await;
            commits.release().await;
            winner.await.unwrap().status(201);
            let before = app.contents().await;
            loser.await.unwrap().is(400, json!({ field.name: [field.unique] }));
            assert_eq!(app.contents().await, before, "the refused request leaves nothing");
            tried.push((resource.path, field.name));
        }
    }
    for known in [(EMAIL, "name"), ("/flows/instances/", "slug"), ("/core/users/", "username")] {
        assert!(tried.contains(&known), "{tried:?}");
    }
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
    let orders: Vec<_> = app.bindings("busy").await.into_iter().map(|(_, order)| order).collect();
    assert_eq!(orders, [0, 10, 20, 30, 40, 50, 60, 70]);
}

#[tokio::test]
async fn a_stage_is_bound_behind_one_whose_commit_is_under_way() {
    let app = TestApp::new().await;
    app.flow("busy").await;
    let commits = app.hold_commits("authentik_flows_flowstagebinding").await;
    let bind = |name: &str| {
        tokio::spawn(post(app.admin(), EMAIL, json!({ "name": name, "flow_set": [flow_set_entry("busy")] })))
    };
    let first = bind("first");
    commits.one_waits().await;
    let second = bind("second");
    app.so_many_wait_for_locks(2).await;
    commits.release().await;
    let (first, second) = (first.await.unwrap().status(201).pk(), second.await.unwrap().status(201).pk());
    assert_eq!(app.bindings("busy").await, [(first, 0), (second, 10)]);
}

#[tokio::test]
async fn flows_that_two_requests_name_in_opposite_orders_do_no_harm() {
    let app = TestApp::new().await;
    app.flow("one").await;
    app.flow("two").await;
    let slugs = |n: usize| if n.is_multiple_of(2) { ["one", "two"] } else { ["two", "one"] };
    for round in 0..10 {
        let body = |n| {
            let flows = slugs(n).map(flow_set_entry);
            json!({ "name": format!("stage {round}-{n}"), "flow_set": flows })
        };
        let answers = at_once(|n| post(app.admin(), EMAIL, body(n))).await;
        assert_eq!(count(&answers, 201, &[]), RIVALS);
    }
}

/// Whoever waits for the first of them holds none of the others.
#[rstest]
#[case(["one", "two"])]
#[case(["two", "one"])]
#[tokio::test]
async fn flows_are_locked_in_the_order_of_their_keys(#[case] named: [&str; 2]) {
    let app = TestApp::new().await;
    let mut flows = [app.flow("one").await, app.flow("two").await];
    flows.sort();
    let lock = "SELECT 1 FROM authentik_flows_flow WHERE flow_uuid = $1 FOR NO KEY UPDATE SKIP LOCKED";
    let mut rival = app.pool.begin().await.unwrap();
    sqlx::query(lock).bind(flows[0]).execute(&mut *rival).await.unwrap();
    let body = json!({ "name": "a stage", "flow_set": named.map(flow_set_entry) });
    let waiting = tokio::spawn(post(app.admin(), EMAIL, body));
    app.somebody_waits_for_a_lock().await;
    let done = sqlx::query(lock).bind(flows[1]).execute(&mut *rival).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "the second flow is free");
    rival.rollback().await.unwrap();
    waiting.await.unwrap().status(201);
}

/// Let rows of this table be read and locked, and not be written.
async fn block_writes(app: &TestApp, table: &str) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut blocker = app.pool.begin().await.unwrap();
    let lock = format!("LOCK TABLE {table} IN SHARE MODE");
    sqlx::query(AssertSqlSafe(lock)).execute(&mut *blocker).await.unwrap();
    blocker
}

#[tokio::test]
async fn what_points_at_a_flow_can_be_made_while_the_flow_is_changed() {
    let app = TestApp::new().await;
    let flow = app.flow("busy").await;
    let stage = app.admin().create(EMAIL, "a stage").await;
    let blocker = block_writes(&app, "authentik_flows_flow").await;
    let client = app.admin();
    let changing = tokio::spawn(async move {
        client.patch("/flows/instances/busy/", json!({ "title": "Another title" })).await
    });
    app.somebody_waits_for_a_lock().await;
    for (path, body) in [
        (INVITATION, json!({ "name": "an-invitation", "flow": flow })),
        ("/flows/bindings/", json!({ "target": flow, "stage": stage, "order": 0 })),
    ] {
        let made = timeout(Duration::from_secs(10), app.admin().post(path, body)).await;
        made.expect("nothing to wait for").status(201);
    }
    blocker.rollback().await.unwrap();
    changing.await.unwrap().status(200);
}

#[rstest]
#[case::changed(Method::Patch, true)]
#[case::replaced(Method::Put, true)]
#[case::deleted(Method::Delete, false)]
#[tokio::test]
async fn a_row_may_be_pointed_at_until_it_is_deleted(#[case] method: Method, #[case] may: bool) {
    let app = TestApp::new().await;
    app.flow("busy").await;
    let row = app.admin().get("/flows/instances/busy/").await.status(200).json();
    let blocker = block_writes(&app, "authentik_flows_flow").await;
    let client = app.admin();
    let waiting =
        tokio::spawn(async move { client.send_json(method.name(), "/flows/instances/busy/", &row).await });
    app.somebody_waits_for_a_lock().await;
    for (strength, expected) in [("KEY SHARE", may), ("SHARE", false)] {
        let lock = format!("SELECT TRUE FROM authentik_flows_flow FOR {strength} SKIP LOCKED");
        let free: Option<bool> =
            sqlx::query_scalar(AssertSqlSafe(lock)).fetch_optional(&app.pool).await.unwrap();
        assert_eq!(free.is_some(), expected, "FOR {strength} is possible");
    }
    blocker.rollback().await.unwrap();
    let answer = waiting.await.unwrap();
    assert!(answer.status < 300, "{answer}");
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
