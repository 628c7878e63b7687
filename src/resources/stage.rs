//! What all stages share: the head of their answers, their names, and `flow_set` in both directions.

use std::collections::{HashMap, HashSet};

use drf::declaration::{Declaration, Lookup, LookupKind, Parent, Table};
use drf::field::{Field, Fields, Key, Schema, Target};
use drf::intake::Mode;
use drf::params::{Filter, FilterKind, asc};
use drf::permission::{Model, Verb};
use drf::rules;
use drf::search::Searched;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use validator::Validate;

use super::flow::{self, Flow, FlowSet};
use super::flow_stage_binding;
use super::used_by;
use crate::app::App;
use crate::authentik::flows::concrete_types;
use crate::authentik::{Change, FlowPart, Written};
use crate::contract::stage_types::{self, StageType};
use crate::db::Sql;
use crate::db::insert::{NewRows, Values};
use crate::db::lookups::Wanted;
use crate::db::statements::Restriction;
use crate::error::ApiError;
use crate::views::used_by::Relation;
use crate::views::{Action, Check, Context, Making, Preparation, Resource, Save};

/// The base model: the names of all stages, and the permissions for bindings and `stages/all/`.
pub const MODEL: Model = stage_types::BASE.model;
/// The base table.
pub const BASE: Parent = Parent { name: "authentik_flows_stage", pk: "stage_uuid", link: "stage_ptr_id" };
/// Stages as the target of foreign keys.
pub const TARGET: Target =
    Target { table: "authentik_flows_stage", pk: "stage_uuid", key: Key::Uuid, model: MODEL };

/// `component`
pub const COMPONENT: Field = Field::computed("component", Schema::String);
/// `verbose_name`
pub const VERBOSE_NAME: Field = Field::computed("verbose_name", Schema::String);
/// `verbose_name_plural`
pub const VERBOSE_NAME_PLURAL: Field = Field::computed("verbose_name_plural", Schema::String);
/// `meta_model_name`
pub const META_MODEL_NAME: Field = Field::computed("meta_model_name", Schema::String);
/// `flow_set`
pub const FLOW_SET: Field = Field::nested_list("flow_set", "FlowSet", flow::FLOW_SET).always();

/// The fields that every type of stages begins with. All types share one name space.
const HEAD: &[Field] = &[
    Field::uuid("pk").column("stage_ptr_id").read_only().label("Stage uuid"),
    Field::text("name").on_parent().required().filter().unique("stage with this name already exists."),
    COMPONENT,
    VERBOSE_NAME,
    VERBOSE_NAME_PLURAL,
    META_MODEL_NAME,
    FLOW_SET,
];

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
    #[sqlx(json)]
    flow_set: Vec<FlowSet>,
}

impl StageHead {
    /// The stage is deleted, and its bindings with it.
    pub fn goes(&self, context: Context<'_>) {
        for flow in &self.flow_set {
            context.effects.unbinds(flow.slug());
        }
    }

    fn complete(&mut self, context: Context<'_>, stage_type: &StageType) {
        self.component = stage_type.component;
        self.verbose_name = stage_type.verbose_name;
        self.verbose_name_plural = stage_type.verbose_name_plural;
        self.meta_model_name = stage_type.model.label();
        for flow in &mut self.flow_set {
            flow.complete(context);
        }
    }
}

