//! [`Endpoint`]: a path of the API, and what is done with a request for it.

use std::pin::Pin;

use drf::Body;
use drf::action::{Effect, Method, RequestBody, Route, Success, allow};
use drf::intake::{self, Mode};
use drf::metadata;
use drf::permission::Permission;
use tokio::time::{Instant, timeout_at};

use super::action::{Action, ApiView, Request, Run};
use super::idempotency::Repeatable;
use super::lookup::find;
use super::precondition::Precondition;
use super::recall::{Recall, Whole};
use super::transaction::Transaction;
use super::{Answer, Call, Context, Resource, dry_run};
use crate::app::App;
use crate::auth::Caller;
use crate::authentik::Trace;
use crate::db::statements::Lock;
use crate::db::volume;
use crate::error::ApiError;
use crate::telemetry::{self, Refusal, metrics};

/// What is done with a request for a path.
pub type Serve = Box<dyn Fn(Call) -> Serving + Send + Sync>;
/// The answer to come.
pub type Serving = Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send>>;

/// A path of the API.
pub struct Endpoint {
    /// The path below the API's prefix, with `{key}` for an object's key.
    pub path: String,
    /// Its `Allow` header.
    pub allow: String,
    /// What is done with a request for it.
    pub serve: Serve,
}

/// The paths of a resource, one for each route that its actions have.
pub fn of_resource<R: Resource>() -> Vec<Endpoint> {
    let mut routes: Vec<Route> = Vec::new();
    for action in R::actions() {
        if !routes.contains(&action.declared.route) {
            routes.push(action.declared.route);
        }
    }
    let endpoint = |route: Route| {
        let since = at::<R>(route).map(|action| action.declared.since).min();
        Endpoint {
            path: route.path(R::DECLARATION.path, "key"),
            allow: allow(at::<R>(route).map(|action| action.declared.method)),
            serve: Box::new(move |call| {
                Box::pin(async move {
                    if since > Some(call.app.database.layout.release().api()) {
                        return Err(ApiError::NotServed);
                    }
                    serve::<R>(call, route).await
                })
            }),
        }
    };
    routes.into_iter().map(endpoint).collect()
}

/// The path of a view without a resource.
pub fn of_view(view: &'static ApiView) -> Endpoint {
    Endpoint {
        path: view.path.to_owned(),
        allow: allow([view.declared.method].into_iter()),
        serve: Box::new(move |call| Box::pin(serve_view(call, view))),
    }
}

fn at<R: Resource>(route: Route) -> impl Iterator<Item = &'static Action<R>> {
    R::actions().filter(move |action| action.declared.route == route)
}

async fn serve<R: Resource>(mut call: Call, route: Route) -> Result<Answer, ApiError> {
    call.negotiate()?;
    if call.bearer().is_none() {
        telemetry::refused(Refusal::Missing);
        return Err(anonymous(route)); // which takes no connection
    }
    let method = call.action_method();
    let action = at::<R>(route).find(|action| Some(action.declared.method) == method);
    let effect = action.map_or(Effect::Reads, |action| action.declared.effect);
    match attempt::<R>(&mut call, route, action, effect, false).await {
        // A read may be done again: on a connection that was opened after whatever cut this one.
        Err(ApiError::Disconnected(_)) if effect == Effect::Reads => {
            metrics::retried();
            attempt::<R>(&mut call, route, action, effect, true).await
        }
        done => done,
    }
}

