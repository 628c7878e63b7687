//! Settings: read from the environment once, checked once. [`SETTINGS`] is the table that the README prints.

mod mail;
mod postgresql;
mod secret_key;
mod smtp;

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

/// One setting.
pub struct Setting {
    /// The environment variable; authentik's name where it has one.
    pub name: &'static str,
    /// What holds when it isn't set.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
}

const fn setting(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, default, help }
}

/// Every setting there is.
pub const SETTINGS: &[Setting] = &[
    setting(
        "DATABASE_URL",
        "",
        "a PostgreSQL server, such as `postgres://user:password@host/name`, or several, such as \
         `postgres://user:password@one,two:5433/name`; goes before the next seven",
    ),
    setting(
        "AUTHENTIK_POSTGRESQL__HOST",
        "",
        "host or socket directory of a PostgreSQL server, or several with commas between, of which the one that takes \
         writes is used; unset, an embedded one is started",
    ),
    setting("AUTHENTIK_POSTGRESQL__PORT", "5432", "its port, or one for each host with commas between"),
    setting("AUTHENTIK_POSTGRESQL__USER", "authentik", "its user"),
    setting("AUTHENTIK_POSTGRESQL__PASSWORD", "", "the user's password"),
    setting("AUTHENTIK_POSTGRESQL__NAME", "authentik", "the database's name"),
    setting(
        "AUTHENTIK_POSTGRESQL__SSLMODE",
        "prefer",
        "`disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`",
    ),
    setting("AUTHENTIK_POSTGRESQL__SSLROOTCERT", "", "file with the certificates to trust"),
    setting(
        "AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__HOST",
        "",
        "host or socket directory of a standby that reads go to; further ones have `1` to `15` in place of the `0`. What \
         isn't said of one in the next six is as it is with the primary",
    ),
    setting("AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__PORT", "", "its port"),
    setting("AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__USER", "", "its user"),
    setting("AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__PASSWORD", "", "the user's password"),
    setting("AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__NAME", "", "the database's name"),
    setting("AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__SSLMODE", "", "as `AUTHENTIK_POSTGRESQL__SSLMODE`"),
    setting("AUTHENTIK_POSTGRESQL__READ_REPLICAS__0__SSLROOTCERT", "", "file with the certificates to trust"),
    setting(
        "AUTHENTIK_STAGES__REPLICA_LAG",
        "seconds=5",
        "how far behind such a standby may be, from `seconds=1` to `minutes=5`; one that may be further is not read from",
    ),
    setting("DATA_DIR", "./data", "where the embedded PostgreSQL keeps its files"),
    setting(
        "PG_BIN_DIR",
        "",
        "directory of the PostgreSQL programs for the embedded one; unset, the usual places are searched",
    ),
    setting("AUTHENTIK_LISTEN__HTTP", "127.0.0.1:9000", "address and port to serve on"),
    setting(
        "AUTHENTIK_LISTEN__HTTPS",
        "",
        "address and port to serve on with TLS, and HTTP/2 for clients that want it; takes the next two",
    ),
    setting(
        "AUTHENTIK_STAGES__TLS_CERTIFICATE",
        "",
        "PEM file with the certificate, and those of its authorities behind it; read anew when it changes",
    ),
    setting("AUTHENTIK_STAGES__TLS_KEY", "", "PEM file with the certificate's private key"),
    setting(
        "AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS",
        "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fe80::/10,::1/128",
        "networks of the proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed",
    ),
    setting(
        "AUTHENTIK_LISTEN__METRICS",
        "127.0.0.1:9300",
        "address and port of `/-/metrics/`, for Prometheus; unset, the server goes on without where they are taken",
    ),
    setting(
        "AUTHENTIK_THROTTLE__DEFAULT",
        "1000/second",
        "how often an address may ask without credentials: a number of requests a `second`, `minute`, `hour` or `day`",
    ),
    setting("AUTHENTIK_LOG_LEVEL", "info", "`trace`, `debug`, `info`, `warning` or `error`"),
    setting(
        "AUTHENTIK_STAGES__LOG_FORMAT",
        "",
        "`pretty` or `json`; unset, `pretty` on a terminal and `json` elsewhere",
    ),
    setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "the OpenTelemetry collector that traces go to, such as `http://127.0.0.1:4318`; unset, there are none",
    ),
    setting(
        "AUTHENTIK_BOOTSTRAP_TOKEN",
        "",
        "key of the first API token, made at the first start; unset, one is generated and printed",
    ),
    setting("AUTHENTIK_BOOTSTRAP_EMAIL", "root@localhost", "email address of the first user, `akadmin`"),
    setting(
        "AUTHENTIK_SECRET_KEY",
        "",
        "authentik's own, on its database: its web interface's sessions are taken, and the key itself as a token; unset, \
         they aren't",
    ),
    setting(
        "AUTHENTIK_EMAIL__TEMPLATE_DIR",
        "/templates",
        "directory of custom email templates (`**/*.html`)",
    ),
    setting(
        "AUTHENTIK_STAGES__PUBLIC_URL",
        "",
        "where people reach authentik, such as `https://id.example.com`: the links in mails begin with it. Unset, no mail \
         is taken and none is sent",
    ),
    setting("AUTHENTIK_EMAIL__HOST", "localhost", "the SMTP server"),
    setting("AUTHENTIK_EMAIL__PORT", "25", "its port"),
    setting("AUTHENTIK_EMAIL__USERNAME", "", "who logs in there; unset, nobody does"),
    setting("AUTHENTIK_EMAIL__PASSWORD", "", "the password for that"),
    setting("AUTHENTIK_EMAIL__USE_TLS", "false", "`true`: STARTTLS, and nothing without it"),
    setting("AUTHENTIK_EMAIL__USE_SSL", "false", "`true`: TLS from the first byte, usually on port 465"),
    setting("AUTHENTIK_EMAIL__TIMEOUT", "10", "seconds that a step of a delivery may take"),
    setting("AUTHENTIK_EMAIL__FROM", "authentik@localhost", "the sender, such as `Example <id@example.com>`"),
    setting(
        "AUTHENTIK_STAGES__EMAIL_OAUTH_TOKEN_URL",
        "",
        "where OAuth 2.0's tokens are to be had, such as `https://login.example.com/token`: who logs in does so with one \
         instead of a password (XOAUTH2); takes the next two",
    ),
    setting("AUTHENTIK_STAGES__EMAIL_OAUTH_CLIENT_ID", "", "the client's id there"),
    setting("AUTHENTIK_STAGES__EMAIL_OAUTH_CLIENT_SECRET", "", "its secret"),
    setting(
        "AUTHENTIK_STAGES__EMAIL_OAUTH_SCOPE",
        "",
        "what the token is to be for, such as `https://outlook.office365.com/.default`",
    ),
    setting(
        "AUTHENTIK_STAGES__EMAIL_ROOT_CERT",
        "",
        "file with certificates to trust in the SMTP server's beside those of the public authorities",
    ),
    setting(
        "AUTHENTIK_STAGES__EMAIL_HOSTS",
        "*:25,*:465,*:587,*:2525",
        "hosts and ports that email stages may name for mail beside the server above, with commas between: \
         `mail.example.com:587`, `*.example.com:465`, `*:25`",
    ),
    setting(
        "AUTHENTIK_STAGES__EMAIL_LOCALE",
        "en",
        "`en` or `de`: the language of the built-in email templates for those who ask for none",
    ),
    setting(
        "AUTHENTIK_STAGES__EMAIL_RETRY",
        "seconds=30",
        "how long after a failure a mail is tried again; from then on twice as long each time, at most an hour",
    ),
    setting("AUTHENTIK_STAGES__EMAIL_ATTEMPTS", "15", "how often a mail is tried before it is given up"),
    setting(
        "AUTHENTIK_STAGES__EMAIL_PER_RECIPIENT",
        "50",
        "mails that an address gets within a day, at most; `0` is for any number",
    ),
    setting(
        "AUTHENTIK_STAGES__EMAIL_PER_SENDER",
        "10000",
        "mails that a user sends within a day, at most; `0` is for any number",
    ),
    setting(
        "AUTHENTIK_STAGES__EMAIL_TESTS",
        "30/hour",
        "how often a user may let a server test an SMTP server: a number a `second`, `minute`, `hour` or `day`",
    ),
    setting(
        "AUTHENTIK_STAGES__POOL_SIZE",
        "10",
        "connections to PostgreSQL for requests, at most; three more are for start, readiness and mail, and one to hear of \
         new mail where there is mail",
    ),
    setting(
        "AUTHENTIK_STAGES__LOCK_TIMEOUT",
        "seconds=3",
        "how long a request waits for a lock that another session of the database has; then it is answered with 503",
    ),
    setting(
        "AUTHENTIK_STAGES__DRAIN",
        "seconds=1",
        "how long after SIGTERM connections are still taken, while `/-/health/ready/` says 503",
    ),
    setting(
        "AUTHENTIK_STAGES__ANSWER_CACHE",
        "8388608",
        "bytes of answers that are remembered for as long as the database proves that nothing has changed; `0` remembers none",
    ),
    setting(
        "AUTHENTIK_STAGES__CONNECTIONS",
        "16384",
        "connections of clients, at most; fewer where the system lets a process open fewer files",
    ),
    setting(
        "AUTHENTIK_STAGES__CONNECTIONS_PER_ADDRESS",
        "1024",
        "connections from one address, at most; those of trusted proxies aren't counted",
    ),
    setting("AUTHENTIK_STAGES__HEAD", "65536", "bytes that the head of a request may have; at least 8192"),
    setting(
        "AUTHENTIK_STAGES__STALL",
        "seconds=10",
        "how long a head that has begun, more of a body, and the taking of more of an answer are waited for",
    ),
    setting(
        "AUTHENTIK_STAGES__BODIES",
        "33554432",
        "bytes that the bodies of all requests may take at a time; more wait. At least 2621440, the largest body",
    ),
    setting(
        "AUTHENTIK_STAGES__ANSWER",
        "25165824",
        "bytes that a request may take for rows and its answer; more is refused, and smaller pages have to be asked for",
    ),
    setting(
        "AUTHENTIK_STAGES__ANSWERS",
        "67108864",
        "bytes that all answers of more than 65536 may take until clients have read them; more are refused with 503",
    ),
    setting("AUTHENTIK_STAGES__FLOW_SET_ENTRIES", "100", "flows that a `flow_set` in a request may name"),
    setting("AUTHENTIK_STAGES__SEARCH_TERMS", "32", "terms that a `?search=` may have"),
    setting(
        "AUTHENTIK_POSTGRESQL__USE_PGBOUNCER",
        "false",
        "`true` behind a PgBouncer in transaction mode: no prepared statement outlives its use",
    ),
    setting(
        "AUTHENTIK_STAGES__FLOW_SET",
        "apply",
        "what `flow_set` in a request does: `apply` binds the flows, `ignore` is authentik since 2025.12",
    ),
    setting(
        "AUTHENTIK_STAGES__CONSOLE",
        "",
        "`true` or `false`: whether `/` is the console; unset, it is on our own database, and not on authentik's",
    ),
    setting(
        "AUTHENTIK_STAGES__EXPIRED",
        "delete",
        "what becomes of expired invitations on our own database: `delete` deletes them within minutes, as authentik does, `keep` leaves them",
    ),
    setting(
        "AUTHENTIK_STAGES__RELEASE",
        "2026.5",
        "`2025.12`, `2026.2` or `2026.5`: whose enumerations, templates and version are answered, on our own database",
    ),
    setting(
        "AUTHENTIK_STAGES__DEFAULT_TOKEN_DURATION",
        "minutes=30",
        "how long invitations and API tokens without an expiry live, on our own database",
    ),
    setting(
        "AUTHENTIK_STAGES__STRICT",
        "true",
        "`true`: nobody gives rights that they don't hold, or names objects that they may not view; `false` is authentik, \
         which lets them",
    ),
];

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

