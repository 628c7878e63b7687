//! What systemd, or whoever else set `NOTIFY_SOCKET`, is told: that the server serves, that it stops, and, where a watchdog
//! was asked for, that it is alive.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::db::Pool;

/// For how long the task that looks after the database may not have been seen at work. It has limits on all that it waits
/// for, of five seconds at most.
const PATIENCE: Duration = Duration::from_secs(15);

/// Tell this. Nothing happens where nobody asked.
pub fn tell(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(cause = %error, "the service manager can't be told {state}");
    }
}

/// Tell twice in each of the watchdog's periods that the server is alive, for as long as the task is at work that looks after
/// the database of `pool`. A database that is gone is no reason to be restarted. Without a watchdog this ends at once.
pub async fn keep_alive(pool: Pool) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    loop {
        if pool.unwatched_for() < PATIENCE {
            tell(&NotifyState::Watchdog);
        } else {
            tracing::error!(
                "nobody looks after the database: the watchdog isn't told that the server is alive"
            );
        }
        tokio::time::sleep(period / 2).await;
    }
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::PgConnectOptions;

    use super::*;
    use crate::config::Settings;
    use crate::resources;

    #[tokio::test(start_paused = true)]
    async fn a_watch_is_alive_while_its_database_is_gone_and_not_when_it_has_ended() {
        let settings = Settings::read(|_| None).unwrap();
        let options = settings.database_options(Vec::new(), Vec::new(), resources::needs());
        let nowhere = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(1);
        let pool = Pool::new(nowhere, &options);
        let watch = tokio::spawn(pool.clone().watch());
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(pool.unwatched_for() < PATIENCE, "{:?}", pool.unwatched_for());
        }
        assert!(!pool.is_up());
        watch.abort();
        tokio::time::sleep(PATIENCE).await;
        assert!(pool.unwatched_for() >= PATIENCE);
    }
}
