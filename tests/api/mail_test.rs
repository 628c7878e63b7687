//! Test mails: every step is told, and nobody learns more than they may.

use std::io::Write;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use ak_stages::config::Settings;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Answer, Client, EMAIL, JSON, Program, Smtp, TestApp};

const UNSAVED: &str = "/stages/email/test/";

/// A server whose stages may name any server on this machine's ports `ports`.
async fn app(ports: &[u16]) -> TestApp {
    app_with(ports, "30/hour").await
}

async fn app_with(ports: &[u16], tests: &str) -> TestApp {
    let hosts = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",");
    let value = |name: &str| match name {
        "AUTHENTIK_STAGES__EMAIL_HOSTS" => Some(hosts.clone()),
        "AUTHENTIK_STAGES__EMAIL_TESTS" => Some(tests.to_owned()),
        _ => None,
    };
    let mail = Settings::read(value).unwrap().mail;
    TestApp::with(|settings| settings.mail = mail).await
}

fn at(port: u16) -> Value {
    json!({ "host": "127.0.0.1", "port": port, "timeout": 2, "from_address": "stage@example.com" })
}

/// The settings, with these keys beside or instead.
fn with(mut settings: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("no object") };
    settings.as_object_mut().unwrap().extend(more);
    settings
}

/// The steps that were told, `!` before one that failed, and the reply of the last one.
fn steps(answer: &Answer) -> (Vec<String>, String) {
    let told = answer.json();
    let steps = told["steps"].as_array().unwrap();
    let names = steps.iter().map(|step| {
        let failed = if step["successful"] == true { "" } else { "!" };
        format!("{failed}{}", step["step"].as_str().unwrap())
    });
    let names: Vec<_> = names.collect();
    assert_eq!(told["successful"], !names.iter().any(|name| name.starts_with('!')), "{answer}");
    (names, steps.last().unwrap()["reply"].as_str().unwrap().to_owned())
}

async fn stage(app: &TestApp, smtp: &Smtp) -> String {
    let login = json!({ "name": "own", "username": "mailer", "password": "stage-secret-1" });
    let pk = app.admin().post(EMAIL, with(at(smtp.port()), login)).await.status(201).pk();
    format!("{EMAIL}{pk}/test/")
}

#[tokio::test]
async fn a_test_mail_takes_the_steps_of_a_mail() {
    let smtp = Smtp::start();
    let app = app(&[smtp.port()]).await;
    let path = stage(&app, &smtp).await;
    let answer = app.admin().post(&path, json!({ "to": "Ann <one@example.org>" })).await.status(200);
    let (names, reply) = steps(&answer);
    assert_eq!(names, ["DNS", "TCP", "EHLO", "AUTH", "MAIL FROM", "RCPT", "DATA"]);
    assert_eq!(reply, "250 2.0.0 taken");
    assert_eq!(answer.json()["steps"][1]["reply"], format!("127.0.0.1:{}", smtp.port()));
    assert!(answer.json()["steps"].as_array().unwrap().iter().all(|step| step["milliseconds"].is_u64()));
    let taken = smtp.taken();
    assert_eq!((taken.len(), taken[0].to.as_str()), (1, "one@example.org"));
    assert_eq!(taken[0].from, "<stage@example.com>");
    assert_eq!(taken[0].header("Subject").as_deref(), Some("Test mail"));
    assert!(taken[0].data.contains("multipart/alternative"), "{}", taken[0].data);
    assert_eq!(smtp.credentials(), ["PLAIN AG1haWxlcgBzdGFnZS1zZWNyZXQtMQ=="]);

    let headers = [JSON[0], ("accept-language", "de-CH, en;q=0.5")];
    let body = json!({ "to": "two@example.org" }).to_string();
    app.admin().send("POST", &path, &headers, body).await.status(200);
    assert_eq!(smtp.taken()[1].header("Subject").as_deref(), Some("Testmail"));
}

#[rstest]
#[case("connect", &["DNS", "TCP", "EHLO"])]
#[case("auth", &["DNS", "TCP", "EHLO", "AUTH"])]
#[tokio::test]
async fn a_test_goes_as_far_as_it_is_told(#[case] mode: &str, #[case] expected: &[&str]) {
    let smtp = Smtp::start();
    let app = app(&[smtp.port()]).await;
    let path = stage(&app, &smtp).await;
    let answer = app.admin().post(&path, json!({ "mode": mode })).await.status(200);
    assert_eq!(steps(&answer).0, expected);
    assert_eq!(smtp.taken().len(), 0);
}

