//! TLS, and HTTP/2 on it: the real program and a client that speaks both versions.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{Program, empty_database, new_directory};

const KEY: &str = "the-first-token-of-this-database";
const STAGES: &str = "/api/v3/stages/email/";
const INVITATIONS: &str = "/api/v3/stages/invitation/invitations/";

/// A server with a certificate of its own.
struct Secure {
    program: Program,
    address: SocketAddr,
    directory: std::path::PathBuf,
    certificate: CertifiedKey<KeyPair>,
}

fn new_certificate() -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

fn write(directory: &Path, certificate: &CertifiedKey<KeyPair>) {
    fs::write(directory.join("key.pem"), certificate.signing_key.serialize_pem()).unwrap();
    fs::write(directory.join("certificate.pem"), certificate.cert.pem()).unwrap();
}

async fn serve(settings: &[(&'static str, &str)]) -> Secure {
    let (directory, certificate) = (new_directory("tls"), new_certificate());
    write(&directory, &certificate);
    let mut environment = empty_database().await;
    let file = |name| directory.join(name).to_str().unwrap().to_owned();
    environment.extend([
        ("AUTHENTIK_BOOTSTRAP_TOKEN", KEY.to_owned()),
        ("AUTHENTIK_LISTEN__HTTPS", "127.0.0.1:0".to_owned()),
        ("AUTHENTIK_STAGES__TLS_CERTIFICATE", file("certificate.pem")),
        ("AUTHENTIK_STAGES__TLS_KEY", file("key.pem")),
    ]);
    environment.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let mut program = Program::serve(&environment);
    let address = program.secure_address();
    Secure { program, address, directory, certificate }
}

impl Secure {
    /// A connection on which the client asks for these protocols.
    async fn connect(&self, protocols: &[&str]) -> io::Result<TlsStream<TcpStream>> {
        connect(self.address, &self.certificate, protocols).await
    }

    async fn http2(&self) -> io::Result<http2::SendRequest<Body>> {
        let stream = self.connect(&["h2", "http/1.1"]).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let spoken = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(64 * 1024)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) = spoken.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// One that trusts this certificate and no other.
async fn connect(
    address: SocketAddr,
    trusted: &CertifiedKey<KeyPair>,
    protocols: &[&str],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await
}

/// A request with the first token; of HTTP/2, which has the host in the target, if there is one.
fn request(method: &str, target: &str, body: Option<&Value>) -> Request<Body> {
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
        .header(header::CONTENT_TYPE, "application/json");
    request.body(body.map_or_else(Body::empty, |body| body.to_string().into())).unwrap()
}

fn over(path: &str) -> String {
    format!("https://localhost{path}")
}

async fn read(response: Response<Incoming>) -> (StatusCode, Version, HeaderMap, Value) {
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(frame) =
        std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await
    {
        bytes.extend_from_slice(&frame.unwrap().into_data().unwrap_or_else(|_| Bytes::new()));
    }
    let answer = serde_json::from_slice(&bytes).unwrap_or_default();
    (head.status, head.version, head.headers, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_are_spoken() {
    let server = serve(&[]).await;
    for protocols in [&["http/1.1"][..], &[]] {
        let stream = server.connect(protocols).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..2 {
            let mut request = request("GET", STAGES, None);
            sender.ready().await.unwrap();
            request.headers_mut().insert(header::HOST, "localhost".parse().unwrap());
            let (status, version, _, _) = read(sender.send_request(request).await.unwrap()).await;
            assert_eq!((status, version), (StatusCode::OK, Version::HTTP_11));
        }
    }
    let sender = server.http2().await.unwrap();
    let mut made = Vec::new();
    for number in 0..20 {
        let mut sender = sender.clone();
        made.push(tokio::spawn(async move {
            let body = json!({ "name": format!("stage-{number}") });
            read(sender.send_request(request("POST", &over(STAGES), Some(&body))).await.unwrap()).await
        }));
    }
    for made in made {
        let (status, version, headers, _) = made.await.unwrap();
        assert_eq!((status, version), (StatusCode::CREATED, Version::HTTP_2));
        assert_eq!(headers["x-frame-options"], "DENY");
    }
    // The double slash that authentik's documentation has, and a path that isn't there.
    let mut sender = sender;
    for (path, expected) in [("/api/v3//stages/email/?page_size=5", 200), ("/api/v3/nothing/", 404)] {
        let (status, _, _, answer) =
            read(sender.send_request(request("GET", &over(path), None)).await.unwrap()).await;
        assert_eq!(status, expected);
        assert_eq!(answer["pagination"]["count"].as_i64(), (expected == 200).then_some(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_taken_and_connections_stay() {
    let server = serve(&[]).await;
    let mut before = server.http2().await.unwrap();
    let second = new_certificate();
    write(&server.directory, &second);
    let began = Instant::now();
    while let Err(error) = connect(server.address, &second, &[]).await {
        assert!(began.elapsed() < Duration::from_secs(10), "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(server.connect(&[]).await.is_err(), "the first one isn't shown any more");
    let answered = before.send_request(request("GET", &over(STAGES), None)).await.unwrap();
    assert_eq!(answered.status(), 200, "on the connection that was there before");

    // What can't be used changes nothing, and is told.
    fs::write(server.directory.join("certificate.pem"), server.certificate.cert.pem()).unwrap();
    let began = Instant::now();
    while !server.program.stderr().contains("the certificate stays what it was") {
        assert!(began.elapsed() < Duration::from_secs(10), "nothing is told");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    connect(server.address, &second, &[]).await.unwrap();
    assert!(!server.program.stderr().contains("PRIVATE KEY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_within_a_handshake_or_takes_no_answer_is_shed() {
    let server = serve(&[("AUTHENTIK_STAGES__STALL", "seconds=1")]).await;
    let data = json!({ "name": "large", "fixed_data": { "a": "a".repeat(1_000_000) } });
    let mut reader = server.http2().await.unwrap();
    let made =
        read(reader.send_request(request("POST", &over(INVITATIONS), Some(&data))).await.unwrap()).await;
    assert_eq!(made.0, 201);

    let mut silent = TcpStream::connect(server.address).await.unwrap();
    // Its window is smaller than the answer, and opens no further: nobody reads.
    let unread = reader.send_request(request("GET", &over(INVITATIONS), None)).await.unwrap();
    assert_eq!(unread.status(), 200);
    let began = Instant::now();
    while !reader.is_closed() {
        assert!(began.elapsed() < Duration::from_secs(10), "the answer is kept");
        // What is asked beside it doesn't help.
        reader.send_request(request("GET", &over("/-/health/live/"), None)).await.ok();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(began.elapsed() > Duration::from_millis(900));
    let ended = tokio::time::timeout(Duration::from_secs(5), silent.read(&mut [0; 16])).await;
    assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
    // Who asks for nothing is left alone for longer than that.
    let mut idle = server.http2().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(idle.send_request(request("GET", &over(STAGES), None)).await.unwrap().status(), 200);
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_resets_stream_after_stream_is_thrown_out() {
    let server = serve(&[]).await;
    let mut stream = server.connect(&["h2"]).await.unwrap();
    let mut sent = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[])].concat();
    for number in 0..2000 {
        let id = 2 * number + 1;
        // GET / over https, and RST_STREAM with CANCEL.
        sent.extend(frame(1, 5, id, &[0x82, 0x87, 0x84]));
        sent.extend(frame(3, 0, id, &8_u32.to_be_bytes()));
    }
    stream.write_all(&sent).await.ok();
    let mut told = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut told)).await.unwrap().ok();
    let (mut rest, mut settings, mut goaway) = (&told[..], false, None);
    while rest.len() >= 9 {
        let length = usize::from(rest[0]) << 16 | usize::from(rest[1]) << 8 | usize::from(rest[2]);
        let payload = &rest[9..9 + length];
        if rest[3] == 4 && length > 0 {
            // SETTINGS_MAX_CONCURRENT_STREAMS
            settings = payload.chunks(6).any(|setting| setting == [0, 3, 0, 0, 0, 100]);
        }
        if rest[3] == 7 {
            goaway = Some(payload[7]);
        }
        rest = &rest[9 + length..];
    }
    assert!(settings, "so many streams at a time");
    assert_eq!(goaway, Some(11), "ENHANCE_YOUR_CALM");
}
