//! What `!Enumerate` goes through and makes, and `!AtIndex` picks from.

use serde_json::{Map, Value};

/// Index and value of each item: of a list by number, of a mapping by key, of a text by character.
///
/// # Errors
/// Nothing goes through it.
pub fn items(value: Value) -> Result<Vec<(Value, Value)>, String> {
    Ok(match value {
        Value::Array(items) => numbered(items.into_iter()),
        Value::Object(map) => map.into_iter().map(|(key, value)| (Value::String(key), value)).collect(),
        Value::String(text) => numbered(text.chars().map(|character| Value::String(character.into()))),
        _ => return Err("it goes through a list, a mapping or a text".to_owned()),
    })
}

fn numbered(items: impl Iterator<Item = Value>) -> Vec<(Value, Value)> {
    items.enumerate().map(|(index, value)| (Value::from(index), value)).collect()
}

/// What `!Enumerate` makes.
#[derive(Debug)]
pub enum Output {
    /// A list.
    Sequence(Vec<Value>),
    /// A mapping.
    Mapping(Map<String, Value>),
}

impl Output {
    /// An empty one, by the name of its kind.
    pub fn of(kind: &str) -> Option<Self> {
        match kind.to_uppercase().as_str() {
            "SEQ" => Some(Self::Sequence(Vec::new())),
            "MAP" => Some(Self::Mapping(Map::new())),
            _ => None,
        }
    }

    /// Add an item: to a mapping a pair of a key and a value, or a mapping.
    ///
    /// # Errors
    /// It is neither.
    pub fn add(&mut self, item: Value) -> Result<(), String> {
        match (self, item) {
            (Self::Sequence(items), item) => items.push(item),
            (Self::Mapping(map), Value::Object(more)) => merge(map, more),
            (Self::Mapping(map), Value::Array(pair)) => {
                let Ok([key, value]) = <[Value; 2]>::try_from(pair) else {
                    return Err("an item of a mapping must be a pair".to_owned());
                };
                let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                merge(map, Map::from_iter([(key, value)]));
            }
            (Self::Mapping(_), _) => return Err("an item of a mapping must be a pair".to_owned()),
        }
        Ok(())
    }

    /// All of it.
    pub fn into_value(self) -> Value {
        match self {
            Self::Sequence(items) => Value::Array(items),
            Self::Mapping(map) => Value::Object(map),
        }
    }
}

/// Put one mapping over another one: mappings go into mappings, lists behind lists, and all else takes a place.
pub fn merge(map: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (map.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (Some(Value::Array(old)), Value::Array(new)) => old.extend(new),
            (_, value) => {
                map.insert(key, value);
            }
        }
    }
}

/// `!AtIndex`: what a list or a mapping has at an index, or a default.
///
/// # Errors
/// It has nothing there, and there is no default; or it is neither.
pub fn at_index(values: &[Value]) -> Result<Value, String> {
    let (holder, index, default) = match values {
        [holder, index] => (holder, index, None),
        [holder, index, default] => (holder, index, Some(default)),
        _ => return Err("it takes a list or a mapping, an index, and perhaps a default".to_owned()),
    };
    let found = match (holder, index) {
        (Value::Array(items), Value::Number(number)) => number.as_i64().and_then(|number| {
            let place = if number < 0 { number + i64::try_from(items.len()).ok()? } else { number };
            items.get(usize::try_from(place).ok()?)
        }),
        (Value::Object(map), Value::String(key)) => map.get(key),
        (Value::Object(map), Value::Number(key)) => map.get(&key.to_string()),
        (Value::Array(_), _) => return Err("the index of a list must be a number".to_owned()),
        _ => return Err("it takes a list or a mapping".to_owned()),
    };
    found.or(default).cloned().ok_or_else(|| format!("there is nothing at {index}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!([["a", "b"], 0]), Ok(json!("a")))]
    #[case(json!([["a", "b"], -1]), Ok(json!("b")))]
    #[case(json!([{ "foo": "bar" }, "foo"]), Ok(json!("bar")))]
    #[case(json!([["a"], 100, "default"]), Ok(json!("default")))]
    #[case(json!([["a"], 100]), Err("there is nothing at 100"))]
    #[case(json!([["a"], "x", 1]), Err("the index of a list must be a number"))]
    #[case(json!(["a", 0]), Err("it takes a list or a mapping"))]
    fn an_index_picks(#[case] values: Value, #[case] expected: Result<Value, &str>) {
        assert_eq!(at_index(values.as_array().unwrap()), expected.map_err(str::to_owned));
    }

    #[test]
    fn mappings_are_made_of_pairs_and_mappings() {
        let mut output = Output::of("map").unwrap();
        for item in [json!([0, ["a"]]), json!({ "0": ["b"], "x": { "y": 1 } }), json!({ "x": { "z": 2 } })] {
            output.add(item).unwrap();
        }
        assert!(output.add(json!("a")).is_err() && output.add(json!([1])).is_err());
        assert_eq!(output.into_value(), json!({ "0": ["a", "b"], "x": { "y": 1, "z": 2 } }));
    }

    #[test]
    fn characters_are_items() {
        assert_eq!(items(json!("äb")).unwrap(), [(json!(0), json!("ä")), (json!(1), json!("b"))]);
        assert!(items(json!(5)).is_err());
    }
}