/// What a type of stages has of its own. The rest is [`Stage`]'s.
pub trait StageKind: Sized + Send + Sync + Unpin + Serialize + for<'r> FromRow<'r, PgRow> + 'static {
    /// Its names.
    const TYPE: StageType;
    /// See [`Declaration::path`].
    const PATH: &'static str;
    /// See [`Declaration::operation`].
    const OPERATION: &'static str;
    /// The table of its own columns.
    const TABLE: &'static str;
    /// The fields behind those that every stage has.
    const FIELDS: &'static [Field];
    /// What the OpenAPI document says of the key in its paths.
    const KEY: &'static str;
    /// See [`Declaration::filters`].
    const FILTERS: &'static [Filter] = &[];
    /// See [`Resource::EXTRA_ACTIONS`].
    const EXTRA_ACTIONS: &'static [Action<Stage<Self>>] = &[];
    /// See [`Resource::Input`].
    type Input: DeserializeOwned + Validate + Send + Sync;

    /// See [`Resource::before`].
    fn before(_app: &App, _action: &drf::Action) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// See [`Resource::prepare`].
    fn prepare(_preparation: &mut Preparation<'_, Stage<Self>>) {}

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

impl<K> Stage<K> {
    /// What its type adds.
    pub fn own(&self) -> &K {
        &self.own
    }
}

/// The values with rules of their own: those of every stage, and those of its type.
#[derive(Debug, Deserialize, Validate)]
pub struct StageInput<I: Validate> {
    #[validate(nested)]
    flow_set: Option<Vec<FlowSetItem>>,
    #[serde(flatten)]
    #[validate(nested)]
    own: I,
}

/// Of a type none of whose values has rules.
#[derive(Debug, Deserialize, Validate)]
pub struct NoInput {}

impl<K: StageKind> Resource for Stage<K> {
    const DECLARATION: &'static Declaration = &Declaration {
        path: K::PATH,
        operation: K::OPERATION,
        view_name: K::TYPE.verbose_name,
        fields: Fields::extending(HEAD, K::FIELDS),
        lookup: Lookup {
            parameter: "stage_uuid",
            expression: "t.stage_ptr_id",
            kind: LookupKind::Uuid,
            description: K::KEY,
        },
        filters: K::FILTERS,
        search: &[Searched::text("p.name")],
        default_order: &[asc("name")],
        extra_columns: &[FlowSet::COLUMN],
        ..Declaration::of(
            K::TYPE.model,
            Table { name: K::TABLE, pk: BASE.link, parent: Some(BASE), joins: "" },
        )
    };
    const EXTRA_ACTIONS: &'static [Action<Self>] = K::EXTRA_ACTIONS;
    const USED_BY: &'static [Relation] = used_by::STAGE;
    const TELLS_SNAPSHOT: bool = true;
    const INSERT_IS_ALL: bool = true;
    type Input = StageInput<K::Input>;
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

    async fn before(app: &App, action: &drf::Action) {
        K::before(app, action).await;
    }

    async fn prepare(preparation: &mut Preparation<'_, Self>, _input: &Self::Input) -> Result<(), ApiError> {
        K::prepare(preparation);
        Ok(())
    }

    async fn check(check: &mut Check<'_, Self>, input: &Self::Input) -> Result<(), ApiError> {
        K::check(check, &input.own).await
    }

    async fn attach(
        context: Context<'_>,
        _connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        for row in rows {
            row.head.complete(context, &K::TYPE);
        }
        Ok(())
    }

    fn wanted(input: &Self::Input) -> Option<Wanted<'_>> {
        let items = input.flow_set.as_deref().filter(|items| !items.is_empty())?;
        let names = items.iter().map(|item| item.slug.as_str()).collect();
        Some(Wanted { target: &flow::TARGET, column: flow::SLUG.column, names })
    }

    async fn beside(making: &mut Making<'_, Self>, input: &Self::Input) -> Result<Vec<NewRows>, ApiError> {
        match (making.pk, input.flow_set.as_deref()) {
            (Some(stage), Some(items)) if !items.is_empty() => {
                Ok(vec![flow_set_of_new(making, stage, items).await?])
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn destroying(
        context: Context<'_>,
        _connection: &mut PgConnection,
        row: &Self,
    ) -> Result<(), ApiError> {
        row.head.goes(context);
        Ok(())
    }

    async fn saved(save: &mut Save<'_, Self>, input: &Self::Input) -> Result<(), ApiError> {
        match (&input.flow_set, save.mode) {
            (None, _) => Ok(()),
            (Some(_), Mode::Create) => save.context.trace.made_with_bindings(save.connection, save.pk).await,
            (Some(items), _) => replace_flow_set(save, items).await,
        }
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
    context: Context<'_>,
    connection: &mut PgConnection,
    keys: Vec<Uuid>,
    concrete: bool,
) -> Result<HashMap<Uuid, StageHead>, ApiError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let mut select = Sql::new("SELECT stage_uuid AS pk, name");
    select
        .push(FlowSet::COLUMN)
        .push(" FROM authentik_flows_stage WHERE stage_uuid = ANY(")
        .bind(&keys)
        .push(")");
    let mut heads: Vec<StageHead> = select.build_query_as().fetch_all(&mut *connection).await?;
    complete(context, connection, heads.iter_mut().collect(), concrete).await?;
    Ok(heads.into_iter().map(|head| (head.pk, head)).collect())
}

/// Complete heads of stages of any type, with one statement for their types.
///
/// # Errors
/// The database failed.
pub async fn complete(
    context: Context<'_>,
    connection: &mut PgConnection,
    heads: Vec<&mut StageHead>,
    concrete: bool,
) -> Result<(), ApiError> {
    let layout = &context.app.database.layout;
    let types = if concrete {
        let keys: Vec<Uuid> = heads.iter().map(|head| head.pk).collect();
        concrete_types(layout, connection, &keys).await?
    } else {
        HashMap::new()
    };
    for head in heads {
        head.complete(context, types.get(&head.pk).copied().unwrap_or(&stage_types::BASE));
    }
    Ok(())
}

/// The bindings of a new stage to the flows of `flow_set`, one for every entry. Flows are named by slug: one that exists
/// is bound and never changed, one that doesn't is created. It takes the caller's rights to add flows and to add bindings,
/// as far as something is to be added.
///
/// # Errors
/// 403, or the database failed.
async fn flow_set_of_new<K: StageKind>(
    making: &mut Making<'_, Stage<K>>,
    stage: Uuid,
    items: &[FlowSetItem],
) -> Result<NewRows, ApiError> {
    refuse_unseen(making.context, making.connection, items, making.found, &[]).await?;
    let flows = flows_of(making.context, making.connection, items, making.found).await?;
    require_on_bindings(making.context, Verb::Add)?;
    for slug in making.found.keys() {
        making.context.effects.binds(slug);
    }
    let flows = items.iter().filter_map(|item| flows.get(item.slug.as_str()).copied());
    Ok(flow_stage_binding::behind(making.context, stage, flows.collect()))
}

/// Let a stage be bound to the flows of `flow_set`, named and created as [`flow_set_of_new`] says, and to no others. It
/// takes the right to delete bindings, too, if any is to go.
///
/// # Errors
/// 403, or the database failed.
async fn replace_flow_set<K: StageKind>(
    save: &mut Save<'_, Stage<K>>,
    items: &[FlowSetItem],
) -> Result<(), ApiError> {
    let context = save.context;
    let select = sqlx::query_as(
        "SELECT f.flow_uuid, f.slug FROM authentik_flows_flowstagebinding b \
         JOIN authentik_flows_flow f ON f.flow_uuid = b.target_id WHERE b.stage_id = $1 ORDER BY f.slug",
    );
    let slugs: Vec<(Uuid, String)> = select.bind(save.pk).fetch_all(&mut *save.connection).await?;
    let bound: Vec<Uuid> = slugs.iter().map(|(flow, _)| *flow).collect();
    refuse_unseen(context, save.connection, items, save.found, &bound).await?;
    let flows = flows_of(context, save.connection, items, save.found).await?;
    let mut taken: HashSet<Uuid> = bound.iter().copied().collect();
    let named = items.iter().filter_map(|item| flows.get(item.slug.as_str()).copied());
    let new: Vec<Uuid> = named.clone().filter(|flow| taken.insert(*flow)).collect();
    if !new.is_empty() {
        require_on_bindings(context, Verb::Add)?;
    }
    let named: HashSet<Uuid> = named.collect();
    for (slug, _) in save.found.iter().filter(|(_, flow)| new.contains(flow)) {
        context.effects.binds(slug);
    }
    for (_, slug) in slugs.iter().filter(|(flow, _)| !named.contains(flow)) {
        context.effects.unbinds(slug);
    }
    if bound.iter().any(|flow| !named.contains(flow)) {
        require_on_bindings(context, Verb::Delete)?;
        let named: Vec<Uuid> = named.into_iter().collect();
        flow_stage_binding::delete_others(context, save.connection, save.pk, &named).await?;
    }
    flow_stage_binding::append(context, save.connection, save.pk, new).await
}

fn require_on_bindings(context: Context<'_>, verb: Verb) -> Result<(), ApiError> {
    let model = flow_stage_binding::MODEL;
    context.caller.require(&model, &model.codename(verb))
}

/// A flow that the caller may not view, and that isn't bound already, can't be bound: the answer would show it. It is
/// answered as `POST /flows/instances/` answers a slug that is taken, and to those who couldn't make a flow or bind it as
/// one that doesn't exist.
///
/// # Errors
/// 400 or 403.
async fn refuse_unseen(
    context: Context<'_>,
    connection: &mut PgConnection,
    items: &[FlowSetItem],
    found: &HashMap<String, Uuid>,
    bound: &[Uuid],
) -> Result<(), ApiError> {
    let caller = context.caller;
    let Some(scope) = context.nameable(&flow::TARGET) else { return Ok(()) };
    let named: Vec<Uuid> = found.values().filter(|flow| !bound.contains(flow)).copied().collect();
    if named.is_empty() {
        return Ok(());
    }
    let mut query = Sql::new("SELECT x.flow_uuid FROM authentik_flows_flow x WHERE x.flow_uuid = ANY(");
    query.bind(&named).push(") AND ");
    scope.push(&mut query, "x.flow_uuid", flow::TARGET.key);
    let seen: Vec<Uuid> = query.build_query_scalar().fetch_all(&mut *connection).await?;
    let is_unseen = |item: &FlowSetItem| {
        found.get(&item.slug).is_some_and(|flow| named.contains(flow) && !seen.contains(flow))
    };
    if !items.iter().any(is_unseen) {
        return Ok(());
    }
    caller.require(&flow::MODEL, &flow::MODEL.codename(Verb::Add))?;
    caller.require(&flow_stage_binding::MODEL, &flow_stage_binding::MODEL.codename(Verb::Add))?;
    let taken = flow::SLUG.unique.unwrap_or_default();
    let errors = items
        .iter()
        .map(|item| if is_unseen(item) { json!({ flow::SLUG.name: [taken] }) } else { json!({}) });
    Err(ApiError::Validation(json!({ FLOW_SET.name: errors.collect::<Vec<_>>() })))
}

/// The flows that entries name, by slug: those that were found, and those that are created now, with one statement.
async fn flows_of<'i>(
    context: Context<'_>,
    connection: &mut PgConnection,
    items: &'i [FlowSetItem],
    found: &'i HashMap<String, Uuid>,
) -> Result<HashMap<&'i str, Uuid>, ApiError> {
    let mut flows: HashMap<&str, Uuid> = found.iter().map(|(slug, flow)| (slug.as_str(), *flow)).collect();
    let mut known: HashSet<&str> = flows.keys().copied().collect();
    let missing: Vec<_> = items.iter().filter(|item| known.insert(&item.slug)).collect();
    if missing.is_empty() {
        return Ok(flows);
    }
    let model = Flow::DECLARATION.model;
    context.caller.require(&model, &model.codename(Verb::Add))?;
    let texts = |of: fn(&FlowSetItem) -> Option<&String>| {
        Values::Texts(missing.iter().map(|item| of(item).cloned()).collect())
    };
    let compatibility_modes = missing.iter().map(|item| item.compatibility_mode).collect();
    let rows = NewRows::new(Flow::DECLARATION, &context.app.ids, missing.len())
        .with(&flow::NAME, texts(|item| Some(&item.name)))
        .with(&flow::SLUG, texts(|item| Some(&item.slug)))
        .with(&flow::TITLE, texts(|item| Some(&item.title)))
        .with(&flow::DESIGNATION_FIELD, texts(|item| Some(&item.designation)))
        .with(&flow::POLICY_ENGINE_MODE_FIELD, texts(|item| item.policy_engine_mode.as_ref()))
        .with(&flow::LAYOUT_FIELD, texts(|item| item.layout.as_ref()))
        .with(&flow::DENIED_ACTION_FIELD, texts(|item| item.denied_action.as_ref()))
        .with(&flow::COMPATIBILITY_MODE, Values::Booleans(compatibility_modes));
    rows.insert(&mut *connection).await?;
    for (item, pk) in missing.into_iter().zip(rows.keys()) {
        let (name, part) = (&item.name, FlowPart::None);
        let written = Written { change: Change::Created, model, pk: pk.into(), name, part };
        context.trace.wrote(connection, &written).await?;
        flows.insert(&item.slug, pk);
        context.effects.creates(&item.slug);
    }
    Ok(flows)
}
