//! [`Action`]: a declared action, and what does it.

use axum::http::{HeaderMap, header};
use drf::Body;
use drf::intake::{Draft, KeyValue};
use futures_util::future::BoxFuture;
use sqlx::PgConnection;

use super::recall::Recall;
use super::transaction::Later;
use super::{AfterCommit, Answer, Call, Context, Resource, standard};
use crate::config::Locale;
use crate::error::ApiError;

/// What an action is given: the request, checked as far as its declaration says, and an open transaction if it writes.
pub struct Request<'a> {
    /// Who asks, and for what.
    pub context: Context<'a>,
    /// The database, in the transaction of the request.
    pub connection: &'a mut PgConnection,
    /// The body of an action that takes the resource's fields, not checked yet.
    pub body: Body,
    /// The body of an action that takes fields of its own, checked.
    pub draft: Draft,
    /// The key of the object to be made, where whoever makes it knows; none for a new one.
    pub(super) key: Option<KeyValue>,
    /// What the headers of the request say.
    pub(super) headers: &'a HeaderMap,
    /// The key in the action's own part of the path, as sent; empty where that has none.
    pub own_key: &'a str,
    /// What earlier reads found; none for a write.
    pub(super) recall: Option<&'a Recall<'a>>,
    /// The choice to begin a transaction; none where one was begun.
    pub(super) later: Option<Later<'a>>,
    /// What is to be done once the transaction is committed.
    pub after_commit: &'a mut AfterCommit,
}

impl Request<'_> {
    /// The language of what is written for people: the one that the client asks for (`Accept-Language`), else that of the
    /// settings.
    pub fn locale(&self) -> Locale {
        let asked = self.headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        asked.and_then(Locale::asked).unwrap_or(self.context.app.settings.mail.locale)
    }

    /// Whether the client prefers an answer that shows what was made: `Prefer: return=representation` (RFC 7240).
    pub fn prefers_representation(&self) -> bool {
        let values = self.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let mut preferences = values.flat_map(|value| value.split(','));
        preferences.any(|preference| {
            let named = preference.split(';').next().unwrap_or_default();
            named.replace([' ', '"'], "").eq_ignore_ascii_case("return=representation")
        })
    }
}

/// The answer to come.
pub type Answering<'a> = BoxFuture<'a, Result<Answer, ApiError>>;

/// What does an action.
pub enum Run<R> {
    /// On the list.
    List(for<'a> fn(Request<'a>) -> Answering<'a>),
    /// On the list, and it chooses when its transaction begins.
    Create(for<'a> fn(Request<'a>) -> Answering<'a>),
    /// On one object, which the caller sees; locked if the action writes.
    Object(for<'a> fn(Request<'a>, R) -> Answering<'a>),
}

/// A declared action, and what does it.
#[must_use = "an action has to be named by its resource"]
pub struct Action<R> {
    /// What is said of it.
    pub declared: drf::Action,
    /// What does it.
    pub(super) run: Run<R>,
}

impl<R> Action<R> {
    /// An action on the list.
    ///
    /// # Panics
    /// In the compiler, where it is declared on one object.
    pub const fn on_list(declared: drf::Action, run: for<'a> fn(Request<'a>) -> Answering<'a>) -> Self {
        assert!(!declared.route.detail, "an action on one object");
        Self { declared, run: Run::List(run) }
    }

    /// An action on one object.
    ///
    /// # Panics
    /// In the compiler, where it is declared on the list.
    pub const fn on_object(declared: drf::Action, run: for<'a> fn(Request<'a>, R) -> Answering<'a>) -> Self {
        assert!(declared.route.detail, "an action on the list");
        Self { declared, run: Run::Object(run) }
    }
}

impl<R: Resource> Action<R> {
    /// GET on the list.
    pub const LIST: Self = Self::on_list(drf::Action::LIST, |request| Box::pin(standard::list::<R>(request)));
    /// POST on the list.
    pub const CREATE: Self = Self {
        run: Run::Create(|request| Box::pin(standard::create::<R>(request))),
        declared: drf::Action::CREATE,
    };
    /// GET on an object.
    pub const RETRIEVE: Self = Self::on_object(drf::Action::RETRIEVE, |request, row| {
        Box::pin(standard::retrieve::<R>(request, row))
    });
    /// PUT on an object.
    pub const UPDATE: Self =
        Self::on_object(drf::Action::UPDATE, |request, row| Box::pin(standard::replace::<R>(request, row)));
    /// PATCH on an object.
    pub const PARTIAL_UPDATE: Self = Self::on_object(drf::Action::PARTIAL_UPDATE, |request, row| {
        Box::pin(standard::partial_update::<R>(request, row))
    });
    /// DELETE on an object.
    pub const DESTROY: Self =
        Self::on_object(drf::Action::DESTROY, |request, row| Box::pin(standard::destroy::<R>(request, row)));
    /// GET on an object's `used_by/`.
    pub const USED_BY: Self = Self::on_object(super::used_by::DECLARED, |request, row| {
        Box::pin(super::used_by::answer::<R>(request, row))
    });

    /// The seven that a resource has unless it says otherwise.
    pub const SEVEN: &'static [Self] = &[
        Self::LIST,
        Self::CREATE,
        Self::RETRIEVE,
        Self::UPDATE,
        Self::PARTIAL_UPDATE,
        Self::DESTROY,
        Self::USED_BY,
    ];

    /// Open to others than those whom the action is for elsewhere.
    pub const fn for_whom(mut self, permission: drf::permission::Permission) -> Self {
        self.declared.permission = permission;
        self
    }
}

/// A view that belongs to no resource and needs no database: DRF's `APIView`.
pub struct ApiView {
    /// The path below the API's prefix.
    pub path: &'static str,
    /// The id of its operation.
    pub operation: &'static str,
    /// What is said of it.
    pub declared: drf::Action,
    /// What does it.
    pub run: fn(&Call) -> Result<Answer, ApiError>,
}
