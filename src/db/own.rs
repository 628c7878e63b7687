//! Our own database: authentik's tables, as many of them as we need, created by migrations.

use anyhow::Context;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::cascade::ForeignKeys;
use super::{Layout, Mode, Release, bootstrap};
use crate::clock::Ids;
use crate::resources::stage_types::{self, StageType};

/// The migrations, in the binary.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Bring the tables up to date. Several servers may do this at once: sqlx holds an advisory lock.
///
/// # Errors
/// A migration fails, or the database is newer than this server.
pub async fn layout(pool: &PgPool, ids: &Ids, release: Release) -> anyhow::Result<Layout> {
    migrate(pool).await.context("cannot bring the database's tables up to date")?;
    bootstrap::permissions(pool).await?;
    let table = |stage_type: &StageType| format!("{}_{}", stage_type.model.app_label, stage_type.model.model);
    let types = [&stage_types::EMAIL, &stage_types::USER_WRITE, &stage_types::INVITATION];
    let mut connection = pool.acquire().await?;
    let readable = super::readable(&mut connection).await?;
    Ok(Layout {
        mode: Mode::Own,
        release,
        authentik_version: release.version().to_owned(),
        install_id: bootstrap::install_id(pool, ids).await?,
        user_groups: "authentik_core_user_groups",
        stage_tables: types.map(|stage_type| (stage_type, table(stage_type))).into(),
        foreign_keys: ForeignKeys::read(&mut connection).await?,
        tables: readable.clone(),
        readable,
    })
}

/// On a connection of its own: a migration may take longer than a request's statements.
async fn migrate(pool: &PgPool) -> anyhow::Result<()> {
    let options = pool.connect_options().as_ref().clone();
    let own = PgPoolOptions::new().max_connections(1).connect_with(options).await?;
    MIGRATOR.run(&own).await?;
    own.close().await;
    Ok(())
}
