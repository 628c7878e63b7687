//! [`Relay`]: the SMTP server that takes our mail.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Mailbox;
use super::bounded::Bounded;
use super::message::Message;
use crate::config::{Encryption, MailSettings};

/// How many steps a delivery has that the server may take its time for: connection, TLS, login, MAIL, RCPT, DATA.
const STEPS: u32 = 6;
/// Characters of a server's words that are kept.
const MAX_REPLY: usize = 500;

/// The SMTP server that takes our mail, and the connections to it that aren't in use.
pub struct Relay {
    settings: MailSettings,
    hello: ClientId,
    tls: Option<TlsParameters>,
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
    /// As the settings say. Nothing is connected yet.
    ///
    /// # Errors
    /// The sender isn't an address, or the certificates can't be read.
    pub fn new(settings: &MailSettings) -> anyhow::Result<Self> {
        Mailbox::read(&settings.from).context("AUTHENTIK_EMAIL__FROM: must be an email address")?;
        let name = settings.public_url.as_ref().map_or("localhost", |url| url.host_name());
        Ok(Self {
            settings: settings.clone(),
            hello: ClientId::Domain(name.to_owned()),
            tls: if settings.encryption == Encryption::None { None } else { Some(tls(settings)?) },
            idle: Mutex::default(),
        })
    }

    /// How long a delivery may take in all.
    pub fn time_limit(&self) -> Duration {
        self.settings.timeout * STEPS
    }

    /// Hand a message over. `secret` stands in it and in no answer of ours.
    pub async fn send(&self, message: &Message, secret: &str) -> Said {
        let said = timeout(self.time_limit(), self.attempt(message)).await;
        let said =
            said.unwrap_or_else(|_| Said::NotNow("The SMTP server did not answer in time.".to_owned()));
        let masked = |words: String| self.masked(&words, secret);
        match said {
            Said::Yes(words) => Said::Yes(masked(words)),
            Said::NotNow(words) => Said::NotNow(masked(words)),
            Said::Never(words) => Said::Never(masked(words)),
        }
    }

    async fn attempt(&self, message: &Message) -> Said {
        // What goes wrong before the message is spoken of isn't the message's fault.
        let mut connection = match self.connection().await {
            Ok(connection) => connection,
            Err(words) => return Said::NotNow(words),
        };
        match hand_over(&mut connection, message).await {
            Ok(response) => {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                let lines: Vec<&str> = response.message().collect();
                Said::Yes(format!("{} {}", response.code(), lines.join(" ")))
            }
            Err(failure) => {
                self.part(connection);
                failure
            }
        }
    }

    /// A connection that is logged in: one that was used before, if it is still good.
    async fn connection(&self) -> Result<AsyncSmtpConnection, String> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(mut connection) = idle {
            if timeout(self.settings.timeout, connection.test_connected()).await == Ok(true) {
                return Ok(connection);
            }
            self.rest(); // nor are the others good
        }
        self.connect().await.map_err(|error| words(&*error))
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Box<dyn std::error::Error + Send + Sync>> {
        let MailSettings { host, port, username, password, encryption, timeout: limit, .. } = &self.settings;
        let server = (host.as_str(), *port);
        let mut connection = match &self.tls {
            Some(tls) if *encryption == Encryption::Tls => {
                let tls = Some(tls.clone());
                AsyncSmtpConnection::connect_tokio1(server, Some(*limit), &self.hello, tls, None).await?
            }
            _ => {
                let stream = timeout(*limit, TcpStream::connect(server)).await??;
                // The end of a message is written by itself: it would wait for the other side's delayed ACK of the text.
                stream.set_nodelay(true)?;
                let stream = Box::new(Bounded::new(stream));
                AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await?
            }
        };
        if let (Encryption::StartTls, Some(tls)) = (encryption, &self.tls) {
            connection.starttls(tls.clone(), &self.hello).await?;
        }
        if !username.is_empty() {
            let credentials = Credentials::new(username.clone(), password.clone());
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await?;
        }
        Ok(connection)
    }

    /// Say goodbye on the connections that nobody uses. Nobody waits for the answers.
    pub fn rest(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for connection in idle {
            self.part(connection);
        }
    }

    fn part(&self, mut connection: AsyncSmtpConnection) {
        let limit = self.settings.timeout;
        tokio::spawn(async move { timeout(limit, connection.quit()).await.is_ok() });
    }

    /// A server's words without the secrets that it may repeat, in one line.
    fn masked(&self, words: &str, secret: &str) -> String {
        let line: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let simple = secret.replace('-', "");
        let secrets = [secret, &simple, &self.settings.password];
        let masked = secrets
            .into_iter()
            .filter(|secret| !secret.is_empty())
            .fold(line, |line, secret| line.replace(secret, "***"));
        masked.chars().take(MAX_REPLY).collect()
    }
}

/// Hand a message over, step by step: lettre's `send` ends a connection on which a step failed, and waits for the answer to
/// that before it tells.
async fn hand_over(connection: &mut AsyncSmtpConnection, message: &Message) -> Result<Response, Said> {
    let failed = |error: Error| {
        if error.is_permanent() { Said::Never(words(&error)) } else { Said::NotNow(words(&error)) }
    };
    let (mut parameters, envelope) = (Vec::new(), &message.envelope);
    if envelope.from().into_iter().chain(envelope.to()).any(|address| !address.to_string().is_ascii()) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            // Nor will it learn it.
            return Err(Said::Never("The SMTP server does not take addresses in other scripts.".to_owned()));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    connection.command(Mail::new(envelope.from().cloned(), parameters)).await.map_err(failed)?;
    for recipient in envelope.to() {
        connection.command(Rcpt::new(recipient.clone(), Vec::new())).await.map_err(failed)?;
    }
    connection.command(Data).await.map_err(failed)?;
    connection.message(&message.bytes).await.map_err(failed)
}

fn tls(settings: &MailSettings) -> anyhow::Result<TlsParameters> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(file) = &settings.root_cert {
        let wrong = "AUTHENTIK_STAGES__EMAIL_ROOT_CERT: must be a file with certificates in PEM";
        let certificates = Certificate::from_pem(&std::fs::read(file).context(wrong)?).context(wrong)?;
        builder = builder.add_root_certificate(certificates);
    }
    builder.build_rustls().context("cannot prepare TLS for mail")
}

/// An error with what caused it, as the one who runs the server has to know it.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        source = cause.source();
    }
    words
}
