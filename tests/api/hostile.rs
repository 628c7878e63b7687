//! Everything that a client could send and shouldn't, to the real program: no answer is a fault of the server, none takes
//! long, and whatever came before, the next request on the connection gets its own answer.
//!
//! `AK_STAGES_SEED` repeats the requests of a run, `HOSTILE_REQUESTS` asks for so many of them (`make hostile`).

mod generator;
mod wire;

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ak_stages::resources;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde::Deserialize;
use serde_json::Value;

use crate::support::{Declared, Program, TestApp, asked, declared, seed};
use generator::{Generator, Known, Persona, Request};
use wire::{Answer, LONGEST, NoAnswer, Wire};

/// Clients at a time.
const CLIENTS: u64 = 4;

/// What happened to some requests.
#[derive(Debug, Default)]
struct Figures {
    requests: u64,
    /// Answers by their status; 0 is none.
    statuses: BTreeMap<u16, u64>,
    /// Requests and successes by who asked.
    people: BTreeMap<&'static str, (u64, u64)>,
    longest: Duration,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_makes_the_server_fail() {
    let requests = asked("HOSTILE_REQUESTS").unwrap_or(2000);
    let seed = seed("hostile");
    let app = TestApp::in_real_time().await;
    let mut environment = app.environment();
    // Mail is taken, and goes nowhere.
    environment.push(("AUTHENTIK_STAGES__PUBLIC_URL", "https://id.example.com".to_owned()));
    environment.push(("AUTHENTIK_EMAIL__PORT", "1".to_owned()));
    let program = Program::serve(&environment);
    let people = people(&app, seed).await;
    let spared = Arc::new(spared(&app).await);
    let known = Arc::new(Mutex::new(Known::default()));
    for resource in declared() {
        for n in 0..3 {
            let row = app.row(&resource, 2 * app.fresh() + n % 2).await;
            known.lock().unwrap().add(&resource, &row);
        }
    }
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let seed = seed.wrapping_add(client);
        let generator = Generator::new(seed, Arc::clone(&known), people.clone(), Arc::clone(&spared));
        let client = Client { address: program.address(), generator, known: Arc::clone(&known) };
        clients.push(tokio::spawn(client.run(requests / CLIENTS)));
    }
    let mut all = Figures::default();
    for client in clients {
        all.add(client.await.unwrap());
    }
    print_figures(&all);
    let log = program.stderr();
    let faults: Vec<_> =
        log.lines().filter(|line| line.contains("panicked") || line.contains("\"ERROR\"")).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // Whoever was let in at first is so still: the requests asked for something to the end.
    app.admin().get("/core/users/me/").await.status(200);
    let (asked, done) = all.people["superuser"];
    assert!(done * 10 > asked, "{done} of {asked} requests of the superuser did something");
    assert_eq!(program.request("GET", "/-/health/ready/", "", "").unwrap().0, 204);
}

#[expect(clippy::print_stdout, reason = "the figures are what a long run is for")]
fn print_figures(figures: &Figures) {
    println!("{figures:?}");
}

/// Who asks. The superuser comes first.
async fn people(app: &TestApp, seed: u64) -> Vec<Persona> {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut all = vec![("superuser", "admin"), ("unknown", "no-such-token"), ("another intent", "apppw")];
    all.extend(["expired", "inactive", "plain", "viewer"].map(|key| (key, key)));
    let key = |(name, key)| (name, Some(format!("Bearer {key}")));
    let mut people: Vec<_> = all.into_iter().map(key).collect();
    people.extend([("anonymous", None), ("anonymous", Some(String::from("Bearer ")))]);
    people.push(("unknown", Some(format!("Bearer {}", "x".repeat(3000)))));
    let permissions = resources::permissions();
    for n in 0..6 {
        let (_, codename) = permissions.choose(&mut chance).unwrap();
        let codename: &'static str = codename.clone().leak();
        let name = format!("single-{n}");
        app.enter(crate::support::Person::named(&name).may(codename)).await;
        people.push(("single permission", Some(format!("Bearer {name}"))));
    }
    people
}

/// The keys of whoever asks, and of what makes them what they are.
async fn spared(app: &TestApp) -> HashSet<String> {
    let statement = "SELECT id::text FROM authentik_core_user UNION SELECT identifier FROM authentik_core_token \
                     UNION SELECT group_uuid::text FROM authentik_core_group";
    sqlx::query_scalar(statement).fetch_all(&app.pool).await.unwrap().into_iter().collect()
}

