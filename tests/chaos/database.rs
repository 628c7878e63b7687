//! The PostgreSQL of the test, and what is done to it.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ak_stages::db::embedded::{EmbeddedSettings, connect_options};
use embedded_postgres::{EmbeddedPostgres, Options};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::runtime::Runtime;

const PREFIX: &str = "ak-stages-chaos-";
/// Of the file system that can be filled.
const SIZE: &str = "size=512m";
const MAX_CONNECTIONS: usize = 45;

/// A running PostgreSQL, on a small file system of its own where that can be had.
pub struct Database {
    directory: PathBuf,
    postgres: Option<EmbeddedPostgres>,
    options: Options,
    /// Whether the disk can be filled.
    pub is_small: bool,
    runtime: Runtime,
}

impl Database {
    /// Start one.
    pub fn start() -> Self {
        remove_stale();
        let directory = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        let small = directory.join("small");
        fs::create_dir(&small).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(&small).output();
        let is_small = mount.is_ok_and(|mount| mount.status.success());
        fs::set_permissions(&small, Permissions::from_mode(0o755)).unwrap();
        let programs = std::env::var_os("PG_BIN_DIR").map(PathBuf::from);
        let mut options = EmbeddedSettings { data_dir: Some(small), programs }.options().unwrap();
        let settings = ["max_wal_size=64MB", "min_wal_size=32MB"].map(str::to_owned);
        options.settings.extend(settings);
        options.settings.push(format!("max_connections={MAX_CONNECTIONS}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let postgres = Some(EmbeddedPostgres::start(&options).unwrap());
        Self { directory, postgres, options, is_small, runtime }
    }

    /// A directory that is removed with it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The socket.
    pub fn socket(&self) -> PathBuf {
        let address = self.postgres.as_ref().unwrap().address();
        address.socket_dir.join(format!(".s.PGSQL.{}", address.port))
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        let address = embedded_postgres::running(&self.options).ok().flatten();
        let options = connect_options(&address.ok_or(sqlx::Error::WorkerCrashed)?);
        PgConnection::connect_with(&options.application_name("chaos")).await
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

    /// Wait until it serves, and start it again where it has ended: when that was.
    pub fn returned(&mut self) -> Instant {
        let began = Instant::now();
        loop {
            let postgres = self.postgres.as_mut().unwrap();
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
        let file = self.options.root.join("pgdata/postmaster.pid");
        let content = fs::read_to_string(file).unwrap();
        Pid::from_raw(content.lines().next().unwrap().parse().unwrap()).unwrap()
    }

    /// Send it a signal and wait until it has ended.
    pub fn end(&mut self, signal: Signal) {
        kill_process(self.postmaster(), signal).unwrap();
        while self.postgres.as_mut().unwrap().exited().is_none() {
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

    /// Take every connection that there is, those of the servers too, for so long.
    pub fn take_all_connections(&self, time: Duration) {
        self.runtime.block_on(async {
            let mut taken = vec![self.connect().await.unwrap()];
            let end =
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ak-stages'";
            let until = Instant::now() + time;
            while Instant::now() < until {
                if taken.len() < MAX_CONNECTIONS
                    && let Ok(connection) = self.connect().await
                {
                    taken.push(connection);
                    continue;
                }
                sqlx::raw_sql(end).execute(&mut taken[0]).await.unwrap();
            }
        });
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

    /// Leave no space on its disk for so long.
    pub fn fill_disk(&self, time: Duration) {
        let path = self.directory.join("small/filling");
        let (mut file, until) = (File::create(&path).unwrap(), Instant::now() + time);
        let mut piece = 4 * 1024 * 1024;
        while Instant::now() < until {
            if file.write_all(&vec![0; piece]).is_err() {
                piece = 4096;
                std::thread::sleep(Duration::from_millis(5)); // what is given back meanwhile is taken, too
            }
        }
        drop(file);
        fs::remove_file(path).unwrap();
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(postgres) = self.postgres.take() {
            for pid in self.processes() {
                kill_process(pid, Signal::CONT).ok();
            }
            postgres.stop().ok();
        }
        remove(&self.directory);
    }
}

fn remove(directory: &Path) {
    Command::new("umount").arg("-l").arg(directory.join("small")).output().ok();
    fs::remove_dir_all(directory).ok();
}

/// What earlier runs left that were killed.
fn remove_stale() {
    for path in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let pid = name.strip_prefix(PREFIX).and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
        if pid.is_some_and(|pid| test_kill_process(pid).is_err()) {
            remove(&path);
        }
    }
}
