//! Our own database: authentik's tables, as many of them as we need, created by migrations.

use anyhow::Context;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::catalogue::ForeignKeys;
use super::layout::{self, Installation, Layout};
use super::{Options, bootstrap, search};
use crate::clock::Ids;

/// The migrations, in the binary.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// Bring the tables up to date. Several servers may do this at once: sqlx holds an advisory lock.
///
/// # Errors
/// A migration fails, or the database is newer than this server.
pub async fn layout(pool: &PgPool, ids: &Ids, how: &Options) -> anyhow::Result<Layout> {
    migrate(pool, how).await.context("cannot bring the database's tables up to date")?;
    bootstrap::permissions(pool, &how.permissions).await?;
    let mut connection = pool.acquire().await?;
    let readable = layout::readable(&mut connection).await?;
    Ok(Layout {
        installation: Installation::Own,
        release: how.release,
        authentik_version: how.release.version().to_owned(),
        install_id: bootstrap::install_id(pool, ids).await?,
        user_groups: "authentik_core_user_groups",
        stage_tables: layout::stage_tables(&mut connection).await?,
        foreign_keys: ForeignKeys::read(&mut connection).await?,
        counted: layout::counted(&mut connection).await?,
        columns: layout::Texts::default(),
        has_extensions: true,
        tables: readable.clone(),
        readable,
    })
}

/// On a connection of its own: a migration may take longer than a request's statements.
async fn migrate(pool: &PgPool, how: &Options) -> anyhow::Result<()> {
    let options = pool.connect_options().as_ref().clone();
    let own = PgPoolOptions::new().max_connections(1).connect_with(options).await?;
    MIGRATOR.run(&own).await?;
    search::make_indexes(&own, &how.searched).await?;
    own.close().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::MIGRATOR;

    /// Databases remember what made them: one whose migration was edited afterwards can't be opened any more.
    #[test]
    fn migrations_that_are_out_stay_as_they_are() {
        const OUT: [u64; 10] = [
            0xb878_0ae6_f1e5_9b90,
            0xcffe_0fba_8b55_2145,
            0x2288_78ea_8261_9feb,
            0x0afd_9492_b005_6042,
            0x4e71_2210_a8de_ca93,
            0x84bc_155c_4ca9_390d,
            0x08d5_ac15_0850_62e2,
            0x8382_6638_5682_661a,
            0x9621_8127_4852_3e5c,
            0x9e5a_e3fd_61ae_f411,
        ];
        let beginnings = MIGRATOR.iter().filter_map(|migration| migration.checksum.first_chunk());
        assert_eq!(beginnings.take(OUT.len()).copied().map(u64::from_be_bytes).collect::<Vec<_>>(), OUT);
    }
}
