//! The embedded database against the PostgreSQL of this machine: what it survives, and what it leaves.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, id};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use embedded_postgres::{Address, Durability, EmbeddedPostgres, Error, Options, is_reachable, running};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{Connection, query, query_scalar};

/// A directory for one test's databases, which the database user can reach. Removed at the end.
struct TestDir(PathBuf);

impl TestDir {
    fn new(test: &str) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("embedded-postgres-{test}-{}", id()));
        fs::create_dir(&dir)?;
        fs::set_permissions(&dir, Permissions::from_mode(0o755))?;
        Ok(Self(dir))
    }

    fn root(&self) -> PathBuf {
        self.0.join("postgres")
    }

    /// A database that is quick to make, of the programs that `make test` has found.
    fn options(&self) -> Options {
        options(self.root())
    }

    fn start(&self) -> Result<EmbeddedPostgres> {
        Ok(EmbeddedPostgres::start(&self.options())?)
    }

    fn postmaster_pid_file(&self) -> PathBuf {
        self.root().join("pgdata/postmaster.pid")
    }

    fn postmaster(&self) -> Result<Pid> {
        let content = fs::read_to_string(self.postmaster_pid_file())?;
        let pid = content.lines().next().context("an empty postmaster.pid")?.parse()?;
        Pid::from_raw(pid).context("pid 0")
    }
}

