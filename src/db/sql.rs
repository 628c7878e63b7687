//! [`Sql`]: statements put together at run time.

#![expect(clippy::disallowed_types, reason = "the one place that binds parameters says their types")]

use std::fmt::Display;

use drf::intake::KeyValue;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::{Encode, FromRow, Postgres, QueryBuilder, Type, TypeInfo};

/// A statement that grows. Its text says the type of every parameter (`$1::UUID`): a connection keeps prepared
/// statements by their text, so two that differ in a parameter's type alone must not share one.
pub struct Sql(QueryBuilder<Postgres>);

impl Sql {
    /// Begin with `text`.
    pub fn new(text: &str) -> Self {
        Self(QueryBuilder::new(text))
    }

    /// Add text of ours; never a client's.
    pub fn push(&mut self, text: impl Display) -> &mut Self {
        self.0.push(text);
        self
    }

    /// Add a value as a parameter, with its type.
    pub fn bind<'a, T: Encode<'a, Postgres> + Type<Postgres> + 'a>(&mut self, value: T) -> &mut Self {
        self.0.push_bind(value);
        self.0.push("::").push(T::type_info().name());
        self
    }

    /// Add a key as a parameter, with its type.
    pub fn bind_key(&mut self, key: KeyValue) -> &mut Self {
        match key {
            KeyValue::Uuid(uuid) => self.bind(uuid),
            KeyValue::Integer(number) => self.bind(number),
        }
    }

    /// The statement, for its effect.
    pub fn build(&mut self) -> Query<'_, Postgres, PgArguments> {
        self.0.build()
    }

    /// The statement, its rows as `T`.
    pub fn build_query_as<T: for<'r> FromRow<'r, PgRow>>(&mut self) -> QueryAs<'_, Postgres, T, PgArguments> {
        self.0.build_query_as()
    }

    /// The statement, the first column of its rows as `T`.
    pub fn build_query_scalar<T>(&mut self) -> QueryScalar<'_, Postgres, T, PgArguments>
    where
        (T,): for<'r> FromRow<'r, PgRow>,
    {
        self.0.build_query_scalar()
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Execute;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn parameters_of_different_types_make_different_texts() {
        let text = |query: Query<'_, Postgres, PgArguments>| query.sql().as_str().to_owned();
        let uuid = text(Sql::new("SELECT ").bind(Uuid::nil()).build());
        let integer = text(Sql::new("SELECT ").bind(1_i32).build());
        let texts = text(Sql::new("SELECT ").bind(vec![String::new()]).build());
        assert_eq!([uuid, integer, texts], ["SELECT $1::UUID", "SELECT $1::INT4", "SELECT $1::TEXT[]"]);
    }
}