/// What [`up_to_1000`] takes.
const UP_TO_1000: &str = "a number from 1 to 1000";

fn up_to_1000(text: &str) -> Option<u16> {
    text.parse().ok().filter(|number| (1..=1000).contains(number))
}

/// A duration of at most so many seconds, in whole milliseconds: PostgreSQL counts in those.
fn seconds(text: &str, most: u64) -> Option<std::time::Duration> {
    let milliseconds = parse_timedelta(text)?.num_milliseconds();
    let duration = std::time::Duration::from_millis(u64::try_from(milliseconds).ok()?);
    (duration <= std::time::Duration::from_secs(most)).then_some(duration)
}

/// As Django REST framework reads one: of the period only the first letter counts.
fn rate(text: &str) -> Option<Rate> {
    let (requests, period) = text.split_once('/')?;
    let seconds = match period.chars().next()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86400,
        _ => return None,
    };
    Some(Rate { requests: requests.parse().ok()?, period: std::time::Duration::from_secs(seconds) })
}

fn log_format(text: &str) -> Option<Option<LogFormat>> {
    match text {
        "" => Some(None),
        "pretty" => Some(Some(LogFormat::Pretty)),
        "json" => Some(Some(LogFormat::Json)),
        _ => None,
    }
}

/// The URL of a collector, without credentials, which would be in a log.
fn collector(text: &str) -> Option<Option<String>> {
    match text {
        "" => Some(None),
        url => (url.starts_with("http://") && !url.contains('@')).then(|| Some(url.to_owned())),
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

struct Source<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Source<'_> {
    /// The value that was set. As in authentik, `file:///path` stands for the content of that file and `env://NAME`
    /// for another variable.
    fn given(&self, name: &str) -> anyhow::Result<Option<String>> {
        let Some(value) = (self.0)(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        if let Some(path) = value.strip_prefix("file://") {
            let content = std::fs::read_to_string(path)
                .map_err(|error| anyhow::anyhow!("{name}: cannot read the file that it names: {error}"))?;
            return Ok(Some(content.trim_end_matches(['\r', '\n']).to_owned()));
        }
        Ok(match value.strip_prefix("env://") {
            Some(other) => (self.0)(other),
            None => Some(value),
        })
    }

    fn text(&self, name: &str) -> anyhow::Result<String> {
        let default =
            SETTINGS.iter().find(|setting| setting.name == name).map_or("", |setting| setting.default);
        Ok(self.given(name)?.unwrap_or_else(|| default.to_owned()))
    }

    fn number(&self, name: &str, least: usize, most: usize) -> anyhow::Result<usize> {
        self.parse(name, &format!("a number from {least} to {most}"), |text| {
            text.parse().ok().filter(|number| (least..=most).contains(number))
        })
    }

    fn boolean(&self, name: &str) -> anyhow::Result<bool> {
        self.parse(name, "true or false", |text| text.to_ascii_lowercase().parse().ok())
    }

    fn address(&self, name: &str) -> anyhow::Result<SocketAddr> {
        self.parse(name, "an address and a port, such as 127.0.0.1:9000", |text| text.parse().ok())
    }

    fn parse<T>(&self, name: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        parse(&self.text(name)?).ok_or_else(|| anyhow::anyhow!("{name}: must be {expected}"))
    }
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