#[rstest]
#[case::a_refused_login(json!({ "password": "wrong" }), "one", "!AUTH", "permanent error (535): 5.7.8 no, PLAIN ***")]
#[case::a_refused_recipient(json!({}), "refused", "!RCPT", "permanent error (550): 5.1.1 nobody here")]
#[case::one_that_comes_too_early(json!({}), "busy", "!RCPT", "transient error (451): 4.3.0 not now")]
#[case::no_starttls(json!({ "use_tls": true }), "one", "!TLS", "internal client error: STARTTLS is not supported on this server")]
#[tokio::test]
async fn what_goes_wrong_is_told_where_it_does(
    #[case] more: Value,
    #[case] to: &str,
    #[case] step: &str,
    #[case] expected: &str,
) {
    let smtp = Smtp::start();
    let app = app(&[smtp.port()]).await;
    let more = with(json!({ "username": "mailer", "to": format!("{to}@example.org") }), more);
    let answer = app.admin().post(UNSAVED, with(at(smtp.port()), more)).await.status(200);
    let (names, reply) = steps(&answer);
    assert_eq!((names.last().unwrap().as_str(), reply.as_str()), (step, expected), "{answer}");
}

/// Something that isn't an SMTP server, and says this to whoever connects.
fn stranger(banner: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().flatten() {
            stream.write_all(banner).ok();
            kept.push(stream);
        }
    });
    port
}

#[rstest]
#[case::ssh(b"SSH-2.0-OpenSSH_secret-banner\r\n", "The server does not answer as an SMTP server does.")]
#[case::bytes(b"\xff\xfe\x00secret-banner\r\n", "network error: stream did not contain valid UTF-8")]
#[case::nothing(b"", "The SMTP server did not answer in time.")]
#[tokio::test]
async fn what_else_listens_there_is_not_told(#[case] banner: &'static [u8], #[case] expected: &str) {
    let port = stranger(banner);
    let app = app(&[port]).await;
    let answer = app.admin().post(UNSAVED, with(at(port), json!({ "mode": "connect" }))).await.status(200);
    assert_eq!(
        steps(&answer),
        (vec!["DNS".to_owned(), "TCP".to_owned(), "!EHLO".to_owned()], expected.to_owned())
    );
    assert!(!answer.to_string().contains("secret-banner"), "{answer}");
    // TLS from the first byte.
    let secure = json!({ "mode": "connect", "use_ssl": true });
    let answer = app.admin().post(UNSAVED, with(at(port), secure)).await.status(200);
    assert_eq!(steps(&answer).0, ["DNS", "TCP", "!TLS"]);
    assert!(!answer.to_string().contains("secret-banner"), "{answer}");
}

#[tokio::test]
async fn where_nobody_listens_there_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let app = app(&[port]).await;
    let answer = app.admin().post(UNSAVED, with(at(port), json!({ "mode": "connect" }))).await.status(200);
    let (names, reply) = steps(&answer);
    assert_eq!(names, ["DNS", "!TCP"]);
    assert!(reply.starts_with("Connection refused"), "{reply}");
}

#[tokio::test]
async fn only_servers_that_are_named_are_called() {
    let (smtp, other) = (Smtp::start(), Smtp::start());
    let app = app(&[smtp.port()]).await;
    let body = with(at(other.port()), json!({ "mode": "connect" }));
    let sentence = format!(
        "Mail may not go through “127.0.0.1:{}”: AUTHENTIK_STAGES__EMAIL_HOSTS does not name it.",
        other.port()
    );
    app.admin().post(UNSAVED, body).await.is(400, json!({ "host": [sentence] }));
    assert_eq!(other.connections(), 0);
    // What stands there by default: the ports of SMTP, on any host.
    let plain = TestApp::new().await;
    for (port, status) in [(22, 400), (5432, 400), (9000, 400)] {
        let body = json!({ "host": "127.0.0.1", "port": port, "mode": "connect" });
        plain.admin().post(UNSAVED, body).await.status(status);
    }
}

#[rstest]
#[case(json!({}), json!({ "to": ["This field is required."] }))]
#[case(json!({ "to": "nobody" }), json!({ "to": ["“nobody” is not a valid email address."] }))]
#[case(json!({ "to": "a@example.org\r\nBcc: b@example.org" }), json!({ "to": ["“a@example.org\r\nBcc: b@example.org” is not a valid email address."] }))]
#[case(json!({ "mode": "scan" }), json!({ "mode": ["\"scan\" is not a valid choice."] }))]
#[case(
    json!({ "port": 99_999, "from_address": "me", "to": "x" }),
    json!({
        "port": ["Ensure this value is a port, from 0 to 65535."],
        "from_address": ["“me” is not a valid email address."],
        "to": ["“x” is not a valid email address."],
    })
)]
#[tokio::test]
async fn what_is_wrong_is_named_and_nobody_is_called(#[case] more: Value, #[case] errors: Value) {
    let smtp = Smtp::start();
    let app = app(&[smtp.port()]).await;
    app.admin().post(UNSAVED, with(at(smtp.port()), more)).await.is(400, errors);
    assert_eq!(smtp.connections(), 0);
}

