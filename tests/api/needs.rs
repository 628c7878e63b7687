//! The tables and columns that the server says it needs: they are what the declarations name, they are there, and they
//! are enough.

use ak_stages::db::Privilege;
use ak_stages::db::catalogue::ForeignKeys;
use ak_stages::db::extensions;
use ak_stages::db::needs::{Needed, Needs};
use ak_stages::resources;
use drf::action::{Method, Route};
use drf::field::Place;
use drf::params::{FilterKind, Rows};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::support::{TestApp, as_parameter, declared, registered};

/// What is needed of authentik's database alone.
const AUTHENTIKS: [&str; 11] = [
    "authentik_brands_brand",
    "authentik_core_authenticatedsession",
    "authentik_core_session",
    "authentik_events_event",
    "authentik_outposts_outpost",
    "authentik_providers_oauth2_accesstoken",
    "authentik_rbac_initialpermissions",
    "authentik_rbac_initialpermissions_permissions",
    "authentik_stages_user_login_userloginstage",
    "authentik_tenants_tenant",
    "authentik_version_history",
];

/// What is needed of a database of our own, by the names that tables have there.
fn own(needs: Needs) -> impl Iterator<Item = (&'static str, Needed)> {
    let name = |table| if table == "{user_groups}" { "authentik_core_user_groups" } else { table };
    let own = needs.tables.into_iter().filter(|(table, _)| !AUTHENTIKS.contains(table));
    own.map(move |(table, needed)| (name(table), needed))
}

#[test]
fn every_declared_column_is_needed() {
    let needs = resources::needs();
    for resource in declared() {
        let table = resource.table;
        let has = |table: &str, column: &str| needs.tables[table].columns.contains_key(column);
        assert!(has(table.name, table.pk), "{}", table.name);
        for field in resource.fields.iter() {
            let table = match field.place {
                Place::Own => table.name,
                Place::Parent => table.parent.unwrap().name,
                Place::Nowhere => continue,
            };
            assert!(has(table, field.column), "{table}.{}", field.column);
            let read = needs.tables[table].read.contains(field.column);
            assert!(read || field.internal, "{table}.{} is read", field.column);
        }
    }
}

#[test]
fn the_passwords_of_users_are_never_read() {
    let users = &resources::needs().tables["authentik_core_user"];
    assert!(users.columns.contains_key("password") && !users.read.contains("password"));
    assert!(users.is_inserted);
    assert_eq!(users.privileges.iter().collect::<Vec<_>>(), [&Privilege::Select], "nor are users written");
}

/// PostgreSQL says what a type's name means.
#[tokio::test]
async fn all_that_is_needed_is_there() {
    let app = TestApp::new().await;
    for (table, needed) in own(resources::needs()) {
        for (column, kind) in needed.columns {
            let found: Option<bool> = sqlx::query_scalar(
                "SELECT a.atttypid IN ($3::regtype, CASE WHEN $3 = 'text' THEN 'varchar'::regtype END) IS TRUE \
                 FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND quote_ident(a.attname) = $2",
            )
            .bind(table)
            .bind(column)
            .bind(kind)
            .fetch_optional(&app.pool)
            .await
            .unwrap();
            assert_eq!(found, Some(true), "{table}.{column} {kind}");
        }
    }
    let theirs: Vec<String> =
        sqlx::query_scalar("SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NOT NULL")
            .bind(AUTHENTIKS)
            .fetch_all(&app.pool)
            .await
            .unwrap();
    assert!(theirs.is_empty(), "{theirs:?}");
}

/// A value for a query parameter that filters.
async fn sample(app: &TestApp, kind: FilterKind) -> String {
    let value = match kind {
        FilterKind::Text => json!("text"),
        FilterKind::Boolean | FilterKind::Switch { .. } => json!(true),
        FilterKind::Number => json!(25),
        FilterKind::Uuid | FilterKind::ForeignKey(_) => json!("0a0b0c0d-1111-4222-8333-0000abcdef01"),
        FilterKind::Choice(choices)
        | FilterKind::Choices(choices)
        | FilterKind::ChoiceAnd { choices, .. } => {
            json!(choices.values[0].0)
        }
        FilterKind::Widened { kind, .. } => return Box::pin(sample(app, *kind)).await,
        FilterKind::DateTime => json!("2026-01-01T00:00:00Z"),
        FilterKind::Attributes => json!({ "n": 1 }),
        FilterKind::Texts(rows) | FilterKind::Uuids(rows) | FilterKind::Numbers(rows) => {
            let Rows { table, column } = rows;
            let select = format!("SELECT {column}::text FROM {table} WHERE {column} IS NOT NULL LIMIT 1");
            let value: Option<String> =
                sqlx::query_scalar(AssertSqlSafe(select)).fetch_optional(&app.pool).await.unwrap();
            json!(value.unwrap_or_else(|| "0a0b0c0d-1111-4222-8333-0000abcdef01".to_owned()))
        }
    };
    as_parameter(&value)
}

