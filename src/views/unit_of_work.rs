//! [`UnitOfWork`]: the actions of the API for somebody who sends no requests, such as a file that the command line imports.
//! They have the rights of a user, and one transaction.

use axum::http::HeaderMap;
use drf::action::{Method, Route};
use drf::field::{Field, FieldKind};
use drf::intake::{self, Content, KeyValue, Mode};
use drf::page::{PageNumber, PageRequest};
use drf::params::{Condition, Operand, Order, Query, Test};
use drf::{Body, Declaration, json, python};
use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::checks::{require, require_on};
use super::lookup::{Lens, first};
use super::view_set::ViewSet;
use super::{AfterCommit, Answer, Begins, Context, Effects, Request, Transaction};
use crate::app::App;
use crate::auth::{self, Caller};
use crate::authentik::{Origin, Trace};
use crate::db::statements::{self, Lock};
use crate::error::ApiError;

/// What is said where an action isn't there.
const NOT_AN_ACTION: &str = "This can't be done with it.";
/// What is said of a name that tells no object from others.
const NO_IDENTIFIER: &str = "Not a field by which it can be found.";

/// An object as answers show it.
pub type Object = Map<String, Value>;

/// Reads and writes of a user, in one transaction. Dropped, it has done nothing.
pub struct UnitOfWork {
    app: App,
    caller: Caller,
    origin: Origin,
    query: Query,
    headers: HeaderMap,
    effects: Effects,
    transaction: Transaction,
}

/// What an action is done with.
struct Parts<'a> {
    context: Context<'a>,
    connection: &'a mut PgConnection,
    headers: &'a HeaderMap,
    after_commit: &'a mut AfterCommit,
}

impl UnitOfWork {
    /// One of a user, whose answers show what `query` asks for, such as `extended=true`.
    ///
    /// # Errors
    /// 403 if there is no such active user; the database failed.
    pub async fn begin(app: &App, username: &str, query: &str) -> Result<Self, ApiError> {
        let transaction = Transaction::begin(&app.database, Begins::AtOnce, false).await?;
        Self::within(transaction, app, username, query).await
    }

    /// The same for one that only reads, and sees nothing of what others write meanwhile.
    ///
    /// # Errors
    /// As for [`Self::begin`].
    pub async fn to_read(app: &App, username: &str, query: &str) -> Result<Self, ApiError> {
        let mut transaction = Transaction::begin(&app.database, Begins::AtOnce, false).await?;
        let snapshot = sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY");
        snapshot.execute(transaction.parts().0).await?;
        Self::within(transaction, app, username, query).await
    }

    async fn within(
        mut transaction: Transaction,
        app: &App,
        username: &str,
        query: &str,
    ) -> Result<Self, ApiError> {
        let caller = auth::of_user(transaction.parts().0, &app.database.layout, username).await?;
        Ok(Self {
            app: app.clone(),
            caller: caller.ok_or(ApiError::AuthenticationFailed)?,
            origin: Origin::nowhere(),
            query: Query::parse(Some(query)),
            headers: HeaderMap::new(),
            effects: Effects::default(),
            transaction,
        })
    }

    /// Write it all.
    ///
    /// # Errors
    /// The database refused it, or failed.
    pub async fn commit(self) -> Result<(), ApiError> {
        self.transaction.commit().await.map(drop)
    }

    /// Undo it all, once all that a commit checks is checked.
    ///
    /// # Errors
    /// The database would refuse it, or failed.
    pub async fn undo(mut self) -> Result<(), ApiError> {
        self.transaction.only_try();
        self.commit().await
    }

