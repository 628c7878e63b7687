//! Sessions of authentik's web interface: what a browser has to send beside the cookie, and what is never done with them.

use std::time::Duration;

use ak_stages::config::Rate;
use rstest::rstest;
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::support::{AccessToken, Answer, EMAIL, IMPERSONATING, JSON, Session, Statements, TestApp};

const HOST: &str = "auth.example.com";
const TOKEN: &str = "abcdefghijklmnopqrstuvwxyz012345";
const OTHER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
/// [`TOKEN`], masked as Django does.
const MASKED: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbcdefghijklmnopqrstuvwxyzA123456";
const NOTHING: &str = "0a0b0c0d-1111-4222-8333-0000abcdef01";

async fn execute(app: &TestApp, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&app.pool).await.unwrap();
}

/// A request from a browser that has this session's cookie, and perhaps a token against forgery, in cookie and header.
async fn browse(
    app: &TestApp,
    session: &str,
    token: Option<&str>,
    more: &[(&str, &str)],
    (method, path, body): (&str, &str, &str),
) -> Answer {
    let mut cookie = format!("authentik_session={session}");
    if let Some(token) = token {
        cookie = format!("authentik_csrf={token}; {cookie}");
    }
    let mut headers = vec![("host", HOST), ("cookie", &cookie)];
    headers.extend_from_slice(more);
    if !body.is_empty() {
        headers.extend(JSON);
    }
    app.anonymous().behind_a_proxy().send(method, path, &headers, body.to_owned()).await
}

/// What is said to a write with these tokens and headers; nothing where it is done.
async fn said(
    app: &TestApp,
    session: &str,
    cookie: Option<&str>,
    header: Option<&str>,
    more: &[(&str, &str)],
) -> String {
    let mut headers = more.to_vec();
    headers.extend(header.map(|token| ("x-authentik-csrf", token)));
    let before = app.contents().await;
    let missing = format!("{EMAIL}{NOTHING}/");
    let requests = [("PATCH", missing.as_str(), "{}"), ("POST", EMAIL, "{"), ("DELETE", &missing, "")];
    let mut told = Vec::new();
    for request in requests {
        let answer = browse(app, session, cookie, &headers, request).await;
        told.push(if answer.status == 403 {
            String::from_utf8(answer.body.to_vec()).unwrap()
        } else {
            String::new()
        });
    }
    assert!(told.iter().all(|text| *text == told[0]), "it comes before everything else: {told:?}");
    assert_eq!(app.contents().await, before);
    let body = json!({ "name": app.new_name() }).to_string();
    let answer = browse(app, session, cookie, &headers, ("POST", EMAIL, &body)).await;
    assert_eq!(answer.status == 201, told[0].is_empty(), "{answer}");
    told.swap_remove(0)
}

fn csrf(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        json!({ "detail": format!("CSRF Failed: {reason}") }).to_string()
    }
}

#[tokio::test]
async fn a_write_takes_a_token_in_cookie_and_header() {
    let app = TestApp::beside_authentik().await;
    let session = app.log_in("akadmin").await;
    let cases = [
        (None, None, "CSRF cookie not set."),
        (None, Some(TOKEN), "CSRF cookie not set."),
        (Some(TOKEN), None, "CSRF token missing."),
        (Some(TOKEN), Some(OTHER), "CSRF token from the 'X-Authentik-Csrf' HTTP header incorrect."),
        (
            Some(TOKEN),
            Some("short"),
            "CSRF token from the 'X-Authentik-Csrf' HTTP header has incorrect length.",
        ),
        (Some(TOKEN), Some(""), "CSRF token from the 'X-Authentik-Csrf' HTTP header has incorrect length."),
        (
            Some(TOKEN),
            Some("abcdefghijklmnopqrstuvwxyz01234!"),
            "CSRF token from the 'X-Authentik-Csrf' HTTP header has invalid characters.",
        ),
        (Some("short"), Some(TOKEN), "CSRF cookie has incorrect length."),
        (Some(TOKEN), Some(TOKEN), ""),
        (Some(OTHER), Some(OTHER), ""),
        (Some(TOKEN), Some(MASKED), ""),
        (Some(MASKED), Some(TOKEN), ""),
    ];
    for (cookie, header, expected) in cases {
        assert_eq!(said(&app, &session, cookie, header, &[]).await, csrf(expected), "{cookie:?} {header:?}");
    }
    let other_header = said(&app, &session, Some(TOKEN), None, &[("x-csrftoken", TOKEN)]).await;
    assert_eq!(other_header, csrf("CSRF token missing."));
    let unknown =
        browse(&app, &Session::of("akadmin").cookie(), Some(TOKEN), &[], ("POST", EMAIL, "{}")).await;
    unknown.is(403, json!({ "detail": "Authentication credentials were not provided." }));
}

