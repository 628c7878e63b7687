//! The audit events that authentik keeps.

use drf::permission::Model;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Author;
use crate::contract::duration::parse_timedelta;
use crate::db::{Need, Privilege};
use crate::error::ApiError;

/// What an event is written with.
pub(super) const NEEDS: &[Need] = &[Need {
    table: "authentik_events_event",
    privileges: &[Privilege::Insert],
    columns: "event_uuid uuid, action text, app text, context jsonb, client_ip inet, created timestamptz, \
        \"user\" jsonb, expires timestamptz, expiring boolean, brand jsonb",
}];

/// The app that authentik names in the events of its API's writes.
const APP: &str = "authentik.events.middleware";

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was made.
    Created,
    /// It was saved, changed or not.
    Updated,
    /// It was deleted.
    Deleted,
    /// Its secret was shown.
    SecretViewed,
}

impl Change {
    /// What events call it.
    pub fn action(self) -> &'static str {
        match self {
            Self::Created => "model_created",
            Self::Updated => "model_updated",
            Self::Deleted => "model_deleted",
            Self::SecretViewed => "secret_view",
        }
    }
}

impl Author<'_> {
    /// Write the event that authentik would write, in the transaction of the change itself. `pk` is the key as events
    /// spell it.
    pub(super) async fn record(
        self,
        connection: &mut PgConnection,
        change: Change,
        model: &Model,
        pk: Value,
        name: &str,
    ) -> Result<(), ApiError> {
        self.record_all(connection, change, model, vec![(pk, name)]).await
    }

    /// The same for several objects to which the same happened: an event each, with one statement.
    pub(super) async fn record_all(
        self,
        connection: &mut PgConnection,
        change: Change,
        model: &Model,
        objects: Vec<(Value, &str)>,
    ) -> Result<(), ApiError> {
        let Self { caller, origin, clock, ids, .. } = self;
        let retention =
            parse_timedelta(&caller.tenant.event_retention).unwrap_or(chrono::Duration::days(365));
        let key = if change == Change::SecretViewed { "secret" } else { "model" };
        let about = |(pk, name): (Value, &str)| json!({ "pk": pk, "app": model.app_label, "name": name, "model_name": model.model });
        let keys: Vec<Uuid> = objects.iter().map(|_| ids.next()).collect();
        let about: Vec<Value> = objects.into_iter().map(about).collect();
        let request = json!({
            "args": origin.args,
            "path": origin.path,
            "method": origin.method,
            "request_id": origin.request_id,
            "user_agent": origin.user_agent,
        });
        sqlx::query(
            "INSERT INTO authentik_events_event \
             (event_uuid, action, app, context, client_ip, created, \"user\", expires, expiring, brand) \
             SELECT o.key, $3, $4, jsonb_build_object($10::text, o.about, 'http_request', $11::jsonb), $5::inet, $6, $7, \
               $8, TRUE, $9 \
             FROM unnest($1::uuid[], $2::jsonb[]) AS o (key, about)",
        )
        .bind(keys)
        .bind(about)
        .bind(change.action())
        .bind(APP)
        .bind(origin.client_ip.to_string())
        .bind(clock.now())
        .bind(json!({ "pk": caller.id, "email": caller.email, "username": caller.username }))
        .bind(clock.after(retention))
        .bind(caller.tenant.brand.clone().unwrap_or_else(|| json!({})))
        .bind(key)
        .bind(request)
        .execute(connection)
        .await?;
        Ok(())
    }
}
