//! [`Trial`]: a test of an SMTP server, by the steps of a delivery.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::timeout;
use uuid::Uuid;

use super::Mailbox;
use super::dialogue::Dialogue;
use super::message::Message;
use super::steps::{Done, Failure, Steps};
use super::template::{self, Refused};
use super::tls::Trust;
use crate::config::{Locale, MailSettings, SmtpServer};

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
