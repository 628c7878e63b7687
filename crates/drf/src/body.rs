//! [`Body`]: a request's body, parsed as far as its fields are looked into. The dictionaries in it stay text, and what no
//! field takes is checked and dropped: as a tree, 2.5 MB of JSON would take 200 MB. Objects inside it that have
//! dictionaries of their own are bodies, too.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::field::{FieldKind, Fields};
use super::json;
use super::transcode::Printer;

/// Values, in lists and nested objects, that a body may have beside its dictionaries.
const MAX_VALUES: usize = 100_000;
/// Bytes that a dictionary may have with every digit of its numbers written out, as `jsonb` does.
const MAX_WRITTEN_OUT: usize = 8 * 1024 * 1024;
/// The sentence for more than [`MAX_VALUES`].
pub(crate) const TOO_MANY_VALUES: &str = "more than 100000 values in lists and nested objects";
/// The sentence for more than [`MAX_WRITTEN_OUT`].
pub(crate) const NUMBERS_TOO_LONG: &str = "numbers take more than 8388608 bytes with every digit written out";

/// A body.
#[derive(Debug, Default, Clone)]
pub struct Body {
    /// The body as JSON. A dictionary is `{}` here; its text stands beside.
    pub value: Value,
    texts: HashMap<String, Text>,
    /// The objects of fields that take objects with dictionaries. In `value` stands an empty list or object for them.
    bodies: HashMap<String, Vec<Body>>,
}

/// The text of a dictionary.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    /// Without blanks, numbers and strings as answers show them.
    pub(crate) text: String,
    pub(crate) holds_nul: bool,
}

impl From<Value> for Body {
    /// One without dictionaries.
    fn from(value: Value) -> Self {
        Self { value, ..Self::default() }
    }
}

impl Body {
    /// Parse a request body for these fields.
    ///
    /// # Errors
    /// As [`json::parse`]; and our own sentences for one that has too many values, or numbers too long to be stored.
    pub fn parse(bytes: &[u8], fields: Fields) -> Result<Self, String> {
        let (mut kept, left) = (Kept::default(), Cell::new(MAX_VALUES));
        let value = json::read(bytes, Part { keep: Keep::Whole(fields, &mut kept), left: &left })?;
        Ok(kept.with(value))
    }

    /// Take out the objects of a field that takes objects with dictionaries; none for what isn't a list, or an object where
    /// the field takes one.
    pub fn take_bodies(&mut self, name: &str) -> Option<Vec<Self>> {
        self.bodies.remove(name)
    }

    /// The text of a dictionary in it.
    pub(crate) fn text(&self, name: &str) -> Option<&Text> {
        self.texts.get(name)
    }
}

/// What stands beside the tree of a body.
#[derive(Default)]
struct Kept {
    texts: HashMap<String, Text>,
    bodies: HashMap<String, Vec<Body>>,
}

impl Kept {
    fn with(self, value: Value) -> Body {
        Body { value, texts: self.texts, bodies: self.bodies }
    }
}

/// How much of a value is kept.
enum Keep<'a> {
    /// It is a body: what becomes of its entries follows from the fields.
    Whole(Fields, &'a mut Kept),
    /// It is a list of bodies.
    Bodies(Fields, &'a mut Option<Vec<Body>>),
    /// It is one.
    Body(Fields, &'a mut Option<Vec<Body>>),
    /// All of it.
    Tree,
    /// The text, if it is an object.
    Dictionary(&'a mut Option<Text>),
    /// A list or object is only told from other values.
    Hollow,
}

/// A value of the body.
struct Part<'a> {
    keep: Keep<'a>,
    /// How many values may still come.
    left: &'a Cell<usize>,
}

impl Part<'_> {
    fn count<E: Error>(&self) -> Result<(), E> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| E::custom(TOO_MANY_VALUES))?;
        self.left.set(left);
        Ok(())
    }

    /// For what stands inside a list or an object that is kept.
    fn inner(&self) -> Part<'_> {
        Part { keep: Keep::Tree, left: self.left }
    }
}

