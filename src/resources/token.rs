//! Tokens. Their keys are in no answer but that of `view_key/`.

use chrono::{DateTime, Utc};
use drf::action::{Component, Method, Route, Success};
use drf::declaration::{Declaration, Lookup, LookupKind, Table};
use drf::field::{Choices, DefaultValue, Field, Fields};
use drf::intake::{Content, Mode};
use drf::params::{Filter, FilterKind, asc};
use drf::permission::{Model, Permission};
use drf::search::Searched;
use drf::{json as text, rules, time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use serde_with::rust::double_option;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;
use validator::Validate;

use super::user::{self, User};
use crate::auth::{Caller, Scope};
use crate::authentik::Change;
use crate::contract::duration::parse_timedelta;
use crate::contract::messages;
use crate::db::{Dictionary, bootstrap};
use crate::error::ApiError;
use crate::views::{Action, Answer, Check, Context, Preparation, Request, Resource};

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

const MANAGED: Field = Field::text("managed")
    .nullable()
    .default(DefaultValue::Null)
    .filter()
    .unique("Token with this Managed by authentik already exists.")
    .label("Managed by authentik");
const INTENT_FIELD: Field =
    Field::choice("intent", &INTENT).default(DefaultValue::Text("verification")).filter();
const USER: Field = Field::foreign_key("user", "user_id", &user::TARGET);
const EXPIRES: Field = Field::datetime("expires").nullable().default(DefaultValue::Null).filter();
const EXPIRING: Field = Field::boolean("expiring").default(DefaultValue::Boolean(true)).filter();
const KEY: Field = Field::text("key").internal();

impl Resource for Token {
    const DECLARATION: &'static Declaration = &Declaration {
        path: "/core/tokens/",
        operation: "core_tokens",
        fields: Fields::new(&[
            Field::uuid("pk").column("token_uuid").read_only().label("Token uuid"),
            MANAGED,
            Field::slug_field("identifier")
                .required()
                .max_length(255)
                .filter()
                .unique("Token with this identifier already exists."),
            INTENT_FIELD,
            USER,
            Field::nested("user_obj", "User", user::FIELDS),
            Field::text("description").blank().default(DefaultValue::Text("")).filter(),
            EXPIRES,
            EXPIRING,
            KEY,
        ]),
        lookup: Lookup {
            parameter: "identifier",
            expression: "t.identifier",
            kind: LookupKind::Text,
            description: "",
        },
        filters: &[Filter { name: "user__username", expression: "u.username", kind: FilterKind::Text }],
        search: &[
            Searched::text("t.identifier"),
            Searched::text("t.intent"),
            Searched::of("t.user_id", &user::TARGET, "username"),
            Searched::text("t.description"),
        ],
        default_order: &[asc("identifier"), asc("expires")],
        ..Declaration::of(
            MODEL,
            Table {
                name: "authentik_core_token",
                pk: "token_uuid",
                parent: None,
                joins: " LEFT JOIN authentik_core_user u ON u.id = t.user_id",
            },
        )
    };
    /// Everybody may make tokens: of their own.
    const ACTIONS: &'static [Action<Self>] = &[
        Action::LIST,
        Action::CREATE.for_whom(Permission::Authenticated),
        Action::RETRIEVE,
        Action::UPDATE,
        Action::PARTIAL_UPDATE,
        Action::DESTROY,
        Action::USED_BY,
    ];
    const EXTRA_ACTIONS: &'static [Action<Self>] = &[VIEW_KEY];
    type Input = TokenInput;
    type Key = Uuid;

    fn pk(&self) -> Uuid {
        self.pk
    }

    fn name(&self) -> String {
        if !self.expiring {
            return self.identifier.clone();
        }
        let expires = self.expires.as_ref().map_or_else(|| "None".to_owned(), time::python_str);
        format!("{} (expires={expires})", self.identifier)
    }

    fn scope(caller: &Caller) -> Scope {
        caller.scope_with_own(&MODEL, "t.user_id")
    }

    fn owned_by(&self, caller: &Caller) -> bool {
        self.user == caller.id
    }

    async fn prepare(preparation: &mut Preparation<'_, Self>, input: &Self::Input) -> Result<(), ApiError> {
        let (context, row) = (preparation.context, preparation.row);
        let (caller, intent) = (context.caller, intent(row, input).to_owned());
        if preparation.mode == Mode::Create {
            preparation.draft.set(&USER, Content::Integer(user(row, input, caller)));
            preparation.draft.set(&INTENT_FIELD, Content::Text(intent.clone()));
            preparation.draft.set(&KEY, Content::Text(bootstrap::generate_key()));
            if !caller.superuser {
                let own = own_attributes(preparation.connection, caller.id).await?;
                preparation.draft.set(&EXPIRING, Content::Boolean(tokens_expire(own.text())));
            }
        }
        let expires = match input.expires {
            // What an API token has stays, such as what the command line gave.
            asked if intent == API && row.is_some_and(|token| keeps_expiry(token, asked)) => return Ok(()),
            // Its life isn't the client's to choose.
            _ if intent == API => None,
            Some(expires) => expires,
            None => row.and_then(|token| token.expires),
        };
        // authentik gives every saved row that would have no expiry the default duration.
        let expiring = match preparation.draft.get(&EXPIRING) {
            Some(Content::Boolean(expiring)) => *expiring,
            _ => row.is_none_or(|token| token.expiring),
        };
        if expires.is_none() && (expiring || intent == API) {
            preparation.draft.set(&EXPIRES, Content::DateTime(context.default_expiry()));
        }
        Ok(())
    }

    async fn check(check: &mut Check<'_, Self>, input: &Self::Input) -> Result<(), ApiError> {
        let (intent, user) = (intent(check.row, input), user(check.row, input, check.context.caller));
        let asks_for_another = input.user.flatten().is_some_and(|asked| asked != user);
        if check.mode != Mode::Create && asks_for_another && !check.errors.has(&USER) {
            check.errors.add(&USER, messages::TOKEN_USER);
        }
        let strict = check.context.app.settings.strict;
        if strict && sets_managed(check) && !check.errors.has(&MANAGED) {
            check.errors.add(&MANAGED, messages::MANAGED);
        }
        if !check.errors.is_empty() {
            return Ok(());
        }
        if input.intent.is_some() && !matches!(intent, API | APP_PASSWORD) {
            check.errors.add(&INTENT_FIELD, messages::invalid_intent(intent));
            return Ok(());
        }
        if check.draft.get(&EXPIRING) == Some(&Content::Boolean(false))
            && check.row.is_some_and(|token| token.expiring)
            && !may_be_unending(check.context, check.connection).await?
        {
            check.errors.add(&EXPIRING, messages::UNENDING_TOKEN);
        }
        if let (APP_PASSWORD, Some(Some(expires))) = (intent, input.expires) {
            let latest = latest_expiry(check.context, check.connection, user).await?;
            if expires > latest {
                check.errors.add(&EXPIRES, messages::token_lifetime(&latest));
            }
        }
        Ok(())
    }

    async fn attach(
        context: Context<'_>,
        connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        let users = user::load(context, connection, rows.iter().map(|row| row.user).collect()).await?;
        for row in rows {
            row.user_obj = users.get(&row.user).cloned();
        }
        Ok(())
    }
}

