//! What is written beside an invitation in tables of our own, where they are there: limits, and the history.

use std::collections::HashMap;

use drf::declaration::{Declaration, Table};
use drf::field::{DefaultValue, Field, Fields};
use drf::intake::{Content, Draft};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Invitation, MAX_USES, MODEL};
use crate::contract::messages;
use crate::db::extensions;
use crate::db::insert::{NewRows, Values};
use crate::error::ApiError;
use crate::invitations::history::{self, Before, Doer, Happened, Named};
use crate::invitations::uses;
use crate::views::Context;

/// The query parameter that asks for what authentik's answers don't have.
const EXTENDED: &str = "extended";

/// Whoever asks, now.
fn doer(context: Context<'_>) -> Doer<'_> {
    let caller = context.caller;
    Doer { user: caller.id, username: &caller.username, at: context.app.clock.now() }
}

/// Whether the tables are there.
fn is_kept(context: Context<'_>) -> bool {
    context.app.database.layout.has_extensions()
}

/// Write down what happened to these.
pub(super) async fn note(
    context: Context<'_>,
    connection: &mut PgConnection,
    happened: Happened,
    invitations: &Named,
    details: &Value,
) -> Result<(), ApiError> {
    if !is_kept(context) {
        return Ok(());
    }
    Ok(history::note(connection, doer(context), happened, invitations, details).await?)
}

/// Write down that these are about to be deleted.
pub(super) async fn deleted(
    context: Context<'_>,
    connection: &mut PgConnection,
    invitations: &Named,
) -> Result<(), ApiError> {
    if !is_kept(context) {
        return Ok(());
    }
    Ok(history::deleted(connection, doer(context), invitations).await?)
}

/// Write down that the invitations of a user are about to be deleted with the user.
pub(in crate::resources) async fn deleted_with(
    context: Context<'_>,
    connection: &mut PgConnection,
    creator: i32,
) -> Result<(), ApiError> {
    if !is_kept(context) {
        return Ok(());
    }
    Ok(history::deleted_with(connection, doer(context), creator).await?)
}

/// Write down that the flow of invitations is about to be deleted.
pub(in crate::resources) async fn left_by(
    context: Context<'_>,
    connection: &mut PgConnection,
    flow: Uuid,
) -> Result<(), ApiError> {
    if !is_kept(context) {
        return Ok(());
    }
    Ok(history::left_by(connection, doer(context), flow).await?)
}

/// How often an invitation may be used, if a request says so; inside it none for any number.
pub(super) fn max_uses(draft: &Draft) -> Option<Option<i32>> {
    match draft.get(&MAX_USES)? {
        Content::Integer(number) => Some(Some(*number)),
        _ => Some(None),
    }
}

/// What is inserted with a new invitation, by the same statement: that it was made.
pub(super) fn beside(context: Context<'_>, pk: Uuid, name: &str) -> Vec<NewRows> {
    if !is_kept(context) {
        return Vec::new();
    }
    let Doer { user, username, at } = doer(context);
    let text = |text: &str| Values::Same(Content::Text(text.to_owned()));
    let entry = NewRows::keyed(&ENTRY, &[pk])
        .with(&entry::NAME, text(name))
        .with(&entry::ACTION, text(Happened::Created.name()))
        .with(&entry::CREATED, Values::Same(Content::DateTime(at)))
        .with(&entry::USER, Values::Same(Content::Integer(user)))
        .with(&entry::USERNAME, text(username));
    vec![entry]
}

/// An entry of the history, as far as [`beside`] inserts it.
const ENTRY: Declaration = Declaration {
    fields: Fields::new(&[
        entry::NAME,
        entry::ACTION,
        entry::CREATED,
        entry::USER,
        entry::USERNAME,
        Field::dictionary("details").default(DefaultValue::EmptyObject),
    ]),
    ..Declaration::of(
        MODEL,
        Table { name: "ak_stages.invitation_history", pk: "invitation", parent: None, joins: "" },
    )
};

/// Its fields.
mod entry {
    use drf::field::Field;

    pub(super) const NAME: Field = Field::text("name");
    pub(super) const ACTION: Field = Field::text("action");
    pub(super) const CREATED: Field = Field::datetime("created");
    pub(super) const USER: Field = Field::integer("user").column("user_id");
    pub(super) const USERNAME: Field = Field::text("username");
}

/// Limit new invitations, and write down that they were made.
pub(super) async fn made(
    context: Context<'_>,
    connection: &mut PgConnection,
    invitations: &Named,
    limits: &[(Uuid, i32)],
) -> Result<(), ApiError> {
    limit(connection, limits).await?;
    note(context, connection, Happened::Created, invitations, &json!({})).await
}

/// Limit new invitations.
pub(super) async fn limit(connection: &mut PgConnection, limits: &[(Uuid, i32)]) -> Result<(), ApiError> {
    if limits.is_empty() {
        return Ok(());
    }
    uses::limit_new(connection, limits).await.map_err(unless_missing)
}

/// Limit an invitation that was changed, and write down what differs.
pub(super) async fn changed(
    context: Context<'_>,
    connection: &mut PgConnection,
    before: &Invitation,
    draft: &Draft,
) -> Result<(), ApiError> {
    let mut more = json!({});
    if let Some(new) = max_uses(draft) {
        let old = uses::limit(connection, before.pk, new).await.map_err(unless_missing)?;
        if old != new {
            more = json!({ MAX_USES.name: { "old": old, "new": new } });
        }
    }
    if !is_kept(context) {
        return Ok(());
    }
    let before = Before {
        invitation: before.pk,
        name: &before.name,
        expires: before.expires,
        fixed_data: &before.fixed_data,
        single_use: before.single_use,
        flow: before.flow,
    };
    Ok(history::changed(connection, doer(context), &before, &more).await?)
}

/// Show how often invitations may be used, to those who ask for it.
pub(super) async fn attach(
    context: Context<'_>,
    connection: &mut PgConnection,
    rows: &mut [Invitation],
) -> Result<(), ApiError> {
    let asked = context.query.last(EXTENDED).is_some_and(|value| matches!(value, "true" | "True" | "1"));
    if !asked || !is_kept(context) || rows.is_empty() {
        return Ok(());
    }
    let keys: Vec<Uuid> = rows.iter().map(|row| row.pk).collect();
    let limits: HashMap<_, _> = uses::limits(connection, &keys).await?.into_iter().collect();
    for row in rows {
        row.max_uses = Some(limits.get(&row.pk).copied().flatten());
    }
    Ok(())
}

/// What the database says, and what to do where it lacks the tables of our own.
pub(super) fn unless_missing(error: sqlx::Error) -> ApiError {
    if extensions::are_missing(&error) {
        ApiError::NotSetUp(messages::NO_INVITATION_TABLES)
    } else {
        error.into()
    }
}
