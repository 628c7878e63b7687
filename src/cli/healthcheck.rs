//! `ak-stages healthcheck`: whether a running server is ready.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

/// Ask `/-/health/ready/`. A client of a few lines: an HTTP library for one request would be the larger part of the
/// program.
///
/// # Errors
/// It doesn't answer, or isn't ready.
pub fn healthcheck(listen: SocketAddr) -> anyhow::Result<()> {
    let mut address = listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let limit = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&address, limit).context("the server does not answer")?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET /-/health/ready/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    if &answer == b"HTTP/1.1 204" { Ok(()) } else { bail!("the server is not ready") }
}
