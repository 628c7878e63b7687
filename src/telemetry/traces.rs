//! Traces: a span a request and one a statement, sent to a collector by OTLP over HTTP.
//!
//! Spans are made here rather than of the `tracing` crate's: a request then costs nothing where there are no traces.

use std::pin::Pin;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Request, Response, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::Work;
use super::logs::Statement;

/// How long a collector may take for what is sent at once, and for the last of it when the server ends.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
const LAST_EXPORT: Duration = Duration::from_secs(2);
/// How much of a collector's answer is read: bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// How much of a statement's text is kept: characters.
const MAX_TEXT: usize = 4096;

/// What makes spans, once there are traces.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// The traces of this process.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// From now on requests are traced, and their spans sent to the collector at `endpoint`, a URL without `/v1/traces`. The
    /// rest is said by OpenTelemetry's own variables, such as `OTEL_SERVICE_NAME` and `OTEL_TRACES_SAMPLER`.
    ///
    /// # Errors
    /// The endpoint is no URL.
    pub fn start(endpoint: &str) -> anyhow::Result<Self> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector { runtime: Handle::current() })
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(EXPORT_TIMEOUT)
            .build()
            .context("traces can't be sent")?;
        let service = std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| "ak-stages".to_owned());
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name(service).with_attribute(version).build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        TRACER.set(provider.tracer("ak-stages")).ok();
        Ok(Self(provider))
    }

    /// Send what is left.
    pub async fn stop(self) {
        let sent = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST_EXPORT));
        if !matches!(sent.await, Ok(Ok(()))) {
            tracing::warn!("the last traces could not be sent");
        }
    }
}

/// The span of a request. Dropped without [`Self::end`] it ends without a status.
pub struct RequestSpan {
    context: Context,
    sampled: bool,
}

impl RequestSpan {
    /// It begins, below the span that its `traceparent` header names if it has one. `None` where there are no traces.
    pub fn begin(method: &'static str, route: &str, headers: &HeaderMap) -> Option<Self> {
        let tracer = TRACER.get()?;
        let parent =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers));
        let span = tracer
            .span_builder(format!("{method} {route}"))
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new("http.request.method", method),
                KeyValue::new("http.route", route.to_owned()),
            ])
            .start_with_context(tracer, &parent);
        let sampled = span.span_context().is_sampled();
        Some(Self { context: parent.with_span(span), sampled })
    }

    /// Whether it is sent.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Which trace it is of: 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        self.context.span().span_context().trace_id().to_string()
    }

    /// The `traceparent` header that names it.
    pub fn traceparent(&self) -> Option<HeaderValue> {
        let span = self.context.span();
        let known = span.span_context();
        let (trace, span, flags) = (known.trace_id(), known.span_id(), known.trace_flags().to_u8());
        HeaderValue::from_str(&format!("00-{trace}-{span}-{flags:02x}")).ok()
    }

    /// The request was answered.
    pub fn end(&self, status: u16, work: &Work) {
        let span = self.context.span();
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        span.set_attribute(KeyValue::new("ak_stages.statements", number(work.statements())));
        span.set_attribute(KeyValue::new("ak_stages.rows", number(work.rows())));
        if let Some(user) = work.user() {
            span.set_attribute(KeyValue::new("user.id", user.to_string()));
        }
        if status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end();
    }

    /// A statement was run for it, which has just ended.
    pub(super) fn statement(&self, ran: &Statement) {
        let Some(tracer) = TRACER.get().filter(|_| self.sampled) else { return };
        let (end, rows) = (SystemTime::now(), i64::try_from(ran.rows).unwrap_or(i64::MAX));
        let operation = ran.text.split_whitespace().next().unwrap_or("statement").to_uppercase();
        let text: String = ran.text.chars().take(MAX_TEXT).collect();
        tracer
            .span_builder(operation.clone())
            .with_kind(SpanKind::Client)
            .with_start_time(end.checked_sub(ran.elapsed).unwrap_or(end))
            .with_attributes([
                KeyValue::new("db.system.name", "postgresql"),
                KeyValue::new("db.operation.name", operation),
                KeyValue::new("db.query.text", text),
                KeyValue::new("db.response.returned_rows", rows),
            ])
            .start_with_context(tracer, &self.context)
            .end_with_timestamp(end);
    }
}

/// The way to the collector. The SDK sends from a thread of its own, so this one knows the runtime to send on.
#[derive(Debug)]
struct Collector {
    runtime: Handle,
}

impl HttpClient for Collector {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> Sending<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let sent = self.runtime.spawn(async { timeout(EXPORT_TIMEOUT, send(request)).await });
        Box::pin(async { sent.await?? })
    }
}

type Sending<'b> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>;

/// One request on a connection of its own: there is one every few seconds.
async fn send(request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().ok_or("the collector's URL has no host")?.clone();
    let address = match authority.port() {
        Some(_) => authority.to_string(),
        None => format!("{authority}:80"),
    };
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    parts.headers.insert(header::HOST, HeaderValue::from_str(authority.as_str())?);
    if let Some(path) = parts.uri.path_and_query() {
        parts.uri = Uri::from(path.clone());
    }
    let answer = sender.send_request(Request::from_parts(parts, Body::from(body))).await?;
    let (parts, body) = answer.into_parts();
    let body = to_bytes(Body::new(body), MAX_ANSWER).await?;
    connection.abort();
    Ok(Response::from_parts(parts, body))
}
