//! The command line: the server, and the tools for users, roles and tokens that need no SQL.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use sqlx::PgPool;
use uuid::Uuid;

use crate::clock::{Clock, Ids};
use crate::config::Settings;
use crate::db::bootstrap::{self, NewToken, NewUser};
use crate::db::{self, Server};
use crate::drf::{openapi, rules};
use crate::resources::user::USER_TYPE;
use crate::stdout::print;
use crate::{doctor, lifecycle, telemetry};

/// authentik's stages REST API as one small server. Settings come from the environment; the README lists them.
#[derive(Parser)]
#[command(version)]
pub struct Cli {
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
    /// Ask a running server whether it is ready; exit status 1 if not
    Healthcheck,
    /// Say what is connected and whether it would be served; exit status 1 if not
    Doctor,
    /// Print the SQL that grants a database role what it needs on authentik's tables
    Grants {
        /// The role
        role: String,
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

#[derive(Subcommand)]
enum Token {
    /// Make an API token and print its key
    Create {
        /// Whose token
        username: String,
        /// Its name; generated when left out
        #[arg(long)]
        identifier: Option<String>,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
        /// How long it lives, such as days=30; for ever when left out
        #[arg(long)]
        duration: Option<String>,
    },
    /// List tokens, without their keys
    List,
    /// Delete a token: it ends at once
    Revoke {
        /// Its name
        identifier: String,
    },
}

#[derive(Subcommand)]
enum User {
    /// Make a user, who then needs roles and a token
    Create {
        /// Login name
        username: String,
        /// Display name
        #[arg(long, default_value = "")]
        name: String,
        /// Email address
        #[arg(long, default_value = "")]
        email: String,
        /// `internal`, `external`, `service_account` or `internal_service_account`
        #[arg(long = "type", default_value = "service_account")]
        kind: String,
        /// Make a superuser: a member of `authentik Admins`
        #[arg(long)]
        superuser: bool,
    },
    /// List users
    List,
}

#[derive(Subcommand)]
enum Role {
    /// Make a role
    Create {
        /// Its name
        name: String,
    },
    /// Let a role do something with every object of a kind
    Grant {
        /// The role
        name: String,
        /// Such as `view_emailstage` or `authentik_stages_email.view_emailstage`
        permissions: Vec<String>,
    },
    /// Take permissions from a role
    Revoke {
        /// The role
        name: String,
        /// As for grant
        permissions: Vec<String>,
    },
    /// Give a role to a user
    Assign {
        /// The role
        name: String,
        /// The user
        username: String,
    },
    /// List roles with their permissions and users
    List,
}

impl Cli {
    /// Do what the command line says.
    ///
    /// # Errors
    /// Whatever went wrong, in a sentence for the person who typed it.
    pub async fn run(self) -> anyhow::Result<()> {
        if let Command::Openapi = self.command {
            return print(&openapi::yaml()?);
        }
        let settings = Settings::from_env()?;
        telemetry::start(settings.log_level);
        match self.command {
            Command::Serve => lifecycle::serve(settings).await,
            Command::Healthcheck => healthcheck(settings.listen),
            Command::Doctor => doctor::run(&settings).await,
            Command::Grants { role } => print(&doctor::grants(&settings, &role).await?),
            command => with_database(&settings, command).await,
        }
    }
}

async fn with_database(settings: &Settings, command: Command) -> anyhow::Result<()> {
    let server = Server::join(settings).await?;
    let database = db::open(server.connect_options(), settings, &Ids::Random).await?;
    if database.layout.is_attached() {
        bail!("this is the database of an authentik: its users, roles and tokens are managed there");
    }
    let result = match command {
        Command::Token(token) => token.run(&database.pool).await,
        Command::User(user) => user.run(&database.pool).await,
        Command::Role(role) => role.run(&database.pool).await,
        _ => Ok(()), // handled above, but for `migrate`, which is done
    };
    database.pool.close().await;
    server.stop()?;
    result
}

/// Ask `/-/health/ready/`. A client of a few lines: an HTTP library for one request would be the larger part of the
/// program.
fn healthcheck(listen: SocketAddr) -> anyhow::Result<()> {
    let mut address = listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let limit = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&address, limit).context("the server does not answer")?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET /-/health/ready/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    if &answer == b"HTTP/1.1 204" { Ok(()) } else { bail!("the server is not ready") }
}

async fn user_id(pool: &PgPool, username: &str) -> anyhow::Result<i32> {
    let id = sqlx::query_scalar("SELECT id FROM authentik_core_user WHERE username = $1");
    id.bind(username).fetch_optional(pool).await?.with_context(|| format!("there is no user {username}"))
}

impl Token {
    async fn run(self, pool: &PgPool) -> anyhow::Result<()> {
        match self {
            Self::Create { username, identifier, description, duration } => {
                let user = user_id(pool, &username).await?;
                let expires = match duration {
                    None => None,
                    Some(text) => {
                        let duration = rules::parse_timedelta(&text).with_context(|| {
                            format!("{text}: must be a duration such as days=30;hours=12")
                        })?;
                        Some(Clock::System.after(duration))
                    }
                };
                let (pk, key) = (Ids::Random.next(), bootstrap::generate_key());
                let identifier = identifier.unwrap_or_else(|| format!("ak-stages-{}", pk.simple()));
                let token =
                    NewToken { identifier: &identifier, user, description: &description, key: &key, expires };
                let mut connection = pool.acquire().await?;
                token.insert(&mut connection, pk).await.map_err(|error| taken(error, "identifier"))?;
                print(&format!("{key}\n"))
            }
            Self::List => {
                let rows: Vec<(String, String, String, bool)> = sqlx::query_as(
                    "SELECT k.identifier, u.username, coalesce(k.expires::text, 'never'), \
                     k.expiring AND k.expires <= now() FROM authentik_core_token k \
                     JOIN authentik_core_user u ON u.id = k.user_id WHERE k.intent = 'api' ORDER BY k.identifier",
                )
                .fetch_all(pool)
                .await?;
                let line = |(identifier, username, expires, expired): &(String, String, String, bool)| {
                    let state = if *expired { "expired" } else { "expires" };
                    format!("{identifier}  {username}  {state} {expires}\n")
                };
                print(&rows.iter().map(line).collect::<String>())
            }
            Self::Revoke { identifier } => {
                let done =
                    sqlx::query("DELETE FROM authentik_core_token WHERE identifier = $1 AND intent = 'api'")
                        .bind(&identifier)
                        .execute(pool)
                        .await?;
                anyhow::ensure!(done.rows_affected() > 0, "there is no API token {identifier}");
                Ok(())
            }
        }
    }
}

/// A unique violation as a sentence.
fn taken(error: sqlx::Error, what: &str) -> anyhow::Error {
    let violation = error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation);
    if violation { anyhow::anyhow!("this {what} is taken") } else { error.into() }
}

