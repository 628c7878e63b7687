//! The command line: the server, and the tools for users, roles and tokens that need no SQL. One file a command.

mod completions;
mod contract;
mod doctor;
mod export;
mod extensions;
mod healthcheck;
mod import;
mod invitation;
mod mail;
mod man;
mod role;
mod runtime;
mod serve;
mod service_manager;
mod stdout;
mod token;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::{Parser, Subcommand};
use clap_complete::Shell;

use self::invitation::Invitation;
use self::mail::Mail;
use self::role::Role;
use self::stdout::print;
use self::token::Token;
use self::user::User;
use crate::clock::Ids;
use crate::config::Settings;
use crate::db::{self, Database, Server};
use crate::error::ApiError;
use crate::resources::{self, document};
use crate::telemetry;

/// authentik's stages REST API as one small server. Settings come from the environment; the README lists them.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API
    Serve,
    /// Bring the tables of our own database up to date, and end
    Migrate,
    /// Print the OpenAPI document as YAML
    Openapi,
    /// Say what a client made for a release of authentik would miss; exit status 1 if something, 2 if the file is no document
    Contract {
        /// The OpenAPI document of that release, YAML or JSON
        file: PathBuf,
        /// Say it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask a running server whether it is ready; exit status 1 if not
    Healthcheck,
    /// Say what is connected and whether it would be served; exit status 1 if not
    Doctor,
    /// Print the SQL that grants a database role what it needs on authentik's tables
    Grants {
        /// The role
        role: String,
    },
    /// Print the SQL that makes the tables of our own beside authentik's, which mail and uses of invitations take
    Extensions {
        /// The role that shall use them; unset, no privileges are granted
        role: Option<String>,
    },
    /// Mails that wait, were sent or were given up, and what they say
    #[command(subcommand)]
    Mail(Mail),
    /// Invitations from files, and into them
    #[command(subcommand)]
    Invitation(Invitation),
    /// Print groups, flows, stages, bindings and invitations as a blueprint, which authentik can apply too
    Export {
        /// The user whose objects they are: those that this one may view
        #[arg(long, default_value = "akadmin")]
        user: String,
    },
    /// Apply a blueprint, all of it or nothing
    Import {
        /// The file; - for standard input
        file: PathBuf,
        /// A value that !Context finds, such as domain=example.com; goes before the file's own
        #[arg(long, value_name = "NAME=VALUE")]
        context: Vec<String>,
        /// The user in whose name it is done, with this one's rights
        #[arg(long, default_value = "akadmin")]
        user: String,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Print what completes this command line in a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write manual pages, one a command
    Man {
        /// The directory for them
        directory: PathBuf,
    },
    /// API tokens
    #[command(subcommand)]
    Token(Token),
    /// Users
    #[command(subcommand)]
    User(User),
    /// Roles and their permissions
    #[command(subcommand)]
    Role(Role),
}

/// The program: what its arguments say is done, and what went wrong told.
///
/// It is whole in here, runtime included: futures that the binary polled itself would be compiled into it once more.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // The main thread's stack is the system's, so the work is done on one of the runtime's.
    let done = runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(async { tokio::spawn(cli.run()).await? }));
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ak-stages: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    /// Do what the command line says.
    ///
    /// # Errors
    /// Whatever went wrong, in a sentence for the person who typed it.
    async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Openapi => print(&document::yaml()?)?,
            Command::Contract { file, json } => return contract::run(&file, json),
            Command::Extensions { role } => print(&extensions::sql(role.as_deref()))?,
            Command::Completions { shell } => completions::run(shell)?,
            Command::Man { directory } => man::run(&directory)?,
            command => command.with_settings().await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Command {
    async fn with_settings(self) -> anyhow::Result<()> {
        let settings = Settings::from_env()?;
        telemetry::start(settings.log_level, settings.log_format)?;
        match self {
            Self::Serve => serve::serve(settings).await,
            Self::Healthcheck => healthcheck::healthcheck(settings.listen),
            Self::Mail(mail) => mail.run(&settings).await,
            Self::Doctor => doctor::run(&settings).await,
            Self::Grants { role } => print(&doctor::grants(&settings, &role).await?),
            command => with_database(&settings, command).await,
        }
    }
}

async fn with_database(settings: &Settings, command: Command) -> anyhow::Result<()> {
    let server = Server::join(&settings.database).await?;
    let database = open(&server, settings).await?;
    if database.layout.is_attached() {
        bail!(
            "this is the database of an authentik: its users, roles, tokens and invitations are managed there"
        );
    }
    let result = match command {
        Command::Invitation(invitation) => invitation.run(&database, settings).await,
        Command::Export { user } => export::run(&database, settings, &user).await,
        Command::Import { file, context, user, dry_run } => {
            let asked = import::Asked { file, context, user, dry_run };
            import::run(asked, &database, settings).await
        }
        Command::Token(token) => token.run(&database.pool).await,
        Command::User(user) => user.run(&database.pool).await,
        Command::Role(role) => role.run(&database.pool).await,
        _ => Ok(()), // handled above, but for `migrate`, which is done
    };
    database.pool.close().await;
    server.stop()?;
    result
}

/// Open the database of `server`.
async fn open(server: &Server, settings: &Settings) -> anyhow::Result<Database> {
    let how = settings.database_options(resources::permissions(), resources::searched(), resources::needs());
    db::open(server.hosts(), &how, &Ids::Random).await
}

/// A role's name as PostgreSQL quotes it.
fn quoted(role: &str) -> String {
    format!("\"{}\"", role.replace('"', "\"\""))
}

/// What ended the work that was done in the name of a user.
fn failure(username: &str, error: ApiError) -> anyhow::Error {
    match error {
        ApiError::AuthenticationFailed => anyhow!(
            "there is no active user {username}: the first start of the server makes akadmin, and --user names another"
        ),
        ApiError::Internal(cause) => cause,
        error => error.into(),
    }
}

/// A unique violation as a sentence.
fn taken(error: sqlx::Error, what: &str) -> anyhow::Error {
    let violation = error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation);
    if violation { anyhow::anyhow!("this {what} is taken") } else { error.into() }
}
