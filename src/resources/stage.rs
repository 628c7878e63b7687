//! What all stages share: the head of their answers, their names, and `flow_set` in both directions.

use std::collections::{HashMap, HashSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, QueryBuilder, Row};
use uuid::Uuid;
use validator::Validate;

use super::flow::{FLOW_SET_FIELDS, Flow, FlowSet};
use super::flow_stage_binding::{self, Side};
use super::stage_types::{self, StageType};
use super::used_by::{self, Used, UsedBy};
use crate::audit::{self, Change};
use crate::auth::rbac::{Model, Verb};
use crate::drf::field::{Field, Key, Schema, Target};
use crate::drf::intake::{Content, Draft, Mode};
use crate::drf::params::{Filter, FilterKind, Order, asc};
use crate::drf::resource::{Check, Lookup, LookupKind, Parent, Resource, Save, Table, View};
use crate::drf::{rules, sql};
use crate::error::ApiError;

/// The base model: the names of all stages, and the permissions for bindings and `stages/all/`.
pub const MODEL: Model = Model { app_label: "authentik_flows", name: "Stage", model: "stage" };
/// The base table.
pub const BASE: Parent = Parent { name: "authentik_flows_stage", pk: "stage_uuid", link: "stage_ptr_id" };
/// Stages as the target of foreign keys.
pub const TARGET: Target = Target { table: "authentik_flows_stage", pk: "stage_uuid", key: Key::Uuid };

/// `pk`
pub const PK: Field = Field::uuid("pk").column("stage_ptr_id").read_only().label("Stage uuid");
/// `name`; all stage types share one name space.
pub const NAME: Field =
    Field::text("name").on_parent().required().filter().unique("stage with this name already exists.");
/// `component`
pub const COMPONENT: Field = Field::computed("component", Schema::String);
/// `verbose_name`
pub const VERBOSE_NAME: Field = Field::computed("verbose_name", Schema::String);
/// `verbose_name_plural`
pub const VERBOSE_NAME_PLURAL: Field = Field::computed("verbose_name_plural", Schema::String);
/// `meta_model_name`
pub const META_MODEL_NAME: Field = Field::computed("meta_model_name", Schema::String);
/// `flow_set`
pub const FLOW_SET: Field = Field::nested_list("flow_set", "FlowSet", FLOW_SET_FIELDS).always();

/// The head of every stage's answer.
#[derive(Debug, Clone, Serialize, FromRow)]
pub struct StageHead {
    /// `authentik_flows_stage.stage_uuid`
    pub pk: Uuid,
    /// Unique over all types.
    pub name: String,
    #[sqlx(skip)]
    component: &'static str,
    #[sqlx(skip)]
    verbose_name: &'static str,
    #[sqlx(skip)]
    verbose_name_plural: &'static str,
    #[sqlx(skip)]
    meta_model_name: String,
    #[sqlx(skip)]
    flow_set: Vec<FlowSet>,
}

impl StageHead {
    fn describe(&mut self, stage_type: &StageType) {
        self.component = stage_type.component;
        self.verbose_name = stage_type.verbose_name;
        self.verbose_name_plural = stage_type.verbose_name_plural;
        self.meta_model_name = stage_type.model.label();
    }
}

/// What a type of stages has of its own. The rest is [`Stage`]'s.
pub trait Kind: Sized + Send + Sync + Unpin + Serialize + for<'r> FromRow<'r, PgRow> + 'static {
    /// Its names.
    const TYPE: StageType;
    /// See [`Resource::PATH`].
    const PATH: &'static str;
    /// See [`Resource::OPERATION`].
    const OPERATION: &'static str;
    /// The table of its own columns.
    const TABLE: &'static str;
    /// See [`Resource::FIELDS`]; the first seven are those of every stage.
    const FIELDS: &'static [Field];
    /// What the OpenAPI document says of the key in its paths.
    const KEY: &'static str;
    /// See [`Resource::FILTERS`].
    const FILTERS: &'static [Filter] = &[];
    /// See [`Resource::Input`].
    type Input: DeserializeOwned + Validate + Send + Sync;

    /// `flow_set` of a request.
    fn flow_set(input: &Self::Input) -> Option<&[FlowSetItem]>;

    /// See [`Resource::check`].
    fn check(
        _check: &mut Check<'_, Stage<Self>>,
        _input: &Self::Input,
    ) -> impl Future<Output = Result<(), ApiError>> + Send {
        async { Ok(()) }
    }
}

/// A stage: what all stages have, and what its type adds.
#[derive(Debug, Serialize, FromRow)]
pub struct Stage<K> {
    #[serde(flatten)]
    #[sqlx(flatten)]
    head: StageHead,
    #[serde(flatten)]
    #[sqlx(flatten)]
    own: K,
}