#[tokio::test]
async fn a_write_comes_from_a_page_of_the_site_itself() {
    const HTTPS: (&str, &str) = ("x-forwarded-proto", "https");
    let app = TestApp::beside_authentik().await;
    let session = app.log_in("akadmin").await;
    let cases: [(&[(&str, &str)], &str); 13] = [
        (&[("origin", "http://auth.example.com")], ""),
        (&[("referer", "https://evil.example/")], ""),
        (
            &[("origin", "http://evil.example")],
            "Origin checking failed - http://evil.example does not match any trusted origins.",
        ),
        (&[("origin", "null")], "Origin checking failed - null does not match any trusted origins."),
        (
            &[("origin", "https://auth.example.com")],
            "Origin checking failed - https://auth.example.com does not match any trusted origins.",
        ),
        (&[HTTPS, ("origin", "https://auth.example.com")], ""),
        (&[HTTPS, ("referer", "https://auth.example.com/if/admin/")], ""),
        (
            &[HTTPS, ("origin", "http://auth.example.com")],
            "Origin checking failed - http://auth.example.com does not match any trusted origins.",
        ),
        (&[HTTPS], "Referer checking failed - no Referer."),
        (&[HTTPS, ("referer", "here")], "Referer checking failed - Referer is malformed."),
        (
            &[HTTPS, ("referer", "http://auth.example.com/")],
            "Referer checking failed - Referer is insecure while host is secure.",
        ),
        (
            &[HTTPS, ("referer", "https://evil.example/")],
            "Referer checking failed - https://evil.example/ does not match any trusted origins.",
        ),
        // Whoever isn't trusted says nothing about the scheme.
        (&[("x-forwarded-for", "192.0.2.1"), ("origin", "http://auth.example.com")], ""),
    ];
    for (headers, expected) in cases {
        assert_eq!(
            said(&app, &session, Some(TOKEN), Some(TOKEN), headers).await,
            csrf(expected),
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn a_page_with_https_is_told_to_forget_its_own_kind_of_cookie() {
    let app = TestApp::beside_authentik().await;
    let https = [("x-forwarded-proto", "https")];
    let answer = browse(&app, "no-session", None, &https, ("GET", EMAIL, "")).await.status(403);
    let expected = r#"authentik_session=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=None; Secure"#;
    assert_eq!(answer.header("set-cookie"), Some(expected));
}

#[tokio::test]
async fn nothing_of_a_session_is_written() {
    let app = TestApp::beside_authentik().await;
    let mut elsewhere = Session::of("akadmin");
    elsewhere.last_ip = "192.0.2.1";
    app.keep_session(&elsewhere).await;
    let mut impersonating = Session::of("akadmin");
    impersonating.data = IMPERSONATING;
    app.keep_session(&impersonating).await;
    let inactive = app.log_in("inactive").await;
    let before = app.contents().await;
    for cookie in [elsewhere.cookie(), impersonating.cookie(), inactive, "no-session".to_owned()] {
        for request in [("GET", EMAIL, ""), ("POST", EMAIL, "{"), ("GET", "/core/users/me/", "")] {
            browse(&app, &cookie, None, &[], request).await;
        }
    }
    assert_eq!(app.contents().await, before);
}

/// What ends credentials, with how they are told then.
#[rstest]
#[case::session_deleted(
    "DELETE FROM authentik_core_authenticatedsession; DELETE FROM authentik_core_session"
)]
#[case::session_ended("UPDATE authentik_core_session SET expires = '2026-03-04T05:06:07.000008Z'")]
#[case::logged_out("DELETE FROM authentik_core_authenticatedsession")]
#[case::user_inactive("UPDATE authentik_core_user SET is_active = FALSE WHERE username = 'viewer'")]
#[case::token_deleted("DELETE FROM authentik_providers_oauth2_accesstoken")]
#[case::token_revoked("UPDATE authentik_providers_oauth2_accesstoken SET revoked = TRUE")]
#[case::token_ended(
    "UPDATE authentik_providers_oauth2_accesstoken SET expires = '2026-03-04T05:06:07.000008Z'"
)]
#[case::scope_taken("UPDATE authentik_providers_oauth2_accesstoken SET _scope = 'openid'")]
#[tokio::test]
async fn what_has_ended_is_not_remembered(#[case] end: &str) {
    let app = TestApp::beside_authentik().await;
    let stage = app.admin().create(EMAIL, "a stage").await;
    let session = app.log_in("viewer").await;
    app.keep_access_token(&AccessToken::of("viewer", "an-access-token")).await;
    let bearer = app.bearer("an-access-token");
    let path = format!("{EMAIL}{stage}/");
    let is_about_sessions = !end.contains("accesstoken");
    let ask = async || {
        if is_about_sessions {
            browse(&app, &session, None, &[], ("GET", &path, "")).await
        } else {
            bearer.get(&path).await
        }
    };
    for _ in 0..4 {
        ask().await.status(200);
    }
    execute(&app, end).await;
    ask().await.status(403);
    ask().await.status(403);
}

