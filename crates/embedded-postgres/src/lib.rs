#![doc = include_str!("../README.md")]

mod directory;
mod error;
mod installation;
mod process;

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use directory::{Directory, PORT, tail};
use error::OrCannot;
pub use error::{Error, Result};
use installation::Installation;
use process::{Progress, RunAs, clear_leftovers};

/// How long postgres may not listen at all. Recovery after a crash is not counted: it takes its time.
const LISTENS_WITHIN: Duration = Duration::from_mins(1);

/// What the rest relies on: nobody else gets in, and the log is where it is looked for.
const SETTINGS: [&str; 4] =
    ["listen_addresses=", "unix_socket_permissions=0700", "log_destination=stderr", "logging_collector=off"];
const UNSAFE_SETTINGS: [&str; 3] = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];

/// Waits until we close the pipe, be it by dying, and then tells the database to stop. Signals meant for
/// the application (a terminal's, a service manager's to all of a unit's processes) must not end it before.
const WATCHDOG: &str = r#"trap "" HUP INT TERM; read -r _; exec "$0" stop -D "$1" -m fast -W -s"#;

/// Which database to run, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of all its files; made at the first start.
    pub root: PathBuf,
    /// The application's name, which has to be fit for a file's: `cluster_name` of PostgreSQL, which the list of
    /// processes shows, and the beginning of the socket directory's where that has to lie in `/tmp`.
    pub name: String,
    /// The superuser. Made with the database: under another name there is no such user later.
    pub user: String,
    /// The directory of `postgres`, `initdb` and `pg_ctl`. Without one the usual places and `PATH` are searched.
    pub programs: Option<PathBuf>,
    /// Further settings of PostgreSQL, such as `max_connections=60`.
    pub settings: Vec<String>,
    /// What a crash of the machine may cost.
    pub durability: Durability,
}

impl Options {
    /// The database in `root`, with user `postgres`, the programs that are found, PostgreSQL's own settings, and full
    /// durability.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            name: "embedded".to_owned(),
            user: "postgres".to_owned(),
            programs: None,
            settings: Vec::new(),
            durability: Durability::Full,
        }
    }
}

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
    pub user: String,
    /// The database that every cluster has.
    pub database: &'static str,
}

/// A running PostgreSQL of our own.
///
/// [`stop`](Self::stop) it when the application ends. Merely dropping it, or dying, is safe too: the watchdog
/// process then stops the database.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    directory: Directory,
    installation: Installation,
    user: RunAs,
    options: Options,
    postgres: Child,
    /// Runs [`WATCHDOG`]; holds our end of its pipe.
    watchdog: Child,
    /// Last, so that it is released last.
    _lock: File,
}

impl EmbeddedPostgres {
    /// Starts the database, creating it at first, and waits until it accepts connections: a second at
    /// first, then milliseconds, but as long as it takes after a crash. Blocks. Takes the programs of the
    /// version that made the database; for a new one, the newest.
    ///
    /// # Errors
    /// Another process uses the root, no fitting PostgreSQL is installed, the directories cannot be used, or
    /// PostgreSQL fails.
    pub fn start(options: &Options) -> Result<Self> {
        let mut server = Self::launch(options)?;
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

    /// The directory of all its files: [`Options::root`], absolute and without symbolic links.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.directory.root
    }

