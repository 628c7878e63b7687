//! Tokens. Their keys are in no answer but that of `view_key/`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
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
use crate::drf::intake::{Content, ForeignKey, KeyValue, Mode};
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
        ("api", "Intent Api"),
        ("recovery", "Intent Recovery"),
        ("app_password", "Intent App Password"),
    ],
};

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
    #[validate(custom(function = rules::slug))]
    identifier: Option<String>,
    intent: Option<String>,
    #[serde(default, with = "double_option")]
    user: Option<Option<i32>>,
    expiring: Option<bool>,
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
        Field::slug("identifier")
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

    async fn check(check: &mut Check<'_>, input: &Self::Input) -> Result<(), ApiError> {
        let creating = check.mode == Mode::Create;
        let own = Content::Keys(vec![ForeignKey {
            key: KeyValue::Integer(check.view.caller.id),
            spelling: check.view.caller.id.to_string(),
        }]);
        // Only superusers make tokens for others, or give them away.
        if !check.view.caller.superuser && (creating || input.user.is_some())
            || creating && input.user.is_none()
        {
            check.draft.set("user", own);
        }
        if creating {
            check.draft.set("key", Content::Text(bootstrap::generate_key()));
            if input.intent.is_none() {
                check.draft.set("intent", Content::Text("api".into()));
            }
        }
        let intent = input.intent.as_deref().unwrap_or(if creating { "api" } else { "" });
        if !matches!(intent, "" | "api" | "app_password") {
            check.errors.add("intent", messages::invalid_intent(intent));
        }
        // The life of an API token isn't the client's to choose; that of others only has to have an end.
        let expiring = input.expiring.unwrap_or(true);
        let without_expiry = creating && input.expires.flatten().is_none();
        if expiring && (intent == "api" || without_expiry) {
            let expires = check.view.app.clock.after(check.view.default_token_duration());
            check.draft.set("expires", Content::DateTime(expires));
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
