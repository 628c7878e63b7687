//! The embedded PostgreSQL as this server runs it.

use std::path::PathBuf;

use anyhow::Context;
use embedded_postgres::{Address, Durability, EmbeddedPostgres};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Start it, on a thread that may wait.
///
/// # Errors
/// As [`EmbeddedPostgres::start`].
pub async fn start(root: PathBuf) -> anyhow::Result<EmbeddedPostgres> {
    let start = tokio::task::spawn_blocking(move || EmbeddedPostgres::start(&root, Durability::Full));
    start.await.context("starting the database panicked")?
}

/// How to connect. Not a URL, which could not hold every path; and nothing that `PG…` variables could change.
pub fn connect_options(address: &Address) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(&address.socket_dir)
        .port(address.port)
        .username(address.user)
        .database(address.database)
        .ssl_mode(PgSslMode::Disable)
}
