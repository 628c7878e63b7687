//! Connections: from the listener to the router, until the server stops.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Extension};
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tower::Layer;

use super::door::Door;

/// How long a connection may be without the whole head of a request: at its begin, between two requests, and within a
/// head. Longer than proxies keep connections that they don't use (nginx 60 s, Traefik 90 s, Caddy 120 s), so that it's
/// they who close one.
pub const HEAD_TIME_LIMIT: Duration = Duration::from_secs(150);

/// How long the rest of a head is waited for when the server stops.
const REST_OF_HEAD: Duration = Duration::from_secs(1);

/// What clients may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// See [`HEAD_TIME_LIMIT`].
    pub head_time: Duration,
    /// How long a head that has begun is waited for, and a client that takes nothing of its answer.
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
    listener: TcpListener,
    door: Door,
    stall: Duration,
    router: Router,
    http: http1::Builder,
    stopping: watch::Sender<bool>,
    open: JoinSet<()>,
}

impl Connections {
    /// Those that `listener` will take, for `router`.
    pub fn new(listener: TcpListener, router: Router, limits: Limits) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_buf_size(limits.head);
        let door = Door::new(limits.connections, limits.connections_per_address, limits.trusted);
        Self {
            listener,
            door,
            stall: limits.stall,
            router,
            http,
            stopping: watch::Sender::new(false),
            open: JoinSet::new(),
        }
    }

    /// Take connections and serve them. This never ends; dropped, it takes no more and leaves the open ones alone.
    pub async fn accept(&mut self) -> Infallible {
        loop {
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            let Some(admitted) = self.door.admit(peer.ip()) else {
                stream.try_write(FULL).ok();
                continue;
            };
            // An answer is written at once or not at all: there is nothing to wait for.
            stream.set_nodelay(true).ok();
            while self.open.try_join_next().is_some() {}
            let (http, router) = (self.http.clone(), self.router.clone());
            let served = serve(http, router, stream, self.stall, peer, self.stopping.subscribe());
            self.open.spawn(async move {
                served.await;
                drop(admitted);
            });
        }
    }

    /// Close what is idle, and wait until the running requests are answered.
    pub async fn finish(mut self) {
        drop(self.listener);
        self.stopping.send_replace(true);
        while self.open.join_next().await.is_some() {}
    }
}

/// One connection, until it ends or the server does.
async fn serve(
    http: http1::Builder,
    router: Router,
    stream: TcpStream,
    stall: Duration,
    peer: SocketAddr,
    mut stopping: watch::Receiver<bool>,
) {
    let (running, stalled) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let service = TowerToHyperService::new(Extension(ConnectInfo::<SocketAddr>(peer)).layer(router));
    let counted = service_fn(|request| {
        let (running, answer) = (Arc::clone(&running), service.call(request));
        running.fetch_add(1, Ordering::Relaxed);
        async move {
            let answer = answer.await;
            running.fetch_sub(1, Ordering::Relaxed);
            answer
        }
    });
    let stream =
        Stream { stream, stall, running: Arc::clone(&running), stalled: Arc::clone(&stalled), limit: None };
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), counted));
    // It ends with an error if the client is gone or too slow: neither is ours to tell.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopping.wait_for(|stopping| *stopping) => connection.as_mut().graceful_shutdown(),
    }
    // Closed, if it was idle. One that has begun a head and doesn't send the rest has asked for nothing.
    let ended = tokio::time::timeout(REST_OF_HEAD, connection.as_mut()).await;
    let is_answering = running.load(Ordering::Relaxed) > 0 || stalled.load(Ordering::Relaxed);
    if ended.is_err() && is_answering {
        connection.await.ok();
    }
}

/// The client's end of a connection, whether it has yet to take what was written to it, and how long that, or the rest of
/// a head, is waited for.
struct Stream {
    stream: TcpStream,
    stall: Duration,
    running: Arc<AtomicUsize>,
    stalled: Arc<AtomicBool>,
    limit: Option<(Awaited, Pin<Box<Sleep>>)>,
}

/// What a client is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// The rest of a head.
    Head,
    /// That it takes what was written.
    Taking,
}

impl Stream {
    fn written(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.stalled.store(written.is_pending(), Ordering::Relaxed);
        if written.is_pending() {
            return self.wait(Awaited::Taking, context).map(Err);
        }
        // It takes its answer. What it has sent meanwhile is waited for from now on.
        self.limit = None;
        written
    }

    /// The limit has passed. It begins with the first call.
    fn wait(&mut self, awaited: Awaited, context: &mut Context<'_>) -> Poll<io::Error> {
        let limit = match &mut self.limit {
            Some((what, limit)) if *what == awaited => limit,
            _ => &mut self.limit.insert((awaited, Box::pin(tokio::time::sleep(self.stall)))).1,
        };
        limit.as_mut().poll(context).map(|()| io::ErrorKind::TimedOut.into())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let in_head = self.running.load(Ordering::Relaxed) == 0 && !self.stalled.load(Ordering::Relaxed);
        let begun = matches!(self.limit, Some((Awaited::Head, _)));
        if !in_head {
            if begun {
                self.limit = None;
            }
            return read;
        }
        // A head has begun with its first byte, and it isn't whole while no request runs.
        let came = buffer.filled().len() > before;
        if (came || (begun && read.is_pending()))
            && let Poll::Ready(error) = self.wait(Awaited::Head, context)
        {
            return Poll::Ready(Err(error));
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
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
