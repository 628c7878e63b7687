//! Whose credentials are taken beside authentik: its sessions, the access tokens of its OAuth 2.0, its secret key. Each of them
//! with each kind of request.

use ak_stages::config::SecretKey;
use chrono::Duration;
use serde_json::{Value, json};

use crate::support::{
    AccessToken, Answer, Client, EMAIL, IMPERSONATING, JSON, OUTPOST, SECRET_KEY, Session, TestApp, now,
    signed,
};

const TOKEN: &str = "abcdefghijklmnopqrstuvwxyz012345";
const NOBODY: &str = "Authentication credentials were not provided.";
const DENIED: &str = "You do not have permission to perform this action.";
const INVALID: &str = "Token invalid/expired";
const NO_CSRF_COOKIE: &str = "CSRF Failed: CSRF cookie not set.";
const IMPERSONATES: &str =
    "This session impersonates another user. ak-stages can't tell whom, so it doesn't take it.";
const NOT_UNDERSTOOD: &str = "ak-stages can't read the data of this session, so it doesn't take it.";
const ELSEWHERE: &str =
    "This session was last used from another network address, and sessions are bound to theirs.";
const FORGOTTEN: &str =
    r#"authentik_session=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=Lax"#;

/// What is answered to somebody.
#[derive(Debug, Clone, Copy)]
enum Reply {
    /// What they ask for.
    Done,
    /// 403 with this sentence.
    Refused(&'static str),
    /// As without credentials.
    Nobody,
}

use Reply::{Done, Nobody, Refused};

/// Credentials, and what is answered to a read, a write that is surely the user's own, and one that may not be.
struct Case {
    name: &'static str,
    authorization: Option<String>,
    cookie: Option<String>,
    replies: [Reply; 3],
    /// Whether the browser is told to forget the cookie.
    is_forgotten: bool,
}

impl Case {
    fn of(name: &'static str, replies: [Reply; 3]) -> Self {
        Self { name, authorization: None, cookie: None, replies, is_forgotten: false }
    }

    fn with_authorization(mut self, header: &str) -> Self {
        self.authorization = Some(header.to_owned());
        self
    }

    fn with_cookie(mut self, value: &str) -> Self {
        self.cookie = Some(value.to_owned());
        self
    }

    fn forgotten(mut self) -> Self {
        self.is_forgotten = true;
        self
    }

    /// Send a request with the credentials, and with a token against forgery or without.
    async fn send(&self, app: &TestApp, method: &str, path: &str, csrf: bool, body: &str) -> Answer {
        let client = app.anonymous();
        let mut cookies =
            self.cookie.iter().map(|value| format!("authentik_session={value}")).collect::<Vec<_>>();
        if csrf {
            cookies.push(format!("authentik_csrf={TOKEN}"));
        }
        let cookies = cookies.join("; ");
        let mut headers = vec![("cookie", cookies.as_str())];
        headers.extend(self.authorization.as_deref().map(|value| ("authorization", value)));
        if csrf {
            headers.push(("x-authentik-csrf", TOKEN));
        }
        if !body.is_empty() {
            headers.extend(JSON);
        }
        client.send(method, path, &headers, body.to_owned()).await
    }

    /// Fails unless the answer is as said, `done` being the status where what was asked is done.
    fn check(&self, answer: &Answer, reply: Reply, is_detail: bool, done: u16) {
        let name = self.name;
        match reply {
            Done => assert_eq!(answer.status, done, "{name}: {answer}"),
            Refused(sentence) => {
                let expected = json!({ "detail": sentence }).to_string();
                assert_eq!((answer.status, &answer.body[..]), (403, expected.as_bytes()), "{name}: {answer}");
            }
            Nobody => self.check(answer, Refused(if is_detail { DENIED } else { NOBODY }), is_detail, done),
        }
        let told = answer.header("set-cookie");
        assert_eq!(told, self.is_forgotten.then_some(FORGOTTEN), "{name}: {answer}");
        assert!(
            answer.headers.get_all("vary").iter().any(|value| value == "Accept-Language, Cookie"),
            "{answer}"
        );
    }

