//! [`Server`]: the PostgreSQL that a process uses.

use embedded_postgres::EmbeddedPostgres;
use sqlx::postgres::PgConnectOptions;

use super::embedded::{self, EmbeddedSettings};

/// Which PostgreSQL to use.
#[derive(Clone)]
pub enum Location {
    /// A server that somebody else runs.
    External(Box<PgConnectOptions>),
    /// A private one that we run.
    Embedded(EmbeddedSettings),
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
            Location::Embedded(embedded) => Ok(Self::Embedded(embedded.start().await?)),
        }
    }

    /// For the command line tools: use the embedded PostgreSQL of a running server, or start it.
    pub async fn join(location: &Location) -> anyhow::Result<Self> {
        if let Location::Embedded(embedded) = location
            && let Some(address) = embedded.running()?
        {
            return Ok(Self::External(Box::new(embedded::connect_options(&address))));
        }
        Self::start(location).await
    }

    /// How to connect.
    pub fn connect_options(&self) -> PgConnectOptions {
        match self {
            Self::External(options) => (**options).clone(),
            Self::Embedded(postgres) => embedded::connect_options(&postgres.address()),
        }
    }

    /// Stop what this process started.
    pub fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::External(_) => Ok(()),
            Self::Embedded(postgres) => Ok(postgres.stop()?),
        }
    }
}
