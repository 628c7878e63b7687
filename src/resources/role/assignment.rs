//! `assign/` and `unassign/`: permissions that a role is given and that are taken from it, on everything of a model or on
//! one object.

use std::collections::HashMap;

use drf::action::{Component, Method, RequestBody, Route, Success};
use drf::errors::FieldErrors;
use drf::field::{Field, Fields};
use drf::intake::Draft;
use drf::messages::{invalid_pk, max_elements};
use drf::permission::{Model, Permission, Verb};
use drf::python;
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;

use super::assigned::AssignedRole;
use super::object_permission;
use crate::auth::roles::{self, Held};
use crate::authentik::Change;
use crate::contract::messages;
use crate::contract::models::MODELS;
use crate::db::{Layout, Sql};
use crate::error::ApiError;
use crate::resources::description;
use crate::views::{Action, Answer, Context, Request};

/// Permissions of roles on everything of a model, as events name them.
const ON_MODEL: Model =
    Model { app_label: "guardian", name: "RoleModelPermission", model: "rolemodelpermission" };

/// Permissions that a request may name: more than authentik has.
const MOST: usize = 1000;

const PERMISSIONS: Field = Field::texts("permissions").required();
const OF_MODEL: Field = Field::choice("model", &MODELS);
const OBJECT_PK: Field = Field::text("object_pk");
const FIELDS: Fields = Fields::new(&[PERMISSIONS, OF_MODEL, OBJECT_PK]);
const BODY: RequestBody = RequestBody::Fields {
    component: "PermissionAssign",
    description: "Request to assign a new permission",
    fields: FIELDS,
};

const RESULT: Component = Component {
    name: "PermissionAssignResult",
    schema: |_| {
        json!({
            "type": "object",
            "description": "Result from assigning permissions to a user/role",
            "properties": { "id": { "type": "string" } },
            "required": ["id"],
        })
    },
};

/// `POST …/{uuid}/assign/`. authentik's check of the method asks for `add_role` beside the permission of the action.
pub const ASSIGN: Action<AssignedRole> = Action::on_object(
    drf::Action::extra(
        "assign",
        Method::Post,
        Route { detail: true, url_path: "assign" },
        Permission::Both(Verb::Add, "assign_role_permissions"),
        "Assign",
        "Assign permission(s) to role. When `object_pk` is set, the permissions are only assigned to the specific object, \
         otherwise they are assigned globally.",
    )
    .takes(BODY)
    .answers(Success::Many(&RESULT)),
    |request, role| Box::pin(assign(request, role)),
);

/// `PATCH …/{uuid}/unassign/`, likewise with `change_role`.
pub const UNASSIGN: Action<AssignedRole> = Action::on_object(
    drf::Action::extra(
        "unassign_partial_update",
        Method::Patch,
        Route { detail: true, url_path: "unassign" },
        Permission::Both(Verb::Change, "unassign_role_permissions"),
        "Unassign",
        "Unassign permission(s) to role. When `object_pk` is set, the permissions are only assigned to the specific object, \
         otherwise they are assigned globally.",
    )
    .takes(BODY)
    .answers(Success::NoContent),
    |request, role| Box::pin(unassign(request, role)),
);

/// What a request is about.
struct Asked {
    /// The permissions' ids, in its order.
    permissions: Vec<i32>,
    /// Their codenames.
    codenames: Vec<String>,
    /// The object, if it is about one.
    object: Option<Object>,
}

/// An object by the label of its model and its key.
struct Object {
    model: String,
    pk: String,
}

impl Asked {
    async fn read(draft: &Draft, connection: &mut PgConnection) -> Result<Self, ApiError> {
        let texts = draft.texts(&PERMISSIONS).unwrap_or_default();
        if texts.len() > MOST {
            return Err(ApiError::field(PERMISSIONS.name, max_elements(MOST)));
        }
        let object = match (draft.text(&OF_MODEL), draft.text(&OBJECT_PK)) {
            (Some(model), Some(pk)) => Some(Object { model: model.to_owned(), pk: canonical(pk) }),
            (None, None) => None,
            _ => {
                let errors = FieldErrors::non_field(messages::together(&[OF_MODEL.name, OBJECT_PK.name]));
                return Err(ApiError::Validation(errors.into_body(FIELDS)));
            }
        };
        if object.is_none() && texts.iter().any(|text| !text.contains('.')) {
            return Err(ApiError::field(PERMISSIONS.name, messages::GLOBAL_PERMISSION));
        }
        let of = object.as_ref().and_then(|object| object.model.split_once('.'));
        let names: Vec<(&str, &str)> = texts
            .iter()
            .map(|text| {
                let (app, codename) = text.split_once('.').unwrap_or(("", text));
                // An object's permissions are those of its model, whatever app is named.
                of.map_or((app, codename), |(app, _)| (app, codename))
            })
            .collect();
        let found = roles::permissions(connection, &names, of.map(|(_, model)| model)).await?;
        let codenames = names.iter().map(|(_, codename)| (*codename).to_owned()).collect();
        let known = found.iter().zip(&texts).map(|(id, text)| {
            id.ok_or_else(|| ApiError::field(PERMISSIONS.name, messages::no_permission(text)))
        });
        Ok(Self { permissions: known.collect::<Result<_, _>>()?, codenames, object })
    }