fn options(root: PathBuf) -> Options {
    let programs = std::env::var_os("PG_BIN_DIR").map(PathBuf::from);
    Options { programs, durability: Durability::None, ..Options::new(root) }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn connect(server: &EmbeddedPostgres) -> Result<PgConnection> {
    connect_to(&server.address()).await
}

async fn connect_to(address: &Address) -> Result<PgConnection> {
    let options = PgConnectOptions::new_without_pgpass()
        .socket(&address.socket_dir)
        .port(address.port)
        .username(&address.user)
        .database(address.database)
        .ssl_mode(PgSslMode::Disable);
    Ok(PgConnection::connect_with(&options).await?)
}

async fn setting(connection: &mut PgConnection, name: &str) -> Result<String> {
    Ok(query_scalar("select current_setting($1)").bind(name).fetch_one(connection).await?)
}

/// Commits a row that [`assert_note_survived`] looks for.
async fn leave_note(server: &EmbeddedPostgres) -> Result<()> {
    let mut connection = connect(server).await?;
    query("create table note as select 'kept' as text").execute(&mut connection).await?;
    Ok(connection.close().await?)
}

async fn assert_note_survived(server: &EmbeddedPostgres) -> Result<()> {
    let mut connection = connect(server).await?;
    let text: String = query_scalar("select text from note").fetch_one(&mut connection).await?;
    assert_eq!(text, "kept");
    Ok(connection.close().await?)
}

/// The error of a start that has to fail, as the operator reads it.
fn refusal(dir: &TestDir) -> String {
    match dir.start() {
        Ok(_) => panic!("the start has to fail"),
        Err(error) => format!("{error:#}"),
    }
}

/// Nobody runs the database in the end. A child that another test starts may hold its lock a moment longer: between its
/// fork and its exec it has all files of this process.
fn assert_comes_to_rest(dir: &TestDir) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while running(&dir.options())?.is_some() {
        ensure!(Instant::now() < deadline, "somebody has the lock");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// The shell that waits for the server on `dir` to die.
fn watchdog(dir: &TestDir) -> Result<Pid> {
    let listing = Command::new("ps").args(["-axww", "-o", "pid=", "-o", "command="]).output()?;
    let listing = String::from_utf8(listing.stdout)?;
    let data = dir.root().join("pgdata");
    let line = listing
        .lines()
        .find(|line| line.contains("read -r _") && line.contains(&*data.to_string_lossy()))
        .context("no watchdog")?;
    let pid = line.split_whitespace().next().context("a line without a pid")?;
    Pid::from_raw(pid.parse()?).context("pid 0")
}

/// Whether the process is there, be it as a zombie.
fn exists(pid: Pid) -> bool {
    rustix::process::test_kill_process(pid).is_ok()
}

async fn eventually(what: &str, mut condition: impl FnMut() -> bool) -> Result<()> {
    let started = Instant::now();
    while !condition() {
        ensure!(started.elapsed() < Duration::from_secs(20), "{what} does not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

#[tokio::test]
async fn starts_stops_and_leaves_no_process_behind() -> Result<()> {
    let dir = TestDir::new("start-stop")?;
    let mut server = dir.start()?;
    assert_eq!(server.root(), fs::canonicalize(dir.root())?);
    assert_eq!(server.exited(), None);
    leave_note(&server).await?;
    let processes = [dir.postmaster()?, watchdog(&dir)?];
    server.stop()?;
    assert_eq!(processes.map(exists), [false, false]);
    assert!(!dir.postmaster_pid_file().exists());

    let server = dir.start()?;
    assert_note_survived(&server).await?;
    Ok(server.stop()?)
}

#[tokio::test]
async fn speaks_utf8_on_a_private_socket_only() -> Result<()> {
    let dir = TestDir::new("settings")?;
    let server = dir.start()?;
    let mut connection = connect(&server).await?;
    assert_eq!(setting(&mut connection, "listen_addresses").await?, "");
    assert_eq!(setting(&mut connection, "server_encoding").await?, "UTF8");
    let lower: String = query_scalar("select lower('ÉÄ')").fetch_one(&mut connection).await?;
    assert_eq!(lower, "éä");
    let mode =
        |path: &str| Ok::<_, std::io::Error>(fs::metadata(dir.root().join(path))?.permissions().mode());
    assert_eq!(mode("run")? & 0o777, 0o700);
    assert_eq!(mode("pgdata")? & 0o777, 0o700);
    assert_eq!(mode("server.log")? & 0o777, 0o600);
    Ok(server.stop()?)
}

#[tokio::test]
async fn syncs_commits_unless_told_otherwise() -> Result<()> {
    let dir = TestDir::new("durability")?;
    for (durability, expected) in [(Durability::Full, "on"), (Durability::None, "off")] {
        let server = EmbeddedPostgres::start(&Options { durability, ..dir.options() })?;
        let mut connection = connect(&server).await?;
        for name in ["fsync", "synchronous_commit", "full_page_writes"] {
            assert_eq!(setting(&mut connection, name).await?, expected, "{name} with {durability:?}");
        }
        server.stop()?;
    }
    Ok(())
}

#[tokio::test]
async fn a_second_server_is_told_who_is_first() -> Result<()> {
    let dir = TestDir::new("second")?;
    let server = dir.start()?;
    let message = refusal(&dir);
    assert!(message.contains(&format!("is in use by another process (pid {})", id())), "{message}");
    connect(&server).await?;
    Ok(server.stop()?)
}

#[tokio::test]
async fn command_line_tools_find_the_running_server() -> Result<()> {
    let dir = TestDir::new("running")?;
    assert!(running(&dir.options())?.is_none());
    let server = dir.start()?;
    connect_to(&running(&dir.options())?.context("it runs")?).await?;
    server.stop()?;
    assert_comes_to_rest(&dir)
}

#[tokio::test]
async fn the_watchdog_stops_the_database_of_a_dead_server() -> Result<()> {
    let dir = TestDir::new("watchdog")?;
    let server = dir.start()?;
    // Closes the pipe, as any death of the process does.
    drop(server);
    eventually("the shutdown", || !dir.postmaster_pid_file().exists()).await
}

#[tokio::test]
async fn a_late_watchdog_cannot_stop_the_next_servers_database() -> Result<()> {
    let dir = TestDir::new("late-watchdog")?;
    let server = dir.start()?;
    let late = watchdog(&dir)?;
    kill_process(late, Signal::STOP)?;
    drop(server);
    let message = refusal(&dir);
    assert!(message.contains("is in use by another process"), "{message}");
    kill_process(late, Signal::CONT)?;
    Ok(dir.start()?.stop()?)
}

#[tokio::test]
async fn the_watchdog_ignores_signals_meant_for_the_server() -> Result<()> {
    let dir = TestDir::new("signals")?;
    let server = dir.start()?;
    for signal in [Signal::HUP, Signal::INT, Signal::TERM] {
        kill_process(watchdog(&dir)?, signal)?;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    watchdog(&dir)?;
    Ok(server.stop()?)
}

#[tokio::test]
async fn an_orphan_is_stopped_by_the_next_start() -> Result<()> {
    let dir = TestDir::new("orphan")?;
    let mut server = dir.start()?;
    leave_note(&server).await?;
    kill_process(watchdog(&dir)?, Signal::KILL)?;
    eventually("the watchdog's end", || watchdog(&dir).is_err()).await?;
    assert_eq!(server.exited(), None);
    let orphan = dir.postmaster()?;
    drop(server);

    let server = dir.start()?;
    assert_ne!(dir.postmaster()?, orphan);
    assert_note_survived(&server).await?;
    Ok(server.stop()?)
}

#[tokio::test]
async fn a_killed_database_is_noticed_and_recovers() -> Result<()> {
    let dir = TestDir::new("killed")?;
    let options = Options { durability: Durability::Full, ..dir.options() };
    let mut server = EmbeddedPostgres::start(&options)?;
    leave_note(&server).await?;
    kill_process(dir.postmaster()?, Signal::KILL)?;
    eventually("the postmaster's end", || server.exited().is_some()).await?;
    assert!(server.log_tail().contains("ready to accept connections"), "{}", server.log_tail());
    server.stop()?;

    let server = EmbeddedPostgres::start(&options)?;
    assert_note_survived(&server).await?;
    Ok(server.stop()?)
}

#[tokio::test]
async fn one_that_ended_by_itself_is_started_again() -> Result<()> {
    let dir = TestDir::new("restart")?;
    let options = Options { durability: Durability::Full, ..dir.options() };
    let mut server = EmbeddedPostgres::start(&options)?;
    leave_note(&server).await?;
    for signal in [Signal::KILL, Signal::INT] {
        kill_process(dir.postmaster()?, signal)?;
        eventually("the postmaster's end", || server.exited().is_some()).await?;
        server.restart()?;
        assert!(server.exited().is_none());
        assert_note_survived(&server).await?;
        assert!(EmbeddedPostgres::start(&options).is_err(), "nobody else has taken the directory");
    }
    Ok(server.stop()?)
}

#[tokio::test]
async fn a_stale_pid_file_does_not_matter() -> Result<()> {
    let dir = TestDir::new("stale-pid")?;
    let server = dir.start()?;
    leave_note(&server).await?;
    server.stop()?;

    let mut dead = Command::new("true").spawn()?;
    dead.wait()?;
    let data = dir.root().join("pgdata");
    // A dead process, a stranger with a reused pid, and a file cut off by a crash.
    for first_line in [dead.id().to_string(), id().to_string(), String::new()] {
        let content = format!("{first_line}\n{}\n", data.display());
        fs::write(dir.postmaster_pid_file(), content)?;
        let server = dir.start()?;
        assert_note_survived(&server).await?;
        server.stop()?;
    }
    Ok(())
}

#[tokio::test]
async fn an_unfinished_initdb_is_forgotten() -> Result<()> {
    let dir = TestDir::new("unfinished")?;
    let unfinished = dir.root().join("pgdata.new");
    fs::create_dir_all(&unfinished)?;
    fs::write(unfinished.join("PG_VERSION"), "15\n")?;
    dir.start()?.stop()?;
    assert!(!unfinished.exists());
    assert!(dir.root().join("pgdata/PG_VERSION").exists());
    Ok(())
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_works() -> Result<()> {
    let dir = TestDir::new("long")?;
    let root = dir.0.join("a-directory-with-a-very-long-name".repeat(4)).join("postgres");
    let options = Options { name: "long-path".to_owned(), ..options(root) };
    let server = EmbeddedPostgres::start(&options)?;
    connect(&server).await?;
    let Address { socket_dir, .. } = server.address();
    connect_to(&running(&options)?.context("it runs")?).await?;
    let name = socket_dir.file_name().context("a name")?.to_string_lossy();
    assert!(socket_dir.starts_with("/tmp") && name.starts_with("long-path-pg-"), "{}", socket_dir.display());
    server.stop()?;
    Ok(fs::remove_dir(socket_dir)?)
}

#[tokio::test]
async fn a_socket_directory_laid_by_somebody_else_is_refused() -> Result<()> {
    let dir = TestDir::new("planted")?;
    fs::create_dir(dir.root())?;
    std::os::unix::fs::symlink("/tmp", dir.root().join("run"))?;
    let message = refusal(&dir);
    assert!(message.contains("run is not a private directory"), "{message}");
    Ok(())
}

#[tokio::test]
async fn data_of_another_version_is_not_touched() -> Result<()> {
    let dir = TestDir::new("version")?;
    let data = dir.root().join("pgdata");
    fs::create_dir_all(&data)?;
    fs::write(data.join("PG_VERSION"), "9\n")?;
    let message = refusal(&dir);
    assert!(message.contains("was made by PostgreSQL 9, which is not installed (found: ["), "{message}");
    assert_eq!(fs::read_dir(&data)?.count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_failing_start_shows_the_end_of_the_log() -> Result<()> {
    let dir = TestDir::new("log-tail")?;
    dir.start()?.stop()?;
    fs::write(dir.root().join("pgdata/postgresql.conf"), "no_such_setting = 1\n")?;
    let message = refusal(&dir);
    assert!(message.contains("postgres ended at start (exit status: 1); the end of"), "{message}");
    assert!(message.contains("no_such_setting"), "{message}");
    assert_comes_to_rest(&dir)
}

#[tokio::test]
async fn a_large_log_is_rotated() -> Result<()> {
    let dir = TestDir::new("rotate")?;
    fs::create_dir(dir.root())?;
    let log = dir.root().join("server.log");
    File::create(&log)?.set_len(11 * 1024 * 1024)?;
    dir.start()?.stop()?;
    assert_eq!(fs::metadata(dir.root().join("server.log.old"))?.len(), 11 * 1024 * 1024);
    assert!(fs::metadata(&log)?.len() < 1024 * 1024);
    Ok(())
}

#[tokio::test]
async fn names_and_settings_are_the_applications_but_for_the_private_socket() -> Result<()> {
    let dir = TestDir::new("options")?;
    let settings = ["max_connections=7", "work_mem=5MB", "listen_addresses=127.0.0.1", "port=1"];
    let server = EmbeddedPostgres::start(&Options {
        name: "an-application".to_owned(),
        user: "somebody".to_owned(),
        settings: settings.map(str::to_owned).to_vec(),
        ..dir.options()
    })?;
    assert_eq!(server.address().user, "somebody");
    let mut connection = connect(&server).await?;
    for (name, value) in [
        ("cluster_name", "an-application"),
        ("max_connections", "7"),
        ("work_mem", "5MB"),
        ("listen_addresses", ""),
        ("is_superuser", "on"),
    ] {
        assert_eq!(setting(&mut connection, name).await?, value, "{name}");
    }
    Ok(server.stop()?)
}

#[test]
fn programs_are_taken_from_the_given_directory_alone() -> Result<()> {
    let dir = TestDir::new("programs")?;
    let options = Options { programs: Some(dir.0.clone()), ..dir.options() };
    let error = EmbeddedPostgres::start(&options).err().context("the start has to fail")?;
    assert!(matches!(&error, Error::NoPrograms { programs } if *programs == dir.0), "{error}");
    assert!(!dir.root().join("pgdata").exists());
    Ok(())
}

/// Root starts PostgreSQL as another user.
#[test]
fn a_closed_parent_is_out_of_reach_for_roots_database_alone() -> Result<()> {
    let dir = TestDir::new("closed")?;
    assert!(is_reachable(&dir.root())?);
    fs::set_permissions(&dir.0, Permissions::from_mode(0o700))?;
    assert_eq!(is_reachable(&dir.root())?, !geteuid().is_root());
    match EmbeddedPostgres::start(&dir.options()) {
        Err(Error::OutOfReach { root, .. }) => assert_eq!(root, fs::canonicalize(dir.root())?),
        started => started?.stop()?,
    }
    assert_eq!(dir.root().join("pgdata").exists(), !geteuid().is_root());
    Ok(())
}
