//! Connections: from the listeners to the router, until the server stops.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Extension};
use axum::serve::Listener;
use hyper::Request;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::Layer;

use super::door::Door;
use super::stream::{Counts, Looked, Progress, Stream, Untaken};
use super::tls::{self, Tls};
use super::trusted_proxies::Https;
use crate::telemetry::metrics::{self, Limit};

/// How long a connection may be without the whole head of a request: at its begin, between two requests, and within a
/// head. Longer than proxies keep connections that they don't use (nginx 60 s, Traefik 90 s, Caddy 120 s), so that it's
/// they who close one.
pub const HEAD_TIME_LIMIT: Duration = Duration::from_secs(150);

/// How long the rest of a head is waited for when the server stops.
const REST_OF_HEAD: Duration = Duration::from_secs(1);

/// Requests that a client may have running on a connection of HTTP/2.
const STREAMS: u32 = 100;
/// Bytes of a body that a client may send before it is read; of all bodies of a connection of HTTP/2, and of one.
const WINDOWS: (u32, u32) = (256 * 1024, 64 * 1024);

/// What clients may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// See [`HEAD_TIME_LIMIT`].
    pub head_time: Duration,
    /// How long a head that has begun is waited for, a handshake of TLS, and a client that takes nothing of its answer.
    pub stall: Duration,
    /// Bytes of a head.
    pub head: usize,
    /// Connections.
    pub connections: usize,
    /// Connections from one address, unless a proxy in the `trusted` networks has it.
    pub connections_per_address: usize,
    /// The networks of trusted proxies.
    pub trusted: Vec<IpNet>,
}

/// What a client is told for whom there is no room. It has asked nothing yet.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The connections that are open. Dropped, they are cut.
pub struct Connections {
    plain: TcpListener,
    secure: Option<(TcpListener, TlsAcceptor)>,
    door: Door,
    protocols: Protocols,
    router: Router,
    stopping: watch::Sender<bool>,
    open: JoinSet<()>,
}

/// How HTTP is spoken.
#[derive(Clone)]
struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    head_time: Duration,
    stall: Duration,
}

/// One connection.
struct Connection {
    protocols: Protocols,
    router: Router,
    peer: SocketAddr,
    /// Whether it has TLS.
    is_secure: bool,
    stopping: watch::Receiver<bool>,
}

impl Connections {
    /// Those that the listener will take, for `router`.
    pub fn new(plain: TcpListener, router: Router, limits: Limits) -> Self {
        let mut http1 = http1::Builder::new();
        http1.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_buf_size(limits.head);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        // How many streams a client may reset before it is taken for an attacker is hyper's own limit.
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
            .initial_connection_window_size(WINDOWS.0)
            .initial_stream_window_size(WINDOWS.1);
        let protocols = Protocols { http1, http2, head_time: limits.head_time, stall: limits.stall };
        let door = Door::new(limits.connections, limits.connections_per_address, limits.trusted);
        let (secure, stopping, open) = (None, watch::Sender::new(false), JoinSet::new());
        Self { plain, secure, door, protocols, router, stopping, open }
    }

    /// And those that this one will take, with TLS.
    #[must_use]
    pub fn and_secure(mut self, listener: TcpListener, tls: &Tls) -> Self {
        self.secure = Some((listener, tls.acceptor()));
        self
    }

    /// Take connections and serve them. This never ends; dropped, it takes no more and leaves the open ones alone.
    pub async fn accept(&mut self) -> Infallible {
        loop {
            let ((stream, peer), tls) = next(&mut self.plain, self.secure.as_mut()).await;
            let Some(admitted) = self.door.admit(peer.ip()) else {
                metrics::turned_away(Limit::Connections);
                if tls.is_none() {
                    stream.try_write(FULL).ok();
                }
                continue;
            };
            // An answer is written at once or not at all: there is nothing to wait for.
            stream.set_nodelay(true).ok();
            while self.open.try_join_next().is_some() {}
            let (protocols, router) = (self.protocols.clone(), self.router.clone());
            let (stopping, is_secure) = (self.stopping.subscribe(), tls.is_some());
            let connection = Connection { protocols, router, peer, is_secure, stopping };
            // Two tasks, for one takes as much room as the largest future in it.
            match tls {
                None => self.open.spawn(async move {
                    connection.http1(stream).await;
                    drop(admitted);
                }),
                Some(tls) => self.open.spawn(async move {
                    connection.secure(stream, tls).await;
                    drop(admitted);
                }),
            };
        }
    }

