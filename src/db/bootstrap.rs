//! What an empty database of our own is given at the first start: the permissions, the superusers' group, the first
//! user and one token.

use anyhow::{bail, ensure};
use drf::permission::Model;
use rand::RngExt;
use rand::distr::Alphanumeric;
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use crate::clock::{Clock, Ids};
use crate::contract::models::permission_name;

/// Serialises the first starts of several servers on one database.
const LOCK: i64 = 0x616b_7374_6167_6573;
/// Characters of a generated key, authentik's default.
const KEY_LENGTH: usize = 60;

/// A random key for a token.
pub fn generate_key() -> String {
    rand::rng().sample_iter(&Alphanumeric).take(KEY_LENGTH).map(char::from).collect()
}

/// What Django keeps where a user has no password: a mark, and something that nobody can guess.
pub fn unusable_password() -> String {
    format!("!{}", generate_key())
}

/// Make the content types and the permissions of every model; those that are there stay, but for their names.
///
/// # Errors
/// The database failed.
pub async fn permissions(pool: &PgPool, permissions: &[(Model, String)]) -> anyhow::Result<()> {
    let (mut apps, mut models, mut codenames, mut names) = (vec![], vec![], vec![], vec![]);
    for (model, codename) in permissions {
        apps.push(model.app_label);
        models.push(model.model);
        names.push(permission_name(model, codename));
        codenames.push(codename.as_str());
    }
    let mut transaction = pool.begin().await?;
    lock(&mut transaction).await?;
    sqlx::query(
        "INSERT INTO django_content_type (app_label, model) SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) \
         ON CONFLICT DO NOTHING",
    )
    .bind(&apps)
    .bind(&models)
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "INSERT INTO auth_permission (name, content_type_id, codename) \
         SELECT n.name, c.id, n.codename FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) \
           AS n (app, model, codename, name) \
         JOIN django_content_type c ON c.app_label = n.app AND c.model = n.model \
         ON CONFLICT (content_type_id, codename) DO UPDATE SET name = excluded.name \
           WHERE auth_permission.name <> excluded.name",
    )
    .bind(&apps)
    .bind(&models)
    .bind(&codenames)
    .bind(&names)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// The id of this installation, made at the first start.
///
/// # Errors
/// The database failed.
pub async fn install_id(pool: &PgPool, ids: &Ids) -> anyhow::Result<String> {
    let mut transaction = pool.begin().await?;
    lock(&mut transaction).await?;
    let known: Option<String> =
        sqlx::query_scalar("SELECT id FROM authentik_install_id").fetch_optional(&mut *transaction).await?;
    let id = match known {
        Some(id) => id,
        None => {
            let id = ids.next().to_string();
            sqlx::query("INSERT INTO authentik_install_id (id) VALUES ($1)")
                .bind(&id)
                .execute(&mut *transaction)
                .await?;
            id
        }
    };
    transaction.commit().await?;
    Ok(id)
}

/// What is known of the first user, `akadmin`, and the first token.
#[derive(Clone)]
pub struct FirstUser {
    /// Email address.
    pub email: String,
    /// The token's key; generated where there is none.
    pub token: Option<String>,
}

/// On a database without users, make the group `authentik Admins`, the user `akadmin` and an API token. Gives the
/// token's key if it was made now: this is the only time that it is shown.
///
/// # Errors
/// The database failed.
pub async fn first_user(
    pool: &PgPool,
    first: &FirstUser,
    clock: &Clock,
    ids: &Ids,
) -> anyhow::Result<Option<String>> {
    let mut transaction = pool.begin().await?;
    lock(&mut transaction).await?;
    let empty: bool = sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM authentik_core_user)")
        .fetch_one(&mut *transaction)
        .await?;
    if !empty {
        return Ok(None);
    }
    let group = ids.next();
    sqlx::query(
        "INSERT INTO authentik_core_group (group_uuid, name, attributes, is_superuser) \
         VALUES ($1, 'authentik Admins', '{}', TRUE)",
    )
    .bind(group)
    .execute(&mut *transaction)
    .await?;
    let new = NewUser {
        username: "akadmin",
        name: "authentik Default Admin",
        email: &first.email,
        kind: "internal",
    };
    let user = new.insert(&mut transaction, clock, ids).await?;
    sqlx::query("INSERT INTO authentik_core_user_groups (user_id, group_id) VALUES ($1, $2)")
        .bind(user)
        .bind(group)
        .execute(&mut *transaction)
        .await?;
    let key = first.token.clone().unwrap_or_else(generate_key);
    let token =
        NewToken { identifier: "authentik-bootstrap-token", user, description: "", key: &key, expires: None };
    token.insert(&mut transaction, ids.next()).await?;
    transaction.commit().await?;
    Ok(Some(key))
}

