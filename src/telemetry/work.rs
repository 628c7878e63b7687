//! [`Work`]: what a request took, counted while it runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::task::futures::TaskLocalFuture;
use tokio::task_local;

use super::metrics;
use super::traces::RequestSpan;

task_local! {
    /// The request that is served.
    static WORK: Arc<Work>;
}

/// What a request took so far, and who asked.
#[derive(Default)]
pub struct Work {
    statements: AtomicU64,
    rows: AtomicU64,
    user: OnceLock<i32>,
    refusal: OnceLock<Refusal>,
    on_trial: AtomicBool,
    span: Option<RequestSpan>,
}

impl Work {
    /// Nothing yet; `span` is the request's, if there are traces.
    pub fn new(span: Option<RequestSpan>) -> Arc<Self> {
        Arc::new(Self { span, ..Self::default() })
    }

    /// Serve the request: what `future` does counts.
    pub fn done_by<F: Future>(self: &Arc<Self>, future: F) -> TaskLocalFuture<Arc<Self>, F> {
        WORK.scope(Arc::clone(self), future)
    }

    /// How many statements were run for it.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// How many rows they read or wrote.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// `authentik_core_user.id` of who asked, once that is known.
    pub fn user(&self) -> Option<i32> {
        self.user.get().copied()
    }

    /// Why its credentials weren't taken.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal.get().copied()
    }

    /// Its span.
    pub fn span(&self) -> Option<&RequestSpan> {
        self.span.as_ref()
    }

    /// A statement was run for it.
    fn count(&self, rows: u64) {
        self.statements.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }
}

/// Why credentials aren't taken. The client isn't told which it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// None were sent where some are needed.
    Missing,
    /// No token has this key.
    Unknown,
    /// The token has ended.
    Expired,
    /// The token is for something else than the API.
    Intent,
    /// The token's or session's user is inactive.
    Inactive,
    /// The cookie names no session, or one that can't be read.
    Session,
    /// The session impersonates somebody.
    Impersonates,
    /// The session is bound to another address.
    Elsewhere,
    /// Another site may have made the browser send this.
    Csrf,
}

impl Refusal {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Missing,
        Self::Unknown,
        Self::Expired,
        Self::Intent,
        Self::Inactive,
        Self::Session,
        Self::Impersonates,
        Self::Elsewhere,
        Self::Csrf,
    ];

    /// As metrics and logs have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Intent => "intent",
            Self::Inactive => "inactive",
            Self::Session => "session",
            Self::Impersonates => "impersonates",
            Self::Elsewhere => "elsewhere",
            Self::Csrf => "csrf",
        }
    }
}

/// This user asks.
pub fn asked_by(user: i32) {
    WORK.try_with(|work| work.user.set(user).ok()).ok();
}

/// Do this for the request, of which nobody hears that it was refused: it is tried once more then.
pub async fn on_trial<F: Future>(future: F) -> F::Output {
    let _trial = Trial::begin();
    future.await
}

/// A trial, until it is dropped.
struct Trial(());

impl Trial {
    fn begin() -> Self {
        WORK.try_with(|work| work.on_trial.store(true, Ordering::Relaxed)).ok();
        Self(())
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        WORK.try_with(|work| work.on_trial.store(false, Ordering::Relaxed)).ok();
    }
}

/// The credentials of the request aren't taken. A request that is tried twice is refused once.
pub fn refused(refusal: Refusal) {
    if WORK.try_with(|work| work.on_trial.load(Ordering::Relaxed)).unwrap_or(false) {
        return;
    }
    let is_new = WORK.try_with(|work| work.refusal.set(refusal).is_ok());
    if is_new.unwrap_or(true) {
        metrics::refused(refusal);
    }
}

/// The same work in a task of its own: it goes on counting for the request that began it.
pub fn carried<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let work = WORK.try_with(Arc::clone).unwrap_or_default();
    WORK.scope(work, future)
}

/// A statement was run: for the request that is served, if one is.
pub(super) fn statement(ran: &super::logs::Statement) {
    WORK.try_with(|work| {
        work.count(ran.rows);
        if let Some(span) = &work.span {
            span.statement(ran);
        }
    })
    .ok();
}

/// Whether what is run now wants the text of its statements.
pub(super) fn wants_texts() -> bool {
    WORK.try_with(|work| work.span.as_ref().is_some_and(RequestSpan::is_sampled)).unwrap_or(false)
}
