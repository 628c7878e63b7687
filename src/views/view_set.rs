//! [`ViewSet`]: a resource, whichever it is. What comes before an action and behind it knows a resource by this alone, and
//! an object of it by [`Object`], so that it is compiled once, and not once a resource.

use std::any::Any;
use std::marker::PhantomData;
use std::slice;

use drf::Declaration;
use drf::action::{Method, Route};
use drf::declaration::PathKey;
use drf::intake::KeyValue;
use drf::page::Page;
use drf::params::Order;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;

use super::action::{Answering, Request, Run};
use super::standard::as_stored;
use super::{Action, Answer, Context, Resource};
use crate::app::App;
use crate::auth::{Caller, Scope};
use crate::db::statements::{self, Lock, Selection};
use crate::error::ApiError;

/// An object, whichever its resource is.
pub trait Object: Any + Send + Sync {
    /// Its key.
    fn key(&self) -> KeyValue;

    /// Whether the caller owns it: [`Resource::owned_by`].
    fn is_owned_by(&self, caller: &Caller) -> bool;

    /// The answer that shows it.
    ///
    /// # Errors
    /// It can't be JSON.
    fn shown(&self) -> Result<Answer, ApiError>;
}

impl<R: Resource> Object for R {
    fn key(&self) -> KeyValue {
        self.pk().into()
    }

    fn is_owned_by(&self, caller: &Caller) -> bool {
        self.owned_by(caller)
    }

    fn shown(&self) -> Result<Answer, ApiError> {
        Answer::ok(self)
    }
}

/// A resource, whichever it is: DRF's name for what has its actions.
pub trait ViewSet: Send + Sync {
    /// [`Resource::DECLARATION`]
    fn declaration(&self) -> &'static Declaration;

    /// What is said of its actions. Method and route tell one from the others.
    fn actions(&self) -> Vec<&'static drf::Action>;

    /// What is said of one of them.
    fn action(&self, method: Method, route: Route) -> Option<&'static drf::Action>;

    /// [`Resource::TELLS_SNAPSHOT`]
    fn tells_snapshot(&self) -> bool;

    /// Whether the action makes an object, and its INSERT is all that is written: [`Resource::INSERT_IS_ALL`].
    fn is_one_insert(&self, action: &drf::Action) -> bool;

    /// [`Resource::ANSWERS_WRITES_AS_READS`]
    fn answers_writes_as_reads(&self) -> bool;

    /// [`Resource::scope`]
    fn scope(&self, caller: &Caller) -> Scope;

    /// [`Resource::before`]
    fn before<'a>(&self, app: &'a App, action: &'a drf::Action) -> BoxFuture<'a, ()>;

    /// [`statements::find`]
    fn find<'a>(
        &self,
        connection: &'a mut PgConnection,
        selection: Selection<'a>,
        key: &'a PathKey,
        lock: Option<Lock>,
    ) -> BoxFuture<'a, sqlx::Result<Option<Box<dyn Object>>>>;

    /// A page of a selection, each object as answers show it.
    ///
    /// # Errors
    /// The database failed.
    fn page<'a>(
        &self,
        context: Context<'a>,
        connection: &'a mut PgConnection,
        selection: Selection<'a>,
        order: &'a [Order],
        page: &'a Page,
    ) -> BoxFuture<'a, Result<Vec<Answer>, ApiError>>;

    /// The object as it stands now, whoever asks.
    ///
    /// # Errors
    /// 409 if it is gone.
    fn stored<'a>(
        &self,
        context: Context<'a>,
        connection: &'a mut PgConnection,
        key: KeyValue,
    ) -> BoxFuture<'a, Result<Box<dyn Object>, ApiError>>;

    /// [`Resource::attach`] for one object.
    fn attach<'a>(
        &self,
        context: Context<'a>,
        connection: &'a mut PgConnection,
        object: &'a mut dyn Object,
    ) -> BoxFuture<'a, Result<(), ApiError>>;

    /// Do an action: on the object, if it is one on an object.
    fn run<'a>(
        &self,
        action: &drf::Action,
        request: Request<'a>,
        object: Option<Box<dyn Object>>,
    ) -> Answering<'a>;
}

