//! How often an invitation may be used, and how often it was.
//!
//! Whether one is usable, and the use itself, are one statement; by the database's clock, whatever that of the server says.
//! The row of the invitation is locked before, so that two of them see each other.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::db::Sql;

/// Why an invitation can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Refusal {
    /// It has ended.
    Expired,
    /// It is for another flow.
    OtherFlow,
    /// It was used as often as it may be.
    UsedUp,
    /// What it has left is kept for others.
    Reserved,
}

/// What an invitation is good for at the moment.
#[derive(Debug, Serialize, FromRow)]
pub struct State {
    /// Whether it can be used.
    pub usable: bool,
    /// Why not.
    pub reason: Option<Refusal>,
    /// When it ends.
    #[serde(serialize_with = "drf::time::serialize_option")]
    pub expires: Option<DateTime<Utc>>,
    /// How often it may be used in all, if somebody said.
    pub max_uses: Option<i32>,
    /// How often it was.
    pub uses: i32,
    /// How many uses are kept for somebody.
    pub reserved: i64,
    /// How many uses are left for others; none for any number.
    pub left: Option<i64>,
}

/// Who wants to use an invitation.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The invitation.
    pub invitation: Uuid,
    /// The slug of the flow that it is for, if that is said.
    pub flow: Option<&'a str>,
    /// The use that was kept for this: it doesn't count, nor does it matter that the invitation has ended since.
    pub reservation: Option<Uuid>,
}

/// `SELECT` the state of the invitation. A single-use one that is there was not used up, whatever its uses were before it
/// became one.
fn push_state(query: &mut Sql, asked: Asked<'_>) {
    query.push(
        "SELECT i.*, r.reason, r.reason IS NULL AS usable \
         FROM (SELECT i.invite_uuid AS key, i.expires, u.max_uses, coalesce(u.uses, 0) AS uses, h.reserved, f.slug, \
             l.unused - h.reserved AS \"left\", l.unused, l.unused IS NOT NULL AND l.unused <= 1 AS ends \
           FROM authentik_stages_invitation_invitation i \
           LEFT JOIN authentik_flows_flow f ON f.flow_uuid = i.flow_id \
           LEFT JOIN ak_stages.invitation_uses u ON u.invitation = i.invite_uuid \
           CROSS JOIN LATERAL (SELECT least(CASE WHEN i.single_use THEN 1 END, u.max_uses - u.uses) AS unused) l \
           CROSS JOIN LATERAL (SELECT count(*) AS reserved FROM ak_stages.reservation r \
             WHERE r.invitation = i.invite_uuid AND r.expires > statement_timestamp() \
               AND r.reservation_uuid IS DISTINCT FROM ",
    );
    query.bind(asked.reservation).push(") h WHERE i.invite_uuid = ").bind(asked.invitation);
    query.push(") i CROSS JOIN LATERAL (SELECT CASE WHEN i.expires <= statement_timestamp() AND ");
    query.bind(asked.reservation).push(" IS NULL THEN 'expired' WHEN i.slug <> ").bind(asked.flow);
    query.push(
        " THEN 'other_flow' WHEN i.unused <= 0 THEN 'used_up' WHEN i.\"left\" <= 0 THEN 'reserved' END AS reason) r",
    );
}

/// What an invitation is good for; none for one that isn't there. Changes nothing.
///
/// # Errors
/// The database failed, or has no such tables.
pub async fn state(connection: &mut PgConnection, asked: Asked<'_>) -> sqlx::Result<Option<State>> {
    let mut query = Sql::new("");
    push_state(&mut query, asked);
    query.build_query_as().fetch_optional(connection).await
}

/// A use, or the attempt of one.
#[derive(Debug, FromRow)]
pub struct Attempt {
    /// Why it isn't one.
    pub reason: Option<Refusal>,
    /// Whether the reservation that it takes is there.
    pub held: bool,
    /// How often the invitation has been used now.
    pub uses: i32,
    /// Whether that was the last use that it had.
    pub ends: bool,
}

