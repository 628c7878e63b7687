//! What uses an object: the rows of a `used_by/` answer.

use drf::action::{Component, Method, Route, Success};
use drf::intake::KeyValue;
use drf::openapi::reference;
use drf::permission::{Model, Permission};
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;

use super::action::Request;
use super::{Answer, Context, Resource};
use crate::db::Sql;
use crate::error::ApiError;

/// One object that uses another, and what its deletion would do to it.
#[derive(Debug, Clone, Serialize)]
pub struct UsedBy {
    /// The app label of its model.
    pub app: &'static str,
    /// Its model in lower case.
    pub model_name: &'static str,
    /// Its key.
    pub pk: String,
    /// What `str()` gives for it.
    pub name: String,
    /// `cascade`, `cascade_many`, `set_null` or `set_default`.
    pub action: &'static str,
}

/// Rows of one model that use an object. A relation whose tables are missing, or closed to our database role, has no
/// rows.
#[derive(Debug, Clone, Copy)]
pub struct Relation {
    /// The app label of the model.
    pub app: &'static str,
    /// The model in lower case.
    pub model: &'static str,
    /// What the deletion of the used object would do: `cascade`, `cascade_many`, `set_null` or `set_default`.
    pub action: &'static str,
    /// SQL for the key, as text.
    pub key: &'static str,
    /// SQL for the name.
    pub name: &'static str,
    /// SQL for FROM.
    pub from: &'static str,
    /// SQL for WHERE and the order; the used object's key takes the place of `{}`.
    pub condition: &'static str,
}

impl Relation {
    /// The tables that it reads: the names in its SQL that begin like those of authentik's.
    pub fn tables(&self) -> impl Iterator<Item = &'static str> {
        self.from
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("authentik_"))
    }
}

const COMPONENT: Component = Component {
    name: "UsedBy",
    schema: |document| {
        document.schema(
            "UsedByActionEnum",
            json!({
                "type": "string",
                "enum": ["cascade", "cascade_many", "set_null", "set_default", "left_dangling"],
            }),
        );
        let string = json!({ "type": "string" });
        json!({
            "type": "object",
            "description": "A list of all objects referencing the queried object",
            "properties": {
                "app": string, "model_name": string, "pk": string, "name": string,
                "action": reference("UsedByActionEnum"),
            },
            "required": ["action", "app", "model_name", "name", "pk"],
        })
    },
};

/// GET on an object's `used_by/`.
pub(super) const DECLARED: drf::Action = drf::Action::extra(
    "used_by_list",
    Method::Get,
    Route { detail: true, url_path: "used_by" },
    Permission::View,
    "Used by",
    "Get a list of all objects that use this object",
)
.answers(Success::Many(&COMPONENT));

pub(super) async fn answer<R: Resource>(request: Request<'_>, row: R) -> Result<Answer, ApiError> {
    Answer::ok(&find(request.context, request.connection, R::USED_BY, row.pk().into()).await?)
}

/// What uses an object, as far as the caller may view it.
async fn find(
    context: Context<'_>,
    connection: &mut PgConnection,
    relations: &[Relation],
    pk: KeyValue,
) -> Result<Vec<UsedBy>, ApiError> {
    let layout = &context.app.database.layout;
    let mut all = Vec::new();
    for relation in relations {
        if !relation.tables().all(|table| layout.reads(table)) {
            continue;
        }
        let (before, after) = relation.condition.split_once("{}").unwrap_or((relation.condition, ""));
        let mut query = Sql::new("SELECT ");
        query.push(format_args!("({})::text, {} FROM ", relation.key, relation.name));
        query.push(layout.sql(relation.from)).push(" WHERE ").push(before);
        query.bind_key(pk).push(after);
        let rows: Vec<(String, String)> = query.build_query_as().fetch_all(&mut *connection).await?;
        let model = Model { app_label: relation.app, name: relation.model, model: relation.model };
        let keys = rows.iter().map(|(pk, _)| pk.clone()).collect();
        let visible = context.caller.visible(connection, &model, keys).await?;
        let seen = |pk: &String| visible.as_ref().is_none_or(|visible| visible.contains(pk));
        all.extend(rows.into_iter().filter(|(pk, _)| seen(pk)).map(|(pk, name)| UsedBy {
            app: relation.app,
            model_name: relation.model,
            pk,
            name,
            action: relation.action,
        }));
    }
    Ok(all)
}
