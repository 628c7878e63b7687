//! The real program under clients that take what they can: connections, memory, time. A number in the environment
//! makes a crowd larger than the suite has time for (`DOOR_CONNECTIONS=10000`, `DOOR_SLOW=1000`, `DOOR_BODIES=64`).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ak_stages::http::raise_open_files;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::support::{Program, empty_database};

const KEY: &str = "the-first-token-of-this-database";
const INVITATIONS: &str = "/api/v3/stages/invitation/invitations/";
const STAGES: &str = "/api/v3/stages/email/";
/// The largest body.
const LARGEST: usize = 2_621_440;
/// MB that the server may take at most, whatever happens.
const MOST: usize = 300;

fn crowd(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().map_or(usual, |number| number.parse().unwrap())
}

async fn serve(settings: &[(&'static str, &str)]) -> Program {
    raise_open_files();
    let mut environment = empty_database().await;
    environment.push(("AUTHENTIK_BOOTSTRAP_TOKEN", KEY.to_owned()));
    // Unoptimised, one thread is busy with each of the largest bodies for a second, while their senders time out.
    environment.push(("TOKIO_WORKER_THREADS", "4".to_owned()));
    environment.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
    Program::serve(&environment)
}

/// The head of a request with a body of so many bytes.
fn head(method: &str, path: &str, key: Option<&str>, length: usize) -> String {
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\n{key}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// What comes until the server closes, or for `patience`.
fn rest(stream: &mut TcpStream, patience: Duration) -> String {
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Whether the server has closed it; what it sent before is dropped.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let mut some = [0; 4096];
    loop {
        match stream.read(&mut some) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                return !matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                );
            }
        }
    }
}

