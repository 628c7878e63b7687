//! Settings: read from the environment once, checked once. [`SETTINGS`] is the table that the README prints.

mod mail;
mod postgresql;
mod secret_key;
mod smtp;
mod source;
mod table;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use chrono::Duration;
use drf::permission::Model;
use ipnet::IpNet;

use crate::contract::Release;
use crate::contract::duration::parse_timedelta;
use crate::db::bootstrap::FirstUser;
use crate::db::{self, Limits, Location, Needs};
use crate::telemetry::LogFormat;

pub use mail::{Locale, MailSettings, PublicUrl};
pub use postgresql::ReadReplicas;
pub use secret_key::SecretKey;
pub use smtp::{Encryption, Hosts, Login, SmtpServer, TokenClient};
use source::Source;
pub use table::{SETTINGS, Setting};
use values::{UP_TO_1000, collector, log_format, rate, seconds, up_to_1000};

/// What a setting of bytes may be at most: 4 GiB, less one.
const MOST_BYTES: usize = u32::MAX as usize;

/// What `flow_set` in a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowSetMode {
    /// Flows are created and bound.
    Apply,
    /// Nothing.
    Ignore,
}

/// What becomes of expired invitations on our own database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiredMode {
    /// They are deleted.
    Delete,
    /// They stay.
    Keep,
}

/// So many requests within so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub requests: u32,
    /// How long.
    pub period: std::time::Duration,
}

/// Where to serve with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secure {
    /// Address and port.
    pub listen: SocketAddr,
    /// File with the certificate.
    pub certificate: PathBuf,
    /// File with its key.
    pub key: PathBuf,
}

/// All settings, checked.
#[derive(Clone)]
pub struct Settings {
    /// Which PostgreSQL.
    pub database: Location,
    /// Standbys of it that reads go to.
    pub replicas: ReadReplicas,
    /// Connections at most.
    pub pool_size: u16,
    /// How long a request waits for a lock.
    pub lock_timeout: std::time::Duration,
    /// How long connections are taken after SIGTERM.
    pub drain: std::time::Duration,
    /// Bytes of answers to remember.
    pub answer_cache: u64,
    /// Connections of clients at most.
    pub connections: usize,
    /// Connections from one address at most.
    pub connections_per_address: usize,
    /// Bytes of a request's head at most.
    pub head: usize,
    /// How long a client may do nothing where it is its turn.
    pub stall: std::time::Duration,
    /// Bytes of all bodies at most.
    pub bodies: usize,
    /// Bytes that a request may take for its rows and its answer.
    pub answer: usize,
    /// Bytes of all large answers at most.
    pub answers: usize,
    /// Entries of a `flow_set` at most.
    pub flow_set_entries: usize,
    /// Terms of a search at most.
    pub search_terms: usize,
    /// Whether a pooler hands out server connections by the transaction.
    pub pgbouncer: bool,
    /// Where to serve.
    pub listen: SocketAddr,
    /// Where to serve with TLS.
    pub secure: Option<Secure>,
    /// The networks of the proxies that may say who the client is.
    pub trusted_proxies: Vec<IpNet>,
    /// Where Prometheus fetches metrics.
    pub listen_metrics: SocketAddr,
    /// Whether that address was named: then it has to be free.
    pub wants_metrics: bool,
    /// How a line of the log looks; by whether it goes to a terminal, if that isn't said.
    pub log_format: Option<LogFormat>,
    /// The collector of traces, if there is one.
    pub traces: Option<String>,
    /// How often an address may ask without credentials.
    pub throttle: Rate,
    /// As `tracing` spells it.
    pub log_level: tracing::Level,
    /// The first user of our own database.
    pub first_user: FirstUser,
    /// What authentik signs sessions with, if they are taken.
    pub secret_key: Option<SecretKey>,
    /// Custom email templates.
    pub template_dir: PathBuf,
    /// What `flow_set` in a request does.
    pub flow_set: FlowSetMode,
    /// Whether there is the console; unset, that is for the database to say.
    pub console: Option<bool>,
    /// What becomes of expired invitations on our own database.
    pub expired: ExpiredMode,
    /// Whose enumerations and templates hold on our own database.
    pub release: Release,
    /// Life of invitations and tokens without an expiry.
    pub default_token_duration: Duration,
    /// Whether nobody gives what they don't hold, or names what they don't see. authentik isn't strict.
    pub strict: bool,
    /// Mail.
    pub mail: MailSettings,
}

