//! A request body against the field table: every value coerced, every error found. `serde` alone would stop at the
//! first bad field; Django REST framework reports them all.

use std::collections::HashSet;
use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::body::{Body, Text};
use super::errors::{FieldErrors, NON_FIELD_ERRORS};
use super::field::{Field, FieldKind, Fields, Key, Version};
use super::json::holds_nul;
use super::time::NotATime;
use super::{messages, python, time};

/// What the request does to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// POST: required fields must be there.
    Create,
    /// PUT: the same. An optional field that is left out keeps its value, unless it is [`Field::emptied_by_put`].
    Replace,
    /// PATCH: nothing is required.
    Partial,
}

/// A coerced value.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// `null`
    Null,
    /// Text, slugs, addresses, choices.
    Text(String),
    /// An integer.
    Integer(i32),
    /// A boolean.
    Boolean(bool),
    /// A UUID.
    Uuid(Uuid),
    /// A point in time.
    DateTime(DateTime<Utc>),
    /// The text of a JSON object.
    Dictionary(String),
    /// A foreign key, or several of a many-to-many field.
    Keys(Vec<Reference>),
    /// Objects inside this one, or a list of texts, checked and coerced; or a list of anything, as it came.
    Objects(Vec<Value>),
}

/// The key of another row, and how the request spelled it: error messages echo that.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// A UUID or an integer key.
    pub key: KeyValue,
    /// As sent.
    pub spelling: String,
}

/// A primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyValue {
    /// `uuid`
    Uuid(Uuid),
    /// `integer`
    Integer(i32),
}

impl Content {
    /// As JSON, for the resource's `Input`.
    fn to_json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Text(text) => json!(text),
            Self::Integer(number) => json!(number),
            Self::Boolean(boolean) => json!(boolean),
            Self::Uuid(uuid) => json!(uuid),
            Self::DateTime(instant) => json!(time::format(instant)),
            // No rule looks into one.
            Self::Dictionary(_) => json!({}),
            Self::Keys(keys) => keys.iter().map(|key| key.key.to_json()).collect(),
            Self::Objects(objects) => Value::Array(objects.clone()),
        }
    }
}

impl fmt::Display for KeyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(uuid) => uuid.fmt(f),
            Self::Integer(number) => number.fmt(f),
        }
    }
}

impl From<Uuid> for KeyValue {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(uuid)
    }
}

impl From<i32> for KeyValue {
    fn from(number: i32) -> Self {
        Self::Integer(number)
    }
}

impl TryFrom<KeyValue> for Uuid {
    type Error = KeyValue;
    fn try_from(key: KeyValue) -> Result<Self, KeyValue> {
        match key {
            KeyValue::Uuid(uuid) => Ok(uuid),
            KeyValue::Integer(_) => Err(key),
        }
    }
}

impl TryFrom<KeyValue> for i32 {
    type Error = KeyValue;
    fn try_from(key: KeyValue) -> Result<Self, KeyValue> {
        match key {
            KeyValue::Integer(number) => Ok(number),
            KeyValue::Uuid(_) => Err(key),
        }
    }
}

impl KeyValue {
    fn to_json(self) -> Value {
        match self {
            Self::Uuid(uuid) => json!(uuid),
            Self::Integer(number) => json!(number),
        }
    }
}

