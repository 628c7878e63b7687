//! The one place that builds SQL text from a resource's declaration. Names come from the declaration alone, values
//! are always bound, and every SELECT of a client's takes a [`Restriction`].

use drf::Declaration;
use drf::declaration::PathKey;
use drf::field::{DefaultValue, Field, FieldKind, Fields, Key, Place, Target, Through};
use drf::intake::{Content, Draft, KeyValue, Reference};
use drf::page::Page;
use drf::params::{Condition, Existing, Operand, Order, Test, asc, contains_pattern};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::{Dictionary, Layout, PrimaryKey, Sql, json_lookup};
use crate::clock::Ids;

/// What limits a SELECT to the rows that somebody may see. `auth::Scope` is one, and only a caller makes it: to forget
/// the permission check does not compile.
pub trait Restriction: Send + Sync {
    /// Add the condition to a WHERE clause; `pk` is the SQL of the row's key.
    fn push(&self, query: &mut Sql, pk: &str);
}

/// Which rows a SELECT is about.
pub struct Selection<'a> {
    /// Which tables the database has.
    pub layout: &'a Layout,
    /// What the caller may see.
    pub scope: &'a dyn Restriction,
    /// All terms must be found in one of the resource's search expressions.
    pub search: &'a [String],
    /// All must hold.
    pub conditions: &'a [Condition],
}

/// The columns of a row, as `alias.column AS "name"`.
fn push_columns(query: &mut Sql, declared: &Declaration, layout: &Layout) {
    for (index, field) in declared.columns().enumerate() {
        query.push(if index > 0 { ", " } else { "" });
        query.push(format_args!("{}.{} AS \"{}\"", field.alias(), field.column, field.name));
    }
    query.push(layout.sql(declared.extra_columns));
}

fn push_from(query: &mut Sql, declared: &Declaration) {
    let table = declared.table;
    query.push(" FROM ").push(table.name).push(" t");
    if let Some(parent) = table.parent {
        query.push(format_args!(" JOIN {} p ON p.{} = t.{}", parent.name, parent.pk, parent.link));
    }
    query.push(table.joins);
}

fn pk_expression(declared: &Declaration) -> String {
    format!("t.{}", declared.table.pk)
}

fn push_where(query: &mut Sql, declared: &Declaration, selection: &Selection<'_>) {
    query.push(" WHERE ").push(declared.rows).push(" AND ");
    selection.scope.push(query, &pk_expression(declared));
    push_search(query, declared, selection.search);
    for condition in selection.conditions {
        query.push(" AND ");
        push_condition(query, selection.layout, condition);
    }
}

/// All terms have to be found. They are one parameter, since a query may hold more of them than a statement may have
/// parameters.
fn push_search(query: &mut Sql, declared: &Declaration, terms: &[String]) {
    if terms.is_empty() {
        return;
    }
    let patterns: Vec<String> = terms.iter().map(|term| contains_pattern(term)).collect();
    query.push(" AND NOT EXISTS (SELECT 1 FROM unnest(").bind(patterns).push(") AS term WHERE TRUE");
    for expression in declared.search {
        // Django's `icontains`.
        query.push(format_args!(" AND (UPPER(({expression})::text) LIKE UPPER(term)) IS NOT TRUE"));
    }
    query.push(")");
}

