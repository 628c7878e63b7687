//! The registry: every resource of the API, a `mod` and a line in [`visit`] each.

mod account;
mod any_stage;
mod description;
pub mod document;
mod email_stage;
mod flow;
mod flow_stage_binding;
mod group;
pub mod invitation;
mod invitation_stage;
mod me;
mod permission;
mod role;
mod stage;
mod system;
mod token;
mod types;
mod used_by;
pub mod user;
mod user_settings;
mod user_write_stage;

use std::collections::BTreeSet;

use drf::permission::{Model, Verb};

use crate::auth;
use crate::authentik;
use crate::db::{Needs, attached, search};
use crate::views::endpoint::{self, Endpoint};
use crate::views::used_by::Relation;
use crate::views::{Resource, view_set};

/// Do something with every resource. Rust has no list of types, so the list is this function.
pub fn visit(visitor: &mut impl Visitor) {
    visitor.visit::<stage::Stage<email_stage::EmailStage>>();
    visitor.visit::<stage::Stage<user_write_stage::UserWriteStage>>();
    visitor.visit::<stage::Stage<invitation_stage::InvitationStage>>();
    visitor.visit::<invitation::Invitation>();
    visitor.visit::<any_stage::AnyStage>();
    visitor.visit::<flow::Flow>();
    visitor.visit::<flow_stage_binding::FlowStageBinding>();
    visitor.visit::<group::Group>();
    visitor.visit::<user::User>();
    visitor.visit::<token::Token>();
    visitor.visit::<role::Role>();
    visitor.visit::<role::assigned::AssignedRole>();
    visitor.visit::<role::object_permission::RoleObjectPermission>();
    visitor.visit::<permission::Permission>();
}

/// See [`visit`].
pub trait Visitor {
    /// Called once a resource.
    fn visit<R: Resource>(&mut self);
}

/// The permissions that an installation has: four a model, those that actions ask for beside them, and those of rules; each
/// once, though resources may share a model.
pub fn permissions() -> Vec<(Model, String)> {
    struct Permissions(Vec<(Model, String)>);
    impl Visitor for Permissions {
        fn visit<R: Resource>(&mut self) {
            let model = R::DECLARATION.model;
            self.0.extend(Verb::ALL.map(|verb| (model, model.codename(verb))));
            let asked = R::actions().flat_map(|action| action.declared.permission.codenames(&model));
            self.0.extend(asked.map(|codename| (model, codename)));
        }
    }
    let mut permissions = Permissions(Vec::new());
    visit(&mut permissions);
    permissions.0.extend(group::PERMISSIONS.map(|codename| (group::MODEL, codename.to_owned())));
    let mut seen = BTreeSet::new();
    permissions.0.retain(|(model, codename)| seen.insert((model.label(), codename.clone())));
    permissions.0
}

/// The paths of the API.
pub fn endpoints() -> Vec<Endpoint> {
    struct Endpoints(Vec<Endpoint>);
    impl Visitor for Endpoints {
        fn visit<R: Resource>(&mut self) {
            self.0.extend(endpoint::of_resource(view_set::of::<R>()));
        }
    }
    let mut endpoints = Endpoints(Vec::new());
    visit(&mut endpoints);
    endpoints.0.extend(system::VIEWS.iter().map(endpoint::of_view));
    endpoints.0
}

/// The texts that searches look through, each once.
pub fn searched() -> Vec<search::Indexed> {
    struct Searched(BTreeSet<search::Indexed>);
    impl Visitor for Searched {
        fn visit<R: Resource>(&mut self) {
            self.0.extend(search::indexed(R::DECLARATION));
        }
    }
    let mut searched = Searched(BTreeSet::new());
    visit(&mut searched);
    searched.0.into_iter().collect()
}

/// The tables and columns that the server needs.
pub fn needs() -> Needs {
    struct All(Needs);
    impl Visitor for All {
        fn visit<R: Resource>(&mut self) {
            let actions = R::actions().map(|action| &action.declared);
            self.0.add_resource(R::DECLARATION, actions, R::WRITING_IS_GRANTED);
            self.0.extend(R::NEEDS);
            self.0.optional.extend(R::USED_BY.iter().flat_map(Relation::tables));
        }
    }
    let mut all = All(Needs::default());
    visit(&mut all);
    for statements in auth::NEEDS.iter().chain(&authentik::NEEDS).chain([&attached::NEEDS]) {
        all.0.extend(statements);
    }
    all.0
}
