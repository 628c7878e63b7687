//! Bindings: which stages a flow runs, and in what order.

use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use validator::Validate;

use super::flow::{self, POLICY_BINDING_MODEL, POLICY_ENGINE_MODE};
use super::stage::{self, StageHead};
use super::used_by::{self, Used, UsedBy};
use crate::audit::{self, Change};
use crate::auth::rbac::Model;
use crate::db::{cascade, plans};
use crate::drf::errors::NON_FIELD_ERRORS;
use crate::drf::field::{Choices, DefaultValue, Field, Schema};
use crate::drf::intake::{Content, Draft};
use crate::drf::params::{Filter, FilterKind, Order, Rows, asc};
use crate::drf::resource::{Check, Lookup, LookupKind, Resource, Table, View};
use crate::drf::{messages, sql};
use crate::error::ApiError;

/// What happens after an answer that a stage doesn't take.
pub const INVALID_RESPONSE_ACTION: Choices = Choices {
    name: "InvalidResponseActionEnum",
    since: &[],
    values: &[("retry", "Retry"), ("restart", "Restart"), ("restart_with_context", "Restart With Context")],
};

/// The policies that are bound to something. Our own database has no table of all.
const BOUND_POLICIES: Rows = Rows { table: "authentik_policies_policybinding", column: "policy_id" };

/// A binding of a stage to a flow.
#[derive(Debug, Serialize, FromRow)]
pub struct FlowStageBinding {
    pk: Uuid,
    policybindingmodel_ptr_id: Uuid,
    target: Uuid,
    stage: Uuid,
    #[sqlx(skip)]
    stage_obj: Option<StageHead>,
    evaluate_on_plan: bool,
    re_evaluate_policies: bool,
    order: i32,
    policy_engine_mode: String,
    invalid_response_action: String,
}

/// The values with rules of their own.
#[derive(Debug, Deserialize, Validate)]
pub struct FlowStageBindingInput {
    evaluate_on_plan: Option<bool>,
    re_evaluate_policies: Option<bool>,
}