pub(super) async fn lock(connection: &mut PgConnection) -> sqlx::Result<()> {
    debug_assert!(connection.is_in_transaction(), "the lock ends with the transaction");
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(connection).await?;
    Ok(())
}

/// A user to be made.
pub struct NewUser<'a> {
    /// Login name.
    pub username: &'a str,
    /// Display name.
    pub name: &'a str,
    /// Email address.
    pub email: &'a str,
    /// One of authentik's types of users, such as `service_account`.
    pub kind: &'a str,
}

impl NewUser<'_> {
    /// Make the user; a `superuser` as a member of `authentik Admins`.
    ///
    /// # Errors
    /// The name is taken, the server was never started, or somebody has removed or renamed the group.
    pub async fn make(&self, pool: &PgPool, superuser: bool, clock: &Clock, ids: &Ids) -> anyhow::Result<()> {
        let mut transaction = pool.begin().await?;
        let somebody = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM authentik_core_user)");
        if !somebody.fetch_one(&mut *transaction).await? {
            // With a user there, the first start would take the database for one that has its superuser.
            bail!(
                "there is nobody yet: the first start of the server makes akadmin, and the group of superusers"
            );
        }
        let user = self.insert(&mut transaction, clock, ids).await?;
        if superuser {
            let join = sqlx::query(
                "INSERT INTO authentik_core_user_groups (user_id, group_id) \
                 SELECT $1, group_uuid FROM authentik_core_group WHERE name = 'authentik Admins'",
            );
            let joined = join.bind(user).execute(&mut *transaction).await?;
            ensure!(
                joined.rows_affected() > 0,
                "there is no group `authentik Admins` to put a superuser into"
            );
        }
        Ok(transaction.commit().await?)
    }

    /// Make the user, without a password: such users only hold tokens. Gives the id.
    ///
    /// # Errors
    /// The name is taken, or the database failed.
    pub async fn insert(&self, connection: &mut PgConnection, clock: &Clock, ids: &Ids) -> sqlx::Result<i32> {
        sqlx::query_scalar(
            "INSERT INTO authentik_core_user (password, last_login, username, first_name, last_name, email, is_active, \
             date_joined, uuid, name, password_change_date, attributes, path, type, last_updated) \
             VALUES ($1, NULL, $2, '', '', $3, TRUE, $4, $5, $6, $4, '{}', 'users', $7, $4) RETURNING id",
        )
        .bind(unusable_password())
        .bind(self.username)
        .bind(self.email)
        .bind(clock.now())
        .bind(ids.next())
        .bind(self.name)
        .bind(self.kind)
        .fetch_one(connection)
        .await
    }
}

/// An API token to be made.
pub struct NewToken<'a> {
    /// Its name, unique.
    pub identifier: &'a str,
    /// Whose it is.
    pub user: i32,
    /// What it is for.
    pub description: &'a str,
    /// The secret.
    pub key: &'a str,
    /// When it ends; `None` for never.
    pub expires: Option<chrono::DateTime<chrono::Utc>>,
}

impl NewToken<'_> {
    /// Make the token.
    ///
    /// # Errors
    /// The identifier is taken, or the database failed.
    pub async fn insert(&self, connection: &mut PgConnection, pk: Uuid) -> sqlx::Result<()> {
        sqlx::query(
            "INSERT INTO authentik_core_token (token_uuid, expires, expiring, description, user_id, intent, identifier, \
             key, managed) VALUES ($1, $2, $3, $4, $5, 'api', $6, $7, NULL)",
        )
        .bind(pk)
        .bind(self.expires)
        .bind(self.expires.is_some())
        .bind(self.description)
        .bind(self.user)
        .bind(self.identifier)
        .bind(self.key)
        .execute(connection)
        .await?;
        Ok(())
    }
}