    /// How PostgreSQL ended, once it has. It is not started again, unless by [`Self::restart`].
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.postgres.try_wait().ok().flatten()
    }

    /// Starts PostgreSQL again where it [ended by itself](Self::exited), and waits until it accepts connections: as long
    /// as it takes to recover. Until then others find no database, and nobody else can take the directory. Blocks.
    ///
    /// # Errors
    /// PostgreSQL fails, or what is left of it doesn't end.
    pub fn restart(&mut self) -> Result<()> {
        self.shut_down()?; // it has ended, or it ends now
        clear_leftovers(&self.directory.data(), &self.installation, self.user)?;
        self.directory.clear_socket_dir()?;
        self.directory.rotate_log()?;
        self.postgres = spawn_postgres(&self.directory, &self.installation, self.user, &self.options)?;
        self.wait_until_open()
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
        self.watchdog.kill().and_then(|()| self.watchdog.wait()).or_cannot("end the watchdog")?;
        ended
    }

    /// Everything up to the running process. Blocks.
    fn launch(options: &Options) -> Result<Self> {
        let directory = Directory::create(options)?;
        let lock = directory.lock()?;
        let data = directory.data();
        let user = RunAs::resolve(&data)?;
        directory.open_to(user)?;
        let installation = Installation::select(options.programs.as_deref(), &data, user)?;
        clear_leftovers(&data, &installation, user)?;
        directory.clear_socket_dir()?;
        installation.create_cluster(&data, user, options)?;
        directory.rotate_log()?;
        // The watchdog first: no moment without it.
        let watchdog = spawn_watchdog(&directory, &lock, &installation, user)?;
        let postgres = spawn_postgres(&directory, &installation, user, options)?;
        tracing::info!(dir = %directory.root.display(), version = installation.major(), "starting the database");
        Ok(Self { directory, installation, user, options: options.clone(), postgres, watchdog, _lock: lock })
    }

    fn wait_until_open(&mut self) -> Result<()> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.exited() {
                let (log, tail) = (self.directory.log(), self.log_tail());
                return Err(Error::EndedAtStart { status, log, tail });
            }
            match Progress::of(&self.postgres, &self.directory.data()) {
                Progress::Open => return Ok(()),
                Progress::Unknown if started.elapsed() > LISTENS_WITHIN => {
                    return Err(Error::Silent { log: self.directory.log() });
                }
                Progress::Unknown | Progress::Recovering => {}
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A fast shutdown, then ever harder ones.
    fn shut_down(&mut self) -> Result<()> {
        for (signal, seconds) in [(Signal::INT, 20), (Signal::QUIT, 10), (Signal::KILL, 10)] {
            if self.postgres.try_wait().or_cannot("wait for postgres")?.is_some() {
                return Ok(());
            }
            kill_process(Pid::from_child(&self.postgres), signal).or_cannot("signal postgres")?;
            if self.ends_within(Duration::from_secs(seconds))? {
                return Ok(());
            }
            tracing::warn!(?signal, seconds, "postgres does not end");
        }
        Err(Error::DoesNotEnd { pid: self.postgres.id() })
    }

    fn ends_within(&mut self, limit: Duration) -> Result<bool> {
        let started = Instant::now();
        while self.postgres.try_wait().or_cannot("wait for postgres")?.is_none() {
            if started.elapsed() > limit {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(true)
    }
}

/// How to connect to the database if a process runs it, with the same root, name and user; `None` if none
/// does. For a tool beside a server. A database that is still starting may not answer yet.
///
/// # Errors
/// The root cannot be read, usually because the database runs as another user.
pub fn running(options: &Options) -> Result<Option<Address>> {
    let root = &options.root;
    let lock = match File::open(root.join("lock")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.or_cannot(format_args!("open the database lock in {}", root.display()))?,
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let root = fs::canonicalize(root).or_cannot(format_args!("read {}", root.display()))?;
            Ok(Some(Directory::at(root, options).address()))
        }
        Err(TryLockError::Error(error)) => Err(error).or_cannot("test the database lock"),
    }
}

/// Whether a database in `root`, which need not exist, could start as far as the directories above it are
/// concerned. As root it runs as another user, to whom a checkout in a closed home is out of reach.
///
/// # Errors
/// The working directory is gone, or `/bin/sh` cannot be run to test it.
pub fn is_reachable(root: &Path) -> Result<bool> {
    let root = std::path::absolute(root).or_cannot("read the working directory")?;
    // Without any database user the start fails, and says why.
    let Ok(user @ RunAs::Account { .. }) = RunAs::resolve(&root.join("pgdata")) else {
        return Ok(true);
    };
    let existing = root.ancestors().skip(1).find(|ancestor| ancestor.exists());
    user.can_enter(existing.unwrap_or(Path::new("/")))
}

/// The watchdog holds the lock too: if we die, it cannot come late and stop our successor's database.
fn spawn_watchdog(
    directory: &Directory,
    lock: &File,
    installation: &Installation,
    user: RunAs,
) -> Result<Child> {
    let mut watchdog = user.command("/bin/sh");
    watchdog.stdout(lock.try_clone().or_cannot("share the database lock")?);
    watchdog.args(["-c", WATCHDOG]).arg(installation.program("pg_ctl")).arg(directory.data());
    watchdog.stdin(Stdio::piped()).spawn().or_cannot("start the database's watchdog")
}

fn spawn_postgres(
    directory: &Directory,
    installation: &Installation,
    user: RunAs,
    options: &Options,
) -> Result<Child> {
    let path = directory.log();
    let log = File::options().create(true).append(true).mode(0o600).open(&path);
    let log = log.or_cannot(format_args!("open {}", path.display()))?;
    let mut postgres = user.command(installation.program("postgres"));
    postgres.arg("-D").arg(directory.data());
    // First: of two settings the last wins.
    postgres.args(options.settings.iter().flat_map(|setting| ["-c", setting]));
    postgres.arg("-k").arg(&directory.socket_dir).args(["-p", &PORT.to_string()]);
    postgres.args(["-c", &format!("cluster_name={}", options.name)]);
    postgres.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
    if options.durability == Durability::None {
        postgres.args(UNSAFE_SETTINGS.iter().flat_map(|setting| ["-c", setting]));
    }
    postgres.stdout(log.try_clone().or_cannot("share the log")?).stderr(log);
    postgres.spawn().or_cannot("start postgres")
}
