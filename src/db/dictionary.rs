//! JSON objects in `jsonb` columns.

use drf::json;
use serde_json::{Map, Value};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// A JSON object in a `jsonb` column.
#[derive(Debug, Default, Clone, PartialEq, serde::Serialize)]
#[serde(transparent)]
pub struct Dictionary(pub Map<String, Value>);

impl Type<Postgres> for Dictionary {
    fn type_info() -> PgTypeInfo {
        <sqlx::types::Json<Value> as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Dictionary {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let bytes = match value.format() {
            PgValueFormat::Binary => value.as_bytes()?.get(1..).ok_or("an empty jsonb value")?, // behind the version
            PgValueFormat::Text => value.as_bytes()?,
        };
        match json::parse(bytes)? {
            Value::Object(map) => Ok(Self(map)),
            _ => Err("a jsonb value that is not an object".into()),
        }
    }
}

impl Encode<'_, Postgres> for Dictionary {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        sqlx::types::Json(&self.0).encode_by_ref(buffer)
    }
}
