//! The generic views: seven actions for every [`Resource`], in Django REST framework's order of checks:
//! content negotiation, authentication, permission of the method, method, look-up, object permission, body, fields.

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sqlx::{Acquire, PgConnection};
use uuid::Uuid;
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

use super::errors::FieldErrors;
use super::field::{Field, Kind};
use super::intake::{self, Draft, Mode};
use super::page::PageRequest;
use super::params::{self, Condition, Query};
use super::resource::{Action, Check, Resource, Save, View};
use super::sql::{self, Fact, PathKey, Selection};
use super::{json, messages, metadata, negotiation};
use crate::app::App;
use crate::audit::{self, Change, Origin};
use crate::auth::rbac::{Scope, Verb};
use crate::auth::{self, Caller};
use crate::db::session::TIME_LIMIT;
use crate::db::{cascade, initial_permissions, plans};
use crate::error::{ApiError, json_response};

/// The largest request body in bytes; Django's own figure for bodies that it keeps in memory.
pub const MAX_BODY: usize = 2_621_440;
/// How much of a larger body is read, and dropped, so that the client reads our answer rather than a reset.
const MAX_DRAIN: usize = 64 * 1024 * 1024;

/// A request, taken apart. The body is there already, but what is wrong with it is told only when a view asks for it.
pub struct Call {
    /// The server.
    pub app: App,
    /// The method.
    pub method: Method,
    /// Where it came from.
    pub origin: Origin,
    /// The path's parameters, decoded, in order.
    pub captures: Vec<String>,
    /// The query string.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    body: Result<Bytes, ApiError>,
}

impl Call {
    /// Take a request apart. A router of Django's matches path segments without dots; anything else is no route.
    async fn read(app: App, request: Request<Body>) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let captures = RawPathParams::from_request_parts(&mut parts, &()).await;
        let origin = Origin::of(&parts);
        let captures = captures.map(|all| all.iter().map(|(_, value)| value.to_owned()).collect());
        let captures: Vec<String> = captures.unwrap_or_default();
        if captures.iter().any(|text| text.contains(['/', '.'])) {
            return Err(ApiError::NoRoute);
        }
        Ok(Self {
            app,
            method: parts.method,
            origin,
            captures,
            query: Query::parse(parts.uri.query()),
            headers: parts.headers,
            body: read_body(body).await,
        })
    }

    /// Who asks; `None` for no credentials.
    ///
    /// # Errors
    /// 403 for wrong ones.
    pub async fn authenticate(&self, connection: &mut PgConnection) -> Result<Option<Caller>, ApiError> {
        match auth::bearer(&self.headers) {
            None => Ok(None),
            Some(key) => auth::authenticate(
                connection,
                &self.app.database.layout,
                key,
                &self.origin.host,
                self.app.clock.now(),
            )
            .await
            .map(Some),
        }
    }

    /// The request behind a read or a write of `caller`.
    pub fn view<'a>(&'a self, caller: &'a Caller) -> View<'a> {
        View { app: &self.app, caller, query: &self.query, origin: &self.origin }
    }

    /// The body as JSON; nothing at all counts as `{}`.
    ///
    /// # Errors
    /// 413, 415, or 400 with the parser's sentence.
    pub fn json(&mut self) -> Result<Value, ApiError> {
        let bytes = std::mem::replace(&mut self.body, Ok(Bytes::new()))?;
        if bytes.is_empty() {
            return Ok(json!({}));
        }
        negotiation::content_type(&self.headers)?;
        json::parse(&bytes).map_err(ApiError::Parse)
    }
}

async fn read_body(mut body: Body) -> Result<Bytes, ApiError> {
    let (mut taken, mut total) = (Vec::new(), 0_usize);
    loop {
        let frame = std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await;
        let Some(frame) = frame else { break };
        let frame =
            frame.map_err(|_| ApiError::Parse("the body ended early: line 1 column 1 (char 0)".into()))?;
        let Ok(data) = frame.into_data() else { continue };
        total += data.len();
        if total <= MAX_BODY {
            taken.extend_from_slice(&data);
        } else if total > MAX_DRAIN {
            break;
        } else {
            taken = Vec::new();
        }
    }
    if total > MAX_BODY { Err(ApiError::TooLarge) } else { Ok(taken.into()) }
}

