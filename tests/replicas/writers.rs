//! Clients that read back what they wrote, and what is found wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::Row;

use crate::WRITTEN;
use crate::cluster::Node;
use crate::server::Server;
use crate::site::MAX_LAG;

/// How long after a write it is read once more, in turn: while the standby doesn't have it yet, and when it has.
const PAUSES: [u64; 5] = [0, 100, 700, 1300, 2000];

/// What is found.
#[derive(Default)]
pub struct Findings {
    /// What must never be.
    wrong: Mutex<Vec<String>>,
    /// What each object has, by its name; `None` for one that was deleted.
    written: Mutex<BTreeMap<String, Option<String>>>,
    reads: AtomicUsize,
    writes: AtomicUsize,
    /// Reads of what somebody else writes.
    ticks: AtomicUsize,
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        write!(
            formatter,
            "{} writes, {} reads of the writers' own, {} of another's; {} objects; {} wrong",
            count(&self.writes),
            count(&self.reads),
            count(&self.ticks),
            self.written.lock().unwrap().len(),
            self.wrong.lock().unwrap().len()
        )
    }
}

impl Findings {
    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    /// Whether nothing is wrong, and the primary has what was acknowledged.
    pub fn check(&self, primary: &Node) {
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{} wrong: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
        let found = stored(primary);
        let mut written = self.written.lock().unwrap().clone();
        written.retain(|_, value| value.is_some());
        let written: BTreeMap<_, _> =
            written.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        assert_eq!(found, written);
    }
}

/// The objects that a server holds, by name, but for the one that ticks.
pub fn stored(node: &Node) -> BTreeMap<String, String> {
    let select = "SELECT s.name::text, w.user_path_template::text \
                  FROM authentik_stages_user_write_userwritestage w \
                  JOIN authentik_flows_stage s ON s.stage_uuid = w.stage_ptr_id WHERE s.name <> 'tick'";
    let rows =
        node.postgres.with(async |connection| sqlx::query(select).fetch_all(connection).await).unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// A client with a token of its own.
pub struct Writer<'a> {
    pub server: &'a Server,
    pub key: &'a str,
    pub number: usize,
    pub findings: &'a Findings,
}

impl Writer<'_> {
    /// One request that has to be answered like this. Gives the body.
    fn ask(&self, method: &str, path: &str, body: &Value, expected: u16) -> Option<Value> {
        let answered = self.server.ask_as(self.key, method, path, &body.to_string());
        match answered {
            Ok(answer) if answer.status == expected => {
                Some(serde_json::from_str(&answer.body).unwrap_or_default())
            }
            Ok(answer) => {
                self.findings.wrong(format!("{method} {path}: {} {}", answer.status, answer.body));
                None
            }
            Err(error) => {
                self.findings.wrong(format!("{method} {path}: {error}"));
                None
            }
        }
    }

    fn write(&self, method: &str, path: &str, body: &Value, expected: u16) -> Option<Value> {
        self.findings.writes.fetch_add(1, Ordering::SeqCst);
        self.ask(method, path, body, expected)
    }

    /// The object has to have this value; or not to be there.
    fn read_back(&self, pk: &str, name: &str, expected: Option<&str>) {
        self.findings.reads.fetch_add(2, Ordering::SeqCst);
        let status = if expected.is_some() { 200 } else { 404 };
        if let Some(found) = self.ask("GET", &format!("{WRITTEN}{pk}/"), &Value::Null, status)
            && found["user_path_template"].as_str() != expected
        {
            self.findings.wrong(format!("{name}: {} rather than {expected:?}", found["user_path_template"]));
        }
        let list = self.ask("GET", &format!("{WRITTEN}?name={}", name.replace(' ', "+")), &Value::Null, 200);
        let found = list.unwrap_or_default()["results"][0]["user_path_template"].clone();
        if found.as_str() != expected {
            self.findings.wrong(format!("{name} in a list: {found} rather than {expected:?}"));
        }
    }

    /// Make objects, change them, delete some, and read each of it back, at once and later.
    pub fn write_and_read_back(&self, is_over: &AtomicBool) {
        let pause = |turn: usize| std::thread::sleep(Duration::from_millis(PAUSES[turn % PAUSES.len()]));
        for object in 0_usize.. {
            if is_over.load(Ordering::SeqCst) {
                break;
            }
            let name = format!("{} {object}", self.number);
            let body = json!({ "name": name, "user_path_template": "0" });
            let Some(made) = self.write("POST", WRITTEN, &body, 201) else { continue };
            let pk = made["pk"].as_str().unwrap();
            let mut value = "0".to_owned();
            self.read_back(pk, &name, Some(&value));
            for turn in 1..4 {
                value = turn.to_string();
                self.write("PATCH", &format!("{WRITTEN}{pk}/"), &json!({ "user_path_template": value }), 200);
                self.read_back(pk, &name, Some(&value));
                pause(self.number + object + turn);
                self.read_back(pk, &name, Some(&value));
            }
            let is_deleted = !object.is_multiple_of(4);
            if is_deleted {
                self.write("DELETE", &format!("{WRITTEN}{pk}/"), &Value::Null, 204);
                self.read_back(pk, &name, None);
            }
            let known = (!is_deleted).then_some(value);
            self.findings.written.lock().unwrap().insert(name, known);
        }
    }
}

/// An object that is written all the time, and when that was acknowledged: what others read of it may be late, and by how
/// much is known.
pub struct Tick {
    path: String,
    /// Of each value.
    acknowledged: Mutex<Vec<Instant>>,
}

impl Tick {
    /// Make the object.
    pub fn begin(server: &Server, key: &str) -> Self {
        let body = json!({ "name": "tick", "user_path_template": "0" }).to_string();
        let made = server.ask_as(key, "POST", WRITTEN, &body).unwrap();
        assert_eq!(made.status, 201, "{}", made.body);
        let path = format!("{WRITTEN}{}/", made.pk());
        Self { path, acknowledged: Mutex::new(vec![Instant::now()]) }
    }

    /// Write one value after the other.
    pub fn go_on(&self, writer: &Writer<'_>, is_over: &AtomicBool) {
        while !is_over.load(Ordering::SeqCst) {
            let value = self.acknowledged.lock().unwrap().len();
            let body = json!({ "user_path_template": value.to_string() });
            if writer.write("PATCH", &self.path, &body, 200).is_some() {
                self.acknowledged.lock().unwrap().push(Instant::now());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Read it: nothing may be missing that was acknowledged so long before the request.
    pub fn read(&self, reader: &Writer<'_>, is_over: &AtomicBool) {
        while !is_over.load(Ordering::SeqCst) {
            let asked = Instant::now();
            let answer = reader.ask("GET", &self.path, &Value::Null, 200).unwrap_or_default();
            reader.findings.ticks.fetch_add(1, Ordering::SeqCst);
            let value: usize = answer["user_path_template"]
                .as_str()
                .and_then(|value| value.parse().ok())
                .unwrap_or_default();
            let acknowledged = self.acknowledged.lock().unwrap();
            let known = acknowledged.iter().rposition(|at| *at + MAX_LAG < asked).unwrap_or(0);
            if value < known {
                let late = asked - acknowledged[value + 1];
                reader
                    .findings
                    .wrong(format!("{value} was read {} ms after its successor", late.as_millis()));
            }
            drop(acknowledged);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
