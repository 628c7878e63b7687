//! What every resource that is registered has to satisfy. The tests read the declarations that the server itself
//! works from, so a new resource or field is covered from the moment it is declared.
//!
//! One law has no test of its own: every answer to every request of these tests is held against the OpenAPI document
//! (see `support/contract.rs`).

use std::collections::{BTreeMap, BTreeSet};

use drf::action::{Method, RequestBody, Route};
use drf::field::{Field, FieldKind, Fields, Place};
use drf::permission::Verb;
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::support::{
    Declared, EMAIL, INVITATION, INVITATION_STAGE, Statements, TestApp, USER_WRITE, as_parameter, declared,
    is_text,
};

/// Keys behind those of the declared fields, which clients of other versions require.
const UNION_KEYS: &[(&str, &[&str])] =
    &[("flow_set", &["background"]), ("Group", &["parent", "parent_name"])];

/// What changes along with a field.
const FOLLOWERS: &[(&str, &[&str])] = &[
    ("background", &["background_url", "background_themed_urls"]),
    ("flow", &["flow_obj"]),
    ("groups", &["groups_obj"]),
    ("host", &["password"]), // which is for the server and the name that it was given for
    ("intent", &["expires"]),
    ("name", &["avatar"]),
    ("parents", &["parent", "parent_name"]),
    ("port", &["password"]),
    ("roles", &["roles_obj"]),
    ("slug", &["export_url"]),
    ("stage", &["stage_obj"]),
    ("target", &["stage_obj"]), // which shows the flows of the stage
    ("username", &["password"]),
    ("users", &["users_obj"]),
];

/// What only POST may say.
pub const FIXED: &[(&str, &str)] = &[("Token", "managed"), ("Token", "user")];

fn listed_for<'t>(table: &'t [(&str, &[&str])], name: &str) -> &'t [&'t str] {
    table.iter().find(|(key, _)| *key == name).map_or(&[], |(_, names)| names)
}

#[tokio::test]
async fn an_answer_has_the_readable_fields_in_their_order() {
    let app = TestApp::new().await;
    for resource in declared() {
        let (row, _) = app.two_rows(&resource).await;
        assert_fields(resource.model.name, resource.fields, &row);
    }
}

