//! `send_email/`: what it takes, what it refuses, and what it queues.

use std::fs;

use ak_stages::config::Settings;
use ak_stages::contract::Release;
use ak_stages::db::extensions;
use rstest::rstest;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{Answer, INVITATION, JSON, NOW, TestApp, new_directory, settings};

const NO_TABLES: &str =
    "The database lacks the tables for mail. `ak-stages extensions` prints the SQL that makes them.";

/// A server whose links lead somewhere.
async fn mailing() -> TestApp {
    mailing_with(|_| ()).await
}

async fn mailing_with(change: impl FnOnce(&mut Settings)) -> TestApp {
    let public_url = |name: &str| {
        (name == "AUTHENTIK_STAGES__PUBLIC_URL").then(|| "https://id.example.com:8443/".to_owned())
    };
    let mail = Settings::read(public_url).unwrap().mail;
    TestApp::with(|settings| {
        settings.mail = mail;
        change(settings);
    })
    .await
}

/// The path of an invitation to a flow.
async fn invitation(app: &TestApp) -> String {
    let flow = app.flow("enroll").await;
    let body = json!({ "name": "welcome", "flow": flow });
    format!("{INVITATION}{}/", app.admin().post(INVITATION, body).await.status(201).pk())
}

/// All that is queued: the mail as JSON, and its recipients.
async fn queued(app: &TestApp) -> Vec<(Value, Vec<String>)> {
    let rows: Vec<(Value, Vec<String>)> = sqlx::query_as(
        "SELECT to_jsonb(l), ARRAY(SELECT m.kind || ' ' || m.mailbox FROM ak_stages.message m \
         WHERE m.mail_uuid = l.mail_uuid ORDER BY m.kind DESC, m.mailbox) FROM ak_stages.mail l ORDER BY l.created",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    rows
}

async fn send(app: &TestApp, path: &str, body: Value) -> Answer {
    app.admin().post(&format!("{path}send_email/"), body).await
}

#[tokio::test]
async fn a_mail_is_queued_for_each_recipient() {
    let app = mailing().await;
    let path = invitation(&app).await;
    let answer = send(
        &app,
        &path,
        json!({
            "email_addresses": ["a@example.org", "Ann <b@example.org>", "a@example.org"],
            "cc_addresses": ["c@example.org", "a@example.org"],
            "bcc_addresses": ["d@example.org"],
            "template": "invitation",
        }),
    )
    .await
    .status(204);
    assert!(answer.body.is_empty() && answer.header("content-type").is_none(), "{answer}");
    let queued = queued(&app).await;
    let [(mail, recipients)] = queued.as_slice() else { panic!("{queued:?}") };
    assert_eq!(
        recipients.as_slice(),
        ["to \"Ann\" <b@example.org>", "to a@example.org", "cc c@example.org", "bcc d@example.org"]
    );
    assert_eq!(mail["sender"], "authentik@localhost");
    assert_eq!(mail["template"], "email/invitation.html");
    assert_eq!(mail["subject"], "You have been invited to id.example.com:8443");
    let key = path.trim_end_matches('/').rsplit('/').next().unwrap();
    let link = format!("\nhttps://id.example.com:8443/if/flow/enroll/?itoken={key}\n");
    assert!(mail["plain"].as_str().unwrap().contains(&link), "{mail}");
}

#[tokio::test]
async fn the_link_does_not_follow_the_host_that_was_asked() {
    let app = mailing().await;
    let path = format!("{}send_email/", invitation(&app).await);
    let headers = [JSON[0], ("host", "evil.example"), ("x-forwarded-host", "evil.example")];
    let body = json!({ "email_addresses": ["a@example.org"] }).to_string();
    app.admin().send("POST", &path, &headers, body).await.status(204);
    let (mail, _) = queued(&app).await.remove(0);
    assert!(!mail.to_string().contains("evil"), "{mail}");
}

#[tokio::test]
async fn what_goes_beyond_authentiks_is_taken() {
    let app = mailing().await;
    let path = invitation(&app).await;
    let body = json!({
        "email_addresses": ["jörg@münchen.de"], "template": "email/event_notification.html",
        "subject": " Grüße ", "from_address": "Jörg <j@example.com>", "reply_to": "help@example.com",
        "context": { "title": "<b>", "url": "https://evil.example" },
    });
    send(&app, &path, body).await.status(204);
    let (mail, recipients) = queued(&app).await.remove(0);
    assert_eq!(recipients, ["to jörg@xn--mnchen-3ya.de"]);
    assert_eq!(mail["subject"], "Grüße");
    assert_eq!(mail["sender"], "\"Jörg\" <j@example.com>");
    assert_eq!(mail["reply_to"], "help@example.com");
    assert!(mail["html"].as_str().unwrap().contains("<h1>&lt;b&gt;</h1>"), "{mail}");
    assert!(!mail.to_string().contains("evil"), "{mail}");
}

#[rstest]
#[case::nothing(json!({}))]
#[case::null(json!({ "email_addresses": null }))]
#[case::an_empty_list(json!({ "email_addresses": [], "cc_addresses": ["a@example.org"] }))]
#[case::an_empty_text(json!({ "email_addresses": "" }))]
#[tokio::test]
async fn a_mail_to_nobody_is_refused(#[case] body: Value) {
    let app = mailing().await;
    let path = invitation(&app).await;
    send(&app, &path, body.clone()).await.is(400, json!({ "error": "No email addresses provided" }));
    let homeless = format!("{INVITATION}{}/", app.admin().create(INVITATION, "no-flow").await);
    send(&app, &homeless, body).await.is(400, json!({ "error": "No email addresses provided" }));
    let to_somebody = json!({ "email_addresses": ["nobody"] });
    send(&app, &homeless, to_somebody).await.is(400, json!({ "error": "Invitation has no associated flow" }));
    assert_eq!(queued(&app).await, []);
}

#[rstest]
#[case(json!({ "email_addresses": "a@example.org" }), json!({ "email_addresses": ["Expected a list of items but got type \"str\"."] }))]
#[case(
    json!({ "email_addresses": ["a@example.org", "b@", 5], "bcc_addresses": ["a@b\r\nBcc: c@example.org"] }),
    json!({
        "email_addresses": ["“b@” is not a valid email address.", "“5” is not a valid email address."],
        "bcc_addresses": ["“a@b\r\nBcc: c@example.org” is not a valid email address."],
    })
)]
#[case(
    json!({ "email_addresses": ["a@example.org"], "template": "nope.html" }),
    json!({ "template": ["There is no template “nope.html”. There are: email/password_reset.html, \
        email/account_confirmation.html, email/email_otp.html, email/event_notification.html, email/invitation.html."] })
)]
#[case(
    json!({ "email_addresses": ["a@example.org"], "subject": "a\nb", "from_address": "me", "reply_to": "", "context": [] }),
    json!({
        "subject": ["Control characters are not allowed."],
        "from_address": ["“me” is not a valid email address."],
        "reply_to": ["This field may not be blank."],
        "context": ["Value must be a dictionary, and not have any duplicate keys."],
    })
)]
#[case(json!(["a@example.org"]), json!({ "non_field_errors": ["Invalid data. Expected a dictionary, but got list."] }))]
#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_is_queued(#[case] body: Value, #[case] errors: Value) {
    let app = mailing().await;
    let path = invitation(&app).await;
    send(&app, &path, body).await.is(400, errors);
    assert_eq!(queued(&app).await, []);
}

