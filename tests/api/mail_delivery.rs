//! What becomes of mail: the real program, and an SMTP server that is as bad as it has to be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rstest::rstest;
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{INVITATION, Program, Smtp, Taken, Welcome, database_of, empty_database};

/// The superuser's token.
pub const KEY: &str = "the-token-of-the-tests-of-mail";

/// The environment of a server with a database of its own, that sends through `smtp`.
pub async fn environment(smtp: &Smtp) -> Vec<(&'static str, String)> {
    let mut environment = empty_database().await;
    environment.push(("AUTHENTIK_BOOTSTRAP_TOKEN", KEY.to_owned()));
    environment.extend(smtp.environment());
    environment
}

/// What is answered to a request that has to have this status.
pub fn call(server: &Program, method: &str, path: &str, body: &Value, expected: u16) -> Value {
    let path = if path.starts_with("/api") { path.to_owned() } else { format!("/api/v3{path}") };
    let (status, answer) = server.request(method, &path, KEY, &body.to_string()).unwrap();
    assert_eq!(status, expected, "{method} {path}: {answer}");
    serde_json::from_str(&answer).unwrap_or_default()
}

/// The path of an invitation.
pub fn invitation(server: &Program) -> String {
    let flow = json!({ "name": "Enroll", "slug": "enroll", "title": "Welcome", "designation": "enrollment" });
    let flow = call(server, "POST", "/flows/instances/", &flow, 201);
    let body = json!({ "name": "welcome", "flow": flow["pk"], "expires": "2100-01-01T00:00:00Z" });
    format!("{INVITATION}{}/", call(server, "POST", INVITATION, &body, 201)["pk"].as_str().unwrap())
}

fn send(server: &Program, path: &str, addresses: &[String]) {
    call(server, "POST", &format!("{path}send_email/"), &json!({ "email_addresses": addresses }), 204);
}

/// Addresses with these names.
pub fn addresses(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("{name}@example.org")).collect()
}

