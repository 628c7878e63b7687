//! The actions that every resource has.

use drf::field::{FieldKind, Key};
use drf::intake::{Draft, KeyValue, Mode};
use drf::page::{Page, PageRequest};
use drf::{Declaration, messages, params};
use sqlx::PgConnection;
use uuid::Uuid;

use super::action::Request;
use super::lookup::Lens;
use super::recall::Recall;
use super::transaction::Later;
use super::validation::{Valid, unique_violation, validate};
use super::view_set::{self, ViewSet};
use super::{Answer, Context, Making, Resource, Save};
use crate::authentik::{Change, cascade};
use crate::db::insert::insert;
use crate::db::{PrimaryKey, statements, updates};
use crate::error::ApiError;

/// A page of what the caller sees and the query asks for.
///
/// # Errors
/// 400, 403 or 404.
pub async fn list<R: Resource>(request: Request<'_>) -> Result<Answer, ApiError> {
    let Request { context, connection, recall, .. } = request;
    let (lens, page) = locate(view_set::of::<R>(), context, connection, recall).await?;
    let order = params::ordering(R::DECLARATION, context.query);
    let mut rows: Vec<R> = match page.count() {
        0 => Vec::new(),
        _ => statements::page(connection, R::DECLARATION, &lens.filtered(), &order, &page).await?,
    };
    R::attach(context, connection, &mut rows).await?;
    let autocomplete = R::DECLARATION.autocomplete.map(|describe| describe()).unwrap_or_default();
    Answer::ok(&page.envelope(rows, autocomplete))
}

/// The rows that a list is about, and the page of them that the query asks for.
async fn locate<'a>(
    view_set: &dyn ViewSet,
    context: Context<'a>,
    connection: &mut PgConnection,
    recall: Option<&Recall<'_>>,
) -> Result<(Lens<'a>, Page), ApiError> {
    let declared = view_set.declaration();
    let lens = Lens::of(view_set, context, connection).await?;
    let selection = recall.map(|_| selection_name(declared, context));
    let known = recall.zip(selection.as_ref()).and_then(|(recall, selection)| recall.count(selection));
    let count = match known {
        Some(count) => count,
        None => statements::count(connection, declared, &lens.filtered()).await?,
    };
    if let (None, Some(recall), Some(selection)) = (known, recall, selection) {
        recall.counted(selection, count);
    }
    if count == 0 {
        lens.refuse_if_nothing(connection).await?;
    }
    let sizes = context.caller.tenant.page_sizes().at_most(declared.max_page_size);
    let page = PageRequest::read(context.query, sizes).locate(count);
    Ok((lens, page.ok_or_else(|| ApiError::NotFound(messages::INVALID_PAGE.into()))?))
}

/// A name for the rows that a list is about: whose they are, and what the query asks for beside pages and order.
fn selection_name(declared: &Declaration, context: Context<'_>) -> String {
    let asked = context.query.iter().filter(|(key, _)| !matches!(*key, "page" | "page_size" | "ordering"));
    // Quoted, so that no value can look like another parameter.
    format!("{} {} {:?}", context.caller.id, declared.path, asked.collect::<Vec<_>>())
}

pub(super) async fn retrieve<R: Resource>(request: Request<'_>, mut row: R) -> Result<Answer, ApiError> {
    R::attach(request.context, request.connection, std::slice::from_mut(&mut row)).await?;
    Answer::ok(&row)
}

pub(super) async fn create<R: Resource>(mut request: Request<'_>) -> Result<Answer, ApiError> {
    let valid = validated::<R>(&mut request, Mode::Create, None).await?;
    let context = request.context;
    let (ids, layout) = (&context.app.ids, &context.app.database.layout);
    let pk = request.key.and_then(|key| R::Key::try_from(key).ok()).or_else(|| R::Key::next(ids));
    let mut later = request.later.take();
    if let Some(later) = later.take_if(|_| wants_more(&valid)) {
        later.now(request.connection).await?;
    }
    let mut making = Making { context, connection: &mut *request.connection, pk, found: &valid.found };
    let beside = R::beside(&mut making, &valid.input).await?;
    let committing = later.map(Later::never);
    let key = pk.map(Into::into);
    let inserted = insert(request.connection, R::DECLARATION, layout, ids, key, &valid.draft, &beside).await;
    let inserted = match committing {
        Some(committing) => committing.came_to(inserted),
        None => inserted,
    };
    let mut row = R::from_row(&inserted.map_err(|error| unique_violation(R::DECLARATION, error))?)?;
    let pk = row.pk();
    if save(&mut request, Mode::Create, pk, None, &valid).await? {
        row = reload(&mut request, pk).await?;
    }
    let row = conclude(&mut request, Mode::Create, row, &valid.draft).await?;
    context.trace.made(request.connection, &R::DECLARATION.model, pk.into()).await?;
    Answer::created(&row)
}

/// Whether something isn't there that a new object takes of another table, so that it is made with it.
fn wants_more<R: Resource>(valid: &Valid<R>) -> bool {
    let wanted = R::wanted(&valid.input);
    wanted.is_some_and(|wanted| wanted.names.iter().any(|name| !valid.found.contains_key(*name)))
}

pub(super) async fn replace<R: Resource>(request: Request<'_>, row: R) -> Result<Answer, ApiError> {
    update(request, row, Mode::Replace).await
}

pub(super) async fn partial_update<R: Resource>(request: Request<'_>, row: R) -> Result<Answer, ApiError> {
    update(request, row, Mode::Partial).await
}

