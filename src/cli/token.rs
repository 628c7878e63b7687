//! `ak-stages token`: API tokens.

use anyhow::Context;
use clap::Subcommand;
use sqlx::PgPool;

use super::stdout::print;
use super::taken;
use super::user::user_id;
use crate::clock::{Clock, Ids};
use crate::contract::duration::parse_timedelta;
use crate::db::bootstrap::{self, NewToken};

/// What to do with tokens.
#[derive(Subcommand)]
pub enum Token {
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

impl Token {
    /// Do it.
    ///
    /// # Errors
    /// A sentence for whoever typed it.
    pub async fn run(self, pool: &PgPool) -> anyhow::Result<()> {
        match self {
            Self::Create { username, identifier, description, duration } => {
                let user = user_id(pool, &username).await?;
                let expires = match duration {
                    None => None,
                    Some(text) => {
                        let duration = parse_timedelta(&text).with_context(|| {
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