impl User {
    async fn run(self, pool: &PgPool) -> anyhow::Result<()> {
        match self {
            Self::Create { username, name, email, kind, superuser } => {
                if !USER_TYPE.values.iter().any(|(value, _)| *value == kind) {
                    bail!("--type: must be internal, external, service_account or internal_service_account");
                }
                let mut transaction = pool.begin().await?;
                let new = NewUser { username: &username, name: &name, email: &email, kind: &kind };
                let user = new.insert(&mut transaction, &Clock::System, &Ids::Random).await;
                let user = user.map_err(|error| taken(error, "username"))?;
                if superuser {
                    sqlx::query(
                        "INSERT INTO authentik_core_user_groups (user_id, group_id) \
                         SELECT $1, group_uuid FROM authentik_core_group WHERE name = 'authentik Admins'",
                    )
                    .bind(user)
                    .execute(&mut *transaction)
                    .await?;
                }
                transaction.commit().await?;
                Ok(())
            }
            Self::List => {
                let rows: Vec<(String, String, bool)> = sqlx::query_as(
                    "SELECT username, type, is_active FROM authentik_core_user ORDER BY username",
                )
                .fetch_all(pool)
                .await?;
                let line = |(username, kind, active): &(String, String, bool)| {
                    format!("{username}  {kind}  {}\n", if *active { "active" } else { "inactive" })
                };
                print(&rows.iter().map(line).collect::<String>())
            }
        }
    }
}

