//! PostgreSQL: which one, what is in it, how it is opened, and how statements are made from declarations.

pub mod attached;
pub mod bootstrap;
pub mod catalogue;
mod content;
pub mod dictionary;
pub mod embedded;
pub mod extensions;
pub mod grants;
mod hosts;
pub mod idempotency;
pub mod insert;
mod json_lookup;
pub mod key;
pub mod layout;
pub mod lookups;
pub mod needs;
pub mod own;
pub mod pool;
pub mod proof;
pub mod replicas;
pub mod search;
pub mod server;
pub mod sql;
pub mod statements;
pub mod time_limit;
pub mod updates;
pub mod volume;

use std::time::Duration;

use anyhow::Context;
use drf::permission::Model;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool};

use crate::clock::Ids;
use crate::contract::Release;

pub use dictionary::Dictionary;
pub use hosts::Hosts;
pub use key::PrimaryKey;
pub use layout::Layout;
pub use needs::{Need, Needs, Privilege};
pub use pool::Pool;
pub use proof::Proof;
pub use replicas::Replicas;
pub use server::{Location, Server};
pub use sql::Sql;
pub use time_limit::Limits;

/// Connections beside those of requests, at most.
const OTHER_CONNECTIONS: u32 = 2;
/// How long somebody waits for one of them.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// How a database is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections at most.
    pub pool_size: u32,
    /// Whether a PgBouncer in transaction mode stands between.
    pub pgbouncer: bool,
    /// What PostgreSQL limits for us.
    pub limits: Limits,
    /// The standbys that reads go to.
    pub replicas: Vec<PgConnectOptions>,
    /// How far behind they may be.
    pub replica_lag: Duration,
    /// Whose enumerations and templates hold in a database of our own.
    pub release: Release,
    /// The permissions that there are in a database of our own: each with its model, by codename.
    pub permissions: Vec<(Model, String)>,
    /// The texts of a database of our own that searches look through.
    pub searched: Vec<search::Indexed>,
    /// What has to be there in authentik's database.
    pub needs: Needs,
}

/// An open database.
#[derive(Clone)]
pub struct Database {
    /// The connections of requests.
    pub requests: Pool,
    /// Those of reads to other servers.
    pub replicas: Replicas,
    /// Those of the start and the command line.
    pub pool: PgPool,
    /// What is in it.
    pub layout: Layout,
}

/// Open the database behind `options`: authentik's if it holds Django's migrations, else our own.
///
/// # Errors
/// The server doesn't answer, a migration fails, or authentik's schema isn't one that we know.
pub async fn open(hosts: impl Into<Hosts>, how: &Options, ids: &Ids) -> anyhow::Result<Database> {
    let hosts = hosts.into().map(|options| named(options, how));
    let pool = connect(&hosts, how).await?;
    let requests = Pool::new(hosts, how);
    let replicas = Replicas::new(how.replicas.iter().cloned(), requests.clone(), how.replica_lag, how);
    let mut transaction =
        if how.pgbouncer { pool.begin_with(how.limits.pinned()).await? } else { pool.begin().await? };
    let layout = if attached::is_authentik(&mut transaction).await? {
        Some(attached::layout(&mut transaction, &how.needs).await?)
    } else {
        None
    };
    drop(transaction);
    let layout = match layout {
        Some(layout) => layout,
        None if how.pgbouncer => anyhow::bail!(
            "AUTHENTIK_POSTGRESQL__USE_PGBOUNCER: only for the database of an authentik; migrating our own needs a \
             connection of its own"
        ),
        None => own::layout(&pool, ids, how).await?,
    };
    Ok(Database { requests, replicas, pool, layout })
}

impl Database {
    /// Look after the servers, for as long as this is polled.
    pub async fn watch(self) {
        let follow = follow(self.requests.hosts(), &self.pool);
        tokio::join!(self.requests.clone().watch(), self.replicas.watch(), follow);
    }
}

/// Let the connections that aren't requests' go where writes go. Those that are open end with the server that they lead to.
async fn follow(hosts: &Hosts, pool: &PgPool) {
    if hosts.count() == 1 {
        return;
    }
    let mut moves = hosts.moves();
    loop {
        pool.set_connect_options(hosts.current().clone());
        if moves.changed().await.is_err() {
            return;
        }
    }
}

/// Connections to a server.
///
/// # Errors
/// The server doesn't answer. The message names host and database, never the password.
async fn connect(hosts: &Hosts, how: &Options) -> anyhow::Result<PgPool> {
    let place = || format!("cannot connect to PostgreSQL at {hosts}");
    // One connection by itself: its error says what is wrong, where a pool's says that it waited.
    hosts.connect().await.with_context(place)?.connection.close().await?;
    pool_options(how).connect_with(hosts.current().clone()).await.with_context(place)
}

/// How a connection of ours is opened.
fn named(options: PgConnectOptions, how: &Options) -> PgConnectOptions {
    let options = options.application_name("ak-stages");
    // Behind a PgBouncer a named statement would be looked for on another server connection.
    if how.pgbouncer { options.statement_cache_capacity(0) } else { options }
}

/// The connections that aren't requests', and how long a statement on them may take.
pub fn pool_options(how: &Options) -> PgPoolOptions {
    let options = PgPoolOptions::new().max_connections(OTHER_CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
    if how.pgbouncer {
        return options; // the connections are others' too: see `Limits::pinned`
    }
    let limits = how.limits;
    options.after_connect(move |connection, _| {
        Box::pin(async move {
            sqlx::raw_sql(limits.of_connection()).execute(connection).await?;
            Ok(())
        })
    })
}
