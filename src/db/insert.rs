//! INSERTs made from declarations: a row and its parent, the rows that go with it, and the row as answers show it, all
//! with one statement.

use chrono::{DateTime, Utc};
use drf::Declaration;
use drf::declaration::Parent;
use drf::field::{DefaultValue, Field, Place};
use drf::intake::{Content, Draft, KeyValue};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::content::{push_content, push_default};
use super::statements::push_columns;
use super::{Dictionary, Layout, Sql};
use crate::clock::Ids;

/// New rows of one table, and of its parent, that are inserted together, however many. Their keys are UUIDs.
pub struct NewRows {
    declared: &'static Declaration,
    /// Their keys, with those of the parent's rows where these have keys of their own.
    keys: Vec<(Uuid, Uuid)>,
    columns: Vec<(&'static Field, Values)>,
}

/// What a field is in [`NewRows`]. A field that isn't named gets its default.
pub enum Values {
    /// The same in all of them.
    Same(Content),
    /// A UUID for each.
    Uuids(Vec<Uuid>),
    /// A text for each, or the field's default.
    Texts(Vec<Option<String>>),
    /// A boolean for each, or the field's default.
    Booleans(Vec<Option<bool>>),
    /// An instant for each, or the field's default.
    DateTimes(Vec<Option<DateTime<Utc>>>),
    /// A JSON object for each, or the field's default.
    Dictionaries(Vec<Option<Dictionary>>),
    /// The key of another row for each, or the field's default.
    Keys(Vec<Option<Uuid>>),
    /// SQL over the row `given` of the rows `given`: its `position` from 1, and what was given for it by the names of the
    /// columns.
    Sql(&'static str),
}

impl NewRows {
    /// So many new rows.
    pub fn new(declared: &'static Declaration, ids: &Ids, count: usize) -> Self {
        let linked = declared.table.link().is_some();
        let keys = (0..count).map(|_| {
            let key = ids.next();
            (key, if linked { ids.next() } else { key })
        });
        Self { declared, keys: keys.collect(), columns: Vec::new() }
    }

    /// New rows whose keys are those of other rows, a row for each.
    pub fn keyed(declared: &'static Declaration, keys: &[Uuid]) -> Self {
        Self { declared, keys: keys.iter().map(|key| (*key, *key)).collect(), columns: Vec::new() }
    }

    /// Let the field be this.
    #[must_use]
    pub fn with(mut self, field: &'static Field, values: Values) -> Self {
        self.columns.push((field, values));
        self
    }

    /// Their keys, in the order given.
    pub fn keys(&self) -> impl Iterator<Item = Uuid> {
        self.keys.iter().map(|(key, _)| *key)
    }

    /// Insert them with one statement.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        self.statement()?.build().execute(connection).await?;
        Ok(())
    }

    /// Insert them with one statement, and read them.
    ///
    /// # Errors
    /// The database failed.
    pub async fn insert_returning<R: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
        &self,
        connection: &mut PgConnection,
    ) -> sqlx::Result<Vec<R>> {
        let mut query = self.statement()?;
        push_returning(&mut query, self.declared, Place::Own);
        query.build_query_as().fetch_all(connection).await
    }

    fn statement(&self) -> sqlx::Result<Sql> {
        let mut query = Sql::new("WITH ");
        self.push_given(&mut query, 0)?;
        query.push(" ");
        self.push_own(&mut query, 0)?;
        Ok(query)
    }

    /// `given_… AS (…)`, and the parents' INSERT behind it: what [`Self::push_own`] builds on.
    fn push_given(&self, query: &mut Sql, number: usize) -> sqlx::Result<()> {
        let table = self.declared.table;
        let (keys, links): (Vec<_>, Vec<_>) = self.keys.iter().copied().unzip();
        let mut names = vec![table.pk];
        query.push(format_args!("given_{number} AS (SELECT * FROM unnest(")).bind(keys);
        if let Some(link) = table.link() {
            names.push(link);
            query.push(", ").bind(links);
        }
        for (field, values) in &self.columns {
            match values {
                Values::Uuids(uuids) => query.push(", ").bind(uuids.clone()),
                Values::Texts(texts) => query.push(", ").bind(texts.clone()),
                Values::Booleans(booleans) => query.push(", ").bind(booleans.clone()),
                Values::DateTimes(instants) => query.push(", ").bind(instants.clone()),
                Values::Dictionaries(objects) => query.push(", ").bind(objects.clone()),
                Values::Keys(keys) => query.push(", ").bind(keys.clone()),
                Values::Same(_) | Values::Sql(_) => continue,
            };
            names.push(field.column);
        }
        query.push(format_args!(") WITH ORDINALITY AS given ({}, position))", names.join(", ")));
        if let Some(parent) = table.parent {
            query.push(format_args!(", parents_{number} AS ("));
            self.push_rows(query, number, parent.name, &[(parent.pk, parent.link)], Place::Parent)?;
            query.push(")");
        }
        Ok(())
    }

    fn push_own(&self, query: &mut Sql, number: usize) -> sqlx::Result<()> {
        let table = self.declared.table;
        let keys: Vec<_> =
            [table.pk].into_iter().chain(table.link()).map(|column| (column, column)).collect();
        self.push_rows(query, number, table.name, &keys, Place::Own)
    }

