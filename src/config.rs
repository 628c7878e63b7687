//! Settings: read from the environment once, checked once. [`SETTINGS`] is the table that the README prints.

mod mail;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use chrono::Duration;
use drf::permission::Model;
use ipnet::IpNet;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::contract::Release;
use crate::contract::duration::parse_timedelta;
use crate::db::bootstrap::FirstUser;
use crate::db::embedded::EmbeddedSettings;
use crate::db::{self, Limits, Location, Needs};

pub use mail::{Encryption, Locale, MailSettings, PublicUrl};

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
        "a PostgreSQL server, such as `postgres://user:password@host/name`; goes before the next seven",
    ),
    setting(
        "AUTHENTIK_POSTGRESQL__HOST",
        "",
        "host or socket directory of a PostgreSQL server; unset, an embedded one is started",
    ),
    setting("AUTHENTIK_POSTGRESQL__PORT", "5432", "its port"),
    setting("AUTHENTIK_POSTGRESQL__USER", "authentik", "its user"),
    setting("AUTHENTIK_POSTGRESQL__PASSWORD", "", "the user's password"),
    setting("AUTHENTIK_POSTGRESQL__NAME", "authentik", "the database's name"),
    setting(
        "AUTHENTIK_POSTGRESQL__SSLMODE",
        "prefer",
        "`disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`",
    ),
    setting("AUTHENTIK_POSTGRESQL__SSLROOTCERT", "", "file with the certificates to trust"),
    setting("DATA_DIR", "./data", "where the embedded PostgreSQL keeps its files"),
    setting(
        "PG_BIN_DIR",
        "",
        "directory of the PostgreSQL programs for the embedded one; unset, the usual places are searched",
    ),
    setting("AUTHENTIK_LISTEN__HTTP", "127.0.0.1:9000", "address and port to serve on"),
    setting(
        "AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS",
        "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fe80::/10,::1/128",
        "networks of the proxies whose `X-Forwarded-For` is believed",
    ),
    setting("AUTHENTIK_LOG_LEVEL", "info", "`trace`, `debug`, `info`, `warning` or `error`"),
    setting(
        "AUTHENTIK_BOOTSTRAP_TOKEN",
        "",
        "key of the first API token, made at the first start; unset, one is generated and printed",
    ),
    setting("AUTHENTIK_BOOTSTRAP_EMAIL", "root@localhost", "email address of the first user, `akadmin`"),
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
        "AUTHENTIK_STAGES__EMAIL_ROOT_CERT",
        "",
        "file with certificates to trust in the SMTP server's beside those of the public authorities",
    ),
    setting(
        "AUTHENTIK_STAGES__EMAIL_LOCALE",
        "en",
        "`en` or `de`: the language of the built-in email templates",
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

/// What `flow_set` in a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowSetMode {
    /// Flows are created and bound.
    Apply,
    /// Nothing.
    Ignore,
}

