//! Invitations.

mod batch;
pub(super) mod beyond;
mod bulk;
mod bulk_delete;
mod history;
pub mod import;
mod mail;
mod redeem;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use drf::declaration::{Declaration, Lookup, LookupKind, Table};
use drf::field::{DefaultValue, Field, Fields};
use drf::intake::{Content, Mode};
use drf::params::{Filter, FilterKind, desc};
use drf::permission::Model;
use drf::search::{self, Searched};
use drf::{rules, time};
use serde::{Deserialize, Serialize};
use serde_with::rust::double_option;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use validator::Validate;

use super::flow::{self, Flow};
use super::user::{self, PartialUser};
use crate::app::App;
use crate::db::Dictionary;
use crate::db::insert::NewRows;
use crate::error::ApiError;
use crate::views::{Action, Context, Making, Preparation, Resource, Save};

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
    /// Beyond authentik's answers: only for those who ask for it.
    #[sqlx(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_uses: Option<Option<i32>>,
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

const NAME: Field = Field::slug("name").required().filter();
const EXPIRES: Field = Field::datetime("expires").nullable().default(DefaultValue::Null).filter();
const FIXED_DATA: Field = Field::dictionary("fixed_data").default(DefaultValue::EmptyObject);
const CREATED_BY: Field = Field::nested("created_by", "PartialUser", PartialUser::FIELDS).on("created_by_id");
const SINGLE_USE: Field = Field::boolean("single_use")
    .default(DefaultValue::Boolean(false))
    .help("When enabled, the invitation will be deleted after usage.");
const FLOW: Field = Field::foreign_key("flow", "flow_id", &flow::TARGET)
    .nullable()
    .default(DefaultValue::Null)
    .help("When set, only the configured flow can use this invitation.");
/// Beyond authentik's fields. Answers show it where they are asked to: see [`beyond::attach`].
const MAX_USES: Field = Field::integer_within("max_uses", 1, i32::MAX)
    .nullable()
    .nowhere()
    .write_only()
    .beyond_contract()
    .help("How often the invitation may be used through redeem/; null for any number.");

impl Resource for Invitation {
    const DECLARATION: &'static Declaration = &Declaration {
        path: "/stages/invitation/invitations/",
        operation: "stages_invitation_invitations",
        fields: Fields::new(&[
            Field::uuid("pk").column("invite_uuid").read_only().label("Invite uuid"),
            NAME,
            EXPIRES,
            FIXED_DATA,
            CREATED_BY,
            SINGLE_USE,
            FLOW,
            Field::nested("flow_obj", "Flow", flow::FIELDS).nullable(),
            Field::boolean("expiring").default(DefaultValue::Boolean(true)).internal(),
            MAX_USES,
        ]),
        lookup: Lookup {
            parameter: "invite_uuid",
            expression: "t.invite_uuid",
            kind: LookupKind::Uuid,
            description: "A UUID string identifying this Invitation.",
        },
        filters: &[
            Filter { name: "created_by__username", expression: "u.username", kind: FilterKind::Text },
            Filter { name: "flow__slug", expression: "f.slug", kind: FilterKind::Text },
        ],
        search: &[
            Searched::text("t.name"),
            Searched::of("t.created_by_id", &user::TARGET, "username"),
            Searched::of("t.flow_id", &flow::TARGET, "slug"),
            Searched::printed("t.expires", search::Kind::DateTime),
        ],
        default_order: &[desc("expires")],
        extra_columns: &[PartialUser::COLUMNS],
        ..Declaration::of(
            MODEL,
            Table {
                name: "authentik_stages_invitation_invitation",
                pk: "invite_uuid",
                parent: None,
                joins: " LEFT JOIN authentik_core_user u ON u.id = t.created_by_id \
                        LEFT JOIN authentik_flows_flow f ON f.flow_uuid = t.flow_id",
            },
        )
    };
    const EXTRA_ACTIONS: &'static [Action<Self>] = &[
        mail::SEND_EMAIL,
        mail::MESSAGES,
        mail::RETRIEVE,
        mail::RETRY,
        bulk::CREATE,
        bulk_delete::DELETE,
        redeem::STATUS,
        redeem::REDEEM,
        redeem::RESERVATION_COMMIT,
        redeem::RESERVATION_RELEASE,
        history::OF_ONE,
        history::OF_ALL,
    ];
    const TELLS_SNAPSHOT: bool = true;
    type Input = InvitationInput;
    type Key = Uuid;

    fn pk(&self) -> Uuid {
        self.pk
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    async fn before(app: &App, action: &drf::Action) {
        if action.route == mail::SEND_EMAIL.declared.route {
            app.templates.read().await;
        }
    }

    async fn prepare(preparation: &mut Preparation<'_, Self>, input: &Self::Input) -> Result<(), ApiError> {
        let Preparation { context, mode, draft, errors, .. } = preparation;
        if *mode == Mode::Create {
            draft.set(&CREATED_BY, Content::Integer(context.caller.id));
        }
        if !errors.has(&EXPIRES) {
            batch::give_expiry(draft, *mode, input, context.default_expiry());
        }
        Ok(())
    }

    async fn attach(
        context: Context<'_>,
        connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        let keys = rows.iter().filter_map(|row| row.flow).collect();
        let flows: HashMap<Uuid, Flow> =
            flow::load(context, connection, keys).await?.into_iter().map(|flow| (flow.pk(), flow)).collect();
        for row in &mut *rows {
            row.created_by.complete(context.app.database.layout.install_id());
            row.flow_obj = row.flow.and_then(|key| flows.get(&key).cloned());
        }
        beyond::attach(context, connection, rows).await
    }

    async fn beside(making: &mut Making<'_, Self>, input: &Self::Input) -> Result<Vec<NewRows>, ApiError> {
        let name = input.name.as_deref().unwrap_or_default();
        Ok(making.pk.map_or_else(Vec::new, |pk| beyond::beside(making.context, pk, name)))
    }

    async fn saved(save: &mut Save<'_, Self>, _input: &Self::Input) -> Result<(), ApiError> {
        let Save { context, connection, pk, before, draft, .. } = save;
        match before {
            Some(before) => beyond::changed(*context, connection, before, draft).await,
            None => {
                let limit = beyond::max_uses(draft).flatten().map(|most| (*pk, most));
                beyond::limit(connection, limit.as_slice()).await
            }
        }
    }

    async fn destroying(
        context: Context<'_>,
        connection: &mut PgConnection,
        row: &Self,
    ) -> Result<(), ApiError> {
        beyond::deleted(context, connection, &[(row.pk, row.name.clone())]).await
    }
}
