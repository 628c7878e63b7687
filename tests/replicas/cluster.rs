//! A primary and standbys that follow it by streaming replication, each behind a relay.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::geteuid;

use crate::postgres::{Postgres, Scratch};
use crate::process::PATIENCE;
use crate::relay::{Network, Relay};

/// One PostgreSQL, and where servers find it.
pub struct Node {
    pub postgres: Postgres,
    relay: Relay,
}

impl Node {
    fn of(postgres: Postgres) -> Self {
        let relay = Relay::to(postgres.socket());
        Self { postgres, relay }
    }

    /// A new primary.
    pub fn primary(scratch: &Scratch) -> Self {
        let directory = directory(scratch, "primary");
        Self::of(Postgres::start(Postgres::options(&directory, &[])))
    }

    /// A standby of it, made of a copy of its data. It may be one itself.
    pub fn standby(&self, scratch: &Scratch, name: &str) -> Self {
        let directory = directory(scratch, name);
        // Else one that has lost its primary may take five seconds to be promoted.
        let options = Postgres::options(&directory, &["wal_retrieve_retry_interval=100ms"]);
        let (data, owner) = (directory.join("copy"), fs::metadata(self.postgres.data()).unwrap());
        fs::create_dir(&data).unwrap();
        fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
        let (socket, port) = self.postgres.address();
        let mut copy = Command::new(program("pg_basebackup"));
        if geteuid().is_root() {
            chown(&data, Some(owner.uid()), Some(owner.gid())).unwrap();
            copy.uid(owner.uid()).gid(owner.gid());
        }
        copy.current_dir("/").arg("-h").arg(socket).args(["-p", &port.to_string(), "-U", "app"]);
        copy.arg("-D").arg(&data);
        // -R: the settings of a standby. Each has a name, by which a primary may wait for it.
        copy.args([
            "-R",
            "-c",
            "fast",
            "-X",
            "stream",
            "--no-sync",
            "-d",
            &format!("application_name={name}"),
        ]);
        let output = copy.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::create_dir(&options.root).unwrap();
        fs::rename(data, options.root.join("pgdata")).unwrap();
        Self::of(Postgres::start(options))
    }

    /// Where a server finds it.
    pub fn address(&self) -> SocketAddr {
        self.relay.address()
    }

    /// From now on the network swallows what is sent to it, and what it sends.
    pub fn fall_silent(&self) {
        self.relay.be(Network::Swallows);
    }

    /// Let it be the primary from now on.
    pub fn promote(&self) {
        self.postgres.execute(&["SELECT pg_promote()"]);
    }

    /// Set this while it runs.
    pub fn set(&self, setting: &str) {
        self.postgres.execute(&[&format!("ALTER SYSTEM SET {setting}"), "SELECT pg_reload_conf()"]);
    }

    /// Wait until this many standbys get what it writes.
    pub fn is_followed_by(&self, count: i64) {
        let began = Instant::now();
        let select = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        let following = || {
            let counted = self
                .postgres
                .with(async |connection| sqlx::query_scalar::<_, i64>(select).fetch_one(connection).await);
            counted.unwrap()
        };
        while following() < count {
            assert!(began.elapsed() < PATIENCE, "the standby does not follow");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A directory that the database's user can pass through.
fn directory(scratch: &Scratch, name: &str) -> PathBuf {
    let directory = scratch.path().join(name);
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    directory
}

/// One of PostgreSQL's programs: in `PG_BIN_DIR`, where Debian has the newest, or wherever `PATH` has it.
fn program(name: &str) -> PathBuf {
    if let Some(directory) = std::env::var_os("PG_BIN_DIR") {
        return Path::new(&directory).join(name);
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let programs = versions.map(|version| version.path().join("bin").join(name));
    programs.filter(|program| program.is_file()).max().unwrap_or_else(|| name.into())
}
