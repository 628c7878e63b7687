//! Mail that goes through the SMTP server of an email stage.

use std::time::{Duration, Instant};

use ak_stages::config::Settings;
use rstest::rstest;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{EMAIL, INVITATION, Program, Smtp, TestApp, database_of, empty_database};

/// A running server that delivers, and an invitation to write about.
pub struct Deliveries {
    server: Program,
    pool: PgPool,
    path: String,
}

impl Deliveries {
    /// A server on a database of its own that sends through `smtp`, with these settings beside.
    pub async fn begin(smtp: &Smtp, more: &[(&'static str, String)]) -> Self {
        let mut environment = empty_database().await;
        environment.push(("AUTHENTIK_BOOTSTRAP_TOKEN", "admin".to_owned()));
        environment.push(("AUTHENTIK_LOG_LEVEL", "trace".to_owned()));
        environment.extend(smtp.environment());
        environment.extend_from_slice(more);
        let server = Program::serve(&environment);
        let mut this = Self { server, pool: database_of(&environment), path: String::new() };
        let flow =
            json!({ "name": "Enroll", "slug": "enroll", "title": "Welcome", "designation": "enrollment" });
        let flow = this.call("POST", "/flows/instances/", &flow, 201);
        let body = json!({ "name": "welcome", "flow": flow["pk"], "expires": "2100-01-01T00:00:00Z" });
        let pk = this.call("POST", INVITATION, &body, 201)["pk"].take();
        this.path = format!("{INVITATION}{}/", pk.as_str().unwrap());
        this
    }

    fn call(&self, method: &str, path: &str, body: &Value, expected: u16) -> Value {
        let path = format!("/api/v3{path}");
        let (status, answer) = self.server.request(method, &path, "admin", &body.to_string()).unwrap();
        assert_eq!(status, expected, "{method} {path}: {answer}");
        serde_json::from_str(&answer).unwrap_or_default()
    }

    /// `send_email/` with this body.
    pub fn send(&self, body: &Value) {
        self.call("POST", &format!("{}send_email/", self.path), body, 204);
    }

    /// Wait until the message to this address is in this state, and give what is shown of it.
    pub async fn wait_until(&self, state: &str, address: &str) -> Value {
        let started = Instant::now();
        loop {
            let messages = self.call("GET", &format!("{}messages/", self.path), &json!({}), 200);
            let messages = messages.as_array().unwrap();
            let message = messages.iter().find(|message| message["address"] == address).unwrap();
            if message["state"] == state {
                return message.clone();
            }
            assert!(started.elapsed() < Duration::from_mins(1), "{message}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the server logged.
    pub fn log(&self) -> String {
        self.server.stderr()
    }
}

/// The settings that let stages name this server.
fn may_name(smtp: &Smtp) -> [(&'static str, String); 1] {
    [("AUTHENTIK_STAGES__EMAIL_HOSTS", format!("127.0.0.1:{}", smtp.port()))]
}

/// A stage of this server.
fn stage(smtp: &Smtp) -> Value {
    json!({
        "name": "own", "host": "127.0.0.1", "port": smtp.port(), "username": "mailer", "password": "wrong",
        "from_address": "stage@example.com",
    })
}

/// The password is read when the mail is sent, so a stage that is mended sends what waits.
#[tokio::test]
async fn a_mail_goes_through_the_server_of_its_stage() {
    let (global, own) = (Smtp::start(), Smtp::start());
    let delivered = Deliveries::begin(&global, &may_name(&own)).await;
    let stage = delivered.call("POST", EMAIL, &stage(&own), 201)["pk"].take();
    delivered.send(&json!({ "email_addresses": ["one@example.org"], "stage": stage }));
    let failed = delivered.wait_until("failed", "one@example.org").await;
    assert_eq!(failed["reply"], "permanent error (535): 5.7.8 no, PLAIN ***");
    let place = format!("{EMAIL}{}/", stage.as_str().unwrap());
    delivered.call("PATCH", &place, &json!({ "password": "stage-secret-1" }), 200);
    delivered.wait_until("sent", "one@example.org").await;
    assert_eq!(own.credentials().last().unwrap(), "PLAIN AG1haWxlcgBzdGFnZS1zZWNyZXQtMQ==");
    let taken = own.taken();
    assert_eq!((taken.len(), taken[0].from.as_str()), (1, "<stage@example.com>"));
    assert_eq!(taken[0].header("From").as_deref(), Some("stage@example.com"));
    assert_eq!(global.connections(), 0);

    // Without a stage the global server sends; the sender may be another.
    delivered.send(&json!({ "email_addresses": ["two@example.org"] }));
    delivered.wait_until("sent", "two@example.org").await;
    assert_eq!(global.taken().len(), 1);
    let body =
        json!({ "email_addresses": ["three@example.org"], "stage": stage, "from_address": "x@example.com" });
    delivered.send(&body);
    delivered.wait_until("sent", "three@example.org").await;
    assert_eq!(own.taken()[1].from, "<x@example.com>");

    let outbox: Vec<Value> = sqlx::query_scalar(
        "SELECT to_jsonb(l) FROM ak_stages.mail l UNION ALL SELECT to_jsonb(m) FROM ak_stages.message m",
    )
    .fetch_all(&delivered.pool)
    .await
    .unwrap();
    assert_eq!(outbox.len(), 6);
    let log = delivered.log();
    for secret in ["stage-secret-1", "AG1haWxlcgBzdGFnZS1zZWNyZXQtMQ=="] {
        assert!(outbox.iter().all(|row| !row.to_string().contains(secret)), "{secret} is in the outbox");
        assert_eq!(log.lines().find(|line| line.contains(secret)), None, "{secret} is in the log");
    }
}

#[tokio::test]
async fn a_mail_whose_stage_is_gone_is_dead() {
    let (global, own) = (Smtp::start(), Smtp::start());
    let delivered = Deliveries::begin(&global, &may_name(&own)).await;
    let stage = delivered.call("POST", EMAIL, &stage(&own), 201)["pk"].take();
    delivered.send(&json!({ "email_addresses": ["one@example.org"], "stage": stage }));
    delivered.wait_until("failed", "one@example.org").await;
    delivered.call("DELETE", &format!("{EMAIL}{}/", stage.as_str().unwrap()), &json!({}), 204);
    let dead = delivered.wait_until("dead", "one@example.org").await;
    assert_eq!(dead["reply"], "The email stage is gone.");
    assert_eq!((global.taken().len(), own.taken().len()), (0, 0));
}

/// A stage's server may take longer than the global one: as long as it does, nobody else sends the mail again.
#[tokio::test]
async fn a_patient_stage_has_the_time_that_it_says() {
    let (global, own) = (Smtp::start(), Smtp::start());
    let delivered = Deliveries::begin(&global, &may_name(&own)).await;
    let mut patient = stage(&own);
    (patient["password"], patient["timeout"]) = (json!("right"), json!(100));
    let stage = delivered.call("POST", EMAIL, &patient, 201)["pk"].take();
    delivered.send(&json!({ "email_addresses": ["stalled@example.org"], "stage": stage }));
    delivered.wait_until("sending", "stalled@example.org").await;
    let started = Instant::now();
    let lease = async || -> f64 {
        let select = "SELECT extract(epoch FROM due - now())::float8 FROM ak_stages.message";
        sqlx::query_scalar(select).fetch_one(&delivered.pool).await.unwrap()
    };
    while lease().await < 500.0 {
        assert!(started.elapsed() < Duration::from_secs(20), "{}", lease().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A server whose stages may name `mail.example.com:587`, and an invitation's path.
async fn app() -> (TestApp, String) {
    let set = [
        ("AUTHENTIK_STAGES__PUBLIC_URL", "https://id.example.com"),
        ("AUTHENTIK_STAGES__EMAIL_HOSTS", "mail.example.com:587"),
    ];
    let value = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned());
    let mail = Settings::read(value).unwrap().mail;
    let app = TestApp::with(|settings| settings.mail = mail).await;
    let body = json!({ "name": "welcome", "flow": app.flow("enroll").await });
    let path =
        format!("{INVITATION}{}/send_email/", app.admin().post(INVITATION, body).await.status(201).pk());
    (app, path)
}

#[rstest]
#[case::of_another_host(
    json!({ "host": "evil.example", "port": 587 }),
    "Mail may not go through “evil.example:587”: AUTHENTIK_STAGES__EMAIL_HOSTS does not name it."
)]
#[case::of_another_port(
    json!({ "host": "mail.example.com", "port": 22 }),
    "Mail may not go through “mail.example.com:22”: AUTHENTIK_STAGES__EMAIL_HOSTS does not name it."
)]
#[case::of_no_port(
    json!({ "host": "mail.example.com", "port": 70_000 }),
    "Ensure this value is a port, from 0 to 65535."
)]
#[case::with_tls_twice(
    json!({ "host": "mail.example.com", "port": 587, "use_tls": true, "use_ssl": true }),
    "“use_tls” and “use_ssl” can't both be true."
)]
#[tokio::test]
async fn a_stage(#[case] mut settings: Value, #[case] sentence: &str) {
    let (app, path) = app().await;
    settings["name"] = json!("own");
    let stage = app.admin().post(EMAIL, settings).await.status(201).pk();
    let body = json!({ "email_addresses": ["one@example.org"], "stage": stage });
    app.admin().post(&path, body).await.is(400, json!({ "stage": [sentence] }));
}

