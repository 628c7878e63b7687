//! Use of invitations, for whoever executes a sign-up: `status/`, `redeem/` and reservations.

use chrono::{DateTime, Utc};
use drf::action::{Component, Method, RequestBody, Route, Success};
use drf::errors::NON_FIELD_ERRORS;
use drf::field::{Choices, Field, Fields};
use drf::intake::Content;
use drf::params::{FilterKind, Parameter};
use drf::permission::{Permission, Verb};
use drf::time;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::beyond::unless_missing;
use super::bulk::TAG;
use super::{Invitation, beyond};
use crate::contract::messages;
use crate::db::Dictionary;
use crate::error::ApiError;
use crate::invitations::history::Happened;
use crate::invitations::uses::{self, Asked, Refusal};
use crate::views::{Action, Answer, Request, remove};

/// Seconds for which a use may be kept, at most.
const LONGEST: i32 = 86_400;

const FLOW: Field = Field::text("flow")
    .help("The slug of the flow that is executed. Unset, it isn't checked against the invitation's.");
const RESERVE: Field = Field::integer_within("reserve", 1, LONGEST)
    .help("Keep the use for so many seconds, to be committed or released, rather than use it at once.");

const REASON: Choices = Choices {
    name: "InvitationRefusalEnum",
    since: &[],
    values: &[
        ("expired", "Expired"),
        ("other_flow", "Other Flow"),
        ("used_up", "Used Up"),
        ("reserved", "Reserved"),
    ],
};

const STATE: Component = Component {
    name: "InvitationStatus",
    schema: |document| {
        const FIELDS: Fields = Fields::new(&[
            Field::boolean("usable").read_only(),
            Field::choice("reason", &REASON).read_only().nullable().help("Why it is not usable."),
            Field::datetime("expires").read_only().nullable(),
            Field::integer("max_uses").read_only().nullable(),
            Field::integer("uses").read_only(),
            Field::integer("reserved").read_only().help("Uses that are kept for somebody."),
            Field::integer("left")
                .read_only()
                .nullable()
                .help("Uses that are left for others; null for any number."),
        ]);
        document.fields("What an invitation is good for at the moment", FIELDS)
    },
};

const REDEMPTION: Component = Component {
    name: "InvitationRedemption",
    schema: |document| {
        const FIELDS: Fields = Fields::new(&[
            Field::uuid("pk").read_only(),
            Field::slug("name").read_only(),
            Field::uuid("flow").read_only().nullable(),
            Field::dictionary("fixed_data").read_only(),
            Field::integer("uses").read_only(),
            Field::boolean("ended").read_only().help("Whether this was its last use: it is deleted."),
            Field::uuid("reservation").read_only().nullable(),
            Field::datetime("reserved_until").read_only().nullable(),
        ]);
        document.fields("A use of an invitation, or one that is kept", FIELDS)
    },
};

/// `GET …/{invite_uuid}/status/`: whether it can be used. Changes nothing, so that a look, such as that of a mail scanner, burns
/// no invitation.
pub const STATUS: Action<Invitation> = Action::on_object(
    drf::Action::extra(
        "status_retrieve",
        Method::Get,
        Route { detail: true, url_path: "status" },
        Permission::View,
        "Status",
        "Whether the invitation can be used, which changes nothing",
    )
    .answers(Success::One(&STATE))
    .asks(&[Parameter { name: "flow", kind: FilterKind::Text }])
    .tagged(TAG),
    |request, invitation| Box::pin(status(request, invitation)),
);

/// `POST …/{invite_uuid}/redeem/`: use it, or keep a use of it. Takes the permission to delete it, since a use may end it: who
/// may use up an invitation may as well delete it.
pub const REDEEM: Action<Invitation> = Action::on_object(
    drf::Action::extra(
        "redeem_create",
        Method::Post,
        Route { detail: true, url_path: "redeem" },
        Permission::Model(Verb::Delete),
        "Redeem",
        "Use the invitation once, or keep a use of it for a while",
    )
    .takes(RequestBody::Fields {
        component: "InvitationRedeem",
        description: "How an invitation is used",
        fields: Fields::new(&[FLOW, RESERVE]),
    })
    .answers(Success::One(&REDEMPTION))
    .tagged(TAG),
    |request, invitation| Box::pin(redeem(request, invitation)),
);

/// `POST …/{invite_uuid}/reservations/{reservation_uuid}/commit/`: use what was kept. Takes what [`REDEEM`] takes.
pub const RESERVATION_COMMIT: Action<Invitation> = Action::on_object(
    drf::Action::extra(
        "reservations_commit_create",
        Method::Post,
        Route { detail: true, url_path: "reservations/{reservation_uuid}/commit" },
        Permission::Model(Verb::Delete),
        "Commit",
        "Use the invitation once, as it was kept",
    )
    .answers(Success::One(&REDEMPTION))
    .tagged(TAG),
    |request, invitation| Box::pin(commit(request, invitation)),
);

