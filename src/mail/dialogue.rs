//! [`Dialogue`]: what is said to an SMTP server, step by step. Deliveries and test mails say the same.

use std::net::SocketAddr;
use std::sync::Arc;

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Auth, Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::bounded::Bounded;
use super::message::Message;
use super::steps::{Failure, Step, Steps, line};
use super::tls::Trust;
use super::token::Tokens;
use crate::config::{Encryption, Login, MailSettings, SmtpServer};

/// How many steps a delivery has that the server may take its time for: connection, TLS, login, MAIL, RCPT, DATA.
pub const STEPS: u32 = 6;
/// Characters of a server's words that are kept.
const MAX_WORDS: usize = 500;

/// An SMTP server, and what it takes to talk to it.
pub struct Dialogue {
    server: SmtpServer,
    hello: ClientId,
    trust: Trust,
    /// Those that somebody logs in with, who does so with one.
    tokens: Option<Tokens>,
}

impl Dialogue {
    /// With this server. Nothing is said yet.
    pub fn new(server: SmtpServer, settings: &MailSettings, trust: Trust) -> Self {
        let name = settings.public_url.as_ref().map_or("localhost", |url| url.host_name());
        let tokens = match &server.login {
            Login::Token { client, .. } => Some(Tokens::new(Arc::clone(client), trust.clone())),
            Login::Nobody | Login::Password { .. } => None,
        };
        Self { server, hello: ClientId::Domain(name.to_owned()), trust, tokens }
    }

    /// The server.
    pub fn server(&self) -> &SmtpServer {
        &self.server
    }

    /// A connection on which greetings were exchanged.
    ///
    /// # Errors
    /// The step that failed, which is the last of `steps`.
    pub async fn connect(&self, steps: &mut Steps) -> Result<AsyncSmtpConnection, Failure> {
        let SmtpServer { host, port, encryption, timeout: limit, .. } = &self.server;
        let addresses = steps.run(Step::Dns, *limit, look_up(host, *port)).await?;
        // Each of the addresses may take its time.
        let all = *limit * u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        let stream = Bounded::new(steps.run(Step::Tcp, all, self.reach(addresses)).await?);
        let stream: Box<dyn AsyncTokioStream> = match encryption {
            Encryption::Tls => {
                let secured = async {
                    let stream = self.trust.secure(host, stream).await?;
                    Ok((Box::new(stream), "TLS from the first byte".to_owned()))
                };
                steps.run(Step::Tls, *limit, secured).await?
            }
            Encryption::None | Encryption::StartTls => Box::new(stream),
        };
        let greeted = async {
            let connection = AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await?;
            let words = connection.server_info().to_string();
            Ok((connection, words))
        };
        let mut connection = steps.run(Step::Ehlo, *limit, greeted).await?;
        if *encryption == Encryption::StartTls {
            let secured = async {
                connection.starttls(self.trust.for_starttls(host)?, &self.hello).await?;
                Ok(((), "STARTTLS".to_owned()))
            };
            steps.run(Step::Tls, *limit, secured).await?;
        }
        Ok(connection)
    }

    /// The first of these addresses that takes a connection.
    async fn reach(&self, addresses: Vec<SocketAddr>) -> Result<(TcpStream, String), Failure> {
        let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
        for address in addresses {
            match timeout(self.server.timeout, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // The end of a message is written by itself: it would wait for the other side's delayed ACK of the text.
                    stream.set_nodelay(true)?;
                    return Ok((stream, address.to_string()));
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = std::io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last.into())
    }

    /// Log in, where somebody does.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn log_in(
        &self,
        connection: &mut AsyncSmtpConnection,
        steps: &mut Steps,
    ) -> Result<(), Failure> {
        let limit = self.server.timeout;
        match (&self.server.login, &self.tokens) {
            (Login::Password { username, password }, _) => {
                let credentials = Credentials::new(username.clone(), password.clone());
                let logged_in = async {
                    let response =
                        connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await?;
                    Ok(((), line(&response)))
                };
                steps.run(Step::Auth, limit, logged_in).await
            }
            (Login::Token { username, .. }, Some(tokens)) => {
                let asked = async { Ok((tokens.get().await?, "there is one".to_owned())) };
                let token = steps.run(Step::Token, limit, asked).await?;
                let credentials = Credentials::new(username.clone(), token);
                let logged_in = steps.run(Step::Auth, limit, with_token(connection, credentials)).await;
                if logged_in.is_err() {
                    tokens.forget();
                }
                logged_in
            }
            (Login::Nobody | Login::Token { .. }, _) => Ok(()),
        }
    }