impl<K: Kind> Resource for Stage<K> {
    const MODEL: Model = K::TYPE.model;
    const PATH: &'static str = K::PATH;
    const OPERATION: &'static str = K::OPERATION;
    const VIEW_NAME: &'static str = K::TYPE.verbose_name;
    const TABLE: Table = Table { name: K::TABLE, pk: BASE.link, parent: Some(BASE), joins: "" };
    const FIELDS: &'static [Field] = K::FIELDS;
    const LOOKUP: Lookup = Lookup {
        parameter: "stage_uuid",
        expression: "t.stage_ptr_id",
        kind: LookupKind::Uuid,
        description: K::KEY,
    };
    const FILTERS: &'static [Filter] = K::FILTERS;
    const SEARCH: &'static [&'static str] = &["p.name"];
    const DEFAULT_ORDER: &'static [Order] = &[asc("name")];
    type Input = K::Input;
    type Key = Uuid;

    fn pk(&self) -> Uuid {
        self.head.pk
    }

    async fn check(check: &mut Check<'_, Self>, input: &Self::Input) -> Result<(), ApiError> {
        K::check(check, input).await
    }

    async fn attach(
        view: View<'_>,
        connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        let mut flows = flow_sets(view, connection, rows.iter().map(Resource::pk).collect()).await?;
        for head in rows.iter_mut().map(|row| &mut row.head) {
            head.describe(&K::TYPE);
            head.flow_set = flows.remove(&head.pk).unwrap_or_default();
        }
        Ok(())
    }

    async fn saved(save: &mut Save<'_>, input: &Self::Input) -> Result<(), ApiError> {
        apply_flow_set(save, K::flow_set(input)).await
    }

    fn name(&self) -> String {
        self.head.name.clone()
    }

    async fn flows(&self, connection: &mut PgConnection) -> Result<Vec<Uuid>, ApiError> {
        flows(connection, self.pk()).await
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

/// `?stage_uuid=`, of the types that have it.
pub const STAGE_UUID: Filter =
    Filter { name: "stage_uuid", expression: "t.stage_ptr_id", kind: FilterKind::Uuid };

/// An entry of `flow_set` in a request. A flow that exists is only bound, so all but the slug is for flows that don't.
#[derive(Debug, Deserialize, Validate)]
pub struct FlowSetItem {
    name: String,
    #[validate(custom(function = rules::slug))]
    slug: String,
    title: String,
    designation: String,
    policy_engine_mode: Option<String>,
    compatibility_mode: Option<bool>,
    layout: Option<String>,
    denied_action: Option<String>,
}

/// Stages of any type by key, with their concrete types where `concrete` says so: authentik answers some writes with
/// the base type.
///
/// # Errors
/// The database failed.
pub async fn heads(
    view: View<'_>,
    connection: &mut PgConnection,
    keys: Vec<Uuid>,
    concrete: bool,
) -> Result<HashMap<Uuid, StageHead>, ApiError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let select =
        sqlx::query_as("SELECT stage_uuid AS pk, name FROM authentik_flows_stage WHERE stage_uuid = ANY($1)");
    let mut heads: Vec<StageHead> = select.bind(&keys).fetch_all(&mut *connection).await?;
    complete(view, connection, heads.iter_mut().collect(), concrete).await?;
    Ok(heads.into_iter().map(|head| (head.pk, head)).collect())
}

/// Complete heads of stages of any type: one statement for their types, one for their flows.
///
/// # Errors
/// The database failed.
pub async fn complete(
    view: View<'_>,
    connection: &mut PgConnection,
    heads: Vec<&mut StageHead>,
    concrete: bool,
) -> Result<(), ApiError> {
    let keys: Vec<Uuid> = heads.iter().map(|head| head.pk).collect();
    let types = if concrete { types(view, connection, &keys).await? } else { HashMap::new() };
    let mut flows = flow_sets(view, connection, keys).await?;
    for head in heads {
        head.describe(types.get(&head.pk).copied().unwrap_or(&stage_types::BASE));
        head.flow_set = flows.remove(&head.pk).unwrap_or_default();
    }
    Ok(())
}

/// The concrete types of stages, found by the table that holds their other half.
///
/// # Errors
/// The database failed.
pub async fn types(
    view: View<'_>,
    connection: &mut PgConnection,
    stages: &[Uuid],
) -> Result<HashMap<Uuid, &'static StageType>, ApiError> {
    if stages.is_empty() {
        return Ok(HashMap::new());
    }
    let mut query = QueryBuilder::new("");
    for (index, (_, table)) in view.app.database.layout.stage_tables().iter().enumerate() {
        query.push(if index > 0 { " UNION ALL " } else { "" });
        query.push("SELECT stage_ptr_id, ").push_bind(i32::try_from(index).unwrap_or_default());
        query.push(format_args!(" FROM {table} WHERE stage_ptr_id = ANY(")).push_bind(stages).push(")");
    }
    let rows: Vec<(Uuid, i32)> = query.build_query_as().fetch_all(connection).await?;
    let tables = view.app.database.layout.stage_tables();
    let known = |(stage, index): (Uuid, i32)| Some((stage, tables.get(usize::try_from(index).ok()?)?.0));
    Ok(rows.into_iter().filter_map(known).collect())
}

