//! What the server remembers of earlier reads is never older than the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::task::JoinHandle;

use crate::support::{Answer, Client, EMAIL, INVITATION, Person, Statements, TestApp, USER_WRITE};

async fn execute(pool: &PgPool, statement: &str) {
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(pool).await.unwrap();
}

/// Read, so that it is remembered.
async fn warm(client: &Client, path: &str) -> Value {
    client.get(path).await.status(200);
    client.get(path).await.status(200).json()
}

/// The statement of a read that found all it could, which begins like this. The snapshot is the cluster's, and other tests
/// write to it all the time: so it is tried until one was quick enough.
async fn undisturbed(app: &TestApp, path: &str, beginning: &str) {
    let statements = Statements::watch();
    let mut seen = Vec::new();
    for _ in 0..2000 {
        app.admin().get(path).await.status(200);
        seen = statements.take();
        if seen.len() == 1 && seen[0].starts_with(beginning) {
            return;
        }
    }
    panic!("{path} {seen:#?}")
}

#[tokio::test]
async fn what_is_remembered_takes_one_statement() {
    let app = TestApp::new().await;
    let pk = app.admin().create(EMAIL, "a stage").await;
    app.admin().create(INVITATION, "an-invitation").await;
    for path in
        [format!("{EMAIL}{pk}/"), EMAIL.to_owned(), format!("{EMAIL}?name=none"), INVITATION.to_owned()]
    {
        undisturbed(&app, &path, "SELECT pg_current_snapshot()::text").await;
    }
}

/// So many reads, begun at once.
fn at_once(app: &TestApp, path: &str, reads: usize) -> Vec<JoinHandle<Answer>> {
    let read = || {
        let (client, path) = (app.admin(), path.to_owned());
        tokio::spawn(async move { client.get(&path).await })
    };
    std::iter::repeat_with(read).take(reads).collect()
}

/// How many statements that begin like this so many reads take, begun at once.
async fn taken_at_once(
    app: &TestApp,
    path: &str,
    reads: usize,
    statements: &Statements,
    beginning: &str,
) -> usize {
    statements.take();
    for read in at_once(app, path, reads) {
        read.await.unwrap().status(200);
    }
    statements.take().iter().filter(|text| text.starts_with(beginning)).count()
}

#[tokio::test]
async fn reads_at_once_share_the_proof() {
    let app = TestApp::new().await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    let statements = Statements::watch();
    for _ in 0..200 {
        warm(&app.admin(), &path).await;
        if taken_at_once(&app, &path, 32, &statements, "SELECT pg_current_snapshot").await <= 2 {
            return;
        }
    }
    panic!("32 reads at once never did with two proofs");
}

#[tokio::test]
async fn what_reads_at_once_find_is_found_once() {
    let app = TestApp::new().await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    let statements = Statements::watch();
    for _ in 0..200 {
        warm(&app.admin(), &path).await;
        execute(&app.pool, "UPDATE authentik_flows_stage SET name = name").await;
        if taken_at_once(&app, &path, 32, &statements, "SELECT t.stage_ptr_id").await == 1 {
            return;
        }
    }
    panic!("32 reads at once never did with one look-up");
}

#[tokio::test]
async fn whoever_leaves_takes_nobody_along() {
    let app = TestApp::new().await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    for leaves in 0..64 {
        warm(&app.admin(), &path).await;
        let mut reads = at_once(&app, &path, 8);
        // The first one sends the statement; the others wait for it, or for the next.
        for _ in 0..leaves / 8 {
            tokio::task::yield_now().await;
        }
        reads.swap_remove(leaves % 8).abort();
        for read in reads {
            read.await.unwrap().status(200);
        }
    }
}

#[tokio::test]
async fn nothing_is_remembered_where_there_is_no_room() {
    let app = TestApp::with(|settings| settings.answer_cache = 0).await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    for path in [path.as_str(), EMAIL] {
        undisturbed(&app, path, "SELECT t.stage_ptr_id").await;
    }
}

#[tokio::test]
async fn what_somebody_else_changes_is_seen_at_once() {
    let app = TestApp::new().await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    for port in 100..150 {
        assert_ne!(warm(&app.admin(), &path).await["port"], port);
        match port % 3 {
            0 => {
                app.admin().patch(&path, json!({ "port": port })).await.status(200);
            }
            1 => {
                execute(&app.pool, &format!("UPDATE authentik_stages_email_emailstage SET port = {port}"))
                    .await;
            }
            _ => {
                let replica = app.replica();
                replica.patch(&path, json!({ "port": port })).await.status(200);
            }
        }
        assert_eq!(app.admin().get(&path).await.status(200).json()["port"], port);
        assert_eq!(app.admin().get(EMAIL).await.rows()[0]["port"], port);
    }
}