/// Whoever names the host doesn't get a password that is stored.
#[tokio::test]
async fn what_is_not_saved_has_no_password_that_is() {
    let (smtp, evil) = (Smtp::start(), Smtp::start());
    let app = app(&[smtp.port(), evil.port()]).await;
    stage(&app, &smtp).await;
    let body = with(at(evil.port()), json!({ "name": "own", "username": "mailer", "mode": "auth" }));
    app.admin().post(UNSAVED, body).await.status(200);
    assert_eq!(evil.credentials(), ["PLAIN AG1haWxlcgA="]);
}

#[tokio::test]
async fn it_takes_change_on_the_stage_and_add_without_one() {
    let smtp = Smtp::start();
    let app = app(&[smtp.port()]).await;
    let path = stage(&app, &smtp).await;
    let body = json!({ "mode": "connect" });
    let key = path.split('/').nth(3).unwrap();
    app.viewer().post(&path, body.clone()).await.status(403);
    app.viewer().post(UNSAVED, body.clone()).await.status(403);
    let changer = app.granted(&["view_emailstage", "change_emailstage"], key).await;
    changer.post(&path, body.clone()).await.status(200);
    changer.post(UNSAVED, with(at(smtp.port()), body.clone())).await.status(403);
    let adder = app.someone_who_may(&["add_emailstage"]).await;
    adder.post(UNSAVED, with(at(smtp.port()), body.clone())).await.status(200);
    adder.post(&path, body).await.status(403);
}

#[tokio::test]
async fn nobody_tests_without_end() {
    let smtp = Smtp::start();
    let app = app_with(&[smtp.port()], "2/hour").await;
    let path = stage(&app, &smtp).await;
    let test = async |client: &Client| client.post(&path, json!({ "mode": "connect" })).await;
    let admin = app.admin();
    test(&admin).await.status(200);
    test(&admin).await.status(200);
    let refused = test(&admin).await.status(429);
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&seconds), "{seconds}");
    assert_eq!(smtp.connections(), 2);
    let other = app.someone_who_may(&["view_emailstage", "change_emailstage"]).await;
    test(&other).await.status(200);
}

/// Neither the stage nor a connection to the database waits for an SMTP server that is slow.
#[tokio::test]
async fn a_test_that_takes_its_time_holds_up_nobody() {
    let port = stranger(b"");
    let app = app(&[port]).await;
    let pk = app.admin().post(EMAIL, with(at(port), json!({ "name": "slow" }))).await.status(201).pk();
    let place = format!("{EMAIL}{pk}/");
    let (admin, other, started) = (app.admin(), app.admin(), Instant::now());
    let test = async {
        let path = format!("{place}test/");
        let tested = admin.post(&path, json!({ "mode": "connect" })).await.status(200);
        assert_eq!(steps(&tested).0, ["DNS", "TCP", "!EHLO"]);
        started.elapsed()
    };
    let change = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        other.patch(&place, json!({ "subject": "changed" })).await.status(200);
        started.elapsed()
    };
    let (tested, changed) = tokio::join!(test, change);
    assert!(changed < tested, "{changed:?} {tested:?}");
}

#[tokio::test]
async fn the_command_shows_each_step() {
    let smtp = Smtp::start();
    let app = app(&[smtp.port()]).await;
    stage(&app, &smtp).await;
    let mut environment = app.environment();
    environment.push(("AUTHENTIK_STAGES__EMAIL_HOSTS", format!("127.0.0.1:{}", smtp.port())));
    let run = |environment: &[(&str, String)], arguments: &[&str]| {
        let output = Program::command(environment).args(["mail", "test"]).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    };
    let (done, said) = run(&environment, &["one@example.org", "--stage", "own"]);
    assert!(done && said.contains("AUTH       ok"), "{said}");
    assert!(said.contains("DATA       ok") && said.contains("250 2.0.0 taken"), "{said}");
    assert!(!said.contains("stage-secret-1"), "{said}");
    assert_eq!(smtp.taken()[0].from, "<stage@example.com>");
    let (done, said) = run(&environment, &["one@example.org", "--stage", "other"]);
    assert!(!done && said.contains("there is no email stage other"), "{said}");

    // The server of the settings takes no database.
    let (done, said) = run(&smtp.environment(), &["refused@example.org"]);
    assert!(!done && said.contains("RCPT       failed"), "{said}");
    assert!(said.contains("nobody here") && said.contains("the test failed"), "{said}");
    let (done, said) = run(&smtp.environment(), &["one@example.org", "--mode", "connect"]);
    assert!(done && said.contains("EHLO       ok") && !said.contains("MAIL FROM"), "{said}");
}