/// An invitation as large as one can be, of this value over and over.
fn invitation(name: &str, value: &str) -> String {
    let start = format!(r#"{{"name": "{name}", "fixed_data": {{"a": [{value}"#);
    let more = (LARGEST - start.len() - 3) / (value.len() + 1);
    format!("{start}{}]}}}}", format!(",{value}").repeat(more))
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_cost_little_and_hold_nobody_up() {
    let many = crowd("DOOR_CONNECTIONS", 1000);
    let server = serve(&[]).await;
    let idle: Vec<_> = (0..many)
        .map(|number| {
            // Some have asked for something before, some are within a head.
            let mut stream = server
                .send(if number % 2 == 0 { b"" } else { b"GET /-/health/live/ HTTP/1.1\r\nHost: a\r\n\r\n" })
                .unwrap();
            if number % 2 != 0 {
                assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            }
            stream
        })
        .collect();
    let mut times: Vec<_> = (0..200)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(server.request("GET", STAGES, KEY, "").unwrap().0, 200);
            began.elapsed()
        })
        .collect();
    times.sort();
    let (p99, (now, most)) = (times[197], server.memory());
    eprintln!("{many} idle connections: {now} MB, at most {most} MB; p50 {:?}, p99 {p99:?}", times[100]);
    assert!(most < 200, "{most} MB");
    // The suite's machine is busy with other tests.
    assert!(p99 < Duration::from_millis(500), "{p99:?}");
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_open_files_is_raised() {
    raise_open_files();
    let most = getrlimit(Resource::Nofile);
    // A little lower than it may be, for the others in this process.
    let current = most.maximum.map_or(4096, |most| most - 1);
    setrlimit(Resource::Nofile, Rlimit { current: Some(current), ..most }).unwrap();
    let environment = empty_database().await;
    let server = Program::serve(&environment);
    raise_open_files();
    let (now, most) = server.open_files();
    assert_eq!(now, most);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_room_for_so_many_and_for_so_many_of_one_address() {
    let few = serve(&[("AUTHENTIK_STAGES__CONNECTIONS", "3")]).await;
    let one = serve(&[
        ("AUTHENTIK_STAGES__CONNECTIONS_PER_ADDRESS", "3"),
        ("AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS", "192.0.2.0/24"),
    ])
    .await;
    let proxied = serve(&[("AUTHENTIK_STAGES__CONNECTIONS_PER_ADDRESS", "3")]).await;
    for (server, is_limited) in [(few, true), (one, true), (proxied, false)] {
        let mut inside: Vec<_> = (0..3).map(|_| server.send(b"").unwrap()).collect();
        let mut next = server.send(b"").unwrap();
        let refused = rest(&mut next, Duration::from_secs(1));
        assert_eq!(refused.starts_with("HTTP/1.1 503"), is_limited, "{refused}");
        inside.clear();
        drop(next);
        let began = Instant::now();
        while !matches!(server.request("GET", STAGES, KEY, ""), Ok((200, _))) {
            assert!(began.elapsed() < Duration::from_secs(5), "nobody is let in again");
        }
        let metrics = server.scrape().unwrap();
        let none = metrics.contains("ak_stages_limit_refusals_total{reason=\"connections\"} 0\n");
        assert_eq!(none, !is_limited, "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_or_takes_a_byte_a_second_is_shed() {
    let many = crowd("DOOR_SLOW", 50);
    // Two connections to the database: readers that held one would leave none.
    let server =
        serve(&[("AUTHENTIK_STAGES__STALL", "seconds=4"), ("AUTHENTIK_STAGES__POOL_SIZE", "2")]).await;
    for number in 0..3 {
        let body = invitation(
            &format!("large-{number}"),
            "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
        );
        assert_eq!(server.request("POST", INVITATIONS, KEY, &body).unwrap().0, 201);
    }
    let mut readers: Vec<_> = (0..8)
        .map(|_| {
            let request =
                format!("GET {INVITATIONS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n\r\n");
            server.send(request.as_bytes()).unwrap()
        })
        .collect();
    for reader in &mut readers {
        reader.read_exact(&mut [0]).unwrap();
        reader.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    }
    let large = head("POST", INVITATIONS, Some(KEY), 100_000);
    let small = head("POST", INVITATIONS, Some(KEY), 1000);
    let nobody = head("POST", INVITATIONS, None, 1000);
    let mut slow: Vec<(TcpStream, bool)> = Vec::new();
    for number in 0..many {
        // Half of them are within their heads.
        let first = match number % 6 {
            0 => large.as_str(),
            1 => small.as_str(),
            2 => nobody.as_str(),
            _ => "GET / HTTP/1.1\r\nH",
        };
        slow.push((server.send(first.as_bytes()).unwrap(), number % 6 < 3));
    }
    let began = Instant::now();
    let (mut heads_shed, mut bodies_shed) = (None, None);
    while bodies_shed.is_none() || heads_shed.is_none() {
        let before = Instant::now();
        assert_eq!(server.request("GET", STAGES, KEY, "").unwrap().0, 200);
        assert!(
            before.elapsed() < Duration::from_secs(3),
            "a slow client holds a connection of the database"
        );
        for reader in &mut readers {
            reader.read_exact(&mut [0]).ok();
        }
        slow.retain_mut(|(stream, _)| stream.write_all(b"a").is_ok() && !is_closed(stream));
        if heads_shed.is_none() && slow.iter().all(|(_, in_body)| *in_body) {
            heads_shed = Some(began.elapsed());
        }
        if bodies_shed.is_none() && slow.iter().all(|(_, in_body)| !in_body) {
            bodies_shed = Some(began.elapsed());
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{} are left", slow.len());
        std::thread::sleep(Duration::from_secs(1).saturating_sub(before.elapsed()));
    }
    eprintln!("{many} slow senders: heads shed after {heads_shed:?}, bodies after {bodies_shed:?}");
    for shed in [heads_shed, bodies_shed] {
        assert!(shed < Some(Duration::from_secs(10)), "{shed:?}");
    }
    for reader in &mut readers {
        // What was on its way still comes, and then the end, without the end of the answer.
        let taken = rest(reader, Duration::from_secs(10)).len();
        assert!(taken < 3 * LARGEST * 9 / 10, "{taken}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded_and_comes_back() {
    let many = crowd("DOOR_BODIES", 12);
    let server = serve(&[]).await;
    eprintln!("at first: {:?} MB", server.memory());

    // Anonymous ones, and such with a key that nobody has, whose last byte doesn't come.
    let body = invitation("withheld", "0");
    let mut withheld = Vec::new();
    for number in 0..many * 5 {
        let key = (number % 2 == 0).then_some("nobody-has-this-key");
        let mut stream = server.send(head("POST", INVITATIONS, key, body.len()).as_bytes()).unwrap();
        // It isn't waited for: the server may have answered before.
        stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        stream.write_all(&body.as_bytes()[..body.len() - 1]).ok();
        withheld.push(stream);
    }
    let (_, most) = server.memory();
    eprintln!("{} withheld bodies: at most {most} MB", withheld.len());
    assert!(most < MOST, "{most} MB");

    // The largest ones that are taken.
    let server = &server;
    std::thread::scope(|scope| {
        for number in 0..many {
            scope.spawn(move || {
                let body = invitation(&format!("zeros-{number}"), "0");
                let began = Instant::now();
                // Those for whom there is no room in time try again, so that there is something to read afterwards.
                let (status, answer) = loop {
                    let (status, answer) = server.request("POST", INVITATIONS, KEY, &body).unwrap();
                    if status != 503 || began.elapsed() > Duration::from_mins(1) {
                        break (status, answer);
                    }
                };
                assert!(status == 201 || status == 503, "{status} {}", &answer[..answer.len().min(200)]);
            });
        }
    });
    let (_, most) = server.memory();
    eprintln!("{many} bodies of zeros: at most {most} MB");
    assert!(most < MOST, "{most} MB");

    // Pages of them, and who is slow to take one.
    let (status, answer) = server.request("GET", &format!("{INVITATIONS}?page_size=2"), KEY, "").unwrap();
    assert_eq!(status, 200, "{answer}");
    let page: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(page["results"][0]["fixed_data"]["a"][1000], 0);
    let (status, answer) = server.request("GET", &format!("{INVITATIONS}?page_size=100"), KEY, "").unwrap();
    assert_eq!(status, 400);
    assert!(answer.contains("Ask for smaller pages"), "{answer}");
    let request =
        format!("GET {INVITATIONS}?page_size=2 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    let readers: Vec<_> = (0..8).map(|_| server.send(request.as_bytes()).unwrap()).collect();
    std::thread::sleep(Duration::from_secs(5));
    let (_, most) = server.memory();
    eprintln!("8 slow readers: at most {most} MB");
    assert!(most < MOST, "{most} MB");
    assert_eq!(server.request("GET", STAGES, KEY, "").unwrap().0, 200);

    // Numbers that are short here and long in the database.
    let body = invitation("large-numbers", "1e308");
    let (status, answer) = server.request("POST", INVITATIONS, KEY, &body).unwrap();
    assert_eq!(status, 400);
    assert!(answer.contains("with every digit written out"), "{answer}");

    drop((readers, withheld));
    let began = Instant::now();
    while server.memory().0 >= 60 {
        assert!(began.elapsed() < Duration::from_mins(1), "{} MB", server.memory().0);
        server.request("GET", STAGES, KEY, "").unwrap();
        std::thread::sleep(Duration::from_millis(500));
    }
    eprintln!("{} MB after {:?}", server.memory().0, began.elapsed());
}

/// A proxy makes a 502 of an answer that a reset overtakes, and authentik never gets what isn't served here.
#[tokio::test(flavor = "multi_thread")]
async fn who_still_sends_reads_the_answer_and_goes_on() {
    let server = serve(&[]).await;
    let body = vec![b' '; 2 * LARGEST];
    for (method, path, key, status) in [
        ("POST", "/api/v3/policies/all/", Some(KEY), "501"),
        ("POST", "/api/v3/stages/email/a.b/", None, "404"),
        ("POST", "/nowhere/", None, "404"),
        ("POST", "/-/health/live/", None, "405"),
        ("POST", STAGES, None, "403"),
        ("POST", STAGES, Some(KEY), "413"),
        ("GET", STAGES, Some(KEY), "200"),
        ("DELETE", STAGES, Some(KEY), "405"),
    ] {
        let mut stream = server.send(head(method, path, key, body.len()).as_bytes()).unwrap();
        for part in body.chunks(body.len() / 4) {
            stream.write_all(part).unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
        stream.write_all(b"GET /-/health/live/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let answers = rest(&mut stream, Duration::from_secs(20));
        assert!(answers.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {answers}");
        assert_eq!(answers.matches("HTTP/1.1 204 ").count(), 1, "{method} {path}: {answers}");
    }
}

/// Nothing is sent for no purpose by those who ask first.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_to_be_asked_for_a_body_has_the_answer_at_once() {
    let server = serve(&[]).await;
    for (path, key, answer) in [
        ("/api/v3/policies/all/", Some(KEY), "HTTP/1.1 501 "),
        (STAGES, None, "HTTP/1.1 403 "),
        (STAGES, Some(KEY), "HTTP/1.1 413 "),
    ] {
        let head =
            head("POST", path, key, 2 * LARGEST).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
        let answered = rest(&mut server.send(head.as_bytes()).unwrap(), Duration::from_secs(20));
        assert!(answered.starts_with(answer), "{path}: {answered}");
        assert!(answered.contains("connection: close\r\n"), "{path}: {answered}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused() {
    let server = serve(&[("AUTHENTIK_STAGES__HEAD", "8192")]).await;
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(20_000));
    let mut stream = server.send(request.as_bytes()).unwrap();
    let answer = rest(&mut stream, Duration::from_secs(5));
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_flow_set_has_so_many_entries() {
    let app = crate::support::TestApp::with(|settings| settings.flow_set_entries = 2).await;
    let entries = |count: usize| -> Value {
        (0..count).map(|number| crate::support::flow_set_entry(&format!("flow-{number}"))).collect()
    };
    let stage = |count| json!({ "name": app.new_name(), "flow_set": entries(count) });
    app.admin().post(crate::support::EMAIL, stage(2)).await.status(201);
    let sentence = "Ensure this field has no more than 2 elements.";
    app.admin()
        .post(crate::support::EMAIL, stage(3))
        .await
        .is(400, json!({ "flow_set": { "non_field_errors": [sentence] } }));
}
