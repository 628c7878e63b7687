//! `stages/all/`: stages of every type, those that only authentik knows included.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use validator::Validate;

use super::flow_stage_binding::{self, Side};
use super::stage::{self, StageHead};
use super::stage_types;
use super::types::TypeCreate;
use super::used_by::{self, Used, UsedBy};
use super::user_settings;
use crate::app::App;
use crate::auth::rbac::Model;
use crate::drf::field::Field;
use crate::drf::openapi::{Document, reference};
use crate::drf::params::Order;
use crate::drf::resource::{Action, Lookup, LookupKind, Resource, Table, View};
use crate::drf::viewset::{Extra, extra};
use crate::error::{ApiError, json_response};

/// A stage of any type.
#[derive(Debug, Serialize, FromRow)]
#[serde(transparent)]
pub struct AnyStage {
    #[sqlx(flatten)]
    head: StageHead,
}

/// Nothing can be written.
#[derive(Debug, Deserialize, Validate)]
pub struct NoInput {}

/// The head of every stage.
pub const FIELDS: &[Field] = &[
    Field::uuid("pk").column("stage_uuid").read_only().label("Stage uuid"),
    Field::text("name").required().filter(),
    stage::COMPONENT,
    stage::VERBOSE_NAME,
    stage::VERBOSE_NAME_PLURAL,
    stage::META_MODEL_NAME,
    stage::FLOW_SET.read_only(),
];

impl Resource for AnyStage {
    const MODEL: Model = stage::MODEL;
    const PATH: &'static str = "/stages/all/";
    const OPERATION: &'static str = "stages_all";
    const VIEW_NAME: &'static str = "Stage";
    const TABLE: Table = Table { name: stage::BASE.name, pk: stage::BASE.pk, parent: None, joins: "" };
    const FIELDS: &'static [Field] = FIELDS;
    const LOOKUP: Lookup = Lookup {
        parameter: "stage_uuid",
        expression: "t.stage_uuid",
        kind: LookupKind::Uuid,
        description: "A UUID string identifying this stage.",
    };
    const SEARCH: &'static [&'static str] = &["t.name"];
    const DEFAULT_ORDER: &'static [Order] = &[];
    const ACTIONS: &'static [Action] = &[Action::List, Action::Retrieve, Action::Destroy, Action::UsedBy];
    type Input = NoInput;
    type Key = Uuid;

    fn pk(&self) -> Uuid {
        self.head.pk
    }

    async fn attach(
        view: View<'_>,
        connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        stage::complete(view, connection, rows.iter_mut().map(|row| &mut row.head).collect(), true).await
    }

    fn name(&self) -> String {
        self.head.name.clone()
    }

    async fn model(&self, view: View<'_>, connection: &mut PgConnection) -> Result<Model, ApiError> {
        let types = stage::types(view, connection, &[self.pk()]).await?;
        Ok(types.get(&self.pk()).map_or(Self::MODEL, |stage_type| stage_type.model))
    }

    async fn flows(&self, connection: &mut PgConnection) -> Result<Vec<Uuid>, ApiError> {
        stage::flows(connection, self.pk()).await
    }

    async fn destroying(view: View<'_>, connection: &mut PgConnection, row: &Self) -> Result<(), ApiError> {
        flow_stage_binding::audit_cascade(view, connection, Side::Stage(row.pk())).await
    }

    async fn used_by(
        view: View<'_>,
        connection: &mut PgConnection,
        row: &Self,
    ) -> Result<Vec<UsedBy>, ApiError> {
        used_by::find(view, connection, Used::Stage, row.pk()).await
    }
}

const TYPES: Extra = Extra::get("Types", "Get all creatable types");
const USER_SETTINGS: Extra = Extra::get("User settings", "Get all stages the user can configure");

/// `GET /stages/all/types/`: every type that authentik has.
pub async fn types(State(app): State<App>, request: Request<Body>) -> Response {
    extra(app, request, &TYPES, async |_, _, _| {
        let shown = stage_types::ALL.iter().filter(|stage_type| !stage_type.debug);
        Ok(json_response(StatusCode::OK, &shown.map(TypeCreate::stage).collect::<Vec<_>>()))
    })
    .await
}

/// `GET /stages/all/user_settings/`: what users can set up for themselves.
pub async fn user_settings(State(app): State<App>, request: Request<Body>) -> Response {
    extra(app, request, &USER_SETTINGS, async |call, connection, _| {
        let settings = user_settings::find(&call.app.database.layout, connection).await?;
        Ok(json_response(StatusCode::OK, &settings))
    })
    .await
}

/// Their operations in the OpenAPI document.
pub fn document(document: &mut Document) {
    let string = json!({ "type": "string" });
    document.schema(
        "UserSetting",
        json!({
            "type": "object",
            "description": "Serializer for User settings for stages and sources",
            "properties": {
                "object_uid": string, "component": string, "title": string,
                "configure_url": string, "icon_url": string,
            },
            "required": ["component", "object_uid", "title"],
        }),
    );
    for (name, component, view) in
        [("types", "TypeCreate", TYPES), ("user_settings", "UserSetting", USER_SETTINGS)]
    {
        let answer = json!({ "type": "array", "items": reference(component) });
        let id = format!("stages_all_{name}_list");
        document.get(&format!("/stages/all/{name}/"), &id, view.description, json!([]), answer);
    }
}
