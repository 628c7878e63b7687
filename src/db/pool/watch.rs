//! Whether the server answers, asked on a connection that no request gets.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::{CONNECT_TIMEOUT, Pool};
use crate::error::code;

/// How often the server is asked.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long it may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a new connection may take before the server counts as gone.
const BACK_AT_ONCE: Duration = Duration::from_secs(1);
/// How often a new connection is tried while the server is gone.
const RETRY: Duration = Duration::from_millis(250);

/// Why the server didn't answer.
enum Failure {
    /// It said so, or the connection was cut.
    Told,
    /// Nothing came in time.
    Missed,
}

impl Pool {
    /// Whether the server answers, asked now; at once `false` while [`Self::watch`] finds that it doesn't.
    pub async fn answers(&self) -> bool {
        self.0.state.borrow().answers && !self.0.slots.is_closed() && self.ask().await.is_ok()
    }

    /// Look after the server, for as long as this is polled. While it doesn't answer, requests are turned away at once. If
    /// it didn't say so but missed its time, then all connections that were open are given up: a network that swallows
    /// what is sent leaves them open, and what is waited for on them never comes.
    pub async fn watch(self) {
        loop {
            self.0.watched.now();
            sleep(INTERVAL).await;
            match self.ask().await {
                Ok(()) => continue,
                Err(Failure::Told) => self.close_idle(),
                Err(Failure::Missed) => {
                    tracing::warn!("the database has missed its time; its connections are given up");
                    self.give_up();
                }
            }
            let began = Instant::now();
            let connection = self.connect_again().await;
            *self.0.probe.lock().await = Some(connection);
            if began.elapsed() > RETRY {
                // What was begun before it was known that nothing comes through.
                self.give_up();
            }
            self.is_there(true);
        }
    }

    /// Ask on the connection that is there, or on a new one.
    async fn ask(&self) -> Result<(), Failure> {
        let mut probe = self.0.probe.lock().await;
        // Taken out: dropped halfway, it doesn't come back.
        let connection = probe.take();
        let asked = async {
            let mut connection = match connection {
                Some(connection) => connection,
                None => self.connect().await?.0.connection,
            };
            // Unprepared, so that it works behind every pooler.
            sqlx::raw_sql("SELECT 1").execute(&mut connection).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        match timeout(ANSWER_TIMEOUT, asked).await {
            Ok(Ok(connection)) => {
                *probe = Some(connection);
                Ok(())
            }
            Ok(Err(_)) => Err(Failure::Told),
            Err(_) => Err(Failure::Missed),
        }
    }

    /// A new connection, as soon as the server gives one, or one of several that takes writes. Each try begins while
    /// earlier ones still wait: what those have sent may be lost.
    async fn connect_again(&self) -> PgConnection {
        let mut tries = JoinSet::new();
        let deadline = Instant::now() + BACK_AT_ONCE;
        loop {
            self.0.watched.now();
            for number in 0..self.0.hosts.count() {
                let hosts = self.0.hosts.clone();
                tries.spawn(async move {
                    let asked = async {
                        let mut found = hosts.connect_to(number).await?;
                        found.connection.ping().await?;
                        Ok::<_, sqlx::Error>(found)
                    };
                    timeout(CONNECT_TIMEOUT, asked).await.ok()
                });
            }
            let next = Instant::now() + RETRY;
            while let Ok(Some(tried)) = timeout_at(next, tries.join_next()).await {
                match tried {
                    Ok(Some(Ok(found))) => {
                        if found.moved {
                            self.give_up();
                        }
                        return found.connection;
                    }
                    // It is there, and has no connection left for this; requests have those that are open.
                    Ok(Some(Err(error))) if is_full(&error) => self.is_there(true),
                    Ok(Some(Err(_))) => self.is_there(false),
                    Ok(None) | Err(_) => {}
                }
            }
            sleep_until(next).await;
            if Instant::now() > deadline && !tries.is_empty() {
                self.is_there(false);
            }
        }
    }

    fn is_there(&self, answers: bool) {
        self.0.state.send_if_modified(|state| {
            let changed = state.answers != answers;
            if changed && answers {
                tracing::info!("the database answers");
            } else if changed {
                tracing::warn!("the database does not answer");
            }
            state.answers = answers;
            changed
        });
    }

    /// All connections that are open.
    pub(in crate::db) fn give_up(&self) {
        self.0.state.send_modify(|state| state.given_up += 1);
        self.close_idle();
    }
}

fn is_full(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("53300")
}
