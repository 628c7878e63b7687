//! `rbac/permissions/roles/`: what roles may do with single objects.

use drf::declaration::{Declaration, Lookup, LookupKind, Table};
use drf::field::{Field, Fields, Key};
use drf::params::{Filter, FilterKind, asc};
use drf::permission::Model;
use serde::Serialize;
use sqlx::{FromRow, PgConnection};

use crate::contract::models;
use crate::error::ApiError;
use crate::resources::description;
use crate::resources::permission::{MODEL_COLUMNS, said};
use crate::resources::stage::NoInput;
use crate::views::{Action, Context, Resource};

/// Names and permissions.
pub const MODEL: Model =
    Model { app_label: "guardian", name: "RoleObjectPermission", model: "roleobjectpermission" };

/// A permission of a role on one object.
#[derive(Debug, Serialize, FromRow)]
pub struct RoleObjectPermission {
    id: i32,
    codename: String,
    model: String,
    app_label: String,
    object_pk: String,
    name: String,
    #[sqlx(skip)]
    app_label_verbose: String,
    model_verbose: String,
    #[sqlx(skip)]
    object_description: Option<String>,
}

const ID: Field = Field::serial("id").label("ID");
const OBJECT_PK: Field = Field::text("object_pk").required();

/// The fields of such a permission inside a role.
pub const FIELDS: Fields = Fields::new(&[
    ID,
    said("codename"),
    said("model").label("Python model class name"),
    said("app_label"),
    OBJECT_PK,
    said("name"),
]);

impl Resource for RoleObjectPermission {
    const DECLARATION: &'static Declaration = &Declaration {
        path: "/rbac/permissions/roles/",
        operation: "rbac_permissions_roles",
        view_name: "Role Permission",
        component: "ExtraRoleObjectPermission",
        fields: Fields::new(&[
            ID,
            said("codename"),
            said("model").label("Python model class name"),
            said("app_label"),
            OBJECT_PK,
            said("name"),
            said("app_label_verbose").help("Get app label from permission's model"),
            said("model_verbose").help("Get model label from permission's model"),
            said("object_description").nullable().help("The object's name, for those who may view it."),
        ]),
        lookup: Lookup {
            parameter: "id",
            expression: "t.id",
            kind: LookupKind::Integer,
            description: "A unique integer value identifying this role object permission.",
        },
        filters: &[Filter { name: "uuid", expression: "t.role_id", kind: FilterKind::Uuid }],
        default_order: &[asc("role__name")],
        order_expressions: &[
            ("role__name", "r.name"),
            ("content_type__app_label", "c.app_label"),
            ("content_type__model", "c.model"),
            ("permission__codename", "a.codename"),
            ("permission__name", "a.name"),
        ],
        extra_columns: &[", a.codename AS codename, a.name AS name", MODEL_COLUMNS],
        key: Key::Integer,
        // authentik looks up every object by itself, and so shows no more of them.
        max_page_size: Some(10),
        ..Declaration::of(
            MODEL,
            Table {
                name: "guardian_roleobjectpermission",
                pk: "id",
                parent: None,
                joins: " LEFT JOIN authentik_rbac_role r ON r.uuid = t.role_id \
                    LEFT JOIN auth_permission a ON a.id = t.permission_id \
                    LEFT JOIN django_content_type c ON c.id = t.content_type_id",
            },
        )
    };
    const ACTIONS: &'static [Action<Self>] = &[Action::LIST];
    type Input = NoInput;
    type Key = i32;

    fn pk(&self) -> i32 {
        self.id
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    async fn attach(
        context: Context<'_>,
        connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        let object = |row: &Self| (format!("{}.{}", row.app_label, row.model), row.object_pk.clone());
        let names = description::find(context, connection, rows.iter().map(object)).await?;
        for row in rows {
            row.object_description = names.get(&object(row)).cloned();
            let app = models::app_name(&row.app_label);
            row.app_label_verbose = app.unwrap_or(&row.app_label).to_owned();
        }
        Ok(())
    }
}
