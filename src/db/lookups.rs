//! What validation asks the database for: whether what a draft and filters name is there, and what it would take is free.

use std::collections::HashMap;

use drf::Declaration;
use drf::field::{Field, FieldKind, Key, Place, Target};
use drf::intake::{Content, Draft, KeyValue, Reference};
use drf::params::Existing;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::statements::{Restriction, push_value};
use super::{Layout, Sql};

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

/// Rows of another table that a write needs.
pub struct Wanted<'a> {
    /// The table. Its keys are UUIDs.
    pub target: &'static Target,
    /// The column, unique, that names them.
    pub column: &'static str,
    /// Their names.
    pub names: Vec<&'a str>,
}

/// What [`look_up`] found.
#[derive(Debug, Default)]
pub struct LookedUp {
    /// For each probe `None` where the fact is as it should be, else the index of the first of its keys that is missing,
    /// or 0 for a text that is taken.
    pub wrong: Vec<Option<usize>>,
    /// The wanted rows that there are: their keys, by name.
    pub found: HashMap<String, Uuid>,
}

/// Look all facts up with one statement. `pk` is the row that is updated. A key that `nameable` leaves out counts as
/// missing, unless the row holds it already.
///
/// On authentik's database, where there is no `ak_stages.flow_places` to do it later, it locks what is wanted: in the order
/// of the keys, so that two requests don't wait for each other. A row that is there when its turn comes, under that name,
/// is found; what others committed beside it meanwhile is for the next statement to see.
pub async fn look_up<R: Restriction>(
    connection: &mut PgConnection,
    declared: &Declaration,
    layout: &Layout,
    probes: &[Probe<'_>],
    pk: Option<KeyValue>,
    wanted: Option<Wanted<'_>>,
    nameable: impl Fn(&Target) -> Option<R>,
) -> sqlx::Result<LookedUp> {
    if probes.is_empty() && wanted.is_none() {
        return Ok(LookedUp::default());
    }
    let mut query = Sql::new("");
    if let Some(Wanted { target: Target { table, pk, .. }, column, names }) = &wanted {
        query.push(format_args!("WITH wanted AS (SELECT x.{column} AS name, x.{pk} AS key FROM {table} x"));
        query.push(format_args!(" WHERE x.{column} = ANY(")).bind(names.clone());
        query.push(format_args!(") ORDER BY x.{pk}"));
        query.push(if layout.is_attached() { " FOR NO KEY UPDATE) " } else { ") " });
    }
    query.push("SELECT ARRAY[");
    for (index, probe) in probes.iter().enumerate() {
        query.push(if index > 0 { ", (" } else { "(" });
        match &probe.fact {
            Fact::Exist(target, keys) => {
                push_missing(&mut query, target, keys);
                if let Some(scope) = nameable(target) {
                    query.push(" AND (");
                    scope.push(&mut query, &format!("x.{}", target.pk), target.key);
                    push_or_held(&mut query, declared, layout, probe.field, pk);
                    query.push(")");
                }
                query.push(")");
            }
            Fact::Unique(field, text) => push_taken(&mut query, declared, field, text, pk),
        }
        query.push(")");
    }
    query.push("]::bigint[], ");
    query.push(match wanted {
        Some(_) => "coalesce((SELECT jsonb_object_agg(name, key) FROM wanted), '{}')",
        None => "'{}'::jsonb",
    });
    let row: (Vec<Option<i64>>, Json<HashMap<String, Uuid>>) =
        query.build_query_as().fetch_one(connection).await?;
    let (wrong, Json(found)) = row;
    let index = |index: Option<i64>| index.map(|index| usize::try_from(index).unwrap_or_default());
    Ok(LookedUp { wrong: wrong.into_iter().map(index).collect(), found })
}

/// `SELECT` the index of the first missing key, its last parenthesis left open. The keys are one parameter, since a request
/// may name more of them than a statement may have parameters.
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
    pk: Option<KeyValue>,
) {
    let Some(pk) = pk else { return };
    let (table, holder, held) = match field.kind {
        FieldKind::Many(_, through) => (layout.sql(through.table), through.holder, through.held),
        _ if field.place == Place::Own => (declared.table.name.into(), declared.table.pk, field.column),
        _ => return,
    };
    query.push(format_args!(" OR EXISTS (SELECT 1 FROM {table} h WHERE h.{held} = k.key AND h.{holder} = "));
    query.bind_key(pk).push(")");
}

/// `SELECT` 0 if another row than `pk` has the text.
fn push_taken(query: &mut Sql, declared: &Declaration, field: &Field, text: &str, pk: Option<KeyValue>) {
    let table = declared.table;
    let (name, key, link) = match table.parent.filter(|_| field.place == Place::Parent) {
        Some(parent) => (parent.name, parent.pk, parent.link),
        None => (table.name, table.pk, table.pk),
    };
    query.push(format_args!("SELECT 0::bigint FROM {name} x WHERE x.{} = ", field.column));
    query.bind(text.to_owned());
    if let Some(pk) = pk {
        query.push(format_args!(" AND x.{key} <> (SELECT {link} FROM {} WHERE {} = ", table.name, table.pk));
        query.bind_key(pk).push(")");
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
