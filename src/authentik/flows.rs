//! What a row is to flows: which cached plans its change makes stale, and which bindings go with it.

use std::collections::HashMap;

use drf::permission::Model;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::contract::stage_types::{self, StageType};
use crate::db::{Layout, Need, Privilege, Sql};
use crate::error::ApiError;

/// The model of bindings.
pub const BINDING: Model =
    Model { app_label: "authentik_flows", name: "FlowStageBinding", model: "flowstagebinding" };

/// What the statements here need of bindings and cached plans.
pub(super) const NEEDS: &[Need] = &[
    Need::read(
        "authentik_flows_flowstagebinding",
        "fsb_uuid uuid, \"order\" integer, target_id uuid, stage_id uuid",
    ),
    Need {
        table: "django_postgres_cache_cacheentry",
        privileges: &[Privilege::Select, Privilege::Delete],
        columns: "cache_key text",
    },
];

/// What a row is to flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowPart {
    /// Nothing.
    None,
    /// The stage with this key.
    Stage(Uuid),
    /// The flow with this key.
    Flow(Uuid),
    /// A binding to the flow with this key.
    BindingTo(Uuid),
}

/// A binding of a stage to a flow, as far as its deletion needs it.
#[derive(Debug, Clone, FromRow)]
pub struct Binding {
    /// Its key.
    #[sqlx(rename = "fsb_uuid")]
    pub pk: Uuid,
    /// Its place in the flow.
    pub order: i32,
    /// The flow.
    #[sqlx(rename = "target_id")]
    pub target: Uuid,
}

impl Binding {
    /// What `str()` gives for it.
    pub fn name(&self) -> String {
        format!("Flow-stage binding #{} to {}", self.order, self.target)
    }
}

impl FlowPart {
    /// Drop the cached plans of the flows that this is part of.
    pub(super) async fn drop_plans(self, connection: &mut PgConnection) -> Result<(), ApiError> {
        match self {
            Self::None => Ok(()),
            Self::Flow(flow) | Self::BindingTo(flow) => drop_plans(connection, &[flow]).await,
            Self::Stage(stage) => {
                let flows = sqlx::query_scalar(
                    "SELECT DISTINCT target_id FROM authentik_flows_flowstagebinding WHERE stage_id = $1",
                );
                let flows: Vec<Uuid> = flows.bind(stage).fetch_all(&mut *connection).await?;
                drop_plans(connection, &flows).await
            }
        }
    }

    /// The bindings that go with it.
    pub(super) async fn bindings(self, connection: &mut PgConnection) -> Result<Vec<Binding>, ApiError> {
        let (stage, flow) = match self {
            Self::None | Self::BindingTo(_) => return Ok(Vec::new()),
            Self::Stage(pk) => (Some(pk), None),
            Self::Flow(pk) => (None, Some(pk)),
        };
        let bindings = sqlx::query_as(
            "SELECT fsb_uuid, \"order\", target_id FROM authentik_flows_flowstagebinding \
             WHERE stage_id = $1 OR target_id = $2",
        );
        Ok(bindings.bind(stage).bind(flow).fetch_all(connection).await?)
    }

    /// The concrete model of a stage of which only the base model is known.
    pub(super) async fn concrete(
        self,
        layout: &Layout,
        connection: &mut PgConnection,
        model: Model,
    ) -> Result<Model, ApiError> {
        match self {
            Self::Stage(pk) if model == stage_types::BASE.model => {
                let types = concrete_types(layout, connection, &[pk]).await?;
                Ok(types.get(&pk).map_or(model, |stage_type| stage_type.model))
            }
            _ => Ok(model),
        }
    }
}

/// Drop the plans that authentik has cached of these flows.
pub(super) async fn drop_plans(connection: &mut PgConnection, flows: &[Uuid]) -> Result<(), ApiError> {
    if flows.is_empty() {
        return Ok(());
    }
    // By range, as `LIKE 'prefix#%'` would be for a constant: served by the index for patterns.
    sqlx::query(
        "DELETE FROM django_postgres_cache_cacheentry e USING unnest($1::uuid[]) AS flow (id) \
         WHERE e.cache_key ~>=~ ('public::1:goauthentik.io/flows/planner/' || flow.id || '#') \
         AND e.cache_key ~<~ ('public::1:goauthentik.io/flows/planner/' || flow.id || '$')",
    )
    .bind(flows)
    .execute(connection)
    .await?;
    Ok(())
}

/// The concrete types of stages, found by the table that holds their other half.
///
/// # Errors
/// The database failed.
pub async fn concrete_types(
    layout: &Layout,
    connection: &mut PgConnection,
    stages: &[Uuid],
) -> Result<HashMap<Uuid, &'static StageType>, ApiError> {
    if stages.is_empty() {
        return Ok(HashMap::new());
    }
    let tables = layout.stage_tables();
    let mut query = Sql::new("");
    for (index, (_, table)) in tables.iter().enumerate() {
        query.push(if index > 0 { " UNION ALL " } else { "" });
        query.push("SELECT stage_ptr_id, ").bind(i32::try_from(index).unwrap_or_default());
        query.push(format_args!(" FROM {table} WHERE stage_ptr_id = ANY(")).bind(stages).push(")");
    }
    let rows: Vec<(Uuid, i32)> = query.build_query_as().fetch_all(connection).await?;
    let known = |(stage, index): (Uuid, i32)| Some((stage, tables.get(usize::try_from(index).ok()?)?.0));
    Ok(rows.into_iter().filter_map(known).collect())
}