impl Settings {
    /// Read the environment.
    ///
    /// # Errors
    /// One line that names the variable and what it has to be. Values stay out of it: they may be secrets.
    pub fn from_env() -> anyhow::Result<Self> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Read from anywhere; an empty value counts as unset.
    ///
    /// # Errors
    /// As [`Self::from_env`].
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let source = Source(&variable);
        let (database, replicas) = postgresql::read(&source)?;
        Ok(Self {
            database,
            replicas,
            pool_size: source.parse("AUTHENTIK_STAGES__POOL_SIZE", UP_TO_1000, up_to_1000)?,
            lock_timeout: source.parse(
                "AUTHENTIK_STAGES__LOCK_TIMEOUT",
                "a duration such as seconds=3, at most seconds=30",
                |text| seconds(text, 30).filter(|limit| !limit.is_zero()),
            )?,
            drain: source.parse(
                "AUTHENTIK_STAGES__DRAIN",
                "a duration such as seconds=1, at most minutes=5",
                |text| seconds(text, 300),
            )?,
            answer_cache: source
                .parse("AUTHENTIK_STAGES__ANSWER_CACHE", "a number of bytes", |text| text.parse().ok())?,
            connections: source.number("AUTHENTIK_STAGES__CONNECTIONS", 1, 1_000_000)?,
            connections_per_address: source.number(
                "AUTHENTIK_STAGES__CONNECTIONS_PER_ADDRESS",
                1,
                1_000_000,
            )?,
            head: source.number("AUTHENTIK_STAGES__HEAD", 8192, 1 << 20)?,
            stall: source.parse(
                "AUTHENTIK_STAGES__STALL",
                "a duration such as seconds=10, from seconds=1 to minutes=5",
                |text| seconds(text, 300).filter(|limit| *limit >= std::time::Duration::from_secs(1)),
            )?,
            bodies: source.number("AUTHENTIK_STAGES__BODIES", 2_621_440, MOST_BYTES)?,
            answer: source.number("AUTHENTIK_STAGES__ANSWER", 65_536, MOST_BYTES)?,
            answers: source.number("AUTHENTIK_STAGES__ANSWERS", 65_536, MOST_BYTES)?,
            flow_set_entries: source.number("AUTHENTIK_STAGES__FLOW_SET_ENTRIES", 1, 100_000)?,
            search_terms: source.parse("AUTHENTIK_STAGES__SEARCH_TERMS", UP_TO_1000, up_to_1000)?.into(),
            pgbouncer: source.boolean("AUTHENTIK_POSTGRESQL__USE_PGBOUNCER")?,
            listen: source.address("AUTHENTIK_LISTEN__HTTP")?,
            listen_metrics: source.address("AUTHENTIK_LISTEN__METRICS")?,
            wants_metrics: source.given("AUTHENTIK_LISTEN__METRICS")?.is_some(),
            log_format: source.parse("AUTHENTIK_STAGES__LOG_FORMAT", "pretty or json", log_format)?,
            traces: source.parse(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "a URL such as http://127.0.0.1:4318",
                collector,
            )?,
            secure: secure(&source)?,
            trusted_proxies: source.parse(
                "AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS",
                "networks with commas between, such as 10.0.0.0/8,::1/128",
                |text| text.split(',').map(|network| network.trim().parse().ok()).collect(),
            )?,
            throttle: source.parse(
                "AUTHENTIK_THROTTLE__DEFAULT",
                "a number of requests a period, such as 1000/second",
                rate,
            )?,
            log_level: source.parse(
                "AUTHENTIK_LOG_LEVEL",
                "trace, debug, info, warning or error",
                |text| match text.to_lowercase().as_str() {
                    "warning" => Some(tracing::Level::WARN),
                    other => tracing::Level::from_str(other).ok(),
                },
            )?,
            first_user: FirstUser {
                token: source.given("AUTHENTIK_BOOTSTRAP_TOKEN")?,
                email: source.text("AUTHENTIK_BOOTSTRAP_EMAIL")?,
            },
            secret_key: secret_key(&source)?,
            template_dir: source.text("AUTHENTIK_EMAIL__TEMPLATE_DIR")?.into(),
            flow_set: source.parse("AUTHENTIK_STAGES__FLOW_SET", "apply or ignore", |text| match text {
                "apply" => Some(FlowSetMode::Apply),
                "ignore" => Some(FlowSetMode::Ignore),
                _ => None,
            })?,
            console: match source.given("AUTHENTIK_STAGES__CONSOLE")? {
                Some(_) => Some(source.boolean("AUTHENTIK_STAGES__CONSOLE")?),
                None => None,
            },
            expired: source.parse("AUTHENTIK_STAGES__EXPIRED", "delete or keep", |text| match text {
                "delete" => Some(ExpiredMode::Delete),
                "keep" => Some(ExpiredMode::Keep),
                _ => None,
            })?,
            release: source.parse("AUTHENTIK_STAGES__RELEASE", "2025.12, 2026.2 or 2026.5", Release::of)?,
            default_token_duration: source.parse(
                "AUTHENTIK_STAGES__DEFAULT_TOKEN_DURATION",
                "a duration such as hours=3;minutes=1",
                parse_timedelta,
            )?,
            strict: source.boolean("AUTHENTIK_STAGES__STRICT")?,
            mail: MailSettings::read(&source)?,
        })
    }

    /// How the database is opened; `permissions` are those that there are in one of our own, `searched` the texts
    /// there that searches look through, `needs` what has to be there in authentik's.
    pub fn database_options(
        &self,
        permissions: Vec<(Model, String)>,
        searched: Vec<db::search::Indexed>,
        needs: Needs,
    ) -> db::Options {
        db::Options {
            pool_size: self.pool_size.into(),
            pgbouncer: self.pgbouncer,
            limits: Limits { lock: self.lock_timeout },
            replicas: self.replicas.servers.clone(),
            replica_lag: self.replicas.lag,
            release: self.release,
            permissions,
            searched,
            needs,
        }
    }

    /// Whether `/` is the console. Beside authentik it is authentik's, unless somebody says so.
    pub fn has_console(&self, is_attached: bool) -> bool {
        self.console.unwrap_or(!is_attached)
    }

    /// Whether `flow_set` in a request is taken.
    pub fn flow_set_is_applied(&self) -> bool {
        self.flow_set == FlowSetMode::Apply
    }
}

