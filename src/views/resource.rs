//! [`Resource`]: what a resource says of itself. Routes, validation, SQL, filters, ordering, the OpenAPI document, permission
//! names and the tests in `laws.rs` follow from it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use drf::Declaration;
use drf::errors::FieldErrors;
use drf::field::{Field, Target};
use drf::intake::{Draft, Mode};
use drf::params::Query;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use validator::Validate;

use super::used_by::Relation;
use super::{Action, Effects};
use crate::app::App;
use crate::auth::{Caller, Gift, Lack, Scope};
use crate::authentik::{Change, FlowPart, Trace, Written};
use crate::db::insert::NewRows;
use crate::db::lookups::Wanted;
use crate::db::proof::Seen;
use crate::db::{Need, PrimaryKey};
use crate::error::ApiError;

/// A resource: one file in `resources/`.
pub trait Resource: Sized + Send + Sync + Unpin + Serialize + for<'r> FromRow<'r, PgRow> + 'static {
    /// Names, fields, filters.
    const DECLARATION: &'static Declaration;
    /// What can be done with it.
    const ACTIONS: &'static [Action<Self>] = Action::SEVEN;
    /// What else can be done with it.
    const EXTRA_ACTIONS: &'static [Action<Self>] = &[];
    /// The rows of `used_by/`.
    const USED_BY: &'static [Relation] = &[];
    /// What its own statements need that no declaration tells of.
    const NEEDS: &'static [Need] = &[];
    /// Whether the last statement of a list and of a look-up, that of [`Self::attach`] included, tells its snapshot. Then
    /// nothing has to be asked about the answer afterwards.
    const TELLS_SNAPSHOT: bool = false;
    /// Whether the INSERT of a new one, with what goes [`Self::beside`] it, is all that is written, but for authentik's traces:
    /// then it commits itself.
    const INSERT_IS_ALL: bool = false;
    /// Whether the answer to a write shows the object as a read does, and so has its tag.
    const ANSWERS_WRITES_AS_READS: bool = true;
    /// Whether authentik's database role for us is to be granted what writing it takes.
    const WRITING_IS_GRANTED: bool = true;

    /// The fields whose values have rules (as `#[validate]`) or that hooks read, every one optional. What a field's type
    /// says already stands in the declaration alone.
    type Input: DeserializeOwned + Validate + Send + Sync;

    /// The type of the primary key.
    type Key: PrimaryKey;

    /// The primary key.
    fn pk(&self) -> Self::Key;

    /// What audit events call the object: the `name` of its model, or `str()` of it where that has none.
    fn name(&self) -> String;

    /// What it is to flows: a write of it makes their cached plans stale.
    fn part(&self) -> FlowPart {
        FlowPart::None
    }

    /// All its actions.
    fn actions() -> impl Iterator<Item = &'static Action<Self>> {
        Self::ACTIONS.iter().chain(Self::EXTRA_ACTIONS)
    }

    /// The rows that a caller sees.
    fn scope(caller: &Caller) -> Scope {
        caller.scope(&Self::DECLARATION.model)
    }

    /// Whether the caller owns the object, and so may do everything to it.
    fn owned_by(&self, _caller: &Caller) -> bool {
        false
    }

    /// Put what older clients send into today's words, before anything is checked.
    fn modernise(_body: &mut Value) {}

    /// Look at what an action depends on outside the database, before a connection is taken and a row locked.
    fn before(_app: &App, _action: &drf::Action) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// The rows of another table that a write of this takes: they are looked up with the facts of validation. On authentik's
    /// database they are locked; on ours whatever takes a place in them locks them itself.
    fn wanted(_input: &Self::Input) -> Option<Wanted<'_>> {
        None
    }

    /// Fill in what the request doesn't say: keys, owners, expiries.
    fn prepare(
        _preparation: &mut Preparation<'_, Self>,
        _input: &Self::Input,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }

    /// Judge by more than the value: by what the database or the server's configuration holds. Errors go to
    /// [`Check::errors`].
    fn check(
        _check: &mut Check<'_, Self>,
        _input: &Self::Input,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }

    /// Load what stands in other tables, with one statement a relation for all rows of a page. The query may ask for
    /// more or less of it.
    fn attach(
        _context: Context<'_>,
        _connection: &mut PgConnection,
        _rows: &mut [Self],
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }

    /// [`Self::attach`] for the answer to a write.
    fn attach_written(
        context: Context<'_>,
        connection: &mut PgConnection,
        _draft: &Draft,
        row: &mut Self,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        Self::attach(context, connection, std::slice::from_mut(row))
    }

    /// The rows of other tables that are inserted with a new row, by the same statement: what its columns show of other
    /// tables has to be among them, or in a many-to-many field.
    fn beside(
        _making: &mut Making<'_, Self>,
        _input: &Self::Input,
    ) -> impl Future<Output = Result<Vec<NewRows>, ApiError>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Write what stands in other tables, in the transaction of the row itself. Many-to-many fields are written already,
    /// and so is what goes [`Self::beside`] a new row.
    fn saved(
        _save: &mut Save<'_, Self>,
        _input: &Self::Input,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }

    /// What goes before the row does, in the transaction: what the database's foreign keys don't tell of.
    fn destroying(
        _context: Context<'_>,
        _connection: &mut PgConnection,
        _row: &Self,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }
}

