//! Bindings: which stages a flow runs, and in what order.

use drf::declaration::{Declaration, Lookup, LookupKind, Table};
use drf::field::{Choices, DefaultValue, Field, Fields, Schema};
use drf::intake::{Content, Draft};
use drf::messages;
use drf::params::{Filter, FilterKind, Rows, asc};
use drf::permission::Model;
use drf::search::Searched;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use validator::Validate;

use super::flow::{self, POLICY_BINDING_MODEL, POLICY_ENGINE_MODE};
use super::stage::{self, StageHead};
use super::used_by;
use crate::authentik::flows::{self, Binding};
use crate::authentik::{Change, FlowPart, cascade};
use crate::contract::messages::NEVER_EVALUATED;
use crate::db::Need;
use crate::db::insert::{NewRows, Values};
use crate::error::ApiError;
use crate::views::used_by::Relation;
use crate::views::{Check, Context, Resource};

/// Names and permissions.
pub const MODEL: Model = flows::BINDING;

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

const TARGET: Field =
    Field::foreign_key("target", "target_id", &flow::TARGET).required().filter().unsortable();
const STAGE: Field = Field::foreign_key("stage", "stage_id", &stage::TARGET).required().filter().unsortable();
const ORDER: Field = Field::integer("order").column("\"order\"").required().filter();
const STAGE_NAME: &str = "(SELECT s.name FROM authentik_flows_stage s WHERE s.stage_uuid = t.stage_id)";

impl Resource for FlowStageBinding {
    const DECLARATION: &'static Declaration = &Declaration {
        path: "/flows/bindings/",
        operation: "flows_bindings",
        view_name: "Flow Stage Binding",
        fields: Fields::new(&[
            Field::uuid("pk").column("fsb_uuid").read_only().label("Fsb uuid"),
            Field::computed("policybindingmodel_ptr_id", Schema::Uuid).on("policybindingmodel_ptr_id").unsortable(),
            TARGET,
            STAGE,
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
            ORDER,
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
        ]),
        lookup: Lookup {
            parameter: "fsb_uuid",
            expression: "t.fsb_uuid",
            kind: LookupKind::Uuid,
            description: "A UUID string identifying this Flow Stage Binding.",
        },
        filters: &[
            Filter { name: "fsb_uuid", expression: "t.fsb_uuid", kind: FilterKind::Uuid },
            Filter { name: "pbm_uuid", expression: "p.pbm_uuid", kind: FilterKind::Uuid },
            Filter {
                name: "policies",
                expression: "t.policybindingmodel_ptr_id IN \
                    (SELECT b.target_id FROM authentik_policies_policybinding b WHERE b.policy_id = ANY({}))",
                kind: FilterKind::Uuids(BOUND_POLICIES),
            },
        ],
        search: &[Searched::of("t.stage_id", &stage::TARGET, "name")],
        default_order: &[asc("order"), asc("pk")],
        order_expressions: &[("stage__name", STAGE_NAME)],
        ..Declaration::of(
            MODEL,
            Table {
                name: "authentik_flows_flowstagebinding",
                pk: "fsb_uuid",
                parent: Some(POLICY_BINDING_MODEL),
                joins: "",
            },
        )
    };
    const USED_BY: &'static [Relation] = used_by::BINDING;
    const NEEDS: &'static [Need] =
        &[Need::read("authentik_policies_policybinding", "policy_id uuid, target_id uuid")];
    // authentik shows the stage of a binding that was written with its base type.
    const ANSWERS_WRITES_AS_READS: bool = false;
    type Input = FlowStageBindingInput;
    type Key = Uuid;

    fn pk(&self) -> Uuid {
        self.pk
    }

    fn name(&self) -> String {
        Binding { pk: self.pk, order: self.order, target: self.target }.name()
    }

    fn part(&self) -> FlowPart {
        FlowPart::BindingTo(self.target)
    }

    async fn check(check: &mut Check<'_, Self>, input: &Self::Input) -> Result<(), ApiError> {
        if !check.errors.is_empty() {
            return Ok(()); // rules on several fields are for fields that are fine
        }
        if taken(check.connection, check.draft, check.row.map(Self::pk)).await? {
            check.errors.add_non_field(messages::unique_together("target, stage, order"));
        } else if !input.evaluate_on_plan.unwrap_or(false) && !input.re_evaluate_policies.unwrap_or(true) {
            // Only the request is looked at, as authentik does: what is stored doesn't count.
            check.errors.add_non_field(NEVER_EVALUATED);
        }
        Ok(())
    }

    async fn attach(
        context: Context<'_>,
        connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        let heads =
            stage::heads(context, connection, rows.iter().map(|row| row.stage).collect(), true).await?;
        for row in rows {
            row.stage_obj = heads.get(&row.stage).cloned();
        }
        Ok(())
    }

    /// A write that names the stage is answered with the base stage, not the concrete one: authentik serialises the
    /// object that its validation looked up.
    async fn attach_written(
        context: Context<'_>,
        connection: &mut PgConnection,
        draft: &Draft,
        row: &mut Self,
    ) -> Result<(), ApiError> {
        if draft.get(&STAGE).is_none() {
            return Self::attach(context, connection, std::slice::from_mut(row)).await;
        }
        row.stage_obj = stage::heads(context, connection, vec![row.stage], false).await?.remove(&row.stage);
        Ok(())
    }
}