/// A key that is empty, as a file or another variable may be, would let anybody sign.
fn secret_key(source: &Source<'_>) -> anyhow::Result<Option<SecretKey>> {
    let name = "AUTHENTIK_SECRET_KEY";
    let text = source.given(name)?;
    anyhow::ensure!(text.as_deref() != Some(""), "{name}: must be authentik's secret key, and is empty");
    Ok(text.map(SecretKey::new))
}

fn secure(source: &Source<'_>) -> anyhow::Result<Option<Secure>> {
    let name = "AUTHENTIK_LISTEN__HTTPS";
    if source.given(name)?.is_none() {
        return Ok(None);
    }
    let file = |name| {
        let file = source.given(name)?.map(PathBuf::from);
        file.ok_or_else(|| anyhow::anyhow!("{name}: must be a file, since AUTHENTIK_LISTEN__HTTPS is set"))
    };
    Ok(Some(Secure {
        listen: source
            .parse(name, "an address and a port, such as 0.0.0.0:9443", |text| text.parse().ok())?,
        certificate: file("AUTHENTIK_STAGES__TLS_CERTIFICATE")?,
        key: file("AUTHENTIK_STAGES__TLS_KEY")?,
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rstest::rstest;

    use super::*;
    use crate::db::embedded::EmbeddedSettings;

    fn read(pairs: &[(&str, &str)]) -> anyhow::Result<Settings> {
        Settings::read(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_set_is_fine() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:9000");
        let Location::Embedded(embedded) = settings.database else { panic!("not embedded") };
        assert_eq!(embedded, EmbeddedSettings::default());
    }

    #[test]
    fn the_embedded_database_has_a_directory_and_programs() {
        let settings = read(&[("DATA_DIR", "/srv/stages"), ("PG_BIN_DIR", "/opt/pg/bin")]).unwrap();
        let Location::Embedded(embedded) = settings.database else { panic!("not embedded") };
        assert_eq!(embedded.data_dir.as_deref(), Some(Path::new("/srv/stages")));
        assert_eq!(embedded.programs.as_deref(), Some(Path::new("/opt/pg/bin")));
    }

    #[rstest]
    #[case("", true, false)]
    #[case("true", true, true)]
    #[case("false", false, false)]
    fn the_console_is_there_by_itself_on_our_own_database_alone(
        #[case] value: &str,
        #[case] own: bool,
        #[case] attached: bool,
    ) {
        let settings = read(&[("AUTHENTIK_STAGES__CONSOLE", value)]).unwrap();
        assert_eq!([settings.has_console(false), settings.has_console(true)], [own, attached]);
    }

    #[rstest]
    #[case("AUTHENTIK_LISTEN__HTTP", "nine thousand")]
    #[case("AUTHENTIK_LISTEN__HTTPS", "nine thousand")]
    #[case("AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS", "192.0.2.1")]
    #[case("AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS", "10.0.0.0/8;::1/128")]
    #[case("AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS", "192.0.2.0/24,")]
    #[case("AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS", "proxy.example.com")]
    #[case("AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS", "10.0.0.0/8,192.0.2.0/33")]
    #[case("AUTHENTIK_LISTEN__METRICS", "nowhere")]
    #[case("AUTHENTIK_THROTTLE__DEFAULT", "often")]
    #[case("AUTHENTIK_THROTTLE__DEFAULT", "10/year")]
    #[case("AUTHENTIK_LOG_LEVEL", "loud")]
    #[case("AUTHENTIK_STAGES__LOG_FORMAT", "xml")]
    #[case("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318")]
    #[case("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@collector:4318")]
    #[case("AUTHENTIK_STAGES__POOL_SIZE", "many")]
    #[case("AUTHENTIK_STAGES__LOCK_TIMEOUT", "seconds=31")]
    #[case("AUTHENTIK_STAGES__LOCK_TIMEOUT", "microseconds=1")]
    #[case("AUTHENTIK_STAGES__DRAIN", "minutes=6")]
    #[case("AUTHENTIK_STAGES__REPLICA_LAG", "milliseconds=5")]
    #[case("AUTHENTIK_STAGES__CONNECTIONS", "-7")]
    #[case("AUTHENTIK_STAGES__HEAD", "4096")]
    #[case("AUTHENTIK_STAGES__BODIES", "2621439")]
    #[case("AUTHENTIK_STAGES__STALL", "milliseconds=5")]
    #[case("AUTHENTIK_STAGES__CONSOLE", "maybe")]
    #[case("AUTHENTIK_STAGES__FLOW_SET", "maybe")]
    #[case("AUTHENTIK_STAGES__EXPIRED", "maybe")]
    #[case("AUTHENTIK_STAGES__DEFAULT_TOKEN_DURATION", "soon")]
    #[case("AUTHENTIK_STAGES__STRICT", "very")]
    #[case("AUTHENTIK_STAGES__PUBLIC_URL", "nowhere")]
    #[case("AUTHENTIK_STAGES__EMAIL_LOCALE", "tlh")]
    #[case("AUTHENTIK_STAGES__EMAIL_RETRY", "hours=2")]
    #[case("AUTHENTIK_STAGES__EMAIL_ATTEMPTS", "often")]
    #[case("AUTHENTIK_STAGES__EMAIL_PER_SENDER", "-1")]
    #[case("AUTHENTIK_EMAIL__PORT", "70000")]
    #[case("AUTHENTIK_EMAIL__USE_TLS", "yes")]
    #[case("AUTHENTIK_EMAIL__TIMEOUT", "never")]
    #[case("DATABASE_URL", "mysql:// secret")]
    fn a_wrong_value_is_one_line_without_the_value(#[case] name: &str, #[case] value: &str) {
        let error = read(&[(name, value)]).err().unwrap().to_string();
        assert!(error.starts_with(&format!("{name}: must be ")), "{error}");
        assert!(!error.contains(value) && !error.contains('\n'), "{error}");
    }

    #[test]
    fn the_secret_key_is_not_empty() {
        let key = |pairs: &[(&str, &str)]| read(pairs).map(|settings| settings.secret_key.is_some());
        assert!(!key(&[]).unwrap() && !key(&[("AUTHENTIK_SECRET_KEY", "")]).unwrap());
        assert!(key(&[("AUTHENTIK_SECRET_KEY", "env://OTHER"), ("OTHER", "a key")]).unwrap());
        for empty in ["env://OTHER", "file:///dev/null"] {
            let error = key(&[("AUTHENTIK_SECRET_KEY", empty), ("OTHER", "")]).err().unwrap().to_string();
            assert_eq!(error, "AUTHENTIK_SECRET_KEY: must be authentik's secret key, and is empty");
        }
    }

    #[test]
    fn tls_takes_both_files() {
        let address = ("AUTHENTIK_LISTEN__HTTPS", "0.0.0.0:9443");
        let certificate = ("AUTHENTIK_STAGES__TLS_CERTIFICATE", "/etc/certificate.pem");
        let key = ("AUTHENTIK_STAGES__TLS_KEY", "/etc/key.pem");
        assert_eq!(read(&[certificate, key]).unwrap().secure, None);
        let secure = read(&[address, certificate, key]).unwrap().secure.unwrap();
        assert_eq!((secure.listen.port(), secure.key), (9443, PathBuf::from("/etc/key.pem")));
        for missing in [[address, certificate], [address, key]] {
            let error = read(&missing).err().unwrap().to_string();
            assert!(error.contains("must be a file"), "{error}");
        }
    }

    #[test]
    fn the_networks_of_proxies_replace_the_private_ones() {
        let name = "AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS";
        let networks = |pairs: &[(&str, &str)]| read(pairs).unwrap().trusted_proxies;
        assert_eq!(networks(&[]).len(), 6);
        assert_eq!(networks(&[(name, "")]), networks(&[]));
        let given = networks(&[(name, "192.0.2.0/24, 2001:db8::/32")]);
        let given: Vec<_> = given.iter().map(ToString::to_string).collect();
        assert_eq!(given, ["192.0.2.0/24", "2001:db8::/32"]);
    }

    #[test]
    fn the_host_makes_it_external() {
        let settings =
            read(&[("AUTHENTIK_POSTGRESQL__HOST", "db"), ("AUTHENTIK_POSTGRESQL__PORT", "6432")]).unwrap();
        let Location::External(hosts) = settings.database else { panic!("not external") };
        let options = hosts.current();
        assert_eq!(
            (options.get_host(), options.get_port(), options.get_username()),
            ("db", 6432, "authentik")
        );
    }
}
