//! The proof that reads share: a statement tells its snapshot to all who asked before it was sent.
//!
//! One is under way at a time, and whoever comes meanwhile takes part in the next: what the server held before somebody
//! asked proves nothing to them. So the more reads come at once, the fewer statements each of them costs.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};
use tokio::time::timeout;

use super::{Pool, REPLY_TIMEOUT};
use crate::db::Proof;

/// Whoever waits for it drives it, so it goes on when one of them leaves, and ends with the last.
type Asking = Pin<Box<dyn Future<Output = Option<Proof>> + Send>>;

/// The statements of a pool.
#[derive(Default)]
pub(super) struct SharedProofs(Mutex<Turns>);

#[derive(Default)]
struct Turns {
    /// Has been sent.
    running: Option<WeakShared<Asking>>,
    /// Waits for its turn: one may still take part.
    next: Option<WeakShared<Asking>>,
}

impl SharedProofs {
    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// What the database holds now, asked together with others; `None` where that can't be told.
    pub async fn proof(&self) -> Option<Proof> {
        let turn = self.take_part();
        turn.await
    }

    fn take_part(&self) -> Shared<Asking> {
        let mut turns = self.0.proofs.turns();
        if let Some(next) = turns.next.as_ref().and_then(WeakShared::upgrade) {
            return next;
        }
        let (pool, running) = (self.clone(), turns.running.as_ref().and_then(WeakShared::upgrade));
        let turn = async move {
            if let Some(running) = running {
                running.await;
            }
            pool.ask_for_all().await
        };
        let turn = turn.boxed().shared();
        turns.next = turn.downgrade();
        turn
    }

    async fn ask_for_all(&self) -> Option<Proof> {
        let given_up = self.given_up();
        let asked = pin!(async {
            let mut connection = self.acquire().await.ok()?;
            let server = connection.server()?;
            {
                // From here on nobody takes part any more.
                let mut turns = self.0.proofs.turns();
                turns.running = turns.next.take();
            }
            let proof = Proof::ask(&mut connection, server).await.ok()?;
            connection.finish().await.ok()?;
            Some(proof)
        });
        tokio::select! {
            biased;
            proof = timeout(REPLY_TIMEOUT, asked) => proof.ok().flatten(),
            () = given_up => None,
        }
    }
}