/// Whether another binding has the same flow, stage and order once the draft is written.
async fn taken(connection: &mut PgConnection, draft: &Draft, pk: Option<Uuid>) -> Result<bool, ApiError> {
    let key = |field| draft.keys::<Uuid>(field)?.pop();
    let order = match draft.get(&ORDER) {
        Some(Content::Integer(order)) => Some(*order),
        _ => None,
    };
    let (target, stage) = (key(&TARGET), key(&STAGE));
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

/// Behind what the flow already runs, and the bindings before this one of those that are made together: at the highest
/// order plus 10, or at 0.
const BEHIND: &str = "least(coalesce((SELECT max(b.\"order\")::bigint + 10 FROM authentik_flows_flowstagebinding b \
      WHERE b.target_id = given.target_id), 0) \
    + 10 * (row_number() OVER (PARTITION BY given.target_id ORDER BY given.position) - 1), 2147483647)::integer";

/// Bindings of a stage to flows, in each behind what the flow already runs.
///
/// Two at once must not find the same highest order: whoever inserts these has locked the flows by an earlier statement,
/// so that this one sees what was bound while that one waited.
pub fn behind(context: Context<'_>, stage: Uuid, flows: Vec<Uuid>) -> NewRows {
    NewRows::new(FlowStageBinding::DECLARATION, &context.app.ids, flows.len())
        .with(&TARGET, Values::Uuids(flows))
        .with(&STAGE, Values::Same(Content::Uuid(stage)))
        .with(&ORDER, Values::Sql(BEHIND))
}

/// Bind a stage to flows, as [`behind`] says.
///
/// # Errors
/// The database failed.
pub async fn append(
    context: Context<'_>,
    connection: &mut PgConnection,
    stage: Uuid,
    flows: Vec<Uuid>,
) -> Result<(), ApiError> {
    if flows.is_empty() {
        return Ok(());
    }
    let bindings: Vec<Binding> = behind(context, stage, flows).insert_returning(&mut *connection).await?;
    context.trace.wrote_bindings(connection, Change::Created, &bindings).await
}

/// Delete a stage's bindings to flows other than these.
///
/// # Errors
/// The database failed.
pub async fn delete_others(
    context: Context<'_>,
    connection: &mut PgConnection,
    stage: Uuid,
    flows: &[Uuid],
) -> Result<(), ApiError> {
    let others = sqlx::query_as(
        "SELECT fsb_uuid, \"order\", target_id FROM authentik_flows_flowstagebinding \
         WHERE stage_id = $1 AND target_id <> ALL($2)",
    );
    let others: Vec<Binding> = others.bind(stage).bind(flows).fetch_all(&mut *connection).await?;
    context.trace.wrote_bindings(connection, Change::Deleted, &others).await?;
    let keys = others.iter().map(|binding| binding.pk).collect();
    let (layout, table) = (&context.app.database.layout, FlowStageBinding::DECLARATION.table.name);
    cascade::delete(connection, layout, table, keys).await
}
