//! Flows: the resource, and the shorter form that every stage shows in `flow_set`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{Acquire, FromRow, PgConnection};
use uuid::Uuid;
use validator::{Validate, ValidationError};

use super::flow_stage_binding::{self, Side};
use super::used_by::{self, Used, UsedBy};
use crate::app::{API_PREFIX, App};
use crate::audit::Change;
use crate::auth::rbac::{Model, Verb};
use crate::db::Release;
use crate::drf::field::{Choices, DefaultValue, Field, Key, Schema, Target};
use crate::drf::intake::{self, Content, Draft, Mode};
use crate::drf::openapi::{Document, lookup_parameter, operation};
use crate::drf::params::{Filter, FilterKind, Order, asc};
use crate::drf::resource::{Lookup, LookupKind, Parent, Resource, Table, View};
use crate::drf::sql;
use crate::drf::viewset::{self, Extra, extra};
use crate::drf::{messages, rules};
use crate::error::{ApiError, json_response};

/// What a flow is for.
pub const DESIGNATION: Choices = Choices {
    name: "FlowDesignationEnum",
    since: &[],
    values: &[
        ("authentication", "Authentication"),
        ("authorization", "Authorization"),
        ("invalidation", "Invalidation"),
        ("enrollment", "Enrollment"),
        ("unenrollment", "Unrenollment"), // spelled so by authentik
        ("recovery", "Recovery"),
        ("stage_configuration", "Stage Configuration"),
    ],
};
/// How a flow's pages look.
pub const LAYOUT: Choices = Choices {
    name: "FlowLayoutEnum",
    since: &[
        ("sidebar_left_frame_background", Release::V2026_2),
        ("sidebar_right_frame_background", Release::V2026_2),
    ],
    values: &[
        ("stacked", "Stacked"),
        ("content_left", "Content Left"),
        ("content_right", "Content Right"),
        ("sidebar_left", "Sidebar Left"),
        ("sidebar_right", "Sidebar Right"),
        ("sidebar_left_frame_background", "Sidebar Left Frame Background"),
        ("sidebar_right_frame_background", "Sidebar Right Frame Background"),
    ],
};
/// What a flow does with users whom its policies refuse.
pub const DENIED_ACTION: Choices = Choices {
    name: "DeniedActionEnum",
    since: &[],
    values: &[("message_continue", "Message Continue"), ("message", "Message"), ("continue", "Continue")],
};
/// Who may enter a flow.
pub const AUTHENTICATION: Choices = Choices {
    name: "AuthenticationEnum",
    since: &[],
    values: &[
        ("none", "None"),
        ("require_authenticated", "Require Authenticated"),
        ("require_unauthenticated", "Require Unauthenticated"),
        ("require_superuser", "Require Superuser"),
        ("require_redirect", "Require Redirect"),
        ("require_outpost", "Require Outpost"),
    ],
};
/// How many of an object's policies have to pass.
pub const POLICY_ENGINE_MODE: Choices = Choices {
    name: "PolicyEngineMode",
    since: &[],
    values: &[("all", "all, all policies must pass"), ("any", "any, any policy must pass")],
};

/// Flows as the target of foreign keys.
pub const TARGET: Target = Target { table: "authentik_flows_flow", pk: "flow_uuid", key: Key::Uuid };
/// What flows and bindings both extend.
pub const POLICY_BINDING_MODEL: Parent = Parent {
    name: "authentik_policies_policybindingmodel",
    pk: "pbm_uuid",
    link: "policybindingmodel_ptr_id",
};

const PK: Field = Field::uuid("pk").column("flow_uuid").read_only().label("Flow uuid");
const POLICY_BINDING_MODEL_PTR_ID: Field =
    Field::computed("policybindingmodel_ptr_id", Schema::Uuid).on("policybindingmodel_ptr_id");
const NAME: Field = Field::text("name").required().filter();
const SLUG: Field = Field::slug("slug")
    .required()
    .filter()
    .unique("Flow with this slug already exists.")
    .help("Visible in the URL.");
