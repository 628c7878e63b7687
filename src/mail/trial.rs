//! [`Trial`]: a test of an SMTP server, by the steps of a delivery.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::time::timeout;
use uuid::Uuid;

use super::Mailbox;
use super::dialogue::Dialogue;
use super::message::Message;
use super::steps::{Done, Failure, Steps};
use super::template::{self, Refused};
use super::tls::Trust;
use crate::config::{Locale, MailSettings, Rate, SmtpServer};

/// How long a test may take in all. Somebody waits for it.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// How far a test goes.
#[derive(Debug)]
pub enum Extent {
    /// Greetings are exchanged.
    Connect,
    /// Somebody logs in.
    Auth,
    /// This message is sent.
    Send(Message),
}

/// A test of an SMTP server.
pub struct Trial {
    /// The server.
    pub server: SmtpServer,
    /// How far it goes.
    pub extent: Extent,
}

impl Trial {
    /// Do it. Gives the steps that were done, of which the last may have failed, without secrets.
    ///
    /// # Errors
    /// The certificates of the settings can't be read.
    pub async fn run(self, settings: &MailSettings) -> anyhow::Result<Vec<Done>> {
        let dialogue = Dialogue::new(self.server, settings, Trust::read(settings)?);
        let mut steps = Steps::default();
        // What went wrong is the last of the steps.
        timeout(TIME_LIMIT, walk(&dialogue, &self.extent, &mut steps)).await.ok();
        let mut done = steps.into_done();
        for step in &mut done {
            step.words = dialogue.masked(&step.words, &[]);
        }
        Ok(done)
    }
}

/// The mail that a test sends.
///
/// # Errors
/// It can't be built.
pub fn mail(
    settings: &MailSettings,
    locale: Locale,
    sender: &Mailbox,
    recipient: &Mailbox,
    key: Uuid,
    now: DateTime<Utc>,
) -> anyhow::Result<Message> {
    let host = settings.public_url.as_ref().map_or("ak-stages", |url| url.host());
    let broken = |refused: Refused| anyhow::anyhow!("the test mail can't be made: {refused:?}");
    let parts = template::of_a_test(locale, host).map_err(broken)?;
    Message::test(sender, recipient, key, now, &parts).map_err(anyhow::Error::msg)
}

async fn walk(dialogue: &Dialogue, extent: &Extent, steps: &mut Steps) -> Result<(), Failure> {
    let mut connection = dialogue.connect(steps).await?;
    let walked = async {
        match extent {
            Extent::Connect => {}
            Extent::Auth => dialogue.log_in(&mut connection, steps).await?,
            Extent::Send(message) => {
                dialogue.log_in(&mut connection, steps).await?;
                dialogue.hand_over(&mut connection, message, steps).await?;
            }
        }
        Ok(())
    }
    .await;
    dialogue.part(connection);
    walked
}

/// How many tests each user of this server may still ask for.
pub struct Allowance {
    rate: Rate,
    asked: Mutex<(Instant, HashMap<i32, u32>)>,
}

impl Allowance {
    /// Nobody has asked yet.
    pub fn new(rate: Rate) -> Self {
        Self { rate, asked: Mutex::new((Instant::now(), HashMap::new())) }
    }

    /// One more of this user.
    ///
    /// # Errors
    /// It is one too many, with the seconds until there may be more.
    pub fn take(&self, user: i32) -> Result<(), u64> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.0.elapsed() >= self.rate.period {
            *asked = (Instant::now(), HashMap::new());
        }
        let left = self.rate.period.saturating_sub(asked.0.elapsed());
        let count = asked.1.entry(user).or_default();
        if *count >= self.rate.requests {
            return Err(left.as_secs() + 1);
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_a_share_of_a_period() {
        let period = Duration::from_mins(1);
        let allowance = Allowance::new(Rate { requests: 2, period });
        assert_eq!((allowance.take(1), allowance.take(1), allowance.take(2)), (Ok(()), Ok(()), Ok(())));
        assert!(allowance.take(1).is_err_and(|left| (1..=60).contains(&left)));
        allowance.asked.lock().unwrap().0 -= period;
        assert_eq!(allowance.take(1), Ok(()));
    }
}