/// The view set of a resource.
pub fn of<R: Resource>() -> &'static dyn ViewSet {
    const { &Of::<R>(PhantomData) }
}

/// See [`of`].
struct Of<R>(PhantomData<fn() -> R>);

impl<R: Resource> Of<R> {
    fn own(method: Method, route: Route) -> Option<&'static Action<R>> {
        R::actions().find(|action| action.declared.method == method && action.declared.route == route)
    }
}

impl<R: Resource> ViewSet for Of<R> {
    fn declaration(&self) -> &'static Declaration {
        R::DECLARATION
    }

    fn actions(&self) -> Vec<&'static drf::Action> {
        R::actions().map(|action| &action.declared).collect()
    }

    fn action(&self, method: Method, route: Route) -> Option<&'static drf::Action> {
        Self::own(method, route).map(|action| &action.declared)
    }

    fn tells_snapshot(&self) -> bool {
        R::TELLS_SNAPSHOT
    }

    fn is_one_insert(&self, action: &drf::Action) -> bool {
        let own = || Self::own(action.method, action.route);
        R::INSERT_IS_ALL && own().is_some_and(|own| matches!(own.run, Run::Create(_)))
    }

    fn answers_writes_as_reads(&self) -> bool {
        R::ANSWERS_WRITES_AS_READS
    }

    fn scope(&self, caller: &Caller) -> Scope {
        R::scope(caller)
    }

    fn before<'a>(&self, app: &'a App, action: &'a drf::Action) -> BoxFuture<'a, ()> {
        Box::pin(R::before(app, action))
    }

    fn find<'a>(
        &self,
        connection: &'a mut PgConnection,
        selection: Selection<'a>,
        key: &'a PathKey,
        lock: Option<Lock>,
    ) -> BoxFuture<'a, sqlx::Result<Option<Box<dyn Object>>>> {
        Box::pin(async move {
            let row: Option<R> = statements::find(connection, R::DECLARATION, &selection, key, lock).await?;
            Ok(row.map(boxed))
        })
    }

    fn page<'a>(
        &self,
        context: Context<'a>,
        connection: &'a mut PgConnection,
        selection: Selection<'a>,
        order: &'a [Order],
        page: &'a Page,
    ) -> BoxFuture<'a, Result<Vec<Answer>, ApiError>> {
        Box::pin(async move {
            let mut rows: Vec<R> =
                statements::page(connection, R::DECLARATION, &selection, order, page).await?;
            R::attach(context, connection, &mut rows).await?;
            rows.iter().map(Answer::ok).collect()
        })
    }

    fn stored<'a>(
        &self,
        context: Context<'a>,
        connection: &'a mut PgConnection,
        key: KeyValue,
    ) -> BoxFuture<'a, Result<Box<dyn Object>, ApiError>> {
        Box::pin(async move {
            let key = R::Key::try_from(key).map_err(|_| ApiError::Conflict)?; // another kind of key, so nobody's
            as_stored::<R>(context, connection, key).await.map(boxed)
        })
    }

    fn attach<'a>(
        &self,
        context: Context<'a>,
        connection: &'a mut PgConnection,
        object: &'a mut dyn Object,
    ) -> BoxFuture<'a, Result<(), ApiError>> {
        match (object as &mut dyn Any).downcast_mut::<R>() {
            Some(row) => Box::pin(R::attach(context, connection, slice::from_mut(row))),
            None => Box::pin(async { Err(of_another()) }),
        }
    }

    fn run<'a>(
        &self,
        action: &drf::Action,
        request: Request<'a>,
        object: Option<Box<dyn Object>>,
    ) -> Answering<'a> {
        let row = object.and_then(|object| (object as Box<dyn Any>).downcast::<R>().ok());
        match (Self::own(action.method, action.route).map(|own| &own.run), row) {
            (Some(Run::List(run) | Run::Create(run)), _) => run(request),
            (Some(Run::Object(run)), Some(row)) => run(request, *row),
            _ => Box::pin(async { Err(of_another()) }),
        }
    }
}

fn boxed<R: Resource>(row: R) -> Box<dyn Object> {
    Box::new(row)
}

/// What can't be: a view set is given what isn't its own.
fn of_another() -> ApiError {
    anyhow::anyhow!("an action, or an object, of another resource").into()
}
