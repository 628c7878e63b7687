//! Which PostgreSQL: one server, several of which one takes writes, and standbys to read from.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{anyhow, bail};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::{Source, seconds};
use crate::db::embedded::EmbeddedSettings;
use crate::db::{Hosts, Location};

const PREFIX: &str = "AUTHENTIK_POSTGRESQL__";
const HOST: &str = "AUTHENTIK_POSTGRESQL__HOST";
const PORT: &str = "AUTHENTIK_POSTGRESQL__PORT";
/// The standbys that can be named: `…__0__HOST` to `…__15__HOST`.
const REPLICAS: usize = 16;
const PORTS: &str = "a port number, or one for each host with commas between";
const SSL_MODES: &str = "disable, allow, prefer, require, verify-ca or verify-full";

/// The standbys that reads go to.
#[derive(Clone)]
pub struct ReadReplicas {
    /// How each is opened.
    pub servers: Vec<PgConnectOptions>,
    /// How far behind they may be.
    pub lag: Duration,
}

/// Where the database is, and the standbys that reads go to.
///
/// # Errors
/// As [`super::Settings::from_env`].
pub(super) fn read(source: &Source<'_>) -> anyhow::Result<(Location, ReadReplicas)> {
    let servers = match source.given("DATABASE_URL")? {
        Some(url) => by_url(&url)?,
        None => by_parts(source)?,
    };
    let mut servers = servers.into_iter();
    let first = servers.next();
    let replicas = ReadReplicas {
        servers: replicas(source, first.as_ref())?,
        lag: source.parse(
            "AUTHENTIK_STAGES__REPLICA_LAG",
            "a duration such as seconds=5, from seconds=1 to minutes=5",
            |text| seconds(text, 300).filter(|lag| *lag >= Duration::from_secs(1)),
        )?,
    };
    let Some(first) = first else {
        let embedded = EmbeddedSettings {
            data_dir: source.given("DATA_DIR")?.map(PathBuf::from),
            programs: source.given("PG_BIN_DIR")?.map(PathBuf::from),
        };
        return Ok((Location::Embedded(embedded), replicas));
    };
    Ok((Location::External(Hosts::new(first, servers.collect())), replicas))
}

/// The servers that a URL names. Several have commas between, as libpq takes them, and `target_session_attrs` says what it
/// has to say of several.
fn by_url(url: &str) -> anyhow::Result<Vec<PgConnectOptions>> {
    // The parser's own error would print the URL, password included.
    let wrong = || anyhow!("DATABASE_URL: must be a URL such as postgres://user:password@host/name");
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    if !matches!(scheme, "postgres" | "postgresql") {
        return Err(wrong());
    }
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
    let at = if authority.len() == hosts.len() { "" } else { "@" };
    let tail = without_target(tail)?;
    let servers = hosts.split(',').map(|host| {
        let url = format!("{scheme}://{user}{at}{host}{tail}");
        PgConnectOptions::from_str(&url).map_err(|_| wrong())
    });
    servers.collect()
}

/// What follows the hosts, without a `target_session_attrs` that asks for what is looked for anyway.
fn without_target(tail: &str) -> anyhow::Result<String> {
    let Some((path, query)) = tail.split_once('?') else { return Ok(tail.to_owned()) };
    let mut kept = Vec::new();
    for parameter in query.split('&') {
        match parameter.strip_prefix("target_session_attrs=") {
            None => kept.push(parameter),
            Some("read-write" | "primary") => {}
            Some(_) => bail!("DATABASE_URL: must have read-write or primary as its target_session_attrs"),
        }
    }
    Ok(if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) })
}

/// The servers that authentik's settings name; none where they name no host.
fn by_parts(source: &Source<'_>) -> anyhow::Result<Vec<PgConnectOptions>> {
    let Some(hosts) = source.given(HOST)? else { return Ok(Vec::new()) };
    let hosts: Vec<_> = hosts.split(',').map(str::trim).collect();
    if hosts.iter().any(|host| host.is_empty()) {
        bail!("{HOST}: must be a host, or several with commas between");
    }
    let ports: Vec<u16> =
        source.parse(PORT, PORTS, |text| text.split(',').map(|port| port.trim().parse().ok()).collect())?;
    if ports.len() != 1 && ports.len() != hosts.len() {
        bail!("{PORT}: must be {PORTS}");
    }
    let options = opened(PgConnectOptions::new_without_pgpass(), source, PREFIX)?;
    let servers = hosts.iter().zip(ports.iter().cycle());
    Ok(servers.map(|(host, port)| options.clone().host(host).port(*port)).collect())
}

/// The standbys. What isn't said of one is as it is with the primary.
fn replicas(
    source: &Source<'_>,
    primary: Option<&PgConnectOptions>,
) -> anyhow::Result<Vec<PgConnectOptions>> {
    let mut replicas = Vec::new();
    for number in 0..REPLICAS {
        let prefix = format!("{PREFIX}READ_REPLICAS__{number}__");
        let host_name = format!("{prefix}HOST");
        let Some(host) = source.given(&host_name)? else { continue };
        let Some(primary) = primary else {
            bail!("{host_name}: must be unset, since the embedded PostgreSQL has no standbys");
        };
        if primary.get_socket().is_some() {
            bail!("{host_name}: must be unset where DATABASE_URL names a socket; {HOST} may name one");
        }
        let mut options = opened(primary.clone().host(&host), source, &prefix)?;
        let port_name = format!("{prefix}PORT");
        if let Some(port) = source.given(&port_name)? {
            options = options.port(port.parse().map_err(|_| anyhow!("{port_name}: must be a port number"))?);
        }
        replicas.push(options);
    }
    Ok(replicas)
}

