//! Who may not see an invitation's key, a password or a token: readers of logs, of traces, of the outbox.

use rustix::process::Signal;
use serde_json::json;

use crate::mail_delivery::{KEY, addresses, call, environment, invitation, key_of, settled};
use crate::seen::Collector;
use crate::support::{Program, Smtp};

const PASSWORD: &str = "the-password-of-a-mail-server";
/// As it goes over the wire, behind `mailer`.
const SAID: &str = "AG1haWxlcgB0aGUtcGFzc3dvcmQtb2YtYS1tYWlsLXNlcnZlcg==";

/// What these commands print.
fn commands(environment: &[(&str, String)], message: &str) -> String {
    let all = [
        vec!["mail", "list"],
        vec!["mail", "show", message],
        vec!["mail", "retry", message],
        vec!["mail", "purge", "--older-than", "days=1"],
        vec!["doctor"],
    ];
    let outputs = all.iter().map(|arguments| {
        let output = Program::command(environment).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    });
    outputs.collect()
}

#[tokio::test]
async fn no_key_no_password_and_no_token_leaves_with_what_is_told_of_mail() {
    let (smtp, collector) = (Smtp::start(), Collector::start());
    let mut environment = environment(&smtp).await;
    environment.extend([
        ("AUTHENTIK_EMAIL__USERNAME", "mailer".to_owned()),
        ("AUTHENTIK_EMAIL__PASSWORD", PASSWORD.to_owned()),
        ("AUTHENTIK_LOG_LEVEL", "trace".to_owned()),
        ("AUTHENTIK_STAGES__EMAIL_ATTEMPTS", "2".to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.clone()),
    ]);
    let mut server = Program::serve(&environment);
    let path = invitation(&server);
    let names = ["good", "rude", "refused", "busy", "always", "dropped", "late", "deaf", "stalled"];
    let body = json!({ "email_addresses": addresses(&names) });
    call(&server, "POST", &format!("{path}send_email/"), &body, 204);
    let messages = settled(&server, &path);
    assert!(smtp.credentials().contains(&format!("PLAIN {SAID}")), "{:?}", smtp.credentials());

    let mut told = server.scrape().unwrap();
    for message in messages.values() {
        let pk = message["pk"].as_str().unwrap();
        told += &call(&server, "GET", &format!("{path}messages/{pk}/"), &json!({}), 200).to_string();
    }
    let rude = messages["rude@example.org"]["pk"].as_str().unwrap();
    told += &call(&server, "POST", &format!("{path}messages/{rude}/retry/"), &json!({}), 200).to_string();
    settled(&server, &path);
    told += &commands(&environment, rude);
    settled(&server, &path);
    let refused = json!({ "email_addresses": ["nobody"] });
    told += &call(&server, "POST", &format!("{path}send_email/"), &refused, 400).to_string();

    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(0), "{}", server.stderr());
    told += &server.stderr();
    for expected in ["a mail was sent", "a mail can't be sent", "itoken=***", "nobody here", "not now"] {
        assert!(told.contains(expected), "nothing is told of `{expected}`");
    }
    assert!(collector.has(b"INSERT INTO ak_stages.message"), "nothing is in the traces");
    let key = key_of(&path);
    for secret in [KEY, PASSWORD, SAID, &key, &key.replace('-', "")] {
        assert_eq!(told.lines().find(|line| line.contains(secret)), None, "{secret}");
        assert!(!collector.has(secret.as_bytes()), "in the traces: {secret}");
    }
}
