//! [`Server`]: the PostgreSQL that a process uses.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::Context;
use embedded_postgres::EmbeddedPostgres;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::Hosts;
use super::embedded::{self, EmbeddedSettings};

/// How often the embedded PostgreSQL is looked after.
const WATCH: Duration = Duration::from_millis(100);
/// How often it is started again within [`RESTARTS_WITHIN`]; one that ends more often has to be looked at.
const RESTARTS: usize = 5;
/// See [`RESTARTS`].
const RESTARTS_WITHIN: Duration = Duration::from_mins(10);

/// How long after a start that failed the next one is tried.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Which PostgreSQL to use.
#[derive(Clone)]
pub enum Location {
    /// A server that somebody else runs, or several of which one takes writes.
    External(Hosts),
    /// A private one that we run.
    Embedded(EmbeddedSettings),
}

/// The PostgreSQL that a process uses: somebody else's, or one of its own.
pub enum Server {
    /// Somebody else runs it.
    External(Hosts),
    /// This process runs it.
    Embedded(Box<EmbeddedPostgres>),
}

impl Server {
    /// Start the embedded PostgreSQL where the settings name no other.
    pub async fn start(location: &Location) -> anyhow::Result<Self> {
        match location {
            Location::External(hosts) => Ok(Self::External(hosts.clone())),
            Location::Embedded(embedded) => Ok(Self::Embedded(Box::new(embedded.start().await?))),
        }
    }

    /// For the command line tools: use the embedded PostgreSQL of a running server, or start it.
    pub async fn join(location: &Location) -> anyhow::Result<Self> {
        if let Location::Embedded(embedded) = location
            && let Some(address) = embedded.running()?
        {
            return Ok(Self::External(embedded::connect_options(&address).into()));
        }
        Self::start(location).await
    }

    /// Where to connect.
    pub fn hosts(&self) -> Hosts {
        match self {
            Self::External(hosts) => hosts.clone(),
            Self::Embedded(postgres) => embedded::connect_options(&postgres.address()).into(),
        }
    }

    /// Stop what this process started.
    pub fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::External(_) => Ok(()),
            Self::Embedded(postgres) => Ok(postgres.stop()?),
        }
    }

    /// Look after the embedded PostgreSQL until it is to stop, and stop it: one that ends by itself is started again.
    ///
    /// # Errors
    /// It can't be started again, ends too often, or doesn't stop.
    pub async fn keep(self, mut stopped: oneshot::Receiver<()>) -> anyhow::Result<()> {
        let Self::Embedded(mut postgres) = self else {
            stopped.await.ok();
            return Ok(());
        };
        let mut restarts = VecDeque::new();
        loop {
            if tokio::time::timeout(WATCH, &mut stopped).await.is_ok() {
                break;
            }
            let Some(status) = postgres.exited() else { continue };
            let log = postgres.root().join("server.log");
            restarts.push_back(Instant::now());
            while restarts.front().is_some_and(|restart| restart.elapsed() > RESTARTS_WITHIN) {
                restarts.pop_front();
            }
            if restarts.len() > RESTARTS {
                anyhow::bail!(
                    "the embedded PostgreSQL ended ({status}), the {}th time in ten minutes; see {}",
                    restarts.len(),
                    log.display()
                );
            }
            tracing::error!(%status, log = %log.display(), "the embedded PostgreSQL ended; starting it again");
            let again = spawn_blocking(move || {
                let restarted = postgres.restart();
                (postgres, restarted)
            });
            let restarted;
            (postgres, restarted) = again.await.context("starting the database panicked")?;
            if let Err(error) = restarted {
                tracing::error!(%error, "the embedded PostgreSQL does not start");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
        // Blocks, while nothing else has to be done.
        Ok(postgres.stop()?)
    }
}