    /// Close what is idle, and wait until the running requests are answered.
    pub async fn finish(mut self) {
        drop((self.plain, self.secure));
        self.stopping.send_replace(true);
        while self.open.join_next().await.is_some() {}
    }
}

/// The next connection, and what makes it a secure one.
async fn next(
    plain: &mut TcpListener,
    secure: Option<&mut (TcpListener, TlsAcceptor)>,
) -> ((TcpStream, SocketAddr), Option<TlsAcceptor>) {
    let Some((secure, tls)) = secure else { return (Listener::accept(plain).await, None) };
    tokio::select! {
        accepted = Listener::accept(plain) => (accepted, None),
        accepted = Listener::accept(secure) => (accepted, Some(tls.clone())),
    }
}

/// A request, with how it came.
fn arrived<B>(mut request: Request<B>, is_secure: bool) -> Request<B> {
    if is_secure {
        request.extensions_mut().insert(Https);
    }
    request
}

impl Connection {
    /// Serve it with TLS, in whichever version of HTTP the client asks for.
    async fn secure(mut self, stream: TcpStream, tls: TlsAcceptor) {
        let accepted = tokio::select! {
            accepted = timeout(self.protocols.stall, tls.accept(stream)) => accepted,
            _ = self.stopping.wait_for(|stopping| *stopping) => return,
        };
        let Ok(Ok(stream)) = accepted else { return };
        if stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2) {
            self.http2(stream).await;
        } else {
            self.http1(stream).await;
        }
    }

    /// Serve it in HTTP/1, until it ends or the server does.
    async fn http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(mut self, stream: S) {
        let counts = Arc::new(Counts::default());
        let service =
            TowerToHyperService::new(Extension(ConnectInfo::<SocketAddr>(self.peer)).layer(self.router));
        let is_secure = self.is_secure;
        let counted = service_fn(|request| {
            let (running, answer) = (counts.request(), service.call(arrived(request, is_secure)));
            async move {
                let answer = answer.await;
                drop(running);
                answer
            }
        });
        let stream = Stream::of_http1(stream, self.protocols.stall, Arc::clone(&counts));
        let mut connection = pin!(self.protocols.http1.serve_connection(TokioIo::new(stream), counted));
        // It ends with an error if the client is gone or too slow: neither is ours to tell.
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = self.stopping.wait_for(|stopping| *stopping) => connection.as_mut().graceful_shutdown(),
        }
        // Closed, if it was idle. One that has begun a head and doesn't send the rest has asked for nothing.
        let ended = timeout(REST_OF_HEAD, connection.as_mut()).await;
        if ended.is_err() && counts.is_answering() {
            connection.await.ok();
        }
    }

    /// Serve it in HTTP/2, until it ends or the server does. hyper looks neither at a connection that asks for nothing nor
    /// at a client that opens no window for its answers, so we look at both from time to time.
    async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(mut self, stream: S) {
        let counts = Arc::new(Counts::default());
        let service =
            TowerToHyperService::new(Extension(ConnectInfo::<SocketAddr>(self.peer)).layer(self.router));
        let (of_answers, is_secure) = (Arc::clone(&counts), self.is_secure);
        let counted = service_fn(move |request| {
            let (running, answer) = (of_answers.request(), service.call(arrived(request, is_secure)));
            let counts = Arc::clone(&of_answers);
            async move {
                let answer = answer.await;
                drop(running);
                answer.map(|answer| answer.map(|body| Untaken::new(body, counts)))
            }
        });
        let stream = Stream::of_http2(stream, self.protocols.stall, Arc::clone(&counts));
        let mut connection = pin!(self.protocols.http2.serve_connection(TokioIo::new(stream), counted));
        let (stall, head_time) = (self.protocols.stall, self.protocols.head_time);
        let (mut progress, mut idle) = (Progress::default(), Duration::ZERO);
        while idle < head_time {
            tokio::select! {
                _ = connection.as_mut() => return,
                _ = self.stopping.wait_for(|stopping| *stopping) => break,
                () = sleep(stall) => {}
            }
            match progress.since(&counts) {
                Looked::Busy => idle = Duration::ZERO,
                Looked::Idle => idle += stall,
                Looked::Stalled => return,
            }
        }
        connection.as_mut().graceful_shutdown();
        let ended = timeout(REST_OF_HEAD, connection.as_mut()).await;
        if ended.is_err() && counts.is_answering() {
            connection.await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// More than the buffers of two sockets hold.
    const LARGE: usize = 16 * 1024 * 1024;

    async fn served() -> (SocketAddr, Connections) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string()))
            .route("/slow", get(async || tokio::time::sleep(3 * LIMIT).await))
            .route("/large", get(async || vec![b'a'; LARGE]));
        let limits = Limits {
            head_time: LIMIT,
            stall: 20 * LIMIT,
            head: 8192,
            connections: 100,
            connections_per_address: 100,
            trusted: Vec::new(),
        };
        (address, Connections::new(listener, router, limits))
    }

    async fn answer(stream: &mut TcpStream) -> String {
        let mut answer = [0; 1024];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    /// What `client` does with connections that are served meanwhile.
    async fn with<T>(client: impl AsyncFnOnce(SocketAddr) -> T) -> (T, Connections) {
        let (address, mut connections) = served().await;
        let done = tokio::select! {
            never = connections.accept() => match never {},
            done = client(address) => done,
        };
        (done, connections)
    }

    #[tokio::test]
    async fn a_connection_serves_several_requests_and_knows_the_peer() {
        with(async |address| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            for _ in 0..3 {
                tokio::time::sleep(LIMIT / 2).await;
                stream.write_all(REQUEST).await.unwrap();
                let answer = answer(&mut stream).await;
                assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("127.0.0.1"), "{answer}");
            }
        })
        .await;
    }

    #[tokio::test]
    async fn one_that_sends_no_head_is_closed() {
        with(async |address| {
            for head in [&b""[..], b"GET / HTTP/1.1\r\nHo"] {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let began = Instant::now();
                stream.write_all(head).await.unwrap();
                while !answer(&mut stream).await.is_empty() {}
                assert!(began.elapsed() >= LIMIT / 2, "not at once");
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_running_request_is_answered_and_an_idle_connection_closed_at_the_end() {
        let ((mut busy, mut idle), connections) = with(async |address| {
            let mut busy = TcpStream::connect(address).await.unwrap();
            busy.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            let mut idle = TcpStream::connect(address).await.unwrap();
            idle.write_all(REQUEST).await.unwrap();
            assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200"));
            (busy, idle)
        })
        .await;
        let began = Instant::now();
        connections.finish().await;
        assert!(began.elapsed() >= LIMIT, "it waited");
        assert!(answer(&mut busy).await.starts_with("HTTP/1.1 200"));
        assert_eq!(answer(&mut idle).await, "");
    }

    #[tokio::test]
    async fn half_a_head_is_not_waited_for_at_the_end_and_an_answer_that_is_taken_slowly_is() {
        let (mut slow, connections) = with(async |address| {
            let mut half = TcpStream::connect(address).await.unwrap();
            half.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
            let mut slow = TcpStream::connect(address).await.unwrap();
            slow.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            let mut first = [0; 12];
            slow.read_exact(&mut first).await.unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
            tokio::spawn(async move {
                // For longer than heads may take here, so that it isn't that limit which ends it.
                loop {
                    tokio::time::sleep(LIMIT / 2).await;
                    half.write_all(b"o").await.ok();
                }
            });
            slow
        })
        .await;
        let began = Instant::now();
        let taken = tokio::spawn(async move {
            tokio::time::sleep(2 * REST_OF_HEAD).await;
            let mut answer = Vec::new();
            slow.read_to_end(&mut answer).await.unwrap();
            answer.len()
        });
        connections.finish().await;
        assert!(began.elapsed() < 4 * REST_OF_HEAD, "half a head holds nobody up");
        assert!(taken.await.unwrap() > LARGE);
    }

    #[tokio::test]
    async fn dropped_connections_are_cut() {
        let (mut busy, connections) = with(async |address| {
            let mut busy = TcpStream::connect(address).await.unwrap();
            busy.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            tokio::time::sleep(LIMIT).await;
            busy
        })
        .await;
        drop(connections);
        assert_eq!(answer(&mut busy).await, "");
    }
}