/// All settings, checked.
#[derive(Clone)]
pub struct Settings {
    /// Which PostgreSQL.
    pub database: Location,
    /// Connections at most.
    pub pool_size: u16,
    /// How long a request waits for a lock.
    pub lock_timeout: std::time::Duration,
    /// How long connections are taken after SIGTERM.
    pub drain: std::time::Duration,
    /// Bytes of answers to remember.
    pub answer_cache: u64,
    /// Terms of a search at most.
    pub search_terms: usize,
    /// Whether a pooler hands out server connections by the transaction.
    pub pgbouncer: bool,
    /// Where to serve.
    pub listen: SocketAddr,
    /// The networks of the proxies that may say who the client is.
    pub trusted_proxies: Vec<IpNet>,
    /// As `tracing` spells it.
    pub log_level: tracing::Level,
    /// The first user of our own database.
    pub first_user: FirstUser,
    /// Custom email templates.
    pub template_dir: PathBuf,
    /// What `flow_set` in a request does.
    pub flow_set: FlowSetMode,
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
        Ok(Self {
            database: database(&source)?,
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
            search_terms: source.parse("AUTHENTIK_STAGES__SEARCH_TERMS", UP_TO_1000, up_to_1000)?.into(),
            pgbouncer: source
                .parse("AUTHENTIK_POSTGRESQL__USE_PGBOUNCER", "true or false", |text| text.parse().ok())?,
            listen: source.parse(
                "AUTHENTIK_LISTEN__HTTP",
                "an address and a port, such as 127.0.0.1:9000",
                |text| text.parse().ok(),
            )?,
            trusted_proxies: source.parse(
                "AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS",
                "networks with commas between, such as 10.0.0.0/8,::1/128",
                |text| text.split(',').map(|network| network.trim().parse().ok()).collect(),
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
            template_dir: source.text("AUTHENTIK_EMAIL__TEMPLATE_DIR")?.into(),
            flow_set: source.parse("AUTHENTIK_STAGES__FLOW_SET", "apply or ignore", |text| match text {
                "apply" => Some(FlowSetMode::Apply),
                "ignore" => Some(FlowSetMode::Ignore),
                _ => None,
            })?,
            release: source.parse("AUTHENTIK_STAGES__RELEASE", "2025.12, 2026.2 or 2026.5", Release::of)?,
            default_token_duration: source.parse(
                "AUTHENTIK_STAGES__DEFAULT_TOKEN_DURATION",
                "a duration such as hours=3;minutes=1",
                parse_timedelta,
            )?,
            strict: source.parse("AUTHENTIK_STAGES__STRICT", "true or false", |text| text.parse().ok())?,
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
            release: self.release,
            permissions,
            searched,
            needs,
        }
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

fn database(source: &Source<'_>) -> anyhow::Result<Location> {
    if let Some(url) = source.given("DATABASE_URL")? {
        // The parser's own error would print the URL, password included.
        let options = Some(url.as_str())
            .filter(|url| ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)))
            .and_then(|url| PgConnectOptions::from_str(url).ok())
            .ok_or_else(|| {
                anyhow::anyhow!("DATABASE_URL: must be a URL such as postgres://user:password@host/name")
            })?;
        return Ok(Location::External(Box::new(options)));
    }
    let Some(host) = source.given("AUTHENTIK_POSTGRESQL__HOST")? else {
        return Ok(Location::Embedded(EmbeddedSettings {
            data_dir: source.given("DATA_DIR")?.map(PathBuf::from),
            programs: source.given("PG_BIN_DIR")?.map(PathBuf::from),
        }));
    };
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&host)
        .port(source.parse("AUTHENTIK_POSTGRESQL__PORT", "a port number", |text| text.parse().ok())?)
        .username(&source.text("AUTHENTIK_POSTGRESQL__USER")?)
        .database(&source.text("AUTHENTIK_POSTGRESQL__NAME")?)
        .ssl_mode(source.parse(
            "AUTHENTIK_POSTGRESQL__SSLMODE",
            "disable, allow, prefer, require, verify-ca or verify-full",
            |text| PgSslMode::from_str(text).ok(),
        )?);
    if let Some(password) = source.given("AUTHENTIK_POSTGRESQL__PASSWORD")? {
        options = options.password(&password);
    }
    if let Some(file) = source.given("AUTHENTIK_POSTGRESQL__SSLROOTCERT")? {
        options = options.ssl_root_cert(file);
    }
    Ok(Location::External(Box::new(options)))
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

    fn parse<T>(&self, name: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        parse(&self.text(name)?).ok_or_else(|| anyhow::anyhow!("{name}: must be {expected}"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rstest::rstest;

    use super::*;

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
    #[case("AUTHENTIK_LISTEN__HTTP", "nine thousand")]
    #[case("AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS", "192.0.2.1")]
    #[case("AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS", "10.0.0.0/8;::1/128")]
    #[case("AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS", "192.0.2.0/24,")]
    #[case("AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS", "proxy.example.com")]
    #[case("AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS", "10.0.0.0/8,192.0.2.0/33")]
    #[case("AUTHENTIK_LOG_LEVEL", "loud")]
    #[case("AUTHENTIK_STAGES__POOL_SIZE", "many")]
    #[case("AUTHENTIK_STAGES__LOCK_TIMEOUT", "seconds=31")]
    #[case("AUTHENTIK_STAGES__LOCK_TIMEOUT", "microseconds=1")]
    #[case("AUTHENTIK_STAGES__DRAIN", "minutes=6")]
    #[case("AUTHENTIK_STAGES__FLOW_SET", "maybe")]
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
        let Location::External(options) = settings.database else { panic!("not external") };
        assert_eq!(
            (options.get_host(), options.get_port(), options.get_username()),
            ("db", 6432, "authentik")
        );
    }
}