/// The options with what the settings of this prefix say beside host and port, or have as their default.
fn opened(
    mut options: PgConnectOptions,
    source: &Source<'_>,
    prefix: &str,
) -> anyhow::Result<PgConnectOptions> {
    let said = |setting: &str| {
        let name = format!("{prefix}{setting}");
        anyhow::Ok(match source.given(&name)? {
            None => Some(source.text(&name)?).filter(|default| !default.is_empty()),
            given => given,
        })
    };
    if let Some(user) = said("USER")? {
        options = options.username(&user);
    }
    if let Some(password) = said("PASSWORD")? {
        options = options.password(&password);
    }
    if let Some(database) = said("NAME")? {
        options = options.database(&database);
    }
    if let Some(mode) = said("SSLMODE")? {
        let mode = PgSslMode::from_str(&mode);
        options = options.ssl_mode(mode.map_err(|_| anyhow!("{prefix}SSLMODE: must be {SSL_MODES}"))?);
    }
    if let Some(file) = said("SSLROOTCERT")? {
        options = options.ssl_root_cert(file);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::Settings;
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> anyhow::Result<Settings> {
        Settings::read(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    /// Host, port, user and database.
    fn shown(options: &PgConnectOptions) -> String {
        let database = options.get_database().unwrap_or_default();
        format!("{}:{}/{}@{database}", options.get_host(), options.get_port(), options.get_username())
    }

    #[rstest]
    #[case("postgres://u:p@a/n", &["a:5432/u@n"])]
    #[case("postgres://u:p@a:1,b:2/n?sslmode=require", &["a:1/u@n", "b:2/u@n"])]
    #[case("postgresql://u@a,b,c/n?target_session_attrs=read-write", &["a:5432/u@n", "b:5432/u@n", "c:5432/u@n"])]
    #[case("postgres://u@a,[::1]:7/n?target_session_attrs=primary&sslmode=disable", &["a:5432/u@n", "[::1]:7/u@n"])]
    #[case("postgres://u:p%40,q@a,b/n", &["a:5432/u@n", "b:5432/u@n"])]
    fn a_url_names_one_server_or_several(#[case] url: &str, #[case] expected: &[&str]) {
        let servers: Vec<_> = by_url(url).unwrap().iter().map(shown).collect();
        assert_eq!(servers, expected);
    }

    #[rstest]
    #[case("mysql://u:secret@a/n")]
    #[case("postgres://u:secret@a:port/n")]
    #[case("postgres://u:secret@a,b:port/n")]
    #[case("postgres://u:secret@a,b/n?target_session_attrs=standby")]
    fn a_wrong_url_is_not_repeated(#[case] url: &str) {
        let error = by_url(url).unwrap_err().to_string();
        assert!(error.starts_with("DATABASE_URL: must ") && !error.contains("secret"), "{error}");
    }

    #[rstest]
    #[case("a", "6432", &["a:6432/authentik@authentik"])]
    #[case("a, b", "6432", &["a:6432/authentik@authentik", "b:6432/authentik@authentik"])]
    #[case("a,b", "1,2", &["a:1/authentik@authentik", "b:2/authentik@authentik"])]
    fn a_host_is_one_server_or_several(#[case] hosts: &str, #[case] ports: &str, #[case] expected: &[&str]) {
        let pairs = [(HOST, hosts), (PORT, ports)];
        let variable =
            |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let servers: Vec<_> = by_parts(&Source(&variable)).unwrap().iter().map(shown).collect();
        assert_eq!(servers, expected);
    }

    #[rstest]
    #[case(&[(HOST, "a,,b")], HOST)]
    #[case(&[(HOST, "a,b"), (PORT, "1,2,3")], PORT)]
    #[case(&[(HOST, "a"), (PORT, "many")], PORT)]
    #[case(
        &[(HOST, "a"), ("AUTHENTIK_POSTGRESQL__READ_REPLICAS__3__HOST", "b"),
          ("AUTHENTIK_POSTGRESQL__READ_REPLICAS__3__PORT", "many")],
        "AUTHENTIK_POSTGRESQL__READ_REPLICAS__3__PORT"
    )]
    #[case(
        &[(HOST, "a"), ("AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__HOST", "b"),
          ("AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__SSLMODE", "perhaps")],
        "AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__SSLMODE"
    )]
    #[case(
        &[("AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__HOST", "b")],
        "AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__HOST"
    )]
    fn what_cannot_be_is_told_by_name(#[case] pairs: &[(&str, &str)], #[case] name: &str) {
        let error = read(pairs).err().unwrap().to_string();
        assert!(error.starts_with(&format!("{name}: must be ")), "{error}");
    }

    #[test]
    fn what_is_not_said_of_a_replica_is_as_with_the_primary() {
        let settings = read(&[
            ("DATABASE_URL", "postgres://u:p@a:1/n"),
            ("AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__HOST", "b"),
            ("AUTHENTIK_POSTGRESQL__READ_REPLICAS__2__HOST", "c"),
            ("AUTHENTIK_POSTGRESQL__READ_REPLICAS__2__PORT", "2"),
            ("AUTHENTIK_POSTGRESQL__READ_REPLICAS__2__USER", "reader"),
            ("AUTHENTIK_POSTGRESQL__READ_REPLICAS__2__NAME", "copy"),
        ]);
        let replicas: Vec<_> = settings.unwrap().replicas.servers.iter().map(shown).collect();
        assert_eq!(replicas, ["b:1/u@n", "c:2/reader@copy"]);
    }
}
