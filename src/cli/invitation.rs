//! `ak-stages invitation`: invitations from files, and into them.

mod export;
mod import;
mod lines;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use crate::config::Settings;
use crate::db::Database;

/// What to do with invitations.
#[derive(Subcommand)]
pub enum Invitation {
    /// Make an invitation of each line of a file; lines that are in already are passed over
    Import {
        /// A CSV file with a header, or JSON Lines (.jsonl, .ndjson). Columns that are no field go to the fixed data
        file: PathBuf,
        /// The slug of the flow that they are for
        #[arg(long)]
        flow: String,
        /// A JSON file with what they have in common
        #[arg(long)]
        template: Option<PathBuf>,
        /// How long those live that don't say so, such as days=14
        #[arg(long)]
        duration: Option<String>,
        /// The user in whose name they are made
        #[arg(long, default_value = "akadmin")]
        user: String,
        /// Only say what would be made, and what is wrong
        #[arg(long)]
        dry_run: bool,
    },
    /// Print invitations
    Export {
        /// How
        #[arg(long, value_enum, default_value_t = Format::Csv)]
        format: Format,
        /// Only those for the flow with this slug
        #[arg(long)]
        flow: Option<String>,
    },
}

/// How lines are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated values under a header
    Csv,
    /// A JSON object a line
    Jsonl,
}

impl Invitation {
    /// Do it.
    ///
    /// # Errors
    /// A sentence for whoever typed it.
    pub async fn run(self, database: &Database, settings: &Settings) -> anyhow::Result<()> {
        match self {
            Self::Import { file, flow, template, duration, user, dry_run } => {
                let asked = import::Asked { file, flow, template, duration, user, dry_run };
                import::run(asked, database, settings).await
            }
            Self::Export { format, flow } => export::run(&database.pool, format, flow.as_deref()).await,
        }
    }
}