/// Who asks, and for what.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The server.
    pub app: &'a App,
    /// Who asks.
    pub caller: &'a Caller,
    /// What the query string asks for.
    pub query: &'a Query,
    /// What authentik does beside a write.
    pub trace: Trace<'a>,
    /// Where statements of a read leave their snapshots.
    pub seen: Option<&'a Seen>,
    /// Where it is told what a write does to flows.
    pub effects: &'a Effects,
}

impl Context<'_> {
    /// When invitations and tokens end that are made now, without an expiry of their own.
    pub fn default_expiry(&self) -> DateTime<Utc> {
        let tenant = self.caller.tenant.default_token_duration();
        self.app.clock.after(tenant.unwrap_or(self.app.settings.default_token_duration))
    }

    /// Which rows a body may name; `None` for all.
    pub fn nameable(self, target: &Target) -> Option<Scope> {
        if self.app.settings.strict { self.caller.nameable(target, &self.app.database.layout) } else { None }
    }

    /// What of a gift the caller doesn't hold, where that counts.
    ///
    /// # Errors
    /// The database failed.
    pub async fn lacks(
        self,
        connection: &mut PgConnection,
        gift: Gift<'_>,
    ) -> Result<Option<Lack>, ApiError> {
        if self.app.settings.strict { self.caller.lacks(connection, gift).await } else { Ok(None) }
    }

    /// Whether the caller doesn't hold one of these permissions, where that counts.
    ///
    /// # Errors
    /// The database failed.
    pub async fn lacks_any(
        self,
        connection: &mut PgConnection,
        permissions: &[i32],
        object_pk: Option<&str>,
    ) -> Result<bool, ApiError> {
        Ok(self.app.settings.strict && self.caller.lacks_any(connection, permissions, object_pk).await?)
    }

    /// The trace of what happened to this row.
    ///
    /// # Errors
    /// The database failed.
    pub async fn wrote<R: Resource>(
        self,
        connection: &mut PgConnection,
        change: Change,
        row: &R,
    ) -> Result<(), ApiError> {
        let (model, pk, part) = (R::DECLARATION.model, row.pk().into(), row.part());
        self.trace.wrote(connection, &Written { change, model, pk, name: &row.name(), part }).await
    }
}

/// What [`Resource::prepare`] works with.
pub struct Preparation<'a, R> {
    /// The request.
    pub context: Context<'a>,
    /// In the transaction of the write.
    pub connection: &'a mut PgConnection,
    /// POST, PUT or PATCH.
    pub mode: Mode,
    /// The object as it is stored, locked; none for a new one.
    pub row: Option<&'a R>,
    /// The values to write.
    pub draft: &'a mut Draft,
    /// What is wrong so far: with shapes, values, keys.
    pub errors: &'a FieldErrors,
}

/// What [`Resource::check`] works with.
pub struct Check<'a, R> {
    /// The request.
    pub context: Context<'a>,
    /// In the transaction of the write.
    pub connection: &'a mut PgConnection,
    /// POST, PUT or PATCH.
    pub mode: Mode,
    /// The object as it is stored, locked; none for a new one.
    pub row: Option<&'a R>,
    /// The values to write.
    pub draft: &'a Draft,
    /// What is wrong.
    pub errors: &'a mut FieldErrors,
}

impl<R> Check<'_, R> {
    /// Refuse the field where it gives what the caller doesn't hold.
    ///
    /// # Errors
    /// The database failed.
    pub async fn refuse_gift(&mut self, field: &Field, gift: Gift<'_>) -> Result<(), ApiError> {
        if let Some(lack) = self.context.lacks(self.connection, gift).await? {
            self.errors.add(field, lack.sentence());
        }
        Ok(())
    }
}

/// What [`Resource::beside`] works with.
pub struct Making<'a, R: Resource> {
    /// The request.
    pub context: Context<'a>,
    /// In the transaction of the write.
    pub connection: &'a mut PgConnection,
    /// The new object's key; none where the database counts.
    pub pk: Option<R::Key>,
    /// The keys of those of [`Resource::wanted`] that there are, by name.
    pub found: &'a HashMap<String, Uuid>,
}

/// What [`Resource::saved`] works with.
pub struct Save<'a, R: Resource> {
    /// The request.
    pub context: Context<'a>,
    /// In the transaction of the write.
    pub connection: &'a mut PgConnection,
    /// POST, PUT or PATCH.
    pub mode: Mode,
    /// The object's key.
    pub pk: R::Key,
    /// The object as it was before; none for a new one.
    pub before: Option<&'a R>,
    /// The values that were written.
    pub draft: &'a Draft,
    /// The keys of those of [`Resource::wanted`] that there are, by name.
    pub found: &'a HashMap<String, Uuid>,
}