/// `POST …/{invite_uuid}/reservations/{reservation_uuid}/release/`: keep it no longer. Takes what [`REDEEM`] takes.
pub const RESERVATION_RELEASE: Action<Invitation> = Action::on_object(
    drf::Action::extra(
        "reservations_release_create",
        Method::Post,
        Route { detail: true, url_path: "reservations/{reservation_uuid}/release" },
        Permission::Model(Verb::Delete),
        "Release",
        "Leave to others what was kept",
    )
    .answers(Success::NoContent)
    .tagged(TAG),
    |request, invitation| Box::pin(release(request, invitation)),
);

/// What is answered to a use.
#[derive(Serialize)]
struct Redemption<'a> {
    pk: Uuid,
    name: &'a str,
    flow: Option<Uuid>,
    fixed_data: &'a Dictionary,
    uses: i32,
    ended: bool,
    reservation: Option<Uuid>,
    #[serde(serialize_with = "time::serialize_option")]
    reserved_until: Option<DateTime<Utc>>,
}

impl Invitation {
    fn redeemed(&self, uses: i32, ended: bool) -> Redemption<'_> {
        let Self { pk, name, flow, fixed_data, .. } = self;
        Redemption {
            pk: *pk,
            name,
            flow: *flow,
            fixed_data,
            uses,
            ended,
            reservation: None,
            reserved_until: None,
        }
    }
}

async fn status(request: Request<'_>, invitation: Invitation) -> Result<Answer, ApiError> {
    let flow = request.context.query.last("flow").filter(|flow| !flow.is_empty());
    if flow.is_some_and(|flow| flow.contains('\0')) {
        return Err(ApiError::field("flow", drf::messages::NULL_CHARACTERS));
    }
    let asked = Asked { invitation: invitation.pk, flow, reservation: None };
    let state = uses::state(request.connection, asked).await.map_err(unless_missing)?;
    Answer::ok(&state.ok_or_else(|| ApiError::no_match("Invitation"))?)
}

async fn redeem(mut request: Request<'_>, invitation: Invitation) -> Result<Answer, ApiError> {
    let draft = std::mem::take(&mut request.draft);
    let asked = Asked { invitation: invitation.pk, flow: draft.text(&FLOW), reservation: None };
    let Some(Content::Integer(seconds)) = draft.get(&RESERVE) else {
        return take(request, invitation, asked).await;
    };
    let key = request.context.app.ids.next();
    let reserved = uses::reserve(request.connection, asked, key, *seconds).await.map_err(unless_missing)?;
    let reserved = reserved.ok_or_else(|| ApiError::no_match("Invitation"))?;
    if let Some(reason) = reserved.reason {
        return Err(refusal(reason));
    }
    let redemption = Redemption {
        reservation: Some(key),
        reserved_until: reserved.until,
        ..invitation.redeemed(reserved.uses, false)
    };
    Answer::ok(&redemption)
}

async fn commit(request: Request<'_>, invitation: Invitation) -> Result<Answer, ApiError> {
    let reservation = Some(reservation_key(&request)?);
    let asked = Asked { invitation: invitation.pk, flow: None, reservation };
    take(request, invitation, asked).await
}

async fn release(request: Request<'_>, invitation: Invitation) -> Result<Answer, ApiError> {
    let key = reservation_key(&request)?;
    let released = uses::release(request.connection, invitation.pk, key).await.map_err(unless_missing)?;
    if released { Ok(Answer::no_content()) } else { Err(ApiError::no_match("InvitationReservation")) }
}

/// Use the invitation, and end it with its last use.
async fn take(request: Request<'_>, invitation: Invitation, asked: Asked<'_>) -> Result<Answer, ApiError> {
    let Request { context, connection, after_commit, .. } = request;
    let attempt = uses::redeem(connection, asked).await.map_err(unless_missing)?;
    let attempt = attempt.ok_or_else(|| ApiError::no_match("Invitation"))?;
    if !attempt.held {
        return Err(ApiError::no_match("InvitationReservation"));
    }
    if let Some(reason) = attempt.reason {
        return Err(refusal(reason));
    }
    let named = [(invitation.pk, invitation.name.clone())];
    beyond::note(context, connection, Happened::Redeemed, &named, &json!({ "uses": attempt.uses })).await?;
    if attempt.ends {
        remove(context, connection, &invitation).await?;
    }
    let (user, ended) = (context.caller.id, attempt.ends);
    after_commit.push(move || tracing::debug!(user, ended, "an invitation was redeemed"));
    Answer::ok(&invitation.redeemed(attempt.uses, attempt.ends))
}

/// The sentence for people, and the reason for programs.
fn refusal(reason: Refusal) -> ApiError {
    let sentence = match reason {
        Refusal::Expired => messages::EXPIRED,
        Refusal::OtherFlow => messages::OTHER_FLOW,
        Refusal::UsedUp => messages::USED_UP,
        Refusal::Reserved => messages::RESERVED,
    };
    ApiError::Validation(json!({ NON_FIELD_ERRORS: [sentence], "code": reason }))
}

fn reservation_key(request: &Request<'_>) -> Result<Uuid, ApiError> {
    request.own_key.parse().map_err(|_| ApiError::not_found())
}