fn push_condition(query: &mut Sql, layout: &Layout, condition: &Condition) {
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
            json_lookup::push(query, column, lookups);
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

fn push_value(query: &mut Sql, test: &Test) {
    match test {
        Test::Text(value) => query.bind(value.clone()),
        Test::Boolean(boolean) => query.bind(*boolean),
        Test::Integer(number) => query.bind(*number),
        Test::Uuid(uuid) => query.bind(*uuid),
        Test::DateTime(instant) => query.bind(*instant),
        Test::Texts(texts) => query.bind(texts.clone()),
        Test::Uuids(uuids) => query.bind(uuids.clone()),
        Test::Integers(numbers) => query.bind(numbers.clone()),
        Test::Lookups(_) | Test::Holds | Test::Never => query,
    };
}

/// `ORDER BY`. Behind the terms come the name, the default order and the key, so that pages are stable where authentik
/// leaves ties to the database.
fn push_order(query: &mut Sql, declared: &Declaration, order: &[Order]) {
    query.push(" ORDER BY ");
    if order.is_empty() {
        // authentik gives no order here, so rows come as the table holds them.
        query.push("t.ctid");
        return;
    }
    let name = declared
        .fields
        .iter()
        .find(|field| field.sortable && field.name == "name")
        .map(|field| asc(field.name));
    for term in order.iter().chain(&name).chain(declared.default_order) {
        match declared.fields.get(term.name) {
            Some(field) => query.push(format_args!("{}.{}", field.alias(), field.column)),
            None => match declared.order_expressions.iter().find(|(name, _)| *name == term.name) {
                Some((_, sql)) => query.push(*sql),
                None => continue,
            },
        };
        query.push(if term.descending { " DESC, " } else { " ASC, " });
    }
    query.push(pk_expression(declared));
}

/// How many rows a selection has.
pub async fn count(
    connection: &mut PgConnection,
    declared: &Declaration,
    selection: &Selection<'_>,
) -> sqlx::Result<i64> {
    let mut query = Sql::new("SELECT count(*)");
    push_from(&mut query, declared);
    push_where(&mut query, declared, selection);
    query.build_query_scalar().fetch_one(connection).await
}

/// How a row is held until the transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// It will be changed: other rows may go on pointing at it meanwhile.
    Change,
    /// It will be deleted.
    Delete,
}

impl Lock {
    const fn sql(self) -> &'static str {
        match self {
            Self::Change => " FOR NO KEY UPDATE OF t",
            Self::Delete => " FOR UPDATE OF t",
        }
    }
}

/// One page of a selection.
pub async fn page<R: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
    connection: &mut PgConnection,
    declared: &Declaration,
    selection: &Selection<'_>,
    order: &[Order],
    page: &Page,
) -> sqlx::Result<Vec<R>> {
    let mut query = Sql::new("SELECT ");
    push_columns(&mut query, declared, selection.layout);
    push_from(&mut query, declared);
    push_where(&mut query, declared, selection);
    push_order(&mut query, declared, order);
    query.push(" LIMIT ").bind(page.size).push(" OFFSET ").bind(page.offset());
    query.build_query_as().fetch_all(connection).await
}

/// The object that a path names, or `None`.
pub async fn find<R: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
    connection: &mut PgConnection,
    declared: &Declaration,
    selection: &Selection<'_>,
    key: &PathKey,
    lock: Option<Lock>,
) -> sqlx::Result<Option<R>> {
    let mut query = Sql::new("SELECT ");
    push_columns(&mut query, declared, selection.layout);
    push_from(&mut query, declared);
    push_where(&mut query, declared, selection);
    query.push(" AND ").push(declared.lookup.expression).push(" = ");
    match key {
        PathKey::Uuid(uuid) => query.bind(*uuid),
        PathKey::Text(text) => query.bind(text.clone()),
        PathKey::Integer(number) => query.bind(*number),
    };
    query.push(lock.map_or(" LIMIT 1", Lock::sql));
    query.build_query_as().fetch_optional(connection).await
}

/// The objects with these keys, whoever asks: for the answer to a write that was allowed, or inside an object that was
/// allowed.
pub async fn reload<R: for<'r> FromRow<'r, PgRow> + Send + Unpin, K: PrimaryKey>(
    connection: &mut PgConnection,
    declared: &Declaration,
    layout: &Layout,
    keys: Vec<K>,
) -> sqlx::Result<Vec<R>> {
    let mut query = Sql::new("SELECT ");
    push_columns(&mut query, declared, layout);
    push_from(&mut query, declared);
    query.push(format_args!(" WHERE {} = ANY(", pk_expression(declared)));
    query.bind(keys);
    query.push(")").build_query_as().fetch_all(connection).await
}

