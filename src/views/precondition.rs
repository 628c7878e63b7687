//! What a write goes by: `If-Match` and `If-None-Match` of PUT, PATCH and DELETE (RFC 9110, section 13.1), so that nobody
//! overwrites what they haven't seen.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use drf::action::Method;
use drf::intake::KeyValue;
use serde_json::json;
use sqlx::PgConnection;

use super::Context;
use super::entity_tag::{self, Malformed, Named};
use super::view_set::{Object, ViewSet};
use crate::contract::messages;
use crate::error::ApiError;

/// See the module.
pub(super) struct Precondition<'h> {
    has: Option<Named<'h>>,
    has_not: Option<Named<'h>>,
}

impl<'h> Precondition<'h> {
    /// That of a request; `None` where it goes by nothing.
    ///
    /// # Errors
    /// 400 for what is no list of entity tags.
    pub(super) fn of(headers: &'h HeaderMap, declared: &drf::Action) -> Result<Option<Self>, ApiError> {
        if !matches!(declared.method, Method::Put | Method::Patch | Method::Delete) {
            return Ok(None);
        }
        let read = |name: HeaderName, spelling| {
            Named::read(headers, &name).map_err(|Malformed| {
                ApiError::Validation(json!({ "detail": messages::not_entity_tags(spelling) }))
            })
        };
        let has = read(header::IF_MATCH, "If-Match")?;
        let has_not = read(header::IF_NONE_MATCH, "If-None-Match")?;
        Ok((has.is_some() || has_not.is_some()).then_some(Self { has, has_not }))
    }

    /// The object, if it is in the state that the request goes by, which is what a GET with the same query would show the
    /// caller. It is locked, and read once more: the statement that waited for its lock may show what stood in other
    /// tables before.
    ///
    /// # Errors
    /// 412 if it isn't.
    pub(super) async fn judge(
        &self,
        view_set: &dyn ViewSet,
        context: Context<'_>,
        connection: &mut PgConnection,
        key: KeyValue,
    ) -> Result<Box<dyn Object>, ApiError> {
        let mut object = view_set.stored(context, connection, key).await?;
        view_set.attach(context, connection, &mut *object).await?;
        let plain = entity_tag::of(&object.shown()?.body);
        // A client may have either of an answer's forms.
        let forms = [plain.as_ref().and_then(entity_tag::compressed), plain];
        let any = |is_it: &dyn Fn(&HeaderValue) -> bool| forms.iter().flatten().any(is_it);
        let has = self.has.as_ref().is_none_or(|named| any(&|tag| named.has(tag)));
        let has_not = self.has_not.as_ref().is_none_or(|named| !any(&|tag| named.has_weakly(tag)));
        if has && has_not { Ok(object) } else { Err(ApiError::PreconditionFailed) }
    }
}
