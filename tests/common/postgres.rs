//! A PostgreSQL of a test's own, and what is done to its processes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ak_stages::db::embedded::{EmbeddedSettings, connect_options};
use embedded_postgres::{EmbeddedPostgres, Options};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::runtime::Runtime;

/// A running PostgreSQL, stopped with its end.
pub struct Postgres {
    running: Option<EmbeddedPostgres>,
    options: Options,
    runtime: Runtime,
}

impl Postgres {
    /// What starts one with its files below `directory`, with these settings beside the usual ones.
    pub fn options(directory: &Path, settings: &[&str]) -> Options {
        let programs = std::env::var_os("PG_BIN_DIR").map(PathBuf::from);
        let mut options =
            EmbeddedSettings { data_dir: Some(directory.to_owned()), programs }.options().unwrap();
        options.settings.extend(settings.iter().map(|setting| (*setting).to_owned()));
        options
    }

    /// Start it.
    pub fn start(options: Options) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let running = Some(EmbeddedPostgres::start(&options).unwrap());
        Self { running, options, runtime }
    }

    /// The directory of the socket, and the port in its name.
    pub fn address(&self) -> (PathBuf, u16) {
        let address = self.running.as_ref().unwrap().address();
        (address.socket_dir, address.port)
    }

    /// The socket.
    pub fn socket(&self) -> PathBuf {
        let (directory, port) = self.address();
        directory.join(format!(".s.PGSQL.{port}"))
    }

    /// The directory of its data.
    pub fn data(&self) -> PathBuf {
        self.options.root.join("pgdata")
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        let address = embedded_postgres::running(&self.options).ok().flatten();
        let options = connect_options(&address.ok_or(sqlx::Error::WorkerCrashed)?);
        PgConnection::connect_with(&options.application_name("test")).await
    }

    /// Do this on a connection of the test's own.
    pub fn with<T>(&self, work: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> sqlx::Result<T> {
        self.runtime.block_on(async {
            let mut connection = self.connect().await?;
            let done = work(&mut connection).await?;
            connection.close().await?;
            Ok(done)
        })
    }

    /// Run statements.
    pub fn execute(&self, statements: &[&str]) {
        self.with(async |connection| {
            for statement in statements {
                sqlx::raw_sql(AssertSqlSafe(*statement)).execute(&mut *connection).await?;
            }
            Ok(())
        })
        .unwrap();
    }

    /// Take connections until there are `most`, ending the servers' own, for so long.
    pub fn take_connections(&self, most: usize, time: Duration) {
        self.runtime.block_on(async {
            let mut taken = vec![self.connect().await.unwrap()];
            let end =
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ak-stages'";
            let until = Instant::now() + time;
            while Instant::now() < until {
                if taken.len() < most
                    && let Ok(connection) = self.connect().await
                {
                    taken.push(connection);
                    continue;
                }
                sqlx::raw_sql(end).execute(&mut taken[0]).await.unwrap();
            }
        });
    }

    /// Wait until it serves, and start it again where it has ended: when that was.
    pub fn returned(&mut self) -> Instant {
        let began = Instant::now();
        loop {
            let postgres = self.running.as_mut().unwrap();
            if postgres.exited().is_some() {
                postgres.restart().unwrap();
            }
            if self.with(async |connection| connection.ping().await).is_ok() {
                return Instant::now();
            }
            assert!(began.elapsed() < Duration::from_mins(1), "the database does not come back");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The main process.
    pub fn postmaster(&self) -> Pid {
        let content = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        Pid::from_raw(content.lines().next().unwrap().parse().unwrap()).unwrap()
    }

    /// Send it a signal and wait until it has ended.
    pub fn end(&mut self, signal: Signal) {
        kill_process(self.postmaster(), signal).unwrap();
        while self.running.as_mut().unwrap().exited().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// All of its processes.
    pub fn processes(&self) -> Vec<Pid> {
        let postmaster = self.postmaster();
        let parent = format!("PPid:\t{}", postmaster.as_raw_nonzero());
        let processes = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            status.lines().any(|line| line == parent).then(|| Pid::from_raw(pid))?
        });
        std::iter::once(postmaster).chain(processes).collect()
    }

    /// The processes that serve the servers' connections.
    pub fn backends(&self) -> Vec<Pid> {
        let select = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ak-stages'";
        let pids =
            self.with(async |connection| sqlx::query_scalar::<_, i32>(select).fetch_all(connection).await);
        pids.unwrap().into_iter().filter_map(Pid::from_raw).collect()
    }

    /// Hold this lock for so long.
    pub fn lock(&self, statement: &str, time: Duration) {
        self.with(async |connection| {
            let mut transaction = connection.begin().await?;
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
            tokio::time::sleep(time).await;
            transaction.rollback().await
        })
        .unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut postgres) = self.running.take() {
            if postgres.exited().is_none() {
                for pid in self.processes() {
                    kill_process(pid, Signal::CONT).ok();
                }
            }
            postgres.stop().ok();
        }
    }
}

/// A directory for one run of a test binary, removed with its end.
pub struct Scratch(PathBuf);

/// Where in it a small file system may be mounted.
pub const SMALL: &str = "small";

impl Scratch {
    /// Make it, and remove those of earlier runs that were killed.
    pub fn new(prefix: &str) -> Self {
        remove_stale(prefix);
        let directory = std::env::temp_dir().join(format!("{prefix}{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        Self(directory)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(directory: &Path) {
    Command::new("umount").arg("-l").arg(directory.join(SMALL)).output().ok();
    fs::remove_dir_all(directory).ok();
}

fn remove_stale(prefix: &str) {
    for path in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let pid = name.strip_prefix(prefix).and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
        if pid.is_some_and(|pid| test_kill_process(pid).is_err()) {
            remove(&path);
        }
    }
}
