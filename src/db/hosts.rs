//! [`Hosts`]: where a PostgreSQL is to be found, if need be at one of several addresses.
//!
//! An address may name several servers, as libpq's may: a primary and the standbys that may take its place. Of those the
//! one that takes writes is looked for, as `target_session_attrs=read-write` has it, and looked for again when it is gone.
//! A server that is alone is taken as it is.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::sync::watch as channel;
use tokio::time::timeout;

/// How long one of several may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module; cheap to clone.
#[derive(Clone)]
pub struct Hosts(Arc<Inner>);

struct Inner {
    all: Vec<PgConnectOptions>,
    /// The one that took writes last, by its place among all.
    current: channel::Sender<usize>,
}

impl From<PgConnectOptions> for Hosts {
    fn from(only: PgConnectOptions) -> Self {
        Self::new(only, Vec::new())
    }
}

/// The hosts with commas between, and the database.
impl fmt::Display for Hosts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.0.all.iter().map(PgConnectOptions::get_host).collect();
        write!(formatter, "{}/{}", hosts.join(","), self.current().get_database().unwrap_or_default())
    }
}

/// A connection, and what finding it changed.
pub struct Found {
    /// The connection.
    pub connection: PgConnection,
    /// A number for the address, which others don't have.
    pub place: u64,
    /// Whether it is another server than before that takes writes now.
    pub moved: bool,
}

impl Hosts {
    /// The servers, in the order in which they are asked.
    pub fn new(first: PgConnectOptions, others: Vec<PgConnectOptions>) -> Self {
        let all = std::iter::once(first).chain(others).collect();
        Self(Arc::new(Inner { all, current: channel::Sender::new(0) }))
    }

    /// The same, opened differently.
    #[must_use]
    pub fn map(&self, with: impl Fn(PgConnectOptions) -> PgConnectOptions) -> Self {
        let all = self.0.all.iter().cloned().map(with).collect();
        Self(Arc::new(Inner { all, current: channel::Sender::new(*self.0.current.borrow()) }))
    }

    /// How the one is opened that took writes last.
    pub fn current(&self) -> &PgConnectOptions {
        &self.0.all[*self.0.current.borrow()]
    }

    /// Told whenever that is another one.
    pub fn moves(&self) -> channel::Receiver<usize> {
        self.0.current.subscribe()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.all.len()
    }

    /// A connection to the one that takes writes: where that was last, else at any other.
    ///
    /// # Errors
    /// That of the first one asked.
    pub async fn connect(&self) -> sqlx::Result<Found> {
        let current = *self.0.current.borrow();
        let first = match self.connect_to(current).await {
            Err(error) => error,
            found => return found,
        };
        for other in (0..self.count()).filter(|other| *other != current) {
            if let Ok(found) = self.connect_to(other).await {
                return Ok(found);
            }
        }
        Err(first)
    }

    /// A connection to this one, by its place among all, if it takes writes or is the only one.
    ///
    /// # Errors
    /// It can't be reached, or takes none.
    pub async fn connect_to(&self, number: usize) -> sqlx::Result<Found> {
        let options = &self.0.all[number];
        let connection = if self.count() == 1 {
            PgConnection::connect_with(options).await?
        } else {
            let asked = timeout(PATIENCE, to_write(options)).await;
            asked.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))?
        };
        let moved = self.0.current.send_if_modified(|current| std::mem::replace(current, number) != number);
        if moved {
            tracing::warn!(
                host = options.get_host(),
                port = options.get_port(),
                "another server takes writes now"
            );
        }
        Ok(Found { connection, place: place(options), moved })
    }
}

/// A connection to a server that takes writes.
async fn to_write(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    let mut connection = PgConnection::connect_with(options).await?;
    let is_read_only = "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool";
    if sqlx::query_scalar(is_read_only).persistent(false).fetch_one(&mut connection).await? {
        connection.close().await.ok();
        return Err(std::io::Error::other("the server takes no writes").into());
    }
    Ok(connection)
}

/// Which address was asked: two servers behind two addresses may have started in the same instant.
fn place(options: &PgConnectOptions) -> u64 {
    let mut hasher = DefaultHasher::new();
    (options.get_host(), options.get_port(), options.get_socket(), options.get_database()).hash(&mut hasher);
    hasher.finish()
}
