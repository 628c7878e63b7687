//! Entity tags, and requests that go by them.

use drf::action::{Method, Route};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Answer, Client, EMAIL, INVITATION, JSON, TestApp, USER_WRITE, declared};

const OTHER: &str = "\"00000000000000000000000000000000\"";
const REFUSED: &str = "The object is not in the state that If-Match or If-None-Match asks for. Nothing was changed; read it again.";

#[track_caller]
fn etag(answer: &Answer) -> String {
    answer.header("etag").unwrap_or_else(|| panic!("no tag: {answer}")).to_owned()
}

/// A read with these headers.
async fn read(client: &Client, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    client.send(method, path, headers, "").await
}

/// A write that goes by a tag.
async fn write_if(client: &Client, method: &str, path: &str, tag: &str, body: &Value) -> Answer {
    let headers = [JSON[0], ("if-match", tag)];
    client.send(method, path, &headers, body.to_string()).await
}

/// An email stage, and the tag that POST gave it.
async fn stage(app: &TestApp) -> (String, String) {
    let made = app.admin().post(EMAIL, json!({ "name": app.new_name() })).await.status(201);
    (format!("{EMAIL}{}/", made.pk()), etag(&made))
}

#[tokio::test]
async fn every_answer_with_an_object_or_a_list_has_the_tag_of_its_state() {
    let app = TestApp::new().await;
    let admin = app.admin();
    for resource in declared() {
        let (first, second) = app.two_numbers();
        let path = resource.path_of(&app.row(&resource, first).await);
        for path in [resource.path, &path] {
            let shown = admin.get(path).await.status(200);
            let answer = read(&admin, "GET", path, &[("if-none-match", &etag(&shown))]).await.status(304);
            assert_eq!((etag(&answer), answer.body.len()), (etag(&shown), 0));
        }
        for method in [Method::Patch, Method::Put] {
            if resource.does(method, Route::OBJECT) {
                let shown = admin.get(&path).await;
                write_if(&admin, method.name(), &path, OTHER, &shown.json()).await.status(412);
                let wrote = write_if(&admin, method.name(), &path, &etag(&shown), &shown.json()).await;
                assert_ne!(wrote.status, 412, "{wrote}");
                let shown = admin.get(&path).await.status(200);
                has_the_tag_of(&wrote, &shown, resource.path);
            }
        }
        if resource.does(Method::Post, Route::LIST) {
            let made =
                admin.post(resource.path, app.body(resource.writable(), second).await).await.status(201);
            let shown = admin.get(&resource.path_of(&made.json())).await.status(200);
            has_the_tag_of(&made, &shown, resource.path);
        }
    }
}

/// Bindings are shown by a write in other words than by a read.
#[track_caller]
fn has_the_tag_of(wrote: &Answer, shown: &Answer, resource: &str) {
    let tag = (wrote.status < 300 && resource != "/flows/bindings/").then(|| etag(shown));
    assert_eq!(wrote.header("etag"), tag.as_deref(), "{wrote}, then {shown}");
}

#[tokio::test]
async fn a_tag_stands_for_a_state_whoever_shows_it() {
    let app = TestApp::new().await;
    let (path, made) = stage(&app).await;
    for client in [app.admin(), app.admin(), app.viewer(), app.replica()] {
        assert_eq!(etag(&client.get(&path).await), made);
    }
    let list = etag(&app.admin().get(EMAIL).await);
    let changed = etag(&app.admin().patch(&path, json!({ "port": 26 })).await.status(200));
    assert_ne!(changed, made);
    assert_ne!(etag(&app.admin().get(EMAIL).await), list);
    for client in [app.admin(), app.admin(), app.replica()] {
        assert_eq!(etag(&client.get(&path).await), changed);
    }
    assert_eq!(etag(&app.admin().patch(&path, json!({ "port": 25 })).await.status(200)), made);
}