    fn object_pk(&self) -> Option<&str> {
        self.object.as_ref().map(|object| object.pk.as_str())
    }
}

/// The key as permissions spell it: as Python prints it.
fn canonical(pk: &str) -> String {
    python::uuid(pk).map_or_else(|| pk.to_owned(), |uuid| uuid.to_string())
}

/// A row's id, as the answer shows it.
#[derive(Serialize)]
struct Assigned {
    id: String,
}

async fn assign(request: Request<'_>, role: AssignedRole) -> Result<Answer, ApiError> {
    let Request { context, connection, draft, .. } = request;
    let asked = Asked::read(&draft, connection).await?;
    let object_pk = asked.object_pk();
    if context.lacks_any(connection, &asked.permissions, object_pk).await? {
        return Err(ApiError::field(PERMISSIONS.name, messages::BEYOND_CALLER));
    }
    if let Some(object) = &asked.object
        && !object.exists(&context.app.database.layout, connection).await?
    {
        return Err(ApiError::field(OBJECT_PK.name, invalid_pk(&object.pk)));
    }
    let given = roles::give(connection, role.role_pk, &asked.permissions, object_pk).await?;
    tell(context, connection, Change::Created, &role, &asked, &given).await?;
    let held = roles::held(connection, role.role_pk, &asked.permissions, object_pk).await?;
    let ids: HashMap<i32, i32> = held.into_iter().map(|held| (held.permission_id, held.id)).collect();
    let shown = asked.permissions.iter().filter_map(|permission| ids.get(permission));
    Answer::ok(&shown.map(|id| Assigned { id: id.to_string() }).collect::<Vec<_>>())
}

/// What it takes away may be of an object that is gone.
async fn unassign(request: Request<'_>, role: AssignedRole) -> Result<Answer, ApiError> {
    let Request { context, connection, draft, .. } = request;
    let asked = Asked::read(&draft, connection).await?;
    let taken = roles::take(connection, role.role_pk, &asked.permissions, asked.object_pk()).await?;
    tell(context, connection, Change::Deleted, &role, &asked, &taken).await?;
    Ok(Answer::no_content())
}

/// The trace of permissions that were given or taken: each is a row of its own.
async fn tell(
    context: Context<'_>,
    connection: &mut PgConnection,
    change: Change,
    role: &AssignedRole,
    asked: &Asked,
    rows: &[Held],
) -> Result<(), ApiError> {
    if rows.is_empty() || !context.app.database.layout.is_attached() {
        return Ok(());
    }
    let Some(object) = &asked.object else {
        let name = |row: &Held| {
            format!("RoleModelPermission with role {} and permission {}", role.role_pk, row.permission_id)
        };
        let rows: Vec<(i32, String)> = rows.iter().map(|row| (row.id, name(row))).collect();
        return context.trace.wrote_all(connection, change, &ON_MODEL, &rows).await;
    };
    let key = (object.model.clone(), object.pk.clone());
    let names = description::find(context, connection, std::iter::once(key.clone())).await?;
    let called = names.get(&key).map_or("None", String::as_str);
    let codenames: HashMap<i32, &String> = asked.permissions.iter().copied().zip(&asked.codenames).collect();
    let name = |row: &Held| {
        let codename = codenames.get(&row.permission_id).map_or("", |codename| codename.as_str());
        format!("{called} | Role {} | {codename}", role.name)
    };
    let rows: Vec<(i32, String)> = rows.iter().map(|row| (row.id, name(row))).collect();
    context.trace.wrote_all(connection, change, &object_permission::MODEL, &rows).await
}

impl Object {
    /// Whether there is such an object. A model has the table that Django names after it; one that isn't there, or that the
    /// database role may not read, has no objects here.
    async fn exists(&self, layout: &Layout, connection: &mut PgConnection) -> Result<bool, ApiError> {
        let table = self.model.replace('.', "_");
        if !layout.reads(&table) {
            return Ok(false);
        }
        let (pk, kind) = layout.foreign_keys().primary(&table)?;
        let is_key = match kind {
            "uuid" => python::uuid(&self.pk).is_some(),
            "integer" | "bigint" => python::int(&self.pk).is_some_and(|key| i32::try_from(key).is_ok()),
            _ => true,
        };
        if !is_key {
            return Ok(false);
        }
        let mut query = Sql::new("SELECT EXISTS (SELECT 1 FROM ");
        query.push(format_args!("{table} WHERE {pk} = (")).bind(self.pk.clone());
        query.push(format_args!(")::{kind})"));
        Ok(query.build_query_scalar().fetch_one(connection).await?)
    }
}
