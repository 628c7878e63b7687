//! HTTP/1.1 from the client's side, where the client may send any bytes and the server may not answer with any.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// How long an answer may take.
pub const LONGEST: Duration = Duration::from_secs(5);

/// One connection.
pub struct Wire {
    reader: OwnedReadHalf,
    writer: Option<OwnedWriteHalf>,
    /// What came and was not yet looked at.
    buffer: Vec<u8>,
}

/// An answer, taken apart.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

/// What came instead of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The connection ended.
    Closed,
    /// Nothing, for [`LONGEST`].
    Hangs,
    /// Bytes that are no answer.
    Nonsense(String),
}

impl Wire {
    pub async fn open(address: SocketAddr) -> Self {
        let (reader, writer) = TcpStream::connect(address).await.unwrap().into_split();
        Self { reader, writer: Some(writer), buffer: Vec::new() }
    }

    /// Send these bytes, and close this direction if the client has no more to say. A server that doesn't want to hear
    /// them to the end may close; what it answered comes nevertheless.
    pub async fn send(&mut self, bytes: &[u8], last: bool) {
        if let Some(writer) = &mut self.writer {
            timeout(LONGEST, writer.write_all(bytes)).await.ok();
            if last {
                writer.shutdown().await.ok();
                self.writer = None;
            }
        }
    }

    /// The answer to a request of this method. Interim ones, `100 Continue`, are passed over.
    pub async fn answer(&mut self, method: &str) -> Result<Answer, NoAnswer> {
        timeout(LONGEST, self.read_answer(method)).await.unwrap_or(Err(NoAnswer::Hangs))
    }

    /// Wait for the end of the connection: what came before it.
    pub async fn rest(mut self) -> Result<Vec<u8>, NoAnswer> {
        let end = async { while self.more().await.is_ok() {} };
        timeout(LONGEST, end).await.map_err(|_| NoAnswer::Hangs)?;
        Ok(self.buffer)
    }

    async fn more(&mut self) -> Result<(), NoAnswer> {
        match self.reader.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => Err(NoAnswer::Closed),
            Ok(_) => Ok(()),
        }
    }

    async fn read_answer(&mut self, method: &str) -> Result<Answer, NoAnswer> {
        loop {
            let head = self.until(b"\r\n\r\n").await?;
            let head = String::from_utf8_lossy(&head).into_owned();
            let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
            let Some(status) = status else { return Err(NoAnswer::Nonsense(head)) };
            let mut answer = Answer { status, head, body: Vec::new() };
            if (100..200).contains(&status) {
                continue;
            }
            if method != "HEAD" && status != 204 && status != 304 {
                answer.body = self.body(&answer).await?;
            }
            return Ok(answer);
        }
    }

    async fn body(&mut self, answer: &Answer) -> Result<Vec<u8>, NoAnswer> {
        if let Some(length) = answer.header("content-length") {
            let length = length.parse().map_err(|_| NoAnswer::Nonsense(answer.head.clone()))?;
            return self.take(length).await;
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            let mut body = Vec::new();
            loop {
                let size = self.until(b"\r\n").await?;
                let size = String::from_utf8_lossy(&size).trim().to_owned();
                let size = usize::from_str_radix(&size, 16).map_err(|_| NoAnswer::Nonsense(size))?;
                body.extend(self.take(size).await?);
                self.until(b"\r\n").await?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        while self.more().await.is_ok() {}
        Ok(std::mem::take(&mut self.buffer))
    }

    /// What comes up to this end, which it includes.
    async fn until(&mut self, end: &[u8]) -> Result<Vec<u8>, NoAnswer> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return self.take(at + end.len()).await;
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, NoAnswer> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }
}

impl Answer {
    /// A header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.into_iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Whether the server says that it closes the connection.
    pub fn closes(&self) -> bool {
        let says = |word| self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case(word));
        // A body without a length ends with the connection.
        let has_end = self.header("content-length").or(self.header("transfer-encoding")).is_some();
        let is_old = self.head.starts_with("HTTP/1.0");
        says("close") || (is_old && !says("keep-alive")) || (is_old && !has_end && self.status != 204)
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        write!(f, "{}{}", self.head, body.chars().take(2000).collect::<String>())
    }
}