#[tokio::test]
async fn there_is_an_end_to_the_addresses_of_a_request() {
    let app = mailing().await;
    let path = invitation(&app).await;
    let body = |count: usize| {
        let addresses: Vec<_> = (0..count).map(|n| format!("a{n}@example.org")).collect();
        json!({ "email_addresses": addresses })
    };
    let too_many = json!({ "email_addresses": ["Ensure this request has no more than 1000 addresses."] });
    send(&app, &path, body(1001)).await.is(400, too_many);
    send(&app, &path, body(1000)).await.status(204);
    assert_eq!(queued(&app).await[0].1.len(), 1000);
}

#[tokio::test]
async fn there_is_an_end_to_the_mails_of_a_day() {
    let app = mailing_with(|settings| {
        settings.mail.per_recipient = 2;
        settings.mail.per_sender = 6;
    })
    .await;
    let path = invitation(&app).await;
    let to = async |addresses: &[&str]| send(&app, &path, json!({ "email_addresses": addresses })).await;
    to(&["a@example.org", "b@example.org"]).await.status(204);
    to(&["Ann <A@Example.org>"]).await.status(204);
    let enough = "“a@example.org” gets no more than 2 mails within a day.";
    to(&["c@example.org", "a@example.org"]).await.is(400, json!({ "email_addresses": [enough] }));
    assert_eq!(queued(&app).await.len(), 2);
    to(&["b@example.org", "c@example.org", "d@example.org"]).await.status(204);
    let enough = json!({ "error": "A user sends no more than 6 mails within a day" });
    to(&["e@example.org"]).await.is(400, enough.clone());
    // Another one is another one, and a day is a day.
    let key = path.trim_end_matches('/').rsplit('/').next().unwrap();
    let host = app.granted(&["view_invitation", "add_invitation"], key).await;
    let body = json!({ "email_addresses": ["e@example.org"] });
    host.post(&format!("{path}send_email/"), body.clone()).await.status(204);
    send(&app, &path, body.clone()).await.is(400, enough);
    let later = "UPDATE ak_stages.mail SET created = created - interval '1 day'";
    sqlx::query(later).execute(&app.pool).await.unwrap();
    send(&app, &path, body).await.status(204);
}

