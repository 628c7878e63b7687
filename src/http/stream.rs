//! What a client does on its connection: whether it sends the rest of a head, and takes its answers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Bytes that a client of HTTP/2 has to take of its answers within the time limit on stalled ones.
const LEAST: usize = 4096;

/// What is counted of a connection.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Requests that are being served.
    running: AtomicUsize,
    /// Requests that there were.
    requests: AtomicUsize,
    /// Whether the client has yet to take what was written to it.
    stalled: AtomicBool,
    /// Bytes that were written to it.
    written: AtomicUsize,
    /// Bytes of answers that can't be written yet; counted in HTTP/2.
    untaken: AtomicUsize,
}

/// A request that is being served, until it is dropped.
pub(super) struct Running(Arc<Counts>);

impl Counts {
    /// A request begins.
    pub(super) fn request(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// Whether there is a request to serve, or an answer to be taken.
    pub(super) fn is_answering(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
            || self.stalled.load(Ordering::Relaxed)
            || self.untaken.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a connection of HTTP/2 was found to do since somebody looked before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// It has something to do.
    Busy,
    /// Nothing was asked for.
    Idle,
    /// There are answers, all the time, and next to nothing of them is taken.
    Stalled,
}

/// What was found before.
#[derive(Debug, Default)]
pub(super) struct Progress {
    requests: usize,
    written: usize,
    untaken: usize,
}

impl Progress {
    /// What was done since this was asked last.
    pub(super) fn since(&mut self, counts: &Counts) -> Looked {
        let now = Self {
            requests: counts.requests.load(Ordering::Relaxed),
            written: counts.written.load(Ordering::Relaxed),
            untaken: counts.untaken.load(Ordering::Relaxed),
        };
        let before = std::mem::replace(self, now);
        if before.untaken > 0 && self.untaken > 0 && self.written.wrapping_sub(before.written) < LEAST {
            return Looked::Stalled;
        }
        let is_idle = self.requests == before.requests && !counts.is_answering();
        if is_idle { Looked::Idle } else { Looked::Busy }
    }
}

/// The client's end of a connection, and how long it is waited for.
pub(super) struct Stream<S> {
    inner: S,
    stall: Duration,
    counts: Arc<Counts>,
    /// Whether what comes while no request runs is a head.
    heads: bool,
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

impl<S> Stream<S> {
    /// One on which HTTP/1 is spoken: heads are waited for, too.
    pub(super) fn of_http1(stream: S, stall: Duration, counts: Arc<Counts>) -> Self {
        Self { inner: stream, stall, counts, heads: true, limit: None }
    }

    /// One on which HTTP/2 is spoken.
    pub(super) fn of_http2(stream: S, stall: Duration, counts: Arc<Counts>) -> Self {
        Self { heads: false, ..Self::of_http1(stream, stall, counts) }
    }

    fn written(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.counts.written.fetch_add(bytes, Ordering::Relaxed);
        }
        self.taken(context, written)
    }

    /// The client has taken something, or has yet to.
    fn taken<T>(&mut self, context: &mut Context<'_>, taken: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.counts.stalled.store(taken.is_pending(), Ordering::Relaxed);
        if taken.is_pending() {
            return self.wait(Awaited::Taking, context).map(Err);
        }
        // It takes its answer. What it has sent meanwhile is waited for from now on.
        self.limit = None;
        taken
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

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        let counts = &self.counts;
        let in_head = self.heads
            && counts.running.load(Ordering::Relaxed) == 0
            && !counts.stalled.load(Ordering::Relaxed);
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, bytes);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        // TLS keeps what it has encrypted until the client takes it. Without TLS there is nothing to flush.
        if flushed.is_pending() || matches!(self.limit, Some((Awaited::Taking, _))) {
            return self.taken(context, flushed);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// The body of an answer in HTTP/2, each part of which counts until the client has let us write it.
pub(super) struct Untaken {
    body: Body,
    counts: Arc<Counts>,
}

impl Untaken {
    pub(super) fn new(body: Body, counts: Arc<Counts>) -> Self {
        Self { body, counts }
    }
}

impl HttpBody for Untaken {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            frame.map(|frame| frame.map_data(|data| Bytes::from_owner(Part::new(data, &self.counts))))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// See [`Untaken`].
struct Part {
    data: Bytes,
    counts: Arc<Counts>,
}

impl Part {
    fn new(data: Bytes, counts: &Arc<Counts>) -> Self {
        counts.untaken.fetch_add(data.len(), Ordering::Relaxed);
        Self { data, counts: Arc::clone(counts) }
    }
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.counts.untaken.fetch_sub(self.data.len(), Ordering::Relaxed);
    }
}
