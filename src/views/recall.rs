//! What a read goes by: callers, counts and answers of earlier reads, as far as the database proves that they still hold.
//!
//! A read that finds its answer asks the database for nothing but the proof. Any other takes a remembered caller on trust,
//! does its work, and holds the answer back until the proof is there: the snapshot that its own last statement tells, or one
//! that is asked for. If something was committed since the caller was proved, the caller is asked for, and the work is done
//! again. If nothing was, all that the read found is remembered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use sqlx::PgConnection;

use super::{Answer, Call};
use crate::auth::Caller;
use crate::db::Proof;
use crate::db::proof::{Seen, Server};
use crate::error::ApiError;
use crate::memory::{AnswerKey, Body, Finding, Memory, Proved, Turn};
use crate::telemetry;

/// The whole answer to a read.
pub(super) struct Whole(AnswerKey);

/// What is remembered of it.
pub(super) enum Recalled<'m> {
    /// It.
    Answer(Answer),
    /// Nothing that holds. For as long as this is kept others wait for what comes of the work, if they may wait.
    Nothing(Option<Finding<'m, AnswerKey>>),
}

impl Whole {
    /// For a request whose answer follows from the database alone; `None` where answers aren't remembered.
    pub(super) fn of(call: &Call) -> Option<Self> {
        let bearer = call.bearer().filter(|_| call.app.memory.keeps_answers())?;
        let (host, target) = (call.origin.host.clone(), call.target.clone());
        Some(Self(AnswerKey { bearer: bearer.to_owned(), host, target }))
    }

    /// The answer, if it is remembered and still holds, or is found by another request now and holds then.
    ///
    /// Another request is waited for once: whoever has no answer then does the work, whoever else may do it as well.
    pub(super) async fn recall<'m>(&self, memory: &'m Memory, call: &Call) -> Recalled<'m> {
        if let Some(answer) = self.remembered(call).await {
            return Recalled::Answer(answer);
        }
        match memory.turn(&self.0) {
            None => Recalled::Nothing(None),
            Some(Turn::Ours(finding)) => Recalled::Nothing(Some(finding)),
            Some(Turn::Theirs(over)) => {
                over.wait().await;
                self.remembered(call).await.map_or(Recalled::Nothing(None), Recalled::Answer)
            }
        }
    }

    async fn remembered(&self, call: &Call) -> Option<Answer> {
        let memory = &call.app.memory;
        let known = memory.answer(&self.0, call.app.clock.now())?;
        let now = call.app.database.requests.proof().await?;
        if now != known.proof {
            memory.saw(&now);
            return None;
        }
        let Body { content_type, bytes, etag, caller } = known.fact;
        telemetry::asked_by(caller.id);
        Some(Answer { status: StatusCode::OK, content_type, body: bytes, etag, headers: Vec::new() })
    }
}

/// One read that does its work.
pub(super) struct Recall<'a> {
    memory: &'a Memory,
    server: Server,
    /// What the database held when the caller was proved.
    start: Option<Proof>,
    /// Whether the caller is taken on trust: the database held that once, and it isn't known that it still does.
    trusting: bool,
    answer: Option<AnswerKey>,
    counts: Mutex<Vec<(String, i64)>>,
    seen: Seen,
}

impl<'a> Recall<'a> {
    /// For a request on a connection to this server.
    pub(super) fn new(memory: &'a Memory, server: Server, whole: Option<&Whole>) -> Self {
        let answer = whole.map(|whole| whole.0.clone());
        let (counts, seen) = (Mutex::default(), Seen::default());
        Self { memory, server, start: None, trusting: false, answer, counts, seen }
    }

    /// Where statements leave their snapshots.
    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Who asks: remembered, or found now.
    pub(super) async fn caller(
        &mut self,
        call: &Call,
        connection: &mut PgConnection,
    ) -> Result<Option<Arc<Caller>>, ApiError> {
        let Some(bearer) = call.bearer() else { return self.caller_anew(call, connection).await };
        let known = self.memory.caller(bearer, &call.origin.host, call.app.clock.now());
        let known = known.filter(|known| known.proof.is_of(self.server));
        let Some(known) = known else { return self.caller_anew(call, connection).await };
        if self.memory.is_quiet() {
            self.trusting = true;
            self.start = Some(known.proof);
            return Ok(Some(known.fact));
        }
        let now = Proof::ask(connection, self.server).await?;
        let holds = now == known.proof;
        self.memory.set_quiet(holds);
        if !holds {
            return self.caller_anew(call, connection).await;
        }
        self.start = Some(now);
        Ok(Some(known.fact))
    }

    /// Who asks, as the database says now.
    pub(super) async fn caller_anew(
        &mut self,
        call: &Call,
        connection: &mut PgConnection,
    ) -> Result<Option<Arc<Caller>>, ApiError> {
        let caller = call.authenticate(connection).await?.map(Arc::new);
        let (Some(bearer), Some(caller)) = (call.bearer(), &caller) else {
            return Ok(caller); // A session's user isn't remembered, and nothing that they read is.
        };
        let proof = Proof::new(self.server, caller.snapshot.clone());
        self.memory.saw(&proof);
        let known = Proved { proof: proof.clone(), fact: Arc::clone(caller) };
        self.memory.keep_caller(bearer, &call.origin.host, known);
        self.start = Some(proof);
        self.trusting = false;
        Ok(Some(Arc::clone(caller)))
    }

    /// How many rows a selection has, if that is known. `selection` names it, and what the caller sees of it.
    pub(super) fn count(&self, selection: &str) -> Option<i64> {
        self.memory.count(selection, self.start.as_ref()?)
    }

    /// It has so many.
    pub(super) fn counted(&self, selection: String, count: i64) {
        self.counts().push((selection, count));
    }

    fn counts(&self) -> MutexGuard<'_, Vec<(String, i64)>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The work is done, with this answer unless it failed; `told` says that its last statement told its snapshot. Whether
    /// that counts: not if the caller was taken on trust, and something has been committed since. If the database still
    /// holds what it held when the caller was proved, what was found is remembered.
    pub(super) async fn done(
        &mut self,
        connection: &mut PgConnection,
        caller: Option<&Arc<Caller>>,
        answer: Option<&Answer>,
        told: bool,
    ) -> Result<bool, ApiError> {
        let (counts, seen) = (std::mem::take(&mut *self.counts()), self.seen.take());
        let (Some(start), Some(caller)) = (&self.start, caller) else { return Ok(true) };
        let answer = answer.filter(|answer| answer.status == StatusCode::OK && answer.headers.is_empty());
        let keeps = !counts.is_empty() || (answer.is_some() && self.answer.is_some());
        let end = match seen.filter(|_| told || !keeps) {
            Some(snapshot) => Proof::new(self.server, snapshot),
            None if keeps || self.trusting => Proof::ask(connection, self.server).await?,
            None => return Ok(true),
        };
        if end != *start {
            if self.trusting {
                self.memory.set_quiet(false);
            }
            if self.answer.is_some() {
                self.memory.lose_answer();
            }
            self.memory.saw(&end);
            return Ok(!self.trusting);
        }
        for (selection, fact) in counts {
            self.memory.keep_count(selection, Proved { proof: end.clone(), fact });
        }
        if let (Some(key), Some(answer)) = (&self.answer, answer) {
            let body = Body {
                content_type: answer.content_type.clone(),
                bytes: answer.body.clone(),
                etag: answer.etag.clone(),
                caller: Arc::clone(caller),
            };
            self.memory.keep_answer(key.clone(), Proved { proof: end, fact: body });
        }
        Ok(true)
    }
}