#[tokio::test]
async fn two_at_once_keep_a_limit_together() {
    let app = mailing_with(|settings| settings.mail.per_recipient = 1).await;
    let flow = app.flow("enroll").await;
    let mut paths = Vec::new();
    for name in ["one", "two", "three"] {
        let body = json!({ "name": name, "flow": flow });
        paths.push(format!("{INVITATION}{}/", app.admin().post(INVITATION, body).await.status(201).pk()));
    }
    let body = || json!({ "email_addresses": ["a@example.org"] });
    let (one, two, three) = tokio::join!(
        send(&app, &paths[0], body()),
        send(&app, &paths[1], body()),
        send(&app, &paths[2], body())
    );
    let mut statuses = [one.status, two.status, three.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 400, 400]);
}

#[tokio::test]
async fn an_invitation_that_has_ended_is_not_sent() {
    let app = mailing().await;
    let path = invitation(&app).await;
    app.admin().patch(&path, json!({ "expires": NOW })).await.status(200);
    let answer = send(&app, &path, json!({ "email_addresses": ["a@example.org"] })).await;
    answer.is(400, json!({ "error": "Invitation has expired" }));
}

#[tokio::test]
async fn a_template_of_the_directory_is_used_as_it_is_now() {
    let directory = new_directory("mail-templates");
    let of_directory = directory.clone();
    let app = mailing_with(|settings| settings.template_dir = of_directory).await;
    let path = invitation(&app).await;
    let body =
        json!({ "email_addresses": ["a@example.org"], "template": "own.html", "context": { "who": "A&B" } });
    send(&app, &path, body.clone()).await.status(400);
    fs::write(directory.join("own.html"), "<p>Hello {{ who }}, <a href=\"{{ url }}\">here</a></p>").unwrap();
    send(&app, &path, body.clone()).await.status(204);
    let (mail, _) = queued(&app).await.remove(0);
    assert!(mail["html"].as_str().unwrap().starts_with("<p>Hello A&amp;B, <a href=\"https:"), "{mail}");
    assert!(mail["plain"].as_str().unwrap().starts_with("Hello A&B, here (https://id.example.com"), "{mail}");

    fs::write(directory.join("own.html"), "<p>\n{% load i18n %}").unwrap();
    let answer = send(&app, &path, body).await.status(400).json();
    let sentence = answer["template"][0].as_str().unwrap();
    assert!(sentence.starts_with("The template “own.html” can't be used: "), "{sentence}");
    assert!(sentence.contains("in line 2 of own.html"), "{sentence}");
}

