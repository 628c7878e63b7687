//! [`Delivery`]: the task of the server that empties the outbox.
//!
//! It asks the database for nothing while there is nothing to do: requests of this server wake it, and so does PostgreSQL
//! when another server has queued something. Behind a PgBouncer, through which nobody can listen, it looks now and then.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::sleep;

use super::message::Message;
use super::outbox::{self, Claimed, Outcome};
use super::smtp::{Relay, Relays, Said};
use super::stage::StageSmtp;
use crate::clock::Clock;
use crate::config::MailSettings;
use crate::db::extensions;
use crate::error::{code, redacted};

/// Messages on their way at a time: one that the SMTP server is slow with holds up no other.
const AT_A_TIME: u32 = 8;
/// How often somebody looks who can't listen.
const POLL: Duration = Duration::from_secs(30);
/// How long to wait for a database that fails.
const PAUSE: Duration = Duration::from_secs(2);
/// The least time between two looks for what is due.
const MIN_WAIT: f64 = 0.05;
/// The longest pause after a failure, in seconds.
const MAX_PAUSE: f64 = 3600.0;

/// What a server needs to deliver mail; cheap to clone.
#[derive(Clone)]
pub struct Delivery {
    pool: PgPool,
    clock: Clock,
    settings: Arc<MailSettings>,
    relays: Arc<Relays>,
    listens: bool,
    waker: Arc<Notify>,
    slots: Arc<Semaphore>,
}