/// Use an invitation once, with the reservation that was made for this or without.
///
/// # Errors
/// The database failed, or has no such tables.
pub async fn redeem(connection: &mut PgConnection, asked: Asked<'_>) -> sqlx::Result<Option<Attempt>> {
    let mut query = Sql::new("WITH state AS (");
    push_state(&mut query, asked);
    query.push("), held AS (DELETE FROM ak_stages.reservation WHERE reservation_uuid = ");
    query.bind(asked.reservation).push(" AND invitation = ").bind(asked.invitation);
    query.push(" AND expires > statement_timestamp() RETURNING TRUE), judged AS (SELECT s.*, (");
    query.bind(asked.reservation).push(
        " IS NULL OR EXISTS (SELECT FROM held)) AS held FROM state s), \
         used AS (INSERT INTO ak_stages.invitation_uses AS u (invitation, max_uses, uses) \
           SELECT key, NULL, 1 FROM judged WHERE usable AND held \
           ON CONFLICT (invitation) DO UPDATE SET uses = u.uses + 1 RETURNING uses) \
         SELECT j.reason, j.held, coalesce((SELECT uses FROM used), j.uses) AS uses, j.ends FROM judged j",
    );
    query.build_query_as().fetch_optional(connection).await
}

/// A use that is kept, or the attempt to keep one.
#[derive(Debug, FromRow)]
pub struct Reserved {
    /// Why it isn't kept.
    pub reason: Option<Refusal>,
    /// Until when it is.
    pub until: Option<DateTime<Utc>>,
    /// How often the invitation has been used.
    pub uses: i32,
}

/// Keep a use for so many seconds, under the key `reservation`.
///
/// # Errors
/// The database failed, or has no such tables.
pub async fn reserve(
    connection: &mut PgConnection,
    asked: Asked<'_>,
    reservation: Uuid,
    seconds: i32,
) -> sqlx::Result<Option<Reserved>> {
    let mut query = Sql::new("WITH state AS (");
    push_state(&mut query, asked);
    query.push(
        "), kept AS (INSERT INTO ak_stages.reservation (reservation_uuid, invitation, expires) SELECT ",
    );
    query.bind(reservation).push(", key, statement_timestamp() + make_interval(secs => ").bind(seconds).push(
        ") FROM state WHERE usable RETURNING expires) \
         SELECT s.reason, (SELECT expires FROM kept) AS until, s.uses FROM state s",
    );
    query.build_query_as().fetch_optional(connection).await
}

/// Keep it no longer. Returns whether it was kept.
///
/// # Errors
/// The database failed, or has no such tables.
pub async fn release(
    connection: &mut PgConnection,
    invitation: Uuid,
    reservation: Uuid,
) -> sqlx::Result<bool> {
    let delete = sqlx::query(
        "DELETE FROM ak_stages.reservation \
         WHERE reservation_uuid = $1 AND invitation = $2 AND expires > statement_timestamp()",
    );
    Ok(delete.bind(reservation).bind(invitation).execute(connection).await?.rows_affected() > 0)
}

/// Say how often new invitations may be used.
///
/// # Errors
/// The database failed, or has no such tables.
pub async fn limit_new(connection: &mut PgConnection, limits: &[(Uuid, i32)]) -> sqlx::Result<()> {
    let (keys, limits): (Vec<Uuid>, Vec<i32>) = limits.iter().copied().unzip();
    sqlx::query(
        "INSERT INTO ak_stages.invitation_uses (invitation, max_uses, uses) \
         SELECT l.key, l.max_uses, 0 FROM unnest($1::uuid[], $2::integer[]) AS l (key, max_uses)",
    )
    .bind(keys)
    .bind(limits)
    .execute(connection)
    .await?;
    Ok(())
}

/// Say how often an invitation may be used, or that nothing limits it. Returns what was said before.
///
/// # Errors
/// The database failed, or has no such tables.
pub async fn limit(
    connection: &mut PgConnection,
    invitation: Uuid,
    max_uses: Option<i32>,
) -> sqlx::Result<Option<i32>> {
    let before: Option<Option<i32>> = sqlx::query_scalar(
        "WITH said AS (INSERT INTO ak_stages.invitation_uses AS u (invitation, max_uses, uses) VALUES ($1, $2, 0) \
           ON CONFLICT (invitation) DO UPDATE SET max_uses = $2) \
         SELECT max_uses FROM ak_stages.invitation_uses WHERE invitation = $1",
    )
    .bind(invitation)
    .bind(max_uses)
    .fetch_optional(connection)
    .await?;
    Ok(before.flatten())
}

/// How often each of these invitations may be used, of those of which somebody said.
///
/// # Errors
/// The database failed, or has no such tables.
pub async fn limits(
    connection: &mut PgConnection,
    invitations: &[Uuid],
) -> sqlx::Result<Vec<(Uuid, Option<i32>)>> {
    let select = "SELECT invitation, max_uses FROM ak_stages.invitation_uses WHERE invitation = ANY ($1)";
    sqlx::query_as(select).bind(invitations).fetch_all(connection).await
}
