//! The user PostgreSQL runs as, and the processes a killed predecessor left behind.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::OrCannot;
use crate::installation::Installation;
use crate::{Error, Result};

/// How long backends may outlive their postmaster; they notice its death within milliseconds unless they
/// are in the middle of a long computation.
const BACKENDS_END_WITHIN: Duration = Duration::from_secs(15);
/// How long a postmaster may outlive its `postmaster.pid`, which it removes last.
const POSTMASTER_ENDS_WITHIN: Duration = Duration::from_secs(5);

/// The user PostgreSQL runs as: we ourselves or, because PostgreSQL refuses root, an unprivileged account.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RunAs {
    Ourselves,
    Account { uid: u32, gid: u32 },
}

impl RunAs {
    /// Ourselves unless we are root. As root: whoever owns the cluster in `data`, else `postgres`, else
    /// `nobody`.
    ///
    /// # Errors
    /// We are root and there is no account to step down to.
    pub(crate) fn resolve(data: &Path) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Ourselves);
        }
        cluster_owner(data)
            .or_else(|| account("postgres"))
            .or_else(|| account("nobody"))
            .ok_or(Error::NoAccount)
    }

    pub(crate) fn uid(self) -> u32 {
        match self {
            Self::Ourselves => rustix::process::geteuid().as_raw(),
            Self::Account { uid, .. } => uid,
        }
    }

    /// A silent command that runs as this user, with no environment of ours, in its own process group: a
    /// Ctrl-C in the terminal reaches only the application, which then stops the database in order.
    pub(crate) fn command(self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
        command.process_group(0).current_dir("/");
        if let Self::Account { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Whether this user can reach `dir`, which exists.
    pub(crate) fn can_enter(self, dir: &Path) -> Result<bool> {
        self.shell_test(r#"test -x "$1""#, dir)
    }

    /// Makes `dir` a directory that only this user can enter. It may exist already and may lie in `/tmp`,
    /// where anybody can make one first: then it has to be a real directory of the right owner.
    pub(crate) fn private_dir(self, dir: &Path) -> Result<()> {
        if let Err(error) = DirBuilder::new().mode(0o700).create(dir)
            && error.kind() != ErrorKind::AlreadyExists
        {
            return Err(error).or_cannot(format_args!("create {}", dir.display()));
        }
        let found = fs::symlink_metadata(dir).or_cannot(format_args!("read {}", dir.display()))?;
        // Ours while the user is another: a start of ours died before its lchown.
        let owners = [self.uid(), Self::Ourselves.uid()];
        let closed_to_others = found.mode() & 0o777 == 0o700;
        if !found.is_dir() || !owners.contains(&found.uid()) || !closed_to_others {
            return Err(Error::NotPrivate { dir: dir.to_owned(), uid: self.uid() });
        }
        if let Self::Account { uid, gid } = self {
            lchown(dir, Some(uid), Some(gid))
                .or_cannot(format_args!("change the owner of {}", dir.display()))?;
        }
        Ok(())
    }

    /// Whether `script`, run by this user with `dir` as `$1`, exits with 0.
    fn shell_test(self, script: &str, dir: &Path) -> Result<bool> {
        let status = self.command("/bin/sh").args(["-c", script, "sh"]).arg(dir).status();
        Ok(status.or_cannot("run /bin/sh as the database user")?.success())
    }
}

/// How far a postmaster has come, by its `postmaster.pid`: what `pg_ctl start` goes by, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// It does not listen yet.
    Unknown,
    /// It listens, and turns everybody away until the data are consistent.
    Recovering,
    /// It accepts connections.
    Open,
}

impl Progress {
    pub(crate) fn of(postmaster: &Child, data: &Path) -> Self {
        // Half-written or not there yet: soon there will be more to read.
        let content = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        Self::in_pid_file(&content, postmaster.id())
    }

    /// The eighth line is the status, padded with blanks (PostgreSQL's `utils/pidfile.h`).
    fn in_pid_file(content: &str, pid: u32) -> Self {
        if first_line_pid(content) != Some(pid) {
            return Self::Unknown;
        }
        match content.lines().nth(7).map(str::trim) {
            Some("ready" | "standby") => Self::Open,
            Some("starting") => Self::Recovering,
            _ => Self::Unknown,
        }
    }
}

/// Who owns the cluster in `data`, if there is one and it can run PostgreSQL.
fn cluster_owner(data: &Path) -> Option<RunAs> {
    let found = fs::symlink_metadata(data).ok()?;
    (found.uid() != 0).then(|| RunAs::Account { uid: found.uid(), gid: found.gid() })
}

/// The account called `name` in `/etc/passwd` (`name:password:uid:gid:…`).
fn account(name: &str) -> Option<RunAs> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(RunAs::Account { uid, gid })
    })
}

