//! The generic views: what follows from a [`Resource`] and its [actions](Action), whichever resource it is.
//!
//! Checks come in Django REST framework's order: content negotiation, authentication, method, permission of the method or
//! look-up and permission of the object, body, fields. `serve.rs` takes a request from its path to its commit, and `checks.rs`
//! walks the checks; both know a resource as a [`ViewSet`] alone, so there is one of them for all. `transaction.rs` is the one
//! place where a request's transaction begins and ends.

mod action;
mod answer;
mod call;
mod checks;
mod dry_run;
pub mod endpoint;
pub mod entity_tag;
mod idempotency;
mod lookup;
mod precondition;
mod recall;
mod replica;
mod resource;
mod serve;
mod standard;
mod transaction;
mod unit_of_work;
pub mod used_by;
mod validation;
pub mod view_set;

pub use action::{Action, ApiView, Request};
pub use answer::Answer;
pub use call::{Call, MAX_BODY};
pub use dry_run::Effects;
pub use lookup::Lens;
pub use resource::{Check, Context, Making, Preparation, Resource, Save};
pub use standard::{list, remove};
pub use transaction::{AfterCommit, Begins, Committing, Transaction};
pub use unit_of_work::{Object, UnitOfWork, key_of};
pub use validation::examine;
pub use view_set::ViewSet;
