//! Idempotency keys: the answers to POSTs that their clients may send again. All times are the database's, so replicas need
//! not agree on them.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, PgPool};
use tokio::time::sleep;

use super::volume;
use crate::error::redacted;

/// The first half of the numbers of advisory locks that stand for keys; a user's is the other.
const LOCKS: i64 = 0x616b_6964 << 32; // "akid"
/// How often it is looked whether keys are to be deleted.
const PERIOD: Duration = Duration::from_mins(10);
/// Keys that are deleted at a time.
const BATCH: i64 = 1000;

/// What a request was, and how it was answered.
#[derive(Debug, FromRow)]
pub struct Kept {
    /// A digest of the request.
    pub request: Vec<u8>,
    /// The status.
    pub status: i32,
    /// The headers.
    pub headers: Json<Vec<(String, String)>>,
    /// The body.
    pub body: Vec<u8>,
}

/// Have a user's key until the transaction ends. Nobody waits: tells whether it is free.
///
/// # Errors
/// The database failed.
pub async fn take(connection: &mut PgConnection, user: i32, key: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended($1, $2))")
        .bind(key)
        .bind(LOCKS | i64::from(user))
        .fetch_one(connection)
        .await
}

/// What is kept under a user's key, if that isn't older than a day.
///
/// # Errors
/// The database failed, or has no such table.
pub async fn find(connection: &mut PgConnection, user: i32, key: &str) -> sqlx::Result<Option<Kept>> {
    let select = sqlx::query(
        "SELECT request, status, headers, body FROM ak_stages.idempotency \
         WHERE user_id = $1 AND key = $2 AND created > now() - interval '24 hours'",
    );
    let row = select.bind(user).bind(key).try_map(volume::count).fetch_optional(connection).await?;
    row.as_ref().map(Kept::from_row).transpose()
}

/// Keep this under a user's key, which [`take`] gave, in the place of what is older than a day.
///
/// # Errors
/// The database failed.
pub async fn keep(connection: &mut PgConnection, user: i32, key: &str, kept: &Kept) -> sqlx::Result<()> {
    let insert = sqlx::query(
        "INSERT INTO ak_stages.idempotency (user_id, key, created, request, status, headers, body) \
         VALUES ($1, $2, now(), $3, $4, $5, $6) ON CONFLICT (user_id, key) DO UPDATE SET created = excluded.created, \
           request = excluded.request, status = excluded.status, headers = excluded.headers, body = excluded.body",
    );
    let insert = insert.bind(user).bind(key).bind(&kept.request).bind(kept.status);
    insert.bind(&kept.headers).bind(&kept.body).execute(connection).await?;
    Ok(())
}

/// Delete what is of no more use, every now and then. This never ends.
pub async fn tidy(pool: PgPool) -> Infallible {
    loop {
        if let Err(error) = delete_old(&pool).await {
            tracing::warn!(cause = %redacted(&error.into()), "idempotency keys could not be deleted");
        }
        sleep(PERIOD).await;
    }
}

/// Delete what is older than a day, if the table is there and ours to change.
///
/// # Errors
/// The database failed.
pub async fn delete_old(pool: &PgPool) -> sqlx::Result<()> {
    let look = "SELECT has_table_privilege(to_regclass('ak_stages.idempotency'), 'DELETE')";
    let may_delete: Option<bool> = sqlx::query_scalar(look).fetch_one(pool).await?;
    if may_delete != Some(true) {
        return Ok(());
    }
    let delete = "DELETE FROM ak_stages.idempotency WHERE ctid = ANY(ARRAY(\
           SELECT ctid FROM ak_stages.idempotency WHERE created <= now() - interval '24 hours' \
           LIMIT $1 FOR UPDATE SKIP LOCKED))";
    while sqlx::query(delete).bind(BATCH).execute(pool).await?.rows_affected() > 0 {}
    Ok(())
}
