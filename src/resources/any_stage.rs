//! `stages/all/`: stages of every type, those that only authentik knows included.

use drf::action::{Component, Method, Route, Success};
use drf::declaration::{Declaration, Lookup, LookupKind, Table};
use drf::field::{Field, Fields};
use drf::permission::Permission;
use drf::search::Searched;
use serde::Serialize;
use serde_json::json;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::flow::FlowSet;
use super::stage::{self, NoInput, StageHead};
use super::types::{TYPE_CREATE, TypeCreate};
use super::{used_by, user_settings};
use crate::authentik::FlowPart;
use crate::contract::stage_types;
use crate::error::ApiError;
use crate::views::used_by::Relation;
use crate::views::{Action, Answer, Context, Resource};

/// A stage of any type.
#[derive(Debug, Serialize, FromRow)]
#[serde(transparent)]
pub struct AnyStage {
    #[sqlx(flatten)]
    head: StageHead,
}

/// The head of every stage.
pub const FIELDS: Fields = Fields::new(&[
    Field::uuid("pk").column("stage_uuid").read_only().label("Stage uuid"),
    Field::text("name").required().filter(),
    stage::COMPONENT,
    stage::VERBOSE_NAME,
    stage::VERBOSE_NAME_PLURAL,
    stage::META_MODEL_NAME,
    stage::FLOW_SET.read_only(),
]);

impl Resource for AnyStage {
    const DECLARATION: &'static Declaration = &Declaration {
        path: "/stages/all/",
        operation: "stages_all",
        fields: FIELDS,
        lookup: Lookup {
            parameter: "stage_uuid",
            expression: "t.stage_uuid",
            kind: LookupKind::Uuid,
            description: "A UUID string identifying this stage.",
        },
        search: &[Searched::text("t.name")],
        extra_columns: &[FlowSet::COLUMN],
        ..Declaration::of(
            stage::MODEL,
            Table { name: stage::BASE.name, pk: stage::BASE.pk, parent: None, joins: "" },
        )
    };
    const ACTIONS: &'static [Action<Self>] =
        &[Action::LIST, Action::RETRIEVE, Action::DESTROY, Action::USED_BY];
    const EXTRA_ACTIONS: &'static [Action<Self>] = &[TYPES, USER_SETTINGS];
    const USED_BY: &'static [Relation] = used_by::STAGE;
    type Input = NoInput;
    type Key = Uuid;

    fn pk(&self) -> Uuid {
        self.head.pk
    }

    fn name(&self) -> String {
        self.head.name.clone()
    }

    fn part(&self) -> FlowPart {
        FlowPart::Stage(self.head.pk)
    }

    async fn destroying(
        context: Context<'_>,
        _connection: &mut PgConnection,
        row: &Self,
    ) -> Result<(), ApiError> {
        row.head.goes(context);
        Ok(())
    }

    async fn attach(
        context: Context<'_>,
        connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        stage::complete(context, connection, rows.iter_mut().map(|row| &mut row.head).collect(), true).await
    }
}

/// `GET /stages/all/types/`: every type that authentik has.
const TYPES: Action<AnyStage> = Action::on_list(
    drf::Action::extra(
        "types_list",
        Method::Get,
        Route { detail: false, url_path: "types" },
        Permission::Authenticated,
        "Types",
        "Get all creatable types",
    )
    .answers(Success::Many(&TYPE_CREATE)),
    |_| {
        Box::pin(async {
            let shown = stage_types::ALL.iter().filter(|stage_type| !stage_type.debug);
            Answer::ok(&shown.map(TypeCreate::stage).collect::<Vec<_>>())
        })
    },
);

const USER_SETTING: Component = Component {
    name: "UserSetting",
    schema: |_| {
        let string = json!({ "type": "string" });
        json!({
            "type": "object",
            "description": "Serializer for User settings for stages and sources",
            "properties": {
                "object_uid": string, "component": string, "title": string,
                "configure_url": string, "icon_url": string,
            },
            "required": ["component", "object_uid", "title"],
        })
    },
};

/// `GET /stages/all/user_settings/`: what users can set up for themselves.
const USER_SETTINGS: Action<AnyStage> = Action::on_list(
    drf::Action::extra(
        "user_settings_list",
        Method::Get,
        Route { detail: false, url_path: "user_settings" },
        Permission::Authenticated,
        "User settings",
        "Get all stages the user can configure",
    )
    .answers(Success::Many(&USER_SETTING)),
    |request| {
        Box::pin(async {
            let layout = &request.context.app.database.layout;
            Answer::ok(&user_settings::find(layout, request.connection).await?)
        })
    },
);
