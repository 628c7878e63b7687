//! [`Steps`]: what was done on the way to an SMTP server, what came of it, and how long it took.

use std::time::{Duration, Instant};

use lettre::transport::smtp::Error;
use lettre::transport::smtp::response::Response;
use tokio::time::timeout;

/// What is said where nobody answers.
const TOO_LATE: &str = "The SMTP server did not answer in time.";
/// What is said of a server that speaks something else. Its words aren't repeated: whoever names the server is not to learn
/// what else listens there.
const NOT_SMTP: &str = "The server does not answer as an SMTP server does.";

/// A step of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The host's addresses are looked up.
    Dns,
    /// A connection is made.
    Tcp,
    /// It is secured, before the first word or by STARTTLS.
    Tls,
    /// Greetings are exchanged.
    Ehlo,
    /// A token to log in with is asked for.
    Token,
    /// Somebody logs in.
    Auth,
    /// The sender is named.
    MailFrom,
    /// The recipient is named.
    Rcpt,
    /// The message is handed over.
    Data,
}

impl Step {
    /// As people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dns => "DNS",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ehlo => "EHLO",
            Self::Token => "TOKEN",
            Self::Auth => "AUTH",
            Self::MailFrom => "MAIL FROM",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
        }
    }
}

/// Why a step failed.
#[derive(Debug)]
pub struct Failure {
    /// The server's words, or ours.
    pub words: String,
    /// Whether it will fail again: the server said so for good, or can't do what the message takes.
    pub is_permanent: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let words = if error.is_response() { NOT_SMTP.to_owned() } else { words(&error) };
        Self { words, is_permanent: error.is_permanent() || error.is_client() }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self { words: words(&error), is_permanent: false }
    }
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

/// An answer of an SMTP server, in one line.
pub fn line(response: &Response) -> String {
    format!("{} {}", response.code(), response.message().collect::<Vec<_>>().join(" "))
}

/// A step that was done.
#[derive(Debug)]
pub struct Done {
    /// Which.
    pub step: Step,
    /// The server's words, or ours.
    pub words: String,
    /// Whether it went well. The last one alone may not.
    pub is_ok: bool,
    /// How long it took.
    pub took: Duration,
}

/// What was done so far.
#[derive(Debug, Default)]
pub struct Steps {
    done: Vec<Done>,
    running: Option<(Step, Instant)>,
}

impl Steps {
    /// Do a step within `limit`. `work` gives what is to be told of it beside its result.
    ///
    /// # Errors
    /// It failed, or took too long.
    pub async fn run<T>(
        &mut self,
        step: Step,
        limit: Duration,
        work: impl Future<Output = Result<(T, String), Failure>>,
    ) -> Result<T, Failure> {
        self.running = Some((step, Instant::now()));
        let late = || Failure { words: TOO_LATE.to_owned(), is_permanent: false };
        let done = timeout(limit, work).await.unwrap_or_else(|_| Err(late()));
        let words = done.as_ref().map_or_else(|failure| &failure.words, |(_, words)| words).clone();
        self.end(words, done.is_ok());
        done.map(|(result, _)| result)
    }

    /// All steps. One that was given up in the middle is the last.
    pub fn into_done(mut self) -> Vec<Done> {
        self.end(TOO_LATE.to_owned(), false);
        self.done
    }

    fn end(&mut self, words: String, is_ok: bool) {
        if let Some((step, began)) = self.running.take() {
            self.done.push(Done { step, words, is_ok, took: began.elapsed() });
        }
    }
}
