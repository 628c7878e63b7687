//! [`PrimaryKey`]: the types that primary keys have.

use drf::intake::KeyValue;
use serde_json::{Value, json};
use sqlx::postgres::PgHasArrayType;
use sqlx::{Decode, Encode, Postgres, Type};
use uuid::Uuid;

use crate::clock::Ids;

/// The type of a primary key.
pub trait PrimaryKey:
    Copy
    + std::fmt::Display
    + Send
    + Sync
    + Unpin
    + TryFrom<KeyValue>
    + Into<KeyValue>
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
}

impl PrimaryKey for Uuid {
    fn next(ids: &Ids) -> Option<Self> {
        Some(ids.next())
    }

    fn in_event(self) -> Value {
        json!(self.simple().to_string())
    }
}

impl PrimaryKey for i32 {
    fn next(_: &Ids) -> Option<Self> {
        None
    }

    fn in_event(self) -> Value {
        json!(self)
    }
}