const TITLE: Field = Field::text("title").required().help("Shown as the Title in Flow pages.");
const DESIGNATION_FIELD: Field = Field::choice("designation", &DESIGNATION).required().filter().help(
    "Decides what this Flow is used for. For example, the Authentication flow is redirect to when an un-authenticated \
     user visits authentik.",
);
const BACKGROUND_URL: Field = Field::computed("background_url", Schema::String);
const POLICY_ENGINE_MODE_FIELD: Field =
    Field::choice("policy_engine_mode", &POLICY_ENGINE_MODE).on_parent().default(DefaultValue::Text("any"));
const COMPATIBILITY_MODE: Field = Field::boolean("compatibility_mode")
    .default(DefaultValue::Boolean(false))
    .help("Enable compatibility mode, increases compatibility with password managers on mobile devices.");
const EXPORT_URL: Field = Field::computed("export_url", Schema::String);
const LAYOUT_FIELD: Field = Field::choice("layout", &LAYOUT).default(DefaultValue::Text("stacked"));
const DENIED_ACTION_FIELD: Field = Field::choice("denied_action", &DENIED_ACTION)
    .default(DefaultValue::Text("message_continue"))
    .filter()
    .help("Configure what should happen when a flow denies access to a user.");

/// The fields of an entry of `flow_set`.
pub const FLOW_SET_FIELDS: &[Field] = &[
    PK,
    POLICY_BINDING_MODEL_PTR_ID,
    NAME,
    SLUG,
    TITLE,
    DESIGNATION_FIELD,
    BACKGROUND_URL,
    POLICY_ENGINE_MODE_FIELD,
    COMPATIBILITY_MODE,
    EXPORT_URL,
    LAYOUT_FIELD,
    DENIED_ACTION_FIELD,
];

const THEMED_URLS: &[Field] = &[Field::text("light").nullable(), Field::text("dark").nullable()];

/// A flow.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct Flow {
    pk: Uuid,
    policybindingmodel_ptr_id: Uuid,
    name: String,
    slug: String,
    title: String,
    designation: String,
    background: String,
    #[sqlx(skip)]
    background_url: String,
    #[sqlx(skip)]
    background_themed_urls: Option<Value>,
    stages: Vec<Uuid>,
    policies: Vec<Uuid>,
    cache_count: i64,
    policy_engine_mode: String,
    compatibility_mode: bool,
    #[sqlx(skip)]
    export_url: String,
    layout: String,
    denied_action: String,
    authentication: String,
}

/// The values with rules of their own.
#[derive(Debug, Deserialize, Validate)]
pub struct FlowInput {
    #[validate(custom(function = rules::slug))]
    slug: Option<String>,
    #[validate(custom(function = background_rule))]
    background: Option<String>,
}

/// Where addresses of background images begin; anything else is the name of a media file.
const ADDRESSES: [&str; 4] = ["http://", "https://", "fa://", "/static/"];

/// A background is an address or the name of a media file, in which `%(theme)s` stands for `light` and `dark`.
fn background_rule(background: &str) -> Result<(), ValidationError> {
    if background.is_empty() || ADDRESSES.iter().any(|start| background.starts_with(start)) {
        return Ok(());
    }
    let name = background.replace(THEME, "");
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._/-".contains(&b);
    let sentence = if !name.bytes().all(plain) {
        messages::INVALID_FILE_NAME
    } else if name.contains("//") {
        messages::DOUBLE_SLASH
    } else if name.starts_with('/') {
        messages::ABSOLUTE_PATH
    } else if name.contains("..") {
        messages::PARENT_DIRECTORY
    } else {
        return Ok(());
    };
    Err(ValidationError::new("invalid").with_message(sentence.into()))
}

/// The placeholder for a theme's name.
const THEME: &str = "%(theme)s";

