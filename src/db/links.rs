//! The tables between two others, which hold Django's many-to-many fields.

use sqlx::{PgConnection, QueryBuilder};

use crate::drf::resource::PrimaryKey;
use crate::error::ApiError;

/// One of them, seen from the side that is written.
#[derive(Debug, Clone, Copy)]
pub struct Links {
    /// The table.
    pub table: &'static str,
    /// The column of the object that is written.
    pub holder: &'static str,
    /// The column of what it holds.
    pub held: &'static str,
}

impl Links {
    /// Let `holder` hold these and no others. Links that stay aren't touched.
    ///
    /// # Errors
    /// The database failed.
    pub async fn replace<H: PrimaryKey, K: PrimaryKey>(
        self,
        connection: &mut PgConnection,
        holder: H,
        keys: &[K],
    ) -> Result<(), ApiError> {
        let Self { table, holder: holder_column, held } = self;
        let mut delete = QueryBuilder::new("DELETE FROM ");
        delete.push(format_args!("{table} WHERE {holder_column} = ")).push_bind(holder);
        delete.push(format_args!(" AND {held} <> ALL(")).push_bind(keys.to_vec()).push(")");
        delete.build().execute(&mut *connection).await?;
        let mut insert = QueryBuilder::new("INSERT INTO ");
        insert.push(format_args!("{table} ({holder_column}, {held}) SELECT ")).push_bind(holder);
        insert.push(", unnest(").push_bind(keys.to_vec()).push(") ON CONFLICT DO NOTHING");
        insert.build().execute(connection).await?;
        Ok(())
    }
}
