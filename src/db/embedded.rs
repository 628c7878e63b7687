//! The embedded PostgreSQL as this server runs it: where, and what can be set against its failures.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use embedded_postgres::{Address, EmbeddedPostgres, Error, Options, is_reachable};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Where root's data goes when the working directory is closed to the database user.
const SYSTEM_DATA_DIR: &str = "/var/lib/ak-stages";

/// What can be set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EmbeddedSettings {
    /// `DATA_DIR`, the parent of the database's directory.
    pub data_dir: Option<PathBuf>,
    /// `PG_BIN_DIR`, the directory of the PostgreSQL programs.
    pub programs: Option<PathBuf>,
}

impl EmbeddedSettings {
    /// Start it, on a thread that may wait.
    ///
    /// # Errors
    /// For the operator: what is wrong and what to install or to set.
    pub async fn start(&self) -> anyhow::Result<EmbeddedPostgres> {
        let options = self.options()?;
        let start = tokio::task::spawn_blocking(move || EmbeddedPostgres::start(&options));
        start.await.context("starting the database panicked")?.map_err(advise)
    }

    /// Where to connect if another process of ours runs it.
    ///
    /// # Errors
    /// Its directory can't be read, usually because the server runs as another user.
    pub fn running(&self) -> anyhow::Result<Option<Address>> {
        Ok(embedded_postgres::running(&self.options()?)?)
    }

    /// What to run.
    ///
    /// # Errors
    /// The working directory is gone.
    pub fn options(&self) -> anyhow::Result<Options> {
        Ok(Options {
            name: "ak-stages".to_owned(),
            user: "app".to_owned(),
            programs: self.programs.clone(),
            settings: ["max_connections=60", "shared_buffers=64MB", "timezone=UTC", "log_timezone=UTC"]
                .map(str::to_owned)
                .to_vec(),
            ..Options::new(self.root()?)
        })
    }

    /// In `DATA_DIR` if that is set, else in `./data` or, where the database user can't reach that (a checkout in root's
    /// closed home), in [`SYSTEM_DATA_DIR`].
    fn root(&self) -> anyhow::Result<PathBuf> {
        let directory = std::path::absolute(self.data_dir.as_deref().unwrap_or(Path::new("data")))?;
        let root = directory.join("postgres");
        if self.data_dir.is_some() || is_reachable(&root)? {
            return Ok(root);
        }
        let root = Path::new(SYSTEM_DATA_DIR).join("postgres");
        tracing::warn!(directory = %root.display(), "the database user cannot reach ./data, so the database lives here");
        Ok(root)
    }
}

/// How to connect. Not a URL, which could not hold every path; and nothing that `PG…` variables could change.
pub fn connect_options(address: &Address) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(&address.socket_dir)
        .port(address.port)
        .username(&address.user)
        .database(address.database)
        .ssl_mode(PgSslMode::Disable)
}

/// The failure, with the settings that help against it.
fn advise(error: Error) -> anyhow::Error {
    let advice = match error {
        Error::NotInstalled => {
            "\n  or point at a server:  DATABASE_URL=postgres://user:password@host/db".to_owned()
        }
        Error::NoPrograms { .. } => "; correct PG_BIN_DIR, or set DATABASE_URL".to_owned(),
        Error::OutOfReach { .. } => {
            format!("; set DATA_DIR to a place outside it, for example {SYSTEM_DATA_DIR}")
        }
        Error::InUse { .. } | Error::OtherOwner { .. } => ", or set DATA_DIR or DATABASE_URL".to_owned(),
        Error::OtherVersion { .. } | Error::NoAccount | Error::NoUserName { .. } => {
            ", or set DATABASE_URL".to_owned()
        }
        error => return error.into(),
    };
    anyhow!("{error}{advice}")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// Those that a test can't bring about on every machine.
    #[rstest]
    #[case(Error::NotInstalled, "\n  or point at a server:  DATABASE_URL=postgres://user:password@host/db")]
    #[case(Error::OutOfReach { root: "/root/data".into(), uid: 101 }, "; set DATA_DIR to a place outside it, for example /var/lib/ak-stages")]
    #[case(Error::OtherOwner { root: "/srv/data".into(), owner: 7, uid: 8 }, ", or set DATA_DIR or DATABASE_URL")]
    #[case(Error::NoAccount, ", or set DATABASE_URL")]
    #[case(Error::NoUserName { output: String::new() }, ", or set DATABASE_URL")]
    #[case(Error::DoesNotEnd { pid: 7 }, "")]
    fn a_failure_ends_with_the_settings_that_help(#[case] error: Error, #[case] advice: &str) {
        let message = error.to_string();
        assert_eq!(advise(error).to_string(), message + advice);
    }
}
