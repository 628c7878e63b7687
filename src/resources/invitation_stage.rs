//! Invitation stages.

use serde::Serialize;
use sqlx::FromRow;

use super::stage::{self, NoInput, StageKind};
use crate::contract::stage_types::{self, StageType};
use drf::field::{DefaultValue, Field};
use drf::params::{Filter, FilterKind};

/// An invitation stage: lets a flow go on for those who bring an invitation.
#[derive(Debug, Serialize, FromRow)]
pub struct InvitationStage {
    continue_flow_without_invitation: bool,
}

/// In no flow, and in one. authentik lists a stage once a binding for the latter; here it is listed once.
const NOT_BOUND: &str =
    "NOT EXISTS (SELECT 1 FROM authentik_flows_flowstagebinding b WHERE b.stage_id = t.stage_ptr_id)";
const BOUND: &str =
    "EXISTS (SELECT 1 FROM authentik_flows_flowstagebinding b WHERE b.stage_id = t.stage_ptr_id)";

impl StageKind for InvitationStage {
    const TYPE: StageType = stage_types::INVITATION;
    const PATH: &'static str = "/stages/invitation/stages/";
    const OPERATION: &'static str = "stages_invitation_stages";
    const TABLE: &'static str = "authentik_stages_invitation_invitationstage";
    const FIELDS: &'static [Field] = &[
        Field::boolean("continue_flow_without_invitation").default(DefaultValue::Boolean(false)).filter().help(
            "If this flag is set, this Stage will jump to the next Stage when no Invitation is given. By default this \
             Stage will cancel the Flow when no invitation is given.",
        ),
    ];
    const KEY: &'static str = "A UUID string identifying this Invitation Stage.";
    const FILTERS: &'static [Filter] = &[
        stage::STAGE_UUID,
        Filter { name: "no_flows", expression: "", kind: FilterKind::Switch { on: NOT_BOUND, off: BOUND } },
    ];
    type Input = NoInput;
}
