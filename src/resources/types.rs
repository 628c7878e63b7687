//! The rows with which authentik lists what can be chosen or created.

use drf::action::Component;
use serde::Serialize;
use serde_json::{Value, json};

use crate::contract::stage_types::StageType;
use crate::email_templates::Template;

/// A template or a type.
#[derive(Debug, Clone, Serialize)]
pub struct TypeCreate {
    name: String,
    description: String,
    component: &'static str,
    model_name: &'static str,
    /// `null` for types; templates have no such key.
    #[serde(skip_serializing_if = "Option::is_none")]
    icon_url: Option<Value>,
    requires_enterprise: bool,
    deprecated: bool,
}

impl TypeCreate {
    /// A stage type.
    pub fn stage(stage_type: &StageType) -> Self {
        Self {
            name: stage_type.verbose_name.to_owned(),
            description: stage_type.description.to_owned(),
            component: stage_type.component,
            model_name: stage_type.model.model,
            icon_url: Some(Value::Null),
            requires_enterprise: stage_type.requires_enterprise,
            deprecated: stage_type.deprecated,
        }
    }

    /// An email template.
    pub fn template(template: Template) -> Self {
        Self {
            name: template.name,
            description: template.description,
            component: "",
            model_name: "",
            icon_url: None,
            requires_enterprise: false,
            deprecated: false,
        }
    }
}

/// The rows in the OpenAPI document.
pub const TYPE_CREATE: Component = Component {
    name: "TypeCreate",
    schema: |_| {
        let string = json!({ "type": "string" });
        let boolean = json!({ "type": "boolean", "default": false });
        json!({
            "type": "object",
            "description": "Types of an object that can be created",
            "properties": {
                "name": string, "description": string, "component": string, "model_name": string,
                "icon_url": { "type": "string", "nullable": true },
                "requires_enterprise": boolean, "deprecated": boolean,
            },
            "required": ["component", "description", "model_name", "name"],
        })
    },
};
