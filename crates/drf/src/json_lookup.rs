//! `?attributes=`: a JSON object whose keys are look-ups of Django's `JSONField`, such as
//! `{"team": "blue", "office__floor__gte": 3}`. All have to hold.
//!
//! A key is split at `__`. Its last segment is the look-up if it names one, else the look-up is `exact`; the segments
//! before it lead into the value. The rules are those of Django 5.2 on PostgreSQL; what it finds is the table in
//! `tests/api/attributes/`.

use serde_json::{Map, Value};

use super::{messages, python};

/// One condition on a JSON value.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonLookup {
    /// What is compared.
    pub path: JsonPath,
    /// With what.
    pub test: JsonTest,
}

/// The way into a JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonPath {
    /// The value itself.
    Whole,
    /// An element of it, if it is an array. One integer alone is never a key of an object.
    Element(i32),
    /// Key by key; an integer is also an index where it meets an array.
    Keys(Vec<String>),
}

/// What has to be true of what a path leads to. Where it leads nowhere only [`Self::IsNull`] can be.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonTest {
    /// Compared with this as JSON.
    Compare(Comparison, Value),
    /// Equal to one of these.
    OneOf(Vec<Value>),
    /// Neither below the first nor above the second.
    Between(Value, Value),
    /// An object with this key, or an array with this text.
    HasKey(String),
    /// The same of all of these.
    HasKeys(Vec<String>),
    /// The same of one of these.
    HasAnyKey(Vec<String>),
    /// Its text compared with this one. A string's text is its content, any other value's is its JSON.
    Text {
        /// How.
        comparison: TextComparison,
        /// Whether upper and lower case are the same.
        ignores_case: bool,
        /// The other text.
        text: String,
    },
    /// Whether the path leads nowhere. JSON's `null` is somewhere.
    IsNull(bool),
}

/// How two JSON values are compared. PostgreSQL orders those of different types, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The same value; the order of an object's keys doesn't count.
    Equal,
    /// Smaller.
    Less,
    /// Smaller or the same.
    LessOrEqual,
    /// Greater.
    Greater,
    /// Greater or the same.
    GreaterOrEqual,
    /// Holds all that the other one holds.
    Contains,
    /// Holds nothing that the other one doesn't.
    ContainedBy,
}

/// How a text is compared with another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextComparison {
    /// The same text.
    Equal,
    /// Begins with it.
    StartsWith,
    /// Ends with it.
    EndsWith,
    /// Holds it.
    Contains,
    /// Matches it, a regular expression of PostgreSQL's.
    Regex,
}

/// Read the conditions.
///
/// # Errors
/// A sentence about the first key that makes no sense, or whose value its look-up doesn't take.
pub fn read(object: Map<String, Value>) -> Result<Vec<JsonLookup>, String> {
    object.into_iter().map(|(key, value)| read_one(&key, value)).collect()
}

fn read_one(key: &str, value: Value) -> Result<JsonLookup, String> {
    let mut segments: Vec<&str> = key.split("__").collect();
    let lookup = match segments.last().copied().and_then(Lookup::named) {
        Some(lookup) => {
            segments.pop();
            lookup
        }
        None => Lookup::Exact,
    };
    if let Some(inside) =
        segments.iter().skip(1).find(|segment| Lookup::named(segment).is_some_and(Lookup::ends_a_path))
    {
        return Err(messages::filter_lookup_inside(key, inside));
    }
    let path = match *segments {
        [] => JsonPath::Whole,
        [segment] => match python::int(segment).map(i32::try_from) {
            Some(Ok(index)) => JsonPath::Element(index),
            Some(Err(_)) => return Err(messages::filter_lookup_index(key)),
            None => JsonPath::Keys(vec![segment.to_owned()]),
        },
        _ => JsonPath::Keys(segments.into_iter().map(str::to_owned).collect()),
    };
    let test = lookup.test(value).map_err(|taken| messages::filter_lookup_value(key, taken))?;
    Ok(JsonLookup { path, test })
}

/// The look-ups by Django's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lookup {
    Exact,
    IExact,
    Contains,
    ContainedBy,
    HasKey,
    HasKeys,
    HasAnyKeys,
    StartsWith,
    IStartsWith,
    EndsWith,
    IEndsWith,
    IContains,
    Regex,
    IRegex,
    Lt,
    Lte,
    Gt,
    Gte,
    In,
    Range,
    IsNull,
}

