//! JSON objects in `jsonb` columns. They go through as text: a tree of a large one takes a hundred times the room.

use drf::json;
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

use super::volume;
use crate::error::TooMuch;

/// A JSON object in a `jsonb` column: its text, as answers print it.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(transparent)]
pub struct Dictionary(Box<RawValue>);

impl Dictionary {
    /// One with this text.
    ///
    /// # Errors
    /// It isn't JSON.
    pub fn of(text: String) -> serde_json::Result<Self> {
        RawValue::from_string(text).map(Self)
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// One of its entries, for those who look into it.
    ///
    /// # Errors
    /// It takes more than the request may take.
    pub fn member(&self, name: &str) -> Result<Option<Value>, TooMuch> {
        let Some(text) = json::member(self.text(), name) else { return Ok(None) };
        // A value is a byte at least, and another one before the next.
        volume::spend(text.len() / 2 * size_of::<Value>())?;
        Ok(json::parse(text.as_bytes()).ok())
    }
}

impl Type<Postgres> for Dictionary {
    fn type_info() -> PgTypeInfo {
        <sqlx::types::Json<Value> as Type<Postgres>>::type_info()
    }
}

impl PgHasArrayType for Dictionary {
    fn array_type_info() -> PgTypeInfo {
        <sqlx::types::Json<Value> as PgHasArrayType>::array_type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Dictionary {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let bytes = match value.format() {
            PgValueFormat::Binary => value.as_bytes()?.get(1..).ok_or("an empty jsonb value")?, // behind the version
            PgValueFormat::Text => value.as_bytes()?,
        };
        let text = json::reprint(bytes)?;
        volume::spend(text.len())?;
        Ok(Self::of(text)?)
    }
}

impl Encode<'_, Postgres> for Dictionary {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        sqlx::types::Json(&self.0).encode_by_ref(buffer)
    }
}