/// The needed columns, and no others, do for all that resources are for; `used_by/` alone reads more.
#[tokio::test]
async fn nothing_else_is_needed() {
    let app = TestApp::new().await;
    let needs = resources::needs();
    let mut prepared = Vec::new();
    for resource in declared() {
        let (row, _) = app.two_rows(&resource).await;
        let body = app.body(resource.writable(), app.fresh()).await;
        let mut queries = vec![String::from("ordering=pk&search=text")];
        let fields = resource.fields.iter().filter(|field| field.filter);
        let filters = fields.map(|field| (field.name, FilterKind::of(field)));
        for (name, kind) in filters.chain(resource.filters.iter().map(|filter| (filter.name, filter.kind))) {
            queries.push(format!("ordering=pk&{name}={}", sample(&app, kind).await));
        }
        prepared.push((resource, row, body, queries));
    }
    let (role, group) = (app.role(&["view_group"]).await, app.group("a group", false, &[]).await);
    let privileges = |table| needs.tables[table].privileges.clone();
    restrict(&app, needs.clone()).await;
    let admin = app.admin();
    let on_group =
        json!({ "permissions": ["view_group"], "model": "authentik_core.group", "object_pk": group });
    for given in [json!({ "permissions": ["authentik_core.add_group"] }), on_group] {
        let place = format!("/rbac/permissions/assigned_by_roles/{role}/");
        admin.post(&format!("{place}assign/"), given.clone()).await.status(200);
        for resource in registered().iter().filter(|resource| resource.path.starts_with("/rbac/")) {
            admin.get(&resource.list_path()).await.status(200);
        }
        admin.patch(&format!("{place}unassign/"), given).await.status(204);
    }
    for (resource, row, body, queries) in prepared {
        for query in queries {
            let answer = admin.get(&format!("{}?{query}", resource.path)).await;
            // A row that there isn't is looked for all the same.
            assert!(matches!(answer.status, 200 | 400), "{answer}");
        }
        let mut path = resource.path_of(&row);
        admin.get(&path).await.status(200);
        if !privileges(resource.table.name).contains(&Privilege::Insert) {
            admin.patch(&path, body).await.status(403);
            continue;
        }
        if resource.does(Method::Post, Route::LIST) {
            path = resource.path_of(&admin.post(resource.path, body.clone()).await.status(201).json());
            admin.patch(&path, body).await.status(200);
        }
        admin.delete(&path).await.status(204);
    }
}

/// Let all connections to come be a role's that may do what is needed, with the columns that are needed.
async fn restrict(app: &TestApp, needs: Needs) {
    let pool = &app.pool;
    let mut connection = pool.acquire().await.unwrap();
    let name: String =
        sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut *connection).await.unwrap();
    let role = format!("needs_of_{name}");
    execute(&mut connection, format!("CREATE ROLE {role}; ALTER DATABASE {name} SET role = {role}")).await;
    let mut deleted = Vec::new();
    for (table, needed) in own(needs) {
        let columns = needed.columns.into_keys().collect::<Vec<_>>().join(", ");
        let read = needed.read.into_iter().collect::<Vec<_>>().join(", ");
        for privilege in needed.privileges {
            let columns = match privilege {
                Privilege::Select => format!("({read})"),
                Privilege::Insert | Privilege::Update => format!("({columns})"),
                Privilege::Delete => {
                    deleted.push(table.to_owned());
                    String::new()
                }
            };
            let grant = format!("GRANT {} {columns} ON {table} TO {role}", privilege.name());
            execute(&mut connection, grant).await;
        }
    }
    let foreign_keys = ForeignKeys::read(&mut connection).await.unwrap();
    for (table, columns) in foreign_keys.pointing_at(&deleted) {
        let grant = format!("GRANT SELECT ({}) ON {table} TO {role}", columns.join(", "));
        execute(&mut connection, grant).await;
    }
    // What stands beside invitations, which a database of our own always has.
    execute(&mut connection, extensions::sql(Some(&role))).await;
    connection.close().await.unwrap();
    // The server's next connection is another role's.
    app.requests.close_idle();
    app.requests.acquire().await.unwrap().finish().await.unwrap();
}

async fn execute(connection: &mut PgConnection, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.unwrap();
}
