//! The PostgreSQL of the test, on a disk that can be filled.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::postgres::{Postgres, SMALL, Scratch};

const PREFIX: &str = "ak-stages-chaos-";
/// Of the file system that can be filled.
const SIZE: &str = "size=512m";
const MAX_CONNECTIONS: usize = 45;

/// A running PostgreSQL, on a small file system of its own where that can be had.
pub struct Database {
    postgres: Postgres,
    /// Whether the disk can be filled.
    pub is_small: bool,
    scratch: Scratch,
}

impl Database {
    /// Start one.
    pub fn start() -> Self {
        let scratch = Scratch::new(PREFIX);
        let small = scratch.path().join(SMALL);
        fs::create_dir(&small).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(&small).output();
        let is_small = mount.is_ok_and(|mount| mount.status.success());
        fs::set_permissions(&small, Permissions::from_mode(0o755)).unwrap();
        let connections = format!("max_connections={MAX_CONNECTIONS}");
        let settings = ["max_wal_size=64MB", "min_wal_size=32MB", &connections];
        Self { postgres: Postgres::start(Postgres::options(&small, &settings)), is_small, scratch }
    }

    /// A directory that is removed with it.
    pub fn directory(&self) -> &Path {
        self.scratch.path()
    }

    /// Take every connection that there is, those of the servers too, for so long.
    pub fn take_all_connections(&self, time: Duration) {
        self.take_connections(MAX_CONNECTIONS, time);
    }

    /// Leave no space on its disk for so long.
    pub fn fill_disk(&self, time: Duration) {
        let path = self.directory().join(SMALL).join("filling");
        let (mut file, until) = (File::create(&path).unwrap(), Instant::now() + time);
        let mut piece = 4 * 1024 * 1024;
        while Instant::now() < until {
            if file.write_all(&vec![0; piece]).is_err() {
                piece = 4096;
                std::thread::sleep(Duration::from_millis(5)); // what is given back meanwhile is taken, too
            }
        }
        drop(file);
        fs::remove_file(path).unwrap();
    }
}

impl Deref for Database {
    type Target = Postgres;
    fn deref(&self) -> &Postgres {
        &self.postgres
    }
}

impl DerefMut for Database {
    fn deref_mut(&mut self) -> &mut Postgres {
        &mut self.postgres
    }
}
