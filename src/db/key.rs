//! [`PrimaryKey`]: the types that primary keys have.

use drf::intake::KeyValue;
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
}

impl PrimaryKey for Uuid {
    fn next(ids: &Ids) -> Option<Self> {
        Some(ids.next())
    }
}

impl PrimaryKey for i32 {
    fn next(_: &Ids) -> Option<Self> {
        None
    }
}
