//! What lies where in the database's directory, and who may enter it.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::geteuid;
use sha2::{Digest, Sha256};

use crate::error::OrCannot;
use crate::process::RunAs;
use crate::{Address, Error, Options, Result};

pub(crate) const PORT: u16 = 5432;
/// A socket's path may have 104 bytes (Linux: 108); `/.s.PGSQL.5432` and a NUL come behind the directory's.
const LONGEST_SOCKET_DIR: usize = 85;
const LOG_ROTATION_SIZE: u64 = 10 * 1024 * 1024;
const LOG_TAIL_LINES: usize = 12;

/// What lies where, see the README.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) root: PathBuf,
    pub(crate) socket_dir: PathBuf,
    user: String,
}

impl Directory {
    /// `root` must be absolute and without symbolic links: it identifies the database.
    pub(crate) fn at(root: PathBuf, options: &Options) -> Self {
        let mut socket_dir = root.join("run");
        if socket_dir.as_os_str().len() > LONGEST_SOCKET_DIR {
            let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
            let hash = u64::from_be_bytes(std::array::from_fn(|i| digest[i]));
            socket_dir = PathBuf::from(format!("/tmp/{}-pg-{hash:016x}", options.name));
        }
        Self { root, socket_dir, user: options.user.clone() }
    }

    /// Creates `root`. It stays ours even when PostgreSQL runs as another user, who then may pass through
    /// it: as root we must not open or rename files where somebody else can put symbolic links.
    pub(crate) fn create(options: &Options) -> Result<Self> {
        let root = &options.root;
        create_dirs(root).or_cannot(format_args!("create {}", root.display()))?;
        let resolved = fs::canonicalize(root).and_then(|root| Ok((fs::metadata(&root)?.uid(), root)));
        let (owner, root) = resolved.or_cannot(format_args!("read {}", root.display()))?;
        let us = geteuid();
        if owner != us.as_raw() {
            return Err(Error::OtherOwner { root, owner, uid: us.as_raw() });
        }
        let mode = if us.is_root() { 0o711 } else { 0o700 };
        fs::set_permissions(&root, Permissions::from_mode(mode))
            .or_cannot(format_args!("set the permissions of {}", root.display()))?;
        Ok(Self::at(root, options))
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("pgdata")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("server.log")
    }

    /// Takes the lock that makes us the only process on this directory, until the file is closed.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.root.join("lock");
        let mut lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .or_cannot(format_args!("open {}", path.display()))?;
        if let Err(error) = try_lock_patiently(&lock) {
            let TryLockError::WouldBlock = error else {
                return Err(error).or_cannot(format_args!("lock {}", path.display()));
            };
            let mut pid = String::new();
            lock.read_to_string(&mut pid).or_cannot(format_args!("read {}", path.display()))?;
            return Err(Error::InUse { root: self.root.clone(), pid });
        }
        lock.set_len(0)
            .and_then(|()| write!(lock, "{}", std::process::id()))
            .or_cannot(format_args!("write {}", path.display()))?;
        Ok(lock)
    }

    /// Makes sure that the database user can reach `root`, and has the socket directory.
    pub(crate) fn open_to(&self, user: RunAs) -> Result<()> {
        if !user.can_enter(&self.root)? {
            return Err(Error::OutOfReach { root: self.root.clone(), uid: user.uid() });
        }
        user.private_dir(&self.socket_dir)
    }

    /// Removes the socket and the socket lock that a killed postmaster leaves; the lock blocks the next one
    /// while its pid is reused or a zombie.
    pub(crate) fn clear_socket_dir(&self) -> Result<()> {
        let clear = || fs::read_dir(&self.socket_dir)?.try_for_each(|entry| fs::remove_file(entry?.path()));
        clear().or_cannot(format_args!("empty {}", self.socket_dir.display()))
    }

    pub(crate) fn rotate_log(&self) -> Result<()> {
        let log = self.log();
        if fs::metadata(&log).is_ok_and(|found| found.len() > LOG_ROTATION_SIZE) {
            fs::rename(&log, log.with_extension("log.old"))
                .or_cannot(format_args!("rename {}", log.display()))?;
        }
        Ok(())
    }

    pub(crate) fn address(&self) -> Address {
        Address {
            socket_dir: self.socket_dir.clone(),
            port: PORT,
            user: self.user.clone(),
            database: "postgres",
        }
    }
}

/// Somebody else may have the lock for an instant: the watchdog of a process that just died, a tool that
/// asks whether it is [`running`](crate::running), a child of ours between its fork and its exec.
fn try_lock_patiently(lock: &File) -> Result<(), TryLockError> {
    for _ in 0..50 {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            outcome => return outcome,
        }
    }
    lock.try_lock()
}

/// As [`fs::create_dir_all`], but what root creates can be passed through by the database user, whatever
/// root's umask.
fn create_dirs(dir: &Path) -> std::io::Result<()> {
    if !geteuid().is_root() {
        return fs::create_dir_all(dir);
    }
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        create_dirs(parent)?;
    }
    fs::create_dir(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(0o755))
}

/// The last lines of a log that may be long and need not be UTF-8.
pub(crate) fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(8 * 1024)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let end = String::from_utf8_lossy(&end);
    let lines: Vec<_> = end.lines().collect();
    Ok(lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n"))
}