impl Resource for FlowStageBinding {
    const MODEL: Model = MODEL;
    const PATH: &'static str = "/flows/bindings/";
    const OPERATION: &'static str = "flows_bindings";
    const VIEW_NAME: &'static str = "Flow Stage Binding";
    const TABLE: Table = Table {
        name: "authentik_flows_flowstagebinding",
        pk: "fsb_uuid",
        parent: Some(POLICY_BINDING_MODEL),
        joins: "",
    };
    const FIELDS: &'static [Field] = &[
        Field::uuid("pk").column("fsb_uuid").read_only().label("Fsb uuid"),
        Field::computed("policybindingmodel_ptr_id", Schema::Uuid).on("policybindingmodel_ptr_id").unsortable(),
        Field::foreign_key("target", "target_id", &flow::TARGET).required().filter().unsortable(),
        Field::foreign_key("stage", "stage_id", &stage::TARGET).required().filter().unsortable(),
        Field::nested("stage_obj", "Stage", super::any_stage::FIELDS),
        Field::boolean("evaluate_on_plan")
            .default(DefaultValue::Boolean(false))
            .filter()
            .unsortable()
            .help("Evaluate policies during the Flow planning process."),
        Field::boolean("re_evaluate_policies")
            .default(DefaultValue::Boolean(true))
            .filter()
            .unsortable()
            .help("Evaluate policies when the Stage is presented to the user."),
        Field::integer("order").column("\"order\"").required().filter(),
        Field::choice("policy_engine_mode", &POLICY_ENGINE_MODE)
            .on_parent()
            .default(DefaultValue::Text("any"))
            .filter()
            .unsortable(),
        Field::choice("invalid_response_action", &INVALID_RESPONSE_ACTION)
            .default(DefaultValue::Text("retry"))
            .filter()
            .unsortable()
            .help(
                "Configure how the flow executor should handle an invalid response to a challenge. RETRY returns the \
                 error message and a similar challenge to the executor. RESTART restarts the flow from the beginning, \
                 and RESTART_WITH_CONTEXT restarts the flow while keeping the current context.",
            ),
    ];
    const LOOKUP: Lookup = Lookup {
        parameter: "fsb_uuid",
        expression: "t.fsb_uuid",
        kind: LookupKind::Uuid,
        description: "A UUID string identifying this Flow Stage Binding.",
    };
    const FILTERS: &'static [Filter] = &[
        Filter { name: "fsb_uuid", expression: "t.fsb_uuid", kind: FilterKind::Uuid },
        Filter { name: "pbm_uuid", expression: "p.pbm_uuid", kind: FilterKind::Uuid },
        Filter {
            name: "policies",
            expression: "t.policybindingmodel_ptr_id IN \
                (SELECT b.target_id FROM authentik_policies_policybinding b WHERE b.policy_id = ANY({}))",
            kind: FilterKind::Uuids(BOUND_POLICIES),
        },
    ];
    const SEARCH: &'static [&'static str] =
        &["(SELECT s.name FROM authentik_flows_stage s WHERE s.stage_uuid = t.stage_id)"];
    const DEFAULT_ORDER: &'static [Order] = &[asc("order"), asc("pk")];
    const ORDER_EXPRESSIONS: &'static [(&'static str, &'static str)] =
        &[("stage__name", "(SELECT s.name FROM authentik_flows_stage s WHERE s.stage_uuid = t.stage_id)")];
    type Input = FlowStageBindingInput;
    type Key = Uuid;

    fn pk(&self) -> Uuid {
        self.pk
    }

    async fn check(check: &mut Check<'_, Self>, input: &Self::Input) -> Result<(), ApiError> {
        if !check.errors.is_empty() {
            return Ok(()); // rules on several fields are for fields that are fine
        }
        if taken(check.connection, check.draft, check.row.map(Self::pk)).await? {
            check.errors.add(NON_FIELD_ERRORS, messages::unique_together("target, stage, order"));
        } else if !input.evaluate_on_plan.unwrap_or(false) && !input.re_evaluate_policies.unwrap_or(true) {
            // Only the request is looked at, as authentik does: what is stored doesn't count.
            check.errors.add(NON_FIELD_ERRORS, messages::NEVER_EVALUATED);
        }
        Ok(())
    }

    async fn attach(
        view: View<'_>,
        connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        let heads = stage::heads(view, connection, rows.iter().map(|row| row.stage).collect(), true).await?;
        for row in rows {
            row.stage_obj = heads.get(&row.stage).cloned();
        }
        Ok(())
    }

    /// A write that names the stage is answered with the base stage, not the concrete one: authentik serialises the
    /// object that its validation looked up.
    async fn attach_written(
        view: View<'_>,
        connection: &mut PgConnection,
        draft: &Draft,
        row: &mut Self,
    ) -> Result<(), ApiError> {
        if draft.get("stage").is_none() {
            return Self::attach(view, connection, std::slice::from_mut(row)).await;
        }
        row.stage_obj = stage::heads(view, connection, vec![row.stage], false).await?.remove(&row.stage);
        Ok(())
    }

    fn name(&self) -> String {
        name(self.order, self.target)
    }

    async fn flows(&self, _: &mut PgConnection) -> Result<Vec<Uuid>, ApiError> {
        Ok(vec![self.target])
    }

    async fn used_by(
        view: View<'_>,
        connection: &mut PgConnection,
        row: &Self,
    ) -> Result<Vec<UsedBy>, ApiError> {
        used_by::find(view, connection, Used::Binding, row.pk).await
    }
}

/// What `str()` gives for a binding.
fn name(order: i32, target: Uuid) -> String {
    format!("Flow-stage binding #{order} to {target}")
}

/// Whether another binding has the same flow, stage and order once the draft is written.
async fn taken(connection: &mut PgConnection, draft: &Draft, pk: Option<Uuid>) -> Result<bool, ApiError> {
    let key = |field| draft.keys::<Uuid>(field)?.pop();
    let order = match draft.get("order") {
        Some(Content::Integer(order)) => Some(*order),
        _ => None,
    };
    let (target, stage) = (key("target"), key("stage"));
    if target.is_none() && stage.is_none() && order.is_none() {
        return Ok(false);
    }
    let taken = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM authentik_flows_flowstagebinding b \
         LEFT JOIN authentik_flows_flowstagebinding o ON o.fsb_uuid = $1 \
         WHERE b.target_id = coalesce($2, o.target_id) AND b.stage_id = coalesce($3, o.stage_id) \
         AND b.\"order\" = coalesce($4, o.\"order\") AND b.fsb_uuid IS DISTINCT FROM $1)",
    );
    Ok(taken.bind(pk).bind(target).bind(stage).bind(order).fetch_one(connection).await?)
}

