//! Reads that a replica serves, and what writes tell of themselves so that it serves nobody the past of their own.
//!
//! Nothing is remembered of what a replica says, and nothing remembered is answered: a standby's snapshots prove nothing
//! (`db/proof.rs`). Whatever a replica can't do, the primary does instead, and no client hears of it. Credentials that it
//! doesn't know are asked of the primary too: a new token holds at once. What comes with a session of authentik's is the
//! primary's throughout, since a session that a replica lacks would be told to be forgotten.

use std::pin::pin;

use drf::Declaration;
use drf::action::{Effect, Method};
use tokio::time::sleep_until;

use super::serve::{Asked, directly, in_time};
use super::transaction::Transaction;
use super::{Answer, Call};
use crate::db::replicas::{Concerns, Lent, Writing};
use crate::db::volume;
use crate::error::ApiError;
use crate::telemetry;

/// Models of these applications say nothing of who may do what.
const HARMLESS: [&str; 2] = ["authentik_stages", "authentik_flows"];

/// The answer to a read, if a replica may serve it and can.
pub(super) async fn read(call: &mut Call, asked: Asked<'_>) -> Option<Result<Answer, ApiError>> {
    let app = call.app.clone();
    let action = asked.action.filter(|action| {
        action.effect == Effect::Reads && action.method == Method::Get // which has no body
    })?;
    let Lent { connection, replica, given_up } = app.database.replicas.acquire(call.bearer()?).await?;
    let over = sleep_until(call.deadline);
    let done = {
        let work = pin!(telemetry::on_trial(async {
            asked.path.view_set.before(&app, action).await;
            let mut transaction = Transaction::of_reader(connection);
            let done = volume::limited(app.settings.answer, async {
                let done = directly(call, asked, &mut transaction).await;
                if volume::was_large(app.settings.answer) {
                    transaction.retire();
                }
                done
            });
            let answer = done.await?;
            transaction.commit().await?;
            Ok(answer)
        }));
        in_time(given_up, over, work).await
    };
    if done.as_ref().is_err_and(is_for_primary) {
        replica.failed();
        return None;
    }
    replica.served();
    Some(done)
}

/// Whether the primary might do it, where a replica couldn't.
fn is_for_primary(error: &ApiError) -> bool {
    matches!(
        error,
        ApiError::AuthenticationFailed
            | ApiError::Conflict // a statement that was cancelled since it kept the replica from replaying its log
            | ApiError::DatabaseRole(_)
            | ApiError::Disconnected(_)
            | ApiError::Internal(_)
            | ApiError::Overloaded
            | ApiError::OutcomeUnknown(_)
            | ApiError::Unavailable(..)
    )
}

/// A write begins, if it is one: until it is known what came of it, and longer, replicas may not have it.
pub(super) fn writing(call: &Call, declared: &Declaration, effect: Effect) -> Option<Writing> {
    if effect != Effect::Writes {
        return None;
    }
    let application = declared.model.app_label;
    let is_harmless = HARMLESS.iter().any(|harmless| application.starts_with(harmless));
    let concerns = if is_harmless { Concerns::Caller } else { Concerns::Everybody };
    // Sessions share a place: what they read is the primary's.
    call.app.database.replicas.writing(call.bearer().unwrap_or_default(), concerns)
}
