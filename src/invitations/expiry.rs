//! [`Expiry`]: the task of the server that deletes expired invitations of our own database, as authentik's worker does on its
//! own. Nothing relies on it: whoever uses an invitation looks at the time.

use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::error::redacted;

/// How often somebody looks for expired ones; as often as authentik.
pub const INTERVAL: Duration = Duration::from_mins(5);
/// Invitations that go at a time.
const BATCH: i64 = 500;

/// What a server needs to delete expired invitations.
pub struct Expiry {
    pool: PgPool,
    interval: Duration,
}

impl Expiry {
    /// Delete those of `pool`, at this interval.
    pub fn new(pool: PgPool, interval: Duration) -> Self {
        Self { pool, interval }
    }

    /// Delete them until `stop` changes. Any number of servers may.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stop.changed() => return,
                () = sleep(self.interval) => {}
            }
            match delete_expired(&self.pool, BATCH).await {
                Ok(0) => {}
                Ok(deleted) => tracing::info!(deleted, "expired invitations were deleted"),
                Err(error) => {
                    tracing::warn!(cause = redacted(&error.into()), "expired invitations can't be deleted");
                }
            }
        }
    }
}

/// Delete all that have been expired for a minute, `batch` at a time, and return how many these were. Rows that others hold are
/// passed over. A use that is kept for somebody keeps the invitation; one that was kept while we look can't be seen, so
/// those that have only just expired stay.
///
/// # Errors
/// The database failed.
pub async fn delete_expired(pool: &PgPool, batch: i64) -> sqlx::Result<i64> {
    let mut deleted = 0;
    loop {
        let gone: i64 = sqlx::query_scalar(DELETE).bind(batch).fetch_one(pool).await?;
        deleted += gone;
        if gone < batch {
            return Ok(deleted);
        }
    }
}

/// One batch, with what hangs on it and its history. Reservations of those that went otherwise go, too.
const DELETE: &str = "\
    WITH due AS (\
      SELECT i.invite_uuid FROM authentik_stages_invitation_invitation i \
      WHERE i.expiring AND i.expires <= now() - interval '1 minute' AND NOT EXISTS (\
        SELECT 1 FROM ak_stages.reservation r WHERE r.invitation = i.invite_uuid AND r.expires > now()) \
      ORDER BY i.expires LIMIT $1 FOR UPDATE OF i SKIP LOCKED), \
    gone AS (\
      DELETE FROM authentik_stages_invitation_invitation i USING due WHERE i.invite_uuid = due.invite_uuid \
      RETURNING i.invite_uuid, i.name), \
    counted AS (DELETE FROM ak_stages.invitation_uses u USING gone WHERE u.invitation = gone.invite_uuid), \
    kept AS (DELETE FROM ak_stages.reservation WHERE reservation_uuid = ANY (ARRAY(\
      SELECT reservation_uuid FROM ak_stages.reservation WHERE expires <= now() - interval '1 minute' \
      LIMIT $1 FOR UPDATE SKIP LOCKED))), \
    noted AS (\
      INSERT INTO ak_stages.invitation_history (invitation, name, action, created, user_id, username, details) \
      SELECT invite_uuid, name, 'expired', now(), NULL, NULL, '{}' FROM gone) \
    SELECT count(*) FROM gone";
