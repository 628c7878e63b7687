//! A server over a primary and its standbys, and what it says of them.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cluster::Node;
use crate::postgres::Scratch;
use crate::process::{self, PATIENCE};
use crate::server::Server;

/// The names of a replica's host and port, by its number.
const REPLICAS: [[&str; 2]; 2] = [
    ["AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__HOST", "AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__PORT"],
    ["AUTHENTIK_POSTGRESQL__READ_REPLICAS__1__HOST", "AUTHENTIK_POSTGRESQL__READ_REPLICAS__1__PORT"],
];

/// A running server.
pub struct Site {
    pub server: Server,
    metrics: SocketAddr,
}

impl Site {
    /// One that writes to whichever of `hosts` takes writes, and reads from `replicas`.
    pub fn open(scratch: &Scratch, name: &str, hosts: &[&Node], replicas: &[&Node]) -> Self {
        let metrics = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).unwrap();
        let all = |of: fn(SocketAddr) -> String| {
            let all: Vec<_> = hosts.iter().map(|node| of(node.address())).collect();
            all.join(",")
        };
        let mut settings = vec![
            ("AUTHENTIK_POSTGRESQL__HOST", all(|address| address.ip().to_string())),
            ("AUTHENTIK_POSTGRESQL__PORT", all(|address| address.port().to_string())),
            ("AUTHENTIK_LISTEN__METRICS", metrics.to_string()),
            ("AUTHENTIK_STAGES__REPLICA_LAG", format!("seconds={}", MAX_LAG.as_secs())),
        ];
        for ([host, port], node) in REPLICAS.iter().zip(replicas) {
            settings.push((host, node.address().ip().to_string()));
            settings.push((port, node.address().port().to_string()));
        }
        let server = Server::new(scratch.path(), name, hosts[0].address()).with(&settings);
        server.start();
        Self { server, metrics }
    }

    /// A metric's value, with its labels as they are printed.
    pub fn metric(&self, name: &str) -> f64 {
        self.metrics_of(name).find(|(rest, _)| rest.is_empty()).map_or(0.0, |(_, value)| value)
    }

    /// The values of all metrics that begin so, by how they go on.
    fn metrics_of(&self, begin: &str) -> impl Iterator<Item = (String, f64)> {
        let asked = process::ask(self.metrics, "GET", "/-/metrics/", "", "");
        let (_, _, body) = asked.and_then(process::answer).unwrap();
        let lines = body.lines().filter_map(|line| line.strip_prefix(begin)?.split_once(' '));
        let values = lines.map(|(rest, value)| (rest.to_owned(), value.parse().unwrap()));
        values.collect::<Vec<_>>().into_iter()
    }

    /// How many reads this one served, or `primary`.
    pub fn reads(&self, replica: Option<&Node>) -> f64 {
        let name = replica.map_or_else(|| "primary".to_owned(), |node| node.address().to_string());
        self.metric(&format!("ak_stages_reads_total{{server=\"{name}\"}}"))
    }

    /// Wait until this one is read from, or isn't: how long that took.
    pub fn is_in_use(&self, replica: &Node, expected: bool) -> Duration {
        let name = format!("ak_stages_replica_in_use{{replica=\"{}\"}}", replica.address());
        let began = Instant::now();
        while (self.metric(&name) > 0.5) != expected {
            assert!(began.elapsed() < PATIENCE, "{name} is not {expected}: {}", self.server.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        began.elapsed()
    }

    /// Wait until this one isn't read from, for this reason as metrics have it and for no other.
    pub fn is_left_out(&self, replica: &Node, reason: &str) {
        self.is_in_use(replica, false);
        let metric = format!("ak_stages_replica_left_out{{replica=\"{}\",reason=", replica.address());
        let began = Instant::now();
        let reasons = || self.metrics_of(&metric).filter(|(_, value)| *value > 0.5).map(|(label, _)| label);
        while reasons().collect::<Vec<_>>() != [format!("\"{reason}\"}}")] {
            assert!(began.elapsed() < PATIENCE, "{metric} is not {reason}: {}", self.server.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A token of its own for a client.
    pub fn token(&self, identifier: &str) -> String {
        let token = json!({ "identifier": identifier, "intent": "api", "expiring": false }).to_string();
        let made = self.server.ask("POST", "/api/v3/core/tokens/", &token).unwrap();
        assert_eq!(made.status, 201, "{}", made.body);
        let shown = self.server.ask("GET", &format!("/api/v3/core/tokens/{identifier}/view_key/"), "");
        let shown: serde_json::Value = serde_json::from_str(&shown.unwrap().body).unwrap();
        shown["key"].as_str().unwrap().to_owned()
    }
}

/// How far behind a replica may be in these tests.
pub const MAX_LAG: Duration = Duration::from_secs(3);