/// Whether a request leaves the expiry of an API token as it is: it asks for none, or for the one that there is. A
/// token that never ended and shall now has none.
fn keeps_expiry(token: &Token, asked: Option<Option<DateTime<Utc>>>) -> bool {
    token.intent == API && token.expires.is_some() && asked.is_none_or(|asked| asked == token.expires)
}

/// Whether a request says which part of authentik looks after the token: for nobody to say of one that is there, and for
/// superusers of a new one.
fn sets_managed(check: &Check<'_, Token>) -> bool {
    let Some(asked) = check.draft.get(&MANAGED) else { return false };
    let asked = if let Content::Text(text) = asked { Some(text) } else { None };
    match check.row {
        Some(token) => asked != token.managed.as_ref(),
        None => asked.is_some() && !check.context.caller.superuser,
    }
}

/// Whose token it is: superusers make tokens for others; nobody gives one away.
fn user(row: Option<&Token>, input: &TokenInput, caller: &Caller) -> i32 {
    match row {
        Some(token) => token.user,
        None => input.user.flatten().filter(|_| caller.superuser).unwrap_or(caller.id),
    }
}

/// What it is for once it is written.
fn intent<'a>(row: Option<&'a Token>, input: &'a TokenInput) -> &'a str {
    input.intent.as_deref().or(row.map(|token| token.intent.as_str())).unwrap_or(API)
}