#[tokio::test]
async fn a_stage_that_the_caller_does_not_see_is_none() {
    let (app, path) = app().await;
    let stage = json!({ "name": "own", "host": "mail.example.com", "port": 587 });
    let stage = app.admin().post(EMAIL, stage).await.status(201).pk();
    let body = |stage: &Value| json!({ "email_addresses": ["one@example.org"], "stage": stage });
    let sentence = |key: &str| json!({ "stage": [format!("Invalid pk \"{key}\" - object does not exist.")] });
    let host = app.someone_who_may(&["view_invitation", "add_invitation"]).await;
    host.post(&path, body(&json!(stage))).await.is(400, sentence(&stage));
    let seeing = app.someone_who_may(&["view_invitation", "add_invitation", "view_emailstage"]).await;
    seeing.post(&path, body(&json!(stage))).await.status(204);
    let nowhere = "0a0b0c0d-1111-4222-8333-0000abcdef01";
    seeing.post(&path, body(&json!(nowhere))).await.is(400, sentence(nowhere));
    seeing.post(&path, body(&json!("x"))).await.is(400, json!({ "stage": ["“x” is not a valid UUID."] }));
    seeing.post(&path, body(&json!(null))).await.status(204);
}

#[tokio::test]
async fn a_stage_of_the_global_server_has_its_sender() {
    let (app, path) = app().await;
    let stage = json!({ "name": "own", "use_global_settings": true, "from_address": "stage@example.com" });
    let stage = app.admin().post(EMAIL, stage).await.status(201).pk();
    let body = json!({ "email_addresses": ["one@example.org"], "stage": stage });
    app.admin().post(&path, body).await.status(204);
    let sender: String =
        sqlx::query_scalar("SELECT sender FROM ak_stages.mail").fetch_one(&app.pool).await.unwrap();
    assert_eq!(sender, "authentik@localhost");
}

/// Tables of an earlier version, beside authentik's, are brought up to date by what is printed.
#[tokio::test]
async fn tables_without_the_stage_say_what_to_do() {
    let (app, path) = app().await;
    sqlx::query("ALTER TABLE ak_stages.mail DROP COLUMN stage").execute(&app.pool).await.unwrap();
    let body = json!({ "email_addresses": ["one@example.org"] });
    app.admin().post(&path, body.clone()).await.status(501);
    let mut connection = app.pool.acquire().await.unwrap();
    let looked = ak_stages::db::extensions::look(&mut connection).await.unwrap();
    assert_eq!(looked, ak_stages::db::extensions::Extensions::Missing);
    let sql = ak_stages::db::extensions::sql(None);
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await.unwrap();
    drop(connection);
    app.admin().post(&path, body).await.status(204);
}
