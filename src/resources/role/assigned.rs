//! `rbac/permissions/assigned_by_roles/`: roles by what they may do with a model or an object, with all that they may.

use std::collections::HashMap;

use drf::declaration::{Declaration, Lookup, LookupKind, Table};
use drf::field::{Field, Fields, Schema};
use drf::messages::REQUIRED;
use drf::params::{Filter, FilterKind, asc};
use drf::search::Searched;
use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::{MODEL, TARGET, assignment, object_permission};
use crate::contract::models::MODELS;
use crate::error::ApiError;
use crate::resources::stage::NoInput;
use crate::views::{Action, Answer, Context, Lens, Request, Resource, list};

/// A role with all that it may do.
#[derive(Debug, Serialize, FromRow)]
pub struct AssignedRole {
    pub(super) role_pk: Uuid,
    pub(super) name: String,
    #[sqlx(skip)]
    object_permissions: Vec<ObjectPermission>,
    #[sqlx(skip)]
    model_permissions: Vec<ModelPermission>,
}

/// What a role may do with one object.
#[derive(Debug, Serialize, FromRow)]
struct ObjectPermission {
    #[serde(skip)]
    role_id: Uuid,
    id: i32,
    codename: String,
    model: String,
    app_label: String,
    object_pk: String,
    name: String,
}

/// What a role may do with everything of a model.
#[derive(Debug, Serialize, FromRow)]
struct ModelPermission {
    #[serde(skip)]
    role_id: Uuid,
    id: i32,
    codename: String,
    model: String,
    app_label: String,
    name: String,
}

const MODEL_PERMISSION: Fields = Fields::new(&[
    Field::serial("id").label("ID"),
    Field::computed("codename", Schema::String),
    Field::computed("model", Schema::String).label("Python model class name"),
    Field::computed("app_label", Schema::String),
    Field::computed("name", Schema::String),
]);

/// Roles that may do something with everything of a model, or with the object of it that has a key: asked for are the
/// model's label and that key.
const WITH_PERMISSIONS: &str = "EXISTS (SELECT 1 FROM (SELECT {}::text[] AS of) asked WHERE EXISTS (\
      SELECT 1 FROM guardian_rolemodelpermission m JOIN auth_permission a ON a.id = m.permission_id \
      JOIN django_content_type c ON c.id = a.content_type_id \
      WHERE m.role_id = t.uuid AND c.app_label || '.' || c.model = asked.of[1]\
    ) OR EXISTS (\
      SELECT 1 FROM guardian_roleobjectpermission o JOIN auth_permission a ON a.id = o.permission_id \
      JOIN django_content_type c ON c.id = a.content_type_id \
      WHERE o.role_id = t.uuid AND o.object_pk = asked.of[2] AND c.app_label || '.' || c.model = asked.of[1]))";
const ASKED_MODEL: &str = "model";

impl Resource for AssignedRole {
    const DECLARATION: &'static Declaration = &Declaration {
        path: "/rbac/permissions/assigned_by_roles/",
        operation: "rbac_permissions_assigned_by_roles",
        view_name: "Role Assigned Permission",
        component: "RoleAssignedObjectPermission",
        fields: Fields::new(&[
            Field::uuid("role_pk").column("uuid").read_only().unsortable(),
            Field::text("name").read_only(),
            Field::nested_list("object_permissions", "RoleObjectPermission", object_permission::FIELDS)
                .read_only(),
            Field::nested_list("model_permissions", "RoleModelPermission", MODEL_PERMISSION).read_only(),
        ]),
        lookup: Lookup {
            parameter: "uuid",
            expression: "t.uuid",
            kind: LookupKind::Uuid,
            description: "A UUID string identifying this Role.",
        },
        filters: &[
            Filter {
                name: ASKED_MODEL,
                expression: WITH_PERMISSIONS,
                kind: FilterKind::ChoiceAnd { choices: &MODELS, other: "object_pk" },
            },
            // What it adds stands above.
            Filter { name: "object_pk", expression: "({} IS NOT NULL)", kind: FilterKind::Text },
        ],
        search: &[Searched::text("t.name")],
        default_order: &[asc("name")],
        order_expressions: &[("pk", "t.uuid")],
        ..Declaration::of(MODEL, Table { name: TARGET.table, pk: TARGET.pk, parent: None, joins: "" })
    };
    const ACTIONS: &'static [Action<Self>] =
        &[Action::on_list(drf::Action::LIST, |request| Box::pin(list_of_model(request)))];
    const EXTRA_ACTIONS: &'static [Action<Self>] = &[assignment::ASSIGN, assignment::UNASSIGN];
    type Input = NoInput;
    type Key = Uuid;

    fn pk(&self) -> Uuid {
        self.role_pk
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    async fn attach(
        _context: Context<'_>,
        connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        let roles: Vec<Uuid> = rows.iter().map(|row| row.role_pk).collect();
        if roles.is_empty() {
            return Ok(());
        }
        let on_objects: Vec<ObjectPermission> = sqlx::query_as(
            "SELECT o.role_id, o.id, a.codename, c.model, c.app_label, o.object_pk, a.name \
             FROM guardian_roleobjectpermission o JOIN auth_permission a ON a.id = o.permission_id \
             JOIN django_content_type c ON c.id = o.content_type_id WHERE o.role_id = ANY($1) ORDER BY o.id",
        )
        .bind(&roles)
        .fetch_all(&mut *connection)
        .await?;
        let on_models: Vec<ModelPermission> = sqlx::query_as(
            "SELECT m.role_id, m.id, a.codename, c.model, c.app_label, a.name \
             FROM guardian_rolemodelpermission m JOIN auth_permission a ON a.id = m.permission_id \
             JOIN django_content_type c ON c.id = m.content_type_id WHERE m.role_id = ANY($1) ORDER BY m.id",
        )
        .bind(&roles)
        .fetch_all(connection)
        .await?;
        let mut places: HashMap<Uuid, &mut Self> = rows.iter_mut().map(|row| (row.role_pk, row)).collect();
        for permission in on_objects {
            if let Some(row) = places.get_mut(&permission.role_id) {
                row.object_permissions.push(permission);
            }
        }
        for permission in on_models {
            if let Some(row) = places.get_mut(&permission.role_id) {
                row.model_permissions.push(permission);
            }
        }
        Ok(())
    }
}

/// The list, which has to be of a model. Those who see no role are told that first.
async fn list_of_model(request: Request<'_>) -> Result<Answer, ApiError> {
    if request.context.query.last(ASKED_MODEL).is_some_and(|model| !model.is_empty()) {
        return list::<AssignedRole>(request).await;
    }
    let Request { context, connection, .. } = request;
    let lens = Lens::read::<AssignedRole>(context, connection).await?;
    lens.refuse_if_nothing(connection).await?;
    Err(ApiError::field(ASKED_MODEL, REQUIRED))
}