/// What is kept of the entry of a body.
fn keep<'a>(
    fields: Fields,
    name: &str,
    text: &'a mut Option<Text>,
    bodies: &'a mut Option<Vec<Body>>,
) -> Keep<'a> {
    let has_dictionary =
        |fields: Fields| fields.iter().any(|field| matches!(field.kind, FieldKind::Dictionary));
    match fields.get(name).map(|field| field.kind) {
        Some(FieldKind::Dictionary) => Keep::Dictionary(text),
        Some(FieldKind::Nested { fields, many: true, .. }) if has_dictionary(fields) => {
            Keep::Bodies(fields, bodies)
        }
        Some(FieldKind::Nested { fields, many: false, .. }) if has_dictionary(fields) => {
            Keep::Body(fields, bodies)
        }
        // Their items count, or are told in the refusal.
        Some(
            FieldKind::List
            | FieldKind::Texts
            | FieldKind::Many(..)
            | FieldKind::Nested { .. }
            | FieldKind::ForeignKey(_)
            | FieldKind::Choice(_),
        ) => Keep::Tree,
        _ => Keep::Hollow,
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, boolean: bool) -> Result<Value, E> {
        Ok(Value::Bool(boolean))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        if let Keep::Bodies(fields, bodies) = self.keep {
            *bodies = Some(read_bodies(items, fields, self.left)?);
            return Ok(Value::Array(kept));
        }
        if !matches!(self.keep, Keep::Tree) {
            Printer::looking().items(items)?;
            return Ok(Value::Array(kept));
        }
        while let Some(item) = items.next_element_seed(self.inner())? {
            self.count()?;
            kept.push(item);
        }
        Ok(Value::Array(kept))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        match &mut self.keep {
            Keep::Hollow | Keep::Bodies(..) => Printer::looking().entries(entries)?,
            Keep::Dictionary(text) => {
                let mut printer = Printer::keeping();
                printer.entries(entries)?;
                if printer.length_in_jsonb() > MAX_WRITTEN_OUT {
                    return Err(Error::custom(NUMBERS_TOO_LONG));
                }
                **text = Some(Text { holds_nul: printer.holds_nul, text: printer.into_text() });
            }
            Keep::Tree => {
                while let Some(name) = entries.next_key::<String>()? {
                    self.count()?;
                    kept.insert(name, entries.next_value_seed(self.inner())?);
                }
            }
            Keep::Whole(fields, beside) => kept = whole(entries, *fields, beside, self.left)?,
            Keep::Body(fields, bodies) => {
                let mut beside = Kept::default();
                let value = Value::Object(whole(entries, *fields, &mut beside, self.left)?);
                **bodies = Some(vec![beside.with(value)]);
            }
        }
        Ok(Value::Object(kept))
    }
}

/// The entries of a body.
fn whole<'de, A: MapAccess<'de>>(
    mut entries: A,
    fields: Fields,
    beside: &mut Kept,
    left: &Cell<usize>,
) -> Result<Map<String, Value>, A::Error> {
    let mut kept = Map::new();
    while let Some(name) = entries.next_key::<String>()? {
        let (mut text, mut bodies) = (None, None);
        let part = Part { keep: keep(fields, &name, &mut text, &mut bodies), left };
        let value = entries.next_value_seed(part)?;
        left.set(left.get().saturating_sub(1));
        // Of two that have the same name the later one counts.
        match text {
            Some(text) => beside.texts.insert(name.clone(), text),
            None => beside.texts.remove(&name),
        };
        match bodies {
            Some(bodies) => beside.bodies.insert(name.clone(), bodies),
            None => beside.bodies.remove(&name),
        };
        kept.insert(name, value);
    }
    Ok(kept)
}