async fn update<R: Resource>(mut request: Request<'_>, row: R, mode: Mode) -> Result<Answer, ApiError> {
    let valid = validated(&mut request, mode, Some(&row)).await?;
    store(&mut request, &row, &valid.draft).await?;
    save(&mut request, mode, row.pk(), Some(&row), &valid).await?;
    let row = reload::<R>(&mut request, row.pk()).await?;
    let row = conclude(&mut request, mode, row, &valid.draft).await?;
    Answer::ok(&row)
}

impl Request<'_> {
    /// Write fields of an object that the action has judged itself: the columns that `draft` names, authentik's traces.
    /// Gives the object as answers show it.
    ///
    /// # Errors
    /// 400 for a unique text that is taken; the database failed.
    pub async fn change<R: Resource>(&mut self, row: &R, draft: &Draft) -> Result<R, ApiError> {
        store(self, row, draft).await?;
        let row = reload::<R>(self, row.pk()).await?;
        conclude(self, Mode::Partial, row, draft).await
    }
}

/// Delete an object that the action has found, and may delete, with authentik's traces and all that hangs on it.
///
/// # Errors
/// What authentik can't be without; the database failed.
pub async fn remove<R: Resource>(
    context: Context<'_>,
    connection: &mut PgConnection,
    row: &R,
) -> Result<(), ApiError> {
    context.wrote(connection, Change::Deleted, row).await?;
    R::destroying(context, connection, row).await?;
    let (layout, table) = (&context.app.database.layout, R::DECLARATION.table.name);
    cascade::delete(connection, layout, table, vec![row.pk()]).await
}

async fn store<R: Resource>(request: &mut Request<'_>, row: &R, draft: &Draft) -> Result<(), ApiError> {
    request.context.trace.changing(request.connection, row.part()).await?;
    let updated = updates::update(request.connection, R::DECLARATION, row.pk().into(), draft).await;
    updated.map_err(|error| unique_violation(R::DECLARATION, error))
}

pub(super) async fn destroy<R: Resource>(request: Request<'_>, row: R) -> Result<Answer, ApiError> {
    let Request { context, connection, after_commit, .. } = request;
    remove(context, connection, &row).await?;
    after_commit.push(logged(context, R::DECLARATION, Change::Deleted));
    Ok(Answer::no_content())
}

async fn validated<R: Resource>(
    request: &mut Request<'_>,
    mode: Mode,
    row: Option<&R>,
) -> Result<Valid<R>, ApiError> {
    let mut body = std::mem::take(&mut request.body);
    R::modernise(&mut body.value);
    validate::<R>(request.context, request.connection, &body, mode, row).await
}

/// What follows the row itself: its many-to-many fields, and what the resource writes. Tells whether any of the former was
/// written.
async fn save<R: Resource>(
    request: &mut Request<'_>,
    mode: Mode,
    pk: R::Key,
    before: Option<&R>,
    Valid { draft, input, found }: &Valid<R>,
) -> Result<bool, ApiError> {
    let (context, connection) = (request.context, &mut *request.connection);
    let linked = link(context, connection, R::DECLARATION, pk.into(), draft).await?;
    R::saved(&mut Save { context, connection, mode, pk, before, draft, found }, input).await?;
    Ok(linked)
}

/// Let the object hold what its many-to-many fields say, and nothing else. Tells whether the request has one.
async fn link(
    context: Context<'_>,
    connection: &mut PgConnection,
    declared: &Declaration,
    holder: KeyValue,
    draft: &Draft,
) -> Result<bool, ApiError> {
    let (layout, ids) = (&context.app.database.layout, &context.app.ids);
    let mut linked = false;
    for field in declared.fields.iter() {
        let FieldKind::Many(target, through) = field.kind else { continue };
        match target.key {
            Key::Uuid => {
                let Some(keys) = draft.keys::<Uuid>(field) else { continue };
                updates::link(connection, layout, through, holder, &keys, ids).await?;
            }
            Key::Integer => {
                let Some(keys) = draft.keys::<i32>(field) else { continue };
                updates::link(connection, layout, through, holder, &keys, ids).await?;
            }
        }
        linked = true;
    }
    Ok(linked)
}

async fn reload<R: Resource>(request: &mut Request<'_>, pk: R::Key) -> Result<R, ApiError> {
    as_stored(request.context, request.connection, pk).await
}

/// The row as it stands now.
///
/// # Errors
/// 409 if it is gone.
pub(super) async fn as_stored<R: Resource>(
    context: Context<'_>,
    connection: &mut PgConnection,
    pk: R::Key,
) -> Result<R, ApiError> {
    let layout = &context.app.database.layout;
    let mut rows = statements::reload(connection, R::DECLARATION, layout, vec![pk], None).await?;
    rows.pop().ok_or(ApiError::Conflict)
}

/// What follows every write: authentik's traces, then the object as the answer shows it.
async fn conclude<R: Resource>(
    request: &mut Request<'_>,
    mode: Mode,
    mut row: R,
    draft: &Draft,
) -> Result<R, ApiError> {
    let (context, connection) = (request.context, &mut *request.connection);
    let change = if mode == Mode::Create { Change::Created } else { Change::Updated };
    context.wrote(connection, change, &row).await?;
    R::attach_written(context, connection, draft, &mut row).await?;
    request.after_commit.push(logged(context, R::DECLARATION, change));
    Ok(row)
}

/// The log line of a write that is committed; it names no object, since an invitation's key is a secret.
fn logged(context: Context<'_>, declared: &Declaration, change: Change) -> impl FnOnce() + Send + 'static {
    let (user, model) = (context.caller.id, declared.model.label());
    move || tracing::debug!(user, model, change = change.action(), "committed")
}
