//! The checks of a request, in Django REST framework's order, and then the action.

use drf::Body;
use drf::action::{Effect, Method, RequestBody, Route, Success};
use drf::intake::{self, Mode};
use drf::metadata;
use drf::permission::Permission;

use super::action::{Action, Request, Run};
use super::endpoint::at;
use super::lookup::find;
use super::precondition::Precondition;
use super::recall::Recall;
use super::transaction::Transaction;
use super::{Answer, Call, Context, Resource};
use crate::auth::Caller;
use crate::authentik::Trace;
use crate::db::statements::Lock;
use crate::error::ApiError;
use crate::telemetry;

/// What is said to those who send no credentials. The permission of an object is decided by the look-up, so there it is a
/// refusal like any other; unless credentials are all that is asked for.
pub(super) fn anonymous<R: Resource>(route: Route) -> ApiError {
    let by_look_up = at::<R>(route).any(|action| action.declared.permission != Permission::Authenticated);
    if route.detail && by_look_up { ApiError::PermissionDenied } else { ApiError::NotAuthenticated }
}

/// The checks, in their order, and then the action.
pub(super) async fn run<R: Resource>(
    call: &mut Call,
    route: Route,
    action: Option<&Action<R>>,
    caller: Option<&Caller>,
    recall: Option<&Recall<'_>>,
    transaction: &mut Transaction,
) -> Result<Answer, ApiError> {
    let Some(caller) = caller else {
        telemetry::refused(call.refusal());
        return Err(anonymous::<R>(route));
    };
    telemetry::asked_by(caller.id);
    let Some(action) = action else {
        return match call.method.as_str() {
            "OPTIONS" => options::<R>(call, route, caller, transaction.parts().0).await,
            other => Err(ApiError::MethodNotAllowed(other.to_owned())),
        };
    };
    let declared = &action.declared;
    let seen = recall.map(Recall::seen);
    let mut row = None;
    if route.detail {
        let context = Context { seen, ..context(call, caller) };
        row = Some(object::<R>(call, declared, context, transaction.parts().0).await?);
    } else {
        for codename in declared.permission.codenames(&R::DECLARATION.model) {
            caller.require(&R::DECLARATION.model, &codename)?;
        }
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
    let context = Context { seen, ..context(call, caller) };
    let own_key = own_key(&call.target, route);
    let headers = &call.headers;
    let (connection, after_commit, later) = transaction.parts_to_begin(&call.committing);
    let request = Request {
        context,
        connection,
        body,
        draft,
        key: None,
        headers,
        own_key,
        recall,
        later,
        after_commit,
    };
    let answer = match (&action.run, row) {
        (Run::List(run) | Run::Create(run), _) => run(request).await?,
        (Run::Object(run), Some(row)) => run(request, row).await?,
        (Run::Object(_), None) => {
            return Err(anyhow::anyhow!("an action on one object without an object").into());
        }
    };
    Ok(if shows_state::<R>(declared) { answer.tagged() } else { answer })
}

/// The object that the path names, if the caller sees it, may do that to it, and knows its state where the request says
/// which. Locked if the action writes.
async fn object<R: Resource>(
    call: &Call,
    declared: &drf::Action,
    context: Context<'_>,
    connection: &mut sqlx::PgConnection,
) -> Result<R, ApiError> {
    let lock = match (declared.effect, declared.method) {
        (Effect::Reads, _) | (_, Method::Get) => None,
        (_, Method::Delete) => Some(Lock::Delete),
        _ => Some(Lock::Change),
    };
    let key = call.key.as_deref().unwrap_or_default();
    let found = find::<R>(context, connection, key, lock).await?;
    for codename in declared.permission.codenames(&R::DECLARATION.model) {
        require_on(connection, context.caller, &codename, &found).await?;
    }
    match Precondition::of(&call.headers, declared)? {
        Some(precondition) => precondition.judge(context, connection, &found).await,
        None => Ok(found),
    }
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
pub(super) async fn require_on<R: Resource>(
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
        let mut may = true;
        for codename in declared.permission.codenames(&R::DECLARATION.model) {
            may &= match &row {
                Some(row) => require_on(connection, caller, &codename, row).await.is_ok(),
                None => route.detail || caller.require(&R::DECLARATION.model, &codename).is_ok(),
            };
        }
        if may {
            shown.push((declared.method, declared.body));
        }
    }
    let Some(any) = actions.first() else { return Err(ApiError::NoRoute) };
    let version = call.app.database.layout.release().api();
    Answer::ok(&metadata::describe(Some(R::DECLARATION), &any.declared, &shown, version))
}
