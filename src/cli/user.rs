//! `ak-stages user`: users.

use anyhow::{Context, bail};
use clap::Subcommand;
use sqlx::PgPool;

use super::stdout::print;
use super::taken;
use crate::clock::{Clock, Ids};
use crate::db::bootstrap::NewUser;
use crate::resources::user::USER_TYPE;

/// What to do with users.
#[derive(Subcommand)]
pub enum User {
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

impl User {
    /// Do it.
    ///
    /// # Errors
    /// A sentence for whoever typed it.
    pub async fn run(self, pool: &PgPool) -> anyhow::Result<()> {
        match self {
            Self::Create { username, name, email, kind, superuser } => {
                if !USER_TYPE.values.iter().any(|(value, _)| *value == kind) {
                    bail!("--type: must be internal, external, service_account or internal_service_account");
                }
                let new = NewUser { username: &username, name: &name, email: &email, kind: &kind };
                let made = new.make(pool, superuser, &Clock::System, &Ids::Random).await;
                made.map_err(|error| match error.downcast() {
                    Ok(error) => taken(error, "username"),
                    Err(sentence) => sentence,
                })
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

/// The id of a user.
///
/// # Errors
/// There is no such user, or the database failed.
pub async fn user_id(pool: &PgPool, username: &str) -> anyhow::Result<i32> {
    let id = sqlx::query_scalar("SELECT id FROM authentik_core_user WHERE username = $1");
    id.bind(username).fetch_optional(pool).await?.with_context(|| format!("there is no user {username}"))
}