/// Do what is asked within the request's time, and commit it.
async fn attempt<R: Resource>(
    call: &mut Call,
    route: Route,
    action: Option<&Action<R>>,
    effect: Effect,
    anew: bool,
) -> Result<Answer, ApiError> {
    let (app, deadline) = (call.app.clone(), call.deadline);
    let work = volume::limited(app.settings.answer, async {
        if let Some(action) = action {
            R::before(&call.app, &action.declared).await;
        }
        let whole = if is_whole(action) { Whole::of(call) } else { None };
        if let Some(whole) = &whole
            && let Some(answer) = whole.recall(call).await
        {
            return Ok((None, answer));
        }
        let mut transaction = Transaction::begin(&call.app.database, effect, anew).await?;
        let answered = match transaction.server() {
            Some(server) if effect == Effect::Reads => {
                let mut recall = Recall::new(&app.memory, server, whole.as_ref());
                read::<R>(call, route, action, &mut recall, &mut transaction).await
            }
            _ => directly::<R>(call, route, action, &mut transaction).await,
        };
        if volume::was_large(app.settings.answer) {
            transaction.retire();
        }
        Ok((Some(transaction), answered?))
    });
    let (transaction, answer) = in_time(&app, deadline, work).await?;
    if let Some(transaction) = transaction {
        transaction.commit().await?;
    }
    Ok(answer)
}

/// The work, unless its time ends before, or the connection that it waits on is given up.
async fn in_time<T>(
    app: &App,
    deadline: Instant,
    work: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    let given_up = app.database.requests.given_up();
    tokio::select! {
        biased;
        done = timeout_at(deadline, work) => done.unwrap_or(Err(ApiError::Overloaded)),
        () = given_up => Err(ApiError::Disconnected(std::io::Error::from(std::io::ErrorKind::TimedOut).into())),
    }
}

/// Whether an action's answer follows from the database alone.
fn is_whole<R: Resource>(action: Option<&Action<R>>) -> bool {
    action.is_some_and(|action| {
        let declared = &action.declared;
        declared.effect == Effect::Reads && matches!(declared.success, Success::Page | Success::Object)
    })
}

/// A write, or a read that goes by nothing earlier ones found.
async fn directly<R: Resource>(
    call: &mut Call,
    route: Route,
    action: Option<&Action<R>>,
    transaction: &mut Transaction,
) -> Result<Answer, ApiError> {
    let caller = call.authenticate(transaction.parts().0).await?;
    let (Some(caller), Some(action)) = (&caller, action) else {
        return run::<R>(call, route, action, caller.as_ref(), None, transaction).await;
    };
    let is_dry = dry_run::is_asked(&call.query, &action.declared)?;
    // A dry run does nothing that could be done twice.
    let repeatable = if is_dry { None } else { Repeatable::of(call, &action.declared, caller)? };
    if let Some(repeatable) = &repeatable
        && let Some(answer) = repeatable.recall(transaction.parts().0).await?
    {
        telemetry::asked_by(caller.id);
        return Ok(answer);
    }
    let answer = run::<R>(call, route, Some(action), Some(caller), None, transaction).await?;
    if let Some(repeatable) = &repeatable {
        repeatable.keep(transaction.parts().0, &answer).await?;
    }
    if !is_dry {
        return Ok(answer);
    }
    transaction.only_try();
    Ok(call.effects.shown_on(answer))
}

/// A read, with what earlier ones found.
async fn read<R: Resource>(
    call: &mut Call,
    route: Route,
    action: Option<&Action<R>>,
    recall: &mut Recall<'_>,
    transaction: &mut Transaction,
) -> Result<Answer, ApiError> {
    let told = is_whole(action) && R::TELLS_SNAPSHOT;
    let mut caller = recall.caller(call, transaction.parts().0).await?;
    loop {
        let done = run::<R>(call, route, action, caller.as_deref(), Some(recall), transaction).await;
        if recall.done(transaction.parts().0, caller.as_ref(), done.as_ref().ok(), told).await? {
            return done;
        }
        // Something was committed since the caller was proved. One that was asked for counts, so this comes once.
        caller = recall.caller_anew(call, transaction.parts().0).await?;
    }
}

/// What is said to those who send no credentials. The permission of an object is decided by the look-up, so there it is a
/// refusal like any other.
fn anonymous(route: Route) -> ApiError {
    if route.detail { ApiError::PermissionDenied } else { ApiError::NotAuthenticated }
}