#[tokio::test]
async fn a_read_goes_by_what_the_client_has() {
    let app = TestApp::new().await;
    let (path, tag) = stage(&app).await;
    let tags = |named: &str| named.replace("TAG", &tag);
    for method in ["GET", "HEAD"] {
        for (name, named, status) in [
            ("if-none-match", "TAG", 304),
            ("if-none-match", "W/TAG", 304),
            ("if-none-match", "\"other\", TAG", 304),
            ("if-none-match", "*", 304),
            ("if-none-match", OTHER, 200),
            ("if-none-match", "TAG TAG", 200),
            ("if-match", "TAG", 200),
            ("if-match", "*", 200),
            ("if-match", "W/TAG", 412),
            ("if-match", OTHER, 412),
            ("if-match", "none", 412),
        ] {
            let answer = read(&app.admin(), method, &path, &[(name, &tags(named))]).await.status(status);
            assert_eq!(answer.header("allow"), Some("GET, PUT, PATCH, DELETE, HEAD, OPTIONS"), "{answer}");
            assert_eq!(answer.header("etag"), (status != 412).then_some(tag.as_str()), "{answer}");
            if status == 304 {
                assert_eq!(answer.header("vary"), Some("accept-encoding"));
                let of_a_body = ["content-type", "content-length", "content-encoding"];
                assert_eq!(of_a_body.map(|name| answer.header(name)), [None; 3], "{method} {name}: {named}");
            }
        }
    }
    let both = [("if-match", OTHER), ("if-none-match", &tag)];
    read(&app.admin(), "GET", &path, &both).await.is(412, json!({ "detail": REFUSED }));
    let gone = format!("{EMAIL}00000000-0000-4000-8000-000000000000/");
    for headers in [[("if-none-match", "*")], [("if-match", "*")]] {
        read(&app.admin(), "GET", &gone, &headers).await.status(404);
        read(&app.plain(), "GET", &path, &headers).await.status(403);
    }
}

#[rstest]
#[case::of_an_object(false)]
#[case::of_a_list(true)]
#[tokio::test]
async fn a_compressed_answer_has_a_tag_of_its_own(#[case] of_a_list: bool) {
    let app = TestApp::new().await;
    let (object, _) = stage(&app).await;
    let path = if of_a_list { EMAIL } else { &object };
    let gzip = ("accept-encoding", "gzip");
    for method in ["GET", "HEAD"] {
        let plain = read(&app.admin(), method, path, &[]).await.status(200);
        let compressed = read(&app.admin(), method, path, &[gzip]).await.status(200);
        let (plain, compressed) = (etag(&plain), etag(&compressed));
        assert_eq!(compressed, format!("{}-gzip\"", plain.trim_end_matches('"')), "{method}");
        for (headers, status, tag) in [
            (vec![gzip, ("if-none-match", &compressed)], 304, &compressed),
            (vec![gzip, ("if-none-match", &plain)], 304, &plain),
            (vec![("if-none-match", &plain)], 304, &plain),
            // A cache would give the compressed answer to somebody who can't read it.
            (vec![("if-none-match", &compressed)], 200, &plain),
            (vec![gzip, ("if-match", &compressed)], 200, &compressed),
            (vec![gzip, ("if-match", &plain)], 200, &compressed),
        ] {
            let answer = read(&app.admin(), method, path, &headers).await.status(status);
            assert_eq!(etag(&answer), *tag, "{method} {headers:?}");
            assert_eq!(answer.header("vary"), Some("accept-encoding"), "{method} {headers:?}");
        }
        // Whichever form somebody has read, it is the same object that they write.
        write_if(&app.admin(), "PATCH", &object, &compressed, &json!({})).await.status(if of_a_list {
            412
        } else {
            200
        });
    }
}

#[tokio::test]
async fn a_write_goes_by_what_the_client_has_seen() {
    let app = TestApp::new().await;
    let admin = app.admin();
    let (path, old) = stage(&app).await;
    let body = json!({ "name": "another", "port": 26 });
    let current = etag(&admin.patch(&path, json!({ "port": 26 })).await.status(200));
    let before = app.contents().await;
    for method in ["PUT", "PATCH", "DELETE"] {
        for tag in [&old, OTHER, &format!("W/{current}"), &format!("{old}, {OTHER}")] {
            write_if(&admin, method, &path, tag, &body).await.is(412, json!({ "detail": REFUSED }));
        }
        let not_tags = json!({ "detail": "If-Match is not a list of entity tags." });
        write_if(&admin, method, &path, "none", &body).await.is(400, not_tags);
        for tag in ["*", &current] {
            let headers = [JSON[0], ("if-none-match", tag)];
            admin.send(method, &path, &headers, body.to_string()).await.status(412);
        }
        // What is wrong with the request otherwise comes first.
        write_if(&app.viewer(), method, &path, &old, &body).await.status(403);
        let gone = format!("{EMAIL}00000000-0000-4000-8000-000000000000/");
        write_if(&admin, method, &gone, "*", &body).await.status(404);
    }
    assert_eq!(app.contents().await, before);
    let mut tag = current;
    for (method, named) in [("PATCH", "TAG"), ("PUT", "\"other\", TAG"), ("PATCH", "*"), ("DELETE", "TAG")] {
        let body = json!({ "name": app.new_name() });
        let answer = write_if(&admin, method, &path, &named.replace("TAG", &tag), &body).await;
        tag = answer.header("etag").unwrap_or_default().to_owned();
        answer.status(if method == "DELETE" { 204 } else { 200 });
    }
}

