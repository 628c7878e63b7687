//! Bodies of requests: whose are read, how much of them is kept, and how long they are waited for.
//!
//! A body is kept if a view may ask for it. One of more than [`SMALL`] bytes is kept if its sender's credentials are good
//! and there is room for it among all bodies; the connection that the credentials are looked up on is given back before
//! the body is waited for. Everything else is left to [`unread`](super::unread).

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use tokio::time::{Instant, timeout, timeout_at};

use crate::db::time_limit::TIME_LIMIT;
use crate::error::ApiError;
use crate::telemetry::metrics::{self, Limit};
use crate::views::{Call, MAX_BODY, endpoint};

/// A body that takes no more room than the head before it: nobody is asked about who sends it.
const SMALL: usize = 8 * 1024;
/// Bytes of a body that have to come within the time limit on stalled ones, or its end.
const LEAST: usize = 4096;
/// How long a request waits for room for its body.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of a body is dropped.
const MAX_DRAIN: usize = 64 * 1024 * 1024;

/// Read the body of a request into its `call`.
///
/// # Errors
/// 408 for a body that doesn't come. What else is wrong with it is told when a view asks for it.
pub async fn read(call: &mut Call, body: Body) -> Result<(), ApiError> {
    if body.is_end_stream() {
        return Ok(());
    }
    let may_be_asked_for = matches!(call.method.as_str(), "POST" | "PUT" | "PATCH") && call.has_credentials();
    if !may_be_asked_for {
        return Ok(());
    }
    let mut body = Reading::new(body, call.app.settings.stall, call.deadline);
    let size = body.body.size_hint();
    let most = size.upper().map_or(usize::MAX, |upper| usize::try_from(upper).unwrap_or(usize::MAX));
    call.body = if most > MAX_BODY && size.lower() == most as u64 {
        Err(ApiError::TooLarge)
    } else if most <= SMALL {
        body.keep(most).await
    } else if !Box::pin(endpoint::is_known(call)).await {
        // (In a box, since few requests go this way and all of them would carry its room.)
        // It is served all the same, to be told why not in the right place.
        Err(ApiError::Overloaded)
    } else {
        let most = most.min(MAX_BODY);
        let room = Arc::clone(&call.app.bodies).acquire_many_owned(u32::try_from(most).unwrap_or(u32::MAX));
        match timeout(PATIENCE, room).await {
            Ok(Ok(room)) => {
                call.room = Some(room);
                // The wait was for others, so it isn't counted.
                call.deadline = Instant::now() + TIME_LIMIT;
                body.deadline = call.deadline;
                body.keep(most).await
            }
            _ => {
                metrics::turned_away(Limit::Bodies);
                Err(ApiError::Overloaded)
            }
        }
    };
    match call.body {
        Err(ApiError::BodyTimeout) => Err(ApiError::BodyTimeout),
        _ => Ok(()),
    }
}

/// A body that is being read.
pub(super) struct Reading {
    body: Body,
    stall: Duration,
    deadline: Instant,
    /// When [`LEAST`] more have to be there than were `counted`; from the first wait on.
    more_by: Option<Instant>,
    counted: usize,
    total: usize,
}

impl Reading {
    /// One of which some has to come in every `stall`, and the end before the deadline.
    pub(super) fn new(body: Body, stall: Duration, deadline: Instant) -> Self {
        Self { body, stall, deadline, more_by: None, counted: 0, total: 0 }
    }

    /// The next part, if there is one.
    async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        if self.total - self.counted >= LEAST {
            (self.more_by, self.counted) = (None, self.total);
        }
        let more_by = *self.more_by.get_or_insert_with(|| Instant::now() + self.stall);
        let frame = std::future::poll_fn(|context| std::pin::Pin::new(&mut self.body).poll_frame(context));
        let frame = timeout_at(self.deadline.min(more_by), frame).await;
        let Ok(frame) = frame else { return Err(ApiError::BodyTimeout) };
        let Some(frame) = frame else { return Ok(None) };
        let frame =
            frame.map_err(|_| ApiError::Parse("the body ended early: line 1 column 1 (char 0)".into()))?;
        let data = frame.into_data().unwrap_or_default();
        self.total += data.len();
        Ok(Some(data))
    }

    /// All of it.
    async fn keep(&mut self, most: usize) -> Result<Bytes, ApiError> {
        let mut kept = Vec::new();
        while let Some(data) = self.next().await? {
            if self.total > most {
                return Err(ApiError::TooLarge);
            }
            kept.extend_from_slice(&data);
        }
        Ok(kept.into())
    }

    /// Read it and keep nothing, as far as it comes; whether that was all of it.
    pub(super) async fn drain(&mut self) -> bool {
        while self.total <= MAX_DRAIN {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        false
    }
}
