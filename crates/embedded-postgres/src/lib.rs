//! The default database: a private PostgreSQL that runs as a child of the server.
//!
//! It is the PostgreSQL installed on the machine, with its data in `<DATA_DIR>/postgres`, reachable only
//! through a unix socket, stopped when the server ends in whatever way. Unix only.
//!
//! ```text
//! lock         held by the server, contains its pid
//! pgdata/      the cluster                 pgdata.new/  an unfinished initdb
//! run/         the socket                  server.log   rotated at start to server.log.old
//! ```

mod directory;
mod installation;
mod process;

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use directory::{Directory, PORT, tail};
use installation::Installation;
use process::{Progress, RunAs, clear_leftovers};

/// Where root's data goes when the working directory is closed to the database user.
const SYSTEM_DATA_DIR: &str = "/var/lib/ak-stages";
/// How long postgres may not listen at all. Recovery after a crash is not counted: it takes its time.
const LISTENS_WITHIN: Duration = Duration::from_mins(1);

const SETTINGS: [&str; 9] = [
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=60",
    "shared_buffers=64MB",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_destination=stderr",
    "logging_collector=off",
    "cluster_name=ak-stages",
];
const UNSAFE_SETTINGS: [&str; 3] = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];

/// Waits until we close the pipe, be it by dying, and then tells the database to stop. Signals meant for
/// the server (a terminal's, a service manager's to all of a unit's processes) must not end it before.
const WATCHDOG: &str = r#"trap "" HUP INT TERM; read -r _; exec "$0" stop -D "$1" -m fast -W -s"#;

/// What of a committed transaction survives a crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Everything: each commit is synced to the disk.
    Full,
    /// Nothing if the machine goes down. For test databases only: `fsync`, `synchronous_commit` and
    /// `full_page_writes` are off.
    None,
}

/// Where a running database is found. There is no password: who can enter the directory may connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// The directory of the unix socket, which drivers take in place of a host.
    pub socket_dir: PathBuf,
    /// A part of the socket's name.
    pub port: u16,
    /// The superuser.
    pub user: &'static str,
    /// The database that every cluster has.
    pub database: &'static str,
}

/// A running PostgreSQL of our own.
///
/// [`stop`](Self::stop) it when the server ends. Merely dropping it, or dying, is safe too: the watchdog
/// process then stops the database.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    directory: Directory,
    postgres: Child,
    /// Runs [`WATCHDOG`]; holds our end of its pipe.
    watchdog: Child,
    /// Last, so that it is released last.
    _lock: File,
}

impl EmbeddedPostgres {
    /// Starts the database in `root` (`<DATA_DIR>/postgres`), creating it at first, and waits until it
    /// accepts connections: a second at first, then milliseconds, but as long as it takes after a crash.
    /// Blocks. Takes the programs of the installation that made the database, else the newest
    /// of this machine, or those in the directory named by the environment variable `PG_BIN_DIR`.
    ///
    /// # Errors
    /// Another server uses `root`, no fitting PostgreSQL is installed, the directories cannot be used, or
    /// PostgreSQL fails; the message is for the operator and says what to do.
    pub fn start(root: &Path, durability: Durability) -> Result<Self> {
        let mut server = Self::launch(root, durability)?;
        if let Err(error) = server.wait_until_open() {
            server.stop()?;
            return Err(error);
        }
        Ok(server)
    }

    /// How to connect.
    #[must_use]
    pub fn address(&self) -> Address {
        self.directory.address()
    }