/// The values that a request sets, or that a resource adds.
#[derive(Debug, Default, Clone)]
pub struct Draft(Vec<(&'static str, Content)>);

impl Draft {
    /// What `field` shall be, if the request (or the resource) says.
    pub fn get(&self, field: &Field) -> Option<&Content> {
        self.0.iter().find(|(name, _)| *name == field.name).map(|(_, content)| content)
    }

    /// The text that `field` shall be, if the request (or the resource) says; none for what is no text.
    pub fn text(&self, field: &Field) -> Option<&str> {
        match self.get(field)? {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The texts of a list of such, if the request says.
    pub fn texts(&self, field: &Field) -> Option<Vec<String>> {
        match self.get(field)? {
            Content::Objects(texts) => {
                Some(texts.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect())
            }
            _ => None,
        }
    }

    /// The keys that a foreign key or many-to-many `field` shall hold, if the request says; none for `null`.
    pub fn keys<K: TryFrom<KeyValue>>(&self, field: &Field) -> Option<Vec<K>> {
        let keys = match self.get(field)? {
            Content::Keys(keys) => keys.as_slice(),
            _ => &[],
        };
        Some(keys.iter().filter_map(|key| K::try_from(key.key).ok()).collect())
    }

    /// Set `field`, whatever the request said.
    pub fn set(&mut self, field: &Field, content: Content) {
        match self.0.iter_mut().find(|(name, _)| *name == field.name) {
            Some((_, old)) => *old = content,
            None => self.0.push((field.name, content)),
        }
    }

    /// As a JSON object, for the resource's `Input`.
    pub fn to_json(&self, fields: Fields) -> Value {
        let entry = |(name, content): &(&str, Content)| {
            let single = fields.get(name).is_some_and(|field| matches!(field.kind, FieldKind::ForeignKey(_)));
            let value = match content {
                Content::Keys(keys) if single => keys.first().map_or(Value::Null, |key| key.key.to_json()),
                other => other.to_json(),
            };
            ((*name).to_owned(), value)
        };
        Value::Object(self.0.iter().map(entry).collect())
    }
}

/// What differs from one installation to another.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// Whether nested objects are taken from requests at all.
    pub nested: bool,
    /// How many of them a list may have.
    pub max_nested: usize,
    /// The version whose choices hold.
    pub version: Version,
}

/// Coerce `body` by `fields`. Fields that the table doesn't let a request write are ignored, known or not.
pub fn take(fields: Fields, body: &Body, mode: Mode, dialect: Dialect) -> (Draft, FieldErrors) {
    let (mut draft, mut errors) = (Draft::default(), FieldErrors::default());
    let Value::Object(map) = &body.value else {
        let sentence = match &body.value {
            Value::Null => messages::NO_DATA.to_owned(),
            other => messages::expected_dictionary(python::type_name(other)),
        };
        return (draft, FieldErrors::non_field(sentence));
    };
    for field in fields.iter().filter(|field| field.writable()) {
        if matches!(field.kind, FieldKind::Nested { .. }) && !dialect.nested {
            continue;
        }
        match map.get(field.name) {
            None if field.required && mode != Mode::Partial => errors.add(field, messages::REQUIRED),
            None if field.emptied_by_put && mode == Mode::Replace => {
                draft.0.push((field.name, Content::Keys(Vec::new())));
            }
            None => {}
            Some(value) => match coerce(field, value, body.text(field.name), dialect) {
                Ok(content) => draft.0.push((field.name, content)),
                Err(Rejection::Sentence(sentence)) => errors.add(field, sentence),
                Err(Rejection::Nested(value)) => errors.nest(field.name, value),
            },
        }
    }
    (draft, errors)
}

enum Rejection {
    Sentence(String),
    Nested(Value),
}

impl<S: Into<String>> From<S> for Rejection {
    fn from(sentence: S) -> Self {
        Self::Sentence(sentence.into())
    }
}

fn coerce(
    field: &'static Field,
    value: &Value,
    text_of: Option<&Text>,
    dialect: Dialect,
) -> Result<Content, Rejection> {
    // DRF's related fields take "" for null.
    let empty_key = matches!(field.kind, FieldKind::ForeignKey(_)) && value == "";
    if value.is_null() || empty_key {
        return if field.nullable { Ok(Content::Null) } else { Err(messages::NULL.into()) };
    }
    Ok(match field.kind {
        FieldKind::Uuid
        | FieldKind::Text
        | FieldKind::Slug
        | FieldKind::Email
        | FieldKind::Serial
        | FieldKind::Computed(_) => Content::Text(text(field, value)?),
        FieldKind::Integer { min, max } => Content::Integer(integer(value, min, max)?),
        FieldKind::Boolean => Content::Boolean(boolean(value).ok_or(messages::NOT_A_BOOLEAN)?),
        FieldKind::Choice(choices) => {
            let chosen = python::str(value);
            if !choices.contains(&chosen, dialect.version) {
                return Err(messages::invalid_choice(&chosen).into());
            }
            Content::Text(chosen)
        }
        FieldKind::DateTime => Content::DateTime(datetime(value)?),
        FieldKind::Dictionary => match (text_of, value) {
            (Some(Text { holds_nul: true, .. }), _) => return Err(messages::NULL_CHARACTERS.into()),
            (Some(Text { text, .. }), _) => Content::Dictionary(text.clone()),
            (None, Value::Object(_)) if holds_nul(value) => return Err(messages::NULL_CHARACTERS.into()),
            (None, Value::Object(_)) => Content::Dictionary(value.to_string()),
            _ => return Err(messages::NOT_A_DICTIONARY.into()),
        },
        FieldKind::List => match value {
            Value::Array(items) => Content::Objects(items.clone()),
            other => return Err(messages::expected_list(python::type_name(other)).into()),
        },
        FieldKind::Texts => Content::Objects(texts(field, value)?),
        FieldKind::ForeignKey(target) => Content::Keys(vec![foreign_key(target.key, value)?]),
        FieldKind::Many(target, _) => match value {
            Value::Array(items) => {
                let mut keys = Vec::new();
                let mut seen = HashSet::new();
                for item in items {
                    let key = foreign_key(target.key, item)?;
                    if seen.insert(key.key) {
                        keys.push(key);
                    }
                }
                Content::Keys(keys)
            }
            other => return Err(messages::expected_list(python::type_name(other)).into()),
        },
        FieldKind::Nested { fields, .. } => Content::Objects(objects(fields, value, dialect)?),
    })
}

/// DRF's `CharField`: numbers become text, white space around goes, then blank, NUL and length.
fn text(field: &Field, value: &Value) -> Result<String, String> {
    let given = match value {
        Value::String(_) | Value::Number(_) => python::str(value),
        _ => return Err(field.invalid.into()),
    };
    let stripped = python::strip(&given);
    if stripped.is_empty() && !field.blank {
        return Err(messages::BLANK.into());
    }
    if stripped.contains('\0') {
        return Err(messages::NULL_CHARACTERS.into());
    }
    match field.max_length {
        Some(most) if stripped.chars().count() > most => Err(messages::max_length(most)),
        _ => Ok(stripped.to_owned()),
    }
}

/// DRF's `ListField` of `CharField`s: what is wrong stands below the place of the item.
fn texts(field: &Field, value: &Value) -> Result<Vec<Value>, Rejection> {
    let Value::Array(items) = value else {
        return Err(messages::expected_list(python::type_name(value)).into());
    };
    let (mut taken, mut wrong) = (Vec::new(), serde_json::Map::new());
    for (place, item) in items.iter().enumerate() {
        let judged = if item.is_null() { Err(messages::NULL.to_owned()) } else { text(field, item) };
        match judged {
            Ok(text) => taken.push(json!(text)),
            Err(sentence) => {
                wrong.insert(place.to_string(), json!([sentence]));
            }
        }
    }
    if wrong.is_empty() { Ok(taken) } else { Err(Rejection::Nested(Value::Object(wrong))) }
}

/// DRF's `IntegerField`: whatever Python's `int()` takes once a fraction of zeros is cut off.
fn integer(value: &Value, min: i32, max: i32) -> Result<i32, String> {
    let given = match value {
        Value::String(_) | Value::Number(_) => python::str(value),
        _ => return Err(messages::NOT_AN_INTEGER.into()),
    };
    if value.is_string() && given.chars().count() > 1000 {
        return Err(messages::INTEGER_TOO_LONG.into());
    }
    let whole = match given.split_once('.') {
        Some((whole, fraction)) if python::strip(fraction).bytes().all(|b| b == b'0') => whole,
        _ => &given,
    };
    let number = match python::int(whole) {
        Some(number) => number,
        // Digits that overflow even 128 bits are an integer all the same.
        None if is_digits(whole) => {
            if whole.trim_start().starts_with('-') {
                i128::MIN
            } else {
                i128::MAX
            }
        }
        None => return Err(messages::NOT_AN_INTEGER.into()),
    };
    match i32::try_from(number) {
        Ok(number) if number < min => Err(messages::min_value(min)),
        Ok(number) if number > max => Err(messages::max_value(max)),
        Ok(number) => Ok(number),
        Err(_) if number < 0 => Err(messages::min_value(min)),
        Err(_) => Err(messages::max_value(max)),
    }
}

fn is_digits(text: &str) -> bool {
    let digits = python::strip(text).trim_start_matches(['+', '-']);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// DRF's `BooleanField`: its lists of words, in any case.
fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(boolean) => Some(*boolean),
        Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
        Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
        Value::String(word) => match word.to_lowercase().as_str() {
            "t" | "y" | "yes" | "true" | "on" | "1" => Some(true),
            "f" | "n" | "no" | "false" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn datetime(value: &Value) -> Result<DateTime<Utc>, &'static str> {
    let Value::String(text) = value else {
        return Err(messages::NOT_A_DATETIME);
    };
    time::parse(text).map_err(|error| match error {
        NotATime::Format => messages::NOT_A_DATETIME,
        NotATime::Range => messages::DATETIME_OUT_OF_RANGE,
    })
}

/// DRF's `PrimaryKeyRelatedField`, up to the look-up.
fn foreign_key(key: Key, value: &Value) -> Result<Reference, String> {
    let spelling = python::str(value);
    if let Value::Bool(_) = value {
        return Err(messages::incorrect_pk_type("bool"));
    }
    let key = match key {
        Key::Uuid => KeyValue::Uuid(
            match value {
                Value::String(text) => python::uuid(text),
                Value::Number(number) => number.as_u64().map(|number| Uuid::from_u128(number.into())),
                _ => None,
            }
            .ok_or_else(|| messages::invalid_uuid(&spelling))?,
        ),
        Key::Integer => {
            let number = match value {
                Value::String(text) => python::int(text),
                Value::Number(number) => number.as_i64().map(i128::from),
                _ => None,
            };
            let number = number.ok_or_else(|| messages::incorrect_pk_type(python::type_name(value)))?;
            KeyValue::Integer(i32::try_from(number).map_err(|_| messages::invalid_pk(&spelling))?)
        }
    };
    Ok(Reference { key, spelling })
}

/// A list of nested objects; every one is checked as a POST of its own.
fn objects(fields: Fields, value: &Value, dialect: Dialect) -> Result<Vec<Value>, Rejection> {
    let Value::Array(items) = value else {
        let sentence = messages::expected_list(python::type_name(value));
        return Err(Rejection::Nested(json!({ NON_FIELD_ERRORS: [sentence] })));
    };
    if items.len() > dialect.max_nested {
        let sentence = messages::max_elements(dialect.max_nested);
        return Err(Rejection::Nested(json!({ NON_FIELD_ERRORS: [sentence] })));
    }
    let (mut taken, mut rejected, mut wrong) = (Vec::new(), Vec::new(), false);
    for item in items {
        let (draft, errors) = take(fields, &item.clone().into(), Mode::Create, dialect);
        wrong |= !errors.is_empty();
        rejected.push(errors.into_body(fields));
        taken.push(draft.to_json(fields));
    }
    if wrong { Err(Rejection::Nested(Value::Array(rejected))) } else { Ok(taken) }
}
