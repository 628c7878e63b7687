//! What happened to invitations, and who did it: written in the transaction of what happened, and kept when they are gone.

use chrono::{DateTime, Utc};
use drf::field::Key;
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::db::statements::Restriction;
use crate::db::{Dictionary, Sql};

/// What happened to an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// It was made.
    Created,
    /// Mails with its link were asked for.
    Mailed,
    /// It was used.
    Redeemed,
}

impl Happened {
    /// As the table has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Mailed => "mailed",
            Self::Redeemed => "redeemed",
        }
    }
}

/// Who did something, and when.
#[derive(Debug, Clone, Copy)]
pub struct Doer<'a> {
    /// The user's id.
    pub user: i32,
    /// The user's name, which is kept when the user is gone.
    pub username: &'a str,
    /// When.
    pub at: DateTime<Utc>,
}

/// Invitations by their keys, with their names.
pub type Named = [(Uuid, String)];

fn split(invitations: &Named) -> (Vec<Uuid>, Vec<&str>) {
    invitations.iter().map(|(key, name)| (*key, name.as_str())).unzip()
}

/// Write down what happened to all of these alike.
///
/// # Errors
/// The database failed, or has no such table.
pub async fn note(
    connection: &mut PgConnection,
    doer: Doer<'_>,
    happened: Happened,
    invitations: &Named,
    details: &Value,
) -> sqlx::Result<()> {
    let (keys, names) = split(invitations);
    sqlx::query(
        "INSERT INTO ak_stages.invitation_history (invitation, name, action, created, user_id, username, details) \
         SELECT i.key, i.name, $3, $4, $5, $6, $7 FROM unnest($1::uuid[], $2::text[]) AS i (key, name)",
    )
    .bind(keys)
    .bind(names)
    .bind(happened.name())
    .bind(doer.at)
    .bind(doer.user)
    .bind(doer.username)
    .bind(details)
    .execute(connection)
    .await?;
    Ok(())
}

/// Write down that these are deleted, and forget how often they were used and for whom uses are kept.
///
/// # Errors
/// The database failed, or has no such tables.
pub async fn deleted(connection: &mut PgConnection, doer: Doer<'_>, invitations: &Named) -> sqlx::Result<()> {
    let (keys, names) = split(invitations);
    sqlx::query(
        "WITH counted AS (DELETE FROM ak_stages.invitation_uses WHERE invitation = ANY ($1)), \
         kept AS (DELETE FROM ak_stages.reservation WHERE invitation = ANY ($1)) \
         INSERT INTO ak_stages.invitation_history (invitation, name, action, created, user_id, username, details) \
         SELECT i.key, i.name, 'deleted', $3, $4, $5, '{}' FROM unnest($1::uuid[], $2::text[]) AS i (key, name)",
    )
    .bind(keys)
    .bind(names)
    .bind(doer.at)
    .bind(doer.user)
    .bind(doer.username)
    .execute(connection)
    .await?;
    Ok(())
}

/// Write down that those which a user made are deleted, and forget their uses: they go with the user.
///
/// # Errors
/// The database failed, or has no such tables.
pub async fn deleted_with(connection: &mut PgConnection, doer: Doer<'_>, creator: i32) -> sqlx::Result<()> {
    sqlx::query(
        "WITH gone AS (SELECT invite_uuid, name FROM authentik_stages_invitation_invitation WHERE created_by_id = $1), \
         counted AS (DELETE FROM ak_stages.invitation_uses u USING gone WHERE u.invitation = gone.invite_uuid), \
         kept AS (DELETE FROM ak_stages.reservation r USING gone WHERE r.invitation = gone.invite_uuid) \
         INSERT INTO ak_stages.invitation_history (invitation, name, action, created, user_id, username, details) \
         SELECT invite_uuid, name, 'deleted', $2, $3, $4, '{}' FROM gone",
    )
    .bind(creator)
    .bind(doer.at)
    .bind(doer.user)
    .bind(doer.username)
    .execute(connection)
    .await?;
    Ok(())
}

/// Write down that those which are for a flow are for none any more: it is deleted.
///
/// # Errors
/// The database failed, or has no such table.
pub async fn left_by(connection: &mut PgConnection, doer: Doer<'_>, flow: Uuid) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO ak_stages.invitation_history (invitation, name, action, created, user_id, username, details) \
         SELECT invite_uuid, name, 'changed', $2, $3, $4, \
           jsonb_build_object('flow', jsonb_build_object('old', flow_id, 'new', NULL)) \
         FROM authentik_stages_invitation_invitation WHERE flow_id = $1",
    )
    .bind(flow)
    .bind(doer.at)
    .bind(doer.user)
    .bind(doer.username)
    .execute(connection)
    .await?;
    Ok(())
}

