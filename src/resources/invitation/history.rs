//! `history/`: what happened to invitations.

use drf::action::{Component, Method, Route, Success};
use drf::field::{Choices, Field, Fields};
use drf::messages::{FILTER_NUMBER, FILTER_UUID};
use drf::params::{FilterKind, Parameter};
use drf::permission::Permission;
use drf::python;

use super::Invitation;
use super::beyond::unless_missing;
use super::bulk::TAG;
use crate::error::ApiError;
use crate::invitations::history;
use crate::views::{Action, Answer, Context, Lens, Request, Resource};

/// Entries that are shown at a time.
const MOST: i64 = 100;

const ACTION: Choices = Choices {
    name: "InvitationHistoryActionEnum",
    since: &[],
    values: &[
        ("created", "Created"),
        ("changed", "Changed"),
        ("mailed", "Mailed"),
        ("redeemed", "Redeemed"),
        ("expired", "Expired"),
        ("deleted", "Deleted"),
    ],
};

const ENTRY: Component = Component {
    name: "InvitationHistoryEntry",
    schema: |document| {
        const FIELDS: Fields = Fields::new(&[
            Field::serial("id"),
            Field::uuid("invitation").read_only(),
            Field::text("name").read_only(),
            Field::choice("action", &ACTION).read_only(),
            Field::datetime("created").read_only(),
            Field::integer("user").read_only().nullable(),
            Field::text("username").read_only().nullable(),
            Field::dictionary("details")
                .read_only()
                .help("Of a change: every field, as it was and as it is."),
        ]);
        document.fields("Something that happened to an invitation", FIELDS)
    },
};

/// The number of the last entry that was seen: those before it are shown.
const BEFORE: Parameter = Parameter { name: "before", kind: FilterKind::Number };
/// The invitation whose entries are shown.
const OF: Parameter = Parameter { name: "invitation", kind: FilterKind::Uuid };

/// `GET …/{invite_uuid}/history/`: what happened to one that is still there, the newest first.
pub const OF_ONE: Action<Invitation> = Action::on_object(
    drf::Action::extra(
        "history_list",
        Method::Get,
        Route { detail: true, url_path: "history" },
        Permission::View,
        "History",
        "What happened to the invitation, the newest first",
    )
    .answers(Success::Many(&ENTRY))
    .asks(&[BEFORE])
    .tagged(TAG),
    |request, invitation| Box::pin(of_one(request, invitation)),
);

/// `GET …/history/`: what happened to all that the caller may view, those that are gone included. A permission on an object
/// that is gone still counts: it names the object's key.
pub const OF_ALL: Action<Invitation> = Action::on_list(
    drf::Action::extra(
        "all_history_list",
        Method::Get,
        Route { detail: false, url_path: "history" },
        Permission::View,
        "History",
        "What happened to invitations, those that are gone included, the newest first",
    )
    .answers(Success::Many(&ENTRY))
    .asks(&[BEFORE, OF])
    .tagged(TAG),
    |request| Box::pin(of_all(request)),
);

async fn of_one(request: Request<'_>, invitation: Invitation) -> Result<Answer, ApiError> {
    let before = before(request.context)?;
    let scope = Invitation::scope(request.context.caller);
    let entries = history::read(request.connection, &scope, Some(invitation.pk), before, MOST).await;
    Answer::ok(&entries.map_err(unless_missing)?)
}

async fn of_all(request: Request<'_>) -> Result<Answer, ApiError> {
    let context = request.context;
    let lens = Lens::read::<Invitation>(context, request.connection).await?;
    lens.refuse_if_nothing(request.connection).await?;
    let of = match context.query.last(OF.name).filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(python::uuid(text).ok_or_else(|| ApiError::field(OF.name, FILTER_UUID))?),
    };
    let scope = Invitation::scope(context.caller);
    let entries = history::read(request.connection, &scope, of, before(context)?, MOST).await;
    Answer::ok(&entries.map_err(unless_missing)?)
}

fn before(context: Context<'_>) -> Result<Option<i64>, ApiError> {
    match context.query.last(BEFORE.name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| ApiError::field(BEFORE.name, FILTER_NUMBER)),
    }
}
