//! [`Relay`]: an SMTP server that takes our mail. [`Relays`]: all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use tokio::time::timeout;

use super::Mailbox;
use super::dialogue::{Dialogue, STEPS};
use super::message::Message;
use super::steps::{Failure, Steps};
use super::tls::Trust;
use crate::config::{MailSettings, SmtpServer};

/// The SMTP servers that take our mail: that of the settings, and those that email stages name, for as long as there is
/// mail for them.
pub struct Relays {
    settings: MailSettings,
    trust: Trust,
    global: Arc<Relay>,
    of_stages: Mutex<HashMap<SmtpServer, Arc<Relay>>>,
}

impl Relays {
    /// As the settings say. Nothing is connected yet.
    ///
    /// # Errors
    /// The sender isn't an address, or the certificates can't be read.
    pub fn new(settings: &MailSettings) -> anyhow::Result<Self> {
        Mailbox::read(&settings.from).context("AUTHENTIK_EMAIL__FROM: must be an email address")?;
        let trust = Trust::read(settings)?;
        let global = Relay::new(Dialogue::new(settings.smtp.clone(), settings, trust.clone()));
        Ok(Self { settings: settings.clone(), trust, global: Arc::new(global), of_stages: Mutex::default() })
    }

    /// That of the settings.
    pub fn global(&self) -> Arc<Relay> {
        Arc::clone(&self.global)
    }

    /// This one.
    pub fn at(&self, server: &SmtpServer) -> Arc<Relay> {
        if *server == self.settings.smtp {
            return self.global();
        }
        let mut of_stages = self.of_stages.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let dialogue = Dialogue::new(server.clone(), &self.settings, self.trust.clone());
            Arc::new(Relay::new(dialogue))
        };
        Arc::clone(of_stages.entry(server.clone()).or_insert_with(new))
    }

    /// Say goodbye on the connections that nobody uses. Nobody waits for the answers.
    pub fn rest(&self) {
        self.global.rest();
        let of_stages = std::mem::take(&mut *self.of_stages.lock().unwrap_or_else(PoisonError::into_inner));
        for relay in of_stages.values() {
            relay.rest();
        }
    }
}

/// An SMTP server that takes our mail, and the connections to it that aren't in use.
pub struct Relay {
    dialogue: Dialogue,
    idle: Mutex<Vec<AsyncSmtpConnection>>,
}

/// What the server said of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// It has it.
    Yes(String),
    /// Not now, or nothing at all.
    NotNow(String),
    /// Never.
    Never(String),
}

impl Relay {
    /// The server of a dialogue. Nothing is connected yet.
    pub fn new(dialogue: Dialogue) -> Self {
        Self { dialogue, idle: Mutex::default() }
    }

    /// How long a delivery may take in all.
    pub fn time_limit(&self) -> Duration {
        self.dialogue.server().timeout * STEPS
    }

    /// Hand a message over. `secret` stands in it and in no answer of ours.
    pub async fn send(&self, message: &Message, secret: &str) -> Said {
        let said = timeout(self.time_limit(), self.attempt(message)).await;
        let said =
            said.unwrap_or_else(|_| Said::NotNow("The SMTP server did not answer in time.".to_owned()));
        let simple = secret.replace('-', "");
        let masked = |words: String| self.dialogue.masked(&words, &[secret, &simple]);
        match said {
            Said::Yes(words) => Said::Yes(masked(words)),
            Said::NotNow(words) => Said::NotNow(masked(words)),
            Said::Never(words) => Said::Never(masked(words)),
        }
    }

    async fn attempt(&self, message: &Message) -> Said {
        let mut steps = Steps::default();
        // What goes wrong before the message is spoken of isn't the message's fault.
        let mut connection = match self.connection(&mut steps).await {
            Ok(connection) => connection,
            Err(failure) => return Said::NotNow(failure.words),
        };
        match self.dialogue.hand_over(&mut connection, message, &mut steps).await {
            Ok(words) => {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                Said::Yes(words)
            }
            Err(failure) => {
                self.dialogue.part(connection);
                if failure.is_permanent { Said::Never(failure.words) } else { Said::NotNow(failure.words) }
            }
        }
    }

    /// A connection that is logged in: one that was used before, if it is still good.
    async fn connection(&self, steps: &mut Steps) -> Result<AsyncSmtpConnection, Failure> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(mut connection) = idle {
            let limit = self.dialogue.server().timeout;
            if timeout(limit, connection.test_connected()).await == Ok(true) {
                return Ok(connection);
            }
            self.rest(); // nor are the others good
        }
        let mut connection = self.dialogue.connect(steps).await?;
        self.dialogue.log_in(&mut connection, steps).await?;
        Ok(connection)
    }

    /// Say goodbye on the connections that nobody uses. Nobody waits for the answers.
    pub fn rest(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for connection in idle {
            self.dialogue.part(connection);
        }
    }
}
