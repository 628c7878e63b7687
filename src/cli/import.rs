//! `ak-stages import`: a blueprint is applied.

use std::io::{Read, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};

use super::failure;
use super::stdout::print;
use crate::app::App;
use crate::blueprints::{Blueprint, Change, Import, What};
use crate::clock::{Clock, Ids};
use crate::config::Settings;
use crate::db::Database;
use crate::views::UnitOfWork;

/// What is asked for.
pub struct Asked {
    /// The file; `-` for standard input.
    pub file: PathBuf,
    /// `NAME=VALUE` for the context.
    pub context: Vec<String>,
    /// The user in whose name it is done.
    pub user: String,
    /// Whether nothing is to be written.
    pub dry_run: bool,
}

/// Apply it, all or nothing.
///
/// # Errors
/// The file or the database can't be used, or an entry is refused. Then nothing is written.
pub async fn run(asked: Asked, database: &Database, settings: &Settings) -> anyhow::Result<()> {
    let name = asked.file.display().to_string();
    let blueprint = Blueprint::parse(&read(&asked.file)?).with_context(|| name.clone())?;
    let app = App::new(database.clone(), settings.clone(), Clock::System, Ids::Random);
    let mut unit = UnitOfWork::begin(&app, &asked.user, "extended=true")
        .await
        .map_err(|error| failure(&asked.user, error))?;
    let changes = apply(&mut unit, &blueprint, context(&asked.context)?).await.with_context(|| name)?;
    let done = if asked.dry_run { unit.undo().await } else { unit.commit().await };
    done.map_err(|error| failure(&asked.user, error))?;
    if asked.dry_run {
        let shown = changes.iter().filter(|change| change.what != What::Kept);
        print(&shown.map(Change::to_string).collect::<String>())?;
    }
    print(&summary(&changes, asked.dry_run))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The values of `--context`. A value is YAML, so `a=true` is a boolean.
fn context(given: &[String]) -> anyhow::Result<Map<String, Value>> {
    let mut context = Map::new();
    for pair in given {
        let Some((name, value)) = pair.split_once('=') else {
            bail!("--context: {pair} must be a name, an equals sign and a value");
        };
        let value = yaml_serde::from_str(value).with_context(|| format!("--context: {name} is no YAML"))?;
        context.insert(name.to_owned(), value);
    }
    Ok(context)
}

async fn apply(
    unit: &mut UnitOfWork,
    blueprint: &Blueprint,
    context: Map<String, Value>,
) -> anyhow::Result<Vec<Change>> {
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} entries, {elapsed} gone, {eta} to go")?;
    let bar = ProgressBar::new(blueprint.entries.len() as u64).with_style(style);
    let mut import = Import::new(unit, blueprint, context).await?;
    let mut changes = Vec::with_capacity(blueprint.entries.len());
    for entry in &blueprint.entries {
        changes.push(import.apply(entry).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(changes)
}

/// How many objects became what.
fn summary(changes: &[Change], dry_run: bool) -> String {
    let count = |what| changes.iter().filter(|change| change.what == what).count();
    let would = if dry_run { "would be" } else { "are" };
    format!(
        "{} objects {would} made, {} changed, {} removed; {} stay as they are, {} entries are skipped\n",
        count(What::Made),
        count(What::Changed),
        count(What::Removed),
        count(What::Kept),
        count(What::Skipped),
    )
}