/// The flows of stages, one entry a binding. authentik leaves their order open; ours is by slug, then by order.
async fn flow_sets(
    view: View<'_>,
    connection: &mut PgConnection,
    stages: Vec<Uuid>,
) -> Result<HashMap<Uuid, Vec<FlowSet>>, ApiError> {
    let mut sets: HashMap<Uuid, Vec<FlowSet>> = HashMap::new();
    if stages.is_empty() {
        return Ok(sets);
    }
    let mut query = QueryBuilder::new("SELECT b.stage_id, ");
    query.push(FlowSet::COLUMNS).push(
        " FROM authentik_flows_flowstagebinding b JOIN authentik_flows_flow f ON f.flow_uuid = b.target_id \
         JOIN authentik_policies_policybindingmodel m ON m.pbm_uuid = f.policybindingmodel_ptr_id \
         WHERE b.stage_id = ANY(",
    );
    query.push_bind(stages).push(") ORDER BY f.slug, b.\"order\", b.fsb_uuid");
    for row in query.build().fetch_all(connection).await? {
        let flow = FlowSet::from_row(&row)?.complete(view);
        sets.entry(row.try_get("stage_id")?).or_default().push(flow);
    }
    Ok(sets)
}

/// Apply `flow_set` of a request. Flows are named by slug: one that exists is bound and never changed, one that
/// doesn't is created. POST binds every entry; PUT and PATCH take the list for the whole set. It takes the caller's
/// right to add flows, to add bindings and to delete bindings, as far as something is to be added or deleted.
///
/// # Errors
/// 403, or the database failed.
async fn apply_flow_set(save: &mut Save<'_>, items: Option<&[FlowSetItem]>) -> Result<(), ApiError> {
    let Some(items) = items else { return Ok(()) };
    let slugs: Vec<&str> = items.iter().map(|item| item.slug.as_str()).collect();
    let existing = sqlx::query_as("SELECT slug, flow_uuid FROM authentik_flows_flow WHERE slug = ANY($1)");
    let existing: Vec<(String, Uuid)> = existing.bind(&slugs).fetch_all(&mut *save.connection).await?;
    let mut flows: HashMap<String, Uuid> = existing.into_iter().collect();
    let bound =
        sqlx::query_scalar("SELECT target_id FROM authentik_flows_flowstagebinding WHERE stage_id = $1");
    let bound: Vec<Uuid> = bound.bind(save.pk).fetch_all(&mut *save.connection).await?;

    let (mut bindings, mut taken) = (Vec::new(), bound.iter().copied().collect::<HashSet<_>>());
    for item in items {
        let flow = match flows.get(&item.slug) {
            Some(flow) => *flow,
            None => {
                let flow = create_flow(save, item).await?;
                flows.insert(item.slug.clone(), flow);
                flow
            }
        };
        if taken.insert(flow) || save.mode == Mode::Create {
            bindings.push(flow);
        }
    }
    if !bindings.is_empty() {
        save.view.caller.require(&flow_stage_binding::MODEL, Verb::Add)?;
    }
    let named: HashSet<Uuid> = flows.into_values().collect();
    if bound.iter().any(|flow| !named.contains(flow)) {
        save.view.caller.require(&flow_stage_binding::MODEL, Verb::Delete)?;
        let named: Vec<Uuid> = named.into_iter().collect();
        flow_stage_binding::delete_others(save.view, save.connection, save.pk, &named).await?;
    }
    for flow in bindings {
        flow_stage_binding::append(save.view, save.connection, flow, save.pk).await?;
    }
    Ok(())
}

async fn create_flow(save: &mut Save<'_>, item: &FlowSetItem) -> Result<Uuid, ApiError> {
    save.view.caller.require(&Flow::MODEL, Verb::Add)?;
    let mut draft = Draft::default();
    let mut set = |field, text: Option<&String>| {
        if let Some(text) = text {
            draft.set(field, Content::Text(text.clone()));
        }
    };
    set("name", Some(&item.name));
    set("slug", Some(&item.slug));
    set("title", Some(&item.title));
    set("designation", Some(&item.designation));
    set("policy_engine_mode", item.policy_engine_mode.as_ref());
    set("layout", item.layout.as_ref());
    set("denied_action", item.denied_action.as_ref());
    if let Some(compatibility_mode) = item.compatibility_mode {
        draft.set("compatibility_mode", Content::Boolean(compatibility_mode));
    }
    let pk = sql::insert::<Flow>(save.connection, &save.view.app.ids, &draft).await?;
    audit::record(save.view, save.connection, Change::Created, &Flow::MODEL, pk, &item.name).await?;
    Ok(pk)
}

/// The flows that a stage is bound to.
///
/// # Errors
/// The database failed.
pub async fn flows(connection: &mut PgConnection, pk: Uuid) -> Result<Vec<Uuid>, ApiError> {
    let flows = sqlx::query_scalar(
        "SELECT DISTINCT target_id FROM authentik_flows_flowstagebinding WHERE stage_id = $1",
    );
    Ok(flows.bind(pk).fetch_all(connection).await?)
}
