//! Validation errors: which fields are wrong, in the order in which the resource declares them.

use serde_json::{Map, Value, json};

use super::field::{Field, Fields};

/// The key of errors that belong to no single field.
pub const NON_FIELD_ERRORS: &str = "non_field_errors";

/// Errors by field. Nested objects have errors of their own below their field.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct FieldErrors(Map<String, Value>);

impl FieldErrors {
    /// One error that belongs to no field.
    pub fn non_field(sentence: impl Into<String>) -> Self {
        let mut errors = Self::default();
        errors.add_non_field(sentence);
        errors
    }

    /// Add a sentence to a field's list.
    pub fn add(&mut self, field: &Field, sentence: impl Into<String>) {
        self.add_named(field.name, sentence);
    }

    /// Add a sentence that belongs to no field.
    pub fn add_non_field(&mut self, sentence: impl Into<String>) {
        self.add_named(NON_FIELD_ERRORS, sentence);
    }

    /// Add a sentence to the list of what has this name: of a query parameter, or of a field that a rule names.
    pub fn add_named(&mut self, field: &str, sentence: impl Into<String>) {
        let list = self.0.entry(field).or_insert_with(|| json!([]));
        if let Value::Array(sentences) = list {
            sentences.push(Value::String(sentence.into()));
        }
    }

    /// Errors of the objects inside a field: one entry an object, `{}` for those that are fine.
    pub fn nest(&mut self, field: &str, nested: Value) {
        self.0.insert(field.to_owned(), nested);
    }

    /// Whether `field` is wrong.
    pub fn has(&self, field: &Field) -> bool {
        self.0.contains_key(field.name)
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The body of the answer: keys in the order of `fields`, whatever found them.
    pub fn into_body(mut self, fields: Fields) -> Value {
        let mut body = Map::new();
        for field in fields.iter() {
            if let Some((name, errors)) = self.0.remove_entry(field.name) {
                body.insert(name, errors);
            }
        }
        body.extend(self.0);
        Value::Object(body)
    }
}