fn assert_fields(name: &str, fields: Fields, object: &Value) {
    let readable = fields.iter().filter(|field| field.readable()).map(|field| field.name);
    let expected: Vec<_> = readable.chain(listed_for(UNION_KEYS, name).iter().copied()).collect();
    let keys: Vec<_> = object.as_object().unwrap().keys().collect();
    assert_eq!(keys, expected, "{name}");
    for field in fields.iter() {
        if let FieldKind::Nested { fields, .. } = field.kind {
            match &object[field.name] {
                Value::Array(items) => items.iter().for_each(|item| assert_fields(field.name, fields, item)),
                Value::Object(_) => assert_fields(field.name, fields, &object[field.name]),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn every_column_has_the_nullability_and_room_of_its_field() {
    let app = TestApp::new().await;
    for resource in declared() {
        for field in resource.fields.iter() {
            let table = match field.place {
                Place::Own => resource.table.name,
                Place::Parent => resource.table.parent.unwrap().name,
                Place::Nowhere => continue,
            };
            let column = Column::find(&app.pool, table, field.column).await;
            let place = format!("{table}.{}", field.column);
            assert_eq!(column.is_nullable, field.nullable, "NULL in {place}");
            if let Some(characters) = column.characters {
                let longest = match field.kind {
                    FieldKind::Choice(choices) => {
                        choices.values.iter().map(|(value, _)| value.len()).max().unwrap()
                    }
                    _ => field.max_length.unwrap_or(usize::MAX),
                };
                assert!(longest <= characters, "{place} holds {characters} characters");
            }
        }
    }
}

struct Column {
    is_nullable: bool,
    characters: Option<usize>,
}

impl Column {
    async fn find(pool: &PgPool, table: &str, column: &str) -> Self {
        let found: Option<(bool, Option<i32>)> = sqlx::query_as(
            "SELECT is_nullable = 'YES', character_maximum_length::integer \
             FROM information_schema.columns WHERE table_name = $1 AND quote_ident(column_name) = $2",
        )
        .bind(table)
        .bind(column)
        .fetch_optional(pool)
        .await
        .unwrap();
        let (is_nullable, characters) = found.unwrap_or_else(|| panic!("no column {table}.{column}"));
        Self { is_nullable, characters: characters.map(|most| most.try_into().unwrap()) }
    }
}

/// Django drops the defaults that it declares, so on authentik's tables an INSERT that counts on one would fail.
#[tokio::test]
async fn no_column_has_a_default_but_counted_keys() {
    let app = TestApp::new().await;
    let columns: Vec<(String, Option<String>, bool)> = sqlx::query_as(
        "SELECT table_name || '.' || column_name, column_default::text, is_identity = 'YES' \
         FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert!(columns.iter().any(|(name, ..)| name == "authentik_flows_stage.name"), "{columns:?}");
    for (column, default, is_identity) in columns {
        assert_eq!(default, None, "{column}");
        let is_id = column.split_once('.').is_some_and(|(_, name)| name == "id");
        assert!(!is_identity || is_id, "{column} is counted");
    }
}

#[tokio::test]
async fn a_field_patched_alone_changes_only_itself() {
    let app = TestApp::new().await;
    for resource in declared().iter().filter(|resource| resource.does(Method::Patch, Route::OBJECT)) {
        let admin = app.admin();
        for field in resource.writable().filter(|field| !FIXED.contains(&(resource.model.name, field.name))) {
            let (first, second) = app.two_numbers();
            let before = app.row(resource, first).await;
            let columns_before = columns(&app.pool, resource, &before).await;
            let change = app.body(std::iter::once(field), second).await;
            let answer = admin.patch(&resource.path_of(&before), change.clone()).await.status(200).json();
            let after = admin.get(&resource.path_of(&answer)).await.status(200).json();
            let columns_after = columns(&app.pool, resource, &before).await;

            let followers = listed_for(FOLLOWERS, field.name);
            let is_own = |key: &String| !followers.contains(&key.as_str()) && key != "last_updated";
            let place = format!("{} {change}", resource.path);
            let answered = differing(&answer, &after);
            assert!(
                answered.iter().all(|key| *key == "stage_obj" && field.name == "stage"),
                "{place}: {answered:?}"
            );
            let changed: Vec<_> = differing(&before, &after).into_iter().filter(is_own).collect();
            let shown = field.readable().then_some(field.name);
            assert_eq!(changed, Vec::from_iter(shown), "{place}");
            let changed: Vec<_> =
                differing(&columns_before, &columns_after).into_iter().filter(is_own).collect();
            let written = (field.place != Place::Nowhere).then_some(field.column.trim_matches('"'));
            assert_eq!(changed, Vec::from_iter(written), "{place}");
        }
    }
}

/// What the tables hold for an object.
async fn columns(pool: &PgPool, resource: &Declared, row: &Value) -> Value {
    let parent = if resource.table.parent.is_some() { " || to_jsonb(p)" } else { "" };
    let statement =
        format!("SELECT to_jsonb(t){parent} {} WHERE t.{}::text = $1", resource.from(), resource.table.pk);
    let select = sqlx::query_scalar(AssertSqlSafe(statement));
    select.bind(pk_of(row)).fetch_one(pool).await.unwrap()
}

/// The key of an object, as text.
fn pk_of(row: &Value) -> String {
    row["pk"].as_str().map_or(row["pk"].to_string(), str::to_owned)
}

/// The keys whose values differ.
fn differing(one: &Value, other: &Value) -> Vec<String> {
    let (one, other) = (one.as_object().unwrap(), other.as_object().unwrap());
    let keys: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    keys.into_iter().filter(|key| one.get(*key) != other.get(*key)).cloned().collect()
}

#[tokio::test]
async fn a_fields_filter_finds_the_rows_with_its_value() {
    let app = TestApp::new().await;
    for resource in declared() {
        let (one, other) = app.two_rows(&resource).await;
        for field in resource.readable().filter(|field| field.filter) {
            let value = &one[field.name];
            if value.is_null() || value == "" {
                continue; // an empty parameter is none
            }
            let path = format!("{}?page_size=100&{}={}", resource.path, field.name, as_parameter(value));
            let found = app.admin().get(&path).await.status(200).column("pk");
            assert!(found.contains(&one["pk"]), "{path} finds the row");
            assert_eq!(
                found.contains(&other["pk"]),
                *value == other[field.name],
                "{path} finds the other one"
            );
        }
    }
}

#[tokio::test]
async fn a_list_sorts_by_every_declared_name_in_both_directions() {
    let app = TestApp::new().await;
    for resource in declared() {
        let (one, other) = app.two_rows(&resource).await;
        let expressions = resource.order_expressions.iter().map(|(name, _)| *name);
        let fields = resource.fields.iter().filter(|field| field.sortable).map(|field| field.name);
        for name in fields.chain(expressions) {
            let list = async |ordering: String| {
                let path = format!("{}?page_size=100&ordering={ordering}", resource.path);
                app.admin().get(&path).await.status(200).rows()
            };
            let (ascending, mut descending) = (list(name.to_owned()).await, list(format!("-{name}")).await);
            descending.reverse();
            let values = |rows: &[Value]| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
            assert_eq!(values(&ascending), values(&descending), "{} by {name}", resource.path);
            if one.get(name) != other.get(name) {
                let place = |row: &Value| ascending.iter().position(|found| found["pk"] == row["pk"]);
                assert_ne!(place(&one), place(&other), "{} by {name}", resource.path);
            }
        }
    }
}

#[tokio::test]
async fn a_search_looks_through_every_declared_expression() {
    let app = TestApp::new().await;
    for resource in declared() {
        let (one, other) = app.two_rows(&resource).await;
        let texts = searched(&app.pool, &resource, &one).await;
        let others = searched(&app.pool, &resource, &other).await;
        for text in texts.iter().filter(|text| !text.is_empty()) {
            let phrase = as_parameter(&json!(format!("\"{}\"", text.to_uppercase())));
            let path = format!("{}?page_size=100&search={phrase}", resource.path);
            let found = app.admin().get(&path).await.status(200).column("pk");
            assert!(found.contains(&one["pk"]), "{path} finds the row");
            let fits = others.iter().any(|other| other.contains(text));
            assert_eq!(found.contains(&other["pk"]), fits, "{path} finds the other one");
        }
        let nothing = app.admin().get(&format!("{}?search=no-such-text", resource.path)).await.status(200);
        assert_eq!(nothing.rows(), Vec::<Value>::new(), "{}", resource.path);
    }
}

/// What a search compares its terms with, for one row; empty for NULL.
async fn searched(pool: &PgPool, resource: &Declared, row: &Value) -> Vec<String> {
    let texts = resource.search.iter().map(|searched| {
        let text = match searched.of {
            Some((link, target)) => {
                format!("SELECT x.{} FROM {} x WHERE x.{} = {link}", searched.column, target.table, target.pk)
            }
            None => format!("SELECT {}", searched.column),
        };
        format!("coalesce(lower(({text})::text), '')")
    });
    let texts = texts.collect::<Vec<_>>().join(", ");
    let statement =
        format!("SELECT ARRAY[{texts}] {} WHERE t.{}::text = $1", resource.from(), resource.table.pk);
    let select = sqlx::query_scalar(AssertSqlSafe(statement));
    select.bind(pk_of(row)).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn unknown_parameters_and_orderings_are_ignored() {
    let app = TestApp::new().await;
    for resource in declared() {
        app.two_rows(&resource).await;
        let all = app.admin().get(resource.path).await.status(200).json();
        for query in
            ["no_such_parameter=1", "ordering=no_such_field", "ordering=PK", "ordering=password", "ordering="]
        {
            let answer = app.admin().get(&format!("{}?{query}", resource.path)).await;
            assert_eq!(answer.json(), all, "{answer}");
        }
    }
}

#[tokio::test]
async fn options_describe_the_fields_that_can_be_written() {
    let app = TestApp::new().await;
    for resource in declared() {
        let (row, _) = app.two_rows(&resource).await;
        for (path, method, can) in [
            (resource.path.to_owned(), "POST", resource.does(Method::Post, Route::LIST)),
            (resource.path_of(&row), "PUT", resource.does(Method::Put, Route::OBJECT)),
        ] {
            let answer = app.admin().send("OPTIONS", &path, &[], "").await.status(200);
            let described =
                answer.json()["actions"].as_object().map(|actions| actions.keys().cloned().collect());
            let expected = can.then(|| vec![method.to_owned()]);
            assert_eq!(described, expected, "{answer}");
            let allow = answer.header("allow").unwrap_or_default().to_owned();
            assert_eq!(allow.split(", ").any(|allowed| allowed == method), can, "{allow}");
        }
    }
}

#[tokio::test]
async fn options_describe_what_is_no_list_and_no_object() {
    let app = TestApp::new().await;
    let view = |path: &str, name| (path.to_owned(), name, None);
    let mut views = vec![
        view("/core/users/me/", "Me"),
        view("/root/config/", "Config"),
        view("/admin/version/", "Version"),
        view("/schema/", "Schema"),
    ];
    for resource in declared() {
        let row = app.row(&resource, app.fresh()).await;
        for action in resource.actions.iter().filter(|action| action.is_extra()) {
            let taken = match action.body {
                RequestBody::Fields { fields, .. } | RequestBody::Unchecked { fields, .. } => {
                    Some(fields.iter().map(|field| field.name).collect())
                }
                _ => None,
            };
            views.push((resource.place_of(action, &row), action.view_name, taken));
        }
    }
    assert!(views.len() > 15, "{views:?}");
    for (path, name, taken) in views {
        let answer = app.admin().send("OPTIONS", &path, &[], "").await.status(200);
        assert_eq!(answer.json()["name"], name, "{answer}");
        let described = answer.json()["actions"].take();
        let fields = described["POST"].as_object().map(|fields| fields.keys().cloned().collect());
        assert_eq!(
            fields,
            taken.map(|names: Vec<_>| names.into_iter().map(str::to_owned).collect::<Vec<_>>())
        );
        assert!(answer.header("allow").unwrap().ends_with("OPTIONS"), "{answer}");
        let open = ["/root/config/", "/schema/"].contains(&path.as_str());
        app.anonymous().send("OPTIONS", &path, &[], "").await.status(if open { 200 } else { 403 });
    }
}

/// Who sees an object is decided by the look-up, which `access.rs` tests.
#[tokio::test]
async fn an_action_takes_the_permission_that_it_declares() {
    let app = TestApp::new().await;
    let mut tested = 0;
    for resource in declared() {
        let view: &str = resource.model.codename(Verb::View).leak();
        let viewer = app.someone_who_may(&[view]).await;
        for action in &resource.actions {
            let Some(codename) = action.permission.codenames(&resource.model).pop() else { continue };
            let row = app.row(&resource, app.fresh()).await;
            let (method, path) = (action.method.name(), resource.place_of(action, &row));
            let before = app.contents().await;
            let plain = app.plain();
            let refused = if codename == view { &plain } else { &viewer };
            let refused = refused.send_json(method, &path, &json!({})).await;
            refused.is(403, json!({ "detail": "You do not have permission to perform this action." }));
            assert_eq!(app.contents().await, before, "{refused} writes nothing");
            let held = if codename == view { vec![view] } else { vec![view, codename.leak()] };
            let allowed = app.someone_who_may(&held).await;
            let answer = allowed.send_json(method, &path, &json!({})).await;
            assert!(answer.status != 403 && answer.status < 500, "{answer}");
            tested += 1;
        }
    }
    assert!(tested >= 40, "{tested} actions");
}

#[tokio::test]
async fn a_value_beyond_a_limit_is_refused() {
    let app = TestApp::new().await;
    for resource in declared().iter().filter(|resource| resource.does(Method::Post, Route::LIST)) {
        let target = Refusals::of(&app, resource).await;
        for field in resource.writable() {
            if let FieldKind::Integer { min, max } = field.kind {
                let too_small = format!("Ensure this value is greater than or equal to {min}.");
                target.refuse(field, json!(i64::from(min) - 1), &too_small).await;
                let too_large = format!("Ensure this value is less than or equal to {max}.");
                target.refuse(field, json!(i64::from(max) + 1), &too_large).await;
            }
            if let Some(most) = field.max_length {
                let end = if matches!(field.kind, FieldKind::Email) { "@example.org" } else { "" };
                let text = format!("{}{end}", "x".repeat(most + 1 - end.len()));
                let too_long = format!("Ensure this field has no more than {most} characters.");
                target.refuse(field, json!(text), &too_long).await;
            }
        }
        target.nothing_was_written().await;
    }
}

#[tokio::test]
async fn null_and_blank_are_refused_where_the_declaration_says_so() {
    let app = TestApp::new().await;
    for resource in declared().iter().filter(|resource| resource.does(Method::Post, Route::LIST)) {
        let target = Refusals::of(&app, resource).await;
        for field in resource.writable() {
            if !field.nullable {
                target.refuse(field, json!(null), "This field may not be null.").await;
            }
            if is_text(field) && !field.blank {
                target.refuse(field, json!(""), "This field may not be blank.").await;
                target.refuse(field, json!(" \t"), "This field may not be blank.").await;
            }
        }
        target.nothing_was_written().await;

        let row = resource.path_of(&target.row);
        let fixed = |field: &&Field| FIXED.contains(&(resource.model.name, field.name));
        for field in resource.writable().filter(|field| field.nullable && !fixed(field)) {
            app.admin().patch(&row, json!({ field.name: null })).await.status(200);
        }
        for field in resource.writable().filter(|field| field.blank) {
            let answer = app.admin().patch(&row, json!({ field.name: "" })).await.status(200).json();
            assert!(!field.readable() || answer[field.name] == "", "{} {answer}", field.name);
        }
    }
}

#[tokio::test]
async fn a_row_that_is_named_twice_is_linked_once() {
    let app = TestApp::new().await;
    for resource in declared().iter().filter(|resource| resource.does(Method::Patch, Route::OBJECT)) {
        let (row, _) = app.two_rows(resource).await;
        for field in resource.writable() {
            let FieldKind::Many(target, _) = field.kind else { continue };
            let key = app.row_of(target).await;
            let answer = app.admin().patch(&resource.path_of(&row), json!({ field.name: [key, key] })).await;
            assert_eq!(answer.status(200).json()[field.name], json!([key]), "{}", field.name);
        }
    }
}

#[tokio::test]
async fn required_fields_are_required_by_post_and_put_alone() {
    let app = TestApp::new().await;
    for resource in declared().iter().filter(|resource| resource.does(Method::Post, Route::LIST)) {
        let target = Refusals::of(&app, resource).await;
        let errors =
            resource.required().map(|field| (field.name.to_owned(), json!(["This field is required."])));
        let errors = Value::Object(errors.collect());
        let path = resource.path_of(&target.row);
        let admin = app.admin();
        for answer in [admin.post(resource.path, json!({})).await, admin.put(&path, json!({})).await] {
            answer.is(400, errors.clone());
            let order = answer.json().as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert_eq!(order, resource.required().map(|field| field.name).collect::<Vec<_>>(), "{answer}");
        }
        target.nothing_was_written().await;
        admin.patch(&path, json!({})).await.is(200, target.row);
    }
}

/// Requests to one resource that have to fail.
struct Refusals<'a> {
    app: &'a TestApp,
    resource: &'a Declared,
    row: Value,
    contents: BTreeMap<String, String>,
}

impl<'a> Refusals<'a> {
    async fn of(app: &'a TestApp, resource: &'a Declared) -> Self {
        let (row, _) = app.two_rows(resource).await;
        let contents = app.contents().await;
        Self { app, resource, row, contents }
    }

    /// POST, PUT and PATCH of a body that is right but for this field.
    async fn refuse(&self, field: &Field, value: Value, sentence: &str) {
        let required =
            self.resource.required().map(|field| (field.name.to_owned(), self.row[field.name].clone()));
        let mut body: Map<String, Value> = required.collect();
        for unique in self.resource.required().filter(|field| field.unique.is_some()) {
            body.insert(unique.name.to_owned(), json!("not-taken"));
        }
        body.insert(field.name.to_owned(), value.clone());
        let (admin, path) = (self.app.admin(), self.resource.path_of(&self.row));
        let expected = json!({ field.name: [sentence] });
        admin.post(self.resource.path, Value::Object(body.clone())).await.is(400, expected.clone());
        admin.put(&path, Value::Object(body)).await.is(400, expected.clone());
        admin.patch(&path, json!({ field.name: value })).await.is(400, expected);
    }

    async fn nothing_was_written(&self) {
        assert_eq!(self.app.contents().await, self.contents, "{}", self.resource.path);
    }
}

/// How many statements a read took. It is done once more, with the caller asked for, where something was committed
/// meanwhile, such as by another test; then that counts which took more of the two.
fn taken(statements: &[String]) -> usize {
    let asks_for_caller = |statement: &String| statement.contains("RECURSIVE host");
    let once = statements.split(asks_for_caller).map(<[String]>::len).max().unwrap_or_default();
    once + usize::from(statements.iter().any(asks_for_caller))
}

/// The number of statements must not grow with the rows, and every look-up that is added shows here.
#[tokio::test]
async fn reading_takes_few_statements_however_many_rows_there_are() {
    const ROWS: usize = 50;
    let app = TestApp::new().await;
    for resource in declared() {
        let mut row = Value::Null;
        for _ in 0..ROWS {
            row = app.row(&resource, app.fresh()).await;
        }
        // The proof of what is remembered at the begin and the end, callers, counts and rows; relations beside.
        let (most_to_retrieve, most_to_list) = match resource.path {
            EMAIL | USER_WRITE | INVITATION_STAGE => (4, 5),
            INVITATION => (5, 6),
            _ => (7, 8),
        };
        let statements = Statements::watch();
        app.admin().get(&resource.path_of(&row)).await.status(200);
        let seen = statements.take();
        assert!((1..=most_to_retrieve).contains(&taken(&seen)), "{} {seen:#?}", resource.path);

        // Nothing that one of them remembers serves the other.
        app.admin().get(&format!("{}?page_size=1", resource.path)).await.status(200);
        let for_one = statements.take();
        assert!((1..=most_to_list).contains(&taken(&for_one)), "{} {for_one:#?}", resource.path);
        let many = app.admin().get(&format!("{}?page_size={ROWS}", resource.path)).await.status(200);
        let for_many = statements.take();
        assert_eq!(many.rows().len(), ROWS, "{}", resource.path);
        assert!((1..=most_to_list).contains(&taken(&for_many)), "{} {for_many:#?}", resource.path);
    }
}
