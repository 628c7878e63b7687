//! The body of `add_user/` and `remove_user/`: the user who becomes a member, or ceases to be one.

use drf::action::RequestBody;
use drf::field::{Field, Fields};
use drf::intake::{Content, Draft};
use drf::permission::Verb;
use sqlx::PgConnection;

use super::user;
use crate::auth::Caller;
use crate::error::ApiError;

const PK: Field = Field::integer("pk").required();

/// The body, by the name of its component.
pub const fn body(component: &'static str) -> RequestBody {
    RequestBody::Fields {
        component,
        description: "Account adding/removing operations",
        fields: Fields::new(&[PK]),
    }
}

/// The user whom such a body names, and whom the caller sees.
///
/// # Errors
/// 404 for anybody else; the database failed.
pub async fn named(caller: &Caller, connection: &mut PgConnection, draft: &Draft) -> Result<i32, ApiError> {
    let Some(Content::Integer(user)) = draft.get(&PK) else { return Err(ApiError::not_found()) };
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM authentik_core_user WHERE id = $1)")
        .bind(user)
        .fetch_one(&mut *connection)
        .await?;
    let view = user::MODEL.codename(Verb::View);
    if exists && caller.may_on(connection, &user::MODEL, &view, &user.to_string()).await? {
        Ok(*user)
    } else {
        Err(ApiError::not_found())
    }
}