impl Resource for Flow {
    const MODEL: Model = Model { app_label: "authentik_flows", name: "Flow", model: "flow" };
    const PATH: &'static str = "/flows/instances/";
    const OPERATION: &'static str = "flows_instances";
    const VIEW_NAME: &'static str = "Flow";
    const TABLE: Table = Table {
        name: "authentik_flows_flow",
        pk: "flow_uuid",
        parent: Some(POLICY_BINDING_MODEL),
        joins: "",
    };
    const FIELDS: &'static [Field] = &[
        PK,
        POLICY_BINDING_MODEL_PTR_ID,
        NAME,
        SLUG,
        TITLE,
        DESIGNATION_FIELD,
        Field::text("background")
            .blank()
            .default(DefaultValue::Text(""))
            .help("Background shown during execution"),
        BACKGROUND_URL,
        Field::nested("background_themed_urls", "ThemedUrls", THEMED_URLS).nullable(),
        Field::computed("stages", Schema::Uuids),
        Field::computed("policies", Schema::Uuids),
        Field::computed("cache_count", Schema::Integer),
        POLICY_ENGINE_MODE_FIELD,
        COMPATIBILITY_MODE,
        EXPORT_URL,
        LAYOUT_FIELD,
        DENIED_ACTION_FIELD,
        Field::choice("authentication", &AUTHENTICATION)
            .default(DefaultValue::Text("none"))
            .help("Required level of authentication and authorization to access a flow."),
    ];
    const LOOKUP: Lookup = Lookup {
        parameter: "slug",
        expression: "t.slug",
        kind: LookupKind::Text,
        description: "Visible in the URL.",
    };
    const FILTERS: &'static [Filter] =
        &[Filter { name: "flow_uuid", expression: "t.flow_uuid", kind: FilterKind::Uuid }];
    const SEARCH: &'static [&'static str] =
        &["t.name", "t.slug", "t.designation", "t.title", "t.denied_action"];
    const DEFAULT_ORDER: &'static [Order] = &[asc("slug"), asc("name")];
    const EXTRA_COLUMNS: &'static str = ", \
        ARRAY(SELECT b.stage_id FROM authentik_flows_flowstagebinding b WHERE b.target_id = t.flow_uuid \
          ORDER BY b.\"order\", b.fsb_uuid) AS stages, \
        ARRAY(SELECT b.policy_id FROM authentik_policies_policybinding b \
          WHERE b.target_id = t.policybindingmodel_ptr_id AND b.policy_id IS NOT NULL ORDER BY b.\"order\") AS policies, \
        (SELECT count(*) FROM django_postgres_cache_cacheentry e \
          WHERE e.cache_key LIKE 'public::1:goauthentik.io/flows/planner/' || t.flow_uuid || '#%') AS cache_count";
    type Input = FlowInput;
    type Key = Uuid;

    fn pk(&self) -> Uuid {
        self.pk
    }

    async fn attach(view: View<'_>, _: &mut PgConnection, rows: &mut [Self]) -> Result<(), ApiError> {
        for flow in rows {
            flow.background_url = background_url(view, &flow.background);
            flow.background_themed_urls = themed_urls(view, &flow.background);
            flow.export_url = export_url(&flow.slug);
        }
        Ok(())
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    async fn flows(&self, _: &mut PgConnection) -> Result<Vec<Uuid>, ApiError> {
        Ok(vec![self.pk])
    }

    async fn destroying(view: View<'_>, connection: &mut PgConnection, row: &Self) -> Result<(), ApiError> {
        flow_stage_binding::audit_cascade(view, connection, Side::Flow(row.pk)).await
    }

    async fn used_by(
        view: View<'_>,
        connection: &mut PgConnection,
        row: &Self,
    ) -> Result<Vec<UsedBy>, ApiError> {
        used_by::find(view, connection, Used::Flow, row.pk).await
    }
}

/// A flow as a stage shows it in `flow_set`.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct FlowSet {
    pk: Uuid,
    policybindingmodel_ptr_id: Uuid,
    name: String,
    slug: String,
    title: String,
    designation: String,
    #[sqlx(skip)]
    background_url: String,
    policy_engine_mode: String,
    compatibility_mode: bool,
    #[sqlx(skip)]
    export_url: String,
    layout: String,
    denied_action: String,
    /// What clients up to 2025.10 require instead of `background_url`.
    background: String,
}

