//! The one place that builds SQL text from a resource's declaration. Names come from the declaration alone, values
//! are always bound, and every SELECT takes a [`Scope`].

use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::field::{DefaultValue, Field, Key, Kind, Place, Target};
use super::intake::{Content, Draft, ForeignKey, KeyValue};
use super::json_lookup_sql;
use super::page::Page;
use super::params::{Condition, Existing, Operand, Order, Test, asc, contains_pattern};
use super::resource::{LookupKind, PrimaryKey, Resource};
use crate::auth::rbac::Scope;
use crate::clock::Ids;
use crate::db::Layout;
use crate::error::ApiError;

/// Which rows a SELECT is about.
pub struct Selection<'a> {
    /// Which tables the database has.
    pub layout: &'a Layout,
    /// What the caller may see.
    pub scope: &'a Scope,
    /// All terms must be found in one of the resource's search expressions.
    pub search: &'a [String],
    /// All must hold.
    pub conditions: &'a [Condition],
}

/// The columns of `R`, as `alias.column AS "name"`.
fn push_columns<R: Resource>(query: &mut QueryBuilder<Postgres>, layout: &Layout) {
    let mut separated = query.separated(", ");
    for field in selected(R::FIELDS) {
        separated.push(format_args!("{}.{} AS \"{}\"", field.alias(), field.column, field.name));
    }
    query.push(layout.sql(R::EXTRA_COLUMNS));
}

