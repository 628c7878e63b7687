//! Email stages.

mod preview;
mod test;

use drf::action::{Method, Route, Success};
use drf::field::{DefaultValue, Field, Key};
use drf::intake::Content;
use drf::permission::Permission;
use drf::rules;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use validator::Validate;

use super::stage::{Stage, StageKind};
use super::types::{TYPE_CREATE, TypeCreate};
use crate::app::App;
use crate::contract::stage_types::{self, StageType};
use crate::contract::{messages, rules as authentik_rules};
use crate::db::Sql;
use crate::db::statements::Restriction;
use crate::error::ApiError;
use crate::mail::StageSmtp;
use crate::views::{Action, Answer, Check, Context, Preparation};

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

const USE_GLOBAL_SETTINGS: Field =
    Field::boolean("use_global_settings").default(DefaultValue::Boolean(false)).filter().help(
        "When enabled, global Email connection settings will be used and connection settings below will be \
         ignored.",
    );
const HOST: Field = Field::text("host").default(DefaultValue::Text("localhost")).filter();
const PORT: Field = Field::integer("port").default(DefaultValue::Integer(25)).filter();
const USERNAME: Field = Field::text("username").blank().default(DefaultValue::Text("")).filter();
const PASSWORD: Field = Field::text("password").blank().default(DefaultValue::Text("")).write_only();
const USE_TLS: Field = Field::boolean("use_tls").default(DefaultValue::Boolean(false)).filter();
const USE_SSL: Field = Field::boolean("use_ssl").default(DefaultValue::Boolean(false)).filter();
const TIMEOUT: Field = Field::integer("timeout").default(DefaultValue::Integer(10)).filter();
const FROM_ADDRESS: Field = Field::email("from_address")
    .max_length(254)
    .default(DefaultValue::Text("system@authentik.local"))
    .filter();
const TEMPLATE: Field =
    Field::text("template").default(DefaultValue::Text("email/password_reset.html")).filter();

/// The values with rules of their own.
#[derive(Debug, Deserialize, Validate)]
pub struct EmailStageInput {
    #[validate(custom(function = rules::email))]
    from_address: Option<String>,
    #[validate(custom(function = authentik_rules::timedelta))]
    token_expiry: Option<String>,
    template: Option<String>,
    #[validate(custom(function = authentik_rules::timedelta))]
    recovery_cache_timeout: Option<String>,
}

impl StageKind for EmailStage {
    const TYPE: StageType = stage_types::EMAIL;
    const PATH: &'static str = "/stages/email/";
    const OPERATION: &'static str = "stages_email";
    const TABLE: &'static str = "authentik_stages_email_emailstage";
    const FIELDS: &'static [Field] = &[
        USE_GLOBAL_SETTINGS,
        HOST,
        PORT,
        USERNAME,
        PASSWORD,
        USE_TLS,
        USE_SSL,
        TIMEOUT,
        FROM_ADDRESS,
        Field::text("token_expiry")
            .default(DefaultValue::Text("minutes=30"))
            .filter()
            .help("Time the token sent is valid (Format: hours=3,minutes=17,seconds=300)."),
        Field::text("subject").default(DefaultValue::Text("authentik")).filter(),
        TEMPLATE,
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
    const EXTRA_ACTIONS: &'static [Action<Stage<Self>>] =
        &[TEMPLATES, preview::PREVIEW, test::TEST, test::TEST_UNSAVED];
    type Input = EmailStageInput;

    async fn before(app: &App, action: &drf::Action) {
        if action.route == preview::PREVIEW.declared.route {
            return app.templates.read().await;
        }
        let may_name_one = matches!(action.method, Method::Post | Method::Put | Method::Patch);
        if may_name_one || action.route == TEMPLATES.declared.route {
            app.templates.refresh().await;
        }
    }

    /// The stored password goes to the server and with the name that it was given for, and to no other.
    fn prepare(preparation: &mut Preparation<'_, Stage<Self>>) {
        let Some(stored) = preparation.row.map(Stage::own) else { return };
        let draft = &mut *preparation.draft;
        let elsewhere = draft.text(&HOST).is_some_and(|host| host != stored.host)
            || draft.text(&USERNAME).is_some_and(|username| username != stored.username)
            || matches!(draft.get(&PORT), Some(Content::Integer(port)) if *port != stored.port);
        if elsewhere && draft.get(&PASSWORD).is_none() && preparation.context.app.settings.strict {
            draft.set(&PASSWORD, Content::Text(String::new()));
        }
    }

    async fn check(check: &mut Check<'_, Stage<Self>>, input: &Self::Input) -> Result<(), ApiError> {
        let app = check.context.app;
        if let Some(template) = &input.template
            && !app.templates.have(app.database.layout.release(), template)
        {
            check.errors.add(&TEMPLATE, messages::invalid_template(template));
        }
        Ok(())
    }
}

/// What the stage with this key says of its SMTP server, if the caller may view it.
///
/// # Errors
/// The database failed.
pub async fn smtp(
    context: Context<'_>,
    connection: &mut PgConnection,
    key: Uuid,
) -> Result<Option<StageSmtp>, ApiError> {
    let mut query = Sql::new("SELECT EXISTS (SELECT 1 FROM ");
    query.push(EmailStage::TABLE).push(" x WHERE x.stage_ptr_id = ").bind(key).push(" AND ");
    context.caller.scope(&EmailStage::TYPE.model).push(&mut query, "x.stage_ptr_id", Key::Uuid);
    query.push(")");
    let is_seen: bool = query.build_query_scalar().fetch_one(&mut *connection).await?;
    Ok(if is_seen { StageSmtp::find(connection, key).await? } else { None })
}

/// `GET /stages/email/templates/`: the built-in templates, then the files of the template directory.
const TEMPLATES: Action<Stage<EmailStage>> = Action::on_list(
    drf::Action::extra(
        "templates_list",
        Method::Get,
        Route { detail: false, url_path: "templates" },
        Permission::Authenticated,
        "Templates",
        "Get all available templates, including custom templates",
    )
    .answers(Success::Many(&TYPE_CREATE)),
    |request| Box::pin(async move { templates(request.context) }),
);

fn templates(Context { app, .. }: Context<'_>) -> Result<Answer, ApiError> {
    let templates = app.templates.list(app.database.layout.release());
    Answer::ok(&templates.into_iter().map(TypeCreate::template).collect::<Vec<_>>())
}
