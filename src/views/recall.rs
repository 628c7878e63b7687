//! What a read goes by: callers, counts and answers of earlier reads, as far as the database proves that they still hold.
//!
//! A read that finds its answer asks the database for nothing but the proof. Any other finds its caller proved, or asks
//! for them anew, does its work, and asks for the proof once more: if nothing was committed meanwhile, all that it
//! found is remembered.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use sqlx::PgConnection;

use super::{Answer, Call};
use crate::auth::{self, Caller};
use crate::db::Proof;
use crate::db::proof::Server;
use crate::error::ApiError;
use crate::memory::{AnswerKey, Body, Memory, Proved};

/// One read.
pub(super) struct Recall<'a> {
    memory: &'a Memory,
    server: Server,
    /// What the database held when the caller was proved.
    start: Option<Proof>,
    answer: Option<AnswerKey>,
    counts: Mutex<Vec<(String, i64)>>,
}

impl<'a> Recall<'a> {
    /// For a request on a connection to this server. `whole` says that its answer follows from the database alone.
    pub(super) fn new(memory: &'a Memory, call: &Call, server: Server, whole: bool) -> Self {
        let key = |bearer: &str| AnswerKey {
            bearer: bearer.to_owned(),
            host: call.origin.host.clone(),
            target: call.target.clone(),
        };
        let answer = call.bearer().filter(|_| whole && memory.keeps_answers()).map(key);
        Self { memory, server, start: None, answer, counts: Mutex::default() }
    }

    /// The answer, if it is remembered and still holds.
    pub(super) async fn answer(
        &mut self,
        call: &Call,
        connection: &mut PgConnection,
    ) -> Result<Option<Answer>, ApiError> {
        let known = self.answer.as_ref().and_then(|key| self.memory.answer(key, call.app.clock.now()));
        let Some(known) = known else { return Ok(None) };
        let now = Proof::ask(connection, self.server).await?;
        let holds = known.proof == now;
        self.start = Some(now);
        let Body { content_type, bytes, .. } = known.fact;
        Ok(holds.then(|| Answer { status: StatusCode::OK, content_type, body: bytes, headers: Vec::new() }))
    }

    /// Who asks: remembered and proved, or found now.
    pub(super) async fn caller(
        &mut self,
        call: &Call,
        connection: &mut PgConnection,
    ) -> Result<Option<Arc<Caller>>, ApiError> {
        let Some(bearer) = call.bearer() else { return Ok(None) };
        let (host, now) = (call.origin.host.as_str(), call.app.clock.now());
        if let Some(known) = self.memory.caller(bearer, host, now) {
            if self.start.is_none() {
                self.start = Some(Proof::ask(connection, self.server).await?);
            }
            if self.start.as_ref() == Some(&known.proof) {
                return Ok(Some(known.fact));
            }
        }
        let caller = auth::authenticate(connection, &call.app.database.layout, bearer, host, now).await?;
        let proof = Proof::new(self.server, caller.snapshot.clone());
        let caller = Arc::new(caller);
        self.memory.keep_caller(bearer, host, Proved { proof: proof.clone(), fact: Arc::clone(&caller) });
        self.start = Some(proof);
        Ok(Some(caller))
    }

    /// How many rows a selection has, if that is known. `selection` names it, and what the caller sees of it.
    pub(super) fn count(&self, selection: &str) -> Option<i64> {
        self.memory.count(selection, self.start.as_ref()?)
    }

    /// It has so many.
    pub(super) fn counted(&self, selection: String, count: i64) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).push((selection, count));
    }

    /// The read is done: remember what it found, if the database still holds what it held at its start.
    pub(super) async fn done(
        self,
        connection: &mut PgConnection,
        caller: &Arc<Caller>,
        answer: &Answer,
    ) -> Result<(), ApiError> {
        let counts = self.counts.into_inner().unwrap_or_else(PoisonError::into_inner);
        let key = self.answer.filter(|_| answer.status == StatusCode::OK && answer.headers.is_empty());
        let Some(proof) = self.start.filter(|_| key.is_some() || !counts.is_empty()) else { return Ok(()) };
        if Proof::ask(connection, self.server).await? != proof {
            return Ok(());
        }
        for (selection, fact) in counts {
            self.memory.keep_count(selection, Proved { proof: proof.clone(), fact });
        }
        if let Some(key) = key {
            let fact = Body {
                content_type: answer.content_type.clone(),
                bytes: answer.body.clone(),
                caller: Arc::clone(caller),
            };
            self.memory.keep_answer(key, Proved { proof, fact });
        }
        Ok(())
    }
}
