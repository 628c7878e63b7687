//! `ak-stages role`: roles and their permissions.

use anyhow::{Context, bail};
use clap::Subcommand;
use sqlx::PgPool;
use uuid::Uuid;

use super::stdout::print;
use super::taken;
use super::user::user_id;
use crate::auth::roles;
use crate::clock::Ids;

/// What to do with roles.
#[derive(Subcommand)]
pub enum Role {
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
    /// Do it.
    ///
    /// # Errors
    /// A sentence for whoever typed it.
    pub async fn run(self, pool: &PgPool) -> anyhow::Result<()> {
        match self {
            Self::Create { name } => {
                let insert = sqlx::query(
                    "INSERT INTO authentik_rbac_role (uuid, name, managed) VALUES ($1, $2, NULL)",
                );
                let done = insert.bind(Ids::Random.next()).bind(name).execute(pool).await;
                done.map_err(|error| taken(error, "role"))?;
            }
            Self::Grant { name, permissions } => {
                let (role, permissions) =
                    (role_id(pool, &name).await?, permission_ids(pool, &permissions).await?);
                roles::give(&mut *pool.acquire().await?, role, &permissions, None).await?;
            }
            Self::Revoke { name, permissions } => {
                let (role, permissions) =
                    (role_id(pool, &name).await?, permission_ids(pool, &permissions).await?);
                roles::take(&mut *pool.acquire().await?, role, &permissions, None).await?;
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
