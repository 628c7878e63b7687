//! The checks of a request, in Django REST framework's order, and then the action.

use drf::Body;
use drf::action::{Effect, Method, RequestBody, Route, Success};
use drf::intake::{self, Mode};
use drf::metadata;
use drf::permission::Permission;
use sqlx::PgConnection;

use super::action::Request;
use super::lookup::find;
use super::precondition::Precondition;
use super::recall::Recall;
use super::serve::{Asked, ResourcePath};
use super::transaction::Transaction;
use super::view_set::{Object, ViewSet};
use super::{Answer, Call, Context};
use crate::auth::Caller;
use crate::authentik::Trace;
use crate::db::statements::Lock;
use crate::error::ApiError;
use crate::telemetry;

/// What is said to those who send no credentials. The permission of an object is decided by the look-up, so there it is a
/// refusal like any other; unless credentials are all that is asked for.
pub(super) fn anonymous(path: &ResourcePath) -> ApiError {
    let by_look_up = path.actions().any(|action| action.permission != Permission::Authenticated);
    if path.route.detail && by_look_up { ApiError::PermissionDenied } else { ApiError::NotAuthenticated }
}

/// The checks, in their order, and then the action.
pub(super) async fn run(
    call: &mut Call,
    Asked { path, action }: Asked<'_>,
    caller: Option<&Caller>,
    recall: Option<&Recall<'_>>,
    transaction: &mut Transaction,
) -> Result<Answer, ApiError> {
    let Some(caller) = caller else {
        telemetry::refused(call.refusal());
        return Err(anonymous(path));
    };
    telemetry::asked_by(caller.id);
    let Some(action) = action else {
        return match call.method.as_str() {
            "OPTIONS" => options(call, path, caller, transaction.parts().0).await,
            other => Err(ApiError::MethodNotAllowed(other.to_owned())),
        };
    };
    let view_set = path.view_set;
    let declared = view_set.declaration();
    let seen = recall.map(Recall::seen);
    let mut found = None;
    if path.route.detail {
        let context = Context { seen, ..context(call, caller) };
        found = Some(object(call, view_set, action, context, transaction.parts().0).await?);
    } else {
        require(caller, view_set, action)?;
    }
    let body = match action.body {
        RequestBody::None => Body::default(),
        RequestBody::Fields { fields, .. } | RequestBody::Unchecked { fields, .. } => call.json(fields)?,
        RequestBody::Resource(_) => call.json(declared.fields)?,
    };
    let draft = match action.body {
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
    let own_key = own_key(&call.target, path.route);
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
    let answer = view_set.run(action, request, found).await?;
    Ok(if shows_state(view_set, action) { answer.tagged() } else { answer })
}

/// The permissions of an action on the list.
pub(super) fn require(caller: &Caller, view_set: &dyn ViewSet, action: &drf::Action) -> Result<(), ApiError> {
    let model = &view_set.declaration().model;
    action.permission.codenames(model).iter().try_for_each(|codename| caller.require(model, codename))
}

/// The object that the path names, if the caller sees it, may do that to it, and knows its state where the request says
/// which. Locked if the action writes.
async fn object(
    call: &Call,
    view_set: &dyn ViewSet,
    action: &drf::Action,
    context: Context<'_>,
    connection: &mut PgConnection,
) -> Result<Box<dyn Object>, ApiError> {
    let lock = match (action.effect, action.method) {
        (Effect::Reads, _) | (_, Method::Get) => None,
        (_, Method::Delete) => Some(Lock::Delete),
        _ => Some(Lock::Change),
    };
    let key = call.key.as_deref().unwrap_or_default();
    let found = find(view_set, context, connection, key, lock).await?;
    require_on(connection, context.caller, view_set, action, &*found).await?;
    match Precondition::of(&call.headers, action)? {
        Some(precondition) => precondition.judge(view_set, context, connection, found.key()).await,
        None => Ok(found),
    }
}

/// Whether an action's answer is what a GET of its path, or of the object that it made, shows now.
fn shows_state(view_set: &dyn ViewSet, action: &drf::Action) -> bool {
    let reads = action.effect == Effect::Reads;
    match action.success {
        Success::Object | Success::Created => {
            reads || (action.route.url_path.is_empty() && view_set.answers_writes_as_reads())
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

/// The permissions of an action on this object, or on every one; or its ownership.
pub(super) async fn require_on(
    connection: &mut PgConnection,
    caller: &Caller,
    view_set: &dyn ViewSet,
    action: &drf::Action,
    object: &dyn Object,
) -> Result<(), ApiError> {
    if object.is_owned_by(caller) {
        return Ok(());
    }
    let model = &view_set.declaration().model;
    for codename in action.permission.codenames(model) {
        caller.require_on(connection, model, &codename, &object.key().to_string()).await?;
    }
    Ok(())
}

/// `OPTIONS`: the fields of POST and PUT are shown to those who may use them. Actions beside the seven are described
/// without a look-up.
async fn options(
    call: &Call,
    path: &ResourcePath,
    caller: &Caller,
    connection: &mut PgConnection,
) -> Result<Answer, ApiError> {
    let (view_set, route) = (path.view_set, path.route);
    let found = if route == Route::OBJECT {
        let key = call.key.as_deref().unwrap_or_default();
        Some(find(view_set, context(call, caller), connection, key, None).await?)
    } else {
        None
    };
    let mut shown = Vec::new();
    for action in path.actions().filter(|action| matches!(action.method, Method::Post | Method::Put)) {
        let may = match &found {
            Some(found) => require_on(connection, caller, view_set, action, &**found).await.is_ok(),
            None => route.detail || require(caller, view_set, action).is_ok(),
        };
        if may {
            shown.push((action.method, action.body));
        }
    }
    let Some(any) = path.actions().next() else { return Err(ApiError::NoRoute) };
    let version = call.app.database.layout.release().api();
    Answer::ok(&metadata::describe(Some(view_set.declaration()), any, &shown, version))
}