/// Insert a row and its parent with one statement, and give its key. Every column is named: no table of Django's has defaults, but for
/// keys that the database counts.
pub async fn insert<K: PrimaryKey>(
    connection: &mut PgConnection,
    declared: &Declaration,
    ids: &Ids,
    draft: &Draft,
) -> sqlx::Result<K> {
    let table = declared.table;
    let pk = K::next(ids);
    let mut query = Sql::new("");
    let mut link = None;
    if let Some(parent) = table.parent {
        query.push("WITH parent AS (");
        if parent.shares_key(&table) {
            push_insert(&mut query, parent.name, (parent.pk, pk), None, declared, Place::Parent, draft)?;
        } else {
            let key = ids.next();
            push_insert(
                &mut query,
                parent.name,
                (parent.pk, Some(key)),
                None,
                declared,
                Place::Parent,
                draft,
            )?;
            link = Some((parent.link, key));
        }
        query.push(") ");
    }
    push_insert(&mut query, table.name, (table.pk, pk), link, declared, Place::Own, draft)?;
    query.push(format_args!(" RETURNING {}", table.pk));
    query.build_query_scalar().fetch_one(connection).await
}

/// `INSERT INTO … VALUES …` with the fields of a place.
fn push_insert<K: PrimaryKey>(
    query: &mut Sql,
    table: &str,
    (pk_column, pk): (&str, Option<K>),
    link: Option<(&str, Uuid)>,
    declared: &Declaration,
    place: Place,
    draft: &Draft,
) -> sqlx::Result<()> {
    let is_key = |column| column == pk_column || link.is_some_and(|(link_column, _)| column == link_column);
    let columns: Vec<&Field> =
        declared.fields.iter().filter(|field| field.place == place && !is_key(field.column)).collect();
    let keys = [pk_column].into_iter().chain(link.map(|(column, _)| column));
    let names: Vec<&str> = keys.chain(columns.iter().map(|field| field.column)).collect();
    query.push(format_args!("INSERT INTO {table} ({}) VALUES (", names.join(", ")));
    match pk {
        Some(pk) => query.bind(pk),
        None => query.push("DEFAULT"), // counted
    };
    if let Some((_, key)) = link {
        query.push(", ").bind(key);
    }
    for field in columns {
        query.push(", ");
        match draft.get(field) {
            Some(content) => push_content(query, content),
            None => push_default(query, field)?,
        }
    }
    query.push(")");
    Ok(())
}

fn push_content(query: &mut Sql, content: &Content) {
    match content {
        Content::Text(text) => query.bind(text.clone()),
        Content::Integer(number) => query.bind(*number),
        Content::Boolean(boolean) => query.bind(*boolean),
        Content::Uuid(uuid) => query.bind(*uuid),
        Content::DateTime(instant) => query.bind(*instant),
        Content::Dictionary(dictionary) => query.bind(Dictionary(dictionary.clone())),
        Content::Keys(keys) => match keys.first().map(|key| key.key) {
            Some(KeyValue::Uuid(uuid)) => query.bind(uuid),
            Some(KeyValue::Integer(number)) => query.bind(number),
            None => query.push("NULL"),
        },
        Content::Null | Content::Objects(_) => query.push("NULL"),
    };
}

fn push_default(query: &mut Sql, field: &Field) -> sqlx::Result<()> {
    match field.default {
        DefaultValue::None => {
            let sentence = format!("field {} has no value and no default", field.name);
            return Err(sqlx::Error::Encode(sentence.into()));
        }
        DefaultValue::Null => query.push("NULL"),
        DefaultValue::Text(text) => query.bind(text),
        DefaultValue::Integer(number) => query.bind(number),
        DefaultValue::Boolean(boolean) => query.bind(boolean),
        DefaultValue::EmptyObject => query.push("'{}'::jsonb"),
    };
    Ok(())
}

/// Write the fields that the draft names, in the parent table and the own one.
pub async fn update(
    connection: &mut PgConnection,
    declared: &Declaration,
    pk: impl PrimaryKey,
    draft: &Draft,
) -> sqlx::Result<()> {
    let table = declared.table;
    if let Some(parent) = table.parent {
        let head = format!("UPDATE {} SET ", parent.name);
        let tail = format!(
            " WHERE {} = (SELECT {} FROM {} WHERE {} = ",
            parent.pk, parent.link, table.name, table.pk
        );
        update_one(connection, declared.fields, Place::Parent, draft, head, tail, pk, ")").await?;
    }
    let head = format!("UPDATE {} SET ", table.name);
    let tail = format!(" WHERE {} = ", table.pk);
    update_one(connection, declared.fields, Place::Own, draft, head, tail, pk, "").await
}

