//! [`Endpoint`]: a path of the API, and what is done with a request for it.

use std::pin::{Pin, pin};

use drf::action::{Effect, Route, Success, allow};
use drf::metadata;
use drf::permission::Permission;
use tokio::time::{sleep_until, timeout_at};

use super::action::{Action, ApiView, Run};
use super::checks::{anonymous, run};
use super::idempotency::Repeatable;
use super::recall::{Recall, Whole};
use super::transaction::{Begins, Transaction};
use super::{Answer, Call, Resource, dry_run, replica};
use crate::auth::Caller;
use crate::db::volume;
use crate::error::ApiError;
use crate::telemetry::{self, metrics};

/// The name that the key of an object has in the path of an endpoint.
pub const KEY: &str = "key";

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
            path: route.path(R::DECLARATION.path, KEY),
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

/// The actions of a route.
pub(super) fn at<R: Resource>(route: Route) -> impl Iterator<Item = &'static Action<R>> {
    R::actions().filter(move |action| action.declared.route == route)
}

async fn serve<R: Resource>(mut call: Call, route: Route) -> Result<Answer, ApiError> {
    call.negotiate()?;
    if !call.has_credentials() {
        telemetry::refused(call.refusal());
        return Err(anonymous::<R>(route)); // which takes no connection
    }
    let method = call.action_method();
    let action = at::<R>(route).find(|action| Some(action.declared.method) == method);
    let effect = action.map_or(Effect::Reads, |action| action.declared.effect);
    // In a box: where there are none, requests would carry the room that it takes.
    if !call.app.database.replicas.is_empty()
        && let Some(done) = Box::pin(replica::read::<R>(&mut call, route, action)).await
    {
        return done;
    }
    let writing = replica::writing::<R>(&call, effect);
    let done = match attempt::<R>(&mut call, route, action, effect, false).await {
        // A read may be done again: on a connection that was opened after whatever cut this one.
        Err(ApiError::Disconnected(_)) if effect == Effect::Reads => {
            metrics::retried();
            attempt::<R>(&mut call, route, action, effect, true).await
        }
        done => done,
    };
    if let Some(writing) = writing {
        writing.came_to(&done);
    }
    done
}

/// Do what is asked within the request's time, and commit it.
async fn attempt<R: Resource>(
    call: &mut Call,
    route: Route,
    action: Option<&Action<R>>,
    effect: Effect,
    anew: bool,
) -> Result<Answer, ApiError> {
    let (app, deadline, committing) = (call.app.clone(), call.deadline, call.committing.clone());
    let done = {
        let work = answered::<R>(call, route, action, effect, anew);
        // Pinned here, so that what waits for it carries a pointer and not all of its room.
        let work = pin!(volume::limited(app.settings.answer, work));
        in_time(app.database.requests.given_up(), committing.clone().over(deadline), work).await
    };
    let (transaction, answer) = done.map_err(|error| committing.judge(error))?;
    let to_come = match transaction {
        Some(transaction) => transaction.commit().await?,
        None => None,
    };
    match to_come {
        Some(work) => timeout_at(deadline, work).await.unwrap_or(Err(ApiError::Overloaded)),
        None => Ok(answer),
    }
}

/// The answer, and the transaction to commit before it is given; none where the answer was remembered.
async fn answered<R: Resource>(
    call: &mut Call,
    route: Route,
    action: Option<&Action<R>>,
    effect: Effect,
    anew: bool,
) -> Result<(Option<Transaction>, Answer), ApiError> {
    let app = call.app.clone();
    if let Some(action) = action {
        R::before(&app, &action.declared).await;
    }
    let whole = if is_whole(action) { Whole::of(call) } else { None };
    if let Some(whole) = &whole
        && let Some(answer) = whole.recall(call).await
    {
        return Ok((None, answer));
    }
    let mut transaction = Transaction::begin(&app.database, begins(call, action), anew).await?;
    let answer = match transaction.server() {
        Some(server) if effect == Effect::Reads => {
            let mut recall = Recall::new(&app.memory, server, whole.as_ref());
            read::<R>(call, route, action, &mut recall, &mut transaction).await
        }
        _ => directly::<R>(call, route, action, &mut transaction).await,
    };
    if volume::was_large(app.settings.answer) {
        transaction.retire();
    }
    Ok((Some(transaction), answer?))
}

