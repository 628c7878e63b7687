//! Invitations.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_with::rust::double_option;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use validator::Validate;

use super::flow::{self, Flow};
use super::user::PartialUser;
use crate::auth::rbac::Model;
use crate::drf::field::{DefaultValue, Field};
use crate::drf::intake::{Content, Mode};
use crate::drf::json::Dictionary;
use crate::drf::params::{Filter, FilterKind, Order, desc};
use crate::drf::resource::{Check, Lookup, LookupKind, Resource, Table, View};
use crate::drf::{rules, time};
use crate::error::ApiError;

/// An invitation. Its key is the secret of the link that is sent to the invited.
#[derive(Debug, Serialize, FromRow)]
pub struct Invitation {
    pk: Uuid,
    name: String,
    #[serde(serialize_with = "time::serialize_option")]
    expires: Option<DateTime<Utc>>,
    fixed_data: Dictionary,
    #[sqlx(flatten)]
    created_by: PartialUser,
    single_use: bool,
    flow: Option<Uuid>,
    #[sqlx(skip)]
    flow_obj: Option<Flow>,
}

/// The values with rules of their own.
#[derive(Debug, Deserialize, Validate)]
pub struct InvitationInput {
    #[validate(custom(function = rules::slug))]
    name: Option<String>,
    #[serde(default, with = "double_option")]
    expires: Option<Option<DateTime<Utc>>>,
}

/// Names and permissions.
pub const MODEL: Model =
    Model { app_label: "authentik_stages_invitation", name: "Invitation", model: "invitation" };

impl Resource for Invitation {
    const MODEL: Model = MODEL;
    const PATH: &'static str = "/stages/invitation/invitations/";
    const OPERATION: &'static str = "stages_invitation_invitations";
    const VIEW_NAME: &'static str = "Invitation";
    const TABLE: Table = Table {
        name: "authentik_stages_invitation_invitation",
        pk: "invite_uuid",
        parent: None,
        joins: " JOIN authentik_core_user u ON u.id = t.created_by_id \
                LEFT JOIN authentik_flows_flow f ON f.flow_uuid = t.flow_id",
    };
    const FIELDS: &'static [Field] = &[
        Field::uuid("pk").column("invite_uuid").read_only().label("Invite uuid"),
        Field::slug("name").required().filter(),
        Field::datetime("expires").nullable().default(DefaultValue::Null).filter(),
        Field::dictionary("fixed_data").default(DefaultValue::EmptyObject),
        Field::nested("created_by", "PartialUser", PartialUser::FIELDS).on("created_by_id"),
        Field::boolean("single_use")
            .default(DefaultValue::Boolean(false))
            .help("When enabled, the invitation will be deleted after usage."),
        Field::foreign_key("flow", "flow_id", &flow::TARGET)
            .nullable()
            .default(DefaultValue::Null)
            .help("When set, only the configured flow can use this invitation."),
        Field::nested("flow_obj", "Flow", Flow::FIELDS).nullable(),
        Field::boolean("expiring").default(DefaultValue::Boolean(true)).internal(),
    ];
    const LOOKUP: Lookup = Lookup {
        parameter: "invite_uuid",
        expression: "t.invite_uuid",
        kind: LookupKind::Uuid,
        description: "A UUID string identifying this Invitation.",
    };
    const FILTERS: &'static [Filter] = &[
        Filter { name: "created_by__username", expression: "u.username", kind: FilterKind::Text },
        Filter { name: "flow__slug", expression: "f.slug", kind: FilterKind::Text },
    ];
    const SEARCH: &'static [&'static str] = &["t.name", "u.username", "t.expires", "f.slug"];
    const DEFAULT_ORDER: &'static [Order] = &[desc("expires")];
    const EXTRA_COLUMNS: &'static str = PartialUser::COLUMNS;
    type Input = InvitationInput;
    type Key = Uuid;

    fn pk(&self) -> Uuid {
        self.pk
    }

    async fn check(check: &mut Check<'_, Self>, input: &Self::Input) -> Result<(), ApiError> {
        if check.mode == Mode::Create {
            check.draft.set("created_by", Content::Integer(check.view.caller.id));
        }
        // authentik gives every saved invitation that would have no expiry the default duration, whether the request
        // said null or nothing. A stored one can't be without.
        let without_expiry = match input.expires {
            Some(expires) => expires.is_none(),
            None => check.mode == Mode::Create,
        };
        if without_expiry && !check.errors.has("expires") {
            check.draft.set("expires", Content::DateTime(check.view.default_expiry()));
        }
        Ok(())
    }

    async fn attach(
        view: View<'_>,
        connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        let keys = rows.iter().filter_map(|row| row.flow).collect();
        let flows: HashMap<Uuid, Flow> =
            flow::load(view, connection, keys).await?.into_iter().map(|flow| (flow.pk(), flow)).collect();
        for row in rows {
            row.created_by.complete(view.app.database.layout.install_id());
            row.flow_obj = row.flow.and_then(|key| flows.get(&key).cloned());
        }
        Ok(())
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}
