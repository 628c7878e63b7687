//! The program as a process of its own, and plain requests to it: what the test binaries have in common.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use ak_stages::config::SETTINGS;

/// How long a start or an answer may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The program with this environment and, of its own variables, no other.
pub fn command(environment: &[(&str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ak-stages"));
    for setting in SETTINGS.iter().filter(|setting| setting.name != "PG_BIN_DIR") {
        command.env_remove(setting.name);
    }
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

/// Send a request on a connection of its own, which is closed if it is dropped before the answer.
///
/// # Errors
/// The server went away.
pub fn ask(server: SocketAddr, method: &str, path: &str, key: &str, body: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    Ok(stream)
}

/// What is answered there: the status, the head with it, the body.
///
/// # Errors
/// There is no answer.
pub fn answer(mut stream: TcpStream) -> io::Result<(u16, String, String)> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, head.to_owned(), body.to_owned()))
}
