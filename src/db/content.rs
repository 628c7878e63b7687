//! Values of drafts, and defaults, in statements.

use drf::field::{DefaultValue, Field};
use drf::intake::Content;

use super::{Dictionary, Sql};

/// The value that a draft has for a field.
pub(super) fn push_content(query: &mut Sql, content: &Content) -> sqlx::Result<()> {
    match content {
        Content::Text(text) => query.bind(text.clone()),
        Content::Integer(number) => query.bind(*number),
        Content::Boolean(boolean) => query.bind(*boolean),
        Content::Uuid(uuid) => query.bind(*uuid),
        Content::DateTime(instant) => query.bind(*instant),
        Content::Dictionary(text) => {
            query.bind(Dictionary::of(text.clone()).map_err(|error| sqlx::Error::Encode(error.into()))?)
        }
        Content::Keys(keys) => match keys.first() {
            Some(key) => query.bind_key(key.key),
            None => query.push("NULL"),
        },
        Content::Null | Content::Objects(_) => query.push("NULL"),
    };
    Ok(())
}

/// The value that a field has by default.
pub(super) fn push_default(query: &mut Sql, field: &Field) -> sqlx::Result<()> {
    match field.default {
        DefaultValue::None => {
            let sentence = format!("field {} has no value and no default", field.name);
            return Err(sqlx::Error::Encode(sentence.into()));
        }
        DefaultValue::Null => query.push("NULL"),
        DefaultValue::Text(text) => query.bind(text),
        DefaultValue::Integer(number) => query.bind(number),
        DefaultValue::Boolean(boolean) => query.bind(boolean),
        DefaultValue::EmptyObject => query.push("'{}'::jsonb"),
    };
    Ok(())
}
