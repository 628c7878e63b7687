//! Requests that are made to wait in the middle, and what can be seen of that from the database.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction};

use super::TestApp;

/// COMMITs that wait until they are released.
#[must_use = "dropped, it holds nothing"]
pub struct HeldCommits {
    pool: PgPool,
    holder: Transaction<'static, Postgres>,
}

impl HeldCommits {
    /// Hold every COMMIT that wrote a row of this table.
    pub async fn of(pool: &PgPool, table: &str) -> Self {
        let statements = format!(
            "DROP FUNCTION IF EXISTS wait_to_commit CASCADE; \
             CREATE FUNCTION wait_to_commit() RETURNS trigger LANGUAGE plpgsql AS \
               'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END'; \
             CREATE CONSTRAINT TRIGGER wait_to_commit AFTER INSERT OR UPDATE OR DELETE ON {table} \
               DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_to_commit()"
        );
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(pool).await.unwrap();
        let mut holder = pool.begin().await.unwrap();
        sqlx::query("SELECT pg_advisory_xact_lock(1)").execute(&mut *holder).await.unwrap();
        Self { pool: pool.clone(), holder }
    }

    /// Returns when one waits.
    pub async fn one_waits(&self) {
        wait_until(&self.pool, "wait_event = 'advisory'", 1).await;
    }

    /// Let them go on.
    pub async fn release(self) {
        self.holder.rollback().await.unwrap();
    }
}

impl TestApp {
    /// Hold every COMMIT that wrote a row of this table.
    pub async fn hold_commits(&self, table: &str) -> HeldCommits {
        HeldCommits::of(&self.pool, table).await
    }

    /// Returns when a statement waits for a lock.
    pub async fn somebody_waits_for_a_lock(&self) {
        self.so_many_wait_for_locks(1).await;
    }

    /// Returns when this many statements wait for locks.
    pub async fn so_many_wait_for_locks(&self, many: i64) {
        wait_until(&self.pool, "wait_event_type = 'Lock'", many).await;
    }

    /// Returns when every transaction has ended.
    pub async fn nobody_is_in_a_transaction(&self) {
        while connections(&self.pool, "xact_start IS NOT NULL").await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn wait_until(pool: &PgPool, condition: &str, many: i64) {
    while connections(pool, condition).await < many {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How many connections to this database are like that, the one that counts left out.
async fn connections(pool: &PgPool, condition: &str) -> i64 {
    let statement = format!(
        "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND {condition}"
    );
    sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(pool).await.unwrap()
}