/// The checks, in their order, and then the action.
async fn run<R: Resource>(
    call: &mut Call,
    route: Route,
    action: Option<&Action<R>>,
    caller: Option<&Caller>,
    recall: Option<&Recall<'_>>,
    transaction: &mut Transaction,
) -> Result<Answer, ApiError> {
    let (connection, after_commit) = transaction.parts();
    let caller = caller.ok_or_else(|| anonymous(route))?;
    telemetry::asked_by(caller.id);
    let Some(action) = action else {
        return match call.method.as_str() {
            "OPTIONS" => options::<R>(call, route, caller, connection).await,
            other => Err(ApiError::MethodNotAllowed(other.to_owned())),
        };
    };
    let declared = &action.declared;
    let codename = declared.permission.codename(&R::DECLARATION.model);
    let key = call.key.clone().unwrap_or_default();
    let mut row = None;
    if route.detail {
        let lock = match (declared.effect, declared.method) {
            (Effect::Reads, _) | (_, Method::Get) => None,
            (_, Method::Delete) => Some(Lock::Delete),
            _ => Some(Lock::Change),
        };
        let seen = recall.map(Recall::seen);
        let found = find::<R>(Context { seen, ..context(call, caller) }, connection, &key, lock).await?;
        if let Some(codename) = &codename {
            require_on(connection, caller, codename, &found).await?;
        }
        row = Some(match Precondition::of(&call.headers, declared)? {
            Some(precondition) => precondition.judge(context(call, caller), connection, &found).await?,
            None => found,
        });
    } else if let Some(codename) = &codename {
        caller.require(&R::DECLARATION.model, codename)?;
    }
    let body = match declared.body {
        RequestBody::None => Body::default(),
        RequestBody::Fields { fields, .. } | RequestBody::Unchecked { fields, .. } => call.json(fields)?,
        RequestBody::Resource(_) => call.json(R::DECLARATION.fields)?,
    };
    let draft = match declared.body {
        RequestBody::Fields { fields, .. } => {
            let (draft, errors) = intake::take(fields, &body, Mode::Create, call.app.dialect());
            if !errors.is_empty() {
                return Err(ApiError::Validation(errors.into_body(fields)));
            }
            draft
        }
        _ => intake::Draft::default(),
    };
    let context = Context { seen: recall.map(Recall::seen), ..context(call, caller) };
    let own_key = own_key(&call.target, route);
    let headers = &call.headers;
    let request = Request { context, connection, body, draft, headers, own_key, recall, after_commit };
    let answer = match (&action.run, row) {
        (Run::List(run), _) => run(request).await?,
        (Run::Object(run), Some(row)) => run(request, row).await?,
        (Run::Object(_), None) => {
            return Err(anyhow::anyhow!("an action on one object without an object").into());
        }
    };
    Ok(if shows_state::<R>(declared) { answer.tagged() } else { answer })
}

/// Whether an action's answer is what a GET of its path, or of the object that it made, shows now.
fn shows_state<R: Resource>(declared: &drf::Action) -> bool {
    let reads = declared.effect == Effect::Reads;
    match declared.success {
        Success::Object | Success::Created => {
            reads || (declared.route.url_path.is_empty() && R::ANSWERS_WRITES_AS_READS)
        }
        Success::Page | Success::One(_) | Success::Many(_) => reads,
        Success::NoContent | Success::Queued(_) | Success::Empty | Success::Document(_) => false,
    }
}

/// The segment of a request's path that stands for the key in the action's own part of it.
fn own_key(target: &str, route: Route) -> &str {
    let from_end = route.url_path.split('/').rev().position(|segment| segment.starts_with('{'));
    let path = target.split('?').next().unwrap_or_default().trim_end_matches('/');
    from_end.and_then(|place| path.rsplit('/').nth(place)).unwrap_or_default()
}

