//! Flows: the resource, and the shorter form that every stage shows in `flow_set`.

use drf::action::{Method, RequestBody, Route, Success};
use drf::declaration::{Declaration, Lookup, LookupKind, Parent, Table};
use drf::field::{Choices, DefaultValue, Field, Fields, Key, Schema, Target};
use drf::intake::{Content, Draft};
use drf::params::{Filter, FilterKind, asc};
use drf::permission::{Model, Permission, Verb};
use drf::rules;
use drf::search::Searched;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use validator::Validate;

use super::invitation::beyond;
use super::used_by;
use crate::authentik::FlowPart;
use crate::contract::rules::{self as authentik_rules, THEME, is_address};
use crate::contract::{API_PREFIX, Release};
use crate::db::{Need, statements};
use crate::error::ApiError;
use crate::views::used_by::Relation;
use crate::views::{Action, Answer, Context, Request, Resource};

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
        ("sidebar_left_frame_background", Release::V2026_2.api()),
        ("sidebar_right_frame_background", Release::V2026_2.api()),
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

/// Names and permissions.
pub const MODEL: Model = Model { app_label: "authentik_flows", name: "Flow", model: "flow" };
/// Flows as the target of foreign keys.
pub const TARGET: Target =
    Target { table: "authentik_flows_flow", pk: "flow_uuid", key: Key::Uuid, model: MODEL };
/// What flows and bindings both extend.
pub const POLICY_BINDING_MODEL: Parent = Parent {
    name: "authentik_policies_policybindingmodel",
    pk: "pbm_uuid",
    link: "policybindingmodel_ptr_id",
};

const PK: Field = Field::uuid("pk").column("flow_uuid").read_only().label("Flow uuid");
const POLICY_BINDING_MODEL_PTR_ID: Field =
    Field::computed("policybindingmodel_ptr_id", Schema::Uuid).on("policybindingmodel_ptr_id");
/// `name`
pub const NAME: Field = Field::text("name").required().filter();
/// `slug`
pub const SLUG: Field = Field::slug("slug")
    .required()
    .filter()
    .unique("Flow with this slug already exists.")
    .help("Visible in the URL.");
/// `title`
pub const TITLE: Field = Field::text("title").required().help("Shown as the Title in Flow pages.");
/// `designation`
pub const DESIGNATION_FIELD: Field = Field::choice("designation", &DESIGNATION).required().filter().help(
    "Decides what this Flow is used for. For example, the Authentication flow is redirect to when an un-authenticated \
     user visits authentik.",
);
const BACKGROUND_URL: Field = Field::computed("background_url", Schema::String);
/// `policy_engine_mode`
pub const POLICY_ENGINE_MODE_FIELD: Field =
    Field::choice("policy_engine_mode", &POLICY_ENGINE_MODE).on_parent().default(DefaultValue::Text("any"));
/// `compatibility_mode`
pub const COMPATIBILITY_MODE: Field = Field::boolean("compatibility_mode")
    .default(DefaultValue::Boolean(false))
    .help("Enable compatibility mode, increases compatibility with password managers on mobile devices.");
const EXPORT_URL: Field = Field::computed("export_url", Schema::String);
/// `layout`
pub const LAYOUT_FIELD: Field = Field::choice("layout", &LAYOUT).default(DefaultValue::Text("stacked"));
/// `denied_action`
pub const DENIED_ACTION_FIELD: Field = Field::choice("denied_action", &DENIED_ACTION)
    .default(DefaultValue::Text("message_continue"))
    .filter()
    .help("Configure what should happen when a flow denies access to a user.");

/// The fields of an entry of `flow_set`.
pub const FLOW_SET: Fields = Fields::new(&[
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
]);

const THEMED_URLS: Fields = Fields::new(&[Field::text("light").nullable(), Field::text("dark").nullable()]);

const BACKGROUND: Field = Field::text("background")
    .blank()
    .default(DefaultValue::Text(""))
    .help("Background shown during execution");