/// Run a view and give its answer what every answer has: an `Allow` header, and the error's body where it failed. The
/// answer is given when what the view wrote is committed.
pub async fn answer<F>(app: App, request: Request<Body>, allow: &'static str, view: F) -> Response
where
    F: AsyncFnOnce(&mut Call, &mut PgConnection) -> Result<Response, ApiError>,
{
    let work = async {
        let mut call = Call::read(app, request).await?;
        negotiation::accept(&call.headers, &call.query)?;
        let mut session = call.app.database.session().await?;
        let response = view(&mut call, &mut session).await?;
        session.finish().await?;
        Ok(response)
    };
    respond(work, allow).await
}

/// As [`answer`], for a view that needs no database and negotiates the type of its answer itself.
pub async fn answer_static<F>(app: App, request: Request<Body>, allow: &'static str, view: F) -> Response
where
    F: AsyncFnOnce(&mut Call) -> Result<Response, ApiError>,
{
    respond(async { view(&mut Call::read(app, request).await?).await }, allow).await
}

/// A request that takes longer than the limit ends with 503, and its transaction with a rollback.
async fn respond(work: impl Future<Output = Result<Response, ApiError>>, allow: &'static str) -> Response {
    let answered = tokio::time::timeout(TIME_LIMIT, work).await;
    let mut response = match answered {
        Ok(Err(ApiError::NoRoute)) => return ApiError::NoRoute.into_response(),
        Ok(result) => result.unwrap_or_else(IntoResponse::into_response),
        Err(_) => ApiError::Overloaded.into_response(),
    };
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// `Allow` of a resource's list.
fn allow_list<R: Resource>() -> &'static str {
    if R::ACTIONS.contains(&Action::Create) { "GET, POST, HEAD, OPTIONS" } else { "GET, HEAD, OPTIONS" }
}

/// `Allow` of a resource's objects.
fn allow_detail<R: Resource>() -> &'static str {
    match (R::ACTIONS.contains(&Action::Update), R::ACTIONS.contains(&Action::Destroy)) {
        (true, true) => "GET, PUT, PATCH, DELETE, HEAD, OPTIONS",
        (true, false) => "GET, PUT, PATCH, HEAD, OPTIONS",
        (false, true) => "GET, DELETE, HEAD, OPTIONS",
        (false, false) => "GET, HEAD, OPTIONS",
    }
}

/// `/<resource>/`
pub async fn collection<R: Resource>(State(app): State<App>, request: Request<Body>) -> Response {
    answer(app, request, allow_list::<R>(), async |call, connection| {
        let caller = call.authenticate(connection).await?.ok_or(ApiError::NotAuthenticated)?;
        let does = |action| R::ACTIONS.contains(&action);
        match call.method {
            Method::GET | Method::HEAD => list::<R>(call, connection, &caller).await,
            Method::POST if does(Action::Create) => create::<R>(call, connection, &caller).await,
            Method::OPTIONS => {
                let may = does(Action::Create) && R::may_create(&caller).is_ok();
                let body = metadata::collection::<R>(may, call.app.database.layout.release());
                Ok(json_response(StatusCode::OK, &body))
            }
            _ => Err(ApiError::MethodNotAllowed(call.method.to_string())),
        }
    })
    .await
}

/// `/<resource>/<id>/`
pub async fn detail<R: Resource>(State(app): State<App>, request: Request<Body>) -> Response {
    answer(app, request, allow_detail::<R>(), async |call, connection| {
        // The permission of an object is decided by the look-up, so here no credentials are a refusal like any other.
        let caller = call.authenticate(connection).await?.ok_or(ApiError::PermissionDenied)?;
        let does = |action| R::ACTIONS.contains(&action);
        match call.method {
            Method::GET | Method::HEAD => {
                let mut row = find::<R>(call, connection, &caller, false).await?;
                R::attach(call.view(&caller), connection, std::slice::from_mut(&mut row)).await?;
                Ok(json_response(StatusCode::OK, &row))
            }
            Method::PUT if does(Action::Update) => {
                update::<R>(call, connection, &caller, Mode::Replace).await
            }
            Method::PATCH if does(Action::PartialUpdate) => {
                update::<R>(call, connection, &caller, Mode::Partial).await
            }
            Method::DELETE if does(Action::Destroy) => destroy::<R>(call, connection, &caller).await,
            Method::OPTIONS => {
                let row = find::<R>(call, connection, &caller, false).await?;
                let may = does(Action::Update)
                    && require::<R>(connection, &caller, Verb::Change, &row).await.is_ok();
                Ok(json_response(
                    StatusCode::OK,
                    &metadata::detail::<R>(may, call.app.database.layout.release()),
                ))
            }
            _ => Err(ApiError::MethodNotAllowed(call.method.to_string())),
        }
    })
    .await
}

/// `used_by/` of every resource.
pub const USED_BY: Extra =
    Extra::get("Used by", "Get a list of all objects that use this object").on_object();

/// `/<resource>/<id>/used_by/`
pub async fn used_by<R: Resource>(State(app): State<App>, request: Request<Body>) -> Response {
    extra(app, request, &USED_BY, async |call, connection, caller| {
        let row = find::<R>(call, connection, caller, false).await?;
        Ok(json_response(StatusCode::OK, &R::used_by(call.view(caller), connection, &row).await?))
    })
    .await
}

/// A view beside the seven actions: an `@action` of Django REST framework, or an `APIView`.
#[derive(Debug, Clone, Copy)]
#[must_use = "a view has to be routed"]
pub struct Extra {
    /// Its name in an `OPTIONS` answer.
    pub name: &'static str,
    /// What it does, there and in the OpenAPI document.
    pub description: &'static str,
    /// The fields that POST takes; without them it is read with GET.
    body: Option<&'static [Field]>,
    on_object: bool,
}

impl Extra {
    /// A view that is read.
    pub const fn get(name: &'static str, description: &'static str) -> Self {
        Self { name, description, body: None, on_object: false }
    }

    /// A view that takes these fields.
    pub const fn post(name: &'static str, description: &'static str, body: &'static [Field]) -> Self {
        Self { name, description, body: Some(body), on_object: false }
    }

    /// It is about one object: the look-up decides who may, and no credentials are a refusal like any other.
    pub const fn on_object(mut self) -> Self {
        self.on_object = true;
        self
    }

    /// The `Allow` header.
    pub const fn allow(&self) -> &'static str {
        if self.body.is_some() { "POST, OPTIONS" } else { "GET, HEAD, OPTIONS" }
    }

    /// The answer to `OPTIONS`; `None` for the view's own method.
    ///
    /// # Errors
    /// 405 for all other methods.
    pub fn describe(&self, call: &Call) -> Result<Option<Response>, ApiError> {
        match (&call.method, self.body) {
            (&Method::GET | &Method::HEAD, None) | (&Method::POST, Some(_)) => Ok(None),
            (&Method::OPTIONS, body) => {
                let release = call.app.database.layout.release();
                let action = body.map(|fields| ("POST", fields));
                let about = metadata::describe(self.name, self.description, action, release);
                Ok(Some(json_response(StatusCode::OK, &about)))
            }
            _ => Err(ApiError::MethodNotAllowed(call.method.to_string())),
        }
    }
}