/// Names and permissions.
pub const MODEL: Model =
    Model { app_label: "authentik_flows", name: "FlowStageBinding", model: "flowstagebinding" };

/// Bind a stage to a flow behind what the flow already runs: at the highest order plus 10, or at 0.
///
/// # Errors
/// The database failed.
pub async fn append(
    view: View<'_>,
    connection: &mut PgConnection,
    flow: Uuid,
    stage: Uuid,
) -> Result<(), ApiError> {
    let order: i32 = sqlx::query_scalar(
        "SELECT least(coalesce(max(\"order\")::bigint + 10, 0), 2147483647)::integer \
         FROM authentik_flows_flowstagebinding WHERE target_id = $1",
    )
    .bind(flow)
    .fetch_one(&mut *connection)
    .await?;
    let mut draft = Draft::default();
    draft.set("target", Content::Uuid(flow));
    draft.set("stage", Content::Uuid(stage));
    draft.set("order", Content::Integer(order));
    let pk = sql::insert::<FlowStageBinding>(connection, &view.app.ids, &draft).await?;
    audit::record(view, connection, Change::Created, &MODEL, pk, &name(order, flow)).await?;
    plans::drop_of(view.app, connection, &[flow]).await
}

/// Delete a stage's bindings to flows other than these.
///
/// # Errors
/// The database failed.
pub async fn delete_others(
    view: View<'_>,
    connection: &mut PgConnection,
    stage: Uuid,
    flows: &[Uuid],
) -> Result<(), ApiError> {
    let others = sqlx::query_as(
        "SELECT fsb_uuid, \"order\", target_id FROM authentik_flows_flowstagebinding \
         WHERE stage_id = $1 AND target_id <> ALL($2)",
    );
    let others: Vec<(Uuid, i32, Uuid)> = others.bind(stage).bind(flows).fetch_all(&mut *connection).await?;
    audit_deleted(view, connection, &others).await?;
    let keys = others.iter().map(|(pk, _, _)| *pk).collect();
    cascade::delete(connection, &view.app.database.layout, FlowStageBinding::TABLE.name, keys).await
}

/// What bindings hang on.
#[derive(Debug, Clone, Copy)]
pub enum Side {
    /// The stage with this key.
    Stage(Uuid),
    /// The flow with this key.
    Flow(Uuid),
}

/// Record that the bindings of a stage or a flow are deleted with it.
///
/// # Errors
/// The database failed.
pub async fn audit_cascade(
    view: View<'_>,
    connection: &mut PgConnection,
    side: Side,
) -> Result<(), ApiError> {
    if !view.app.database.layout.is_attached() {
        return Ok(()); // only authentik keeps events
    }
    let (stage, flow) = match side {
        Side::Stage(pk) => (Some(pk), None),
        Side::Flow(pk) => (None, Some(pk)),
    };
    let bindings = sqlx::query_as(
        "SELECT fsb_uuid, \"order\", target_id FROM authentik_flows_flowstagebinding \
         WHERE stage_id = $1 OR target_id = $2",
    );
    let bindings: Vec<(Uuid, i32, Uuid)> =
        bindings.bind(stage).bind(flow).fetch_all(&mut *connection).await?;
    audit_deleted(view, connection, &bindings).await
}

async fn audit_deleted(
    view: View<'_>,
    connection: &mut PgConnection,
    bindings: &[(Uuid, i32, Uuid)],
) -> Result<(), ApiError> {
    for (pk, order, target) in bindings {
        audit::record(view, connection, Change::Deleted, &MODEL, *pk, &name(*order, *target)).await?;
    }
    let flows: Vec<Uuid> = bindings.iter().map(|(_, _, target)| *target).collect();
    plans::drop_of(view.app, connection, &flows).await
}