async fn role_id(pool: &PgPool, name: &str) -> anyhow::Result<Uuid> {
    let id = sqlx::query_scalar("SELECT uuid FROM authentik_rbac_role WHERE name = $1");
    id.bind(name).fetch_optional(pool).await?.with_context(|| format!("there is no role {name}"))
}

/// The ids of permissions given as `codename` or `app_label.codename`.
async fn permission_ids(pool: &PgPool, names: &[String]) -> anyhow::Result<Vec<i32>> {
    let mut ids = Vec::new();
    for name in names {
        let found: Vec<i32> = sqlx::query_scalar(
            "SELECT p.id FROM auth_permission p JOIN django_content_type c ON c.id = p.content_type_id \
             WHERE $1 IN (p.codename, c.app_label || '.' || p.codename)",
        )
        .bind(name)
        .fetch_all(pool)
        .await?;
        if found.is_empty() {
            bail!("there is no permission {name}");
        }
        ids.extend(found);
    }
    Ok(ids)
}

impl Role {
    async fn run(self, pool: &PgPool) -> anyhow::Result<()> {
        match self {
            Self::Create { name } => {
                let insert = sqlx::query(
                    "INSERT INTO authentik_rbac_role (uuid, name, managed) VALUES ($1, $2, NULL)",
                );
                let done = insert.bind(Ids::Random.next()).bind(name).execute(pool).await;
                done.map_err(|error| taken(error, "role"))?;
            }
            Self::Grant { name, permissions } => {
                sqlx::query(
                    "INSERT INTO guardian_rolemodelpermission (content_type_id, permission_id, role_id) \
                     SELECT content_type_id, id, $1 FROM auth_permission WHERE id = ANY($2) ON CONFLICT DO NOTHING",
                )
                .bind(role_id(pool, &name).await?)
                .bind(permission_ids(pool, &permissions).await?)
                .execute(pool)
                .await?;
            }
            Self::Revoke { name, permissions } => {
                sqlx::query(
                    "DELETE FROM guardian_rolemodelpermission WHERE role_id = $1 AND permission_id = ANY($2)",
                )
                .bind(role_id(pool, &name).await?)
                .bind(permission_ids(pool, &permissions).await?)
                .execute(pool)
                .await?;
            }
            Self::Assign { name, username } => {
                sqlx::query(
                    "INSERT INTO authentik_core_user_roles (user_id, role_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                )
                .bind(user_id(pool, &username).await?)
                .bind(role_id(pool, &name).await?)
                .execute(pool)
                .await?;
            }
            Self::List => {
                let rows: Vec<(String, Vec<String>, Vec<String>)> = sqlx::query_as(
                    "SELECT r.name, \
                     ARRAY(SELECT p.codename::text FROM guardian_rolemodelpermission m \
                       JOIN auth_permission p ON p.id = m.permission_id WHERE m.role_id = r.uuid ORDER BY 1), \
                     ARRAY(SELECT u.username::text FROM authentik_core_user_roles m \
                       JOIN authentik_core_user u ON u.id = m.user_id WHERE m.role_id = r.uuid ORDER BY 1) \
                     FROM authentik_rbac_role r ORDER BY r.name",
                )
                .fetch_all(pool)
                .await?;
                let line = |(name, permissions, users): &(String, Vec<String>, Vec<String>)| {
                    format!("{name}  may {}  held by {}\n", list(permissions), list(users))
                };
                print(&rows.iter().map(line).collect::<String>())?;
            }
        }
        Ok(())
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "-".to_owned() } else { items.join(", ") }
}