/// The fields that the row itself holds.
pub fn selected(fields: &'static [Field]) -> impl Iterator<Item = &'static Field> {
    fields.iter().filter(|field| {
        field.readable() && field.place != Place::Nowhere && !matches!(field.kind, Kind::Nested { .. })
    })
}

fn push_from<R: Resource>(query: &mut QueryBuilder<Postgres>) {
    let table = R::TABLE;
    query.push(" FROM ").push(table.name).push(" t");
    if let Some(parent) = table.parent {
        query.push(format_args!(" JOIN {} p ON p.{} = t.{}", parent.name, parent.pk, parent.link));
    }
    query.push(table.joins);
}

fn pk_expression<R: Resource>() -> String {
    format!("t.{}", R::TABLE.pk)
}

fn push_where<R: Resource>(query: &mut QueryBuilder<Postgres>, selection: &Selection<'_>) {
    query.push(" WHERE ").push(R::ROWS).push(" AND ");
    selection.scope.push(query, &pk_expression::<R>());
    push_search::<R>(query, selection.search);
    for condition in selection.conditions {
        query.push(" AND ");
        push_condition(query, selection.layout, condition);
    }
}

/// All terms have to be found. They are one parameter, since a query may hold more of them than a statement may have
/// parameters.
fn push_search<R: Resource>(query: &mut QueryBuilder<Postgres>, terms: &[String]) {
    if terms.is_empty() {
        return;
    }
    let patterns: Vec<String> = terms.iter().map(|term| contains_pattern(term)).collect();
    query.push(" AND NOT EXISTS (SELECT 1 FROM unnest(").push_bind(patterns).push(") AS term WHERE TRUE");
    for expression in R::SEARCH {
        // Django's `icontains`.
        query.push(format_args!(" AND (UPPER(({expression})::text) LIKE UPPER(term)) IS NOT TRUE"));
    }
    query.push(")");
}

fn push_condition(query: &mut QueryBuilder<Postgres>, layout: &Layout, condition: &Condition) {
    match (&condition.test, condition.operand) {
        (Test::Never, _) => {
            query.push("FALSE");
        }
        (Test::Holds, Operand::Expression(sql)) => {
            query.push("(").push(layout.sql(sql)).push(")");
        }
        (Test::Holds, Operand::Column(field)) => {
            query.push(format_args!("{}.{}", field.alias(), field.column));
        }
        (Test::Lookups(lookups), Operand::Expression(column)) => {
            json_lookup_sql::push(query, column, lookups);
        }
        (test, Operand::Column(field)) => {
            query.push(format_args!("{}.{} = ", field.alias(), field.column));
            push_value(query, test);
        }
        (test, Operand::Expression(sql)) => {
            let sql = layout.sql(sql);
            let (before, after) = sql.split_once("{}").unwrap_or((&sql, ""));
            query.push(before).push(if before.len() == sql.len() { " = " } else { "" });
            push_value(query, test);
            query.push(after);
        }
    }
}

fn push_value(query: &mut QueryBuilder<Postgres>, test: &Test) {
    match test {
        Test::Text(value) => query.push_bind(value.clone()),
        Test::Boolean(boolean) => query.push_bind(*boolean),
        Test::Integer(number) => query.push_bind(*number),
        Test::Uuid(uuid) => query.push_bind(*uuid),
        Test::DateTime(instant) => query.push_bind(*instant),
        Test::Texts(texts) => query.push_bind(texts.clone()),
        Test::Uuids(uuids) => query.push_bind(uuids.clone()),
        Test::Integers(numbers) => query.push_bind(numbers.clone()),
        Test::Lookups(_) | Test::Holds | Test::Never => query,
    };
}

/// `ORDER BY`. Behind the terms come the name, the default order and the key, so that pages are stable where authentik
/// leaves ties to the database.
fn push_order<R: Resource>(query: &mut QueryBuilder<Postgres>, order: &[Order]) {
    query.push(" ORDER BY ");
    if order.is_empty() {
        // authentik gives no order here, so rows come as the table holds them.
        query.push("t.ctid");
        return;
    }
    let name =
        R::FIELDS.iter().find(|field| field.sortable && field.name == "name").map(|field| asc(field.name));
    for term in order.iter().chain(&name).chain(R::DEFAULT_ORDER) {
        match R::FIELDS.iter().find(|field| field.name == term.name) {
            Some(field) => query.push(format_args!("{}.{}", field.alias(), field.column)),
            None => match R::ORDER_EXPRESSIONS.iter().find(|(name, _)| *name == term.name) {
                Some((_, sql)) => query.push(*sql),
                None => continue,
            },
        };
        query.push(if term.descending { " DESC, " } else { " ASC, " });
    }
    query.push(pk_expression::<R>());
}

/// How many rows a selection has.
pub async fn count<R: Resource>(
    connection: &mut PgConnection,
    selection: &Selection<'_>,
) -> Result<i64, ApiError> {
    let mut query = QueryBuilder::new("SELECT count(*)");
    push_from::<R>(&mut query);
    push_where::<R>(&mut query, selection);
    Ok(query.build_query_scalar().fetch_one(connection).await?)
}

/// One page of a selection.
pub async fn page<R: Resource>(
    connection: &mut PgConnection,
    selection: &Selection<'_>,
    order: &[Order],
    page: &Page,
) -> Result<Vec<R>, ApiError> {
    let mut query = QueryBuilder::new("SELECT ");
    push_columns::<R>(&mut query, selection.layout);
    push_from::<R>(&mut query);
    push_where::<R>(&mut query, selection);
    push_order::<R>(&mut query, order);
    query.push(" LIMIT ").push_bind(page.size).push(" OFFSET ").push_bind(page.offset());
    Ok(query.build_query_as().fetch_all(connection).await?)
}

/// The object that a path names, or `None`. `lock` holds the row until the transaction ends.
pub async fn find<R: Resource>(
    connection: &mut PgConnection,
    selection: &Selection<'_>,
    key: &PathKey,
    lock: bool,
) -> Result<Option<R>, ApiError> {
    let mut query = QueryBuilder::new("SELECT ");
    push_columns::<R>(&mut query, selection.layout);
    push_from::<R>(&mut query);
    push_where::<R>(&mut query, selection);
    query.push(" AND ").push(R::LOOKUP.expression).push(" = ");
    match key {
        PathKey::Uuid(uuid) => query.push_bind(*uuid),
        PathKey::Text(text) => query.push_bind(text.clone()),
        PathKey::Integer(number) => query.push_bind(*number),
    };
    query.push(if lock { " FOR UPDATE OF t" } else { " LIMIT 1" });
    Ok(query.build_query_as().fetch_optional(connection).await?)
}

/// The objects with these keys, whoever asks: for the answer to a write that was allowed, or inside an object that was
/// allowed.
pub async fn reload<R: Resource>(
    connection: &mut PgConnection,
    layout: &Layout,
    keys: Vec<R::Key>,
) -> Result<Vec<R>, ApiError> {
    let mut query = QueryBuilder::new("SELECT ");
    push_columns::<R>(&mut query, layout);
    push_from::<R>(&mut query);
    query.push(format_args!(" WHERE {} = ANY(", pk_expression::<R>()));
    query.push_bind(keys);
    Ok(query.push(")").build_query_as().fetch_all(connection).await?)
}

/// A path parameter, read as [`LookupKind`] says.
#[derive(Debug, Clone)]
pub enum PathKey {
    /// A UUID.
    Uuid(Uuid),
    /// A slug or an identifier.
    Text(String),
    /// A number.
    Integer(i32),
}

impl PathKey {
    /// `None` where the text can't be a key of this kind.
    pub fn read(kind: LookupKind, text: &str) -> Option<Self> {
        match kind {
            LookupKind::Uuid => super::python::uuid(text).map(Self::Uuid),
            LookupKind::Text => (!text.contains('\0')).then(|| Self::Text(text.to_owned())),
            LookupKind::Integer => {
                super::python::int(text).and_then(|n| i32::try_from(n).ok()).map(Self::Integer)
            }
        }
    }
}

/// Insert a row, its parent first, and give its key. Every column is named: no table of Django's has defaults, but for
/// keys that the database counts.
pub async fn insert<R: Resource>(
    connection: &mut PgConnection,
    ids: &Ids,
    draft: &Draft,
) -> Result<R::Key, ApiError> {
    let table = R::TABLE;
    let pk = R::Key::next(ids);
    let link = match table.parent {
        None => None,
        Some(parent) if parent.shares_key(&table) => {
            let key = (parent.pk, pk);
            insert_into(connection, parent.name, key, None, R::FIELDS, Place::Parent, draft).await?;
            None
        }
        Some(parent) => {
            let key = (parent.pk, Uuid::next(ids));
            let key =
                insert_into(connection, parent.name, key, None, R::FIELDS, Place::Parent, draft).await?;
            Some((parent.link, key))
        }
    };
    insert_into(connection, table.name, (table.pk, pk), link, R::FIELDS, Place::Own, draft).await
}

async fn insert_into<K: PrimaryKey>(
    connection: &mut PgConnection,
    table: &str,
    (pk_column, pk): (&str, Option<K>),
    link: Option<(&str, Uuid)>,
    fields: &'static [Field],
    place: Place,
    draft: &Draft,
) -> Result<K, ApiError> {
    let is_key = |column| column == pk_column || link.is_some_and(|(link_column, _)| column == link_column);
    let columns: Vec<&Field> = fields.iter().filter(|f| f.place == place && !is_key(f.column)).collect();
    let mut query = QueryBuilder::new("INSERT INTO ");
    query.push(table).push(" (");
    let keys = [pk_column].into_iter().chain(link.map(|(column, _)| column));
    let mut names = query.separated(", ");
    for name in keys.chain(columns.iter().map(|field| field.column)) {
        names.push(name);
    }
    query.push(") VALUES (");
    match pk {
        Some(pk) => query.push_bind(pk),
        None => query.push("DEFAULT"), // counted
    };
    if let Some((_, key)) = link {
        query.push(", ").push_bind(key);
    }
    for field in columns {
        query.push(", ");
        match draft.get(field.name) {
            Some(content) => push_content(&mut query, content),
            None => push_default(&mut query, field)?,
        }
    }
    query.push(format_args!(") RETURNING {pk_column}"));
    Ok(query.build_query_scalar().fetch_one(connection).await?)
}

fn push_content(query: &mut QueryBuilder<Postgres>, content: &Content) {
    match content {
        Content::Text(text) => query.push_bind(text.clone()),
        Content::Integer(number) => query.push_bind(*number),
        Content::Boolean(boolean) => query.push_bind(*boolean),
        Content::Uuid(uuid) => query.push_bind(*uuid),
        Content::DateTime(instant) => query.push_bind(*instant),
        Content::Dictionary(dictionary) => query.push_bind(dictionary.clone()),
        Content::Keys(keys) => match keys.first().map(|key| key.key) {
            Some(KeyValue::Uuid(uuid)) => query.push_bind(uuid),
            Some(KeyValue::Integer(number)) => query.push_bind(number),
            None => query.push("NULL"),
        },
        Content::Null | Content::Objects(_) => query.push("NULL"),
    };
}

fn push_default(query: &mut QueryBuilder<Postgres>, field: &Field) -> Result<(), ApiError> {
    match field.default {
        DefaultValue::None => {
            return Err(anyhow::anyhow!("field {} has no value and no default", field.name).into());
        }
        DefaultValue::Null => query.push("NULL"),
        DefaultValue::Text(text) => query.push_bind(text),
        DefaultValue::Integer(number) => query.push_bind(number),
        DefaultValue::Boolean(boolean) => query.push_bind(boolean),
        DefaultValue::EmptyObject => query.push("'{}'::jsonb"),
    };
    Ok(())
}

/// Write the fields that the draft names, in the parent table and the own one.
pub async fn update<R: Resource>(
    connection: &mut PgConnection,
    pk: R::Key,
    draft: &Draft,
) -> Result<(), ApiError> {
    let table = R::TABLE;
    if let Some(parent) = table.parent {
        let head = format!("UPDATE {} SET ", parent.name);
        let tail = format!(
            " WHERE {} = (SELECT {} FROM {} WHERE {} = ",
            parent.pk, parent.link, table.name, table.pk
        );
        update_one(connection, R::FIELDS, Place::Parent, draft, head, tail, pk, ")").await?;
    }
    let head = format!("UPDATE {} SET ", table.name);
    let tail = format!(" WHERE {} = ", table.pk);
    update_one(connection, R::FIELDS, Place::Own, draft, head, tail, pk, "").await
}

#[expect(clippy::too_many_arguments, reason = "the two calls above differ in all of them")]
async fn update_one(
    connection: &mut PgConnection,
    fields: &'static [Field],
    place: Place,
    draft: &Draft,
    head: String,
    tail: String,
    pk: impl PrimaryKey,
    end: &str,
) -> Result<(), ApiError> {
    let mut query = QueryBuilder::new(head);
    let mut any = false;
    for field in fields.iter().filter(|field| field.place == place) {
        let Some(content) = draft.get(field.name) else {
            continue;
        };
        query.push(if any { ", " } else { "" }).push(field.column).push(" = ");
        push_content(&mut query, content);
        any = true;
    }
    if any {
        query.push(tail).push_bind(pk).push(end).build().execute(connection).await?;
    }
    Ok(())
}

/// A fact about the database that validation needs.
pub struct Probe<'a> {
    /// The field that is wrong when the fact isn't as it should be.
    pub field: &'static str,
    /// The fact.
    pub fact: Fact<'a>,
}