#[tokio::test]
async fn flows_of_a_stage_are_seen_at_once() {
    let app = TestApp::new().await;
    let flow = json!([{ "name": "a", "slug": "a", "title": "a", "designation": "enrollment" }]);
    let body = json!({ "name": "a stage", "flow_set": flow });
    let path = format!("{EMAIL}{}/", app.admin().post(EMAIL, body).await.status(201).pk());
    for title in ["one", "two", "three"] {
        warm(&app.admin(), &path).await;
        execute(&app.pool, &format!("UPDATE authentik_flows_flow SET title = '{title}'")).await;
        assert_eq!(app.admin().get(&path).await.json()["flow_set"][0]["title"], title);
    }
}

/// Each takes a right away, and gives it back.
#[rstest]
#[case::the_token(
    "UPDATE authentik_core_token SET key = 'another' WHERE key = 'reader'",
    "UPDATE authentik_core_token SET key = 'reader' WHERE key = 'another'"
)]
#[case::its_intent(
    "UPDATE authentik_core_token SET intent = 'recovery' WHERE key = 'reader'",
    "UPDATE authentik_core_token SET intent = 'api' WHERE key = 'reader'"
)]
#[case::its_life(
    "UPDATE authentik_core_token SET expiring = TRUE, expires = '2020-01-01' WHERE key = 'reader'",
    "UPDATE authentik_core_token SET expiring = FALSE WHERE key = 'reader'"
)]
#[case::the_user(
    "UPDATE authentik_core_user SET is_active = FALSE WHERE username = 'reader'",
    "UPDATE authentik_core_user SET is_active = TRUE WHERE username = 'reader'"
)]
#[case::the_role(
    "UPDATE authentik_core_user_roles SET role_id = (SELECT uuid FROM authentik_rbac_role WHERE name = 'none') \
     WHERE user_id = (SELECT id FROM authentik_core_user WHERE username = 'reader')",
    "UPDATE authentik_core_user_roles SET role_id = \
     (SELECT uuid FROM authentik_rbac_role WHERE name = 'peer-reader-role') \
     WHERE user_id = (SELECT id FROM authentik_core_user WHERE username = 'reader')"
)]
#[case::the_permission(
    "UPDATE guardian_rolemodelpermission SET role_id = (SELECT uuid FROM authentik_rbac_role WHERE name = 'none') \
     WHERE role_id = (SELECT uuid FROM authentik_rbac_role WHERE name = 'peer-reader-role')",
    "UPDATE guardian_rolemodelpermission SET role_id = \
     (SELECT uuid FROM authentik_rbac_role WHERE name = 'peer-reader-role') \
     WHERE role_id = (SELECT uuid FROM authentik_rbac_role WHERE name = 'none')"
)]
#[tokio::test]
async fn a_right_that_is_taken_away_is_gone_at_once(#[case] take: &str, #[case] give: &str) {
    let app = TestApp::new().await;
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    let reader = app.enter(Person::named("reader").may("view_emailstage")).await;
    execute(&app.pool, "INSERT INTO authentik_rbac_role (uuid, name) VALUES (gen_random_uuid(), 'none')")
        .await;
    for _ in 0..20 {
        warm(&reader, &path).await;
        warm(&reader, EMAIL).await;
        // Within a subtransaction, too.
        execute(
            &app.pool,
            &format!("DO $$ BEGIN BEGIN {take}; EXCEPTION WHEN division_by_zero THEN NULL; END; END $$"),
        )
        .await;
        reader.get(&path).await.status(403);
        reader.get(EMAIL).await.status(403);
        execute(&app.pool, give).await;
        reader.get(&path).await.status(200);
    }
}

#[tokio::test]
async fn a_grant_on_one_object_that_is_taken_away_is_gone_at_once() {
    let app = TestApp::new().await;
    let (one, other) = (app.admin().create(EMAIL, "one").await, app.admin().create(EMAIL, "other").await);
    let reader = app.enter(Person::named("reader").may_on("view_emailstage", &one)).await;
    for (from, to) in [(&one, &other), (&other, &one), (&one, &other)] {
        let (seen, hidden) = (format!("{EMAIL}{from}/"), format!("{EMAIL}{to}/"));
        warm(&reader, &seen).await;
        reader.get(&hidden).await.status(404);
        execute(&app.pool, &format!("UPDATE guardian_roleobjectpermission SET object_pk = '{to}'")).await;
        reader.get(&seen).await.status(404);
        reader.get(&hidden).await.status(200);
        assert_eq!(reader.get(EMAIL).await.column("pk"), [json!(to)]);
    }
}

#[tokio::test]
async fn a_token_ends_although_it_is_remembered() {
    let app = TestApp::in_real_time().await;
    let reader = app.enter(Person::named("reader").may("view_emailstage")).await;
    let limit = "UPDATE authentik_core_token SET expiring = TRUE, expires = now() + interval '1 s' WHERE key = 'reader'";
    execute(&app.pool, limit).await;
    warm(&reader, EMAIL).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    reader.get(EMAIL).await.status(403);
}

