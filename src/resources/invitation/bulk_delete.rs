//! `bulk_delete/`: invitations by their keys, or by the list's own filters.

use drf::action::{Component, Method, RequestBody, Route, Success};
use drf::errors::FieldErrors;
use drf::field::{Field, Fields};
use drf::intake::Content;
use drf::messages::{invalid_uuid, max_elements};
use drf::params::{Condition, Operand, Query, Test};
use drf::permission::{Permission, Verb};
use drf::python;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::bulk::{MOST, TAG};
use super::{Invitation, beyond};
use crate::authentik::{Change, cascade};
use crate::contract::messages;
use crate::db::search::Search;
use crate::db::statements::{self, Both, Restriction, Selection};
use crate::error::ApiError;
use crate::views::{Action, Answer, Context, Lens, Request, Resource};

const PKS: Field =
    Field::list("pks").help("Their keys, at most 10000. Without them the query's filters choose.");
const DRY_RUN: Field = Field::boolean("dry_run").help("Only say which they are.");

const RESULT: Component = Component {
    name: "InvitationBulkDelete",
    schema: |document| {
        const FIELDS: Fields = Fields::new(&[
            Field::integer("count").read_only().help("How many were found."),
            Field::list("pks").read_only().help("Those that are deleted: of those found, at most 10000."),
            Field::boolean("dry_run").read_only(),
        ]);
        document.fields("What a bulk deletion deletes", FIELDS)
    },
};

/// `POST …/bulk_delete/`: delete them, or say which it would be. Whoever may delete no invitation at all is refused; who
/// may delete some of them, as permissions on objects have it, deletes those that a filter finds among them. To name one by
/// its key that one sees and may not delete is refused as a whole. So the action looks at the permission itself.
pub const DELETE: Action<Invitation> = Action::on_list(
    drf::Action::extra(
        "bulk_delete_create",
        Method::Post,
        Route { detail: false, url_path: "bulk_delete" },
        Permission::View,
        "Bulk delete",
        "Delete up to 10000 invitations by their keys, or by the filters of the list",
    )
    .takes(RequestBody::Fields {
        component: "InvitationBulkDelete",
        description: "Invitations to be deleted",
        fields: Fields::new(&[PKS, DRY_RUN]),
    })
    .answers(Success::One(&RESULT))
    .tagged(TAG),
    |request| Box::pin(delete(request)),
);

/// What is answered.
#[derive(Serialize)]
struct Outcome {
    count: i64,
    pks: Vec<Uuid>,
    dry_run: bool,
}

async fn delete(mut request: Request<'_>) -> Result<Answer, ApiError> {
    let (context, draft) = (request.context, std::mem::take(&mut request.draft));
    let connection = &mut *request.connection;
    let lens = Lens::read::<Invitation>(context, connection).await?;
    lens.refuse_if_nothing(connection).await?;
    let filters = Filters::read(context.query)?;
    let dry_run = filters.dry_run || draft.get(&DRY_RUN) == Some(&Content::Boolean(true));
    let found = match (keys(draft.get(&PKS))?, filters.any) {
        (Some(keys), false) => Found::by_keys(context, connection, keys).await?,
        (None, true) => Found::by_filters(context, connection, &lens).await?,
        _ => return Err(ApiError::field(drf::errors::NON_FIELD_ERRORS, messages::NO_SELECTION)),
    };
    let pks: Vec<Uuid> = found.rows.iter().map(|(pk, _)| *pk).collect();
    if !dry_run && !pks.is_empty() {
        let declared = Invitation::DECLARATION;
        context.trace.wrote_all(connection, Change::Deleted, &declared.model, &found.rows).await?;
        beyond::deleted(context, connection, &found.rows).await?;
        cascade::delete(connection, &context.app.database.layout, declared.table.name, pks.clone()).await?;
        let (user, deleted) = (context.caller.id, pks.len());
        request.after_commit.push(move || tracing::debug!(user, deleted, "invitations were deleted"));
    }
    Answer::ok(&Outcome { count: found.count, pks, dry_run })
}

/// What the query asks for.
struct Filters {
    dry_run: bool,
    /// Whether there is a filter, or a search.
    any: bool,
}

