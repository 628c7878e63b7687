//! Tokens. Their keys are in no answer but that of `view_key/`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use serde_with::rust::double_option;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use validator::Validate;

use super::user::{self, User};
use crate::app::App;
use crate::audit::{self, Change};
use crate::auth::Caller;
use crate::auth::rbac::{Model, Scope};
use crate::db::bootstrap;
use crate::drf::field::{Choices, DefaultValue, Field};
use crate::drf::intake::{Content, Mode};
use crate::drf::json::Dictionary;
use crate::drf::openapi::{Document, lookup_parameter, reference};
use crate::drf::params::{Filter, FilterKind, Order, asc};
use crate::drf::resource::{Check, Lookup, LookupKind, Resource, Table, View};
use crate::drf::viewset::{self, Extra, extra};
use crate::drf::{messages, rules, time};
use crate::error::{ApiError, json_response};

/// What a token is for.
pub const INTENT: Choices = Choices {
    name: "IntentEnum",
    since: &[],
    values: &[
        ("verification", "Intent Verification"),
        (API, "Intent Api"),
        ("recovery", "Intent Recovery"),
        (APP_PASSWORD, "Intent App Password"),
    ],
};
const API: &str = "api";
const APP_PASSWORD: &str = "app_password";

/// Names and permissions.
pub const MODEL: Model = Model { app_label: "authentik_core", name: "Token", model: "token" };
/// Permissions on tokens beside the usual four.
pub const PERMISSIONS: [&str; 1] = ["view_token_key"];

/// A token, without its key.
#[derive(Debug, Serialize, FromRow)]
pub struct Token {
    pk: Uuid,
    managed: Option<String>,
    identifier: String,
    intent: String,
    user: i32,
    #[sqlx(skip)]
    user_obj: Option<User>,
    description: String,
    #[serde(serialize_with = "time::serialize_option")]
    expires: Option<DateTime<Utc>>,
    expiring: bool,
}

/// The values with rules of their own.
#[derive(Debug, Deserialize, Validate)]
pub struct TokenInput {
    #[validate(custom(function = rules::slug_field))]
    identifier: Option<String>,
    intent: Option<String>,
    #[serde(default, with = "double_option")]
    user: Option<Option<i32>>,
    #[serde(default, with = "double_option")]
    expires: Option<Option<DateTime<Utc>>>,
}

impl Resource for Token {
    const MODEL: Model = MODEL;
    const PATH: &'static str = "/core/tokens/";
    const OPERATION: &'static str = "core_tokens";
    const VIEW_NAME: &'static str = "Token";
    const TABLE: Table = Table {
        name: "authentik_core_token",
        pk: "token_uuid",
        parent: None,
        joins: " JOIN authentik_core_user u ON u.id = t.user_id",
    };
    const FIELDS: &'static [Field] = &[
        Field::uuid("pk").column("token_uuid").read_only().label("Token uuid"),
        Field::text("managed")
            .nullable()
            .default(DefaultValue::Null)
            .filter()
            .unique("Token with this Managed by authentik already exists.")
            .label("Managed by authentik"),
        Field::slug_field("identifier")
            .required()
            .max_length(255)
            .filter()
            .unique("Token with this identifier already exists."),
        Field::choice("intent", &INTENT).default(DefaultValue::Text("verification")).filter(),
        Field::foreign_key("user", "user_id", &user::TARGET),
        Field::nested("user_obj", "User", User::FIELDS),
        Field::text("description").blank().default(DefaultValue::Text("")).filter(),
        Field::datetime("expires").nullable().default(DefaultValue::Null).filter(),
        Field::boolean("expiring").default(DefaultValue::Boolean(true)).filter(),
        Field::text("key").internal(),
    ];
    const LOOKUP: Lookup = Lookup {
        parameter: "identifier",
        expression: "t.identifier",
        kind: LookupKind::Text,
        description: "",
    };
    const FILTERS: &'static [Filter] =
        &[Filter { name: "user__username", expression: "u.username", kind: FilterKind::Text }];
    const SEARCH: &'static [&'static str] = &["t.identifier", "t.intent", "u.username", "t.description"];
    const DEFAULT_ORDER: &'static [Order] = &[asc("identifier"), asc("expires")];
    type Input = TokenInput;
    type Key = Uuid;

    fn pk(&self) -> Uuid {
        self.pk
    }

    fn scope(caller: &Caller) -> Scope {
        caller.scope_with_own(&MODEL, "t.user_id")
    }

    /// Everybody may make tokens: of their own.
    fn may_create(_caller: &Caller) -> Result<(), ApiError> {
        Ok(())
    }

    fn owned_by(&self, caller: &Caller) -> bool {
        self.user == caller.id
    }

    async fn check(check: &mut Check<'_, Self>, input: &Self::Input) -> Result<(), ApiError> {
        let caller = check.view.caller;
        let asked = input.user.flatten();
        let user = match check.row {
            Some(token) => token.user,
            // Superusers make tokens for others; nobody gives one away.
            None => asked.filter(|_| caller.superuser).unwrap_or(caller.id),
        };
        let intent = input.intent.as_deref().or(check.row.map(|token| token.intent.as_str())).unwrap_or(API);
        if check.mode == Mode::Create {
            check.draft.set("user", Content::Integer(user));
            check.draft.set("intent", Content::Text(intent.to_owned()));
            check.draft.set("key", Content::Text(bootstrap::generate_key()));
            if !caller.superuser {
                let expiring = tokens_expire(check, caller.id).await?;
                check.draft.set("expiring", Content::Boolean(expiring));
            }
        } else if asked.is_some_and(|asked| asked != user) {
            check.errors.add("user", messages::TOKEN_USER);
        }
        if !check.errors.is_empty() {
            return Ok(());
        }
        if input.intent.is_some() && !matches!(intent, API | APP_PASSWORD) {
            check.errors.add("intent", messages::invalid_intent(intent));
            return Ok(());
        }
        let expires = match input.expires {
            // The life of an API token isn't the client's to choose.
            _ if intent == API => None,
            Some(expires) => expires,
            None => check.row.and_then(|token| token.expires),
        };
        if let (APP_PASSWORD, Some(Some(expires))) = (intent, input.expires) {
            let latest = latest_expiry(check, user).await?;
            if expires > latest {
                check.errors.add("expires", messages::token_lifetime(&latest));
            }
        }
        // authentik gives every saved row that would have no expiry the default duration.
        let expiring = match check.draft.get("expiring") {
            Some(Content::Boolean(expiring)) => *expiring,
            _ => check.row.is_none_or(|token| token.expiring),
        };
        if expires.is_none() && (expiring || intent == API) {
            check.draft.set("expires", Content::DateTime(check.view.default_expiry()));
        }
        Ok(())
    }

    async fn attach(
        view: View<'_>,
        connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        let users = user::load(view, connection, rows.iter().map(|row| row.user).collect()).await?;
        for row in rows {
            row.user_obj = users.get(&row.user).cloned();
        }
        Ok(())
    }

    fn name(&self) -> String {
        if !self.expiring {
            return self.identifier.clone();
        }
        let expires = self.expires.as_ref().map_or_else(|| "None".to_owned(), time::python_str);
        format!("{} (expires={expires})", self.identifier)
    }
}

