//! A request for a path of a resource: whether it is remembered, on which connection it is done, once or twice, and what
//! follows it. What it asks for is judged and done in `checks.rs`.

use std::pin::pin;

use drf::action::{Effect, Route, Success};
use drf::field::Version;
use tokio::time::timeout_at;

use super::checks::{anonymous, run};
use super::idempotency::Repeatable;
use super::recall::{Recall, Recalled, Whole};
use super::transaction::{Begins, Transaction};
use super::view_set::ViewSet;
use super::{Answer, Call, dry_run, replica};
use crate::auth::Caller;
use crate::db::volume;
use crate::error::ApiError;
use crate::telemetry::{self, metrics};

/// A path of a resource.
pub(super) struct ResourcePath {
    /// The resource.
    pub(super) view_set: &'static dyn ViewSet,
    /// Where the path stands.
    pub(super) route: Route,
    actions: Vec<&'static drf::Action>,
    /// The first release that has it.
    since: Option<Version>,
}

/// What a request asks for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Its path.
    pub(super) path: &'a ResourcePath,
    /// What its method does there. Without one, there is `OPTIONS` or a 405 to answer.
    pub(super) action: Option<&'static drf::Action>,
}

impl Asked<'_> {
    fn effect(self) -> Effect {
        self.action.map_or(Effect::Reads, |action| action.effect)
    }

    /// Whether the answer follows from the database alone.
    fn is_whole(self) -> bool {
        self.action.is_some_and(|action| {
            action.effect == Effect::Reads && matches!(action.success, Success::Page | Success::Object)
        })
    }

    /// When the transaction begins.
    fn begins(self, call: &Call) -> Begins {
        let is_one_insert = |action| {
            let is_more = dry_run::is_named(&call.query) || Repeatable::is_named(&call.headers);
            self.path.view_set.is_one_insert(action) && !call.app.database.layout.is_attached() && !is_more
        };
        match self.action {
            Some(action) if is_one_insert(action) => Begins::Later,
            Some(action) if action.effect == Effect::Writes => Begins::AtOnce,
            _ => Begins::Never,
        }
    }
}

impl ResourcePath {
    /// The path of these actions.
    pub(super) fn new(view_set: &'static dyn ViewSet, route: Route) -> Self {
        let mut actions = view_set.actions();
        actions.retain(|action| action.route == route);
        let since = actions.iter().map(|action| action.since).min();
        Self { view_set, route, actions, since }
    }

    /// What can be done there.
    pub(super) fn actions(&self) -> impl Iterator<Item = &'static drf::Action> {
        self.actions.iter().copied()
    }

    /// The answer to a request for it.
    pub(super) async fn serve(&self, mut call: Call) -> Result<Answer, ApiError> {
        if self.since > Some(call.app.database.layout.release().api()) {
            return Err(ApiError::NotServed);
        }
        call.negotiate()?;
        if !call.has_credentials() {
            telemetry::refused(call.refusal());
            return Err(anonymous(self)); // which takes no connection
        }
        let method = call.action_method();
        let action = self.actions().find(|action| Some(action.method) == method);
        let asked = Asked { path: self, action };
        // In a box: where there are none, requests would carry the room that it takes.
        if !call.app.database.replicas.is_empty()
            && let Some(done) = Box::pin(replica::read(&mut call, asked)).await
        {
            return done;
        }
        let writing = replica::writing(&call, self.view_set.declaration(), asked.effect());
        let done = match attempt(&mut call, asked, false).await {
            // A read may be done again: on a connection that was opened after whatever cut this one.
            Err(ApiError::Disconnected(_)) if asked.effect() == Effect::Reads => {
                metrics::retried();
                attempt(&mut call, asked, true).await
            }
            done => done,
        };
        if let Some(writing) = writing {
            writing.came_to(&done);
        }
        done
    }
}

/// Do what is asked within the request's time, and commit it.
async fn attempt(call: &mut Call, asked: Asked<'_>, anew: bool) -> Result<Answer, ApiError> {
    let (app, deadline, committing) = (call.app.clone(), call.deadline, call.committing.clone());
    let done = {
        let work = answered(call, asked, anew);
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

/// The answer, and the transaction to commit before it is given; none where the answer was remembered.
async fn answered(
    call: &mut Call,
    asked: Asked<'_>,
    anew: bool,
) -> Result<(Option<Transaction>, Answer), ApiError> {
    let app = call.app.clone();
    if let Some(action) = asked.action {
        asked.path.view_set.before(&app, action).await;
    }
    let whole = if asked.is_whole() { Whole::of(call) } else { None };
    // Kept until the answer is found, and remembered.
    let _finding = match &whole {
        None => None,
        Some(whole) => match whole.recall(&app.memory, call).await {
            Recalled::Answer(answer) => return Ok((None, answer)),
            Recalled::Nothing(finding) => finding,
        },
    };
    let mut transaction = Transaction::begin(&app.database, asked.begins(call), anew).await?;
    let answer = match transaction.server() {
        Some(server) if asked.effect() == Effect::Reads => {
            let mut recall = Recall::new(&app.memory, server, whole.as_ref());
            read(call, asked, &mut recall, &mut transaction).await
        }
        _ => directly(call, asked, &mut transaction).await,
    };
    if volume::was_large(app.settings.answer) {
        transaction.retire();
    }
    Ok((Some(transaction), answer?))
}

/// A read, with what earlier ones found.
async fn read(
    call: &mut Call,
    asked: Asked<'_>,
    recall: &mut Recall<'_>,
    transaction: &mut Transaction,
) -> Result<Answer, ApiError> {
    let told = asked.is_whole() && asked.path.view_set.tells_snapshot();
    let mut caller = recall.caller(call, transaction.parts().0).await?;
    loop {
        let done = run(call, asked, caller.as_deref(), Some(recall), transaction).await;
        if recall.done(transaction.parts().0, caller.as_ref(), done.as_ref().ok(), told).await? {
            return done;
        }
        // Something was committed since the caller was proved. One that was asked for counts, so this comes once.
        caller = recall.caller_anew(call, transaction.parts().0).await?;
    }
}

/// A write, or a read that goes by nothing earlier ones found.
pub(super) async fn directly(
    call: &mut Call,
    asked: Asked<'_>,
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
    let (Some(caller), Some(action)) = (&caller, asked.action) else {
        return run(call, asked, caller.as_ref(), None, transaction).await;
    };
    if dry_run::is_asked(&call.query, action)? {
        // It does nothing that could be done twice, so it has no use for a key.
        let answer = run(call, asked, Some(caller), None, transaction).await?;
        transaction.only_try();
        return Ok(call.effects.shown_on(answer));
    }
    match Repeatable::of(call, action, caller)? {
        None => run(call, asked, Some(caller), None, transaction).await,
        Some(repeatable) => {
            let done = once(call, asked, caller, &repeatable, transaction).await;
            if done.is_err() {
                // Its key isn't taken any more when the client hears of it, and may send it again.
                transaction.undo().await;
            }
            done
        }
    }
}

/// A POST that was perhaps done before.
async fn once(
    call: &mut Call,
    asked: Asked<'_>,
    caller: &Caller,
    repeatable: &Repeatable,
    transaction: &mut Transaction,
) -> Result<Answer, ApiError> {
    if let Some(answer) = repeatable.recall(transaction.parts().0).await? {
        telemetry::asked_by(caller.id);
        return Ok(answer);
    }
    let answer = run(call, asked, Some(caller), None, transaction).await?;
    repeatable.keep(transaction.parts().0, &answer).await?;
    Ok(answer)
}