/// Stops the postmaster that a killed predecessor of ours left running on `data`, waits for the backends
/// of a dead one, and removes a `postmaster.pid` that no longer means anything.
///
/// Needed because PostgreSQL itself refuses to start when the pid in that file has been reused (usual in
/// containers), and `pg_ctl stop` would then signal a stranger.
///
/// # Errors
/// The processes do not end in time.
pub(crate) fn clear_leftovers(data: &Path, installation: &Installation, user: RunAs) -> Result<()> {
    let pid_file = data.join("postmaster.pid");
    let Ok(content) = fs::read_to_string(&pid_file) else {
        return Ok(());
    };
    if let Some(pid) = first_line_pid(&content)
        && is_postmaster(pid, data)
    {
        tracing::info!(pid, "stopping the database of a killed process");
        let mut stop = user.command(installation.program("pg_ctl"));
        stop.arg("stop")
            .arg("-D")
            .arg(data)
            .args(["-m", "fast", "-w", "-t", "60"])
            .status()
            .or_cannot("run pg_ctl")?;
        // Its exit status says little: it also fails when the watchdog was faster. And it returns as soon as
        // `postmaster.pid` is gone, shortly before the process is.
        let started = Instant::now();
        while is_postmaster(pid, data) {
            if started.elapsed() > POSTMASTER_ENDS_WITHIN {
                return Err(Error::DoesNotEnd { pid });
            }
            sleep(Duration::from_millis(20));
        }
    }
    if !proc_is_mounted() {
        // Without it we cannot see the backends of a dead postmaster. PostgreSQL can, through the shared
        // memory segment named in the file, so leave the file to its own check.
        return Ok(());
    }
    wait_for_backends(data, user)?;
    match fs::remove_file(&pid_file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).or_cannot(format_args!("remove {}", pid_file.display()))
        }
        _ => Ok(()),
    }
}

fn first_line_pid(content: &str) -> Option<u32> {
    content.lines().next()?.trim().parse().ok()
}

fn proc_is_mounted() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// Whether `pid` is a living postmaster of `data`, and neither a zombie nor a stranger with a reused pid.
fn is_postmaster(pid: u32, data: &Path) -> bool {
    if proc_is_mounted() { is_postmaster_in_proc(pid, data) } else { is_postmaster_in_ps(pid, data) }
}

fn is_postmaster_in_proc(pid: u32, data: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    // `pid (command) state …`; the command may hold parentheses itself.
    let stat = fs::read(process.join("stat")).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    let alive = stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']));
    let command_line = fs::read(process.join("cmdline")).unwrap_or_default();
    let mut arguments = command_line.split(|&byte| byte == 0);
    let is_postgres = arguments.next().is_some_and(|program| program.ends_with(b"postgres"));
    alive && is_postgres && arguments.any(|argument| argument == data.as_os_str().as_bytes())
}

fn is_postmaster_in_ps(pid: u32, data: &Path) -> bool {
    let ps = Command::new("ps").args(["-o", "stat=", "-o", "command=", "-p", &pid.to_string()]).output();
    ps.is_ok_and(|ps| {
        let line = String::from_utf8_lossy(&ps.stdout);
        let line = line.trim();
        !line.starts_with('Z') && line.contains("postgres") && line.contains(&*data.to_string_lossy())
    })
}

fn wait_for_backends(data: &Path, user: RunAs) -> Result<()> {
    let started = Instant::now();
    while backends_alive(data, user)? {
        if started.elapsed() > BACKENDS_END_WITHIN {
            return Err(Error::Leftovers { data: data.to_owned() });
        }
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Whether any process works in `data`, as all of PostgreSQL's do. The database user looks, not we: in a
/// container even root may not see where the processes of others work.
fn backends_alive(data: &Path, user: RunAs) -> Result<bool> {
    let script = r#"for cwd in /proc/[0-9]*/cwd; do [ "$cwd" -ef "$1" ] && exit 0; done; exit 1"#;
    user.shell_test(script, data)
}

#[cfg(test)]
mod tests {
    use super::Progress;

    #[test]
    fn progress_is_read_from_the_status_line_of_our_own_postmaster() {
        let file =
            |status: &str| format!("42\n/data\n1700000000\n5432\n/run\n\n  7340033         3\n{status}");
        assert_eq!(Progress::in_pid_file(&file("ready   \n"), 42), Progress::Open);
        assert_eq!(Progress::in_pid_file(&file("standby \n"), 42), Progress::Open);
        assert_eq!(Progress::in_pid_file(&file("starting\n"), 42), Progress::Recovering);
        assert_eq!(Progress::in_pid_file(&file("stopping\n"), 42), Progress::Unknown);
        assert_eq!(Progress::in_pid_file(&file(""), 42), Progress::Unknown);
        assert_eq!(Progress::in_pid_file(&file("ready   \n"), 4), Progress::Unknown);
        assert_eq!(Progress::in_pid_file("", 42), Progress::Unknown);
    }
}
