//! An OpenAPI document as it is read to be compared: operations, and schemas behind their references.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
/// References behind one another that are followed: authentik's are no more.
const DEPTH: usize = 16;

/// See the module.
#[derive(Clone, Copy)]
pub(super) struct Document<'d>(pub(super) &'d Value);

impl<'d> Document<'d> {
    pub(super) fn operations(self) -> Vec<(&'d str, &'static str, &'d Value)> {
        let paths = self.0.get("paths").and_then(Value::as_object).into_iter().flatten();
        let of_path = |(path, item): (&'d String, &'d Value)| {
            METHODS.into_iter().filter_map(move |method| Some((path.as_str(), method, item.get(method)?)))
        };
        paths.flat_map(of_path).collect()
    }

    /// The paths of the lists whose objects have paths: what stands below is of the same resource.
    pub(super) fn roots(self) -> BTreeSet<String> {
        let operations = self.operations().into_iter();
        operations.filter_map(|(path, ..)| Some(path.split_once('{')?.0.to_owned())).collect()
    }

    /// What a reference means, together with what stands beside it.
    pub(super) fn resolve(self, node: &'d Value) -> &'d Value {
        let mut node = node;
        for _ in 0..DEPTH {
            let only = node.get("allOf").and_then(Value::as_array).filter(|parts| parts.len() == 1);
            let reference = node.get("$ref").and_then(Value::as_str);
            node = match (only.and_then(|parts| parts.first()), reference) {
                (Some(part), _) => part,
                (None, Some(reference)) => {
                    self.0.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null)
                }
                (None, None) => break,
            };
        }
        node
    }

    pub(super) fn parameters(self, operation: &'d Value) -> BTreeMap<&'d str, &'d Value> {
        let all = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
        let query =
            all.map(|parameter| self.resolve(parameter)).filter(|parameter| text(parameter, "in") == "query");
        query.map(|parameter| (text(parameter, "name"), parameter)).collect()
    }

    /// The JSON schema of a request or an answer.
    pub(super) fn body(self, holder: Option<&'d Value>) -> Option<&'d Value> {
        self.resolve(holder?).pointer("/content/application~1json/schema")
    }

    /// The values of an enum; none for what takes any.
    pub(super) fn values(self, schema: &'d Value) -> BTreeSet<&'d str> {
        let options = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
        let schemas = options.map(|option| self.resolve(option)).chain([schema]);
        let values = schemas.filter_map(|schema| schema.get("enum")?.as_array()).flatten();
        values.filter_map(Value::as_str).collect()
    }
}

pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn is_true(value: &Value, key: &str) -> bool {
    value.get(key) == Some(&Value::Bool(true))
}

pub(super) fn properties(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::iter);
    properties.map(|(name, schema)| (name.as_str(), schema))
}

pub(super) fn required(schema: &Value) -> BTreeSet<&str> {
    let names = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).collect()
}
