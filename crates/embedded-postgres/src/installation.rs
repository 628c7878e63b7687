//! The PostgreSQL programs on this machine.

use std::cmp::Reverse;
use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::Durability;
use crate::directory::SUPERUSER;
use crate::process::RunAs;

const OLDEST_SUPPORTED: u32 = 14;
const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_ctl"];

const NONE_FOUND: &str = "\
DATABASE_URL is not set and no PostgreSQL (14 or later) was found on this machine.
  Debian, Ubuntu:  sudo apt-get install -y postgresql
  Fedora:          sudo dnf install -y postgresql-server
  macOS:           brew install postgresql@17
  or point at a server:  DATABASE_URL=postgres://user:password@host/db";

/// A directory that holds `postgres`, `initdb` and `pg_ctl`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Installation {
    major: u32,
    bin: PathBuf,
}

impl Installation {
    /// The installation that can run the cluster in `data`: the one of the version that made it or, while
    /// there is no cluster, the newest.
    ///
    /// # Errors
    /// None is installed; the message says what to install.
    pub(crate) fn select(data: &Path, user: RunAs) -> Result<Self> {
        let mut found = installations(user);
        let position = match cluster_major(data)? {
            None => found.iter().position(|one| one.major >= OLDEST_SUPPORTED).with_context(none_found)?,
            Some(major) => found.iter().position(|one| one.major == major).with_context(|| {
                let versions: Vec<_> = found.iter().map(|one| one.major).collect();
                format!(
                    "{} was made by PostgreSQL {major}, which is not installed (found: {versions:?}). \
                     Install postgresql-{major}, or dump and restore, or set DATABASE_URL.",
                    data.display()
                )
            })?,
        };
        Ok(found.swap_remove(position))
    }

    /// The major version, as in `PG_VERSION`.
    pub(crate) fn major(&self) -> u32 {
        self.major
    }

    /// The path of one of [`PROGRAMS`].
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// Makes the cluster `data` unless it is there. `initdb` works in a directory beside it, which is
    /// renamed at the end: an interrupted one is never taken for a cluster.
    ///
    /// Trusting every connection is safe: there is no way in but a socket in a directory that only the
    /// database user can enter.
    ///
    /// # Errors
    /// `initdb` fails, with what it printed.
    pub(crate) fn create_cluster(&self, data: &Path, user: RunAs, durability: Durability) -> Result<()> {
        if cluster_major(data)?.is_some() {
            return Ok(());
        }
        let unfinished = data.with_extension("new");
        remove_tree(&unfinished)?;
        user.private_dir(&unfinished)?;
        let mut initdb = user.command(self.program("initdb"));
        initdb.arg("-D").arg(&unfinished);
        initdb.args(["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-instructions"]);
        initdb.args(self.locale());
        if durability == Durability::None {
            initdb.arg("--no-sync");
        }
        tracing::info!(dir = %data.display(), version = self.major, "creating the database");
        let output = initdb.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
        check_initdb(&output.context("cannot run initdb")?)?;
        fs::rename(&unfinished, data)
            .with_context(|| format!("cannot rename {} to {}", unfinished.display(), data.display()))?;
        sync_parent(data)
    }

    /// Characters of all languages, compared by code point.
    fn locale(&self) -> &'static [&'static str] {
        if self.major >= 17 {
            &["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        } else if cfg!(target_os = "macos") {
            &["--locale=en_US.UTF-8"] // has no C.UTF-8
        } else {
            &["--locale=C.UTF-8"]
        }
    }
}

fn none_found() -> String {
    match env::var_os("PG_BIN_DIR") {
        None => NONE_FOUND.to_owned(),
        Some(dir) => format!(
            "PG_BIN_DIR is {}, where the database user can run no postgres, initdb and pg_ctl of version 14 \
             or later. Correct it, or set DATABASE_URL.",
            dir.display()
        ),
    }
}

/// The major version that made the cluster in `data`, or `None` if there is no cluster.
fn cluster_major(data: &Path) -> Result<Option<u32>> {
    let file = data.join("PG_VERSION");
    match fs::read_to_string(&file) {
        Ok(major) => Ok(Some(major.trim().parse().with_context(|| format!("in {}", file.display()))?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// The first installation found of each major version, newest first.
fn installations(user: RunAs) -> Vec<Installation> {
    let mut found: Vec<_> = candidates().into_iter().filter_map(|bin| probe(bin, user)).collect();
    found.sort_by_key(|one| Reverse(one.major));
    found.dedup_by_key(|one| one.major);
    found
}

/// Where PostgreSQL may be: only in the directory `PG_BIN_DIR` if that environment variable is set, else
/// in the places that packages use and on `PATH`.
fn candidates() -> Vec<PathBuf> {
    if let Some(dir) = env::var_os("PG_BIN_DIR") {
        return vec![dir.into()];
    }
    let mut dirs = Vec::new();
    for base in [
        "/usr/lib/postgresql",
        "/opt/homebrew/opt",
        "/usr/local/opt",
        "/Applications/Postgres.app/Contents/Versions",
    ] {
        dirs.extend(subdirectories(base, ""));
    }
    dirs.extend(subdirectories("/usr", "pgsql-"));
    dirs.push("/usr/local/pgsql".into());
    let mut bins: Vec<_> = dirs.into_iter().map(|dir| dir.join("bin")).collect();
    bins.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    bins
}

fn subdirectories(base: &str, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    let starts_with_prefix = |name: &OsStr| name.as_encoded_bytes().starts_with(prefix.as_bytes());
    entries.filter(|entry| starts_with_prefix(&entry.file_name())).map(|entry| entry.path()).collect()
}

/// The installation in `bin`, if `user` can run it.
fn probe(bin: PathBuf, user: RunAs) -> Option<Installation> {
    if !PROGRAMS.iter().all(|program| bin.join(program).is_file()) {
        return None;
    }
    let version = user.command(bin.join("postgres")).arg("--version").stdout(Stdio::piped()).output().ok()?;
    let major = parse_major(&String::from_utf8_lossy(&version.stdout))?;
    Some(Installation { major, bin })
}

/// `15` from `postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)`, `18` from `… 18beta1`.
fn parse_major(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("(PostgreSQL) ")?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn check_initdb(output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    let printed =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if printed.contains("could not look up effective user ID") {
        bail!(
            "PostgreSQL needs a user name, and this user id has none. Add it to /etc/passwd or set \
             DATABASE_URL.\n{printed}"
        );
    }
    bail!("initdb failed: {printed}");
}

fn remove_tree(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Makes the rename of `path` survive a power failure. Else the next start could find the old name, take
/// it for an unfinished cluster, and delete it with all that was committed.
fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().context("a data directory has a parent")?;
    File::open(parent)?.sync_all().with_context(|| format!("cannot sync {}", parent.display()))
}

#[cfg(test)]
mod tests {
    use super::parse_major;

    #[test]
    fn major_version_of_releases_and_betas() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(parse_major("initdb: command not found"), None);
    }
}
