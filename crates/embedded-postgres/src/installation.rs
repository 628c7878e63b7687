//! The PostgreSQL programs on this machine.

use std::cmp::Reverse;
use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use crate::error::OrCannot;
use crate::process::RunAs;
use crate::{Durability, Error, Options, Result};

/// The first whose `initdb` knows `--no-instructions`.
pub(crate) const OLDEST_SUPPORTED: u32 = 14;
const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_ctl"];

/// A directory that holds `postgres`, `initdb` and `pg_ctl`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Installation {
    major: u32,
    bin: PathBuf,
}

impl Installation {
    /// The installation, in `programs` or else anywhere, that can run the cluster in `data`: the one of the
    /// version that made it or, while there is no cluster, the newest.
    ///
    /// # Errors
    /// None is installed; the message says what to install.
    pub(crate) fn select(programs: Option<&Path>, data: &Path, user: RunAs) -> Result<Self> {
        let mut found = installations(programs, user);
        let position = match cluster_major(data)? {
            None => {
                found.iter().position(|one| one.major >= OLDEST_SUPPORTED).ok_or_else(|| match programs {
                    None => Error::NotInstalled,
                    Some(programs) => Error::NoPrograms { programs: programs.to_owned() },
                })
            }
            Some(major) => {
                found.iter().position(|one| one.major == major).ok_or_else(|| Error::OtherVersion {
                    data: data.to_owned(),
                    major,
                    found: found.iter().map(|one| one.major).collect(),
                })
            }
        };
        Ok(found.swap_remove(position?))
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
    pub(crate) fn create_cluster(&self, data: &Path, user: RunAs, options: &Options) -> Result<()> {
        if cluster_major(data)?.is_some() {
            return Ok(());
        }
        let unfinished = data.with_extension("new");
        remove_tree(&unfinished)?;
        user.private_dir(&unfinished)?;
        let mut initdb = user.command(self.program("initdb"));
        initdb.arg("-D").arg(&unfinished);
        initdb.args(["-U", &options.user, "-A", "trust", "-E", "UTF8", "--no-instructions"]);
        initdb.args(self.locale());
        if options.durability == Durability::None {
            initdb.arg("--no-sync");
        }
        tracing::info!(dir = %data.display(), version = self.major, "creating the database");
        let output = initdb.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
        check_initdb(&output.or_cannot("run initdb")?)?;
        fs::rename(&unfinished, data).or_cannot(format_args!(
            "rename {} to {}",
            unfinished.display(),
            data.display()
        ))?;
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

/// The major version that made the cluster in `data`, or `None` if there is no cluster.
fn cluster_major(data: &Path) -> Result<Option<u32>> {
    let file = data.join("PG_VERSION");
    let major = match fs::read_to_string(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.and_then(|text| {
            text.trim().parse().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
        }),
    };
    major.map(Some).or_cannot(format_args!("read {}", file.display()))
}

/// The first installation found of each major version, newest first.
fn installations(programs: Option<&Path>, user: RunAs) -> Vec<Installation> {
    let candidates = programs.map_or_else(usual_places, |dir| vec![dir.to_owned()]);
    let mut found: Vec<_> = candidates.into_iter().filter_map(|bin| probe(&bin, user)).collect();
    found.sort_by_key(|one| Reverse(one.major));
    found.dedup_by_key(|one| one.major);
    found
}

/// Where packages put PostgreSQL, and `PATH`.
fn usual_places() -> Vec<PathBuf> {
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
fn probe(bin: &Path, user: RunAs) -> Option<Installation> {
    // Programs are started in another directory.
    let bin = std::path::absolute(bin).ok()?;
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
    Err(if printed.contains("could not look up effective user ID") {
        Error::NoUserName { output: printed }
    } else {
        Error::Initdb { output: printed }
    })
}

fn remove_tree(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).or_cannot(format_args!("remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Makes the rename of `path` survive a power failure. Else the next start could find the old name, take
/// it for an unfinished cluster, and delete it with all that was committed.
fn sync_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .or_cannot(format_args!("sync {}", parent.display()))
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
