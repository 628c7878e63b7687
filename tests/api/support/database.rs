//! One PostgreSQL a test process, one database a test: a copy of a template that is made once.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use ak_stages::clock::{Clock, Ids};
use ak_stages::config::Settings;
use ak_stages::db::embedded::{EmbeddedSettings, connect_options};
use ak_stages::db::{self, Database, Pool, bootstrap};
use ak_stages::resources;
use anyhow::Result;
use embedded_postgres::{Durability, EmbeddedPostgres, Options};
use rustix::process::{Pid, test_kill_process};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use super::people;

/// What this process calls its directory; the process id follows.
const PREFIX: &str = "ak-stages-api-";
const TEMPLATE: &str = "template_of_tests";
/// Connections a test may have at a time.
pub const POOL_SIZE: u32 = 4;
/// Tests with a database at a time: with as many connections for the server as for the test itself they stay below the
/// cluster's.
static SLOTS: Semaphore = Semaphore::const_new(12);
static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
/// All that this process writes.
static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
    remove_stale_directories();
    create(&std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id())))
});

/// The process's PostgreSQL. Its watchdog stops it when the process ends, and the next run removes the directory.
struct Cluster {
    server: EmbeddedPostgres,
    /// Closed, but for what the server found out about it.
    template: Database,
    databases: AtomicUsize,
    /// Databases whose test has ended.
    discarded: Mutex<Vec<String>>,
}

/// The right to use a database, until the test ends.
pub struct Lease {
    name: String,
    _slot: SemaphorePermit<'static>,
}

impl Drop for Lease {
    /// Nothing can wait here for a database to be dropped, so the next one to be created does it.
    fn drop(&mut self) {
        if let Some(cluster) = CLUSTER.get() {
            cluster.discarded.lock().unwrap().push(std::mem::take(&mut self.name));
        }
    }
}

/// A database with our tables and the people of the tests, opened with these settings.
pub async fn copy_of_template(settings: &Settings) -> (Database, Lease) {
    let (options, lease) = copy().await;
    if settings.release != super::settings().release {
        return (open(options, settings).await.unwrap(), lease);
    }
    let mut database = cluster().await.template.clone();
    let how = db::Options { pool_size: POOL_SIZE, ..options_of(settings) };
    database.requests = Pool::new(options.clone(), &how);
    database.pool =
        db::pool_options(&options_of(settings)).max_connections(POOL_SIZE).connect_lazy_with(options);
    (database, lease)
}

/// The same with more tables.
pub async fn copy_with_tables(tables: &'static str, settings: &Settings) -> (Database, Lease) {
    let (options, lease) = copy().await;
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(tables).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    (open(options, settings).await.unwrap(), lease)
}

/// A copy of the template that nobody has opened.
async fn copy() -> (PgConnectOptions, Lease) {
    let slot = SLOTS.acquire().await.unwrap();
    let cluster = cluster().await;
    cluster.drop_discarded().await.unwrap();
    let options = cluster.create_database(TEMPLATE).await.unwrap();
    let lease = Lease { name: options.get_database().unwrap().to_owned(), _slot: slot };
    (options, lease)
}

/// A database without any table.
pub async fn empty() -> PgConnectOptions {
    cluster().await.create_database("template0").await.unwrap()
}

async fn cluster() -> &'static Cluster {
    CLUSTER.get_or_init(async || Cluster::start().await.unwrap()).await
}

impl Cluster {
    async fn start() -> Result<Self> {
        let mut options = embedded_settings(&DIRECTORY).options()?;
        options.settings.extend(["max_connections=120", "max_prepared_transactions=10"].map(str::to_owned));
        let server = EmbeddedPostgres::start(&Options { durability: Durability::None, ..options })?;
        execute(&server, format!("CREATE DATABASE {TEMPLATE}")).await?;
        let template = fill_template(connect_options(&server.address()).database(TEMPLATE)).await?;
        Ok(Self { server, template, databases: AtomicUsize::new(0), discarded: Mutex::default() })
    }

    async fn create_database(&self, template: &str) -> Result<PgConnectOptions> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        execute(&self.server, format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        Ok(connect_options(&self.server.address()).database(&name))
    }

    async fn drop_discarded(&self) -> Result<()> {
        let discarded = std::mem::take(&mut *self.discarded.lock().unwrap());
        for name in discarded {
            // By force: a runtime that ends doesn't wait for its connections.
            execute(&self.server, format!("DROP DATABASE {name} WITH (FORCE)")).await?;
        }
        Ok(())
    }
}

async fn execute(server: &EmbeddedPostgres, statement: String) -> Result<()> {
    let mut connection = PgConnection::connect_with(&connect_options(&server.address())).await?;
    sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

fn options_of(settings: &Settings) -> db::Options {
    settings.database_options(resources::permissions(), resources::searched(), resources::needs())
}

async fn open(options: PgConnectOptions, settings: &Settings) -> Result<Database> {
    db::open(options, &options_of(settings), &Ids::Random).await
}

async fn fill_template(options: PgConnectOptions) -> Result<Database> {
    let mut settings = super::settings();
    settings.first_user.token = Some(String::from("admin"));
    settings.first_user.email = String::from("akadmin@peer.invalid");
    let (clock, ids) = (Clock::Fixed(super::now()), Ids::Random);
    let database = open(options, &settings).await?;
    bootstrap::first_user(&database.pool, &settings.first_user, &clock, &ids).await?;
    people::populate(&database.pool).await;
    // A database with connections can't be copied.
    database.pool.close().await;
    Ok(database)
}

/// An embedded PostgreSQL in this directory, with the programs that the server would take.
pub fn embedded_settings(directory: &Path) -> EmbeddedSettings {
    let programs = std::env::var_os("PG_BIN_DIR").map(PathBuf::from);
    EmbeddedSettings { data_dir: Some(directory.to_owned()), programs }
}

/// A directory of this process, empty.
pub fn new_directory(name: &str) -> PathBuf {
    static NUMBERS: AtomicUsize = AtomicUsize::new(0);
    create(&DIRECTORY.join(format!("{name}-{}", NUMBERS.fetch_add(1, Ordering::Relaxed))))
}

/// Started by root, PostgreSQL runs as another user, who has to pass through.
fn create(directory: &Path) -> PathBuf {
    fs::create_dir(directory).unwrap();
    fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
    directory.to_owned()
}

/// What earlier runs left.
fn remove_stale_directories() {
    let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(|path| is_stale(path)) {
        fs::remove_dir_all(path).ok();
    }
}

fn is_stale(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(pid) = name.strip_prefix(PREFIX).and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw) else {
        return false;
    };
    let is_gone = test_kill_process(pid).is_err();
    is_gone && embedded_settings(path).running().is_ok_and(|address| address.is_none())
}