/// An invitation as it was before a change.
#[derive(Debug)]
pub struct Before<'a> {
    /// Its key.
    pub invitation: Uuid,
    /// Its name.
    pub name: &'a str,
    /// When it ended.
    pub expires: Option<DateTime<Utc>>,
    /// Its data.
    pub fixed_data: &'a Dictionary,
    /// Whether it was for one use.
    pub single_use: bool,
    /// The key of the flow that it was for.
    pub flow: Option<Uuid>,
}

/// Write down what was changed: every field that differs, and every entry of its data, as it was and as it is. What stands in
/// other tables is told by `more`, in the same form. An invitation that is saved as it was leaves nothing.
///
/// # Errors
/// The database failed, or has no such table.
pub async fn changed(
    connection: &mut PgConnection,
    doer: Doer<'_>,
    before: &Before<'_>,
    more: &Value,
) -> sqlx::Result<()> {
    sqlx::query(
        "WITH fields AS (\
           SELECT name, jsonb_build_object('name', $2::text, 'expires', $3::timestamptz, 'single_use', $5::boolean, \
               'flow', $6::uuid) AS old_fields, $4::jsonb AS old_data, \
             jsonb_build_object('name', name, 'expires', expires, 'single_use', single_use, 'flow', flow_id) AS new_fields, \
             fixed_data AS new_data \
           FROM authentik_stages_invitation_invitation WHERE invite_uuid = $1), \
         differing AS (\
           SELECT d.field, jsonb_build_object('old', d.old, 'new', d.new) AS change FROM fields CROSS JOIN LATERAL (\
             SELECT key AS field, o.value AS old, n.value AS new \
             FROM jsonb_each(old_fields) o FULL JOIN jsonb_each(new_fields) n USING (key) \
             UNION ALL SELECT 'fixed_data.' || key, o.value, n.value \
             FROM jsonb_each(old_data) o FULL JOIN jsonb_each(new_data) n USING (key)) d \
           WHERE d.old IS DISTINCT FROM d.new), \
         changes AS (SELECT coalesce(jsonb_object_agg(field, change), '{}') || $10::jsonb AS changes FROM differing) \
         INSERT INTO ak_stages.invitation_history (invitation, name, action, created, user_id, username, details) \
         SELECT $1, f.name, 'changed', $7, $8, $9, c.changes FROM fields f, changes c WHERE c.changes <> '{}'",
    )
    .bind(before.invitation)
    .bind(before.name)
    .bind(before.expires)
    .bind(before.fixed_data)
    .bind(before.single_use)
    .bind(before.flow)
    .bind(doer.at)
    .bind(doer.user)
    .bind(doer.username)
    .bind(more)
    .execute(connection)
    .await?;
    Ok(())
}

/// Something that happened, as it is shown.
#[derive(Debug, Serialize, FromRow)]
pub struct Entry {
    /// Its number: later ones have higher ones.
    pub id: i64,
    /// The invitation.
    pub invitation: Uuid,
    /// What it was called.
    pub name: String,
    /// What happened.
    pub action: String,
    /// When.
    #[serde(serialize_with = "drf::time::serialize")]
    pub created: DateTime<Utc>,
    /// Who did it; nobody where it ended by itself.
    pub user: Option<i32>,
    /// What they were called.
    pub username: Option<String>,
    /// What there is to say about it.
    pub details: Dictionary,
}

/// What happened to an invitation, or to all of a scope, before the entry of a number; the newest first, at most `most`.
///
/// # Errors
/// The database failed, or has no such table.
pub async fn read(
    connection: &mut PgConnection,
    scope: &dyn Restriction,
    invitation: Option<Uuid>,
    before: Option<i64>,
    most: i64,
) -> sqlx::Result<Vec<Entry>> {
    let mut query = Sql::new(
        "SELECT h.id, h.invitation, h.name, h.action, h.created, h.user_id AS \"user\", h.username, h.details \
         FROM ak_stages.invitation_history h WHERE ",
    );
    scope.push(&mut query, "h.invitation", Key::Uuid);
    if let Some(invitation) = invitation {
        query.push(" AND h.invitation = ").bind(invitation);
    }
    if let Some(before) = before {
        query.push(" AND h.id < ").bind(before);
    }
    query.push(" ORDER BY h.id DESC LIMIT ").bind(most);
    query.build_query_as().fetch_all(connection).await
}
