//! PostgreSQL: which one, what is in it, and how it is opened.

pub mod attached;
pub mod bootstrap;
pub mod cascade;
pub mod embedded;
pub mod grants;
pub mod initial_permissions;
pub mod links;
pub mod own;
pub mod plans;
pub mod session;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use embedded_postgres::EmbeddedPostgres;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, FromRow, PgConnection, PgPool};

use crate::clock::Ids;
use crate::config::{DatabaseSettings, Settings};
use crate::drf::openapi::CONTRACT_VERSION;
use crate::drf::page::PageSizes;
use crate::drf::rules::parse_timedelta;
use crate::resources::stage_types::StageType;
use cascade::ForeignKeys;

/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// An open database.
#[derive(Clone)]
pub struct Database {
    /// The connections.
    pub pool: PgPool,
    /// What is in it.
    pub layout: Layout,
    /// Whether a PgBouncer in transaction mode stands between.
    pub pgbouncer: bool,
}

/// What differs from one database to another, found out once at start-up.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Ours or authentik's.
    mode: Mode,
    /// The release whose enumerations, templates and version the answers show.
    release: Release,
    authentik_version: String,
    install_id: String,
    user_groups: &'static str,
    stage_tables: Vec<(&'static StageType, String)>,
    foreign_keys: ForeignKeys,
    tables: BTreeSet<String>,
    readable: BTreeSet<String>,
}

/// Whose tables these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Ours: made by our migrations.
    Own,
    /// Those of an authentik: never altered, and its traces of a write are written too.
    Attached,
}

/// The supported releases of authentik's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// 2025.12
    V2025_12,
    /// 2026.2: two more layouts of flows.
    V2026_2,
    /// 2026.5: the template `email/invitation.html`.
    V2026_5,
}

impl Release {
    /// The release that a version belongs to, such as `2025.12` or `2025.12.4`; `None` where it isn't one that we know.
    pub fn of(version: &str) -> Option<Self> {
        let known = [("2025.12", Self::V2025_12), ("2026.2", Self::V2026_2), ("2026.5", Self::V2026_5)];
        let fits = |release: &str| version == release || version.starts_with(&format!("{release}."));
        known.into_iter().find(|(release, _)| fits(release)).map(|(_, release)| release)
    }

    /// The version that our own database stands for.
    pub fn version(self) -> &'static str {
        match self {
            Self::V2025_12 => "2025.12.4",
            Self::V2026_2 => "2026.2.0",
            Self::V2026_5 => CONTRACT_VERSION,
        }
    }
}

/// What authentik's administrators set for their installation; read with the caller, so never stale.
#[derive(Debug, Clone, FromRow)]
pub struct Tenant {
    default_page_size: i32,
    max_page_size: i32,
    default_token_duration: Option<String>,
    /// How long audit events are kept, as a duration.
    pub event_retention: String,
    flow_background: String,
    /// The brand of the host that was asked, as audit events name it.
    pub brand: Option<Value>,
}

impl Tenant {
    /// SELECT expressions and joins for an own database: authentik's defaults.
    const OWN: (&'static str, &'static str) = (
        ", 20 AS default_page_size, 100 AS max_page_size, NULL::text AS default_token_duration, \
         'days=365' AS event_retention, '' AS flow_background, NULL::jsonb AS brand",
        "",
    );
    /// The same for authentik's. The brand is the one whose domain ends the host's name, else the default one.
    const ATTACHED: (&'static str, &'static str) = (
        ", tenant.pagination_default_page_size AS default_page_size, \
         tenant.pagination_max_page_size AS max_page_size, tenant.default_token_duration, tenant.event_retention, \
         coalesce(brand.branding_default_flow_background, '') AS flow_background, \
         jsonb_build_object('pk', replace(brand.brand_uuid::text, '-', ''), 'app', 'authentik_brands', \
           'model_name', 'brand', \
           'name', CASE WHEN brand.\"default\" THEN 'Default brand' ELSE 'Brand ' || brand.domain END) AS brand",
        " JOIN authentik_tenants_tenant tenant ON tenant.schema_name = current_schema() \
         LEFT JOIN LATERAL (SELECT b.brand_uuid, b.domain, b.\"default\", b.branding_default_flow_background FROM authentik_brands_brand b \
           WHERE b.\"default\" OR right((SELECT name FROM host), length(b.domain)) = lower(b.domain) \
           ORDER BY b.\"default\", length(b.domain) DESC LIMIT 1) brand ON TRUE",
    );

    /// Rows a page.
    pub fn page_sizes(&self) -> PageSizes {
        PageSizes { default: self.default_page_size.into(), max: self.max_page_size.into() }
    }

    /// The background of flows that name none.
    pub fn flow_background(&self) -> &str {
        if self.flow_background.is_empty() { FLOW_BACKGROUND } else { &self.flow_background }
    }

    /// How long invitations and API tokens without an expiry live, where the tenant says so.
    pub fn default_token_duration(&self) -> Option<chrono::Duration> {
        self.default_token_duration.as_deref().and_then(parse_timedelta)
    }
}

/// authentik's own background.
const FLOW_BACKGROUND: &str = "/static/dist/assets/images/flow_background.jpg";

impl Layout {
    /// Whether the tables are authentik's.
    pub fn is_attached(&self) -> bool {
        self.mode == Mode::Attached
    }

    /// The release whose enumerations and templates hold.
    pub fn release(&self) -> Release {
        self.release
    }

    /// The version of authentik whose contract the answers keep.
    pub fn authentik_version(&self) -> &str {
        &self.authentik_version
    }