/// What GET shows somebody with a query of their own is another state than what it shows without.
#[tokio::test]
async fn the_query_of_a_write_says_which_answer_it_goes_by() {
    let app = TestApp::new().await;
    let group = app.admin().post("/core/groups/", json!({ "name": "a group" })).await.status(201).pk();
    let (whole, part) =
        (format!("/core/groups/{group}/"), format!("/core/groups/{group}/?include_users=false"));
    let (of_whole, of_part) = (etag(&app.admin().get(&whole).await), etag(&app.admin().get(&part).await));
    assert_ne!(of_whole, of_part);
    for (path, tag, status) in
        [(&whole, &of_part, 412), (&part, &of_whole, 412), (&whole, &of_whole, 200), (&part, &of_part, 200)]
    {
        write_if(&app.admin(), "PATCH", path, tag, &json!({ "name": "a group" })).await.status(status);
    }
}

/// The second writer waits for the row, and only then it is looked what there is: a name stands in another table than the
/// row that is locked.
#[rstest]
#[case::a_column_of_its_own(json!({ "port": 26 }), "authentik_stages_email_emailstage")]
#[case::one_of_another_table(json!({ "name": "another" }), "authentik_flows_stage")]
#[tokio::test]
async fn it_is_decided_under_the_lock(#[case] change: Value, #[case] table: &str) {
    let app = TestApp::new().await;
    let (path, tag) = stage(&app).await;
    let commits = app.hold_commits(table).await;
    let write = |body: Value| {
        let (client, path, tag) = (app.admin(), path.clone(), tag.clone());
        tokio::spawn(async move { write_if(&client, "PATCH", &path, &tag, &body).await })
    };
    let first = write(change);
    commits.one_waits().await;
    let second = write(json!({ "subject": "lost" }));
    app.so_many_wait_for_locks(2).await;
    commits.release().await;
    first.await.unwrap().status(200);
    second.await.unwrap().is(412, json!({ "detail": REFUSED }));
}

/// Read, change and write until nobody else wrote in between.
async fn change(client: Client, path: String, change: impl Fn(&Value) -> Value) {
    loop {
        let shown = client.get(&path).await;
        if shown.status == 503 {
            continue; // so many at once
        }
        let body = change(&shown.json());
        let tag = etag(&shown.status(200));
        let answer = write_if(&client, "PATCH", &path, &tag, &body).await;
        match answer.status {
            200 => return,
            status => assert!([412, 503].contains(&status), "{answer}"),
        }
    }
}

#[rstest]
#[case::of_a_dictionary(INVITATION, 50)]
#[case::of_a_name_in_another_table(USER_WRITE, 20)]
#[tokio::test]
async fn no_change_of_many_writers_is_lost(#[case] resource: &str, #[case] writers: usize) {
    let app = TestApp::new().await;
    let path = format!("{resource}{}/", app.admin().create(resource, "name").await);
    let in_dictionary = resource == INVITATION;
    let all: Vec<_> = (0..writers)
        .map(|writer| {
            let changed = move |row: &Value| {
                if in_dictionary {
                    let mut data = row["fixed_data"].clone();
                    data[format!("writer {writer}")] = json!(true);
                    json!({ "fixed_data": data })
                } else {
                    json!({ "name": format!("{}-{writer}", row["name"].as_str().unwrap()) })
                }
            };
            tokio::spawn(change(app.admin(), path.clone(), changed))
        })
        .collect();
    for writer in all {
        writer.await.unwrap();
    }
    let row = app.admin().get(&path).await.json();
    let changes = if in_dictionary {
        row["fixed_data"].as_object().unwrap().len()
    } else {
        row["name"].as_str().unwrap().matches('-').count()
    };
    assert_eq!(changes, writers, "{row}");
}
