//! [`Resource`]: what a resource declares. Routes, validation, SQL, filters, ordering, the OpenAPI document, permission
//! names and the tests in `laws.rs` follow from it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use sqlx::postgres::{PgHasArrayType, PgRow};
use sqlx::{Decode, Encode, FromRow, PgConnection, Postgres, Type};
use uuid::Uuid;
use validator::Validate;

use super::errors::FieldErrors;
use super::field::Field;
use super::intake::{Draft, KeyValue, Mode};
use super::params::{Filter, Order, Query};
use crate::app::App;
use crate::audit::Origin;
use crate::auth::Caller;
use crate::auth::rbac::{Model, Scope, Verb};
use crate::clock::Ids;
use crate::error::ApiError;
use crate::resources::used_by::UsedBy;

/// Where a resource's rows stand.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The table (alias `t`).
    pub name: &'static str,
    /// Its primary key.
    pub pk: &'static str,
    /// The parent of Django's multi-table inheritance.
    pub parent: Option<Parent>,
    /// Joins that extra columns, filters and searches need. PostgreSQL drops a LEFT JOIN on a key that no one uses.
    pub joins: &'static str,
}

/// A parent table (alias `p`).
#[derive(Debug, Clone, Copy)]
pub struct Parent {
    /// The table.
    pub name: &'static str,
    /// Its primary key.
    pub pk: &'static str,
    /// The child's column that points at it.
    pub link: &'static str,
}

impl Parent {
    /// Whether parent and child share one key.
    pub fn shares_key(&self, child: &Table) -> bool {
        self.link == child.pk
    }
}

/// How a path names one object.
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    /// The path parameter in the OpenAPI document.
    pub parameter: &'static str,
    /// The SQL that must equal it.
    pub expression: &'static str,
    /// What the text has to be.
    pub kind: LookupKind,
    /// The parameter's description in the OpenAPI document.
    pub description: &'static str,
}

/// What a path parameter has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupKind {
    /// A UUID in any spelling Python takes.
    Uuid,
    /// Any text.
    Text,
    /// An integer.
    Integer,
}

/// The type of a primary key.
pub trait PrimaryKey:
    Copy
    + std::fmt::Display
    + Send
    + Sync
    + Unpin
    + PgHasArrayType
    + Type<Postgres>
    + for<'q> Encode<'q, Postgres>
    + for<'r> Decode<'r, Postgres>
    + 'static
{
    /// The key of a new row; `None` where the database counts.
    fn next(ids: &Ids) -> Option<Self>;

    /// The key in an audit event.
    fn in_event(self) -> Value;

    /// A key that a request named, if it is of this type.
    fn of(key: KeyValue) -> Option<Self>;
}

impl PrimaryKey for Uuid {
    fn next(ids: &Ids) -> Option<Self> {
        Some(ids.next())
    }

    fn in_event(self) -> Value {
        json!(self.simple().to_string())
    }

    fn of(key: KeyValue) -> Option<Self> {
        match key {
            KeyValue::Uuid(uuid) => Some(uuid),
            KeyValue::Integer(_) => None,
        }
    }
}

impl PrimaryKey for i32 {
    fn next(_: &Ids) -> Option<Self> {
        None
    }

    fn in_event(self) -> Value {
        json!(self)
    }

    fn of(key: KeyValue) -> Option<Self> {
        match key {
            KeyValue::Integer(number) => Some(number),
            KeyValue::Uuid(_) => None,
        }
    }
}

/// What a resource lets clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// GET on the list.
    List,
    /// POST on the list.
    Create,
    /// GET on an object.
    Retrieve,
    /// PUT on an object.
    Update,
    /// PATCH on an object.
    PartialUpdate,
    /// DELETE on an object.
    Destroy,
    /// GET on an object's `used_by/`.
    UsedBy,
}

impl Action {
    /// All seven.
    pub const ALL: &'static [Self] = &[
        Self::List,
        Self::Create,
        Self::Retrieve,
        Self::Update,
        Self::PartialUpdate,
        Self::Destroy,
        Self::UsedBy,
    ];
}