/// As [`answer`], for an [`Extra`] that takes credentials.
pub async fn extra<F>(app: App, request: Request<Body>, extra: &Extra, view: F) -> Response
where
    F: AsyncFnOnce(&mut Call, &mut PgConnection, &Caller) -> Result<Response, ApiError>,
{
    answer(app, request, extra.allow(), async |call, connection| {
        let anonymous = if extra.on_object { ApiError::PermissionDenied } else { ApiError::NotAuthenticated };
        let caller = call.authenticate(connection).await?.ok_or(anonymous)?;
        match extra.describe(call)? {
            Some(description) => Ok(description),
            None => view(call, connection, &caller).await,
        }
    })
    .await
}

/// Whether the query asks for one of the resource's [`Resource::INCLUDES`]: `true` in any case does, anything else not.
pub fn included<R: Resource>(query: &Query, name: &str) -> bool {
    let default = R::INCLUDES.iter().any(|(include, default)| *include == name && *default);
    query.last(name).map_or(default, |value| value.eq_ignore_ascii_case("true"))
}

/// What lists and look-ups have in common: the search and the filters apply to both.
struct Lens {
    app: App,
    scope: Scope,
    search: Vec<String>,
    filters: params::Filters,
}

impl Lens {
    async fn read<R: Resource>(
        call: &Call,
        connection: &mut PgConnection,
        caller: &Caller,
    ) -> Result<Self, ApiError> {
        let search =
            params::search_terms(&call.query).map_err(|sentence| ApiError::Validation(json!([sentence])))?;
        let filters = params::Filters::default();
        let mut lens = Self { app: call.app.clone(), scope: R::scope(caller), search, filters };
        if !call.query.is_empty() {
            // Filters count only for those who see something at all.
            lens.refuse_if_nothing::<R>(connection).await?;
        }
        lens.filters = params::filters::<R>(&call.query, call.app.database.layout.release())
            .map_err(ApiError::Validation)?;
        if let Some((name, sentence)) = sql::missing(connection, &lens.filters.existing).await? {
            return Err(ApiError::field(name, sentence));
        }
        Ok(lens)
    }

