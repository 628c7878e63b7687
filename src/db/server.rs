//! [`Server`]: the PostgreSQL that a process uses.

use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnectOptions;

use super::embedded::{self, Durability, EmbeddedPostgres};

/// Which PostgreSQL to use.
#[derive(Clone)]
pub enum Location {
    /// A server that somebody else runs.
    External(Box<PgConnectOptions>),
    /// A private one that we run; the directory, where one was set.
    Embedded(Option<PathBuf>),
}

/// The PostgreSQL that a process uses: somebody else's, or one of its own.
pub enum Server {
    /// Somebody else runs it.
    External(Box<PgConnectOptions>),
    /// This process runs it.
    Embedded(EmbeddedPostgres),
}

impl Server {
    /// Start the embedded PostgreSQL where the settings name no other.
    pub async fn start(location: &Location) -> anyhow::Result<Self> {
        match location {
            Location::External(options) => Ok(Self::External(options.clone())),
            Location::Embedded(data_dir) => {
                let root = embedded_root(data_dir.as_deref())?;
                Ok(Self::Embedded(EmbeddedPostgres::start(root, Durability::Full).await?))
            }
        }
    }

    /// For the command line tools: use the embedded PostgreSQL of a running server, or start it.
    pub async fn join(location: &Location) -> anyhow::Result<Self> {
        if let Location::Embedded(data_dir) = location
            && let Some(options) = embedded::running(&embedded_root(data_dir.as_deref())?)?
        {
            return Ok(Self::External(Box::new(options)));
        }
        Self::start(location).await
    }

    /// How to connect.
    pub fn connect_options(&self) -> PgConnectOptions {
        match self {
            Self::External(options) => (**options).clone(),
            Self::Embedded(postgres) => postgres.connect_options(),
        }
    }

    /// Stop what this process started.
    pub fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::External(_) => Ok(()),
            Self::Embedded(postgres) => postgres.stop(),
        }
    }
}

fn embedded_root(data_dir: Option<&Path>) -> anyhow::Result<PathBuf> {
    let resolved = embedded::resolve_root(data_dir)?;
    if resolved.fallback {
        tracing::warn!(directory = %resolved.root.display(), "the database user cannot reach ./data, so the database lives here");
    }
    Ok(resolved.root)
}