/// Whether the tokens that the user with these attributes (the text of an object) makes expire: unless one says that they
/// don't.
pub fn tokens_expire(attributes: &str) -> bool {
    text::member(attributes, "goauthentik.io/user/token-expires") != Some("false")
}

/// Whether the caller may let a token live without end: a superuser, and whose own tokens do.
///
/// # Errors
/// The database failed.
pub async fn may_be_unending(context: Context<'_>, connection: &mut PgConnection) -> Result<bool, ApiError> {
    let caller = context.caller;
    if caller.superuser || !context.app.settings.strict {
        return Ok(true);
    }
    Ok(!tokens_expire(own_attributes(connection, caller.id).await?.text()))
}

/// # Errors
/// 409 for a user who was deleted meanwhile.
async fn own_attributes(connection: &mut PgConnection, user: i32) -> Result<Dictionary, ApiError> {
    let select = sqlx::query_scalar("SELECT attributes FROM authentik_core_user WHERE id = $1");
    select.bind(user).fetch_optional(connection).await?.ok_or(ApiError::Conflict)
}

/// When an app password of `user` has to end: after the duration in the attributes of the user and the groups, or the
/// default one.
async fn latest_expiry(
    context: Context<'_>,
    connection: &mut PgConnection,
    user: i32,
) -> Result<DateTime<Utc>, ApiError> {
    let groups = user::all_groups(&context.app.database.layout, connection, user).await?;
    let own = own_attributes(connection, user).await?;
    let duration = user::group_attribute(&groups, &own, "goauthentik.io/user/token-maximum-lifetime")?;
    let latest = duration
        .as_ref()
        .and_then(Value::as_str)
        .and_then(parse_timedelta)
        .map(|duration| context.app.clock.after(duration));
    Ok(latest.unwrap_or_else(|| context.default_expiry()))
}

const TOKEN_VIEW: Component = Component {
    name: "TokenView",
    schema: |document| {
        const FIELDS: Fields = Fields::new(&[Field::text("key").read_only()]);
        document.fields("Show token's current key", FIELDS)
    },
};

/// `GET /core/tokens/{identifier}/view_key/`: the secret itself. authentik keeps an event of it.
const VIEW_KEY: Action<Token> = Action::on_object(
    drf::Action::extra(
        "view_key_retrieve",
        Method::Get,
        Route { detail: true, url_path: "view_key" },
        Permission::Codename("view_token_key"),
        "View key",
        "Return token key and log access",
    )
    .answers(Success::One(&TOKEN_VIEW))
    .writes(),
    |request, token| Box::pin(view_key(request, token)),
);

async fn view_key(request: Request<'_>, token: Token) -> Result<Answer, ApiError> {
    let Request { context, connection, .. } = request;
    let key: String = sqlx::query_scalar("SELECT key FROM authentik_core_token WHERE token_uuid = $1")
        .bind(token.pk)
        .fetch_one(&mut *connection)
        .await?;
    context.wrote(connection, Change::SecretViewed, &token).await?;
    Answer::ok(&json!({ "key": key }))
}