/// The fields.
pub const FIELDS: Fields = Fields::new(&[
    PK,
    POLICY_BINDING_MODEL_PTR_ID,
    NAME,
    SLUG,
    TITLE,
    DESIGNATION_FIELD,
    BACKGROUND,
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
]);

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
    #[validate(custom(function = authentik_rules::background))]
    background: Option<String>,
}

impl Resource for Flow {
    const DECLARATION: &'static Declaration = &Declaration {
        path: "/flows/instances/",
        operation: "flows_instances",
        fields: FIELDS,
        lookup: Lookup {
            parameter: "slug",
            expression: "t.slug",
            kind: LookupKind::Text,
            description: "Visible in the URL.",
        },
        filters: &[Filter { name: "flow_uuid", expression: "t.flow_uuid", kind: FilterKind::Uuid }],
        search: &[
            Searched::text("t.name"),
            Searched::text("t.slug"),
            Searched::text("t.designation"),
            Searched::text("t.title"),
            Searched::text("t.denied_action"),
        ],
        default_order: &[asc("slug"), asc("name")],
        extra_columns: &[", \
            ARRAY(SELECT b.stage_id FROM authentik_flows_flowstagebinding b WHERE b.target_id = t.flow_uuid \
              ORDER BY b.\"order\", b.fsb_uuid) AS stages, \
            ARRAY(SELECT b.policy_id FROM authentik_policies_policybinding b \
              WHERE b.target_id = t.policybindingmodel_ptr_id AND b.policy_id IS NOT NULL ORDER BY b.\"order\") \
              AS policies, \
            (SELECT count(*) FROM django_postgres_cache_cacheentry e \
              WHERE e.cache_key ~>=~ ('public::1:goauthentik.io/flows/planner/' || t.flow_uuid || '#') \
              AND e.cache_key ~<~ ('public::1:goauthentik.io/flows/planner/' || t.flow_uuid || '$')) AS cache_count"],
        ..Declaration::of(
            MODEL,
            Table {
                name: "authentik_flows_flow",
                pk: "flow_uuid",
                parent: Some(POLICY_BINDING_MODEL),
                joins: "",
            },
        )
    };
    const EXTRA_ACTIONS: &'static [Action<Self>] = &[SET_BACKGROUND_URL];
    const USED_BY: &'static [Relation] = used_by::FLOW;
    const TELLS_SNAPSHOT: bool = true;
    const NEEDS: &'static [Need] = &[
        Need::read("authentik_policies_policybinding", "\"order\" integer, policy_id uuid, target_id uuid"),
        Need::read("django_postgres_cache_cacheentry", "cache_key text"),
    ];
    type Input = FlowInput;
    type Key = Uuid;

    fn pk(&self) -> Uuid {
        self.pk
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn part(&self) -> FlowPart {
        FlowPart::Flow(self.pk)
    }

    async fn attach(context: Context<'_>, _: &mut PgConnection, rows: &mut [Self]) -> Result<(), ApiError> {
        for flow in rows {
            flow.background_url = background_url(context, &flow.background);
            flow.background_themed_urls = themed_urls(context, &flow.background);
            flow.export_url = export_url(&flow.slug);
        }
        Ok(())
    }

    async fn destroying(
        context: Context<'_>,
        connection: &mut PgConnection,
        row: &Self,
    ) -> Result<(), ApiError> {
        beyond::left_by(context, connection, row.pk).await
    }
}

/// A flow as a stage shows it in `flow_set`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FlowSet {
    pk: Uuid,
    policybindingmodel_ptr_id: Uuid,
    name: String,
    slug: String,
    title: String,
    designation: String,
    #[serde(default)]
    background_url: String,
    policy_engine_mode: String,
    compatibility_mode: bool,
    #[serde(default)]
    export_url: String,
    layout: String,
    denied_action: String,
    /// What clients up to 2025.10 require instead of `background_url`.
    background: String,
}

