//! The one place, with `insert.rs`, `updates.rs` and `lookups.rs`, that builds SQL text from a resource's declaration; here
//! are the SELECTs. Names come from the declaration alone, values are always bound, and every SELECT of a client's takes a
//! [`Restriction`].

use drf::Declaration;
use drf::declaration::PathKey;
use drf::field::{Field, Key};
use drf::intake::KeyValue;
use drf::page::Page;
use drf::params::{Condition, Operand, Order, Test, asc};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row};

use super::proof::Seen;
use super::search::Search;
use super::{Layout, PrimaryKey, Sql, json_lookup, volume};

/// What limits a SELECT to the rows that somebody may see. `auth::Scope` is one, and only a caller makes it: to forget
/// the permission check does not compile.
pub trait Restriction: Send + Sync {
    /// Add the condition to a WHERE clause; `pk` is the SQL of the row's key, and of which type.
    fn push(&self, query: &mut Sql, pk: &str, key: Key);

    /// Whether it limits nothing.
    fn is_all(&self) -> bool;
}

/// Which rows a SELECT is about.
pub struct Selection<'a> {
    /// Which tables the database has.
    pub layout: &'a Layout,
    /// What the caller may see.
    pub scope: &'a dyn Restriction,
    /// All of its terms must be found.
    pub search: &'a Search,
    /// All must hold.
    pub conditions: &'a [Condition],
    /// Where a statement leaves the snapshot under which it ran.
    pub seen: Option<&'a Seen>,
}

/// Two restrictions, both of which hold.
pub struct Both<'a>(pub &'a dyn Restriction, pub &'a dyn Restriction);

impl Restriction for Both<'_> {
    fn push(&self, query: &mut Sql, pk: &str, key: Key) {
        self.0.push(query, pk, key);
        query.push(" AND ");
        self.1.push(query, pk, key);
    }

    fn is_all(&self) -> bool {
        self.0.is_all() && self.1.is_all()
    }
}

impl Selection<'_> {
    /// Whether it is all rows that there are.
    fn is_all(&self) -> bool {
        self.scope.is_all() && self.search.is_empty() && self.conditions.is_empty()
    }
}

/// The columns of a row, as `alias.column AS "name"`; put together once a resource.
pub(super) fn push_columns(query: &mut Sql, declared: &Declaration, layout: &Layout) {
    let columns = layout.columns.get_or_make(declared.path, || {
        let column = |field: &Field| format!("{}.{} AS \"{}\"", field.alias(), field.column, field.name);
        let columns = declared.columns().map(column).collect::<Vec<_>>().join(", ");
        declared.extra_columns.iter().fold(columns, |columns, more| columns + &layout.sql(more))
    });
    query.push(columns);
}

fn push_from(query: &mut Sql, declared: &Declaration) {
    push_from_joining(query, declared, "JOIN");
}

fn push_from_joining(query: &mut Sql, declared: &Declaration, join: &str) {
    let table = declared.table;
    query.push(" FROM ").push(table.name).push(" t");
    if let Some(parent) = table.parent {
        query.push(format_args!(" {join} {} p ON p.{} = t.{}", parent.name, parent.pk, parent.link));
    }
    query.push(table.joins);
}

fn pk_expression(declared: &Declaration) -> String {
    format!("t.{}", declared.table.pk)
}