/// When the transaction of an action begins. Without one, there is `OPTIONS` or a 405 to answer.
fn begins<R: Resource>(call: &Call, action: Option<&Action<R>>) -> Begins {
    let is_all = || {
        let is_more = dry_run::is_named(&call.query) || Repeatable::is_named(&call.headers);
        R::INSERT_IS_ALL && !call.app.database.layout.is_attached() && !is_more
    };
    match action {
        Some(Action { run: Run::Create(_), .. }) if is_all() => Begins::Later,
        Some(action) if action.declared.effect == Effect::Writes => Begins::AtOnce,
        _ => Begins::Never,
    }
}

/// The work, unless its time ends before, or the connection that it waits on is given up.
pub(super) async fn in_time<T>(
    given_up: impl Future<Output = ()>,
    over: impl Future<Output = ()>,
    work: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    tokio::select! {
        biased;
        done = work => done,
        () = over => Err(ApiError::Overloaded),
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
pub(super) async fn directly<R: Resource>(
    call: &mut Call,
    route: Route,
    action: Option<&Action<R>>,
    transaction: &mut Transaction,
) -> Result<Answer, ApiError> {
    let caller = match call.authenticate(transaction.parts().0).await {
        // It was cut while nobody used it, and nothing was written yet.
        Err(ApiError::Disconnected(_)) if transaction.is_to_begin() => {
            metrics::retried();
            transaction.reconnect().await?;
            call.authenticate(transaction.parts().0).await?
        }
        caller => caller?,
    };
    let (Some(caller), Some(action)) = (&caller, action) else {
        return run::<R>(call, route, action, caller.as_ref(), None, transaction).await;
    };
    if dry_run::is_asked(&call.query, &action.declared)? {
        // It does nothing that could be done twice, so it has no use for a key.
        let answer = run::<R>(call, route, Some(action), Some(caller), None, transaction).await?;
        transaction.only_try();
        return Ok(call.effects.shown_on(answer));
    }
    match Repeatable::of(call, &action.declared, caller)? {
        None => run::<R>(call, route, Some(action), Some(caller), None, transaction).await,
        Some(repeatable) => {
            let done = once::<R>(call, route, action, caller, &repeatable, transaction).await;
            if done.is_err() {
                // Its key isn't taken any more when the client hears of it, and may send it again.
                transaction.undo().await;
            }
            done
        }
    }
}

/// A POST that was perhaps done before.
async fn once<R: Resource>(
    call: &mut Call,
    route: Route,
    action: &Action<R>,
    caller: &Caller,
    repeatable: &Repeatable,
    transaction: &mut Transaction,
) -> Result<Answer, ApiError> {
    if let Some(answer) = repeatable.recall(transaction.parts().0).await? {
        telemetry::asked_by(caller.id);
        return Ok(answer);
    }
    let answer = run::<R>(call, route, Some(action), Some(caller), None, transaction).await?;
    repeatable.keep(transaction.parts().0, &answer).await?;
    Ok(answer)
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

/// Whether the credentials of a request are good, as far as that can be told now. What is wrong with them is told in its
/// place, when the request is served.
pub async fn is_known(call: &Call) -> bool {
    call.has_credentials() && check_credentials(call, false).await.is_ok_and(|is_somebody| is_somebody)
}

/// Whether the credentials of a request are somebody's. `anew` as for [`Transaction::begin`].
///
/// # Errors
/// 403 for wrong ones.
async fn check_credentials(call: &Call, anew: bool) -> Result<bool, ApiError> {
    let work = pin!(async {
        let mut transaction = Transaction::begin(&call.app.database, Begins::Never, anew).await?;
        let caller = call.authenticate(transaction.parts().0).await?;
        if let Some(caller) = &caller {
            telemetry::asked_by(caller.id);
        }
        transaction.commit().await?;
        Ok(caller.is_some())
    });
    in_time(call.app.database.requests.given_up(), sleep_until(call.deadline), work).await
}

async fn serve_view(call: Call, view: &'static ApiView) -> Result<Answer, ApiError> {
    let declared = &view.declared;
    if declared.permission != Permission::Open {
        call.negotiate()?;
        let needed = declared.permission != Permission::Public;
        let is_somebody = if call.has_credentials() {
            match check_credentials(&call, false).await {
                Err(ApiError::Disconnected(_)) => {
                    metrics::retried();
                    check_credentials(&call, true).await?
                }
                done => done?,
            }
        } else {
            false
        };
        if needed && !is_somebody {
            telemetry::refused(call.refusal());
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