#[expect(clippy::too_many_arguments, reason = "the two calls above differ in all of them")]
async fn update_one(
    connection: &mut PgConnection,
    fields: Fields,
    place: Place,
    draft: &Draft,
    head: String,
    tail: String,
    pk: impl PrimaryKey,
    end: &str,
) -> sqlx::Result<()> {
    let mut query = Sql::new(&head);
    let mut any = false;
    for field in fields.iter().filter(|field| field.place == place) {
        let Some(content) = draft.get(field) else {
            continue;
        };
        query.push(if any { ", " } else { "" }).push(field.column).push(" = ");
        push_content(&mut query, content);
        any = true;
    }
    if any {
        query.push(tail).bind(pk).push(end).build().execute(connection).await?;
    }
    Ok(())
}

/// Let `holder` hold these and no others. Links that stay aren't touched.
///
/// # Errors
/// The database failed.
pub async fn link<H: PrimaryKey, K: PrimaryKey>(
    connection: &mut PgConnection,
    layout: &Layout,
    through: &'static Through,
    holder: H,
    keys: &[K],
    ids: &Ids,
) -> sqlx::Result<()> {
    let (table, holder_column, held) = (layout.sql(through.table), through.holder, through.held);
    let mut delete = Sql::new("DELETE FROM ");
    delete.push(format_args!("{table} WHERE {holder_column} = ")).bind(holder);
    delete.push(format_args!(" AND {held} <> ALL(")).bind(keys.to_vec()).push(")");
    delete.build().execute(&mut *connection).await?;
    if keys.is_empty() {
        return Ok(());
    }
    let mut insert = Sql::new("INSERT INTO ");
    insert.push(&table).push(" (");
    if let Some(key) = through.key {
        insert.push(key).push(", ");
    }
    insert.push(format_args!("{holder_column}, {held}) SELECT "));
    if through.key.is_some() {
        insert.push("n.key, ");
    }
    insert.bind(holder).push(", n.held FROM unnest(");
    let new: Vec<Uuid> = keys.iter().filter(|_| through.key.is_some()).map(|_| ids.next()).collect();
    insert.bind(new).push(", ").bind(keys.to_vec());
    insert.push(format_args!(
        ") AS n (key, held) WHERE NOT EXISTS (SELECT 1 FROM {table} x WHERE x.{holder_column} = "
    ));
    insert.bind(holder).push(format_args!(" AND x.{held} = n.held) ON CONFLICT DO NOTHING"));
    insert.build().execute(connection).await?;
    Ok(())
}

/// A fact about the database that validation needs.
pub struct Probe<'a> {
    /// The field that is wrong when the fact isn't as it should be.
    pub field: &'static Field,
    /// The fact.
    pub fact: Fact<'a>,
}

/// See [`Probe`].
pub enum Fact<'a> {
    /// The target table has all these keys.
    Exist(&'static Target, &'a [Reference]),
    /// No other row has this text in that column.
    Unique(&'static Field, &'a str),
}

/// The facts that a draft depends on: every foreign key exists, every unique text is free.
pub fn probes<'d>(declared: &Declaration, draft: &'d Draft) -> Vec<Probe<'d>> {
    let mut probes = Vec::new();
    for field in declared.fields.iter().filter(|field| field.writable()) {
        let fact = match (field.kind, field.unique, draft.get(field)) {
            (FieldKind::ForeignKey(target) | FieldKind::Many(target, _), _, Some(Content::Keys(keys))) => {
                Fact::Exist(target, keys)
            }
            (_, Some(_), Some(Content::Text(text))) => Fact::Unique(field, text),
            _ => continue,
        };
        probes.push(Probe { field, fact });
    }
    probes
}