    fn parts(&mut self) -> Parts<'_> {
        let Self { app, caller, origin, query, headers, effects, transaction } = self;
        let trace = Trace::new(&app.database.layout, caller, origin, &app.clock, &app.ids);
        let context = Context { app, caller, query, trace, seen: None, effects };
        let (connection, after_commit) = transaction.parts();
        Parts { context, connection, headers, after_commit }
    }

    /// The object that these values of its fields name, if the user may view it: the one with the key `pk`, else the first
    /// that has all of the others.
    ///
    /// # Errors
    /// 400 for what is no field of it, or no value of one; the database failed.
    pub async fn find(&mut self, of: &dyn ViewSet, by: &Object) -> Result<Option<Object>, ApiError> {
        let conditions = conditions(of.declaration(), by, &self.app)?;
        let is_key =
            |condition: &Condition| matches!(condition.operand, Operand::Column(f) if f.name == "pk");
        let (key, others): (Vec<_>, Vec<_>) = conditions.into_iter().partition(is_key);
        let Parts { context, connection, .. } = self.parts();
        for conditions in [key, others].iter().filter(|conditions| !conditions.is_empty()) {
            if let Some(answer) = first(of, context, connection, conditions).await? {
                return shown(&answer).map(Some);
            }
        }
        Ok(None)
    }

    /// So many of the objects that the user may view, behind those of the pages before; `None` behind the last page.
    ///
    /// # Errors
    /// The database failed.
    pub async fn page(
        &mut self,
        of: &dyn ViewSet,
        order: &[Order],
        size: i64,
        number: i64,
    ) -> Result<Option<Vec<Object>>, ApiError> {
        let Parts { context, connection, .. } = self.parts();
        let lens = Lens::of(of, context, connection).await?;
        let count = statements::count(connection, of.declaration(), &lens.filtered()).await?;
        let page = PageRequest { size, number: Some(PageNumber::Number(number.into())) }.locate(count);
        let Some(page) = page else { return Ok(None) };
        let answers = of.page(context, connection, lens.filtered(), order, &page).await?;
        answers.iter().map(shown).collect::<Result<_, _>>().map(Some)
    }

    /// Make an object, as POST does. It gets this key, if there is one and the database doesn't count.
    ///
    /// # Errors
    /// Whatever POST is refused for.
    pub async fn create(
        &mut self,
        of: &dyn ViewSet,
        body: &Object,
        key: Option<KeyValue>,
    ) -> Result<Object, ApiError> {
        let action = action(of, Method::Post, Route::LIST)?;
        of.before(&self.app, action).await;
        require(&self.caller, of, action)?;
        let body = body_of(of.declaration(), body)?;
        shown(&of.run(action, self.request(body, key), None).await?)
    }

    /// Change an object that was found, and is given as answers show it; as PATCH does.
    ///
    /// # Errors
    /// Whatever PATCH is refused for; 409 if it is gone.
    pub async fn update(
        &mut self,
        of: &dyn ViewSet,
        object: &Object,
        body: &Object,
    ) -> Result<Object, ApiError> {
        let body = body_of(of.declaration(), body)?;
        shown(&self.on_object(of, object, Method::Patch, Lock::Change, body).await?)
    }

    /// Delete an object that was found, and is given as answers show it; as DELETE does.
    ///
    /// # Errors
    /// Whatever DELETE is refused for; 409 if it is gone.
    pub async fn remove(&mut self, of: &dyn ViewSet, object: &Object) -> Result<(), ApiError> {
        self.on_object(of, object, Method::Delete, Lock::Delete, Body::default()).await.map(drop)
    }

    async fn on_object(
        &mut self,
        of: &dyn ViewSet,
        object: &Object,
        method: Method,
        lock: Lock,
        body: Body,
    ) -> Result<Answer, ApiError> {
        let action = action(of, method, Route::OBJECT)?;
        let key = object.get("pk").and_then(key_of);
        let key = key.ok_or_else(|| ApiError::MethodNotAllowed(NOT_AN_ACTION.to_owned()))?;
        of.before(&self.app, action).await;
        let Parts { context, connection, .. } = self.parts();
        statements::hold(connection, of.declaration(), key, lock).await?;
        let found = of.stored(context, connection, key).await?;
        require_on(connection, context.caller, of, action, &*found).await?;
        of.run(action, self.request(body, None), Some(found)).await
    }

    fn request(&mut self, body: Body, key: Option<KeyValue>) -> Request<'_> {
        let Parts { context, connection, headers, after_commit } = self.parts();
        Request {
            context,
            connection,
            body,
            draft: intake::Draft::default(),
            key,
            headers,
            own_key: "",
            recall: None,
            later: None,
            after_commit,
        }
    }
}

/// The action that has this method here.
fn action(of: &dyn ViewSet, method: Method, route: Route) -> Result<&'static drf::Action, ApiError> {
    of.action(method, route).ok_or_else(|| ApiError::MethodNotAllowed(NOT_AN_ACTION.to_owned()))
}

fn body_of(declared: &Declaration, object: &Object) -> Result<Body, ApiError> {
    let text = serde_json::to_vec(object).map_err(anyhow::Error::from)?;
    Body::parse(&text, declared.fields).map_err(ApiError::Parse)
}

/// An object as an answer shows it.
fn shown(answer: &Answer) -> Result<Object, ApiError> {
    match json::parse(&answer.body).map_err(anyhow::Error::msg)? {
        Value::Object(object) => Ok(object),
        _ => Err(anyhow::anyhow!("an object is shown as something else").into()),
    }
}

/// Values of fields as conditions. They are read as a body's are.
fn conditions(declared: &Declaration, by: &Object, app: &App) -> Result<Vec<Condition>, ApiError> {
    let fields = declared.fields;
    let body = body_of(declared, by)?;
    let (draft, errors) = intake::take(fields, &body, Mode::Partial, app.dialect());
    if !errors.is_empty() {
        return Err(ApiError::Validation(errors.into_body(fields)));
    }
    let mut conditions = Vec::with_capacity(by.len());
    for (name, value) in by {
        let field = fields.get(name).filter(|field| field.in_a_table() && field.readable());
        let field = field.ok_or_else(|| ApiError::field(name, NO_IDENTIFIER))?;
        let test = if name == "pk" { key_test(field, value) } else { draft.get(field).and_then(test) };
        let test = test.ok_or_else(|| ApiError::field(name, NO_IDENTIFIER))?;
        conditions.push(Condition { operand: Operand::Column(field), test });
    }
    Ok(conditions)
}

fn key_test(field: &Field, value: &Value) -> Option<Test> {
    Some(match (key_of(value)?, field.kind) {
        (KeyValue::Uuid(uuid), FieldKind::Uuid) => Test::Uuid(uuid),
        (KeyValue::Integer(number), FieldKind::Serial) => Test::Integer(number),
        _ => Test::Never, // another kind of key, so nobody's
    })
}

/// A primary key in JSON.
pub fn key_of(value: &Value) -> Option<KeyValue> {
    match value {
        Value::String(text) => python::uuid(text).map(KeyValue::Uuid),
        Value::Number(number) => number.as_i64()?.try_into().ok().map(KeyValue::Integer),
        _ => None,
    }
}

fn test(content: &Content) -> Option<Test> {
    Some(match content {
        Content::Text(text) => Test::Text(text.clone()),
        Content::Integer(number) => Test::Integer(*number),
        Content::Boolean(boolean) => Test::Boolean(*boolean),
        Content::Uuid(uuid) => Test::Uuid(*uuid),
        Content::DateTime(instant) => Test::DateTime(*instant),
        Content::Dictionary(text) => Test::Contains(text.clone()),
        Content::Keys(keys) => match keys.first()?.key {
            KeyValue::Uuid(uuid) => Test::Uuid(uuid),
            KeyValue::Integer(number) => Test::Integer(number),
        },
        Content::Null | Content::Objects(_) => return None,
    })
}