impl Filters {
    /// # Errors
    /// 400 for a parameter that a list would ignore.
    fn read(query: &Query) -> Result<Self, ApiError> {
        let declared = Invitation::DECLARATION;
        let fields = declared.fields.iter().filter(|field| field.filter).map(|field| field.name);
        let known = fields.chain(declared.filters.iter().map(|filter| filter.name)).chain(["search"]);
        let known: Vec<&str> = known.collect();
        let (mut errors, mut filters) = (FieldErrors::default(), Self { dry_run: false, any: false });
        for (name, value) in query.iter() {
            if name == DRY_RUN.name {
                filters.dry_run = value == "true"; // anything but that and "false" was refused
            } else if !known.contains(&name) {
                errors.add_named(name, messages::NO_SUCH_FILTER);
            } else if python::strip(value).is_empty() {
                errors.add_named(name, messages::EMPTY_FILTER);
            } else {
                filters.any = true;
            }
        }
        if errors.is_empty() {
            Ok(filters)
        } else {
            Err(ApiError::Validation(errors.into_body(Fields::NONE)))
        }
    }
}

/// # Errors
/// 400 for what is no key, and for too many.
fn keys(given: Option<&Content>) -> Result<Option<Vec<Uuid>>, ApiError> {
    let Some(Content::Objects(items)) = given else { return Ok(None) };
    if items.len() > usize::from(MOST) {
        return Err(ApiError::field(PKS.name, max_elements(MOST.into())));
    }
    let key = |item: &serde_json::Value| {
        let key = item.as_str().and_then(python::uuid);
        key.ok_or_else(|| ApiError::field(PKS.name, invalid_uuid(&python::str(item))))
    };
    items.iter().map(key).collect::<Result<_, _>>().map(Some)
}

/// The invitations that are meant.
struct Found {
    /// How many there are.
    count: i64,
    /// Keys and names of the first of them, held.
    rows: Vec<(Uuid, String)>,
}

impl Found {
    /// Those that the query finds among those that the caller may delete.
    async fn by_filters(
        context: Context<'_>,
        connection: &mut PgConnection,
        lens: &Lens<'_>,
    ) -> Result<Self, ApiError> {
        let declared = Invitation::DECLARATION;
        let deletable = context.caller.scope_to(&declared.model, Verb::Delete);
        let filtered = lens.filtered();
        let both = Both(filtered.scope, &deletable);
        let selection = Selection { scope: &both, ..filtered };
        let rows = statements::hold_to_delete(connection, declared, &selection, MOST.into()).await?;
        let count = if rows.len() < usize::from(MOST) {
            i64::try_from(rows.len()).map_err(anyhow::Error::from)?
        } else {
            statements::count(connection, declared, &selection).await?
        };
        if count == 0 {
            refuse_if_none(context, connection).await?;
        }
        Ok(Self { count, rows })
    }

    /// Those with these keys that the caller sees. Keys of others are passed over: they may be deleted already.
    ///
    /// # Errors
    /// 403 if the caller may not delete one of them.
    async fn by_keys(
        context: Context<'_>,
        connection: &mut PgConnection,
        keys: Vec<Uuid>,
    ) -> Result<Self, ApiError> {
        let declared = Invitation::DECLARATION;
        let (visible, deletable) =
            (Invitation::scope(context.caller), context.caller.scope_to(&declared.model, Verb::Delete));
        let named =
            [Condition { operand: Operand::Expression("t.invite_uuid = ANY({})"), test: Test::Uuids(keys) }];
        let (layout, search) = (&context.app.database.layout, Search::default());
        let (both, conditions) = (Both(&visible, &deletable), &named);
        let selection = Selection { layout, scope: &both, search: &search, conditions, seen: None };
        let rows = statements::hold_to_delete(connection, declared, &selection, MOST.into()).await?;
        let count = i64::try_from(rows.len()).map_err(anyhow::Error::from)?;
        if !deletable.is_all() {
            let selection = Selection { scope: &visible, ..selection };
            if statements::count(connection, declared, &selection).await? > count {
                return Err(ApiError::PermissionDenied);
            }
            if count == 0 {
                refuse_if_none(context, connection).await?;
            }
        }
        Ok(Self { count, rows })
    }
}

/// # Errors
/// 403 for a caller who may delete no invitation at all.
async fn refuse_if_none(context: Context<'_>, connection: &mut PgConnection) -> Result<(), ApiError> {
    let declared = Invitation::DECLARATION;
    let deletable = context.caller.scope_to(&declared.model, Verb::Delete);
    if deletable.is_all() {
        return Ok(());
    }
    let (layout, search) = (&context.app.database.layout, Search::default());
    let selection = Selection { layout, scope: &deletable, search: &search, conditions: &[], seen: None };
    let any = statements::count(connection, declared, &selection).await? > 0;
    if any { Ok(()) } else { Err(ApiError::PermissionDenied) }
}