#[tokio::test]
async fn a_prepared_transaction_counts_from_its_commit() {
    let app = TestApp::new().await;
    let path = format!("{USER_WRITE}{}/", app.admin().create(USER_WRITE, "a stage").await);
    for round in 0..5 {
        let before = warm(&app.admin(), &path).await["user_path_template"].clone();
        let (name, path_template) = (format!("round_{round}"), json!(format!("round/{round}")));
        let mut connection = app.pool.acquire().await.unwrap();
        for statement in [
            "BEGIN".to_owned(),
            format!(
                "UPDATE authentik_stages_user_write_userwritestage SET user_path_template = {}",
                path_template.to_string().replace('"', "'")
            ),
            format!("PREPARE TRANSACTION '{name}'"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await.unwrap();
        }
        assert_eq!(warm(&app.admin(), &path).await["user_path_template"], before);
        sqlx::raw_sql(AssertSqlSafe(format!("COMMIT PREPARED '{name}'")))
            .execute(&mut *connection)
            .await
            .unwrap();
        assert_eq!(app.admin().get(&path).await.json()["user_path_template"], path_template);
    }
}

/// Eight readers against somebody who changes a row and a right, and two who keep transactions open that they half roll
/// back, or none, where most answers are remembered ones: a read that began and ended between two acknowledged changes
/// shows the last one.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_is_older_than_the_last_acknowledged_change(#[values(2, 0)] others: u64) {
    const ROUNDS: u64 = 200;
    let app = Arc::new(TestApp::new().await);
    let path = format!("{EMAIL}{}/", app.admin().create(EMAIL, "a stage").await);
    let reader = app.enter(Person::named("reader").may("view_emailstage")).await;
    // Even: done. Odd: a change is under way.
    let (state, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let answered = Arc::new(AtomicU64::new(0));
    execute(&app.pool, "UPDATE authentik_stages_email_emailstage SET port = 0").await;
    let mut writers = Vec::new();
    for n in 0..others {
        let (pool, stop) = (app.pool.clone(), Arc::clone(&stop));
        writers.push(tokio::spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let mut transaction = pool.begin().await.unwrap();
                let write = "INSERT INTO authentik_core_group (group_uuid, name, attributes, is_superuser) \
                             VALUES (gen_random_uuid(), gen_random_uuid()::text, '{}', FALSE)";
                sqlx::query(write).execute(&mut *transaction).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1 + n)).await;
                if n == 0 {
                    transaction.commit().await.unwrap();
                } else {
                    transaction.rollback().await.unwrap();
                }
            }
        }));
    }
    let mut readers = Vec::new();
    for _ in 0..8 {
        let (client, path) = (reader.clone(), path.clone());
        let (state, stop, answered) = (Arc::clone(&state), Arc::clone(&stop), Arc::clone(&answered));
        readers.push(tokio::spawn(async move {
            let (mut reads, mut judged) = (0_u64, 0_u64);
            while !stop.load(Ordering::SeqCst) {
                let before = state.load(Ordering::SeqCst);
                let answer = client.get(&path).await;
                answered.fetch_add(1, Ordering::SeqCst);
                reads += 1;
                tokio::task::yield_now().await; // whatever a read waits for
                if before % 2 == 1 || state.load(Ordering::SeqCst) != before {
                    continue;
                }
                judged += 1;
                // Every fourth round the right is gone.
                if before / 2 % 4 == 3 {
                    assert_eq!(answer.status, 403, "round {before}: {answer}");
                } else {
                    assert_eq!(answer.status, 200, "round {before}: {answer}");
                    assert_eq!(answer.json()["port"], before / 2, "round {before}: {answer}");
                }
            }
            (reads, judged)
        }));
    }
    for round in 1..=ROUNDS {
        state.fetch_add(1, Ordering::SeqCst);
        let mut change = app.pool.begin().await.unwrap();
        let active = round % 4 != 3;
        sqlx::query("UPDATE authentik_core_user SET is_active = $1 WHERE username = 'reader'")
            .bind(active)
            .execute(&mut *change)
            .await
            .unwrap();
        sqlx::query("UPDATE authentik_stages_email_emailstage SET port = $1")
            .bind(i32::try_from(round).unwrap())
            .execute(&mut *change)
            .await
            .unwrap();
        change.commit().await.unwrap();
        state.fetch_add(1, Ordering::SeqCst);
        // Eight may have begun before; of the next eight at least some begin and end now.
        let enough = answered.load(Ordering::SeqCst) + 16;
        while answered.load(Ordering::SeqCst) < enough
            && !readers.iter().any(tokio::task::JoinHandle::is_finished)
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    let mut all = (0, 0);
    for reader in readers {
        let (reads, judged) = reader.await.unwrap();
        all = (all.0 + reads, all.1 + judged);
    }
    assert!(all.1 > ROUNDS, "{} reads, of which {} could be judged", all.0, all.1);
}
