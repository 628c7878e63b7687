//! A server under test, and requests to it.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::process::{self, PATIENCE};

/// The superuser's token.
pub const KEY: &str = "the-token-of-the-superuser";

/// The program, on an address of its own that stays the same from life to life.
pub struct Server {
    address: SocketAddr,
    environment: Vec<(&'static str, String)>,
    log: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Server {
    /// One whose database is behind `database`. Not started yet.
    pub fn new(directory: &Path, name: &str, database: SocketAddr) -> Self {
        // Free now; nobody else is likely to take it.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).unwrap();
        let environment = vec![
            ("AUTHENTIK_POSTGRESQL__HOST", database.ip().to_string()),
            ("AUTHENTIK_POSTGRESQL__PORT", database.port().to_string()),
            ("AUTHENTIK_POSTGRESQL__USER", "app".to_owned()),
            ("AUTHENTIK_POSTGRESQL__NAME", "postgres".to_owned()),
            ("AUTHENTIK_POSTGRESQL__SSLMODE", "disable".to_owned()),
            ("AUTHENTIK_BOOTSTRAP_TOKEN", KEY.to_owned()),
            ("AUTHENTIK_LISTEN__HTTP", address.to_string()),
            ("AUTHENTIK_LISTEN__METRICS", "127.0.0.1:0".to_owned()),
        ];
        Self { address, environment, log: directory.join(name), child: Mutex::default() }
    }

    /// The same with more settings.
    pub fn with(mut self, settings: &[(&'static str, String)]) -> Self {
        self.environment.extend_from_slice(settings);
        self
    }

    /// The program with its settings.
    pub fn command(&self) -> Command {
        process::command(&self.environment)
    }

    /// Start it, and wait until it serves.
    pub fn start(&self) {
        let mut command = self.command();
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        command.arg("serve").stdout(log.try_clone().unwrap()).stderr(log);
        let began = Instant::now();
        *self.child.lock().unwrap() = Some(command.spawn().unwrap());
        while self.ask("GET", "/-/health/live/", "").is_err() {
            assert!(began.elapsed() < PATIENCE, "the server does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Send a signal.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.lock().unwrap();
        kill_process(Pid::from_child(child.as_ref().unwrap()), signal).unwrap();
    }

    /// Wait for its end.
    pub fn wait(&self) {
        self.child.lock().unwrap().take().unwrap().wait().unwrap();
    }

    /// The end of what it logged.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Whether it logged one of these.
    pub fn has_logged(&self, texts: &[&str]) -> bool {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        texts.iter().any(|text| log.contains(text))
    }

    /// What it logged of failures of its own.
    pub fn internal_errors(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.contains("internal error")).map(str::to_owned).collect()
    }

    /// One request on a connection of its own.
    ///
    /// # Errors
    /// There is no answer.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        self.ask_as(KEY, method, path, body)
    }

    /// The same with this token.
    ///
    /// # Errors
    /// There is no answer.
    pub fn ask_as(&self, key: &str, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let began = Instant::now();
        let (status, head, body) = process::answer(process::ask(self.address, method, path, key, body)?)?;
        let says_when = head.to_ascii_lowercase().contains("\r\nretry-after: ");
        Ok(Answer { status, says_when, body, took: began.elapsed() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// What it answered.
pub struct Answer {
    pub status: u16,
    /// Whether it says when to try again.
    pub says_when: bool,
    pub body: String,
    pub took: Duration,
}

impl Answer {
    /// Whether it says that it isn't known what became of the request.
    pub fn is_unknown(&self) -> bool {
        self.status == 503 && self.body.contains("did not say whether it stored this")
    }

    /// The key of the object.
    pub fn pk(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        body["pk"].as_str().unwrap().to_owned()
    }
}
