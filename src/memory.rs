//! [`Memory`]: callers, counts and whole answers that were read before, each with the [`Proof`] that says whether they
//! still hold. What is found here is exactly what the database would say now, or it isn't used.

mod under_way;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::http::HeaderValue;
use chrono::{DateTime, Utc};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use self::under_way::UnderWay;
use crate::auth::Caller;
use crate::db::Proof;

pub use self::under_way::{Finding, Turn};

/// Callers and counts to be remembered.
const FACTS: usize = 4096;
/// Bytes that an answer takes beside its key and its body, about.
const OVERHEAD: usize = 256;
/// What an answer is expected to take, for the size of the table: bytes.
const USUAL_ANSWER: u64 = 4096;

/// Whose answer to what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AnswerKey {
    /// The key that was sent as credentials.
    pub bearer: String,
    /// The host that was asked: it picks the brand.
    pub host: String,
    /// Path and query.
    pub target: String,
}

/// Something with its proof.
#[derive(Debug, Clone)]
pub struct Proved<T> {
    /// What the database held.
    pub proof: Proof,
    /// What followed from it.
    pub fact: T,
}

/// The body of an answer.
#[derive(Debug, Clone)]
pub struct Body {
    /// Its media type.
    pub content_type: Option<HeaderValue>,
    /// The body.
    pub bytes: Bytes,
    /// Its `ETag` header, if it has one.
    pub etag: Option<HeaderValue>,
    /// Who got it: the token may have ended since.
    pub caller: Arc<Caller>,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<AnswerKey, Proved<Body>> for Weight {
    fn weight(&self, key: &AnswerKey, answer: &Proved<Body>) -> u64 {
        let bytes = key.bearer.len() + key.host.len() + key.target.len() + answer.fact.bytes.len() + OVERHEAD;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// See the module.
pub struct Memory {
    callers: Cache<(String, String), Proved<Arc<Caller>>>,
    counts: Cache<String, Proved<i64>>,
    answers: Option<Cache<AnswerKey, Proved<Body>, Weight>>,
    under_way: UnderWay<AnswerKey>,
    latest: Mutex<Option<Proof>>,
    quiet: AtomicBool,
}

impl Memory {
    /// Room for so many bytes of answers; for none at 0.
    pub fn new(answer_bytes: u64) -> Self {
        let items = usize::try_from(answer_bytes / USUAL_ANSWER).unwrap_or(usize::MAX).max(16);
        let answers = (answer_bytes > 0).then(|| Cache::with_weighter(items, answer_bytes, Weight));
        let quiet = AtomicBool::new(true);
        Self {
            callers: Cache::new(FACTS),
            counts: Cache::new(FACTS),
            answers,
            under_way: UnderWay::default(),
            latest: Mutex::default(),
            quiet,
        }
    }

    /// The database was seen to hold this.
    pub fn saw(&self, proof: &Proof) {
        let mut latest = self.latest();
        if latest.as_ref() != Some(proof) {
            *latest = Some(proof.clone());
        }
    }

    /// Whether it may still hold what it held then: it doesn't, if something else was seen since. Snapshots never come
    /// back, so what is out of date needn't be asked for.
    fn may_hold(&self, proof: &Proof) -> bool {
        self.latest().as_ref() == Some(proof)
    }

    fn latest(&self) -> MutexGuard<'_, Option<Proof>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a caller who was taken on trust, or asked about, last held. Then the next one is taken on trust, and it is
    /// looked afterwards; else it is looked first, or the work would be done twice.
    pub fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// See [`Self::is_quiet`].
    pub fn set_quiet(&self, quiet: bool) {
        self.quiet.store(quiet, Ordering::Relaxed);
    }

    /// Whether answers are remembered at all.
    pub fn keeps_answers(&self) -> bool {
        self.answers.is_some()
    }

    /// Who held this key at this host, if that is known, may still hold, and the token hasn't ended.
    pub fn caller(&self, bearer: &str, host: &str, now: DateTime<Utc>) -> Option<Proved<Arc<Caller>>> {
        let key = (bearer.to_owned(), host.to_owned());
        self.callers.get(&key).filter(|known| known.fact.is_valid(now) && self.may_hold(&known.proof))
    }

    /// Remember who holds this key.
    pub fn keep_caller(&self, bearer: &str, host: &str, caller: Proved<Arc<Caller>>) {
        self.callers.insert((bearer.to_owned(), host.to_owned()), caller);
    }

    /// How many rows there were, if that is known and `proof` says that it still holds.
    pub fn count(&self, selection: &str, proof: &Proof) -> Option<i64> {
        self.counts.get(selection).filter(|known| known.proof == *proof).map(|known| known.fact)
    }

    /// Remember how many rows there are.
    pub fn keep_count(&self, selection: String, count: Proved<i64>) {
        self.counts.insert(selection, count);
    }

    /// What was answered, if that may still hold and the token hasn't ended.
    pub fn answer(&self, key: &AnswerKey, now: DateTime<Utc>) -> Option<Proved<Body>> {
        let known = self.answers.as_ref()?.get(key)?;
        (known.fact.caller.is_valid(now) && self.may_hold(&known.proof)).then_some(known)
    }

    /// Whose turn it is to find an answer that isn't remembered; `None` where nobody waits for others.
    pub fn turn(&self, key: &AnswerKey) -> Option<Turn<'_, AnswerKey>> {
        self.under_way.turn(key)
    }

    /// An answer isn't to be remembered, since something was committed while it was found.
    pub fn lose_answer(&self) {
        self.under_way.found(true);
    }

    /// Remember an answer.
    pub fn keep_answer(&self, key: AnswerKey, answer: Proved<Body>) {
        self.under_way.found(false);
        if let Some(answers) = &self.answers {
            answers.insert(key, answer);
        }
    }
}
