//! Our own OpenAPI document as a judge: every JSON answer that a test gets has to validate against it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use ak_stages::contract::API_PREFIX;
use ak_stages::resources::document;
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use super::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| as_json_schema(document::document()));
/// Schemas by their JSON text, compiled.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// Fails unless the document allows this answer to this request.
#[track_caller]
pub fn check(method: &str, path: &str, answer: &Answer) {
    let is_api = path.starts_with(API_PREFIX);
    let is_plain = answer.header("content-encoding").is_none();
    if !is_api || !is_plain || answer.media_type() != "application/json" || answer.body.is_empty() {
        return;
    }
    let operation = operation(method, path);
    let schema = match (operation, answer.status) {
        (Some(operation), status) => {
            let responses = &operation["responses"];
            let response = responses.get(status.to_string()).or_else(|| responses.get("default"));
            let response =
                resolve(response.unwrap_or_else(|| panic!("no such answer in the document: {answer}")));
            assert!(status >= 400 || responses.get(status.to_string()).is_some(), "undocumented: {answer}");
            response["content"]["application/json"]["schema"].clone()
        }
        // The document has no OPTIONS.
        (None, 200) if method == "OPTIONS" => return,
        (None, status) => {
            assert!(status >= 400, "an operation that the document does not have: {answer}");
            json!({ "$ref": "#/components/schemas/GenericError" })
        }
    };
    let validator = validator(&schema);
    let body = answer.json();
    let errors: Vec<_> =
        validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "the OpenAPI document does not allow {answer}\n{}", errors.join("\n"));
}

/// The operation that serves a path. A path without parameters goes before one with.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let path = path.strip_prefix(API_PREFIX)?.split('?').next()?.replacen("//", "/", 1);
    let paths = DOCUMENT["paths"].as_object()?;
    let mut fitting: Vec<_> = paths.iter().filter(|(template, _)| fits(template, &path)).collect();
    fitting.sort_by_key(|(template, _)| template.matches('{').count());
    fitting.first()?.1.get(method.to_lowercase())
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len() && template.iter().zip(path).all(|(t, p)| t.starts_with('{') || *t == p)
}

fn resolve(value: &'static Value) -> &'static Value {
    match value.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => DOCUMENT.pointer(pointer).unwrap(),
        None => value,
    }
}

fn validator(schema: &Value) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock().unwrap();
    let build = || {
        let whole = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        // Django takes addresses that JSON Schema's rule doesn't, such as those of international domains.
        Arc::new(options.with_format("email", |_: &str| true).build(&whole).unwrap())
    };
    Arc::clone(validators.entry(schema.to_string()).or_insert_with(build))
}

/// OpenAPI 3.0's `nullable` in the words of JSON Schema, everywhere.
fn as_json_schema(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut map: Map<_, _> = map.into_iter().map(|(key, item)| (key, as_json_schema(item))).collect();
            if map.get("nullable") == Some(&json!(true)) {
                map.shift_remove("nullable");
                return json!({ "anyOf": [map, { "type": "null" }] });
            }
            Value::Object(map)
        }
        Value::Array(items) => items.into_iter().map(as_json_schema).collect(),
        other => other,
    }
}