    /// The directory that [`start`](Self::start) was given, absolute and without symbolic links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.directory.root
    }

    /// How PostgreSQL ended, once it has. The server can do nothing then but log [`Self::log_tail`] and end.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.postgres.try_wait().ok().flatten()
    }

    /// The last lines of PostgreSQL's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail(&self.directory.log()).unwrap_or_default()
    }

    /// Stops the database and waits for its end (milliseconds once the pools are closed, 40 s at worst).
    /// Blocks.
    ///
    /// # Errors
    /// PostgreSQL does not end, not even killed. Nothing is lost when it had to be killed.
    pub fn stop(mut self) -> Result<()> {
        let ended = self.shut_down();
        // Only now: until here it guards against our own death.
        self.watchdog.kill()?;
        self.watchdog.wait()?;
        ended
    }

    /// Everything up to the running process. Blocks.
    fn launch(root: &Path, durability: Durability) -> Result<Self> {
        let directory = Directory::create(root)?;
        let lock = directory.lock()?;
        let data = directory.data();
        let user = RunAs::resolve(&data)?;
        directory.open_to(user)?;
        let installation = Installation::select(&data, user)?;
        clear_leftovers(&data, &installation, user)?;
        directory.clear_socket_dir()?;
        installation.create_cluster(&data, user, durability)?;
        directory.rotate_log()?;
        // The watchdog first: no moment without it.
        let watchdog = spawn_watchdog(&directory, &lock, &installation, user)?;
        let postgres = spawn_postgres(&directory, &installation, user, durability)?;
        tracing::info!(dir = %directory.root.display(), version = installation.major(), "starting the database");
        Ok(Self { directory, postgres, watchdog, _lock: lock })
    }

    fn wait_until_open(&mut self) -> Result<()> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.exited() {
                let log = self.directory.log();
                bail!(
                    "postgres ended at start ({status}); the end of {}:\n{}",
                    log.display(),
                    self.log_tail()
                );
            }
            match Progress::of(&self.postgres, &self.directory.data()) {
                Progress::Open => return Ok(()),
                Progress::Recovering => {}
                Progress::Unknown => ensure!(
                    started.elapsed() < LISTENS_WITHIN,
                    "postgres does not listen; see {}",
                    self.directory.log().display()
                ),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A fast shutdown, then ever harder ones.
    fn shut_down(&mut self) -> Result<()> {
        for (signal, seconds) in [(Signal::INT, 20), (Signal::QUIT, 10), (Signal::KILL, 10)] {
            if self.postgres.try_wait()?.is_some() {
                return Ok(());
            }
            kill_process(Pid::from_child(&self.postgres), signal)?;
            if self.ends_within(Duration::from_secs(seconds))? {
                return Ok(());
            }
            tracing::warn!(?signal, seconds, "postgres does not end");
        }
        bail!("postgres (pid {}) does not end", self.postgres.id());
    }

    fn ends_within(&mut self, limit: Duration) -> Result<bool> {
        let started = Instant::now();
        while self.postgres.try_wait()?.is_none() {
            if started.elapsed() > limit {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(true)
    }
}

/// How to connect to the PostgreSQL that another process of ours runs in `root`, or `None` if none does.
/// For the command line tools while the server runs. A server that is still starting may not answer yet.
///
/// # Errors
/// `root` cannot be read, usually because the server runs as another user.
pub fn running(root: &Path) -> Result<Option<Address>> {
    let lock = match File::open(root.join("lock")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.with_context(|| format!("cannot open the database lock in {}", root.display()))?,
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(Directory::at(fs::canonicalize(root)?).address())),
        Err(TryLockError::Error(error)) => Err(error).context("cannot test the database lock"),
    }
}

/// The outcome of [`resolve_root`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    /// What [`EmbeddedPostgres::start`] and [`running`] take. It need not exist.
    pub root: PathBuf,
    /// The database user cannot reach the working directory, so `root` is under `/var/lib/ak-stages`. To be
    /// logged: it is not where one looks first.
    pub fallback: bool,
}

/// Where the database lives: in `data_dir` if the operator set one, else in `./data` or, when we are root
/// and the database user cannot reach that (a checkout in a closed home), in `/var/lib/ak-stages`.
///
/// # Errors
/// The working directory is gone, or `/bin/sh` cannot be run to test it.
pub fn resolve_root(data_dir: Option<&Path>) -> Result<Resolved> {
    let dir = std::path::absolute(data_dir.unwrap_or(Path::new("data")))?;
    let fallback = data_dir.is_none() && is_closed_to_database_user(&dir)?;
    let dir = if fallback { Path::new(SYSTEM_DATA_DIR) } else { &dir };
    Ok(Resolved { root: dir.join("postgres"), fallback })
}

fn is_closed_to_database_user(dir: &Path) -> Result<bool> {
    // Without any database user the start fails, and says why.
    let Ok(user @ RunAs::Account { .. }) = RunAs::resolve(&dir.join("postgres/pgdata")) else {
        return Ok(false);
    };
    let existing = dir.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(dir);
    Ok(!user.can_enter(existing)?)
}

/// The watchdog holds the lock too: if we die, it cannot come late and stop our successor's database.
fn spawn_watchdog(
    directory: &Directory,
    lock: &File,
    installation: &Installation,
    user: RunAs,
) -> Result<Child> {
    let mut watchdog = user.command("/bin/sh");
    watchdog.stdout(lock.try_clone()?);
    watchdog.args(["-c", WATCHDOG]).arg(installation.program("pg_ctl")).arg(directory.data());
    watchdog.stdin(Stdio::piped()).spawn().context("cannot start the database's watchdog")
}

fn spawn_postgres(
    directory: &Directory,
    installation: &Installation,
    user: RunAs,
    durability: Durability,
) -> Result<Child> {
    let log = File::options().create(true).append(true).mode(0o600).open(directory.log())?;
    let mut postgres = user.command(installation.program("postgres"));
    postgres.arg("-D").arg(directory.data()).arg("-k").arg(&directory.socket_dir);
    postgres.args(["-p", &PORT.to_string()]);
    postgres.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
    if durability == Durability::None {
        postgres.args(UNSAFE_SETTINGS.iter().flat_map(|setting| ["-c", setting]));
    }
    postgres.stdout(log.try_clone()?).stderr(log);
    postgres.spawn().context("cannot start postgres")
}
