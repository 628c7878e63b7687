//! The real program as a process of its own.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::TestApp;
use super::database;
use super::process::{self, PATIENCE};

/// An environment for the program that names a database without any table.
pub async fn empty_database() -> Vec<(&'static str, String)> {
    environment(&database::empty().await)
}

fn environment(options: &PgConnectOptions) -> Vec<(&'static str, String)> {
    let socket = options.get_socket().unwrap().to_str().unwrap().to_owned();
    vec![
        ("AUTHENTIK_POSTGRESQL__HOST", socket),
        ("AUTHENTIK_POSTGRESQL__PORT", options.get_port().to_string()),
        ("AUTHENTIK_POSTGRESQL__USER", options.get_username().to_owned()),
        ("AUTHENTIK_POSTGRESQL__NAME", options.get_database().unwrap().to_owned()),
    ]
}

/// The database that an environment of [`empty_database`] names.
pub fn database_of(environment: &[(&'static str, String)]) -> PgPool {
    let value = |setting: &str| &environment.iter().find(|(name, _)| *name == setting).unwrap().1;
    let options = PgConnectOptions::new_without_pgpass()
        .socket(value("AUTHENTIK_POSTGRESQL__HOST"))
        .port(value("AUTHENTIK_POSTGRESQL__PORT").parse().unwrap())
        .username(value("AUTHENTIK_POSTGRESQL__USER"))
        .database(value("AUTHENTIK_POSTGRESQL__NAME"));
    PgPoolOptions::new().max_connections(2).connect_lazy_with(options)
}

impl TestApp {
    /// An environment for the program that names this one's database.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        environment(&self.pool.connect_options())
    }
}

/// A running server.
pub struct Program {
    child: Child,
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    output: PathBuf,
}

impl Program {
    /// The program with this environment and, of its own variables, no other.
    pub fn command(environment: &[(&str, String)]) -> Command {
        process::command(environment)
    }

    /// Start a server on a free port and wait until it serves.
    pub fn serve(environment: &[(&str, String)]) -> Self {
        let output = database::new_directory("program");
        let file = |name| File::create(output.join(name)).unwrap();
        let metrics = environment.iter().find(|(name, _)| *name == "AUTHENTIK_LISTEN__METRICS");
        let metrics = metrics.map_or("127.0.0.1:0", |(_, address)| address.as_str());
        let child = Self::command(environment)
            .env("AUTHENTIK_LISTEN__HTTP", "127.0.0.1:0")
            .env("AUTHENTIK_LISTEN__METRICS", metrics)
            .arg("serve")
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        let mut program =
            Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), metrics: None, output };
        let serving = program.announced("serving");
        let address = |name: &str| serving[name].as_str().map(|text| text.parse().unwrap());
        program.address = address("address").unwrap();
        program.metrics = address("metrics");
        program
    }

    /// Where it serves with TLS, if it was told to.
    pub fn secure_address(&mut self) -> SocketAddr {
        self.announced("serving with TLS")["address"].as_str().unwrap().parse().unwrap()
    }

    /// The log's line with this message, which holds its addresses.
    fn announced(&mut self, message: &str) -> Value {
        let started = Instant::now();
        loop {
            let log = self.stderr();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(line) = lines.into_iter().find(|line| line["message"] == message) {
                return line;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && started.elapsed() < PATIENCE, "the server does not start: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it printed for the person who started it.
    pub fn stdout(&self) -> String {
        fs::read_to_string(self.output.join("stdout")).unwrap()
    }

    /// What it logged.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.output.join("stderr")).unwrap()
    }

    /// One request on a connection of its own: status and body.
    ///
    /// # Errors
    /// The server went away.
    pub fn request(&self, method: &str, path: &str, key: &str, body: &str) -> io::Result<(u16, String)> {
        let (status, _, body) = process::answer(self.ask(method, path, key, body)?)?;
        Ok((status, body))
    }

    /// Send a request on a connection of its own, which is closed if it is dropped before the answer.
    ///
    /// # Errors
    /// The server went away.
    pub fn ask(&self, method: &str, path: &str, key: &str, body: &str) -> io::Result<TcpStream> {
        process::ask(self.address, method, path, key, body)
    }

    /// What it shows Prometheus; `None` if it shows nothing.
    pub fn scrape(&self) -> Option<String> {
        self.metrics?;
        let (status, body) = self.ask_for_metrics("GET", "/-/metrics/");
        assert_eq!(status, 200, "{body}");
        Some(body)
    }

    /// One request to the address of metrics: status and body.
    pub fn ask_for_metrics(&self, method: &str, path: &str) -> (u16, String) {
        let stream = process::ask(self.metrics.unwrap(), method, path, "", "").unwrap();
        let (status, _, body) = process::answer(stream).unwrap();
        (status, body)
    }

    /// Send these bytes on a connection of their own.
    ///
    /// # Errors
    /// The server went away.
    pub fn send(&self, bytes: &[u8]) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(bytes)?;
        Ok(stream)
    }

    /// One request, head and body as they are, to whoever serves there: status and body.
    ///
    /// # Errors
    /// Nobody does, or they went away.
    pub fn exchange(address: SocketAddr, request: &str) -> io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let (status, _, body) = process::answer(stream)?;
        Ok((status, body))
    }

    /// What it takes of memory, in MB: now, and at most so far. Where the system tells (`/proc`).
    pub fn memory(&self) -> (usize, usize) {
        let status = self.proc("status");
        let kilobytes = |name: &str| -> usize {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_matches([':', '\t', ' ', 'k', 'B']).parse().unwrap()
        };
        (kilobytes("VmRSS") / 1024, kilobytes("VmHWM") / 1024)
    }

    /// How many files it may open, and may let itself open; a number or `unlimited`.
    pub fn open_files(&self) -> (String, String) {
        let limits = self.proc("limits");
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let mut limits = line.split_whitespace().map(ToOwned::to_owned);
        (limits.next().unwrap(), limits.next().unwrap())
    }

    fn proc(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).unwrap()
    }

    /// Send a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Wait for the end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
