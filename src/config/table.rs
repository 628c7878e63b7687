//! [`SETTINGS`]: what can be set, as the README prints it.

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
