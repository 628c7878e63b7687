//! The answer to `OPTIONS`: Django REST framework's `SimpleMetadata`.

use serde_json::{Map, Value, json};

use super::action::{Action, Method, RequestBody};
use super::declaration::Declaration;
use super::field::{Field, FieldKind, Fields, Version};

/// `OPTIONS` on a path of a resource: one of its actions there, and the methods whose fields are shown, since the caller
/// may use them.
pub fn describe(
    declared: Option<&Declaration>,
    action: &Action,
    shown: &[(Method, RequestBody)],
    version: Version,
) -> Value {
    let (name, description) = match declared.filter(|_| !action.is_extra()) {
        Some(declared) => (
            format!("{} {}", declared.view_name, action.view_name),
            format!("{} Viewset", declared.model.name),
        ),
        None => (action.view_name.to_owned(), action.description.to_owned()),
    };
    let mut body = json!({
        "name": name,
        "description": description,
        "renders": ["application/json"],
        "parses": ["application/json"],
    });
    let taken = |(method, taken): &(Method, RequestBody)| {
        let fields_of_body = match taken {
            RequestBody::None => return None,
            RequestBody::Resource(_) => declared?.fields,
            RequestBody::Fields { fields, .. } | RequestBody::Unchecked { fields, .. } => *fields,
        };
        Some((method.name().to_owned(), fields(fields_of_body, version)))
    };
    let actions: Map<_, _> = shown.iter().filter_map(taken).collect();
    if !actions.is_empty() {
        body["actions"] = Value::Object(actions);
    }
    body
}

fn fields(fields: Fields, version: Version) -> Value {
    let shown = fields.iter().filter(|field| !field.internal && !field.beyond_contract);
    Value::Object(shown.map(|field| (field.name.to_owned(), info(field, version))).collect())
}

fn info(field: &Field, version: Version) -> Value {
    let mut info = Map::new();
    info.insert("type".into(), json!(type_name(field)));
    info.insert("required".into(), json!(field.required));
    // A nested list is described as the read-only field that a serializer makes of it.
    info.insert("read_only".into(), json!(field.read_only || matches!(field.kind, FieldKind::Nested { .. })));
    info.insert("label".into(), json!(label(field)));
    if !field.help.is_empty() {
        info.insert("help_text".into(), json!(field.help));
    }
    if let Some(most) = field.max_length {
        info.insert("max_length".into(), json!(most));
    }
    match field.kind {
        FieldKind::Integer { min, max } => {
            info.insert("min_value".into(), json!(min));
            info.insert("max_value".into(), json!(max));
        }
        FieldKind::Choice(choices) => {
            let list =
                choices.of(version).map(|(value, name)| json!({ "value": value, "display_name": name }));
            info.insert("choices".into(), list.collect());
        }
        FieldKind::Nested { fields: inner, many: false, .. } => {
            info.insert("children".into(), fields(inner, version));
        }
        FieldKind::Nested { fields: inner, many: true, .. } => {
            let child = json!({
                "type": "nested object", "required": false, "read_only": true, "children": fields(inner, version),
            });
            info.insert("child".into(), child);
        }
        _ => {}
    }
    Value::Object(info)
}

fn type_name(field: &Field) -> &'static str {
    match field.kind {
        FieldKind::Uuid | FieldKind::Text | FieldKind::Slug => "string",
        FieldKind::Email => "email",
        FieldKind::Integer { .. } | FieldKind::Serial => "integer",
        FieldKind::Boolean => "boolean",
        FieldKind::Choice(_) => "choice",
        FieldKind::DateTime => "datetime",
        FieldKind::Nested { many: false, .. } => "nested object",
        FieldKind::Dictionary
        | FieldKind::List
        | FieldKind::Texts
        | FieldKind::ForeignKey(_)
        | FieldKind::Many(..)
        | FieldKind::Nested { .. }
        | FieldKind::Computed(_) => "field",
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
