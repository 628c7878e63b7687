//! Email stages.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use validator::Validate;

use super::stage::{self, FlowSetItem, Kind, Stage};
use super::stage_types::{self, StageType};
use super::types::TypeCreate;
use crate::app::App;
use crate::drf::field::{DefaultValue, Field};
use crate::drf::resource::Check;
use crate::drf::viewset::{Extra, extra};
use crate::drf::{messages, rules};
use crate::email_templates;
use crate::error::{ApiError, json_response};

/// An email stage: sends a mail with a link.
#[derive(Debug, Serialize, FromRow)]
pub struct EmailStage {
    use_global_settings: bool,
    host: String,
    port: i32,
    username: String,
    use_tls: bool,
    use_ssl: bool,
    timeout: i32,
    from_address: String,
    token_expiry: String,
    subject: String,
    template: String,
    activate_user_on_success: bool,
    recovery_max_attempts: i32,
    recovery_cache_timeout: String,
}

/// The values with rules of their own.
#[derive(Debug, Deserialize, Validate)]
pub struct EmailStageInput {
    #[validate(nested)]
    flow_set: Option<Vec<FlowSetItem>>,
    #[validate(custom(function = rules::email))]
    from_address: Option<String>,
    #[validate(custom(function = rules::timedelta))]
    token_expiry: Option<String>,
    template: Option<String>,
    #[validate(custom(function = rules::timedelta))]
    recovery_cache_timeout: Option<String>,
}

impl Kind for EmailStage {
    const TYPE: StageType = stage_types::EMAIL;
    const PATH: &'static str = "/stages/email/";
    const OPERATION: &'static str = "stages_email";
    const TABLE: &'static str = "authentik_stages_email_emailstage";
    const FIELDS: &'static [Field] = &[
        stage::PK,
        stage::NAME,
        stage::COMPONENT,
        stage::VERBOSE_NAME,
        stage::VERBOSE_NAME_PLURAL,
        stage::META_MODEL_NAME,
        stage::FLOW_SET,
        Field::boolean("use_global_settings").default(DefaultValue::Boolean(false)).filter().help(
            "When enabled, global Email connection settings will be used and connection settings below will be \
             ignored.",
        ),
        Field::text("host").default(DefaultValue::Text("localhost")).filter(),
        Field::integer("port").default(DefaultValue::Integer(25)).filter(),
        Field::text("username").blank().default(DefaultValue::Text("")).filter(),
        Field::text("password").blank().default(DefaultValue::Text("")).write_only(),
        Field::boolean("use_tls").default(DefaultValue::Boolean(false)).filter(),
        Field::boolean("use_ssl").default(DefaultValue::Boolean(false)).filter(),
        Field::integer("timeout").default(DefaultValue::Integer(10)).filter(),
        Field::email("from_address").max_length(254).default(DefaultValue::Text("system@authentik.local")).filter(),
        Field::text("token_expiry")
            .default(DefaultValue::Text("minutes=30"))
            .filter()
            .help("Time the token sent is valid (Format: hours=3,minutes=17,seconds=300)."),
        Field::text("subject").default(DefaultValue::Text("authentik")).filter(),
        Field::text("template").default(DefaultValue::Text("email/password_reset.html")).filter(),
        Field::boolean("activate_user_on_success")
            .default(DefaultValue::Boolean(false))
            .filter()
            .help("Activate users upon completion of stage."),
        Field::positive_integer("recovery_max_attempts").default(DefaultValue::Integer(5)),
        Field::text("recovery_cache_timeout").default(DefaultValue::Text("minutes=5")).help(
            "The time window used to count recent account recovery attempts. If the number of attempts exceed \
             recovery_max_attempts within this period, further attempts will be rate-limited. (Format: \
             hours=1;minutes=2;seconds=3).",
        ),
    ];
    const KEY: &'static str = "A UUID string identifying this Email Stage.";
    type Input = EmailStageInput;

    fn flow_set(input: &Self::Input) -> Option<&[FlowSetItem]> {
        input.flow_set.as_deref()
    }

    async fn check(check: &mut Check<'_, Stage<Self>>, input: &Self::Input) -> Result<(), ApiError> {
        let app = check.view.app;
        if let Some(template) = &input.template
            && !email_templates::exists(&app.settings.template_dir, app.database.layout.release(), template)
                .await
        {
            check.errors.add("template", messages::invalid_template(template));
        }
        Ok(())
    }
}

/// See [`templates`].
pub const TEMPLATES: Extra =
    Extra::get("Templates", "Get all available templates, including custom templates");

/// `GET /stages/email/templates/`: the built-in templates, then the files of the template directory.
pub async fn templates(State(app): State<App>, request: Request<Body>) -> Response {
    extra(app, request, &TEMPLATES, async |call, _, _| {
        let templates =
            email_templates::list(&call.app.settings.template_dir, call.app.database.layout.release()).await;
        let rows: Vec<_> = templates.into_iter().map(TypeCreate::template).collect();
        Ok(json_response(StatusCode::OK, &rows))
    })
    .await
}