/// Look all facts up with one statement: `None` where the fact is as it should be, else the index of the first of its
/// keys that is missing, or 0 for a text that is taken. `pk` is the row that is updated. A key that `nameable` leaves out
/// counts as missing, unless the row holds it already.
pub async fn look_up<R: Restriction>(
    connection: &mut PgConnection,
    declared: &Declaration,
    layout: &Layout,
    probes: &[Probe<'_>],
    pk: Option<impl PrimaryKey>,
    nameable: impl Fn(&Target) -> Option<R>,
) -> sqlx::Result<Vec<Option<usize>>> {
    if probes.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = Sql::new("SELECT ARRAY[");
    for (index, probe) in probes.iter().enumerate() {
        query.push(if index > 0 { ", (" } else { "(" });
        match &probe.fact {
            Fact::Exist(target, keys) => {
                push_missing(&mut query, target, keys);
                if let Some(scope) = nameable(target) {
                    query.push(" AND (");
                    scope.push(&mut query, &format!("x.{}", target.pk));
                    push_or_held(&mut query, declared, layout, probe.field, pk);
                    query.push(")");
                }
                query.push(")");
            }
            Fact::Unique(field, text) => push_taken(&mut query, declared, field, text, pk),
        }
        query.push(")");
    }
    query.push("]");
    let wrong: Vec<Option<i64>> = query.build_query_scalar().fetch_one(connection).await?;
    Ok(wrong.into_iter().map(|index| index.map(|index| usize::try_from(index).unwrap_or_default())).collect())
}

/// `SELECT` the index of the first missing key, its last parenthesis left open. The keys are one parameter, since a request may name more of them than
/// a statement may have parameters.
fn push_missing(query: &mut Sql, target: &Target, keys: &[Reference]) {
    let (mut uuids, mut integers) = (Vec::new(), Vec::new());
    for key in keys {
        match key.key {
            KeyValue::Uuid(uuid) => uuids.push(uuid),
            KeyValue::Integer(number) => integers.push(number),
        }
    }
    query.push("SELECT min(k.position) - 1 FROM unnest(");
    match target.key {
        Key::Uuid => query.bind(uuids),
        Key::Integer => query.bind(integers),
    };
    query.push(format_args!(
        ") WITH ORDINALITY AS k (key, position) WHERE NOT EXISTS (SELECT 1 FROM {} x WHERE x.{} = k.key",
        target.table, target.pk
    ));
}

/// `OR` the row `pk` holds the key already.
fn push_or_held(
    query: &mut Sql,
    declared: &Declaration,
    layout: &Layout,
    field: &Field,
    pk: Option<impl PrimaryKey>,
) {
    let Some(pk) = pk else { return };
    let (table, holder, held) = match field.kind {
        FieldKind::Many(_, through) => (layout.sql(through.table), through.holder, through.held),
        _ if field.place == Place::Own => (declared.table.name.into(), declared.table.pk, field.column),
        _ => return,
    };
    query.push(format_args!(" OR EXISTS (SELECT 1 FROM {table} h WHERE h.{held} = k.key AND h.{holder} = "));
    query.bind(pk).push(")");
}

/// `SELECT` 0 if another row than `pk` has the text.
fn push_taken(
    query: &mut Sql,
    declared: &Declaration,
    field: &Field,
    text: &str,
    pk: Option<impl PrimaryKey>,
) {
    let table = declared.table;
    let (name, key, link) = match table.parent.filter(|_| field.place == Place::Parent) {
        Some(parent) => (parent.name, parent.pk, parent.link),
        None => (table.name, table.pk, table.pk),
    };
    query.push(format_args!("SELECT 0::bigint FROM {name} x WHERE x.{} = ", field.column));
    query.bind(text.to_owned());
    if let Some(pk) = pk {
        query.push(format_args!(" AND x.{key} <> (SELECT {link} FROM {} WHERE {} = ", table.name, table.pk));
        query.bind(pk).push(")");
    }
    query.push(" LIMIT 1");
}

/// The first filter that names a row which isn't there, with the sentence about it.
///
/// # Errors
/// The database failed.
pub async fn missing(
    connection: &mut PgConnection,
    existing: &[Existing],
) -> sqlx::Result<Option<(&'static str, String)>> {
    for Existing { name, rows, values, sentence } in existing {
        let mut query = Sql::new("SELECT given.value::text FROM unnest(");
        push_value(&mut query, values);
        query.push(format_args!(
            ") WITH ORDINALITY AS given (value, at) \
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
