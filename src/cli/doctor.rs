//! `ak-stages doctor`: what is connected, and whether it would be served.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::bail;
use sqlx::PgConnection;
use tokio::time::timeout;

use super::stdout::print;
use crate::auth::session;
use crate::config::Settings;
use crate::db::extensions::{self, Extensions};
use crate::db::replicas::Figures;
use crate::db::{Database, Layout, Needs, Replicas, Server, grants};
use crate::email_templates::Templates;
use crate::mail::{Relays, template};
use crate::resources;

/// How often the database is asked to find its latency.
const PROBES: usize = 7;
/// How long standbys are looked at before it is said how they stand.
const LOOK: Duration = Duration::from_secs(1);

/// Report, and fail where the server would not start or not work.
///
/// # Errors
/// What is wrong, in a sentence.
pub async fn run(settings: &Settings) -> anyhow::Result<()> {
    let server = Server::join(&settings.database).await?;
    let database = super::open(&server, settings).await?;
    let checked = check(&database, settings).await;
    database.pool.close().await;
    server.stop()?;
    checked
}

async fn check(database: &Database, settings: &Settings) -> anyhow::Result<()> {
    let mut session = database.requests.acquire().await?;
    let needs = resources::needs();
    let mut report = describe(&mut session, &database.layout, &needs, settings).await?;
    report += &standbys(&database.replicas).await;
    let missing = if database.layout.is_attached() {
        grants::missing(&mut session, &database.layout, &needs).await?
    } else {
        Vec::new()
    };
    for grant in &missing {
        writeln!(report, "missing     {}", grant.sql("CURRENT_USER"))?;
    }
    print(&report)?;
    if !missing.is_empty() {
        bail!("the database role lacks {} privileges; some requests would be refused", missing.len());
    }
    Ok(())
}

async fn describe(
    connection: &mut PgConnection,
    layout: &Layout,
    needs: &Needs,
    settings: &Settings,
) -> anyhow::Result<String> {
    let (server, name, role, pid): (String, String, String, i32) = sqlx::query_as(
        "SELECT current_setting('server_version'), current_database()::text, current_user::text, pg_backend_pid()",
    )
    .fetch_one(&mut *connection)
    .await?;
    let mode = if layout.is_attached() {
        format!("attached to authentik {}", layout.authentik_version())
    } else {
        format!("own database, answering as authentik {}", layout.authentik_version())
    };
    let tables = if layout.is_attached() {
        format!("{} tables checked, {} types of stages", needs.tables.len(), layout.stage_tables().len())
    } else {
        "migrated".to_owned()
    };
    let mut report = String::new();
    writeln!(report, "mode        {mode}")?;
    writeln!(report, "database    {name} as {role}, PostgreSQL {server} (backend {pid})")?;
    writeln!(report, "schema      {tables}")?;
    writeln!(report, "sessions    {}", sessions(layout, settings))?;
    writeln!(report, "mail        {}", mail(connection, settings).await?)?;
    writeln!(report, "latency     {} µs for one statement", latency(connection).await?.as_micros())?;
    Ok(report)
}

/// Whether sessions of authentik's web interface are taken.
fn sessions(layout: &Layout, settings: &Settings) -> &'static str {
    match (&settings.secret_key, session::are_there(layout)) {
        (None, _) => "not taken: AUTHENTIK_SECRET_KEY is not set",
        (Some(_), false) => "not taken: there are none that this role may read",
        (Some(_), true) => "taken",
    }
}

/// Whether mail can be sent, and what is wrong with the templates of the directory.
async fn mail(connection: &mut PgConnection, settings: &Settings) -> anyhow::Result<String> {
    let there = match extensions::look(connection).await? {
        Extensions::Ready => "tables there",
        Extensions::NotGranted => {
            "tables there, but not for this role: `ak-stages extensions ROLE` grants them"
        }
        Extensions::Missing => "tables missing: `ak-stages extensions` prints the SQL that makes them",
    };
    let mail = &settings.mail;
    if mail.public_url.is_none() {
        return Ok(format!("off: AUTHENTIK_STAGES__PUBLIC_URL is not set; {there}"));
    }
    Relays::new(mail)?;
    let mut report = format!("through {}:{}; {there}", mail.smtp.host, mail.smtp.port);
    let templates = Templates::new(settings.template_dir.clone());
    templates.read().await;
    for problem in template::problems(&templates.sources()) {
        write!(report, "\ntemplate    {problem}")?;
    }
    Ok(report)
}

/// A line for each standby that reads go to.
async fn standbys(replicas: &Replicas) -> String {
    if replicas.is_empty() {
        return String::new();
    }
    timeout(LOOK, replicas.clone().watch()).await.ok();
    let line = |replica: Figures| match replica.lag {
        Ok(lag) => format!("replica     {}: at most {} ms behind\n", replica.name, lag.as_millis()),
        Err(cause) => format!("replica     {}: left out, {cause}\n", replica.name),
    };
    replicas.figures().0.into_iter().map(line).collect()
}

/// The median time of a statement that does nothing.
async fn latency(connection: &mut PgConnection) -> sqlx::Result<Duration> {
    let mut times = Vec::with_capacity(PROBES);
    for _ in 0..PROBES {
        let started = Instant::now();
        sqlx::query("SELECT 1").execute(&mut *connection).await?;
        times.push(started.elapsed());
    }
    times.sort();
    Ok(times[PROBES / 2])
}

/// The SQL that gives `role` what it needs.
///
/// # Errors
/// The database isn't authentik's, or can't be read.
pub async fn grants(settings: &Settings, role: &str) -> anyhow::Result<String> {
    let server = Server::join(&settings.database).await?;
    let database = super::open(&server, settings).await?;
    if !database.layout.is_attached() {
        bail!("this is not the database of an authentik");
    }
    let role = super::quoted(role);
    Ok(grants::needed(&database.layout, &resources::needs())
        .iter()
        .map(|grant| grant.sql(&role) + "\n")
        .collect())
}
