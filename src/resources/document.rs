//! The OpenAPI document of the whole API.
//!
//! It says more than authentik's where authentik's is wrong about its own answers: `flow_obj` may be null, errors come
//! with other statuses than 400 and 403, and `flow_set` may be sent.

use drf::openapi::Document;
use serde_json::{Value, json};

use super::{Visitor, system, visit};
use crate::contract::API_PREFIX;
use crate::contract::release::CONTRACT_VERSION;
use crate::views::Resource;

/// The document.
pub fn document() -> Value {
    struct Operations(Document);
    impl Visitor for Operations {
        fn visit<R: Resource>(&mut self) {
            let all: Vec<_> = R::ACTIONS.iter().map(|action| &action.declared).collect();
            for action in R::actions() {
                self.0.action(R::DECLARATION, &action.declared, &all);
            }
        }
    }
    let mut operations = Operations(Document::new("authentik"));
    visit(&mut operations);
    let mut document = operations.0;
    for view in &system::VIEWS {
        document.view(view.path, view.operation, &view.declared);
    }
    let info = json!({
        "title": "ak-stages",
        "version": CONTRACT_VERSION,
        "description": "authentik's stages API, as ak-stages serves it.",
        "license": { "name": "MIT" },
    });
    let tags = json!([
        { "name": "stages", "description": "Email, user write and invitation stages, and invitations" },
        { "name": "invitations", "description": "What authentik has not: invitations by the thousand, their redemption and history" },
        { "name": "flows", "description": "Flows and the stages bound to them" },
        { "name": "core", "description": "Groups, users and tokens" },
        { "name": "rbac", "description": "Roles, and the permissions that they are given" },
    ]);
    document.finish(&info, API_PREFIX, &tags)
}

/// The document as YAML.
///
/// # Errors
/// None in practice: every value came from JSON.
pub fn yaml() -> anyhow::Result<String> {
    Ok(yaml_serde::to_string(&document())?)
}
