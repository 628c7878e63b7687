//! Permissions: what there is for roles to be given. Everybody with credentials may look them up.

use drf::declaration::{Declaration, Lookup, LookupKind, Table};
use drf::field::{Field, Fields, Key, Schema, Target};
use drf::params::{Filter, FilterKind, asc};
use drf::permission::{self, Model};
use drf::search::Searched;
use serde::Serialize;
use sqlx::{FromRow, PgConnection};

use super::role;
use super::stage::NoInput;
use crate::auth::{Caller, Scope};
use crate::contract::models;
use crate::db::Need;
use crate::error::ApiError;
use crate::views::{Action, Context, Resource};

/// Names and permissions.
pub const MODEL: Model = Model { app_label: "auth", name: "Permission", model: "permission" };
/// Content types as the target of foreign keys.
const CONTENT_TYPE: Target = Target {
    table: "django_content_type",
    pk: "id",
    key: Key::Integer,
    model: Model { app_label: "contenttypes", name: "ContentType", model: "contenttype" },
};

/// A permission.
#[derive(Debug, Serialize, FromRow)]
pub struct Permission {
    id: i32,
    name: String,
    codename: String,
    model: String,
    app_label: String,
    #[sqlx(skip)]
    app_label_verbose: String,
    model_verbose: String,
}

/// What is said of the model of a permission, the content type `c`. A model's name stands in that of the permission to add
/// one; authentik falls back on the label, too.
pub(super) const MODEL_COLUMNS: &str = ", c.model AS model, c.app_label AS app_label, coalesce(\
    (SELECT substr(v.name, 9) FROM auth_permission v WHERE v.content_type_id = c.id AND v.codename = 'add_' || c.model), \
    c.app_label || '.' || c.model) AS model_verbose";

/// What is said of a permission or its model.
pub(super) const fn said(name: &'static str) -> Field {
    Field::computed(name, Schema::String)
}

impl Resource for Permission {
    const DECLARATION: &'static Declaration = &Declaration {
        path: "/rbac/permissions/",
        operation: "rbac_permissions",
        view_name: "RBAC Permission",
        fields: Fields::new(&[
            Field::serial("id").label("ID"),
            Field::text("name").required().max_length(255),
            Field::text("codename").required().max_length(100).filter(),
            said("model").label("Python model class name"),
            said("app_label"),
            said("app_label_verbose").help("Human-readable app label"),
            said("model_verbose").help("Human-readable model name"),
        ]),
        lookup: Lookup {
            parameter: "id",
            expression: "t.id",
            kind: LookupKind::Integer,
            description: "A unique integer value identifying this permission.",
        },
        filters: &[
            Filter { name: "content_type__model", expression: "c.model", kind: FilterKind::Text },
            Filter { name: "content_type__app_label", expression: "c.app_label", kind: FilterKind::Text },
            Filter {
                name: "role",
                expression: "t.id IN (SELECT m.permission_id FROM guardian_rolemodelpermission m WHERE m.role_id = {})",
                kind: FilterKind::ForeignKey(&role::TARGET),
            },
        ],
        // Those of models of Django's and of its libraries are nothing to be given.
        rows: "c.app_label LIKE 'authentik%'",
        search: &[
            Searched::text("t.name"),
            Searched::text("t.codename"),
            Searched::of("t.content_type_id", &CONTENT_TYPE, "model"),
            Searched::of("t.content_type_id", &CONTENT_TYPE, "app_label"),
        ],
        default_order: &[asc("name")],
        order_expressions: &[("content_type__model", "c.model"), ("content_type__app_label", "c.app_label")],
        extra_columns: &[MODEL_COLUMNS],
        key: Key::Integer,
        ..Declaration::of(
            MODEL,
            Table {
                name: "auth_permission",
                pk: "id",
                parent: None,
                joins: " LEFT JOIN django_content_type c ON c.id = t.content_type_id",
            },
        )
    };
    const ACTIONS: &'static [Action<Self>] = &[
        Action::LIST.for_whom(permission::Permission::Authenticated),
        Action::RETRIEVE.for_whom(permission::Permission::Authenticated),
    ];
    const NEEDS: &'static [Need] = &[Need::read("auth_permission", "content_type_id integer")];
    type Input = NoInput;
    type Key = i32;

    fn pk(&self) -> i32 {
        self.id
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn scope(_caller: &Caller) -> Scope {
        Caller::everything()
    }

    async fn attach(
        _context: Context<'_>,
        _connection: &mut PgConnection,
        rows: &mut [Self],
    ) -> Result<(), ApiError> {
        for row in rows {
            let name = models::app_name(&row.app_label);
            row.app_label_verbose =
                name.map_or_else(|| format!("{}.{}", row.app_label, row.model), str::to_owned);
        }
        Ok(())
    }
}