impl FlowSet {
    /// Its slug.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// SELECT expression for the flows of the stage `stage_uuid`, with a comma in front: a JSON list, one entry a binding.
    /// authentik leaves their order open; ours is by slug, then by order.
    pub const COLUMN: &'static str = ", coalesce((SELECT json_agg(json_build_object(\
          'pk', f.flow_uuid, 'policybindingmodel_ptr_id', f.policybindingmodel_ptr_id, 'name', f.name, 'slug', f.slug, \
          'title', f.title, 'designation', f.designation, 'policy_engine_mode', m.policy_engine_mode, \
          'compatibility_mode', f.compatibility_mode, 'layout', f.layout, 'denied_action', f.denied_action, \
          'background', f.background) ORDER BY f.slug, b.\"order\", b.fsb_uuid) \
        FROM authentik_flows_flowstagebinding b JOIN authentik_flows_flow f ON f.flow_uuid = b.target_id \
        JOIN authentik_policies_policybindingmodel m ON m.pbm_uuid = f.policybindingmodel_ptr_id \
        WHERE b.stage_id = stage_uuid), '[]') AS flow_set";

    /// Fill in what is computed.
    pub fn complete(&mut self, context: Context<'_>) {
        self.background_url = background_url(context, &self.background);
        self.background.clone_from(&self.background_url);
        self.export_url = export_url(&self.slug);
    }
}

/// Where a flow's background image is. authentik signs the addresses of media files with its secret key, which we
/// don't have, so those are given unsigned.
fn background_url(context: Context<'_>, background: &str) -> String {
    let background = if background.is_empty() { context.caller.tenant.flow_background() } else { background };
    if is_address(background) { background.to_owned() } else { format!("/files/media/public/{background}") }
}

/// The background of each theme, where the file's name has a place for it.
fn themed_urls(context: Context<'_>, background: &str) -> Option<Value> {
    let of = |theme| background_url(context, &background.replace(THEME, theme));
    background.contains(THEME).then(|| json!({ "light": of("light"), "dark": of("dark") }))
}

const URL: Field = Field::text("url").required();

/// `POST /flows/instances/{slug}/set_background_url/`: how clients up to 2025.10 set a flow's background.
const SET_BACKGROUND_URL: Action<Flow> = Action::on_object(
    drf::Action::extra(
        "set_background_url_create",
        Method::Post,
        Route { detail: true, url_path: "set_background_url" },
        Permission::Model(Verb::Change),
        "Set background url",
        "Set Flow background",
    )
    .takes(RequestBody::Fields {
        component: "FilePath",
        description: "Serializer to upload file",
        fields: Fields::new(&[URL]),
    })
    .answers(Success::Empty),
    |request, flow| Box::pin(set_background_url(request, flow)),
);

async fn set_background_url(mut request: Request<'_>, flow: Flow) -> Result<Answer, ApiError> {
    let url = request.draft.text(&URL).unwrap_or_default().to_owned();
    if let Err(error) = authentik_rules::background(&url) {
        return Err(ApiError::field(URL.name, error.message.unwrap_or_default()));
    }
    let mut change = Draft::default();
    change.set(&BACKGROUND, Content::Text(url));
    request.change(&flow, &change).await?;
    Answer::ok(&json!({}))
}

fn export_url(slug: &str) -> String {
    format!("{API_PREFIX}{}{slug}/export/", Flow::DECLARATION.path)
}

/// Flows by key, complete, with one statement.
///
/// # Errors
/// The database failed.
pub async fn load(
    context: Context<'_>,
    connection: &mut PgConnection,
    keys: Vec<Uuid>,
) -> Result<Vec<Flow>, ApiError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let layout = &context.app.database.layout;
    let mut flows: Vec<Flow> =
        statements::reload(connection, Flow::DECLARATION, layout, keys, context.seen).await?;
    Flow::attach(context, connection, &mut flows).await?;
    Ok(flows)
}
