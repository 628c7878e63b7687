//! Connections: from the listener to the router, until the server stops.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Extension};
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::Layer;

/// How long a connection may be without the whole head of a request: at its begin, between two requests, and within a
/// head. Longer than proxies keep connections that they don't use (nginx 60 s, Traefik 90 s, Caddy 120 s), so that it's
/// they who close one.
pub const HEAD_TIME_LIMIT: Duration = Duration::from_secs(150);

/// The connections that are open.
pub struct Connections {
    listener: TcpListener,
    router: Router,
    http: http1::Builder,
    open: GracefulShutdown,
}

impl Connections {
    /// Those that `listener` will take, for `router`.
    pub fn new(listener: TcpListener, router: Router, head_time_limit: Duration) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(head_time_limit);
        Self { listener, router, http, open: GracefulShutdown::new() }
    }

    /// Take connections and serve them. This never ends; dropped, it takes no more and leaves the open ones alone.
    pub async fn accept(&mut self) -> Infallible {
        loop {
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            // An answer is written at once or not at all: there is nothing to wait for.
            stream.set_nodelay(true).ok();
            let service = Extension(ConnectInfo::<SocketAddr>(peer)).layer(self.router.clone());
            let connection =
                self.http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            let connection = self.open.watch(connection);
            // It ends with an error if the client is gone or too slow: neither is ours to tell.
            tokio::spawn(async move { connection.await.ok() });
        }
    }

    /// Close what is idle, and wait until the running requests are answered.
    pub async fn finish(self) {
        drop(self.listener);
        self.open.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    async fn serve() -> (SocketAddr, Connections) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string()))
            .route("/slow", get(async || tokio::time::sleep(3 * LIMIT).await));
        (address, Connections::new(listener, router, LIMIT))
    }

    async fn answer(stream: &mut TcpStream) -> String {
        let mut answer = [0; 1024];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    /// What `client` does with connections that are served meanwhile.
    async fn with<T>(client: impl AsyncFnOnce(SocketAddr) -> T) -> (T, Connections) {
        let (address, mut connections) = serve().await;
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
}