fn context<'a>(call: &'a Call, caller: &'a Caller) -> Context<'a> {
    let app = &call.app;
    let trace = Trace::new(&app.database.layout, caller, &call.origin, &app.clock, &app.ids);
    Context { app, caller, query: &call.query, trace, seen: None, effects: &call.effects }
}

/// The permission on every object or on this one, or its ownership.
async fn require_on<R: Resource>(
    connection: &mut sqlx::PgConnection,
    caller: &Caller,
    codename: &str,
    row: &R,
) -> Result<(), ApiError> {
    if row.owned_by(caller) {
        return Ok(());
    }
    caller.require_on(connection, &R::DECLARATION.model, codename, &row.pk().to_string()).await
}

/// `OPTIONS`: the fields of POST and PUT are shown to those who may use them. Actions beside the seven are described
/// without a look-up.
async fn options<R: Resource>(
    call: &Call,
    route: Route,
    caller: &Caller,
    connection: &mut sqlx::PgConnection,
) -> Result<Answer, ApiError> {
    let row = if route == Route::OBJECT {
        let key = call.key.as_deref().unwrap_or_default();
        Some(find::<R>(context(call, caller), connection, key, None).await?)
    } else {
        None
    };
    let (mut shown, actions) = (Vec::new(), at::<R>(route).collect::<Vec<_>>());
    let with_fields = |action: &&&Action<R>| matches!(action.declared.method, Method::Post | Method::Put);
    for action in actions.iter().filter(with_fields) {
        let declared = &action.declared;
        let may = match (declared.permission.codename(&R::DECLARATION.model), &row) {
            (Some(codename), Some(row)) => require_on(connection, caller, &codename, row).await.is_ok(),
            (Some(codename), None) if !route.detail => {
                caller.require(&R::DECLARATION.model, &codename).is_ok()
            }
            _ => true,
        };
        if may {
            shown.push((declared.method, declared.body));
        }
    }
    let Some(any) = actions.first() else { return Err(ApiError::NoRoute) };
    let version = call.app.database.layout.release().api();
    Answer::ok(&metadata::describe(Some(R::DECLARATION), &any.declared, &shown, version))
}

/// Whether the credentials of a request are good, as far as that can be told now. What is wrong with them is told in its
/// place, when the request is served.
pub async fn is_known(call: &Call) -> bool {
    call.bearer().is_some() && check_credentials(call, false).await.is_ok()
}

/// Whether the credentials of a request are good. `anew` as for [`Transaction::begin`].
async fn check_credentials(call: &Call, anew: bool) -> Result<(), ApiError> {
    let work = async {
        let mut transaction = Transaction::begin(&call.app.database, Effect::Reads, anew).await?;
        if let Some(caller) = call.authenticate(transaction.parts().0).await? {
            telemetry::asked_by(caller.id);
        }
        transaction.commit().await
    };
    in_time(&call.app, call.deadline, work).await
}

async fn serve_view(call: Call, view: &'static ApiView) -> Result<Answer, ApiError> {
    let declared = &view.declared;
    if declared.permission != Permission::Open {
        call.negotiate()?;
        let needed = declared.permission != Permission::Public;
        if call.bearer().is_some() {
            match check_credentials(&call, false).await {
                Err(ApiError::Disconnected(_)) => {
                    metrics::retried();
                    check_credentials(&call, true).await?;
                }
                done => done?,
            }
        } else if needed {
            telemetry::refused(Refusal::Missing);
            return Err(ApiError::NotAuthenticated);
        }
    }
    match call.action_method() {
        Some(method) if method == declared.method => (view.run)(&call),
        _ if call.method == "OPTIONS" => {
            let version = call.app.database.layout.release().api();
            Answer::ok(&metadata::describe(None, declared, &[(declared.method, declared.body)], version))
        }
        _ => Err(ApiError::MethodNotAllowed(call.method)),
    }
}