#[tokio::test]
async fn who_prefers_it_sees_the_messages() {
    let app = mailing().await;
    let path = invitation(&app).await;
    let body =
        json!({ "email_addresses": ["b@example.org", "a@example.org"], "cc_addresses": ["c@example.org"] });
    for preference in ["return=minimal", "respond-async", ""] {
        let headers = [JSON[0], ("prefer", preference)];
        let answer =
            app.admin().send("POST", &format!("{path}send_email/"), &headers, body.to_string()).await;
        answer.status(204);
    }
    let headers = [JSON[0], ("prefer", "respond-async, return=\"representation\"; x=1")];
    let answer = app.admin().send("POST", &format!("{path}send_email/"), &headers, body.to_string()).await;
    let answer = answer.status(202);
    assert_eq!(answer.header("preference-applied"), Some("return=representation"));
    let messages = answer.json();
    let shown = |message: &Value| format!("{} {}", message["kind"], message["address"]).replace('"', "");
    let of: Vec<_> = messages.as_array().unwrap().iter().map(shown).collect();
    assert_eq!(of, ["to a@example.org", "to b@example.org", "cc c@example.org"]);
    let first = &messages[0];
    assert_eq!(
        (&first["state"], &first["attempts"], &first["reply"], &first["created"], &first["finished"]),
        (&json!("queued"), &json!(0), &json!(""), &json!(NOW), &json!(null))
    );
    assert!(first["next_attempt"].is_string(), "{first}");

    let listed = app.admin().get(&format!("{path}messages/")).await.status(200).json();
    assert_eq!(listed.as_array().unwrap().len(), 12);
    let one = format!("{path}messages/{}/", first["pk"].as_str().unwrap());
    app.admin().get(&one).await.is(200, first.clone());
    app.viewer().get(&one).await.status(200);
    app.plain().get(&one).await.status(403);
}

#[tokio::test]
async fn a_message_is_found_at_its_own_invitation_alone() {
    let app = mailing().await;
    let path = invitation(&app).await;
    send(&app, &path, json!({ "email_addresses": ["a@example.org"] })).await.status(204);
    let message = app.admin().get(&format!("{path}messages/")).await.json()[0]["pk"].take();
    let message = message.as_str().unwrap();
    let other = format!("{INVITATION}{}/", app.admin().create(INVITATION, "other").await);
    app.admin().get(&format!("{other}messages/")).await.is(200, json!([]));
    let missing = json!({ "detail": "No InvitationMessage matches the given query." });
    app.admin().get(&format!("{other}messages/{message}/")).await.is(404, missing.clone());
    app.admin().post(&format!("{other}messages/{message}/retry/"), json!({})).await.is(404, missing);
    app.admin().get(&format!("{path}messages/x/")).await.is(404, json!({ "detail": "Not found." }));
}

#[tokio::test]
async fn only_what_failed_is_tried_again() {
    let app = mailing().await;
    let path = invitation(&app).await;
    send(&app, &path, json!({ "email_addresses": ["a@example.org"] })).await.status(204);
    let message = app.admin().get(&format!("{path}messages/")).await.json()[0]["pk"].take();
    let one = format!("{path}messages/{}/", message.as_str().unwrap());
    let retry = async || app.admin().post(&format!("{one}retry/"), json!({})).await;
    let sentence = "Only a message that failed or is dead can be tried again";
    for (state, is_tried) in
        [("queued", false), ("sending", false), ("sent", false), ("failed", true), ("dead", true)]
    {
        let change = "UPDATE ak_stages.message SET state = $1, attempts = 3, reply = '550 no'";
        sqlx::query(change).bind(state).execute(&app.pool).await.unwrap();
        let answer = retry().await;
        if is_tried {
            let now = answer.status(200).json();
            assert_eq!((&now["state"], &now["attempts"]), (&json!("queued"), &json!(0)));
            assert_eq!(app.admin().get(&one).await.json(), now);
        } else {
            answer.is(400, json!({ "error": sentence }));
        }
    }
    app.viewer().post(&format!("{one}retry/"), json!({})).await.status(403);
}

#[tokio::test]
async fn it_takes_add_invitation_on_the_object() {
    let app = mailing().await;
    let path = invitation(&app).await;
    let key = path.trim_end_matches('/').rsplit('/').next().unwrap().to_owned();
    let send = format!("{path}send_email/");
    let body = json!({ "email_addresses": ["a@example.org"] });
    let denied = json!({ "detail": "You do not have permission to perform this action." });
    app.viewer().post(&send, body.clone()).await.is(403, denied);
    let host = app.granted(&["view_invitation", "add_invitation"], &key).await;
    host.post(&send, body).await.status(204);
}

