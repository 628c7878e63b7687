//! The console's files, and who gets them. What they do is for `tests/browser`.

use ak_stages::config::Settings;

use crate::support::TestApp;

const FILES: [(&str, &str); 4] = [
    ("/", "text/html; charset=utf-8"),
    ("/static/console/console.js", "text/javascript; charset=utf-8"),
    ("/static/console/console.css", "text/css; charset=utf-8"),
    ("/static/console/icon.svg", "image/svg+xml"),
];

#[tokio::test]
async fn everybody_gets_the_console_and_nothing_may_run_in_it_but_its_own() {
    let app = TestApp::new().await;
    for (path, content_type) in FILES {
        let answer = app.anonymous().get(path).await.status(200);
        assert_eq!(answer.header("content-type"), Some(content_type), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        for rule in
            ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]
        {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
    }
}

#[tokio::test]
async fn a_browser_that_has_a_file_is_told_so() {
    let app = TestApp::new().await;
    for (path, _) in FILES {
        let tag = app.anonymous().get(path).await.header("etag").unwrap().to_owned();
        let again = app.anonymous().send("GET", path, &[("if-none-match", &tag)], "").await.status(304);
        assert!(again.body.is_empty(), "{again}");
    }
}

#[tokio::test]
async fn the_page_knows_how_links_begin_where_the_server_was_told() {
    let url = Some("https://id.example.com/a&b".to_owned());
    let told = Settings::read(|name| url.clone().filter(|_| name == "AUTHENTIK_STAGES__PUBLIC_URL")).unwrap();
    for (public_url, content) in [(told.mail.public_url, "https://id.example.com/a&amp;b"), (None, "")] {
        let app = TestApp::with(|settings| settings.mail.public_url = public_url).await;
        let page = app.anonymous().get("/").await;
        let meta = format!("<meta name=\"public-url\" content=\"{content}\">");
        assert!(page.to_string().contains(&meta), "{page}");
    }
}

#[tokio::test]
async fn it_can_be_turned_off() {
    let app = TestApp::with(|settings| settings.console = Some(false)).await;
    for (path, _) in FILES {
        app.anonymous().get(path).await.status(404);
    }
}
