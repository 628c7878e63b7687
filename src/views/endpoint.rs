//! [`Endpoint`]: a path of the API, and what is done with a request for it.

use std::pin::pin;

use drf::action::{Route, allow};
use drf::metadata;
use drf::permission::Permission;
use tokio::time::sleep_until;

use super::action::{Answering, ApiView};
use super::serve::{ResourcePath, in_time};
use super::transaction::{Begins, Transaction};
use super::view_set::ViewSet;
use super::{Answer, Call};
use crate::error::ApiError;
use crate::telemetry::{self, metrics};

/// The name that the key of an object has in the path of an endpoint.
pub const KEY: &str = "key";

/// A path of the API.
pub struct Endpoint {
    /// The path below the API's prefix, with `{key}` for an object's key.
    pub path: String,
    /// Its `Allow` header.
    pub allow: String,
    kind: Kind,
}

/// Whose path it is.
enum Kind {
    Resource(ResourcePath),
    View(&'static ApiView),
}

impl Endpoint {
    /// The answer to a request for it.
    pub fn serve(&self, call: Call) -> Answering<'_> {
        match &self.kind {
            Kind::Resource(path) => Box::pin(path.serve(call)),
            Kind::View(view) => Box::pin(serve_view(call, view)),
        }
    }
}

/// The paths of a resource, one for each route that its actions have.
pub fn of_resource(view_set: &'static dyn ViewSet) -> Vec<Endpoint> {
    let mut routes: Vec<Route> = Vec::new();
    for action in view_set.actions() {
        if !routes.contains(&action.route) {
            routes.push(action.route);
        }
    }
    let endpoint = |route: Route| {
        let path = ResourcePath::new(view_set, route);
        Endpoint {
            path: route.path(view_set.declaration().path, KEY),
            allow: allow(path.actions().map(|action| action.method)),
            kind: Kind::Resource(path),
        }
    };
    routes.into_iter().map(endpoint).collect()
}

/// The path of a view without a resource.
pub fn of_view(view: &'static ApiView) -> Endpoint {
    Endpoint {
        path: view.path.to_owned(),
        allow: allow([view.declared.method].into_iter()),
        kind: Kind::View(view),
    }
}

/// Whether the credentials of a request are good, as far as that can be told now. What is wrong with them is told in its
/// place, when the request is served.
pub async fn is_known(call: &Call) -> bool {
    call.has_credentials() && check_credentials(call, false).await.is_ok_and(|is_somebody| is_somebody)
}

/// Whether the credentials of a request are somebody's. `anew` as for [`Transaction::begin`].
///
/// # Errors
/// 403 for wrong ones.
async fn check_credentials(call: &Call, anew: bool) -> Result<bool, ApiError> {
    let work = pin!(async {
        let mut transaction = Transaction::begin(&call.app.database, Begins::Never, anew).await?;
        let caller = call.authenticate(transaction.parts().0).await?;
        if let Some(caller) = &caller {
            telemetry::asked_by(caller.id);
        }
        transaction.commit().await?;
        Ok(caller.is_some())
    });
    in_time(call.app.database.requests.given_up(), sleep_until(call.deadline), work).await
}

async fn serve_view(call: Call, view: &'static ApiView) -> Result<Answer, ApiError> {
    let declared = &view.declared;
    if declared.permission != Permission::Open {
        call.negotiate()?;
        let needed = declared.permission != Permission::Public;
        let is_somebody = if call.has_credentials() {
            match check_credentials(&call, false).await {
                Err(ApiError::Disconnected(_)) => {
                    metrics::retried();
                    check_credentials(&call, true).await?
                }
                done => done?,
            }
        } else {
            false
        };
        if needed && !is_somebody {
            telemetry::refused(call.refusal());
            return Err(ApiError::NotAuthenticated);
        }
    }
    match call.action_method() {
        Some(method) if method == declared.method => (view.run)(&call),
        _ if call.method == "OPTIONS" => {
            let version = call.app.database.layout.release().api();
            Answer::ok(&metadata::describe(None, declared, &[(declared.method, declared.body)], version))
        }
        _ => Err(ApiError::MethodNotAllowed(call.method)),
    }
}