#[tokio::test]
async fn a_session_sees_what_has_changed() {
    let app = TestApp::beside_authentik().await;
    let stage = app.admin().create(EMAIL, "a stage").await;
    let session = app.log_in("viewer").await;
    let path = format!("{EMAIL}{stage}/");
    for port in 100..110 {
        execute(&app, &format!("UPDATE authentik_stages_email_emailstage SET port = {port}")).await;
        for _ in 0..2 {
            let answer = browse(&app, &session, None, &[], ("GET", &path, "")).await.status(200);
            assert_eq!(answer.json()["port"], port);
        }
    }
}

/// The statements of a read, in the round that took the fewest: other tests commit all the time.
async fn fewest(app: &TestApp, statements: &Statements, path: &str) -> Vec<String> {
    let mut fewest: Option<Vec<String>> = None;
    for _ in 0..200 {
        app.admin().get(path).await.status(200);
        let seen = statements.take();
        if fewest.as_ref().is_none_or(|fewest| seen.len() < fewest.len()) {
            fewest = Some(seen);
        }
    }
    fewest.unwrap()
}

#[tokio::test]
async fn a_bearer_token_costs_no_statement_more() {
    let (usual, beside) = (TestApp::new().await, TestApp::beside_authentik().await);
    let statements = Statements::watch();
    let mut seen = Vec::new();
    for app in [&usual, &beside] {
        let stage = app.admin().create(EMAIL, "a stage").await;
        let path = format!("{EMAIL}{stage}/");
        statements.take();
        app.admin().patch(&path, json!({ "port": 26 })).await.status(200);
        let write = statements.take();
        let reads = [path.as_str(), EMAIL, "/stages/email/templates/"];
        let mut fewest_of_reads = Vec::new();
        for path in reads {
            fewest_of_reads.push(fewest(app, &statements, path).await);
        }
        seen.push((write, fewest_of_reads));
    }
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].0.len() > 3, "{:?}", seen[0]);
}

#[tokio::test]
async fn the_rate_of_strangers_counts_no_session_of_a_user() {
    let mut sessions = Vec::new();
    let app = TestApp::beside_authentik_with(|settings| {
        settings.throttle = Rate { requests: 2, period: Duration::from_hours(1) };
    })
    .await;
    for user in [Some("plain"), None] {
        let session = Session { user, ..Session::of("plain") };
        app.keep_session(&session).await;
        sessions.push(session.cookie());
    }
    let (client, mut statuses) = (app.anonymous(), Vec::new());
    for session in &sessions {
        let cookie = format!("authentik_session={session}");
        for _ in 0..4 {
            statuses.push(client.send("GET", "/root/config/", &[("cookie", &cookie)], "").await.status);
        }
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 429, 429]);
}