    fn selection<'a>(&'a self, conditions: &'a [Condition]) -> Selection<'a> {
        Selection { layout: &self.app.database.layout, scope: &self.scope, search: &self.search, conditions }
    }

    fn filtered(&self) -> Selection<'_> {
        self.selection(&self.filters.conditions)
    }

    /// authentik refuses those who see no row, rather than show them an empty list. The search runs before that
    /// decision, the filters after it.
    async fn refuse_if_nothing<R: Resource>(&self, connection: &mut PgConnection) -> Result<(), ApiError> {
        if !self.scope.empty_is_denied() {
            return Ok(());
        }
        let visible = sql::count::<R>(connection, &self.selection(&[])).await?;
        if visible == 0 { Err(ApiError::PermissionDenied) } else { Ok(()) }
    }
}

async fn list<R: Resource>(
    call: &mut Call,
    connection: &mut PgConnection,
    caller: &Caller,
) -> Result<Response, ApiError> {
    let lens = Lens::read::<R>(call, connection, caller).await?;
    let count = sql::count::<R>(connection, &lens.filtered()).await?;
    if count == 0 {
        lens.refuse_if_nothing::<R>(connection).await?;
    }
    let request = PageRequest::read(&call.query, caller.tenant.page_sizes());
    let page = request.locate(count).ok_or_else(|| ApiError::NotFound(messages::INVALID_PAGE.into()))?;
    let order = params::ordering::<R>(&call.query);
    let mut rows: Vec<R> = match count {
        0 => Vec::new(),
        _ => sql::page(connection, &lens.filtered(), &order, &page).await?,
    };
    R::attach(call.view(caller), connection, &mut rows).await?;
    Ok(json_response(
        StatusCode::OK,
        &page.envelope(rows, R::AUTOCOMPLETE.map(|describe| describe()).unwrap_or_default()),
    ))
}

/// The permission on every object or on this one, or its ownership.
///
/// # Errors
/// 403
pub async fn require<R: Resource>(
    connection: &mut PgConnection,
    caller: &Caller,
    verb: Verb,
    row: &R,
) -> Result<(), ApiError> {
    if row.owned_by(caller) {
        return Ok(());
    }
    caller.require_on(connection, &R::MODEL, &R::MODEL.codename(verb), &row.pk().to_string()).await
}