    /// Hand a message over. Gives the server's words. A connection on which that failed is good for nothing more.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &Message,
        steps: &mut Steps,
    ) -> Result<String, Failure> {
        let limit = self.server.timeout;
        let mut parameters = Vec::new();
        let mut named = message.envelope.from().into_iter().chain(message.envelope.to());
        let in_other_script = named.any(|address| !address.to_string().is_ascii());
        if in_other_script {
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let from = Mail::new(message.envelope.from().cloned(), parameters);
        let named = async {
            if in_other_script && !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                // Nor will it learn it.
                let words = "The SMTP server does not take addresses in other scripts.".to_owned();
                return Err(Failure { words, is_permanent: true });
            }
            Ok(((), line(&connection.command(from).await?)))
        };
        steps.run(Step::MailFrom, limit, named).await?;
        for recipient in message.envelope.to() {
            let recipient = Rcpt::new(recipient.clone(), Vec::new());
            let named = async { Ok(((), line(&connection.command(recipient).await?))) };
            steps.run(Step::Rcpt, limit, named).await?;
        }
        let handed_over = async {
            connection.command(Data).await?;
            let words = line(&connection.message(&message.bytes).await?);
            Ok((words.clone(), words))
        };
        // Many servers look through a message before they say that they have it. To give up too early doubles it.
        steps.run(Step::Data, limit * STEPS, handed_over).await
    }

    /// Say goodbye. Nobody waits for the answer.
    pub fn part(&self, mut connection: AsyncSmtpConnection) {
        let limit = self.server.timeout;
        tokio::spawn(async move { timeout(limit, connection.quit()).await.is_ok() });
    }

    /// A server's words in one line, without the secrets that it may repeat: those of the login, and `more`.
    pub fn masked(&self, words: &str, more: &[&str]) -> String {
        let line: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let token = self.tokens.as_ref().and_then(Tokens::last).unwrap_or_default();
        let own = secrets(&self.server.login, &token);
        let secrets = own.iter().map(String::as_str).chain(more.iter().copied());
        let masked = secrets
            .filter(|secret| !secret.is_empty())
            .fold(line, |line, secret| line.replace(secret, "***"));
        masked.chars().take(MAX_WORDS).collect()
    }
}

async fn look_up(host: &str, port: u16) -> Result<(Vec<SocketAddr>, String), Failure> {
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    let words = format!("addresses: {}", addresses.len());
    Ok((addresses, words))
}

/// XOAUTH2. Where the server answers with its reason first, it wants to hear an empty line before it refuses.
async fn with_token(
    connection: &mut AsyncSmtpConnection,
    credentials: Credentials,
) -> Result<((), String), Failure> {
    if !connection.server_info().supports_auth_mechanism(Mechanism::Xoauth2) {
        let words = "The SMTP server does not offer XOAUTH2.".to_owned();
        return Err(Failure { words, is_permanent: false });
    }
    let mut response = connection.command(Auth::new(Mechanism::Xoauth2, credentials, None)?).await?;
    if response.has_code(334) {
        response = connection.command("\r\n").await?;
    }
    Ok(((), line(&response)))
}

/// A login's secrets, and how they are said.
fn secrets(login: &Login, token: &str) -> Vec<String> {
    let said = |mechanism: Mechanism, username: &str, secret: &str, challenge: Option<&str>| {
        let credentials = Credentials::new(username.to_owned(), secret.to_owned());
        let command = Auth::new(mechanism, credentials, challenge.map(str::to_owned)).ok()?.to_string();
        command.split_whitespace().next_back().map(str::to_owned)
    };
    match login {
        Login::Nobody => Vec::new(),
        Login::Password { username, password } => {
            let plain = said(Mechanism::Plain, username, password, None);
            let login = said(Mechanism::Login, username, password, Some("Password"));
            [plain, login].into_iter().flatten().chain([password.clone()]).collect()
        }
        Login::Token { username, client } => {
            let said = said(Mechanism::Xoauth2, username, token, None);
            said.into_iter().chain([token.to_owned(), client.secret.clone()]).collect()
        }
    }
}
