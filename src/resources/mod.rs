//! The registry: every resource of the API, one line each.

pub mod any_stage;
pub mod email_stage;
pub mod flow;
pub mod flow_stage_binding;
pub mod group;
pub mod invitation;
pub mod invitation_stage;
pub mod role;
pub mod session;
pub mod stage;
pub mod stage_types;
pub mod system;
pub mod token;
pub mod types;
pub mod used_by;
pub mod user;
pub mod user_settings;
pub mod user_write_stage;

use axum::Router;
use axum::routing::any;
use serde_json::json;

use crate::app::App;
use crate::auth::rbac::{Model, Verb};
use crate::drf::openapi::{Document, reference};
use crate::drf::resource::{Action, Resource};
use crate::drf::viewset;

use any_stage::AnyStage;
use email_stage::EmailStage;
use flow::Flow;
use flow_stage_binding::FlowStageBinding;
use group::Group;
use invitation::Invitation;
use invitation_stage::InvitationStage;
use stage::Stage;
use token::Token;
use user::User;
use user_write_stage::UserWriteStage;

/// Do something with every resource. Rust has no list of types, so the list is this function.
pub fn visit(visitor: &mut impl Visitor) {
    visitor.visit::<Stage<EmailStage>>();
    visitor.visit::<Stage<UserWriteStage>>();
    visitor.visit::<Stage<InvitationStage>>();
    visitor.visit::<Invitation>();
    visitor.visit::<AnyStage>();
    visitor.visit::<Flow>();
    visitor.visit::<FlowStageBinding>();
    visitor.visit::<Group>();
    visitor.visit::<User>();
    visitor.visit::<Token>();
}

/// See [`visit`].
pub trait Visitor {
    /// Called once a resource.
    fn visit<R: Resource>(&mut self);
}

/// The permissions that an installation has: four a model, and a few more.
pub fn permissions() -> Vec<(Model, String)> {
    struct Permissions(Vec<(Model, String)>);
    impl Visitor for Permissions {
        fn visit<R: Resource>(&mut self) {
            self.0.extend(Verb::ALL.map(|verb| (R::MODEL, R::MODEL.codename(verb))));
        }
    }
    let mut permissions = Permissions(Vec::new());
    visit(&mut permissions);
    let more = |model: Model, codenames: &'static [&'static str]| {
        codenames.iter().map(move |codename| (model, (*codename).to_owned()))
    };
    permissions.0.extend(more(group::MODEL, &group::PERMISSIONS));
    permissions.0.extend(more(token::MODEL, &token::PERMISSIONS));
    permissions.0
}

/// The OpenAPI document of everything that [`router`] serves.
pub fn document(document: &mut Document) {
    struct Operations<'d>(&'d mut Document);
    impl Visitor for Operations<'_> {
        fn visit<R: Resource>(&mut self) {
            self.0.resource::<R>();
        }
    }
    visit(&mut Operations(document));
    session::document(document);
    system::document(document);
    any_stage::document(document);
    flow::document(document);
    group::document(document);
    token::document(document);
    document.schema("TypeCreate", types::schema());
    document.get(
        "/stages/email/templates/",
        "stages_email_templates_list",
        email_stage::TEMPLATES.description,
        json!([]),
        json!({ "type": "array", "items": reference("TypeCreate") }),
    );
}

/// The routes of the API, below its prefix.
pub fn router() -> Router<App> {
    struct Routes(Router<App>);
    impl Visitor for Routes {
        fn visit<R: Resource>(&mut self) {
            let detail = format!("{}{{id}}/", R::PATH);
            let mut router = std::mem::take(&mut self.0)
                .route(R::PATH, any(viewset::collection::<R>))
                .route(&detail, any(viewset::detail::<R>));
            if R::ACTIONS.contains(&Action::UsedBy) {
                router = router.route(&format!("{detail}used_by/"), any(viewset::used_by::<R>));
            }
            self.0 = router;
        }
    }
    let mut routes = Routes(Router::new());
    visit(&mut routes);
    routes
        .0
        .route("/stages/email/templates/", any(email_stage::templates))
        .route("/stages/all/types/", any(any_stage::types))
        .route("/stages/all/user_settings/", any(any_stage::user_settings))
        .route("/core/groups/{id}/add_user/", any(group::add_user))
        .route("/core/groups/{id}/remove_user/", any(group::remove_user))
        .route("/core/tokens/{id}/view_key/", any(token::view_key))
        .route("/core/users/me/", any(session::me))
        .route("/root/config/", any(system::config))
        .route("/admin/version/", any(system::version))
        .route("/schema/", any(system::schema))
        .route("/flows/instances/{id}/set_background_url/", any(flow::set_background_url))
}