/// A resource: one file in `resources/`.
pub trait Resource: Sized + Send + Sync + Unpin + Serialize + for<'r> FromRow<'r, PgRow> + 'static {
    /// Names and permissions.
    const MODEL: Model;
    /// The path below `/api/v3`, such as `/stages/email/`.
    const PATH: &'static str;
    /// The stem of the operation ids, such as `stages_email`.
    const OPERATION: &'static str;
    /// The viewset's name in an `OPTIONS` answer, such as `Email Stage`.
    const VIEW_NAME: &'static str;
    /// Where the rows stand.
    const TABLE: Table;
    /// The fields, in the order in which answers print them.
    const FIELDS: &'static [Field];
    /// How a path names one object.
    const LOOKUP: Lookup;
    /// Query parameters beside those of the fields.
    const FILTERS: &'static [Filter] = &[];
    /// The search grammar that a list's `autocomplete` describes: of the few that have one.
    const AUTOCOMPLETE: Option<fn() -> Map<String, Value>> = None;
    /// Boolean query parameters that say what else to show, with their defaults.
    const INCLUDES: &'static [(&'static str, bool)] = &[];
    /// SQL for the rows that clients may meet at all.
    const ROWS: &'static str = "TRUE";
    /// SQL expressions that `?search=` looks through.
    const SEARCH: &'static [&'static str];
    /// The order where the query names none.
    const DEFAULT_ORDER: &'static [Order];
    /// Names for `?ordering=` that are no field, with their SQL.
    const ORDER_EXPRESSIONS: &'static [(&'static str, &'static str)] = &[];
    /// SELECT expressions for what the row holds beside its fields, each with a comma in front.
    const EXTRA_COLUMNS: &'static str = "";
    /// What clients may do.
    const ACTIONS: &'static [Action] = Action::ALL;

    /// The fields whose values have rules (as `#[validate]`) or that [`Self::check`] and [`Self::saved`] read, every
    /// one optional. What a field's type says already stands in [`Self::FIELDS`] alone.
    type Input: DeserializeOwned + Validate + Send + Sync;

    /// The type of the primary key.
    type Key: PrimaryKey;

    /// The primary key.
    fn pk(&self) -> Self::Key;

    /// The rows that a caller sees.
    fn scope(caller: &Caller) -> Scope {
        caller.scope(&Self::MODEL)
    }

    /// Whether a caller may POST.
    ///
    /// # Errors
    /// 403
    fn may_create(caller: &Caller) -> Result<(), ApiError> {
        caller.require(&Self::MODEL, Verb::Add)
    }

    /// Whether the caller owns the object, and so may do everything to it.
    fn owned_by(&self, _caller: &Caller) -> bool {
        false
    }

    /// Put what older clients send into today's words, before anything is checked.
    fn modernise(_body: &mut Value) {}

    /// Rules that need more than the value: what the database or the server's configuration holds. Errors go to
    /// [`Check::errors`]; values to add or replace go to [`Check::draft`].
    fn check(
        _check: &mut Check<'_, Self>,
        _input: &Self::Input,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }

    /// Load what stands in other tables, with one statement a relation for all rows of a page. The query may ask for
    /// more or less of it.
    fn attach(
        _view: View<'_>,
        _connection: &mut PgConnection,
        _rows: &mut [Self],
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }

    /// [`Self::attach`] for the answer to a write.
    fn attach_written(
        view: View<'_>,
        connection: &mut PgConnection,
        _draft: &Draft,
        row: &mut Self,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        Self::attach(view, connection, std::slice::from_mut(row))
    }

    /// Write what stands in other tables, in the transaction of the row itself.
    fn saved(
        _save: &mut Save<'_, Self::Key>,
        _input: &Self::Input,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }

    /// What audit events call the object: the `name` of its model, or `str()` of it where that has none.
    fn name(&self) -> String;

    /// The concrete model, where that isn't [`Self::MODEL`].
    fn model(
        &self,
        _view: View<'_>,
        _connection: &mut PgConnection,
    ) -> impl Future<Output = Result<Model, ApiError>> + Send {
        async { Ok(Self::MODEL) }
    }

    /// The flows whose cached plans a write of this object makes stale.
    fn flows(
        &self,
        _connection: &mut PgConnection,
    ) -> impl Future<Output = Result<Vec<Uuid>, ApiError>> + Send {
        async { Ok(Vec::new()) }
    }

    /// What goes before the row does, in the transaction: what the database's foreign keys don't tell of.
    fn destroying(
        _view: View<'_>,
        _connection: &mut PgConnection,
        _row: &Self,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }

    /// What uses the object.
    fn used_by(
        _view: View<'_>,
        _connection: &mut PgConnection,
        _row: &Self,
    ) -> impl Future<Output = Result<Vec<UsedBy>, ApiError>> + Send {
        async { Ok(Vec::new()) }
    }
}

/// The request behind a read or a write.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The server.
    pub app: &'a App,
    /// Who asks.
    pub caller: &'a Caller,
    /// What the query string asks for.
    pub query: &'a Query,
    /// Where the request came from, for audit events.
    pub origin: &'a Origin,
}

impl View<'_> {
    /// When invitations and tokens end that are made now, without an expiry of their own.
    pub fn default_expiry(&self) -> DateTime<Utc> {
        let tenant = self.caller.tenant.default_token_duration();
        self.app.clock.after(tenant.unwrap_or(self.app.settings.default_token_duration))
    }
}

/// What [`Resource::check`] works with.
pub struct Check<'a, R> {
    /// The request.
    pub view: View<'a>,
    /// In the transaction of the write.
    pub connection: &'a mut PgConnection,
    /// POST, PUT or PATCH.
    pub mode: Mode,
    /// The object as it is stored, locked; none for a new one.
    pub row: Option<&'a R>,
    /// The values to write.
    pub draft: &'a mut Draft,
    /// What is wrong.
    pub errors: &'a mut FieldErrors,
}

/// What [`Resource::saved`] works with.
pub struct Save<'a, K = Uuid> {
    /// The request.
    pub view: View<'a>,
    /// In the transaction of the write.
    pub connection: &'a mut PgConnection,
    /// POST, PUT or PATCH.
    pub mode: Mode,
    /// The object's key.
    pub pk: K,
    /// The values that were written.
    pub draft: &'a Draft,
}
