//! How often a write goes to the database: no more often for several flows than for one.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Client, EMAIL, INVITATION, Statements, TestApp, flow_set_entry};

fn entries(slugs: &[&str]) -> Value {
    slugs.iter().map(|slug| flow_set_entry(slug)).collect()
}

/// What a write takes of the database, on a connection that is there.
struct Write {
    answer: Value,
    statements: Vec<String>,
}

async fn write(client: &Client, method: &str, path: &str, body: Value) -> Write {
    client.get(EMAIL).await.status(200);
    let watched = Statements::watch();
    let answer = client.send_json(method, path, &body).await;
    let statements = watched.take();
    assert!(answer.status < 300, "{answer}");
    Write { answer: answer.json(), statements }
}

/// Whether a transaction was begun and committed, and once. A single statement that writes needs none.
fn in_a_transaction(statements: &[String]) -> bool {
    let of = |wanted: &str| statements.iter().filter(|statement| *statement == wanted).count();
    let writes = statements.iter().filter(|statement| {
        ["INSERT INTO", "UPDATE ", "DELETE FROM"].iter().any(|verb| statement.contains(verb))
    });
    match (of("BEGIN"), of("COMMIT")) {
        (1, 1) => statements.last().unwrap() == "COMMIT",
        (0, 0) if writes.count() == 1 => false,
        _ => panic!("{statements:#?}"),
    }
}

#[rstest]
#[case::without_flows(&[], 3)]
#[case::in_one_flow(&["one"], 3)]
#[case::in_three_flows(&["one", "two", "three"], 3)]
#[case::in_a_flow_twice(&["one", "two", "one"], 3)]
#[case::with_a_flow_of_its_own(&["one", "new"], 6)]
#[case::with_three_flows_of_its_own(&["new", "one", "newer", "newest"], 6)]
#[tokio::test]
async fn a_new_stage_takes_so_many_round_trips(#[case] slugs: &[&str], #[case] most: usize) {
    let app = TestApp::new().await;
    for slug in ["one", "two", "three"] {
        app.flow(slug).await;
    }
    for number in 0..3 {
        // A flow that there is not yet has another slug each time.
        let slugs: Vec<String> = slugs
            .iter()
            .map(|slug| if slug.starts_with("new") { format!("{slug}-{number}") } else { (*slug).to_owned() })
            .collect();
        let slugs: Vec<&str> = slugs.iter().map(String::as_str).collect();
        let body = json!({ "name": format!("stage {number}"), "flow_set": entries(&slugs) });
        let made = write(&app.admin(), "POST", EMAIL, body).await;
        assert!(made.statements.len() <= most, "{:#?}", made.statements);
        assert_eq!(in_a_transaction(&made.statements), most > 3, "{:#?}", made.statements);
        let path = format!("{EMAIL}{}/", made.answer["pk"].as_str().unwrap());
        app.admin().get(&path).await.is(200, made.answer);
    }
}

#[tokio::test]
async fn a_new_invitation_takes_four_round_trips_and_one_for_its_flow() {
    let app = TestApp::new().await;
    let flow = app.flow("one").await;
    for (flow, most) in [(json!(null), 4), (json!(flow), 6)] {
        let body = json!({ "name": "an-invitation", "flow": flow, "fixed_data": { "n": 1 } });
        let made = write(&app.admin(), "POST", INVITATION, body).await;
        assert!(made.statements.len() <= most, "{:#?}", made.statements);
        assert!(in_a_transaction(&made.statements));
        let path = format!("{INVITATION}{}/", made.answer["pk"].as_str().unwrap());
        app.admin().get(&path).await.is(200, made.answer);
    }
}

#[rstest]
#[case::of_a_field(json!({ "port": 26 }), 6)]
#[case::of_a_name(json!({ "name": "another" }), 7)]
#[tokio::test]
async fn a_change_takes_so_many_round_trips(#[case] change: Value, #[case] most: usize) {
    let app = TestApp::new().await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    let changed = write(&app.admin(), "PATCH", &path, change).await;
    assert!(changed.statements.len() <= most, "{:#?}", changed.statements);
    assert!(in_a_transaction(&changed.statements));
    app.admin().get(&path).await.is(200, changed.answer);
}

#[rstest]
#[case::existing(&["one"], &["one", "two", "three"])]
#[case::new(&["new"], &["new", "newer", "newest"])]
#[tokio::test]
async fn more_flows_take_no_more_round_trips_of_an_update(#[case] few: &[&str], #[case] many: &[&str]) {
    let app = TestApp::new().await;
    for slug in ["one", "two", "three"] {
        app.flow(slug).await;
    }
    let mut taken = Vec::new();
    for (name, slugs) in [("a stage", few), ("another", many)] {
        let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, name).await);
        let slugs: Vec<String> = slugs.iter().map(|slug| format!("{slug}{}", suffix(slug, name))).collect();
        let slugs: Vec<&str> = slugs.iter().map(String::as_str).collect();
        let changed = write(&app.admin(), "PATCH", &path, json!({ "flow_set": entries(&slugs) })).await;
        app.admin().get(&path).await.is(200, changed.answer);
        taken.push(changed.statements.len());
    }
    assert_eq!(taken[0], taken[1]);
}

/// Makes the slug of a flow that there is not yet another one for each stage.
fn suffix(slug: &str, stage: &str) -> String {
    if slug.starts_with("new") { format!("-of-{}", stage.replace(' ', "-")) } else { String::new() }
}

#[tokio::test]
async fn what_can_not_be_written_waits_for_no_flow() {
    let app = TestApp::new().await;
    let flow = app.flow("busy").await;
    let mut rival = app.pool.begin().await.unwrap();
    let lock = "SELECT 1 FROM authentik_flows_flow WHERE flow_uuid = $1 FOR NO KEY UPDATE";
    sqlx::query(lock).bind(flow).execute(&mut *rival).await.unwrap();
    let body = json!({ "name": "a stage", "port": "x", "flow_set": entries(&["busy"]) });
    app.admin().post(EMAIL, body).await.status(400);
    rival.rollback().await.unwrap();
}

/// A flow that is renamed or deleted while a request waits for it is none of that name any more: the request makes one.
/// The request comes before a change that isn't committed yet: the flow is what it was, or the two are in conflict.
#[rstest]
#[case::renamed("UPDATE authentik_flows_flow SET slug = 'renamed'", 201)]
#[case::deleted("DELETE FROM authentik_flows_flow", 409)]
#[tokio::test]
async fn a_flow_may_go_while_a_request_waits_for_it(#[case] change: &'static str, #[case] status: u16) {
    let app = TestApp::new().await;
    let flow = app.flow("wanted").await;
    let mut rival = app.pool.begin().await.unwrap();
    sqlx::query(change).execute(&mut *rival).await.unwrap();
    let client = app.admin();
    let body = json!({ "name": "a stage", "flow_set": entries(&["wanted"]) });
    let waiting = tokio::spawn(async move { client.post(EMAIL, body).await });
    app.somebody_waits_for_a_lock().await;
    rival.commit().await.unwrap();
    let answer = waiting.await.unwrap().status(status);
    let stages = app.admin().get(EMAIL).await.json()["results"].take();
    if status == 201 {
        assert_eq!(answer.json()["flow_set"][0]["pk"], json!(flow));
        assert_eq!(stages[0]["flow_set"][0]["pk"], json!(flow));
    } else {
        assert_eq!(stages, json!([]));
    }
}