/// See [`Probe`].
pub enum Fact<'a> {
    /// The target table has all these keys.
    Exist(&'static Target, &'a [ForeignKey]),
    /// No other row has this text in that column.
    Unique(&'static Field, &'a str),
}

/// The facts that a draft depends on: every foreign key exists, every unique text is free.
pub fn probes<R: Resource>(draft: &Draft) -> Vec<Probe<'_>> {
    let mut probes = Vec::new();
    for field in R::FIELDS.iter().filter(|field| field.writable()) {
        let fact = match (field.kind, field.unique, draft.get(field.name)) {
            (Kind::ForeignKey(target) | Kind::Many(target), _, Some(Content::Keys(keys))) => {
                Fact::Exist(target, keys)
            }
            (_, Some(_), Some(Content::Text(text))) => Fact::Unique(field, text),
            _ => continue,
        };
        probes.push(Probe { field: field.name, fact });
    }
    probes
}

/// Look all facts up with one statement: `None` where the fact is as it should be, else the index of the first of its
/// keys that is missing, or 0 for a text that is taken. `pk` is the row that is updated.
pub async fn look_up<R: Resource>(
    connection: &mut PgConnection,
    probes: &[Probe<'_>],
    pk: Option<R::Key>,
) -> Result<Vec<Option<usize>>, ApiError> {
    if probes.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::new("SELECT ARRAY[");
    for (index, probe) in probes.iter().enumerate() {
        query.push(if index > 0 { ", (" } else { "(" });
        match &probe.fact {
            Fact::Exist(target, keys) => push_missing(&mut query, target, keys),
            Fact::Unique(field, text) => push_taken::<R>(&mut query, field, text, pk),
        }
        query.push(")");
    }
    query.push("]");
    let wrong: Vec<Option<i64>> = query.build_query_scalar().fetch_one(connection).await?;
    Ok(wrong.into_iter().map(|index| index.map(|index| usize::try_from(index).unwrap_or_default())).collect())
}

/// `SELECT` the index of the first missing key. The keys are one parameter, since a request may name more of them than
/// a statement may have parameters.
fn push_missing(query: &mut QueryBuilder<Postgres>, target: &Target, keys: &[ForeignKey]) {
    let (mut uuids, mut integers) = (Vec::new(), Vec::new());
    for key in keys {
        match key.key {
            KeyValue::Uuid(uuid) => uuids.push(uuid),
            KeyValue::Integer(number) => integers.push(number),
        }
    }
    query.push("SELECT min(k.position) - 1 FROM unnest(");
    match target.key {
        Key::Uuid => query.push_bind(uuids),
        Key::Integer => query.push_bind(integers),
    };
    query.push(format_args!(
        ") WITH ORDINALITY AS k (key, position) WHERE NOT EXISTS (SELECT 1 FROM {} x WHERE x.{} = k.key)",
        target.table, target.pk
    ));
}

/// `SELECT` 0 if another row than `pk` has the text.
fn push_taken<R: Resource>(
    query: &mut QueryBuilder<Postgres>,
    field: &Field,
    text: &str,
    pk: Option<R::Key>,
) {
    let table = R::TABLE;
    let (name, key, link) = match table.parent.filter(|_| field.place == Place::Parent) {
        Some(parent) => (parent.name, parent.pk, parent.link),
        None => (table.name, table.pk, table.pk),
    };
    query.push(format_args!("SELECT 0::bigint FROM {name} x WHERE x.{} = ", field.column));
    query.push_bind(text.to_owned());
    if let Some(pk) = pk {
        query.push(format_args!(" AND x.{key} <> (SELECT {link} FROM {} WHERE {} = ", table.name, table.pk));
        query.push_bind(pk).push(")");
    }
    query.push(" LIMIT 1");
}

/// The first filter that names a row which isn't there, with the sentence about it.
pub async fn missing(
    connection: &mut PgConnection,
    existing: &[Existing],
) -> Result<Option<(&'static str, String)>, ApiError> {
    for Existing { name, rows, values, sentence } in existing {
        let mut query = QueryBuilder::<Postgres>::new("SELECT given.value::text FROM unnest(");
        push_value(&mut query, values);
        let values_are = match values {
            Test::Texts(_) => "text[]",
            Test::Integers(_) => "int[]",
            _ => "uuid[]",
        };
        query.push(format_args!(
            "::{values_are}) WITH ORDINALITY AS given (value, at) \
             WHERE NOT EXISTS (SELECT 1 FROM {} AS known WHERE known.{} = given.value) ORDER BY given.at LIMIT 1",
            rows.table, rows.column
        ));
        let missing: Option<String> = query.build_query_scalar().fetch_optional(&mut *connection).await?;
        if let Some(value) = missing {
            return Ok(Some((name, sentence(&value))));
        }
    }
    Ok(None)
}
