//! A body that nobody read to its end: of a request that has no route, whose route takes none, or whose sender may not
//! send so much. Its rest stands between the answer and the next request, and hyper closes a connection on which there is
//! some; where the client still sends, it reads a reset then rather than our answer, and a proxy in front makes a 502 of it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::{HeaderValue, Request, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::Instant;

use super::body::Reading;
use crate::db::time_limit::TIME_LIMIT;

/// Read what is left of a body and drop it, before the answer, as long as some of it comes in every `stall`. A client that
/// waits for a `100 Continue` sends none: it has the answer at once. Where the connection ends all the same, the answer says
/// so with `Connection: close`.
pub async fn drain(State(stall): State<Duration>, request: Request<Body>, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let is_http1 = request.version() < Version::HTTP_2;
    let is_coming = !request.headers().contains_key(header::EXPECT);
    let (left, mut rest) = oneshot::channel();
    let request = request.map(|body| Body::new(Watched { body, is_coming, left: Some(left) }));
    let mut response = next.run(request).await;
    let is_read = match rest.try_recv() {
        // One that didn't come in time was waited for.
        Ok(Some(body)) if response.status() != StatusCode::REQUEST_TIMEOUT => {
            Reading::new(body, stall, Instant::now() + TIME_LIMIT).drain().await
        }
        Err(TryRecvError::Closed) => true,
        Ok(_) | Err(TryRecvError::Empty) => false,
    };
    if is_http1 && !is_read {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A body that hands over what is left of it when it is dropped.
struct Watched {
    body: Body,
    /// Whether the client sends it without being asked for it, or has been asked.
    is_coming: bool,
    /// Where to, as `None` if it isn't coming. Gone once its end was seen.
    left: Option<oneshot::Sender<Option<Body>>>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(left) = self.left.take().filter(|_| !self.body.is_end_stream()) {
            // Nobody takes it if the client is gone.
            left.send(self.is_coming.then(|| std::mem::take(&mut self.body))).ok();
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.is_coming = true;
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) {
            self.left = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