impl FlowSet {
    /// Columns for [`FromRow`], of `authentik_flows_flow f` and its parent `m`.
    pub const COLUMNS: &'static str = "f.flow_uuid AS pk, f.policybindingmodel_ptr_id, f.name, f.slug, f.title, \
        f.designation, m.policy_engine_mode, f.compatibility_mode, f.layout, f.denied_action, f.background";

    /// Fill in what is computed.
    #[must_use]
    pub fn complete(mut self, view: View<'_>) -> Self {
        self.background_url = background_url(view, &self.background);
        self.background.clone_from(&self.background_url);
        self.export_url = export_url(&self.slug);
        self
    }
}

/// Where a flow's background image is. authentik signs the addresses of media files with its secret key, which we
/// don't have, so those are given unsigned.
fn background_url(view: View<'_>, background: &str) -> String {
    let background = if background.is_empty() { view.caller.tenant.flow_background() } else { background };
    let is_address = ADDRESSES.iter().any(|start| background.starts_with(start));
    if is_address { background.to_owned() } else { format!("/files/media/public/{background}") }
}

/// The background of each theme, where the file's name has a place for it.
fn themed_urls(view: View<'_>, background: &str) -> Option<Value> {
    let of = |theme| background_url(view, &background.replace(THEME, theme));
    background.contains(THEME).then(|| json!({ "light": of("light"), "dark": of("dark") }))
}

const FILE_PATH: &[Field] = &[Field::text("url").required()];
const SET_BACKGROUND_URL: Extra =
    Extra::post("Set background url", "Set Flow background", FILE_PATH).on_object();

/// Its operation in the OpenAPI document; authentik's own has it up to 2025.10.
pub fn document(document: &mut Document) {
    let path = "/flows/instances/{slug}/set_background_url/";
    let body = document.request("FilePath", "Serializer to upload file", FILE_PATH);
    let parameters = json!([lookup_parameter::<Flow>()]);
    let answer = Some(json!({ "type": "object" }));
    let id = "flows_instances_set_background_url_create";
    let operation =
        operation(path, id, SET_BACKGROUND_URL.description, parameters, Some(body), "200", answer);
    document.operation(path, "post", operation);
}

/// `POST /flows/instances/{slug}/set_background_url/`: how clients up to 2025.10 set a flow's background.
pub async fn set_background_url(State(app): State<App>, request: Request<Body>) -> Response {
    extra(app, request, &SET_BACKGROUND_URL, async |call, connection, caller| {
        let mut transaction = connection.begin().await?;
        let flow = viewset::find::<Flow>(call, &mut transaction, caller, true).await?;
        viewset::require(&mut transaction, caller, Verb::Change, &flow).await?;
        let body = call.json()?;
        let (taken, mut errors) = intake::take(FILE_PATH, &body, Mode::Create, call.app.dialect());
        let Some(Content::Text(url)) = taken.get("url") else {
            return Err(ApiError::Validation(errors.into_body(FILE_PATH)));
        };
        if let Err(error) = background_rule(url) {
            errors.add("url", error.message.unwrap_or_default());
            return Err(ApiError::Validation(errors.into_body(FILE_PATH)));
        }
        let mut draft = Draft::default();
        draft.set("background", Content::Text(url.clone()));
        sql::update::<Flow>(&mut transaction, flow.pk, &draft).await?;
        viewset::wrote(call.view(caller), &mut transaction, Change::Updated, &flow).await?;
        transaction.commit().await?;
        Ok(json_response(StatusCode::OK, &json!({})))
    })
    .await
}

fn export_url(slug: &str) -> String {
    format!("{API_PREFIX}{}{slug}/export/", Flow::PATH)
}

/// Flows by key, complete, with one statement.
///
/// # Errors
/// The database failed.
pub async fn load(
    view: View<'_>,
    connection: &mut PgConnection,
    keys: Vec<Uuid>,
) -> Result<Vec<Flow>, ApiError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut flows = sql::reload::<Flow>(connection, &view.app.database.layout, keys).await?;
    Flow::attach(view, connection, &mut flows).await?;
    Ok(flows)
}
