//! What authentik does beside a write, in its own database: audit events, cached plans dropped, initial permissions, ended
//! sessions, and what hangs on a row. [`Trace`] is how the views ask for it.

pub mod cascade;
mod events;
pub mod flows;
mod initial_permissions;
pub mod origin;
mod sessions;

use drf::intake::KeyValue;
use drf::permission::Model;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::auth::Caller;
use crate::clock::{Clock, Ids};
use crate::db::{Layout, Need};
use crate::error::ApiError;

pub use events::Change;
pub use flows::FlowPart;
pub use origin::Origin;

/// What the statements here need.
pub const NEEDS: [&[Need]; 5] =
    [cascade::NEEDS, events::NEEDS, flows::NEEDS, initial_permissions::NEEDS, sessions::NEEDS];

/// Something that was written.
#[derive(Debug)]
pub struct Written<'w> {
    /// What happened to it.
    pub change: Change,
    /// Its model. The base model of stages stands for the concrete one.
    pub model: Model,
    /// Its key.
    pub pk: KeyValue,
    /// What events call it: the `name` of its model, or `str()` of it where that has none.
    pub name: &'w str,
    /// What it is to flows.
    pub part: FlowPart,
}

/// The trace that a request leaves. In a database of our own it is none: every method does nothing there.
#[derive(Clone, Copy)]
pub struct Trace<'a>(Option<Author<'a>>);

/// Who leaves a trace in authentik's database, and with what.
#[derive(Clone, Copy)]
struct Author<'a> {
    layout: &'a Layout,
    caller: &'a Caller,
    origin: &'a Origin,
    clock: &'a Clock,
    ids: &'a Ids,
}

impl<'a> Trace<'a> {
    /// The trace of a request of `caller`.
    pub fn new(
        layout: &'a Layout,
        caller: &'a Caller,
        origin: &'a Origin,
        clock: &'a Clock,
        ids: &'a Ids,
    ) -> Self {
        Self(layout.is_attached().then_some(Author { layout, caller, origin, clock, ids }))
    }

    /// Before something changes: the plans of the flows that it is part of till then are stale.
    ///
    /// # Errors
    /// The database failed.
    pub async fn changing(self, connection: &mut PgConnection, part: FlowPart) -> Result<(), ApiError> {
        if self.0.is_some() {
            part.drop_plans(connection).await?;
        }
        Ok(())
    }

    /// Something was written, or is about to be deleted: an event, and the plans of its flows dropped. With a stage or a
    /// flow its bindings go.
    ///
    /// # Errors
    /// The database failed.
    pub async fn wrote(self, connection: &mut PgConnection, written: &Written<'_>) -> Result<(), ApiError> {
        let Some(author) = self.0 else { return Ok(()) };
        let Written { change, part, .. } = *written;
        let model = part.concrete(author.layout, connection, written.model).await?;
        author.record(connection, change, &model, in_event(written.pk), written.name).await?;
        part.drop_plans(connection).await?;
        if change == Change::Deleted {
            let bindings = part.bindings(connection).await?;
            self.wrote_bindings(connection, Change::Deleted, &bindings).await?;
        }
        Ok(())
    }

    /// A stage was made, and with it the bindings that it has.
    ///
    /// # Errors
    /// The database failed.
    pub async fn made_with_bindings(
        self,
        connection: &mut PgConnection,
        stage: Uuid,
    ) -> Result<(), ApiError> {
        if self.0.is_none() {
            return Ok(());
        }
        let bindings = FlowPart::Stage(stage).bindings(connection).await?;
        self.wrote_bindings(connection, Change::Created, &bindings).await
    }

    /// These bindings were made, or are about to be deleted.
    ///
    /// # Errors
    /// The database failed.
    pub async fn wrote_bindings(
        self,
        connection: &mut PgConnection,
        change: Change,
        bindings: &[flows::Binding],
    ) -> Result<(), ApiError> {
        let Some(author) = self.0 else { return Ok(()) };
        for binding in bindings {
            let (pk, name) = (in_event(binding.pk.into()), binding.name());
            author.record(connection, change, &flows::BINDING, pk, &name).await?;
        }
        let flows: Vec<Uuid> = bindings.iter().map(|binding| binding.target).collect();
        flows::drop_plans(connection, &flows).await
    }

    /// Something was made: its creator's roles get what `InitialPermissions` say.
    ///
    /// # Errors
    /// The database failed.
    pub async fn made(
        self,
        connection: &mut PgConnection,
        model: &Model,
        pk: KeyValue,
    ) -> Result<(), ApiError> {
        match self.0 {
            Some(author) => {
                initial_permissions::grant(author.caller, connection, model, vec![pk.to_string()]).await
            }
            None => Ok(()),
        }
    }

    /// The same happened to several objects of a model that is no part of flows: an event each. Those that were made are
    /// their creator's as [`Self::made`] has it. The number of statements doesn't grow with theirs.
    ///
    /// # Errors
    /// The database failed.
    pub async fn wrote_all<K: Copy + Into<KeyValue>>(
        self,
        connection: &mut PgConnection,
        change: Change,
        model: &Model,
        objects: &[(K, String)],
    ) -> Result<(), ApiError> {
        let Some(author) = self.0 else { return Ok(()) };
        let named = objects.iter().map(|(pk, name)| (in_event((*pk).into()), name.as_str())).collect();
        author.record_all(connection, change, model, named).await?;
        if change == Change::Created {
            let pks = objects.iter().map(|(pk, _)| (*pk).into().to_string()).collect();
            initial_permissions::grant(author.caller, connection, model, pks).await?;
        }
        Ok(())
    }

    /// A user is to be logged out everywhere.
    ///
    /// # Errors
    /// The database failed.
    pub async fn logged_out(self, connection: &mut PgConnection, user: i32) -> Result<(), ApiError> {
        match self.0 {
            Some(author) => sessions::end(author.layout, connection, user).await,
            None => Ok(()),
        }
    }
}

/// The key in an audit event.
fn in_event(key: KeyValue) -> Value {
    match key {
        KeyValue::Uuid(uuid) => json!(uuid.simple().to_string()),
        KeyValue::Integer(number) => json!(number),
    }
}