    /// `INSERT INTO … SELECT … FROM given_…` with the fields of a place, and before them the key columns, each with the
    /// one that is given for it.
    fn push_rows(
        &self,
        query: &mut Sql,
        number: usize,
        table: &str,
        keys: &[(&str, &str)],
        place: Place,
    ) -> sqlx::Result<()> {
        let fields = columns(self.declared, place, |column| keys.iter().any(|(key, _)| *key == column));
        let names = keys.iter().map(|(key, _)| *key).chain(fields.iter().map(|field| field.column));
        query.push(format_args!("INSERT INTO {table} ({}) ", names.collect::<Vec<_>>().join(", ")));
        query.push(format_args!("WITH given AS (SELECT * FROM given_{number}) SELECT "));
        for (index, (_, given)) in keys.iter().enumerate() {
            query.push(if index > 0 { ", " } else { "" }).push(format_args!("given.{given}"));
        }
        for field in fields {
            query.push(", ");
            let values = self.columns.iter().find(|(named, _)| named.name == field.name);
            match values.map(|(_, values)| values) {
                None => push_default(query, field)?,
                Some(Values::Same(content)) => push_content(query, content)?,
                Some(Values::Sql(sql)) => {
                    query.push(*sql);
                }
                Some(_) if matches!(field.default, DefaultValue::None) => {
                    query.push("given.").push(field.column);
                }
                Some(_) => {
                    query.push("coalesce(given.").push(field.column).push(", ");
                    push_default(query, field)?;
                    query.push(")");
                }
            }
        }
        query.push(" FROM given");
        Ok(())
    }
}

/// Insert a row and its parent, and the rows that go with it, and give it as answers show it: all with one statement.
/// `pk` is its key, if the database doesn't count it. Every column is named: no table of Django's has defaults, but for
/// keys that the database counts.
///
/// A statement doesn't see the rows that it inserts. So the row is read from what its INSERT returns, and in place of the
/// tables of `beside`, of which there may be one for each table, stand their new rows alone: as nothing else can point at
/// a row that is new, a column of it (`extra_columns`) that looks there for what does finds all there is.
///
/// # Errors
/// The database failed.
pub async fn insert(
    connection: &mut PgConnection,
    declared: &Declaration,
    layout: &Layout,
    ids: &Ids,
    pk: Option<KeyValue>,
    draft: &Draft,
    beside: &[NewRows],
) -> sqlx::Result<PgRow> {
    let table = declared.table;
    let mut query = Sql::new("WITH ");
    let mut link = None;
    if let Some(parent) = table.parent {
        query.push("p AS (");
        if let Some(column) = table.link() {
            let key = ids.next();
            let parents = (parent.pk, Some(key.into()));
            push_insert(&mut query, parent.name, parents, None, declared, Place::Parent, draft)?;
            link = Some((column, key));
        } else {
            push_insert(&mut query, parent.name, (parent.pk, pk), None, declared, Place::Parent, draft)?;
        }
        push_returning(&mut query, declared, Place::Parent);
        query.push("), ");
    }
    query.push("t AS (");
    push_insert(&mut query, table.name, (table.pk, pk), link, declared, Place::Own, draft)?;
    push_returning(&mut query, declared, Place::Own);
    query.push(")");
    for (number, rows) in beside.iter().enumerate() {
        query.push(", ");
        rows.push_given(&mut query, number)?;
        // A name in a statement has no schema.
        let name = rows.declared.table.name;
        query.push(", ").push(name.rsplit_once('.').map_or(name, |(_, name)| name)).push(" AS (");
        rows.push_own(&mut query, number)?;
        push_returning(&mut query, rows.declared, Place::Own);
        query.push(")");
    }
    query.push(" SELECT ");
    push_columns(&mut query, declared, layout);
    query.push(" FROM t");
    if let Some(Parent { pk, link, .. }) = table.parent {
        query.push(format_args!(" JOIN p ON p.{pk} = t.{link}"));
    }
    query.push(table.joins).build().fetch_one(connection).await
}

/// The fields that stand in columns of a place, but for its keys.
fn columns(declared: &Declaration, place: Place, is_key: impl Fn(&str) -> bool) -> Vec<&'static Field> {
    declared.fields.iter().filter(|field| field.place == place && !is_key(field.column)).collect()
}

/// `INSERT INTO … VALUES …` with the fields of a place.
fn push_insert(
    query: &mut Sql,
    table: &str,
    (pk_column, pk): (&str, Option<KeyValue>),
    link: Option<(&str, Uuid)>,
    declared: &Declaration,
    place: Place,
    draft: &Draft,
) -> sqlx::Result<()> {
    let is_key = |column: &str| column == pk_column || link.is_some_and(|(link, _)| column == link);
    let fields = columns(declared, place, is_key);
    let keys = [pk_column].into_iter().chain(link.map(|(column, _)| column));
    let names: Vec<&str> = keys.chain(fields.iter().map(|field| field.column)).collect();
    query.push(format_args!("INSERT INTO {table} ({}) VALUES (", names.join(", ")));
    match pk {
        Some(pk) => query.bind_key(pk),
        None => query.push("DEFAULT"), // counted
    };
    if let Some((_, key)) = link {
        query.push(", ").bind(key);
    }
    for field in fields {
        query.push(", ");
        match draft.get(field) {
            Some(content) => push_content(query, content)?,
            None => push_default(query, field)?,
        }
    }
    query.push(")");
    Ok(())
}

/// `RETURNING` with the columns that answers show, and the keys.
fn push_returning(query: &mut Sql, declared: &Declaration, place: Place) {
    let table = declared.table;
    let keys = match (place, table.parent) {
        (Place::Parent, Some(parent)) => [Some(parent.pk), None],
        (_, parent) => [Some(table.pk), parent.map(|parent| parent.link)],
    };
    let shown = declared.fields.iter().filter(|field| field.place == place && field.readable());
    let mut names: Vec<&str> = Vec::new();
    for name in keys.into_iter().flatten().chain(shown.map(|field| field.column)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    query.push(" RETURNING ").push(names.join(", "));
}