/// Whether the tokens that a user makes expire: unless an attribute says that they don't.
async fn tokens_expire(check: &mut Check<'_, Token>, user: i32) -> Result<bool, ApiError> {
    let attributes = own_attributes(check, user).await?;
    Ok(attributes.0.get("goauthentik.io/user/token-expires") != Some(&Value::Bool(false)))
}

/// # Errors
/// 409 for a user who was deleted meanwhile.
async fn own_attributes(check: &mut Check<'_, Token>, user: i32) -> Result<Dictionary, ApiError> {
    let select = sqlx::query_scalar("SELECT attributes FROM authentik_core_user WHERE id = $1");
    select.bind(user).fetch_optional(&mut *check.connection).await?.ok_or(ApiError::Conflict)
}

/// When an app password of `user` has to end: after the duration in the attributes of the user and the groups, or the
/// default one.
async fn latest_expiry(check: &mut Check<'_, Token>, user: i32) -> Result<DateTime<Utc>, ApiError> {
    let groups = user::all_groups(&check.view.app.database.layout, check.connection, user).await?;
    let own = own_attributes(check, user).await?;
    let attributes = user::group_attributes(&groups, &own);
    let duration = attributes.get("goauthentik.io/user/token-maximum-lifetime").and_then(Value::as_str);
    let latest =
        duration.and_then(rules::parse_timedelta).map(|duration| check.view.app.clock.after(duration));
    Ok(latest.unwrap_or_else(|| check.view.default_expiry()))
}

const VIEW_KEY: Extra = Extra::get("View key", "Return token key and log access").on_object();

/// `GET /core/tokens/{identifier}/view_key/`: the secret itself.
pub async fn view_key(State(app): State<App>, request: Request<Body>) -> Response {
    extra(app, request, &VIEW_KEY, async |call, connection, caller| {
        let token = viewset::find::<Token>(call, connection, caller, false).await?;
        if !token.owned_by(caller) {
            caller.require_on(connection, &MODEL, PERMISSIONS[0], &token.pk.to_string()).await?;
        }
        let key: String = sqlx::query_scalar("SELECT key FROM authentik_core_token WHERE token_uuid = $1")
            .bind(token.pk)
            .fetch_one(&mut *connection)
            .await?;
        let view = call.view(caller);
        audit::record(view, connection, Change::SecretViewed, &MODEL, token.pk, &token.name()).await?;
        Ok(json_response(StatusCode::OK, &json!({ "key": key })))
    })
    .await
}

/// Its operation in the OpenAPI document.
pub fn document(document: &mut Document) {
    const VIEW: &[Field] = &[Field::text("key").read_only()];
    document.component("TokenView", "Show token's current key", VIEW);
    document.get(
        "/core/tokens/{identifier}/view_key/",
        "core_tokens_view_key_retrieve",
        VIEW_KEY.description,
        json!([lookup_parameter::<Token>()]),
        reference("TokenView"),
    );
}
