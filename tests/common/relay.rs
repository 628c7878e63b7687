//! The network between server and database, as bad as it is told to be.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the network does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// It forwards.
    Good,
    /// It forwards late.
    Slow,
    /// It takes everything and forwards nothing. What it took is lost.
    Swallows,
}

/// How late a slow network forwards each piece.
const LATE: Duration = Duration::from_millis(150);

/// A relay to a PostgreSQL's socket.
pub struct Relay {
    address: SocketAddr,
    network: Arc<AtomicU8>,
    open: Arc<Mutex<Vec<(TcpStream, UnixStream)>>>,
}

impl Relay {
    /// To this socket; it need not be there yet, nor all the time.
    pub fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (network, open) = (Arc::new(AtomicU8::new(Network::Good as u8)), Arc::default());
        let relay = Self { address, network: Arc::clone(&network), open: Arc::clone(&open) };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                client.set_nodelay(true).ok();
                // None: closed at once, as a port is on which nobody listens.
                let Ok(server) = UnixStream::connect(&socket) else { continue };
                let both = || Some((client.try_clone().ok()?, server.try_clone().ok()?));
                let (Some(kept), Some((from, to))) = (both(), both()) else { continue };
                let mut all = open.lock().unwrap();
                all.retain(|(client, _): &(TcpStream, UnixStream)| client.peer_addr().is_ok());
                all.push(kept);
                let (there, back) = (Arc::clone(&network), Arc::clone(&network));
                std::thread::spawn(move || forward(from, to, &there));
                std::thread::spawn(move || forward(server, client, &back));
            }
        });
        relay
    }

    /// Where the server finds it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it is like this.
    pub fn be(&self, network: Network) {
        self.network.store(network as u8, Ordering::SeqCst);
    }

    /// Cut every connection.
    pub fn cut(&self) {
        for (client, server) in self.open.lock().unwrap().drain(..) {
            client.shutdown(Shutdown::Both).ok();
            server.shutdown(Shutdown::Both).ok();
        }
    }
}

/// One direction, until either side closes: then both are closed.
fn forward<From: Read + Close, To: Write + Close>(mut from: From, mut to: To, network: &AtomicU8) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(length) = from.read(&mut bytes) {
        let network = network.load(Ordering::SeqCst);
        if network == Network::Slow as u8 {
            std::thread::sleep(LATE);
        }
        let forwarded = network == Network::Swallows as u8 || to.write_all(&bytes[..length]).is_ok();
        if length == 0 || !forwarded {
            break;
        }
    }
    from.close();
    to.close();
}

trait Close {
    fn close(&self);
}

impl Close for TcpStream {
    fn close(&self) {
        self.shutdown(Shutdown::Both).ok();
    }
}

impl Close for UnixStream {
    fn close(&self) {
        self.shutdown(Shutdown::Both).ok();
    }
}
