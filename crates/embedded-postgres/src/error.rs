//! Every way in which a database can fail to run.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::installation::OLDEST_SUPPORTED;

/// Why there is no database. The message is for the person who started it; what can be done in the options is
/// left to the application, which knows how they are set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The usual places and `PATH` hold no PostgreSQL that is new enough.
    #[error(
        "no PostgreSQL ({OLDEST_SUPPORTED} or later) was found on this machine\n  \
         Debian, Ubuntu:  sudo apt-get install -y postgresql\n  \
         Fedora:          sudo dnf install -y postgresql-server\n  \
         macOS:           brew install postgresql@17"
    )]
    NotInstalled,
    /// The same for [`Options::programs`](crate::Options::programs).
    #[error(
        "in {programs} there are no postgres, initdb and pg_ctl of version {OLDEST_SUPPORTED} or later that the \
         database user can run"
    )]
    NoPrograms {
        /// The directory that was given.
        programs: PathBuf,
    },
    /// The database was made by a PostgreSQL that isn't there any more.
    #[error(
        "{data} was made by PostgreSQL {major}, which is not installed (found: {found:?}); install \
         postgresql-{major}, or dump and restore"
    )]
    OtherVersion {
        /// PostgreSQL's data directory.
        data: PathBuf,
        /// The major version that made it.
        major: u32,
        /// The major versions that are there, newest first.
        found: Vec<u32>,
    },
    /// Another process runs a database in the same root.
    #[error("the database in {root} is in use by another process (pid {pid}); stop that one")]
    InUse {
        /// The database's root.
        root: PathBuf,
        /// The other process; empty in the instant of its start.
        pid: String,
    },
    /// The root belongs to another user.
    #[error("{root} belongs to uid {owner}, and this is uid {uid}; start as the user who made it")]
    OtherOwner {
        /// The database's root.
        root: PathBuf,
        /// Who owns it.
        owner: u32,
        /// Who wants to use it.
        uid: u32,
    },
    /// As root: the user that PostgreSQL runs as cannot reach the root.
    #[error(
        "running as root, the database runs as uid {uid}, which cannot reach {root} (a parent directory is closed to it)"
    )]
    OutOfReach {
        /// The database's root.
        root: PathBuf,
        /// The database user.
        uid: u32,
    },
    /// As root: there is no user to run PostgreSQL as.
    #[error(
        "running as root, and there is no user 'postgres' or 'nobody' to run the database as; start as an ordinary user"
    )]
    NoAccount,
    /// The user id has no name, without which PostgreSQL makes no database.
    #[error("{output}\nPostgreSQL needs a user name, and this user id has none; add it to /etc/passwd")]
    NoUserName {
        /// What `initdb` printed.
        output: String,
    },
    /// What should be a directory of the database user alone is something else.
    #[error("{dir} is not a private directory of uid {uid}; remove it")]
    NotPrivate {
        /// What it is about.
        dir: PathBuf,
        /// The database user.
        uid: u32,
    },
    /// `initdb` did not make a database.
    #[error("initdb failed: {output}")]
    Initdb {
        /// What it printed.
        output: String,
    },
    /// PostgreSQL ended before it accepted connections.
    #[error("postgres ended at start ({status}); the end of {log}:\n{tail}")]
    EndedAtStart {
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The last lines of that.
        tail: String,
    },
    /// PostgreSQL runs, but does not listen.
    #[error("postgres does not listen; see {log}")]
    Silent {
        /// Its log.
        log: PathBuf,
    },
    /// PostgreSQL does not end: ours when it has to stop, or the orphan of a killed process at the next start.
    #[error("postgres (pid {pid}) does not end")]
    DoesNotEnd {
        /// Its main process.
        pid: u32,
    },
    /// What is left of a killed PostgreSQL does not end.
    #[error("processes of a dead PostgreSQL still use {data}")]
    Leftovers {
        /// PostgreSQL's data directory.
        data: PathBuf,
    },
    /// The operating system refuses something.
    #[error("cannot {action}")]
    Io {
        /// Such as `create /srv/postgres`.
        action: String,
        /// Why.
        source: io::Error,
    },
}

/// As the standard one, with our [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Names what failed.
pub(crate) trait OrCannot<T> {
    /// `action` continues a sentence: `cannot {action}`.
    fn or_cannot(self, action: impl Display) -> Result<T>;
}

impl<T, E: Into<io::Error>> OrCannot<T> for Result<T, E> {
    fn or_cannot(self, action: impl Display) -> Result<T> {
        self.map_err(|error| Error::Io { action: action.to_string(), source: error.into() })
    }
}
