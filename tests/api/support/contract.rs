//! Our own OpenAPI document as a judge: every JSON answer that a test gets has to validate against it, with its keys in
//! the document's order, which `tests/drift` compares with authentik's.

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
        // The document has no OPTIONS. Their answers describe the fields of the other methods.
        (None, 200) if method == "OPTIONS" => {
            let described = answer.json();
            for (method, fields) in described["actions"].as_object().into_iter().flatten() {
                let places =
                    self::operation(method, path).map(|operation| fields_out_of_order(operation, fields));
                assert_eq!(places, Some(Vec::new()), "fields in another order than the document's: {answer}");
            }
            return;
        }
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
    let mut places = Vec::new();
    out_of_order(&schema, &body, "", &mut places);
    if let (400, Some(operation)) = (answer.status, operation) {
        // Errors are named by the fields of the request.
        places.extend(fields_out_of_order(operation, &body));
    }
    assert!(places.is_empty(), "keys in another order than the OpenAPI document's at {places:?}: {answer}");
}

/// Where things that are named by an operation's fields don't come in the order of its request, or of its answer.
fn fields_out_of_order(operation: &Value, named: &Value) -> Vec<String> {
    let mut places = Vec::new();
    let answers = operation["responses"].as_object().into_iter().flatten();
    let answers = answers.filter(|(status, _)| status.starts_with('2')).map(|(_, answer)| answer);
    for holder in answers.chain([&operation["requestBody"]]) {
        out_of_order(&holder["content"]["application/json"]["schema"], named, "", &mut places);
    }
    places
}

/// The objects in a body whose keys don't come in the order of the schema's properties, as JSON pointers. Keys that the
/// schema doesn't name may stand anywhere.
fn out_of_order(schema: &Value, body: &Value, at: &str, places: &mut Vec<String>) {
    let parts = ["allOf", "anyOf", "oneOf"].iter().filter_map(|keyword| schema[keyword].as_array()).flatten();
    let referenced = schema["$ref"].as_str().and_then(|reference| DOCUMENT.pointer(&reference[1..]));
    for part in parts.chain(referenced) {
        out_of_order(part, body, at, places);
    }
    if let (Some(properties), Some(body)) = (schema["properties"].as_object(), body.as_object()) {
        let position = |key: &String| properties.keys().position(|property| property == key);
        if !body.keys().filter_map(position).is_sorted() {
            places.push(at.to_owned());
        }
        for (key, item) in body {
            if let Some(property) = properties.get(key) {
                out_of_order(property, item, &format!("{at}/{key}"), places);
            }
        }
    }
    for (index, item) in body.as_array().into_iter().flatten().enumerate() {
        out_of_order(&schema["items"], item, &format!("{at}/{index}"), places);
    }
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

#[test]
fn keys_have_an_order() {
    let number = json!({ "type": "integer" });
    let schema = json!({ "anyOf": [
        { "properties": { "a": number, "b": { "items": { "properties": { "x": number, "y": number } } } } },
        { "type": "null" },
    ] });
    let places = |body: Value| {
        let mut places = Vec::new();
        out_of_order(&schema, &body, "", &mut places);
        places
    };
    assert_eq!(places(json!({ "other": 0, "a": 1, "more": 2, "b": [{ "y": 3 }] })), [""; 0]);
    assert_eq!(places(json!({ "b": [{ "x": 1, "y": 2 }, { "y": 3, "x": 4 }], "a": 5 })), ["", "/b/1"]);
}
