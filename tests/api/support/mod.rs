//! A server of its own for every test, and people who ask it for something.

mod authentik;
mod client;
mod contract;
mod database;
mod declared;
mod people;
#[path = "../../common/process.rs"]
mod process;
mod program;
mod rows;
mod samples;
mod secrets;
mod seed;
mod smtp;
mod statements;
mod token_endpoint;
mod waiting;

pub use authentik::{AccessToken, IMPERSONATING, OUTPOST, SECRET_KEY, Session, signed};
pub use client::{Answer, Client, JSON};
pub use database::{POOL_SIZE, embedded_settings, new_directory};
pub use declared::{Declared, declared, is_text, registered};
pub use people::Person;
pub use program::{Program, database_of, empty_database};
pub use samples::{as_parameter, flow_set_entry};
pub use seed::{asked, seed};
pub use smtp::{Smtp, Taken, Welcome};
pub use statements::Statements;
pub use token_endpoint::TokenEndpoint;
pub use waiting::HeldCommits;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ak_stages::app::App;
use ak_stages::clock::{Clock, Ids};
use ak_stages::config::Settings;
use ak_stages::db::{Database, Pool};
use ak_stages::http;
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgPool};

use database::Lease;

/// Where the four resources of the stages API stand.
pub const EMAIL: &str = "/stages/email/";
pub const USER_WRITE: &str = "/stages/user_write/";
pub const INVITATION_STAGE: &str = "/stages/invitation/stages/";
pub const INVITATION: &str = "/stages/invitation/invitations/";

/// What every test's clock shows.
pub const NOW: &str = "2026-03-04T05:06:07.000008Z";

/// [`NOW`] and half an hour, which is the default duration.
pub const IN_HALF_AN_HOUR: &str = "2026-03-04T05:36:07.000008Z";

/// [`NOW`] as an instant.
pub fn now() -> DateTime<Utc> {
    NOW.parse().unwrap()
}

/// The settings of a server that nothing was set for.
pub fn settings() -> Settings {
    Settings::read(|_| None).unwrap()
}

/// A server with a database of its own, in which there are the people of [`people`]. Its clock stands still and its keys
/// are counted, so that what one run answers any other answers too.
pub struct TestApp {
    /// The database, for what the API doesn't show.
    pub pool: PgPool,
    /// The server's own connections.
    pub requests: Pool,
    app: App,
    numbers: AtomicUsize,
    _lease: Lease,
}

impl TestApp {
    /// A server as it comes.
    pub async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// A server with other settings.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::at(Clock::Fixed(now()), change).await
    }

    /// A server whose clock goes on.
    pub async fn in_real_time() -> Self {
        Self::at(Clock::System, |_| ()).await
    }

    async fn at(clock: Clock, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings();
        change(&mut settings);
        let (database, lease) = database::copy_of_template(&settings).await;
        Self::on(database, lease, settings, clock)
    }

    /// A server with other settings, whose database had more tables when it was started.
    async fn with_tables(tables: &'static str, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings();
        change(&mut settings);
        let (database, lease) = database::copy_with_tables(tables, &settings).await;
        Self::on(database, lease, settings, Clock::Fixed(now()))
    }

    fn on(database: Database, lease: Lease, settings: Settings, clock: Clock) -> Self {
        let (pool, requests) = (database.pool.clone(), database.requests.clone());
        let app = App::new(database, settings, clock, Ids::Sequential(Arc::default()));
        Self { pool, requests, app, numbers: AtomicUsize::new(1), _lease: lease }
    }

    /// The superuser.
    pub fn admin(&self) -> Client {
        self.bearer("admin")
    }

    /// Someone who may view all of the four resources, and nothing else.
    pub fn viewer(&self) -> Client {
        self.bearer("viewer")
    }

    /// A user without any permission.
    pub fn plain(&self) -> Client {
        self.bearer("plain")
    }

    /// The superuser, at another server on the same database.
    pub fn replica(&self) -> Client {
        let app = App::new(self.app.database.clone(), settings(), Clock::Fixed(now()), Ids::Random);
        Client::new(http::router(app), Some("admin"))
    }

    /// The server is told to stop.
    pub fn stop(&self) {
        self.app.stop();
    }

    /// Nobody.
    pub fn anonymous(&self) -> Client {
        Client::new(http::router(self.app.clone()), None)
    }

    /// Whoever holds this key.
    pub fn bearer(&self, key: &str) -> Client {
        Client::new(http::router(self.app.clone()), Some(key))
    }

    /// A number that this test hasn't seen.
    pub fn fresh(&self) -> usize {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// A name that nothing has.
    pub fn new_name(&self) -> String {
        format!("name-{}", self.fresh())
    }

    /// A digest of each of authentik's tables. Two of them are equal where nothing was written in between.
    pub async fn contents(&self) -> BTreeMap<String, String> {
        self.digests("schemaname = 'public'").await
    }

    /// The same of all tables that there are, those of our own included: they tell what was done and undone again, too.
    pub async fn everything(&self) -> BTreeMap<String, String> {
        self.digests("schemaname NOT IN ('pg_catalog', 'information_schema')").await
    }

    async fn digests(&self, which: &str) -> BTreeMap<String, String> {
        let statement = format!(
            "SELECT CASE schemaname WHEN 'public' THEN '' ELSE schemaname || '.' END || tablename \
             FROM pg_tables WHERE {which}"
        );
        let tables: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&self.pool).await.unwrap();
        let digests = tables.iter().map(|table| {
            format!(
                "SELECT '{table}', md5(coalesce(string_agg(row::text, '|' ORDER BY row::text), '')) FROM {table} row"
            )
        });
        let statement = digests.collect::<Vec<_>>().join(" UNION ALL ");
        let rows: Vec<(String, String)> =
            sqlx::query_as(AssertSqlSafe(statement)).fetch_all(&self.pool).await.unwrap();
        rows.into_iter().collect()
    }
}