/// The items of a list, each a body.
fn read_bodies<'de, A: SeqAccess<'de>>(
    mut items: A,
    fields: Fields,
    left: &Cell<usize>,
) -> Result<Vec<Body>, A::Error> {
    let mut bodies = Vec::new();
    loop {
        let mut beside = Kept::default();
        let part = Part { keep: Keep::Whole(fields, &mut beside), left };
        let Some(value) = items.next_element_seed(part)? else { return Ok(bodies) };
        Part { keep: Keep::Tree, left }.count()?;
        bodies.push(beside.with(value));
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::super::field::Field;
    use super::*;

    const FIELDS: Fields = Fields::new(&[Field::text("name"), Field::dictionary("data")]);

    #[rstest]
    #[case::blanks(r#"{ "a" : [ 1 , null, true ], "b": {} }"#, r#"{"a":[1,null,true],"b":{}}"#)]
    #[case::numbers(
        r#"{"a": [1.10, 1E2, -0, 18446744073709551616, 1e308]}"#,
        r#"{"a":[1.1,100.0,-0.0,1.8446744073709552e+19,1e+308]}"#
    )]
    #[case::strings(r#"{"\u00e4\/": "\u0007\n\ud83d\ude00"}"#, "{\"ä/\":\"\\u0007\\n😀\"}")]
    fn a_dictionary_is_printed_as_its_tree_would_be(#[case] data: &str, #[case] expected: &str) {
        let body = Body::parse(format!(r#"{{"name": "x", "data": {data}}}"#).as_bytes(), FIELDS).unwrap();
        assert_eq!(body.text("data").unwrap().text, expected);
        assert_eq!(json::parse(data.as_bytes()).unwrap().to_string(), expected);
        assert_eq!(body.value, json!({ "name": "x", "data": {} }));
    }

    #[test]
    fn the_later_of_two_counts() {
        let body = Body::parse(br#"{"data": {"a": 1}, "data": [1]}"#, FIELDS).unwrap();
        assert!(body.text("data").is_none());
        assert_eq!(body.value, json!({ "data": [] }));
    }

    #[test]
    fn objects_with_dictionaries_are_bodies() {
        const HOLDER: Fields = Fields::new(&[
            Field::nested_list("many", "Item", FIELDS),
            Field::nested_object("one", "Item", FIELDS),
        ]);
        let bytes = br#"{"many": [{"name": "x", "data": {"a": 1.0}}, 5, {}], "one": {"data": {"b": [2]}}}"#;
        let mut body = Body::parse(bytes, HOLDER).unwrap();
        assert_eq!(body.value, json!({ "many": [], "one": {} }));
        let many = body.take_bodies("many").unwrap();
        let values: Vec<_> = many.iter().map(|body| body.value.clone()).collect();
        assert_eq!(values, [json!({ "name": "x", "data": {} }), json!(5), json!({})]);
        assert_eq!(many[0].text("data").unwrap().text, r#"{"a":1.0}"#);
        let one = body.take_bodies("one").unwrap();
        assert_eq!(one[0].text("data").unwrap().text, r#"{"b":[2]}"#);

        let mut other = Body::parse(br#"{"many": {"a": 1}, "one": [1]}"#, HOLDER).unwrap();
        assert!(other.take_bodies("many").is_none() && other.take_bodies("one").is_none());
        let items = format!(r#"{{"many": [{}{{}}]}}"#, "{},".repeat(MAX_VALUES));
        assert!(Body::parse(items.as_bytes(), HOLDER).unwrap_err().starts_with(TOO_MANY_VALUES));
    }

    #[test]
    fn what_no_field_takes_is_checked_and_dropped() {
        let body = Body::parse(br#"{"other": [1, 2], "parent": "x"}"#, FIELDS).unwrap();
        assert_eq!(body.value, json!({ "other": [], "parent": "x" }));
        for wrong in
            [&br#"{"other": [1e999]}"#[..], br#"{"data": {"a": "\ud800"}}"#, br#"{"data": {"a":1,}}"#]
        {
            assert_eq!(Body::parse(wrong, FIELDS).unwrap_err(), json::parse(wrong).unwrap_err());
        }
    }

    #[test]
    fn numbers_count_as_jsonb_writes_them() {
        let body = |numbers: usize| format!(r#"{{"data": {{"a": [1{}]}}}}"#, ",1e308".repeat(numbers));
        assert!(Body::parse(body(20_000).as_bytes(), FIELDS).is_ok());
        let error = Body::parse(body(40_000).as_bytes(), FIELDS).unwrap_err();
        assert!(error.starts_with(NUMBERS_TOO_LONG), "{error}");
    }
}