fn push_where(query: &mut Sql, declared: &Declaration, selection: &Selection<'_>) {
    query.push(" WHERE ").push(declared.rows).push(" AND ");
    selection.scope.push(query, &pk_expression(declared), declared.key);
    selection.search.push(query, declared, selection.layout);
    for condition in selection.conditions {
        query.push(" AND ");
        push_condition(query, selection.layout, condition);
    }
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
        (Test::Contains(object), Operand::Column(field)) => {
            query.push(format_args!("{}.{} @> ", field.alias(), field.column));
            query.bind(object.clone()).push("::jsonb");
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

pub(super) fn push_value(query: &mut Sql, test: &Test) {
    match test {
        Test::Text(value) | Test::Contains(value) => query.bind(value.clone()),
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

/// `ORDER BY`, backwards if asked. Behind the terms come the name, the default order and the key, so that pages are stable
/// where authentik leaves ties to the database.
fn push_order(query: &mut Sql, declared: &Declaration, order: &[Order], backwards: bool) {
    let direction = |descending| if descending == backwards { " ASC" } else { " DESC" };
    query.push(" ORDER BY ");
    if order.is_empty() {
        // authentik gives no order here, so rows come as the table holds them.
        query.push("t.ctid").push(direction(false));
        return;
    }
    let name = declared
        .fields
        .iter()
        .find(|field| field.sortable && field.name == "name")
        .map(|field| asc(field.name));
    let mut named: Vec<&str> = Vec::new();
    for term in order.iter().chain(&name).chain(declared.default_order) {
        if named.contains(&term.name) {
            continue;
        }
        named.push(term.name);
        match declared.fields.get(term.name) {
            Some(field) => query.push(format_args!("{}.{}", field.alias(), field.column)),
            None => match declared.order_expressions.iter().find(|(name, _)| *name == term.name) {
                Some((_, sql)) => query.push(*sql),
                None => continue,
            },
        };
        query.push(direction(term.descending)).push(", ");
    }
    query.push(pk_expression(declared)).push(direction(false));
}

/// How many rows a selection has.
pub async fn count(
    connection: &mut PgConnection,
    declared: &Declaration,
    selection: &Selection<'_>,
) -> sqlx::Result<i64> {
    let mut query = Sql::new("SELECT ");
    if selection.is_all() && selection.layout.counts(declared.table.name) {
        push_kept_count(&mut query, declared);
    } else {
        // A row has its parent by a foreign key: a LEFT JOIN that is of no use costs nothing.
        query.push("count(*)");
        push_from_joining(&mut query, declared, "LEFT JOIN");
        push_where(&mut query, declared, selection);
    }
    query.build_query_scalar().persistent(selection.search.is_empty()).fetch_one(connection).await
}

/// The count that our own database keeps, without the rows that no client meets.
fn push_kept_count(query: &mut Sql, declared: &Declaration) {
    let table = declared.table.name;
    query.push(format_args!(
        "(SELECT coalesce(sum(c.rows), 0)::bigint FROM ak_stages.row_count c WHERE c.table_name = '{table}') - \
         (SELECT count(*) FROM {table} t WHERE NOT ({}))",
        declared.rows
    ));
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

/// So many rows may be skipped by reading them; more are skipped by their keys.
const FEW_TO_SKIP: i64 = 100;
/// So many hits of a search are sorted, whatever PostgreSQL expects.
const FEW_HITS: i64 = 2_000;

/// One page of a selection.
pub async fn page<R: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
    connection: &mut PgConnection,
    declared: &Declaration,
    selection: &Selection<'_>,
    order: &[Order],
    page: &Page,
) -> sqlx::Result<Vec<R>> {
    let rows = page_rows(connection, declared, selection, order, page).await?;
    read_rows(&rows, selection.seen)
}

async fn page_rows(
    connection: &mut PgConnection,
    declared: &Declaration,
    selection: &Selection<'_>,
    order: &[Order],
    page: &Page,
) -> sqlx::Result<Vec<PgRow>> {
    let mut query = Sql::new("SELECT ");
    push_columns(&mut query, declared, selection.layout);
    push_snapshot(&mut query, selection.seen);
    push_from(&mut query, declared);
    let by_keys = page.offset() > FEW_TO_SKIP;
    if by_keys {
        query.push(format_args!(" WHERE {} = ANY(ARRAY(", pk_expression(declared)));
        push_keys(&mut query, declared, selection, order, page);
        query.push("))");
        push_order(&mut query, declared, order, false);
    } else {
        push_hits(&mut query, declared, selection, page);
        // A scan of the whole table comes in the table's own order (`synchronize_seqscans` is off).
        if !(order.is_empty() && selection.is_all()) {
            push_order(&mut query, declared, order, false);
        }
        query.push(format_args!(" LIMIT {}", page.size));
        if page.offset() > 0 {
            query.push(format_args!(" OFFSET {}", page.offset()));
        }
    }
    // The numbers stand in the text, since plans depend on them: so a statement is worth keeping for first pages alone, and
    // none with a search's terms.
    let kept = page.offset() == 0 && selection.search.is_empty();
    query.build().persistent(kept).try_map(volume::count).fetch_all(connection).await
}

/// The keys of a page, from the end of the list that is nearer.
fn push_keys(
    query: &mut Sql,
    declared: &Declaration,
    selection: &Selection<'_>,
    order: &[Order],
    page: &Page,
) {
    let behind = page.behind();
    let backwards = behind < page.offset();
    let skipped = if backwards { behind } else { page.offset() };
    query.push("SELECT ").push(pk_expression(declared));
    push_from(query, declared);
    push_hits(query, declared, selection, page);
    push_order(query, declared, order, backwards);
    query.push(format_args!(" LIMIT {} OFFSET {skipped}", page.rows()));
}

/// The condition of a page. Where a search has few hits they are found first: PostgreSQL, which has to guess their number,
/// might go through the table in the list's order instead and look at each row until the page is full.
fn push_hits(query: &mut Sql, declared: &Declaration, selection: &Selection<'_>, page: &Page) {
    if selection.search.is_empty() || page.count() > FEW_HITS {
        push_where(query, declared, selection);
        return;
    }
    let pk = pk_expression(declared);
    query.push(format_args!(" WHERE {pk} = ANY(ARRAY(SELECT {pk}"));
    push_from(query, declared);
    push_where(query, declared, selection);
    query.push("))");
}

/// The snapshot of the statement, if somebody wants it, as its last column.
fn push_snapshot(query: &mut Sql, seen: Option<&Seen>) {
    if seen.is_some() {
        query.push(", pg_current_snapshot()::text");
    }
}

fn read_rows<R: for<'r> FromRow<'r, PgRow>>(rows: &[PgRow], seen: Option<&Seen>) -> sqlx::Result<Vec<R>> {
    if let (Some(seen), Some(row)) = (seen, rows.last()) {
        seen.keep(row.try_get(row.len() - 1)?);
    }
    rows.iter().map(R::from_row).collect()
}

/// The object that a path names, or `None`.
pub async fn find<R: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
    connection: &mut PgConnection,
    declared: &Declaration,
    selection: &Selection<'_>,
    key: &PathKey,
    lock: Option<Lock>,
) -> sqlx::Result<Option<R>> {
    let row = find_row(connection, declared, selection, key, lock).await?;
    Ok(read_rows(row.as_slice(), selection.seen)?.pop())
}

async fn find_row(
    connection: &mut PgConnection,
    declared: &Declaration,
    selection: &Selection<'_>,
    key: &PathKey,
    lock: Option<Lock>,
) -> sqlx::Result<Option<PgRow>> {
    let mut query = Sql::new("SELECT ");
    push_columns(&mut query, declared, selection.layout);
    push_snapshot(&mut query, selection.seen);
    push_from(&mut query, declared);
    push_where(&mut query, declared, selection);
    query.push(" AND ").push(declared.lookup.expression).push(" = ");
    match key {
        PathKey::Uuid(uuid) => query.bind(*uuid),
        PathKey::Text(text) => query.bind(text.clone()),
        PathKey::Integer(number) => query.bind(*number),
    };
    query.push(lock.map_or(" LIMIT 1", Lock::sql));
    let query = query.build().persistent(selection.search.is_empty());
    query.try_map(volume::count).fetch_optional(connection).await
}

/// Hold a row until the transaction ends.
///
/// # Errors
/// The database failed.
pub async fn hold(
    connection: &mut PgConnection,
    declared: &Declaration,
    key: KeyValue,
    lock: Lock,
) -> sqlx::Result<()> {
    let mut query = Sql::new("SELECT 1 FROM ");
    query.push(declared.table.name).push(" t WHERE ").push(pk_expression(declared)).push(" = ");
    query.bind_key(key).push(lock.sql()).build().execute(connection).await?;
    Ok(())
}

/// Keys and names of rows of a selection, the first `most` by their keys, held until they are deleted: two requests that
/// want the same don't wait for each other crosswise.
///
/// # Errors
/// The database failed.
pub async fn hold_to_delete<K: PrimaryKey>(
    connection: &mut PgConnection,
    declared: &Declaration,
    selection: &Selection<'_>,
    most: i64,
) -> sqlx::Result<Vec<(K, String)>> {
    let pk = pk_expression(declared);
    let mut query = Sql::new("SELECT ");
    query.push(format_args!("{pk}, t.name"));
    push_from(&mut query, declared);
    push_where(&mut query, declared, selection);
    query.push(format_args!(" ORDER BY {pk} LIMIT {most}")).push(Lock::Delete.sql());
    query.build_query_as().persistent(selection.search.is_empty()).fetch_all(connection).await
}

/// The objects with these keys, whoever asks: for the answer to a write that was allowed, or inside an object that was
/// allowed.
pub async fn reload<R: for<'r> FromRow<'r, PgRow> + Send + Unpin, K: PrimaryKey>(
    connection: &mut PgConnection,
    declared: &Declaration,
    layout: &Layout,
    keys: Vec<K>,
    seen: Option<&Seen>,
) -> sqlx::Result<Vec<R>> {
    let rows = reload_rows(connection, declared, layout, keys, seen).await?;
    read_rows(&rows, seen)
}

async fn reload_rows<K: PrimaryKey>(
    connection: &mut PgConnection,
    declared: &Declaration,
    layout: &Layout,
    keys: Vec<K>,
    seen: Option<&Seen>,
) -> sqlx::Result<Vec<PgRow>> {
    let mut query = Sql::new("SELECT ");
    push_columns(&mut query, declared, layout);
    push_snapshot(&mut query, seen);
    push_from(&mut query, declared);
    query.push(format_args!(" WHERE {} = ANY(", pk_expression(declared)));
    query.bind(keys);
    query.push(")").build().try_map(volume::count).fetch_all(connection).await
}
