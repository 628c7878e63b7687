//! Previews of templates, and the language of what they say.

use std::fs;

use ak_stages::config::Settings;
use rstest::rstest;
use serde_json::json;

use crate::support::{INVITATION, JSON, TestApp, new_directory};

/// The path of a template's preview.
fn of(name: &str) -> String {
    format!("/stages/email/templates/{}/preview/", name.replace('/', "%2F"))
}

#[rstest]
#[case("email/password_reset.html", "Choose a new password")]
#[case("email/account_confirmation.html", "Confirm the address")]
#[case("email/email_otp.html", "123 456")]
#[case("email/event_notification.html", "Something happened")]
#[case("email/invitation.html", "Accept the invitation")]
#[case("invitation", "Accept the invitation")]
#[tokio::test]
async fn a_template_is_shown_with_made_up_values(#[case] name: &str, #[case] words: &str) {
    let app = TestApp::new().await;
    let shown = app.viewer().get(&of(name)).await.status(200).json();
    let part = |name: &str| shown[name].as_str().unwrap().to_owned();
    assert!(part("name").starts_with("email/"), "{shown}");
    assert!(part("html").starts_with("<!DOCTYPE html>") && part("html").contains(words), "{shown}");
    assert!(part("text").contains(words) && !part("text").contains("<p"), "{shown}");
    assert_eq!(words == "123 456", part("html").contains("class=\"code\""), "{shown}");
}

#[tokio::test]
async fn the_language_is_the_one_that_is_asked_for() {
    let app = TestApp::with(|settings| {
        let german = |name: &str| (name == "AUTHENTIK_STAGES__EMAIL_LOCALE").then(|| "de".to_owned());
        settings.mail = Settings::read(german).unwrap().mail;
    })
    .await;
    for (language, words) in
        [("", "Einladung annehmen"), ("fr", "Einladung annehmen"), ("en-GB", "Accept the invitation")]
    {
        let headers = [("accept-language", language)];
        let answer = app.viewer().send("GET", &of("email/invitation.html"), &headers, "").await.status(200);
        assert!(answer.to_string().contains(words), "{language}: {answer}");
        assert!(answer.header("vary").unwrap().contains("accept-language"), "{answer}");
    }
}

#[tokio::test]
async fn a_mail_is_written_in_the_language_that_is_asked_for() {
    let public_url =
        |name: &str| (name == "AUTHENTIK_STAGES__PUBLIC_URL").then(|| "https://id.example.com".to_owned());
    let mail = Settings::read(public_url).unwrap().mail;
    let app = TestApp::with(|settings| settings.mail = mail).await;
    let body = json!({ "name": "welcome", "flow": app.flow("enroll").await });
    let path =
        format!("{INVITATION}{}/send_email/", app.admin().post(INVITATION, body).await.status(201).pk());
    let body = json!({ "email_addresses": ["one@example.org"] }).to_string();
    for language in ["de", "en", "fr, de;q=0.2"] {
        let headers = [JSON[0], ("accept-language", language)];
        app.admin().send("POST", &path, &headers, body.clone()).await.status(204);
    }
    let subjects: Vec<String> = sqlx::query_scalar("SELECT subject FROM ak_stages.mail ORDER BY mail_uuid")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    let german = "Einladung zu id.example.com";
    assert_eq!(subjects, [german, "You have been invited to id.example.com", german]);
}

#[tokio::test]
async fn a_file_of_the_directory_is_shown_as_it_is_now() {
    let directory = new_directory("preview");
    let of_directory = directory.clone();
    let app = TestApp::with(|settings| settings.template_dir = of_directory).await;
    app.viewer().get(&of("own/a%20b.html")).await.is(404, json!({ "detail": "Not found." }));
    fs::create_dir(directory.join("own")).unwrap();
    fs::write(directory.join("own/a b.html"), "<p>{{ host }} {{ code }}{{ nothing }}</p>").unwrap();
    let shown = app.viewer().get(&of("own/a%20b.html")).await.status(200).json();
    assert_eq!(shown["name"], "own/a b.html");
    assert_eq!(shown["html"], "<p>id.example.com 123 456</p>");
    assert_eq!(shown["text"], "id.example.com 123 456\n");

    for (source, reason) in [
        ("<p>\n{% load i18n %}", "in line 2 of own/a b.html"),
        ("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}", "fuel"),
        ("{% include '/etc/passwd' %}", "template not found"),
    ] {
        fs::write(directory.join("own/a b.html"), source).unwrap();
        let answer = app.viewer().get(&of("own/a%20b.html")).await.status(400);
        let sentence = answer.json()["name"][0].as_str().unwrap().to_owned();
        assert!(sentence.starts_with("The template “own/a b.html” can't be used: "), "{sentence}");
        assert!(sentence.contains(reason) && !sentence.contains("root:"), "{sentence}");
    }
}

#[rstest]
#[case("nope.html")]
#[case("test")]
#[case("layout.html")]
#[case("../../etc/passwd")]
#[case("/etc/passwd")]
#[case("%FF")]
#[case("%00")]
#[tokio::test]
async fn what_is_no_template_is_not_found(#[case] name: &str) {
    let app = TestApp::new().await;
    app.admin().get(&of(name)).await.is(404, json!({ "detail": "Not found." }));
}

#[tokio::test]
async fn it_takes_view_on_email_stages() {
    let app = TestApp::new().await;
    app.plain().get(&of("email/invitation.html")).await.status(403);
    app.anonymous().get(&of("email/invitation.html")).await.status(403);
    app.someone_who_may(&["view_emailstage"]).await.get(&of("email/invitation.html")).await.status(200);
}
