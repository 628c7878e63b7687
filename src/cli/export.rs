//! `ak-stages export`: all objects as a blueprint.

use std::io::{Write, stderr};

use indicatif::ProgressBar;

use super::failure;
use super::stdout::print;
use crate::app::App;
use crate::blueprints::{Export, HEAD};
use crate::clock::{Clock, Ids};
use crate::config::Settings;
use crate::db::Database;
use crate::views::UnitOfWork;

/// Print the blueprint of what `user` may view.
///
/// # Errors
/// There is no such user, the database failed, or standard output can't be written to.
pub async fn run(database: &Database, settings: &Settings, user: &str) -> anyhow::Result<()> {
    let app = App::new(database.clone(), settings.clone(), Clock::System, Ids::Random);
    let mut unit =
        UnitOfWork::to_read(&app, user, "extended=true").await.map_err(|error| failure(user, error))?;
    let bar = ProgressBar::new_spinner();
    let mut export = Export::new(&mut unit);
    let mut text = HEAD.to_owned();
    let seen = |objects: usize| bar.inc(objects as u64);
    while let Some(entries) = export.next(seen).await.map_err(|error| failure(user, error))? {
        text.extend(entries);
    }
    bar.finish_and_clear();
    let email_stages = export.email_stages;
    // Only now: a reader that takes its time would leave the transaction idle for longer than the database lets it be.
    unit.undo().await.map_err(|error| failure(user, error))?;
    print(&text)?;
    if email_stages > 0 {
        writeln!(stderr(), "the SMTP passwords of {email_stages} email stages are not in the export")?;
    }
    Ok(())
}
