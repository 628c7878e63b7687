//! User write stages.

use serde::Serialize;
use sqlx::FromRow;
use uuid::Uuid;

use super::group;
use super::stage::{self, NoInput, Stage, StageKind};
use super::user::USER_TYPE;
use crate::auth::Gift;
use crate::contract::stage_types::{self, StageType};
use crate::error::ApiError;
use crate::views::Check;
use drf::field::{Choices, DefaultValue, Field};
use drf::params::Filter;

/// Whether users are created.
pub const USER_CREATION_MODE: Choices = Choices {
    name: "UserCreationModeEnum",
    since: &[],
    values: &[
        ("never_create", "Never Create"),
        ("create_when_required", "Create When Required"),
        ("always_create", "Always Create"),
    ],
};

/// A user write stage: writes what a flow collected into a user.
#[derive(Debug, Serialize, FromRow)]
pub struct UserWriteStage {
    user_creation_mode: String,
    create_users_as_inactive: bool,
    create_users_group: Option<Uuid>,
    user_type: String,
    user_path_template: String,
}

const CREATE_USERS_GROUP: Field =
    Field::foreign_key("create_users_group", "create_users_group_id", &group::TARGET)
        .nullable()
        .default(DefaultValue::Null)
        .filter()
        .help("Optionally add newly created users to this group.");

impl StageKind for UserWriteStage {
    const TYPE: StageType = stage_types::USER_WRITE;
    const PATH: &'static str = "/stages/user_write/";
    const OPERATION: &'static str = "stages_user_write";
    const TABLE: &'static str = "authentik_stages_user_write_userwritestage";
    const FIELDS: &'static [Field] = &[
        Field::choice("user_creation_mode", &USER_CREATION_MODE)
            .default(DefaultValue::Text("create_when_required"))
            .filter(),
        Field::boolean("create_users_as_inactive")
            .default(DefaultValue::Boolean(false))
            .filter()
            .help("When set, newly created users are inactive and cannot login."),
        CREATE_USERS_GROUP,
        Field::choice("user_type", &USER_TYPE).default(DefaultValue::Text("external")).filter(),
        Field::text("user_path_template").blank().default(DefaultValue::Text("")).filter(),
    ];
    const KEY: &'static str = "A UUID string identifying this User Write Stage.";
    const FILTERS: &'static [Filter] = &[stage::STAGE_UUID];
    type Input = NoInput;

    /// The stage gives memberships, so nobody names a group that gives more than they hold.
    async fn check(check: &mut Check<'_, Stage<Self>>, _input: &NoInput) -> Result<(), ApiError> {
        let named = check.draft.keys::<Uuid>(&CREATE_USERS_GROUP).and_then(|mut keys| keys.pop());
        let held = check.row.and_then(|stage| stage.own().create_users_group);
        let Some(group) = named.filter(|_| named != held && check.errors.is_empty()) else { return Ok(()) };
        check.refuse_gift(&CREATE_USERS_GROUP, Gift { groups: &[group], roles: &[] }).await
    }
}
