//! How the primary and its replicas stand, asked again and again on connections that no request gets.

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::PgConnection;
use tokio::time::{Instant, sleep, timeout};

use super::position::{LeftOut, Position};
use super::{Replica, Replicas, Standing};
use crate::db::hosts::Found;
use crate::db::proof::Server;
use crate::error::{code, redacted};

/// How often each is asked.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long it may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a new connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

impl Replicas {
    /// Look after them, for as long as this is polled. Never done, unless there are none.
    pub async fn watch(self) {
        if self.is_empty() {
            return;
        }
        let replicas = join_all(self.0.all.iter().map(|replica| self.watch_replica(replica)));
        tokio::join!(self.watch_primary(), replicas);
    }

    /// Note where the primary's log stands: of the server that writes go to, and of no other.
    async fn watch_primary(&self) {
        let mut is_told = false;
        loop {
            if let Ok(Ok((found, given_up))) = timeout(CONNECT_TIMEOUT, self.0.primary.connect()).await
                && let Some(refusal) = self.note_places(found.connection, given_up).await
                && !is_told
            {
                let cause = redacted(&refusal.into());
                tracing::warn!(
                    cause,
                    "the primary does not say where its log stands: no replica is read from"
                );
                is_told = true;
            }
            sleep(INTERVAL).await;
        }
    }

    /// The same on this connection, until it fails or writes may go elsewhere. Gives what the server said against it.
    async fn note_places(&self, mut connection: PgConnection, given_up: u64) -> Option<sqlx::Error> {
        loop {
            let asked = Instant::now();
            let position = match timeout(ANSWER_TIMEOUT, Position::of_primary(&mut connection)).await {
                Ok(Ok(position)) => position,
                // Whoever ends the connection refuses nothing.
                Ok(Err(error)) => {
                    return Some(error)
                        .filter(|error| code(error).is_some_and(|code| !code.starts_with("57")));
                }
                Err(_) => return None,
            };
            if self.0.primary.given_up_so_far() != given_up {
                // They may have since before it was asked.
                self.history().forget();
                return None;
            }
            self.history().note(asked, position);
            sleep(INTERVAL).await;
        }
    }

    async fn watch_replica(&self, replica: &Replica) {
        let mut probe = None;
        let mut was_used = None;
        loop {
            let standing = self.ask(replica, &mut probe).await;
            if standing.as_of == Err(LeftOut::Gone) {
                // What is waited for there may never come.
                replica.pool.give_up();
            }
            replica.standing.send_replace(standing);
            let lag = self.lag(replica);
            if was_used != Some(lag.is_ok()) && lag != Err(LeftOut::NoPrimary) {
                was_used = Some(lag.is_ok());
                match lag {
                    Ok(_) => tracing::info!(replica = replica.name, "a replica is read from"),
                    Err(cause) => tracing::warn!(replica = replica.name, %cause, "a replica is left out"),
                }
            }
            tokio::select! {
                () = sleep(INTERVAL) => {}
                () = replica.wanted.notified() => {}
            }
        }
    }

    /// How it stands, asked on the connection that is there, or on a new one.
    async fn ask(&self, replica: &Replica, probe: &mut Option<(PgConnection, Server)>) -> Standing {
        let gone = Standing { asked: None, as_of: Err(LeftOut::Gone) };
        let (mut connection, server) = match probe.take() {
            Some(known) => known,
            None => match timeout(CONNECT_TIMEOUT, connect(replica)).await {
                Ok(Ok(new)) => new,
                _ => return gone,
            },
        };
        let asked = Instant::now();
        let Ok(Ok(position)) = timeout(ANSWER_TIMEOUT, Position::of_standby(&mut connection)).await else {
            return gone;
        };
        *probe = Some((connection, server));
        let as_of = position.ok_or(LeftOut::NoStandby).and_then(|position| self.history().as_of(position));
        Standing { asked: Some((server, asked)), as_of }
    }
}

async fn connect(replica: &Replica) -> sqlx::Result<(PgConnection, Server)> {
    let (Found { mut connection, place, .. }, _) = replica.pool.connect().await?;
    let (server, _) = Server::ask(&mut connection, place).await?;
    Ok((connection, server))
}
