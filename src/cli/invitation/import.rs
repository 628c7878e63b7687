//! `ak-stages invitation import`.

use std::fs::File;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use sqlx::PgPool;
use uuid::Uuid;

use super::Format;
use super::lines::Lines;
use crate::app::App;
use crate::cli::stdout::print;
use crate::cli::user::user_id;
use crate::clock::{Clock, Ids};
use crate::config::Settings;
use crate::contract::duration::parse_timedelta;
use crate::db::Database;
use crate::error::sentence;
use crate::resources::invitation::import::{Import, Line, Outcome};

/// Lines that go to the database at a time.
const BATCH: usize = 500;

/// What is asked for.
pub struct Asked {
    /// The file.
    pub file: PathBuf,
    /// The slug of the flow.
    pub flow: String,
    /// What the lines have in common.
    pub template: Option<PathBuf>,
    /// How long those live that don't say so.
    pub duration: Option<String>,
    /// The user in whose name they are made.
    pub user: String,
    /// Whether nothing is to be written.
    pub dry_run: bool,
}

/// Import a file.
///
/// # Errors
/// The file or the database can't be used, or lines were refused. Those before are in, and a second run goes on.
pub async fn run(asked: Asked, database: &Database, settings: &Settings) -> anyhow::Result<()> {
    let app = App::new(database.clone(), settings.clone(), Clock::System, Ids::Random);
    let lifetime = match &asked.duration {
        None => settings.default_token_duration,
        Some(text) => parse_timedelta(text)
            .with_context(|| format!("--duration: {text} must be a duration such as days=14"))?,
    };
    let creator = (user_id(&database.pool, &asked.user).await?, asked.user.as_str());
    let flow = flow_key(&database.pool, &asked.flow).await?;
    let template = asked.template.as_deref().map(template).transpose()?.unwrap_or_default();
    let expires = app.clock.after(lifetime);
    let import = Import::new(&app, creator, flow, template, expires, asked.dry_run);
    let outcome = read(&asked.file, import).await?;
    let would = if asked.dry_run { "would be" } else { "are" };
    let refused = outcome.refused.len();
    print(&format!(
        "{} invitations {would} made, {} lines are in already, {refused} are refused\n",
        outcome.made, outcome.known,
    ))?;
    if refused > 0 {
        bail!("{refused} lines are refused; mend them and import the file again");
    }
    Ok(())
}

async fn flow_key(pool: &PgPool, slug: &str) -> anyhow::Result<Uuid> {
    let key = sqlx::query_scalar("SELECT flow_uuid FROM authentik_flows_flow WHERE slug = $1");
    key.bind(slug).fetch_optional(pool).await?.with_context(|| format!("there is no flow {slug}"))
}

fn template(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    match drf::json::parse(&text) {
        Ok(Value::Object(map)) => Ok(map),
        _ => bail!("{}: not a JSON object", path.display()),
    }
}

/// Read the file to its end, and say what is wrong with its lines on the way.
async fn read(path: &Path, mut import: Import<'_>) -> anyhow::Result<Outcome> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let bar = progress(file.metadata().map(|data| data.len()).unwrap_or_default())?;
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let format = if matches!(ending, "jsonl" | "ndjson") { Format::Jsonl } else { Format::Csv };
    let mut lines = Lines::of(bar.wrap_read(file), format).with_context(|| path.display().to_string())?;
    let (mut whole, mut batch) = (Outcome::default(), Vec::new());
    loop {
        let line = lines.next().with_context(|| path.display().to_string())?;
        let is_end = line.is_none();
        match line {
            Some(Ok(line)) => batch.push(line),
            Some(Err((number, sentence))) => {
                whole.refused.push((number, Value::String(sentence)));
                tell(&bar, &whole.refused[whole.refused.len() - 1..])?;
            }
            None => {}
        }
        if batch.len() == BATCH || is_end {
            let outcome = take(&mut import, std::mem::take(&mut batch)).await?;
            tell(&bar, &outcome.refused)?;
            whole.made += outcome.made;
            whole.known += outcome.known;
            whole.refused.extend(outcome.refused);
        }
        if is_end {
            bar.finish_and_clear();
            return Ok(whole);
        }
    }
}

async fn take(import: &mut Import<'_>, lines: Vec<Line>) -> anyhow::Result<Outcome> {
    let (first, last) = (lines.first().map(|line| line.number), lines.last().map(|line| line.number));
    let (Some(first), Some(last)) = (first, last) else { return Ok(Outcome::default()) };
    let taken = import.take(lines).await;
    taken.with_context(|| format!("lines {first} to {last} are not in, those before them are"))
}

/// How far the file is read, on a terminal.
fn progress(bytes: u64) -> anyhow::Result<ProgressBar> {
    let style = "{bar:40} {bytes} of {total_bytes}, {elapsed} gone, {eta} to go";
    Ok(ProgressBar::new(bytes).with_style(ProgressStyle::with_template(style)?))
}

/// A sentence for each line that is refused, above the bar.
fn tell(bar: &ProgressBar, refused: &[(u64, Value)]) -> std::io::Result<()> {
    bar.suspend(|| {
        let mut output = stderr().lock();
        refused
            .iter()
            .try_for_each(|(number, errors)| writeln!(output, "line {number}: {}", sentence(errors)))
    })
}