    /// The table that ties users to groups.
    pub fn user_groups(&self) -> &'static str {
        self.user_groups
    }

    /// The stage types that this database has, with the tables of their rows.
    pub fn stage_tables(&self) -> &[(&'static StageType, String)] {
        &self.stage_tables
    }

    /// Whether there is such a table and the database role may read it.
    pub fn reads(&self, table: &str) -> bool {
        self.readable.contains(table)
    }

    /// Whether there is such a table.
    pub fn exists(&self, table: &str) -> bool {
        self.tables.contains(table)
    }

    /// What points where.
    pub fn foreign_keys(&self) -> &ForeignKeys {
        &self.foreign_keys
    }

    /// What authentik derives users' `uid` from.
    pub fn install_id(&self) -> &str {
        &self.install_id
    }

    /// SQL for [`Tenant`]: SELECT expressions with a comma in front, and joins; `host (name)` is the host that was asked.
    pub fn tenant(&self) -> (&'static str, &'static str) {
        match self.mode {
            Mode::Own => Tenant::OWN,
            Mode::Attached => Tenant::ATTACHED,
        }
    }

    /// SQL of a declaration, with the name of the table between users and groups in place of `{user_groups}`.
    pub fn sql(&self, declared: &'static str) -> Cow<'static, str> {
        if declared.contains("{user_groups}") {
            Cow::Owned(declared.replace("{user_groups}", self.user_groups))
        } else {
            Cow::Borrowed(declared)
        }
    }
}

/// The tables that the database role may read.
async fn readable(connection: &mut PgConnection) -> sqlx::Result<BTreeSet<String>> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace \
         AND relkind IN ('r', 'p') AND has_table_privilege(oid, 'SELECT')",
    )
    .fetch_all(connection)
    .await?;
    Ok(tables.into_iter().collect())
}

/// Open the database behind `options`: authentik's if it holds Django's migrations, else our own.
///
/// # Errors
/// The server doesn't answer, a migration fails, or authentik's schema isn't one that we know.
pub async fn open(options: PgConnectOptions, settings: &Settings, ids: &Ids) -> anyhow::Result<Database> {
    let pool = connect(options, settings).await?;
    let mut transaction =
        if settings.pgbouncer { pool.begin_with(session::PINNED).await? } else { pool.begin().await? };
    let layout = if attached::is_authentik(&mut transaction).await? {
        Some(attached::layout(&mut transaction).await?)
    } else {
        None
    };
    drop(transaction);
    let layout = match layout {
        Some(layout) => layout,
        None if settings.pgbouncer => anyhow::bail!(
            "AUTHENTIK_POSTGRESQL__USE_PGBOUNCER: only for the database of an authentik; migrating our own needs a \
             connection of its own"
        ),
        None => own::layout(&pool, ids, settings.release).await?,
    };
    Ok(Database { pool, layout, pgbouncer: settings.pgbouncer })
}

/// The PostgreSQL that a process uses: somebody else's, or one of its own.
pub enum Server {
    /// Somebody else runs it.
    External(Box<PgConnectOptions>),
    /// This process runs it.
    Embedded(EmbeddedPostgres),
}

impl Server {
    /// Start the embedded PostgreSQL where the settings name no other.
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        match &settings.database {
            DatabaseSettings::External(options) => Ok(Self::External(options.clone())),
            DatabaseSettings::Embedded(embedded) => Ok(Self::Embedded(embedded.start().await?)),
        }
    }

    /// For the command line tools: use the embedded PostgreSQL of a running server, or start it.
    pub async fn join(settings: &Settings) -> anyhow::Result<Self> {
        if let DatabaseSettings::Embedded(embedded) = &settings.database
            && let Some(address) = embedded.running()?
        {
            return Ok(Self::External(Box::new(embedded::connect_options(&address))));
        }
        Self::start(settings).await
    }

    /// How to connect.
    pub fn connect_options(&self) -> PgConnectOptions {
        match self {
            Self::External(options) => (**options).clone(),
            Self::Embedded(postgres) => embedded::connect_options(&postgres.address()),
        }
    }

    /// Stop what this process started.
    pub fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::External(_) => Ok(()),
            Self::Embedded(postgres) => Ok(postgres.stop()?),
        }
    }
}

/// Connections to a server.
///
/// # Errors
/// The server doesn't answer. The message names host and database, never the password.
pub async fn connect(options: PgConnectOptions, settings: &Settings) -> anyhow::Result<PgPool> {
    let place = format!("{}/{}", options.get_host(), options.get_database().unwrap_or_default());
    let mut options = options.application_name("ak-stages");
    if settings.pgbouncer {
        // A named statement would be looked for on another server connection.
        options = options.statement_cache_capacity(0);
    }
    // One connection by itself: its error says what is wrong, where a pool's says that it waited.
    let probe = PgConnection::connect_with(&options).await;
    probe.with_context(|| format!("cannot connect to PostgreSQL at {place}"))?.close().await?;
    pool_options(settings)
        .connect_with(options)
        .await
        .with_context(|| format!("cannot connect to PostgreSQL at {place}"))
}

/// How many connections there are, how long a request waits for one, and how long a statement may take.
pub fn pool_options(settings: &Settings) -> PgPoolOptions {
    let options = PgPoolOptions::new().max_connections(settings.pool_size).acquire_timeout(ACQUIRE_TIMEOUT);
    if settings.pgbouncer {
        return options; // the connections are others' too: see `session::PINNED`
    }
    options.after_connect(|connection, _| {
        Box::pin(async {
            sqlx::raw_sql(session::LIMIT_STATEMENTS).execute(connection).await?;
            Ok(())
        })
    })
}
