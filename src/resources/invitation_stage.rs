//! Invitation stages.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use validator::Validate;

use super::stage::{self, FlowSetItem, Kind};
use super::stage_types::{self, StageType};
use crate::drf::field::{DefaultValue, Field};
use crate::drf::params::{Filter, FilterKind};

/// An invitation stage: lets a flow go on for those who bring an invitation.
#[derive(Debug, Serialize, FromRow)]
pub struct InvitationStage {
    continue_flow_without_invitation: bool,
}

/// The values with rules of their own.
#[derive(Debug, Deserialize, Validate)]
pub struct InvitationStageInput {
    #[validate(nested)]
    flow_set: Option<Vec<FlowSetItem>>,
}

/// In no flow, and in one. authentik lists a stage once a binding for the latter; here it is listed once.
const NOT_BOUND: &str =
    "NOT EXISTS (SELECT 1 FROM authentik_flows_flowstagebinding b WHERE b.stage_id = t.stage_ptr_id)";
const BOUND: &str =
    "EXISTS (SELECT 1 FROM authentik_flows_flowstagebinding b WHERE b.stage_id = t.stage_ptr_id)";

impl Kind for InvitationStage {
    const TYPE: StageType = stage_types::INVITATION;
    const PATH: &'static str = "/stages/invitation/stages/";
    const OPERATION: &'static str = "stages_invitation_stages";
    const TABLE: &'static str = "authentik_stages_invitation_invitationstage";
    const FIELDS: &'static [Field] = &[
        stage::PK,
        stage::NAME,
        stage::COMPONENT,
        stage::VERBOSE_NAME,
        stage::VERBOSE_NAME_PLURAL,
        stage::META_MODEL_NAME,
        stage::FLOW_SET,
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
    type Input = InvitationStageInput;

    fn flow_set(input: &Self::Input) -> Option<&[FlowSetItem]> {
        input.flow_set.as_deref()
    }
}