/// The object that the path names, if the caller sees it.
///
/// # Errors
/// 403 for those who see none at all, 404 otherwise.
pub async fn find<R: Resource>(
    call: &Call,
    connection: &mut PgConnection,
    caller: &Caller,
    lock: bool,
) -> Result<R, ApiError> {
    let lens = Lens::read::<R>(call, connection, caller).await?;
    let text = call.captures.first().map(String::as_str).unwrap_or_default();
    let key = PathKey::read(R::LOOKUP.kind, text);
    let found = match &key {
        Some(key) => sql::find::<R>(connection, &lens.filtered(), key, lock).await?,
        None => None,
    };
    match found {
        Some(row) => Ok(row),
        None => {
            lens.refuse_if_nothing::<R>(connection).await?;
            Err(match key {
                Some(_) => ApiError::no_match(R::MODEL.name),
                None => ApiError::NotFound(messages::NOT_FOUND.into()),
            })
        }
    }
}

async fn create<R: Resource>(
    call: &mut Call,
    connection: &mut PgConnection,
    caller: &Caller,
) -> Result<Response, ApiError> {
    R::may_create(caller)?;
    let mut body = call.json()?;
    R::modernise(&mut body);
    let view = call.view(caller);
    let mut transaction = connection.begin().await?;
    let (draft, input) = validate::<R>(view, &mut transaction, &body, Mode::Create, None).await?;
    let pk = sql::insert::<R>(&mut transaction, &view.app.ids, &draft).await?;
    let row = finish::<R>(view, &mut transaction, Mode::Create, pk, &draft, &input).await?;
    initial_permissions::grant(view, &mut transaction, &R::MODEL, pk).await?;
    transaction.commit().await?;
    Ok(json_response(StatusCode::CREATED, &row))
}

async fn update<R: Resource>(
    call: &mut Call,
    connection: &mut PgConnection,
    caller: &Caller,
    mode: Mode,
) -> Result<Response, ApiError> {
    let mut transaction = connection.begin().await?;
    let row = find::<R>(call, &mut transaction, caller, true).await?;
    require::<R>(&mut transaction, caller, Verb::Change, &row).await?;
    let mut body = call.json()?;
    R::modernise(&mut body);
    let view = call.view(caller);
    let (draft, input) = validate::<R>(view, &mut transaction, &body, mode, Some(&row)).await?;
    let before = stale_flows(view, &mut transaction, &row).await?;
    plans::drop_of(view.app, &mut transaction, &before).await?;
    sql::update::<R>(&mut transaction, row.pk(), &draft).await?;
    let row = finish::<R>(view, &mut transaction, mode, row.pk(), &draft, &input).await?;
    transaction.commit().await?;
    Ok(json_response(StatusCode::OK, &row))
}

/// What follows the row itself: related rows, authentik's traces, then the object as the answer shows it.
async fn finish<R: Resource>(
    view: View<'_>,
    connection: &mut PgConnection,
    mode: Mode,
    pk: R::Key,
    draft: &Draft,
    input: &R::Input,
) -> Result<R, ApiError> {
    R::saved(&mut Save { view, connection, mode, pk, draft }, input).await?;
    let mut rows = sql::reload::<R>(connection, &view.app.database.layout, vec![pk]).await?;
    let mut row = rows.pop().ok_or(ApiError::Conflict)?;
    let change = if mode == Mode::Create { Change::Created } else { Change::Updated };
    wrote(view, connection, change, &row).await?;
    R::attach_written(view, connection, draft, &mut row).await?;
    Ok(row)
}

/// What authentik does beside every write: an audit event, and the cached plans of the affected flows dropped.
///
/// # Errors
/// The database failed.
pub async fn wrote<R: Resource>(
    view: View<'_>,
    connection: &mut PgConnection,
    change: Change,
    row: &R,
) -> Result<(), ApiError> {
    if !view.app.database.layout.is_attached() {
        return Ok(());
    }
    let model = row.model(view, connection).await?;
    audit::record(view, connection, change, &model, row.pk(), &row.name()).await?;
    let flows = row.flows(connection).await?;
    plans::drop_of(view.app, connection, &flows).await
}

