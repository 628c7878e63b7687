//! The answer to `OPTIONS`: Django REST framework's `SimpleMetadata`.

use serde_json::{Map, Value, json};

use super::field::{Field, Kind};
use super::resource::Resource;
use crate::db::Release;

/// `OPTIONS` on a list; `may` add says whether the fields of POST are shown.
pub fn collection<R: Resource>(may: bool, release: Release) -> Value {
    resource::<R>("List", may.then_some("POST"), release)
}

/// `OPTIONS` on an object; `may` change says whether the fields of PUT are shown.
pub fn detail<R: Resource>(may: bool, release: Release) -> Value {
    resource::<R>("Instance", may.then_some("PUT"), release)
}

fn resource<R: Resource>(suffix: &str, method: Option<&str>, release: Release) -> Value {
    let (name, description) = (format!("{} {suffix}", R::VIEW_NAME), format!("{} Viewset", R::MODEL.name));
    describe(&name, &description, method.map(|method| (method, R::FIELDS)), release)
}

/// `OPTIONS` on any view; `action` is the method that takes a body, and its fields.
pub fn describe(name: &str, description: &str, action: Option<(&str, &[Field])>, release: Release) -> Value {
    let mut body = json!({
        "name": name,
        "description": description,
        "renders": ["application/json"],
        "parses": ["application/json"],
    });
    if let Some((method, taken)) = action {
        body["actions"] = json!({ method: fields(taken, release) });
    }
    body
}

fn fields(fields: &[Field], release: Release) -> Value {
    let shown = fields.iter().filter(|field| !field.internal);
    Value::Object(shown.map(|field| (field.name.to_owned(), info(field, release))).collect())
}

fn info(field: &Field, release: Release) -> Value {
    let mut info = Map::new();
    info.insert("type".into(), json!(type_name(field)));
    info.insert("required".into(), json!(field.required));
    // A nested list is described as the read-only field that authentik made of it.
    info.insert("read_only".into(), json!(field.read_only || matches!(field.kind, Kind::Nested { .. })));
    info.insert("label".into(), json!(label(field)));
    if !field.help.is_empty() {
        info.insert("help_text".into(), json!(field.help));
    }
    if let Some(most) = field.max_length {
        info.insert("max_length".into(), json!(most));
    }
    match field.kind {
        Kind::Integer { min, max } => {
            info.insert("min_value".into(), json!(min));
            info.insert("max_value".into(), json!(max));
        }
        Kind::Choice(choices) => {
            let list =
                choices.of(release).map(|(value, name)| json!({ "value": value, "display_name": name }));
            info.insert("choices".into(), list.collect());
        }
        Kind::Nested { fields: inner, many: false, .. } => {
            info.insert("children".into(), fields(inner, release));
        }
        Kind::Nested { fields: inner, many: true, .. } => {
            let child = json!({
                "type": "nested object", "required": false, "read_only": true, "children": fields(inner, release),
            });
            info.insert("child".into(), child);
        }
        _ => {}
    }
    Value::Object(info)
}

fn type_name(field: &Field) -> &'static str {
    match field.kind {
        Kind::Uuid | Kind::Text | Kind::Slug => "string",
        Kind::Email => "email",
        Kind::Integer { .. } | Kind::Serial => "integer",
        Kind::Boolean => "boolean",
        Kind::Choice(_) => "choice",
        Kind::DateTime => "datetime",
        Kind::Nested { many: false, .. } => "nested object",
        Kind::Dictionary | Kind::ForeignKey(_) | Kind::Many(_) | Kind::Nested { .. } | Kind::Computed(_) => {
            "field"
        }
    }
}

/// Django's verbose name: the field's name in words, first letter upper case.
fn label(field: &Field) -> String {
    if let Some(label) = field.label {
        return label.to_owned();
    }
    let words = field.name.replace('_', " ");
    let mut chars = words.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