    /// Every kind of request.
    async fn check_all(&self, app: &TestApp, stage: &str) {
        let [read, write, unsafe_write] = self.replies;
        let object = format!("{EMAIL}{stage}/");
        for (path, is_detail) in [
            (EMAIL, false),
            (object.as_str(), true),
            ("/stages/email/templates/", false),
            ("/core/users/me/", false),
        ] {
            for csrf in [false, true] {
                self.check(&self.send(app, "GET", path, csrf, "").await, read, is_detail, 200);
            }
        }
        self.check(&self.send(app, "OPTIONS", EMAIL, false, "").await, read, false, 200);
        self.check(&self.send(app, "TRACE", EMAIL, false, "").await, read, false, 405);
        let open = match read {
            Nobody => Done, // what is public
            read => read,
        };
        self.check(&self.send(app, "GET", "/root/config/", false, "").await, open, false, 200);
        for (reply, csrf) in [(write, true), (unsafe_write, false)] {
            let named = || json!({ "name": app.new_name() }).to_string();
            self.check(&self.send(app, "POST", EMAIL, csrf, &named()).await, reply, false, 201);
            self.check(&self.send(app, "PATCH", &object, csrf, &named()).await, reply, true, 200);
            self.check(&self.send(app, "PUT", &object, csrf, &named()).await, reply, true, 200);
            // Larger than a body that is read before it is known who sends it.
            let large = format!("{}{}", named(), " ".repeat(10_000));
            self.check(&self.send(app, "POST", EMAIL, csrf, &large).await, reply, false, 201);
            self.check(&self.send(app, "POST", EMAIL, csrf, "{").await, reply, false, 400);
            let nothing = format!("{EMAIL}0a0b0c0d-1111-4222-8333-0000abcdef01/");
            self.check(&self.send(app, "DELETE", &nothing, csrf, "").await, reply, true, 404);
        }
    }
}

const TAKEN: [Reply; 3] = [Done, Done, Refused(NO_CSRF_COOKIE)];
const ALWAYS_TAKEN: [Reply; 3] = [Done; 3];
const NOT_TAKEN: [Reply; 3] = [Nobody; 3];
const TOKEN_NOT_TAKEN: [Reply; 3] = [Refused(INVALID); 3];

async fn check(app: &TestApp, cases: impl IntoIterator<Item = Case>) {
    let stage = app.admin().create(EMAIL, &app.new_name()).await;
    for case in cases {
        case.check_all(app, &stage).await;
    }
}

/// The cookie of a session like that of the superuser, but for this.
async fn like_admins(app: &TestApp, change: impl FnOnce(&mut Session)) -> String {
    let mut session = Session::of("akadmin");
    change(&mut session);
    app.keep_session(&session).await;
    session.cookie()
}

#[tokio::test]
async fn sessions() {
    let app = TestApp::beside_authentik().await;
    let good = app.log_in("akadmin").await;
    let refused = |sentence| [Refused(sentence); 3];
    let cases = [
        Case::of("good", TAKEN).with_cookie(&good),
        Case::of("in quotes", TAKEN).with_cookie(&format!("\"{good}\"")),
        Case::of("behind another", TAKEN).with_cookie(&format!("x; authentik_session={good}")),
        Case::of("none", NOT_TAKEN),
        Case::of("of an inactive user", NOT_TAKEN).with_cookie(&app.log_in("inactive").await),
        Case::of("of nobody", NOT_TAKEN).with_cookie(&like_admins(&app, |session| session.user = None).await),
        Case::of("valid for a moment", TAKEN).with_cookie(
            &like_admins(&app, |session| session.expires = Some(now() + Duration::microseconds(1))).await,
        ),
        Case::of("that ends now", NOT_TAKEN)
            .with_cookie(&like_admins(&app, |session| session.expires = Some(now())).await)
            .forgotten(),
        Case::of("without an end", NOT_TAKEN)
            .with_cookie(&like_admins(&app, |session| session.expires = None).await)
            .forgotten(),
        Case::of("unknown", NOT_TAKEN).with_cookie(&Session::of("akadmin").cookie()).forgotten(),
        Case::of("of somebody who impersonates", refused(IMPERSONATES))
            .with_cookie(&like_admins(&app, |session| session.data = IMPERSONATING).await),
        Case::of("whose data are no pickle", refused(NOT_UNDERSTOOD))
            .with_cookie(&like_admins(&app, |session| session.data = b"eyJhIjoxfQ:1tq").await),
        Case::of("without data", refused(NOT_UNDERSTOOD))
            .with_cookie(&like_admins(&app, |session| session.data = b"").await),
        Case::of("from elsewhere", TAKEN)
            .with_cookie(&like_admins(&app, |session| session.last_ip = "192.0.2.1").await),
    ];
    check(&app, cases).await;
}

#[tokio::test]
async fn cookies_that_name_no_session() {
    let app = TestApp::beside_authentik().await;
    let session = Session::of("akadmin");
    app.keep_session(&session).await;
    let short = like_admins(&app, |session| "1234567".clone_into(&mut session.key)).await;
    let good = session.cookie();
    let (signed_part, _) = good.rsplit_once('.').unwrap();
    let with = |claim: &str, value: Value| {
        let mut claims = json!({ "sid": session.key });
        claims[claim] = value;
        signed(&claims)
    };
    let second = now().timestamp();
    let cases = [
        ("the key alone", session.key.clone()),
        ("nothing", String::new()),
        ("without its signature", format!("{signed_part}.")),
        ("a short key", short),
        ("a number for a key", with("sid", json!(12_345_678))),
        ("no key", signed(&json!({ "iss": "authentik", "authenticated": true }))),
        ("for an audience", with("aud", json!("authentik"))),
        ("that has ended", with("exp", json!(second))),
        ("that begins later", with("nbf", json!(second + 1))),
        ("made later", with("iat", json!(second + 1))),
    ];
    let cases = cases.map(|(name, cookie)| Case::of(name, NOT_TAKEN).with_cookie(&cookie).forgotten());
    let good = ["iss", "sub", "authenticated"]
        .map(|claim| Case::of("a claim that isn't read", TAKEN).with_cookie(&with(claim, json!("other"))));
    check(&app, cases.into_iter().chain(good)).await;
}

#[tokio::test]
async fn sessions_where_a_stage_binds_them_to_networks() {
    for column in ["network_binding", "geoip_binding"] {
        let app = TestApp::beside_authentik().await;
        let bind = format!("UPDATE authentik_stages_user_login_userloginstage SET {column} = 'bind_x'");
        sqlx::query(sqlx::AssertSqlSafe(bind)).execute(&app.pool).await.unwrap();
        let elsewhere = like_admins(&app, |session| session.last_ip = "192.0.2.1").await;
        let cases = [
            Case::of("from where it was", TAKEN).with_cookie(&app.log_in("akadmin").await),
            Case::of("from elsewhere", [Refused(ELSEWHERE); 3]).with_cookie(&elsewhere),
            Case::of("a bearer token", ALWAYS_TAKEN).with_authorization("Bearer admin"),
        ];
        check(&app, cases).await;
    }
}

#[tokio::test]
async fn a_bearer_token_goes_before_a_session() {
    let app = TestApp::beside_authentik().await;
    let good = app.log_in("akadmin").await;
    let plain = app.log_in("plain").await;
    let both = |name, replies, authorization, cookie: &str| {
        Case::of(name, replies).with_authorization(authorization).with_cookie(cookie)
    };
    let cases = [
        both("both good", ALWAYS_TAKEN, "Bearer admin", &good),
        both("in other case", ALWAYS_TAKEN, "bEARER admin", &good),
        both("beside somebody else's session", ALWAYS_TAKEN, "Bearer admin", &plain),
        both("beside no session", ALWAYS_TAKEN, "Bearer admin", "no-session"),
        both("unknown", TOKEN_NOT_TAKEN, "Bearer no-such-token", &good),
        both("of an inactive user", TOKEN_NOT_TAKEN, "Bearer inactive", &good),
        both("of another intent", TOKEN_NOT_TAKEN, "Bearer apppw", &good),
        both("a session's cookie", TOKEN_NOT_TAKEN, &format!("Bearer {good}"), &good),
        both("no key", TAKEN, "Bearer ", &good),
        both("no blank", TAKEN, "Bearer", &good),
        both("Basic", TAKEN, "Basic YWtBZG1pbjphZG1pbg==", &good),
        both("another scheme", TAKEN, "Digest admin", &good),
        both("Basic beside no session", NOT_TAKEN, "Basic YWtBZG1pbjphZG1pbg==", "no-session").forgotten(),
        Case::of("Basic alone", NOT_TAKEN).with_authorization("Basic YWtBZG1pbjphZG1pbg=="),
    ];
    check(&app, cases).await;
}

#[tokio::test]
async fn access_tokens() {
    let app = TestApp::beside_authentik().await;
    let like_admins = |token| AccessToken::of("akadmin", token);
    // As authentik gives them: signed, or of random characters.
    let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzY29wZSI6ImdvYXV0aGVudGlrLmlvL2FwaSJ9.c2lnbmF0dXJl";
    let past = Duration::microseconds(-1);
    let cases = [
        ("good", ALWAYS_TAKEN, like_admins("opaque")),
        ("a JWT", ALWAYS_TAKEN, like_admins(jwt)),
        (
            "that scope alone",
            ALWAYS_TAKEN,
            AccessToken { scope: "goauthentik.io/api", ..like_admins("alone") },
        ),
        ("that ends now", TOKEN_NOT_TAKEN, AccessToken { life: Duration::zero(), ..like_admins("now") }),
        ("that has ended", TOKEN_NOT_TAKEN, AccessToken { life: past, ..like_admins("ended") }),
        (
            "without an end",
            ALWAYS_TAKEN,
            AccessToken { life: past, expiring: false, ..like_admins("endless") },
        ),
        ("revoked", TOKEN_NOT_TAKEN, AccessToken { revoked: true, ..like_admins("revoked") }),
        ("without a scope", TOKEN_NOT_TAKEN, AccessToken { scope: "", ..like_admins("unscoped") }),
        (
            "for something else",
            TOKEN_NOT_TAKEN,
            AccessToken { scope: "openid email", ..like_admins("openid") },
        ),
        ("for more", TOKEN_NOT_TAKEN, AccessToken { scope: "goauthentik.io/api/x", ..like_admins("more") }),
        (
            "for another API",
            TOKEN_NOT_TAKEN,
            AccessToken { scope: "xgoauthentik.io/api", ..like_admins("x") },
        ),
        (
            "in other case",
            TOKEN_NOT_TAKEN,
            AccessToken { scope: "GOAUTHENTIK.IO/api", ..like_admins("case") },
        ),
        ("of an inactive user", TOKEN_NOT_TAKEN, AccessToken::of("inactive", "of-inactive")),
        ("of a plain user", [Refused(DENIED); 3], AccessToken::of("plain", "of-plain")),
    ];
    let stage = app.admin().create(EMAIL, "a stage").await;
    for (name, replies, token) in cases {
        app.keep_access_token(&token).await;
        let authorization = format!("Bearer {}", token.token);
        if token.user == "plain" {
            let client = app.anonymous().with_authorization(&authorization);
            client.get(EMAIL).await.is(403, json!({ "detail": DENIED }));
            let me = client.get("/core/users/me/").await.status(200).json();
            assert_eq!(me["user"]["username"], "plain");
        } else {
            Case::of(name, replies).with_authorization(&authorization).check_all(&app, &stage).await;
        }
    }
    let cut = Case::of("a part of one", TOKEN_NOT_TAKEN).with_authorization(&format!("Bearer {}", &jwt[1..]));
    cut.check_all(&app, &stage).await;
}

/// The user of a request.
async fn asker(client: &Client) -> Value {
    client.get("/core/users/me/").await.status(200).json()["user"]["username"].take()
}

#[tokio::test]
async fn the_secret_key_is_the_embedded_outpost_s() {
    let app = TestApp::beside_authentik().await;
    let client = app.bearer(SECRET_KEY);
    assert_eq!(asker(&client).await, OUTPOST);
    // It may do nothing here, and such an account sees an empty list rather than a refusal.
    assert_eq!(client.get(EMAIL).await.status(200).rows(), Vec::<Value>::new());
    client.post(EMAIL, json!({ "name": "a stage" })).await.is(403, json!({ "detail": DENIED }));
    for other in [&SECRET_KEY[1..], &format!("{SECRET_KEY}x"), &SECRET_KEY.to_uppercase()] {
        app.bearer(other).get(EMAIL).await.is(403, json!({ "detail": INVALID }));
    }
    sqlx::query("UPDATE authentik_core_user SET is_active = FALSE WHERE username = $1")
        .bind(OUTPOST)
        .execute(&app.pool)
        .await
        .unwrap();
    client.get(EMAIL).await.is(403, json!({ "detail": INVALID }));
    sqlx::query("DELETE FROM authentik_outposts_outpost").execute(&app.pool).await.unwrap();
    client.get(EMAIL).await.is(403, json!({ "detail": INVALID }));
}

#[tokio::test]
async fn without_the_secret_key_nothing_but_bearer_tokens_counts() {
    let app = TestApp::new().await;
    let cookie = format!("authentik_session={}", Session::of("akadmin").cookie());
    let answer = app.anonymous().send("GET", EMAIL, &[("cookie", &cookie)], "").await;
    answer.is(403, json!({ "detail": NOBODY }));
    let vary = answer.headers.get_all("vary").iter().any(|value| value.to_str().unwrap().contains("Cookie"));
    assert!(!vary && answer.header("set-cookie").is_none(), "{answer}");
    app.bearer(SECRET_KEY).get(EMAIL).await.is(403, json!({ "detail": INVALID }));
}

#[tokio::test]
async fn on_a_database_of_our_own_the_secret_key_opens_nothing() {
    let app =
        TestApp::with(|settings| settings.secret_key = Some(SecretKey::new(SECRET_KEY.to_owned()))).await;
    let cookie = format!("authentik_session={}", Session::of("akadmin").cookie());
    let answer = app.anonymous().send("GET", EMAIL, &[("cookie", &cookie)], "").await;
    answer.is(403, json!({ "detail": NOBODY }));
    assert!(answer.header("set-cookie").is_none(), "{answer}");
    app.bearer(SECRET_KEY).get(EMAIL).await.is(403, json!({ "detail": INVALID }));
    app.admin().get(EMAIL).await.status(200);
}
