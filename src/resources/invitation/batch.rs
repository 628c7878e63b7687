//! New invitations, checked one by one and made together: the number of statements doesn't grow with theirs.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use drf::errors::FieldErrors;
use drf::field::Field;
use drf::intake::{Content, Dialect, Draft, Mode};
use drf::{Body, messages};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{CREATED_BY, EXPIRES, FIXED_DATA, FLOW, Invitation, InvitationInput, NAME, SINGLE_USE, beyond};
use crate::auth::Scope;
use crate::clock::Ids;
use crate::db::insert::{NewRows, Values};
use crate::db::statements::Restriction;
use crate::db::{Dictionary, Sql};
use crate::error::ApiError;
use crate::resources::flow;
use crate::views::{Resource, examine};

/// An invitation to be made, or what is wrong with it.
pub(super) type Entry = Result<Draft, FieldErrors>;

/// Invitations that are checked before others have their turn.
const AT_A_TIME: usize = 256;

/// Fill in an expiry that a new invitation, or one that is said to have none, has to have: authentik gives every saved
/// one the default duration, whether the request said null or nothing. A stored one can't be without.
pub(super) fn give_expiry(draft: &mut Draft, mode: Mode, input: &InvitationInput, expires: DateTime<Utc>) {
    let without_expiry = match input.expires {
        Some(expires) => expires.is_none(),
        None => mode == Mode::Create,
    };
    if without_expiry {
        draft.set(&EXPIRES, Content::DateTime(expires));
    }
}

/// Let others have their turn now and then, before the invitation of this number.
pub(super) async fn give_way(number: usize) {
    if number % AT_A_TIME == AT_A_TIME - 1 {
        tokio::task::yield_now().await;
    }
}

/// Check bodies of new invitations, all but their flows. Those that don't say when they end get `expires`.
///
/// # Errors
/// As [`examine`].
pub(super) async fn check(
    bodies: Vec<Body>,
    dialect: Dialect,
    expires: DateTime<Utc>,
) -> Result<Vec<Entry>, ApiError> {
    let mut entries = Vec::with_capacity(bodies.len());
    for (number, body) in bodies.into_iter().enumerate() {
        give_way(number).await;
        let (mut draft, input, errors) = examine::<Invitation>(&body, Mode::Create, dialect)?;
        give_expiry(&mut draft, Mode::Create, &input, expires);
        entries.push(if errors.is_empty() { Ok(draft) } else { Err(errors) });
    }
    Ok(entries)
}

/// Refuse those whose flow isn't there, or isn't one that `scope` lets a body name.
///
/// # Errors
/// The database failed.
pub(super) async fn check_flows(
    connection: &mut PgConnection,
    entries: &mut [Entry],
    scope: Option<Scope>,
) -> Result<(), ApiError> {
    let named: HashSet<Uuid> = entries.iter().flatten().filter_map(flow_of).collect();
    if named.is_empty() {
        return Ok(());
    }
    let target = &flow::TARGET;
    let mut query = Sql::new("SELECT ");
    query.push(format_args!("x.{0} FROM {1} x WHERE x.{0} = ANY(", target.pk, target.table));
    query.bind(named.into_iter().collect::<Vec<_>>()).push(")");
    if let Some(scope) = scope {
        query.push(" AND ");
        scope.push(&mut query, &format!("x.{}", target.pk), target.key);
    }
    let found: Vec<Uuid> = query.build_query_scalar().fetch_all(connection).await?;
    let found: HashSet<Uuid> = found.into_iter().collect();
    for entry in entries {
        let Ok(draft) = &entry else { continue };
        let Some(Content::Keys(keys)) = draft.get(&FLOW) else { continue };
        if flow_of(draft).is_some_and(|flow| !found.contains(&flow)) {
            let spelling = keys.first().map_or("", |key| key.spelling.as_str());
            let mut errors = FieldErrors::default();
            errors.add(&FLOW, messages::invalid_pk(spelling));
            *entry = Err(errors);
        }
    }
    Ok(())
}

/// An invitation that was made.
#[derive(Debug)]
pub(super) struct Made {
    /// Its key.
    pub(super) pk: Uuid,
    /// Its name.
    pub(super) name: String,
    /// When it ends.
    pub(super) expires: Option<DateTime<Utc>>,
    /// How often it may be used, if that is limited.
    pub(super) max_uses: Option<i32>,
}

impl Made {
    /// Their keys and names.
    pub(super) fn named(made: &[Self]) -> Vec<(Uuid, String)> {
        made.iter().map(|made| (made.pk, made.name.clone())).collect()
    }

    /// How often those may be used that are limited.
    pub(super) fn limits(made: &[Self]) -> Vec<(Uuid, i32)> {
        made.iter().filter_map(|made| Some((made.pk, made.max_uses?))).collect()
    }
}

/// Insert them with one statement, as made by the user `creator`. They come back in their order.
///
/// # Errors
/// The database failed.
pub(super) async fn insert(
    connection: &mut PgConnection,
    ids: &Ids,
    drafts: &[&Draft],
    creator: i32,
) -> Result<Vec<Made>, ApiError> {
    let dictionary = |draft: &&Draft| match draft.get(&FIXED_DATA) {
        Some(Content::Dictionary(text)) => Dictionary::of(text.clone()).map(Some),
        _ => Ok(None),
    };
    let dictionaries: Result<_, _> = drafts.iter().map(dictionary).collect();
    let boolean = |draft: &&Draft| match draft.get(&SINGLE_USE) {
        Some(Content::Boolean(boolean)) => Some(*boolean),
        _ => None,
    };
    let names: Vec<_> = drafts.iter().map(|draft| text_of(draft, &NAME)).collect();
    let instants: Vec<_> = drafts.iter().map(|draft| expiry_of(draft)).collect();
    let rows = NewRows::new(Invitation::DECLARATION, ids, drafts.len())
        .with(&NAME, Values::Texts(names.iter().cloned().map(Some).collect()))
        .with(&EXPIRES, Values::DateTimes(instants.clone()))
        .with(&FIXED_DATA, Values::Dictionaries(dictionaries.map_err(anyhow::Error::from)?))
        .with(&CREATED_BY, Values::Same(Content::Integer(creator)))
        .with(&SINGLE_USE, Values::Booleans(drafts.iter().map(boolean).collect()))
        .with(&FLOW, Values::Keys(drafts.iter().map(|draft| flow_of(draft)).collect()));
    rows.insert(connection).await?;
    let limits = drafts.iter().map(|draft| beyond::max_uses(draft).flatten());
    let made = rows.keys().zip(names).zip(instants.into_iter().zip(limits));
    Ok(made.map(|((pk, name), (expires, max_uses))| Made { pk, name, expires, max_uses }).collect())
}

fn text_of(draft: &Draft, field: &Field) -> String {
    draft.text(field).unwrap_or_default().to_owned()
}

fn expiry_of(draft: &Draft) -> Option<DateTime<Utc>> {
    match draft.get(&EXPIRES) {
        Some(Content::DateTime(instant)) => Some(*instant),
        _ => None,
    }
}

fn flow_of(draft: &Draft) -> Option<Uuid> {
    draft.keys::<Uuid>(&FLOW)?.pop()
}
