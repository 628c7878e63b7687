//! Tokens of OAuth 2.0 instead of a password: asked for, kept, renewed, and told to nobody.

use ak_stages::config::Settings;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Answer, Smtp, TestApp, TokenEndpoint};

/// `user=mailer␁auth=Bearer token-1␁␁`, and the same for the second token.
const FIRST: &str = "XOAUTH2 dXNlcj1tYWlsZXIBYXV0aD1CZWFyZXIgdG9rZW4tMQEB";
const SECOND: &str = "XOAUTH2 dXNlcj1tYWlsZXIBYXV0aD1CZWFyZXIgdG9rZW4tMgEB";

fn settings(smtp: &Smtp, endpoint: &TokenEndpoint) -> Settings {
    let set = [smtp.environment(), endpoint.environment()].concat();
    let value = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| value.clone());
    Settings::read(value).unwrap()
}

/// A test of the global server.
async fn test(app: &TestApp, mode: &str) -> Answer {
    let body = json!({ "use_global_settings": true, "mode": mode, "to": "one@example.org" });
    app.admin().post("/stages/email/test/", body).await.status(200)
}

fn steps(answer: &Answer) -> Vec<(String, bool)> {
    let told = |step: &Value| (step["step"].as_str().unwrap().to_owned(), step["successful"] == true);
    answer.json()["steps"].as_array().unwrap().iter().map(told).collect()
}

#[tokio::test]
async fn a_token_is_asked_for_and_logs_in() {
    let (smtp, endpoint) = (Smtp::start(), TokenEndpoint::start(&["token-1"], 3600));
    let mail = settings(&smtp, &endpoint).mail;
    let app = TestApp::with(|settings| settings.mail = mail).await;
    let answer = test(&app, "send").await;
    let names: Vec<_> = steps(&answer).into_iter().map(|(name, ok)| format!("{name} {ok}")).collect();
    let expected = [
        "DNS true",
        "TCP true",
        "EHLO true",
        "TOKEN true",
        "AUTH true",
        "MAIL FROM true",
        "RCPT true",
        "DATA true",
    ];
    assert_eq!(names, expected, "{answer}");
    assert_eq!(smtp.credentials(), [FIRST]);
    assert_eq!(
        endpoint.asked(),
        ["grant_type=client%5Fcredentials&client_id=the%20client&client_secret=client%26secret&\
          scope=https%3A%2F%2Fmail%2Eexample%2F%2Edefault"]
    );
}

#[tokio::test]
async fn who_is_refused_learns_why_without_the_secrets() {
    let (smtp, endpoint) = (Smtp::start(), TokenEndpoint::start(&[], 3600));
    let mail = settings(&smtp, &endpoint).mail;
    let app = TestApp::with(|settings| settings.mail = mail).await;
    let answer = test(&app, "auth").await;
    let told = answer.json();
    assert_eq!(told["successful"], false);
    assert_eq!(steps(&answer).last(), Some(&("TOKEN".to_owned(), false)), "{answer}");
    let reply = &told["steps"].as_array().unwrap().last().unwrap()["reply"];
    assert_eq!(reply, "The token endpoint answered 401 Unauthorized: invalid_client: not ***");
    assert_eq!(smtp.credentials(), Vec::<String>::new());

    // The SMTP server refuses a token, and repeats it.
    let (smtp, endpoint) = (Smtp::start(), TokenEndpoint::start(&["stale"], 3600));
    let mail = settings(&smtp, &endpoint).mail;
    let app = TestApp::with(|settings| settings.mail = mail).await;
    let answer = test(&app, "auth").await;
    let told = answer.json();
    let reply = &told["steps"].as_array().unwrap().last().unwrap()["reply"];
    assert_eq!(reply, "permanent error (535): 5.7.8 no, XOAUTH2 ***");
}

/// Deliveries of the real program.
#[rstest]
#[case::that_lasts_is_kept(3600, 1)]
#[case::that_ends_at_once_is_renewed(0, 2)]
#[tokio::test]
async fn a_token(#[case] seconds: u64, #[case] asked: usize) {
    let (smtp, endpoint) = (Smtp::start(), TokenEndpoint::start(&["token-1", "token-2"], seconds));
    let delivered = crate::mail_stages::Deliveries::begin(&smtp, &endpoint.environment()).await;
    // Its first connection is lost, so it takes two.
    delivered.send(&json!({ "email_addresses": ["dropped@example.org"] }));
    delivered.wait_until("sent", "dropped@example.org").await;
    assert_eq!(endpoint.asked().len(), asked);
    assert_eq!(smtp.credentials(), [FIRST, if asked == 1 { FIRST } else { SECOND }]);
    let log = delivered.log();
    for secret in ["token-1", "token-2", "client&secret", FIRST.split(' ').next_back().unwrap()] {
        assert_eq!(log.lines().find(|line| line.contains(secret)), None, "{secret}");
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_not_used_again() {
    let (smtp, endpoint) = (Smtp::start(), TokenEndpoint::start(&["stale", "token-2"], 3600));
    let delivered = crate::mail_stages::Deliveries::begin(&smtp, &endpoint.environment()).await;
    delivered.send(&json!({ "email_addresses": ["one@example.org"] }));
    delivered.wait_until("sent", "one@example.org").await;
    assert_eq!(endpoint.asked().len(), 2);
    assert_eq!(smtp.credentials().last().map(String::as_str), Some(SECOND));
}

#[rstest]
#[case::a_name("AUTHENTIK_EMAIL__USERNAME")]
#[case::an_id("AUTHENTIK_STAGES__EMAIL_OAUTH_CLIENT_ID")]
#[case::a_secret("AUTHENTIK_STAGES__EMAIL_OAUTH_CLIENT_SECRET")]
fn it_takes(#[case] missing: &str) {
    let set = [
        ("AUTHENTIK_EMAIL__USERNAME", "mailer"),
        ("AUTHENTIK_STAGES__EMAIL_OAUTH_TOKEN_URL", "https://login.example.com/token"),
        ("AUTHENTIK_STAGES__EMAIL_OAUTH_CLIENT_ID", "id"),
        ("AUTHENTIK_STAGES__EMAIL_OAUTH_CLIENT_SECRET", "secret"),
    ];
    let value = |without: &str, name: &str| {
        set.iter().find(|(set, _)| *set == name && *set != without).map(|(_, value)| (*value).to_owned())
    };
    assert!(Settings::read(|name| value("", name)).is_ok());
    let error = Settings::read(|name| value(missing, name)).err().unwrap().to_string();
    assert_eq!(error, format!("{missing}: must be set, since AUTHENTIK_STAGES__EMAIL_OAUTH_TOKEN_URL is"));
}