impl Lookup {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "exact" => Self::Exact,
            "iexact" => Self::IExact,
            "contains" => Self::Contains,
            "contained_by" => Self::ContainedBy,
            "has_key" => Self::HasKey,
            "has_keys" => Self::HasKeys,
            "has_any_keys" => Self::HasAnyKeys,
            "startswith" => Self::StartsWith,
            "istartswith" => Self::IStartsWith,
            "endswith" => Self::EndsWith,
            "iendswith" => Self::IEndsWith,
            "icontains" => Self::IContains,
            "regex" => Self::Regex,
            "iregex" => Self::IRegex,
            "lt" => Self::Lt,
            "lte" => Self::Lte,
            "gt" => Self::Gt,
            "gte" => Self::Gte,
            "in" => Self::In,
            "range" => Self::Range,
            "isnull" => Self::IsNull,
            _ => return None,
        })
    }

    /// Whether no path goes on behind it. The names of the others are keys there, and all are as the first segment.
    fn ends_a_path(self) -> bool {
        !matches!(
            self,
            Self::Contains
                | Self::ContainedBy
                | Self::HasKey
                | Self::HasKeys
                | Self::HasAnyKeys
                | Self::Range
        )
    }

    /// What it asks with this value; or what it takes instead.
    fn test(self, value: Value) -> Result<JsonTest, &'static str> {
        const NOT_NULL: &str = "anything but null";
        const TEXT: &str = "a text";
        const LIST: &str = "a list";

        let compare = |comparison, value: Value| match value {
            Value::Null => Err(NOT_NULL),
            value => Ok(JsonTest::Compare(comparison, value)),
        };
        let text = |comparison, ignores_case, value| match (comparison, value) {
            (_, Value::Null) => Err(NOT_NULL),
            (_, Value::String(text)) => Ok(JsonTest::Text { comparison, ignores_case, text }),
            (TextComparison::Equal | TextComparison::Regex, _) => Err(TEXT),
            (_, value) => Ok(JsonTest::Text { comparison, ignores_case, text: python::str(&value) }),
        };
        let list = |value| match value {
            Value::Array(items) => Ok(items),
            _ => Err(LIST),
        };
        let keys = |value| list(value).map(|items| items.iter().map(python::str).collect());
        match self {
            Self::Exact => Ok(JsonTest::Compare(Comparison::Equal, value)),
            Self::Lt => compare(Comparison::Less, value),
            Self::Lte => compare(Comparison::LessOrEqual, value),
            Self::Gt => compare(Comparison::Greater, value),
            Self::Gte => compare(Comparison::GreaterOrEqual, value),
            Self::Contains => compare(Comparison::Contains, value),
            Self::ContainedBy => compare(Comparison::ContainedBy, value),
            // Django drops null from the list: nothing in SQL equals NULL.
            Self::In => {
                Ok(JsonTest::OneOf(list(value)?.into_iter().filter(|item| !item.is_null()).collect()))
            }
            Self::Range => match list(value).map(<[Value; 2]>::try_from) {
                Ok(Ok([from, to])) => Ok(JsonTest::Between(from, to)),
                _ => Err("a list of two"),
            },
            Self::HasKey => match value {
                Value::String(key) => Ok(JsonTest::HasKey(key)),
                _ => Err(TEXT),
            },
            Self::HasKeys => Ok(JsonTest::HasKeys(keys(value)?)),
            Self::HasAnyKeys => Ok(JsonTest::HasAnyKey(keys(value)?)),
            Self::IExact if value.is_null() => Ok(JsonTest::IsNull(true)),
            Self::IExact => text(TextComparison::Equal, true, value),
            Self::StartsWith => text(TextComparison::StartsWith, false, value),
            Self::IStartsWith => text(TextComparison::StartsWith, true, value),
            Self::EndsWith => text(TextComparison::EndsWith, false, value),
            Self::IEndsWith => text(TextComparison::EndsWith, true, value),
            Self::IContains => text(TextComparison::Contains, true, value),
            Self::Regex => text(TextComparison::Regex, false, value),
            Self::IRegex => text(TextComparison::Regex, true, value),
            Self::IsNull => value.as_bool().map(JsonTest::IsNull).ok_or("true or false"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn read_object(object: Value) -> Result<Vec<JsonLookup>, String> {
        match object {
            Value::Object(map) => read(map),
            other => panic!("{other} is no object"),
        }
    }

    fn keys(keys: &[&str]) -> JsonPath {
        JsonPath::Keys(keys.iter().map(|key| (*key).to_owned()).collect())
    }

    #[rstest]
    #[case("team", keys(&["team"]))]
    #[case("team__exact", keys(&["team"]))]
    #[case("", keys(&[""]))]
    #[case("_k", keys(&["_k"]))]
    #[case("n__k", keys(&["n", "k"]))]
    #[case("n___k", keys(&["n", "_k"]))]
    #[case("n____k", keys(&["n", "", "k"]))]
    #[case("n__", keys(&["n", ""]))]
    #[case("list__0", keys(&["list", "0"]))]
    #[case("0", JsonPath::Element(0))]
    #[case(" -1_0 ", JsonPath::Element(-10))]
    #[case("exact", JsonPath::Whole)]
    #[case("exact__k", keys(&["exact", "k"]))]
    #[case("exact__exact", keys(&["exact"]))]
    #[case("n__contains__k", keys(&["n", "contains", "k"]))]
    #[case("n__no_such_lookup", keys(&["n", "no_such_lookup"]))]
    fn splits_keys(#[case] key: &str, #[case] path: JsonPath) {
        let test = JsonTest::Compare(Comparison::Equal, json!(1));
        assert_eq!(read_object(json!({ key: 1 })).unwrap(), [JsonLookup { path, test }]);
    }

    #[rstest]
    #[case("lt", json!([1]), JsonTest::Compare(Comparison::Less, json!([1])))]
    #[case("exact", json!(null), JsonTest::Compare(Comparison::Equal, json!(null)))]
    #[case("iexact", json!(null), JsonTest::IsNull(true))]
    #[case("isnull", json!(false), JsonTest::IsNull(false))]
    #[case("in", json!([1, null]), JsonTest::OneOf(vec![json!(1)]))]
    #[case("range", json!([1, null]), JsonTest::Between(json!(1), json!(null)))]
    #[case("has_keys", json!(["a", 1, true]), JsonTest::HasKeys(vec!["a".into(), "1".into(), "True".into()]))]
    fn reads_values(#[case] lookup: &str, #[case] value: Value, #[case] test: JsonTest) {
        let expected = JsonLookup { path: keys(&["k"]), test };
        assert_eq!(read_object(json!({ format!("k__{lookup}"): value })).unwrap(), [expected]);
    }

    #[rstest]
    #[case("startswith", TextComparison::StartsWith, false)]
    #[case("iendswith", TextComparison::EndsWith, true)]
    #[case("icontains", TextComparison::Contains, true)]
    fn reads_texts_as_python_prints_them(
        #[case] lookup: &str,
        #[case] comparison: TextComparison,
        #[case] ignores_case: bool,
    ) {
        for (value, text) in [(json!("a%"), "a%"), (json!(1.0), "1.0"), (json!(true), "True")] {
            let test = JsonTest::Text { comparison, ignores_case, text: text.to_owned() };
            let expected = JsonLookup { path: keys(&["k"]), test };
            assert_eq!(read_object(json!({ format!("k__{lookup}"): value })).unwrap(), [expected]);
        }
    }

    #[rstest]
    #[case(json!({ "k__isnull": "x" }), "filter: k__isnull takes true or false")]
    #[case(json!({ "k__isnull": null }), "filter: k__isnull takes true or false")]
    #[case(json!({ "k__isnull": 1 }), "filter: k__isnull takes true or false")]
    #[case(json!({ "k__gt": null }), "filter: k__gt takes anything but null")]
    #[case(json!({ "k__contains": null }), "filter: k__contains takes anything but null")]
    #[case(json!({ "icontains": null }), "filter: icontains takes anything but null")]
    #[case(json!({ "k__in": 1 }), "filter: k__in takes a list")]
    #[case(json!({ "k__in": "ab" }), "filter: k__in takes a list")]
    #[case(json!({ "k__has_keys": { "a": 1 } }), "filter: k__has_keys takes a list")]
    #[case(json!({ "k__range": [1, 2, 3] }), "filter: k__range takes a list of two")]
    #[case(json!({ "k__range": 1 }), "filter: k__range takes a list of two")]
    #[case(json!({ "k__has_key": 1 }), "filter: k__has_key takes a text")]
    #[case(json!({ "k__iexact": 1 }), "filter: k__iexact takes a text")]
    #[case(json!({ "k__regex": ["a"] }), "filter: k__regex takes a text")]
    #[case(json!({ "k__exact__a": 1 }), "filter: k__exact__a goes on behind the lookup exact")]
    #[case(json!({ "k__gt__isnull": true }), "filter: k__gt__isnull goes on behind the lookup gt")]
    #[case(json!({ "2147483648": 1 }), "filter: 2147483648 is too large for an index")]
    #[case(json!({ "fine": 1, "k__in": 1 }), "filter: k__in takes a list")]
    fn refuses(#[case] object: Value, #[case] sentence: &str) {
        assert_eq!(read_object(object).unwrap_err(), sentence);
    }
}