/// The messages of an invitation by address, once none of them waits any more.
pub fn settled(server: &Program, path: &str) -> BTreeMap<String, Value> {
    let started = Instant::now();
    loop {
        let messages = call(server, "GET", &format!("{path}messages/"), &json!({}), 200);
        let messages = messages.as_array().unwrap();
        if messages.iter().all(|message| message["finished"].is_string()) {
            let by_address =
                |message: &Value| (message["address"].as_str().unwrap().to_owned(), message.clone());
            return messages.iter().map(by_address).collect();
        }
        assert!(started.elapsed() < Duration::from_mins(1), "{messages:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The key of the invitation at a path.
pub fn key_of(path: &str) -> String {
    path.trim_end_matches('/').rsplit('/').next().unwrap().to_owned()
}

fn count(taken: &[Taken], address: &str) -> usize {
    taken.iter().filter(|message| message.to == address).count()
}

#[tokio::test]
async fn everybody_gets_one_and_nobody_reads_the_secrets() {
    let smtp = Smtp::start();
    let mut environment = environment(&smtp).await;
    environment.extend([
        ("AUTHENTIK_EMAIL__USERNAME", "mailer".to_owned()),
        ("AUTHENTIK_EMAIL__PASSWORD", "very-secret-1".to_owned()),
        ("AUTHENTIK_LOG_LEVEL", "trace".to_owned()),
    ]);
    let server = Program::serve(&environment);
    let path = invitation(&server);
    let body = json!({
        "email_addresses": ["one@example.org", "zwei-ö@example.org"], "cc_addresses": ["Ö <cc@example.org>"],
        "bcc_addresses": ["bcc@example.org", "rude@example.org"], "subject": "Grüße",
    });
    call(&server, "POST", &format!("{path}send_email/"), &body, 204);
    let messages = settled(&server, &path);
    let taken = smtp.wait_for(|taken| taken.len() >= 4);
    let to: BTreeSet<_> = taken.iter().map(|message| message.to.as_str()).collect();
    assert_eq!(
        to,
        BTreeSet::from(["bcc@example.org", "cc@example.org", "one@example.org", "zwei-ö@example.org"])
    );
    assert_eq!(taken.len(), 4);
    for message in &taken {
        let other_script = message.from.contains("SMTPUTF8");
        assert_eq!(other_script, message.to.starts_with("zwei"), "{}", message.from);
        assert!(message.from.starts_with("<id@example.com>"), "{}", message.from);
        assert_eq!(message.header("Subject").as_deref(), Some("=?utf-8?b?R3LDvMOfZQ==?="));
        assert!(!message.data.contains("bcc@example.org"), "{}", message.data);
        assert!(message.data.contains("multipart/alternative"), "{}", message.data);
    }
    let ids: BTreeSet<_> = taken.iter().map(|message| message.header("Message-ID").unwrap()).collect();
    assert_eq!(ids.len(), 4);
    assert_eq!(smtp.credentials()[0], "PLAIN AG1haWxlcgB2ZXJ5LXNlY3JldC0x");

    assert_eq!(messages["one@example.org"]["state"], "sent");
    assert_eq!(messages["one@example.org"]["reply"], "250 2.0.0 taken");
    let rude = &messages["rude@example.org"];
    assert_eq!((&rude["state"], &rude["attempts"]), (&json!("dead"), &json!(1)));
    let reply = rude["reply"].as_str().unwrap();
    assert!(reply.contains("no such thing as") && reply.contains("itoken=***"), "{reply}");
    let (log, key) = (server.stderr(), key_of(&path));
    assert!(log.contains("a mail was sent"), "{log}");
    for secret in [key.as_str(), &key.replace('-', ""), "very-secret-1", "AG1haWxlcgB2ZXJ5LXNlY3JldC0x"] {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
}

#[tokio::test]
async fn every_mail_arrives_or_is_dead_with_the_reason() {
    let smtp = Smtp::start();
    let mut environment = environment(&smtp).await;
    environment.push(("AUTHENTIK_STAGES__EMAIL_ATTEMPTS", "3".to_owned()));
    let server = Program::serve(&environment);
    let path = invitation(&server);
    let bad = addresses(&[
        "stalled",
        "refused",
        "busy",
        "dropped",
        "deaf",
        "always",
        "late",
        "mute",
        "endless",
        "leaving-1",
        "leaving-2",
    ]);
    send(&server, &path, &bad);
    let started = Instant::now();
    send(&server, &path, &addresses(&["good"]));
    smtp.wait_for(|taken| count(taken, "good@example.org") == 1);
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "one that stalls holds up nobody: {:?}",
        started.elapsed()
    );

    let messages = settled(&server, &path);
    let told = |name: &str| {
        let message = &messages[&format!("{name}@example.org")];
        let reply = message["reply"].as_str().unwrap().to_owned();
        (message["state"].as_str().unwrap(), message["attempts"].as_i64().unwrap(), reply)
    };
    assert_eq!(told("good"), ("sent", 1, "250 2.0.0 taken".to_owned()));
    for name in ["busy", "dropped", "deaf", "stalled", "late", "endless"] {
        assert_eq!(told(name), ("sent", 2, "250 2.0.0 taken".to_owned()), "{name}");
    }
    for name in ["refused", "mute"] {
        let (state, attempts, reply) = told(name);
        assert!(
            (state, attempts) == ("dead", 1) && reply.contains("nobody here"),
            "{name}: {state} {attempts} {reply}"
        );
    }
    let (state, attempts, reply) = told("always");
    assert!((state, attempts) == ("dead", 3) && reply.contains("not now"), "{state} {attempts} {reply}");

    let taken = smtp.taken();
    for name in ["good", "busy", "dropped", "stalled", "late", "endless", "leaving-1", "leaving-2"] {
        assert_eq!(count(&taken, &format!("{name}@example.org")), 1, "{name}");
    }
    // The 250 was lost: nobody can know. The second one has the first one's id.
    let ids: Vec<_> = taken.iter().filter(|message| message.to.starts_with("deaf")).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0].header("Message-ID"), ids[1].header("Message-ID"));
    let (_, most) = server.memory();
    assert!(most < 100, "an answer without an end takes {most} MB");
}

/// Whatever a server says before a message is spoken of is not the message's fault.
#[tokio::test]
async fn every_mail_arrives_once_whatever_the_first_connections_meet() {
    const FIRST: &[Welcome] = &[
        Welcome::Says(""),
        Welcome::Says("421 4.3.2 too many connections\r\n"),
        Welcome::Says("554 5.3.2 no service\r\n"),
        Welcome::Says("HTTP/1.1 400 Bad Request\r\n\r\n"),
        Welcome::Says("220 test\r\n502 5.5.1 no hello\r\n502 5.5.1 no hello\r\n"),
        Welcome::Silent,
        Welcome::Deaf,
    ];
    let smtp = Smtp::welcoming(FIRST);
    let server = Program::serve(&environment(&smtp).await);
    let path = invitation(&server);
    let names: Vec<_> = (0..FIRST.len()).map(|n| format!("good-{n}@example.org")).collect();
    send(&server, &path, &names);
    let messages = settled(&server, &path);
    assert!(messages.values().all(|message| message["state"] == "sent"), "{messages:#?}");
    let attempts: i64 = messages.values().map(|message| message["attempts"].as_i64().unwrap()).sum();
    assert!(attempts >= 2 * i64::try_from(FIRST.len()).unwrap(), "each met one of them: {attempts}");
    let taken = smtp.taken();
    for name in &names {
        assert_eq!(count(&taken, name), 1, "{name}");
    }
}

#[tokio::test]
async fn a_wrong_password_and_a_server_that_is_not_there_are_no_message_s_fault() {
    let smtp = Smtp::start();
    let mut wrong = environment(&smtp).await;
    wrong.extend([
        ("AUTHENTIK_EMAIL__USERNAME", "mailer".to_owned()),
        ("AUTHENTIK_EMAIL__PASSWORD", "wrong".to_owned()),
    ]);
    wrong.retain(|(name, _)| *name != "AUTHENTIK_STAGES__EMAIL_RETRY");
    let server = Program::serve(&wrong);
    let path = invitation(&server);
    send(&server, &path, &addresses(&["one"]));
    let state = || call(&server, "GET", &format!("{path}messages/"), &json!({}), 200)[0].clone();
    let started = Instant::now();
    let failed = loop {
        let message = state();
        if message["state"] == "failed" {
            break message;
        }
        assert!(started.elapsed() < Duration::from_mins(1), "{message}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(failed["reply"].as_str().unwrap().contains("535"), "{failed}");
    assert!(failed["next_attempt"].is_string(), "{failed}");

    let command = |arguments: &[&str]| {
        let output = Program::command(&wrong).args(arguments).output().unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let pk = failed["pk"].as_str().unwrap();
    let (done, listed) = command(&["mail", "list", "--state", "failed"]);
    assert!(done && listed.starts_with(pk) && listed.contains("one@example.org"), "{listed}");
    let (done, shown) = command(&["mail", "show", pk]);
    assert!(done && shown.contains("attempts      1\n") && shown.contains("535"), "{shown}");
    assert!(
        command(&["mail", "purge", "--older-than", "seconds=0"]).1.starts_with("0 mails"),
        "it still waits"
    );
    let (done, said) = command(&["mail", "retry", pk]);
    assert!(done, "{said}");
    // The running server has heard of it: it tries again long before it would have.
    let started = Instant::now();
    while smtp.credentials().len() < 2 {
        assert!(started.elapsed() < Duration::from_secs(20), "nobody tried");
        std::thread::sleep(Duration::from_millis(50));
    }
    sqlx::query("UPDATE ak_stages.message SET state = 'dead', due = NULL")
        .execute(&database_of(&wrong))
        .await
        .unwrap();
    assert!(command(&["mail", "purge", "--older-than", "seconds=0"]).1.starts_with("1 mails"));
    let (done, shown) = command(&["mail", "show", pk]);
    assert!(!done && shown.contains("there is no message"), "{shown}");
}

/// The servers are killed with mails on their way. None is lost, and one that comes twice has one id.
#[tokio::test]
async fn killed_servers_lose_no_mail() {
    const MAILS: usize = 60;
    let smtp = Smtp::start();
    let environment = environment(&smtp).await;
    let mut first = Program::serve(&environment);
    let mut second = Program::serve(&environment);
    let path = invitation(&first);
    let names: Vec<String> = (0..MAILS).map(|n| format!("slow-{n}@example.org")).collect();
    send(&first, &path, &names);
    smtp.wait_for(|taken| taken.len() >= 10);
    first.signal(Signal::KILL);
    first.wait();
    smtp.wait_for(|taken| taken.len() >= 25);
    second.signal(Signal::KILL);
    second.wait();
    assert!(smtp.taken().len() < MAILS, "they were killed in the middle");
    let last = Program::serve(&environment);
    let messages = settled(&last, &path);
    assert!(messages.values().all(|message| message["state"] == "sent"), "{messages:#?}");
    let taken = smtp.taken();
    for name in &names {
        let ids: BTreeSet<_> = taken
            .iter()
            .filter(|message| message.to == *name)
            .map(|message| message.header("Message-ID"))
            .collect();
        assert_eq!(ids.len(), 1, "{name}");
    }
    // No more come twice than were on their way at a time at the two that were killed.
    assert!(taken.len() <= MAILS + 16, "{} for {MAILS}", taken.len());
    assert!(smtp.connections() < taken.len(), "connections are used for more than one");
}

/// PostgreSQL cuts all connections again and again. What was sent is written down all the same, so nothing comes twice.
#[tokio::test]
async fn cut_connections_lose_no_mail_and_double_none() {
    const MAILS: usize = 60;
    let smtp = Smtp::start();
    let environment = environment(&smtp).await;
    let server = Program::serve(&environment);
    let path = invitation(&server);
    let names: Vec<String> = (0..MAILS).map(|n| format!("slow-{n}@example.org")).collect();
    send(&server, &path, &names);
    let pool = database_of(&environment);
    let mut cut = 0;
    while smtp.taken().len() < MAILS / 2 {
        let cuts: Vec<bool> = sqlx::query_scalar(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'ak-stages'",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        cut += cuts.len();
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    assert!(cut >= 3, "{cut}");
    let sent = async || {
        let select = sqlx::query_scalar("SELECT count(*) FROM ak_stages.message WHERE state = 'sent'");
        usize::try_from(select.fetch_one(&pool).await.unwrap_or(0_i64)).unwrap()
    };
    let started = Instant::now();
    while sent().await < MAILS {
        assert!(started.elapsed() < Duration::from_mins(1), "{} of {MAILS}", sent().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let taken = smtp.taken();
    for name in &names {
        assert_eq!(count(&taken, name), 1, "{name}");
    }
}

#[tokio::test]
async fn a_template_is_shown_without_being_sent() {
    let environment = [("AUTHENTIK_STAGES__EMAIL_LOCALE", "de".to_owned())];
    let preview = |arguments: &[&str]| {
        let output =
            Program::command(&environment).args(["mail", "preview"]).args(arguments).output().unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (done, html) = preview(&["invitation"]);
    assert!(done && html.starts_with("<!DOCTYPE html>") && html.contains("Einladung annehmen"), "{html}");
    let (done, text) = preview(&["email/invitation.html", "--text"]);
    assert!(done && text.contains("\nhttps://id.example.com/if/flow/enrollment/?itoken="), "{text}");
    let (done, said) = preview(&["nope.html"]);
    assert!(!done && said.contains("There is no template “nope.html”"), "{said}");
}

#[rstest]
#[case::whose_invitation_is_gone("DELETE FROM authentik_stages_invitation_invitation")]
#[case::whose_invitation_has_ended("UPDATE authentik_stages_invitation_invitation SET expires = now()")]
#[tokio::test]
async fn a_mail_is_not_sent(#[case] end: &'static str) {
    let smtp = Smtp::start();
    let environment = environment(&smtp).await;
    let server = Program::serve(&environment);
    let path = invitation(&server);
    let pool = database_of(&environment);
    // It is tried again when its invitation has ended.
    send(&server, &path, &addresses(&["always"]));
    sqlx::query(end).execute(&pool).await.unwrap();
    wait_until_dead(&pool, "The invitation has ended, or is gone.").await;
}

async fn wait_until_dead(pool: &PgPool, expected: &str) {
    let started = Instant::now();
    loop {
        let select = sqlx::query_as("SELECT state, reply FROM ak_stages.message");
        let (state, reply): (String, String) = select.fetch_one(pool).await.unwrap();
        if state == "dead" {
            assert_eq!(reply, expected);
            return;
        }
        assert!(started.elapsed() < Duration::from_mins(1), "{state} {reply}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// When the server asked the database last for anything about mail.
async fn last_statement(pool: &PgPool) -> Option<DateTime<Utc>> {
    sqlx::query_scalar(
        "SELECT max(query_start) FROM pg_stat_activity WHERE datname = current_database() \
         AND application_name = 'ak-stages' AND query LIKE '%ak_stages.m%'",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn where_nothing_waits_nobody_asks_the_database() {
    let smtp = Smtp::start();
    let environment = environment(&smtp).await;
    let server = Program::serve(&environment);
    let path = invitation(&server);
    send(&server, &path, &addresses(&["one"]));
    settled(&server, &path);
    // The time after which a server that is gone would be given up.
    tokio::time::sleep(Duration::from_secs(9)).await;
    let pool = database_of(&environment);
    let before = last_statement(&pool).await;
    assert!(before.is_some());
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(last_statement(&pool).await, before);
    // And it is there as soon as there is something.
    let asked = Instant::now();
    send(&server, &path, &addresses(&["two"]));
    smtp.wait_for(|taken| taken.len() == 2);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}
