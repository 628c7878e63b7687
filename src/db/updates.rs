//! UPDATEs of a resource's rows, and of the links to what they hold.

use drf::Declaration;
use drf::field::{Fields, Place, Through};
use drf::intake::{Draft, KeyValue};
use sqlx::PgConnection;
use uuid::Uuid;

use super::content::push_content;
use super::{Layout, PrimaryKey, Sql};
use crate::clock::Ids;

/// Write the fields that the draft names, in the parent table and the own one.
pub async fn update(
    connection: &mut PgConnection,
    declared: &Declaration,
    pk: KeyValue,
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
    pk: KeyValue,
    end: &str,
) -> sqlx::Result<()> {
    let mut query = Sql::new(&head);
    let mut any = false;
    for field in fields.iter().filter(|field| field.place == place) {
        let Some(content) = draft.get(field) else {
            continue;
        };
        query.push(if any { ", " } else { "" }).push(field.column).push(" = ");
        push_content(&mut query, content)?;
        any = true;
    }
    if any {
        query.push(tail).bind_key(pk).push(end).build().execute(connection).await?;
    }
    Ok(())
}

/// Let `holder` hold these and no others. Links that stay aren't touched.
///
/// # Errors
/// The database failed.
pub async fn link<K: PrimaryKey>(
    connection: &mut PgConnection,
    layout: &Layout,
    through: &'static Through,
    holder: KeyValue,
    keys: &[K],
    ids: &Ids,
) -> sqlx::Result<()> {
    let (table, holder_column, held) = (layout.sql(through.table), through.holder, through.held);
    let mut delete = Sql::new("DELETE FROM ");
    delete.push(format_args!("{table} WHERE {holder_column} = ")).bind_key(holder);
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
    insert.bind_key(holder).push(", n.held FROM unnest(");
    let new: Vec<Uuid> = keys.iter().filter(|_| through.key.is_some()).map(|_| ids.next()).collect();
    insert.bind(new).push(", ").bind(keys.to_vec());
    insert.push(format_args!(
        ") AS n (key, held) WHERE NOT EXISTS (SELECT 1 FROM {table} x WHERE x.{holder_column} = "
    ));
    insert.bind_key(holder).push(format_args!(" AND x.{held} = n.held) ON CONFLICT DO NOTHING"));
    insert.build().execute(connection).await?;
    Ok(())
}
