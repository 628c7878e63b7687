//! With `synchronous_commit = off` PostgreSQL may lose its last commits when one of its processes dies, and gives their
//! transactions' ids again. What was read of a lost commit mustn't be taken for what the next one holds.

use std::convert::Infallible;
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};
use sqlx::Connection;

use crate::alone;
use crate::postgres::{Postgres, Scratch};
use crate::relay::Relay;
use crate::server::Server;

const PREFIX: &str = "ak-stages-lost-commit-";
const STAGES: &str = "/api/v3/stages/user_write/";
/// Nothing is flushed before its commit is old.
const SETTINGS: [&str; 3] = ["synchronous_commit=off", "wal_writer_delay=10s", "wal_writer_flush_after=1GB"];
/// Each try finds the commit lost, unless PostgreSQL's ten seconds end within it.
const TRIES: usize = 5;

struct Stage<'a> {
    server: &'a Server,
    path: String,
}

impl Stage<'_> {
    fn made(server: &Server) -> Stage<'_> {
        let answer = server.ask("POST", STAGES, &json!({ "name": "a stage" }).to_string()).unwrap();
        assert_eq!(answer.status, 201, "{}", answer.body);
        Stage { server, path: format!("{STAGES}{}/", answer.pk()) }
    }

    fn write(&self, value: &str) {
        self.ask("PATCH", &json!({ "user_path_template": value }).to_string());
    }

    fn read(&self) -> String {
        let stage: Value = serde_json::from_str(&self.ask("GET", "")).unwrap();
        stage["user_path_template"].as_str().unwrap().to_owned()
    }

    /// Ask for it until the server has found the database again: the answer's body.
    fn ask(&self, method: &str, body: &str) -> String {
        loop {
            let answer = self.server.ask(method, &self.path, body).unwrap();
            if answer.status != 503 {
                assert_eq!(answer.status, 200, "{}", answer.body);
                return answer.body;
            }
        }
    }
}

/// What the database holds of the only stage, and its snapshot.
fn held(postgres: &Postgres) -> (String, String) {
    let select = "SELECT user_path_template::text, pg_current_snapshot()::text \
                  FROM authentik_stages_user_write_userwritestage";
    postgres.with(async |connection| sqlx::query_as(select).fetch_one(connection).await).unwrap()
}

/// Kill one of its processes, at which it ends all the others and recovers.
fn crash(postgres: &mut Postgres) {
    let backend = postgres.backends()[0];
    let cut: sqlx::Result<Infallible> = postgres.with(async |connection| {
        kill_process(backend, Signal::KILL).unwrap();
        loop {
            connection.ping().await?;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    cut.unwrap_err();
    postgres.returned();
}

#[test]
fn what_a_lost_commit_held_is_forgotten() {
    let _alone = alone();
    let scratch = Scratch::new(PREFIX);
    let mut postgres = Postgres::start(Postgres::options(scratch.path(), &SETTINGS));
    let relay = Relay::to(postgres.socket());
    let server = Server::new(scratch.path(), "server", relay.address());
    server.start();
    let stage = Stage::made(&server);
    let is_lost = (0..TRIES).any(|_| {
        stage.write("before");
        postgres.execute(&["CHECKPOINT"]);
        stage.write("lost");
        let remembered = [stage.read(), stage.read()];
        assert_eq!(remembered, ["lost", "lost"]);
        let (_, of_the_lost) = held(&postgres);
        crash(&mut postgres);
        // Not asked of the server, which would forget what it had remembered.
        let (now, _) = held(&postgres);
        stage.write("after");
        let (_, of_the_next) = held(&postgres);
        assert_eq!(stage.read(), "after");
        now == "before" && of_the_next == of_the_lost
    });
    assert!(is_lost, "no commit was lost whose transaction's id was given again");
}