#[tokio::test]
async fn a_mail_that_is_only_tried_is_not_queued() {
    let app = mailing().await;
    let path = format!("{}send_email/", invitation(&app).await);
    let body = json!({ "email_addresses": ["a@example.org"] });
    let before = app.everything().await;
    let tried = app.admin().post(&format!("{path}?dry_run=true"), body.clone()).await.status(204);
    assert_eq!(tried.header("x-ak-stages-effects"), Some("none"));
    let nobody = json!({ "email_addresses": ["nobody"] });
    app.admin().post(&format!("{path}?dry_run=true"), nobody).await.status(400);
    app.nobody_is_in_a_transaction().await;
    assert_eq!((app.everything().await, queued(&app).await.len()), (before, 0));
    app.admin().post(&path, body).await.status(204);
    assert_eq!(queued(&app).await.len(), 1);
}

/// A mail goes out once, however often its client asks.
#[tokio::test]
async fn a_mail_that_is_asked_for_again_is_queued_once() {
    let app = mailing().await;
    let path = format!("{}send_email/", invitation(&app).await);
    let headers = [JSON[0], ("prefer", "return=representation"), ("idempotency-key", "a-key")];
    let body = json!({ "email_addresses": ["a@example.org"] }).to_string();
    let first = app.admin().send("POST", &path, &headers, body.clone()).await.status(202);
    let again = app.admin().send("POST", &path, &headers, body).await.status(202);
    assert_eq!(
        (&again.body, again.header("preference-applied")),
        (&first.body, Some("return=representation"))
    );
    assert_eq!((again.header("idempotent-replayed"), queued(&app).await.len()), (Some("true"), 1));
}

#[tokio::test]
async fn what_is_not_set_up_says_what_to_do() {
    let unset = TestApp::new().await;
    let path = invitation(&unset).await;
    let body = json!({ "email_addresses": ["a@example.org"] });
    let sentence = "No mail is sent here: AUTHENTIK_STAGES__PUBLIC_URL, where the links lead to, is not set.";
    send(&unset, &path, body.clone()).await.is(501, json!({ "detail": sentence }));

    let app = mailing().await;
    let path = invitation(&app).await;
    sqlx::raw_sql("DROP TABLE ak_stages.message, ak_stages.mail").execute(&app.pool).await.unwrap();
    let missing = json!({ "detail": NO_TABLES });
    send(&app, &path, body.clone()).await.is(501, missing.clone());
    app.admin().get(&format!("{path}messages/")).await.is(501, missing);
    // What is printed makes them, and does so once.
    for _ in 0..2 {
        sqlx::raw_sql(AssertSqlSafe(extensions::sql(None))).execute(&app.pool).await.unwrap();
        send(&app, &path, body.clone()).await.status(204);
    }
    assert_eq!(queued(&app).await.len(), 2);
}

#[tokio::test]
async fn releases_that_do_not_have_it_do_not_serve_it() {
    let app = mailing_with(|settings| settings.release = Release::V2026_2).await;
    let path = invitation(&app).await;
    let sentence = "ak-stages does not serve this part of authentik's API.";
    let answer = send(&app, &path, json!({ "email_addresses": ["a@example.org"] })).await;
    answer.is(501, json!({ "detail": sentence }));
}

/// A role that may use authentik's tables and not ours is told so, and then what is printed lets it.
#[tokio::test]
async fn what_is_printed_for_a_role_lets_it() {
    let app = TestApp::new().await;
    let mut connection = app.pool.acquire().await.unwrap();
    let name: String =
        sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut *connection).await.unwrap();
    let role = format!("\"mailer of {name}\"");
    let steps = format!("CREATE ROLE {role}; SET ROLE {role}");
    sqlx::raw_sql(AssertSqlSafe(steps)).execute(&mut *connection).await.unwrap();
    assert_eq!(extensions::look(&mut connection).await.unwrap(), extensions::Extensions::NotGranted);
    let grants = format!("RESET ROLE; {} SET ROLE {role}", extensions::sql(Some(&role)));
    sqlx::raw_sql(AssertSqlSafe(grants)).execute(&mut *connection).await.unwrap();
    assert_eq!(extensions::look(&mut connection).await.unwrap(), extensions::Extensions::Ready);
    let gone = "RESET ROLE; DROP TABLE ak_stages.message";
    sqlx::raw_sql(gone).execute(&mut *connection).await.unwrap();
    assert_eq!(extensions::look(&mut connection).await.unwrap(), extensions::Extensions::Missing);
    connection.close().await.unwrap();
    assert!(settings().mail.public_url.is_none());
}