/// The flows that a write makes stale, as they are before it.
async fn stale_flows<R: Resource>(
    view: View<'_>,
    connection: &mut PgConnection,
    row: &R,
) -> Result<Vec<Uuid>, ApiError> {
    if view.app.database.layout.is_attached() { row.flows(connection).await } else { Ok(Vec::new()) }
}

async fn destroy<R: Resource>(
    call: &mut Call,
    connection: &mut PgConnection,
    caller: &Caller,
) -> Result<Response, ApiError> {
    let mut transaction = connection.begin().await?;
    let row = find::<R>(call, &mut transaction, caller, true).await?;
    require::<R>(&mut transaction, caller, Verb::Delete, &row).await?;
    wrote(call.view(caller), &mut transaction, Change::Deleted, &row).await?;
    R::destroying(call.view(caller), &mut transaction, &row).await?;
    let layout = &call.app.database.layout;
    cascade::delete(&mut transaction, layout, R::TABLE.name, vec![row.pk()]).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A body against the declaration of `R`: shapes, value rules, then what the database knows.
///
/// # Errors
/// 400 with every wrong field.
async fn validate<R: Resource>(
    view: View<'_>,
    connection: &mut PgConnection,
    body: &Value,
    mode: Mode,
    row: Option<&R>,
) -> Result<(Draft, R::Input), ApiError> {
    let (mut draft, mut errors) = intake::take(R::FIELDS, body, mode, view.app.dialect());
    let input: R::Input = serde_json::from_value(draft.to_json(R::FIELDS)).map_err(anyhow::Error::from)?;
    if let Err(broken) = input.validate() {
        merge(&mut errors, R::FIELDS, &broken);
    }
    let pk = row.map(Resource::pk);
    {
        let probes: Vec<_> =
            sql::probes::<R>(&draft).into_iter().filter(|probe| !errors.has(probe.field)).collect();
        let facts = sql::look_up::<R>(connection, &probes, pk).await?;
        for (probe, wrong) in probes.iter().zip(facts) {
            let Some(index) = wrong else { continue };
            let sentence = match &probe.fact {
                Fact::Exist(_, keys) => messages::invalid_pk(&keys[index].spelling),
                Fact::Unique(field, _) => field.unique.unwrap_or_default().to_owned(),
            };
            errors.add(probe.field, sentence);
        }
    }
    let mut check = Check { view, connection, mode, row, draft: &mut draft, errors: &mut errors };
    R::check(&mut check, &input).await?;
    if errors.is_empty() {
        Ok((draft, input))
    } else {
        Err(ApiError::Validation(errors.into_body(R::FIELDS)))
    }
}

/// Add what `validator` found. Only our own sentences are taken over: its parameters hold the offending values.
fn merge(errors: &mut FieldErrors, fields: &[Field], broken: &ValidationErrors) {
    for (name, kind) in broken.errors() {
        match kind {
            ValidationErrorsKind::Field(list) => {
                for sentence in list.iter().filter_map(|error| error.message.as_deref()) {
                    errors.add(name, sentence);
                }
            }
            ValidationErrorsKind::List(items) => {
                let inner = fields.iter().find(|field| field.name == *name).map(|field| field.kind);
                let Some(Kind::Nested { fields: inner, .. }) = inner else {
                    continue;
                };
                let last = items.keys().next_back().copied().unwrap_or_default();
                let nested = (0..=last).map(|index| {
                    let mut item = FieldErrors::default();
                    if let Some(broken) = items.get(&index) {
                        merge(&mut item, inner, broken);
                    }
                    item.into_body(inner)
                });
                errors.nest(name, nested.collect());
            }
            ValidationErrorsKind::Struct(_) => {}
        }
    }
}