struct Client {
    address: SocketAddr,
    generator: Generator,
    known: Arc<Mutex<Known>>,
}

impl Client {
    async fn run(mut self, requests: u64) -> Figures {
        let resources = declared();
        let mut figures = Figures::default();
        let mut wire = Wire::open(self.address).await;
        for number in 0..requests {
            let request = self.generator.request();
            let began = Instant::now();
            let whole = request.is_whole;
            wire.send(&request.bytes, !whole).await;
            let answer = wire.answer(&request.method).await;
            figures.count(&request, answer.as_ref().ok(), began.elapsed());
            match answer {
                Ok(answer) => {
                    check(&request, &answer);
                    self.note(&resources, &request, &answer);
                    if !whole || answer.closes() {
                        check_rest(&request, wire.rest().await);
                        wire = Wire::open(self.address).await;
                    } else if number % 8 == 0 || answer.status >= 400 {
                        probe(&mut wire, &request).await;
                    }
                }
                Err(NoAnswer::Closed) if !whole => wire = Wire::open(self.address).await,
                Err(none) => panic!("{none:?} to {request}"),
            }
        }
        figures
    }

    /// Remember what was made.
    fn note(&self, resources: &[Declared], request: &Request, answer: &Answer) {
        let resource = resources.iter().find(|resource| Some(resource.path) == request.makes);
        if let (Some(resource), 201, None) = (resource, answer.status, answer.header("content-encoding")) {
            let row = json(&answer.body).unwrap();
            self.known.lock().unwrap().add(resource, &row);
        }
    }
}

/// Whatever was asked, this is what every answer is.
fn check(request: &Request, answer: &Answer) {
    let told = || format!("{request}\n→ {answer}");
    // What authentik has and we have not says so.
    let not_served = answer.status == 501 && !request.is_served && answer.header("x-authentik-id").is_some();
    assert!(answer.status < 500 || not_served, "{}", told());
    assert!(
        !request.is_whole || answer.header("x-authentik-id").is_some(),
        "not from the router: {}",
        told()
    );
    if answer.header("content-encoding").is_some() || answer.body.is_empty() {
        return;
    }
    if answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        let body = json(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", told()));
        let is_error = answer.status >= 400;
        assert!(!is_error || body.is_object() || body.is_array(), "{}", told());
    } else {
        let is_page = answer.status == 200 || answer.status == 404;
        assert!(is_page && request.method != "DELETE" || answer.status == 404, "what is this? {}", told());
    }
}

/// Behind the answer to something that has no end there may be a refusal of what is left of it, and nothing else.
fn check_rest(request: &Request, rest: Result<Vec<u8>, NoAnswer>) {
    match rest {
        Ok(rest) => {
            let refused = rest.is_empty() || rest.starts_with(b"HTTP/1.1 400");
            assert!(refused, "more than one answer to {request}\n→ {}", String::from_utf8_lossy(&rest));
        }
        Err(none) => panic!("{none:?} behind the answer to {request}"),
    }
}

/// The next request on the connection gets its own answer.
async fn probe(wire: &mut Wire, before: &Request) {
    wire.send(b"GET /-/health/live/ HTTP/1.1\r\nHost: a\r\n\r\n", false).await;
    match wire.answer("GET").await {
        Ok(answer) => assert_eq!(answer.status, 204, "to what comes behind {before}\n→ {answer}"),
        Err(none) => panic!("{none:?} to what comes behind {before}"),
    }
}

/// A body, as deeply nested as it may be.
fn json(body: &[u8]) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    deserializer.disable_recursion_limit();
    Value::deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value))
}

impl Figures {
    fn count(&mut self, request: &Request, answer: Option<&Answer>, took: Duration) {
        let status = answer.map_or(0, |answer| answer.status);
        self.requests += 1;
        *self.statuses.entry(status).or_default() += 1;
        let (asked, done) = self.people.entry(request.persona).or_default();
        *asked += 1;
        *done += u64::from((200..300).contains(&status));
        self.longest = self.longest.max(took);
        assert!(took < LONGEST, "{took:?} for {request}");
    }

    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.longest = self.longest.max(other.longest);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (person, (asked, done)) in other.people {
            let all = self.people.entry(person).or_default();
            *all = (all.0 + asked, all.1 + done);
        }
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes: String =
            self.bytes.iter().take(3000).map(|byte| byte.escape_ascii().to_string()).collect();
        write!(f, "{}, {} bytes: {bytes}", self.persona, self.bytes.len())
    }
}