impl Delivery {
    /// Deliver what `pool` holds, as the settings say. `waker` tells of what this server queues;
    /// `listens` whether PostgreSQL can tell of others.
    ///
    /// # Errors
    /// As [`Relays::new`].
    pub fn new(
        pool: PgPool,
        settings: &MailSettings,
        clock: Clock,
        waker: Arc<Notify>,
        listens: bool,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            pool,
            clock,
            settings: Arc::new(settings.clone()),
            relays: Arc::new(Relays::new(settings)?),
            listens,
            waker,
            slots: Arc::new(Semaphore::new(AT_A_TIME as usize)),
        })
    }

    /// Deliver until `stop` changes, and then finish what is on its way.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let listener = self
            .listens
            .then(|| tokio::spawn(listen(self.pool.clone(), Arc::clone(&self.waker), stop.clone())));
        loop {
            // Nothing that has begun is broken off: a claim that nobody knows of would wait for its lease to end.
            let slot = tokio::select! {
                biased;
                _ = stop.changed() => break,
                slot = Arc::clone(&self.slots).acquire_owned() => slot,
            };
            let Ok(slot) = slot else { break };
            // A claim takes a commit, and one for all slots that are free takes no longer.
            let more = std::iter::from_fn(|| Arc::clone(&self.slots).try_acquire_owned().ok());
            let slots: Vec<_> = std::iter::once(slot).chain(more).collect();
            let lease = lease(&self.relays.global());
            let wait = match outbox::claim(&self.pool, lease, self.clock.now(), slots.len()).await {
                Ok(claimed) if !claimed.is_empty() => {
                    for (claimed, slot) in claimed.into_iter().zip(slots) {
                        let this = self.clone();
                        tokio::spawn(async move {
                            this.deliver(claimed).await;
                            drop(slot);
                        });
                    }
                    continue;
                }
                Ok(_) => {
                    drop(slots);
                    self.until_due().await
                }
                Err(error) => self.failed(error),
            };
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                () = self.waker.notified() => {}
                () = wait_for(wait) => {}
            }
        }
        if let Some(listener) = listener {
            listener.await.ok();
        }
        drop(self.slots.acquire_many(AT_A_TIME).await);
        self.relays.rest();
    }

    /// How long to wait where nothing is due; without an end where nothing ever will be.
    async fn until_due(&self) -> Option<Duration> {
        // Nothing more to send for now: the connections need not stay.
        if self.slots.available_permits() == AT_A_TIME as usize {
            self.relays.rest();
        }
        let due = match outbox::next_due(&self.pool).await {
            Ok(due) => due.map(|seconds| Duration::from_secs_f64(seconds.clamp(MIN_WAIT, MAX_PAUSE))),
            Err(error) => self.failed(error),
        };
        let poll = (!self.listens).then_some(POLL);
        due.into_iter().chain(poll).min()
    }

    async fn deliver(&self, claimed: Claimed) {
        let outcome = self.attempt(&claimed).await;
        match &outcome {
            Outcome::Sent(_) => tracing::info!(mail = %claimed.message_uuid, "a mail was sent"),
            Outcome::Failed(reply, pause) => tracing::warn!(
                mail = %claimed.message_uuid, attempt = claimed.attempts, pause, reply, "a mail was not sent yet"
            ),
            Outcome::Dead(reply) => {
                tracing::warn!(mail = %claimed.message_uuid, reply, "a mail can't be sent");
            }
        }
        // Until it is written down: otherwise it would be sent once more.
        while let Err(error) = outbox::finish(&self.pool, &claimed, &outcome).await {
            if extensions::are_missing(&error) {
                break;
            }
            self.failed(error);
            sleep(PAUSE).await;
        }
        if matches!(outcome, Outcome::Failed(..)) {
            self.waker.notify_one(); // which knows no time for it yet
        }
    }

    /// How long to wait for a database that failed. Tables that aren't there are no failure: nobody has queued anything.
    fn failed(&self, error: sqlx::Error) -> Option<Duration> {
        let is_old = extensions::are_old(&error);
        if extensions::are_missing(&error) && !is_old {
            return (!self.listens).then_some(POLL);
        }
        let is_denied = code(&error).as_deref() == Some("42501"); // insufficient_privilege
        tracing::warn!(cause = redacted(&error.into()), "the outbox is out of reach; see `ak-stages doctor`");
        // Somebody has to do something about these.
        Some(if is_denied || is_old { POLL * 10 } else { PAUSE })
    }

    async fn attempt(&self, claimed: &Claimed) -> Outcome {
        if !claimed.usable {
            return Outcome::Dead("The invitation has ended, or is gone.".to_owned());
        }
        let message = match Message::of(claimed) {
            Ok(message) => message,
            Err(sentence) => return Outcome::Dead(sentence),
        };
        let said = match self.relay(claimed).await {
            Ok(relay) => relay.send(&message, &claimed.invitation.to_string()).await,
            Err(said) => said,
        };
        match said {
            Said::Yes(reply) => Outcome::Sent(reply),
            Said::Never(reply) => Outcome::Dead(reply),
            Said::NotNow(reply) if claimed.attempts >= self.settings.attempts => Outcome::Dead(reply),
            Said::NotNow(reply) => Outcome::Failed(reply, self.pause(claimed.attempts)),
        }
    }

    /// The server that a message goes through: that of its email stage, as the stage says now, or the global one.
    ///
    /// # Errors
    /// What becomes of the message instead.
    async fn relay(&self, claimed: &Claimed) -> Result<Arc<Relay>, Said> {
        let Some(stage) = claimed.stage else { return Ok(self.relays.global()) };
        let not_now = |error: sqlx::Error| Said::NotNow(redacted(&error.into()));
        let stage = StageSmtp::find(&self.pool, stage).await.map_err(not_now)?;
        let stage = stage.ok_or_else(|| Said::Never("The email stage is gone.".to_owned()))?;
        let server = stage.server(&self.settings).map_err(|unusable| Said::NotNow(unusable.sentence))?;
        let relay = self.relays.at(&server);
        if relay.time_limit() > self.relays.global().time_limit() {
            outbox::hold(&self.pool, claimed, lease(&relay)).await.map_err(not_now)?;
        }
        Ok(relay)
    }

    /// The seconds after the `attempts`th attempt: twice as long each time, and by up to a quarter more, so that not all
    /// that failed together comes together again.
    fn pause(&self, attempts: i32) -> f64 {
        let doubled = self.settings.retry.as_secs_f64() * 2_f64.powi(attempts.clamp(1, 30) - 1);
        doubled.min(MAX_PAUSE) * rand::rng().random_range(1.0..1.25)
    }
}

/// Seconds for which a message is claimed. Longer than an attempt can take: who claimed it is gone then.
fn lease(relay: &Relay) -> f64 {
    relay.time_limit().as_secs_f64() + 2.0
}

async fn wait_for(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}

/// Wake the task whenever somebody tells of a message, and whenever one may have been missed, until `stop` changes.
async fn listen(pool: PgPool, waker: Arc<Notify>, mut stop: watch::Receiver<bool>) {
    let mut goes_on = true;
    while goes_on {
        let options = pool.connect_options().as_ref().clone();
        let own = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
        let heard = async {
            hear(&own, &waker).await;
            sleep(PAUSE).await;
        };
        tokio::select! {
            () = heard => {}
            _ = stop.changed() => goes_on = false,
        }
        own.close().await;
    }
}

/// Wake the task until the connection is lost.
async fn hear(own: &PgPool, waker: &Notify) {
    if let Ok(mut listener) = PgListener::connect_with(own).await
        && listener.listen(outbox::CHANNEL).await.is_ok()
    {
        waker.notify_one(); // for what was queued before
        while let Ok(Some(_)) = listener.try_recv().await {
            waker.notify_one();
        }
    }
}
