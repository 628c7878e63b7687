//! [`Tokens`]: access tokens to log in with (XOAUTH2), by OAuth 2.0's client credentials (RFC 6749, section 4.4).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::bounded::Bounded;
use super::steps::Failure;
use super::tls::Trust;
use crate::config::TokenClient;

/// How long before its end a token is used no more.
const MARGIN: Duration = Duration::from_mins(1);
/// How long one lasts of which nothing is said.
const USUAL: u64 = 300;
/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;

/// Access tokens: one is asked for when it is needed, and kept until shortly before its end.
pub struct Tokens {
    client: Arc<TokenClient>,
    trust: Trust,
    current: Mutex<Option<Token>>,
    /// One asks at a time. Whoever waited for it finds what came of that.
    asking: tokio::sync::Mutex<()>,
}

/// An access token. There is no `Debug`: it is a secret.
#[derive(Clone)]
struct Token {
    text: String,
    until: Instant,
}

/// What the endpoint says (sections 5.1 and 5.2). There is no `Debug`: a secret is in it.
#[derive(Deserialize)]
struct Reply {
    access_token: Option<String>,
    expires_in: Option<u64>,
    error: Option<String>,
    error_description: Option<String>,
}

impl Tokens {
    /// Those of this client. None is asked for yet.
    pub fn new(client: Arc<TokenClient>, trust: Trust) -> Self {
        Self { client, trust, current: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// One that holds.
    ///
    /// # Errors
    /// The endpoint is out of reach, or gives none.
    pub async fn get(&self) -> Result<String, Failure> {
        let _asking = self.asking.lock().await;
        if let Some(token) = self.current()
            && token.until > Instant::now()
        {
            return Ok(token.text);
        }
        let token = self.ask().await?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token.text)
    }

    /// The SMTP server didn't take the last one: the next is a new one.
    pub fn forget(&self) {
        if let Some(token) = &mut *self.current.lock().unwrap_or_else(PoisonError::into_inner) {
            token.until = Instant::now();
        }
    }

    /// The last one, which no words may show.
    pub fn last(&self) -> Option<String> {
        self.current().map(|token| token.text)
    }

    fn current(&self) -> Option<Token> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn ask(&self) -> Result<Token, Failure> {
        let endpoint = &self.client.endpoint;
        let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
        let stream = Bounded::new(stream);
        let (status, answer) = if endpoint.is_secure {
            self.exchange(self.trust.secure(&endpoint.host, stream).await?).await?
        } else {
            self.exchange(stream).await?
        };
        let Ok(reply) = serde_json::from_slice::<Reply>(&answer) else {
            return Err(failure(format!("The token endpoint answered {status} without JSON.")));
        };
        match (status, reply.access_token) {
            (StatusCode::OK, Some(text)) => {
                let lasts = Duration::from_secs(reply.expires_in.unwrap_or(USUAL).min(86_400));
                let lasts = lasts.saturating_sub(MARGIN.min(lasts / 2));
                Ok(Token { text, until: Instant::now() + lasts })
            }
            _ => {
                let reason = [reply.error, reply.error_description].into_iter().flatten();
                let reason = reason.collect::<Vec<_>>().join(": ");
                Err(failure(format!("The token endpoint answered {status}: {reason}")))
            }
        }
    }

    /// One request on a connection of its own: a token lasts for an hour or so.
    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<(StatusCode, Vec<u8>), Failure> {
        let broken =
            |error: &dyn std::error::Error| failure(format!("The token endpoint is out of reach: {error}"));
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        let connection = tokio::spawn(connection);
        let request = Request::post(self.client.endpoint.path.as_str())
            .header(header::HOST, self.client.endpoint.authority.as_str())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(Body::from(self.form()))
            .map_err(|error| broken(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let status = answer.status();
        let body = to_bytes(Body::new(answer.into_body()), MAX_ANSWER).await;
        connection.abort();
        Ok((status, body.map_err(|error| broken(&error))?.into()))
    }

    /// What is asked for.
    fn form(&self) -> String {
        let TokenClient { id, secret, scope, .. } = &*self.client;
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_secret", secret),
            ("scope", scope),
        ];
        let said = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        let encoded =
            said.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        encoded.collect::<Vec<_>>().join("&")
    }
}

fn failure(words: String) -> Failure {
    Failure { words, is_permanent: false }
}
