//! Whether two answers are the same, and where they are not.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::recording::Recorded;
use super::{COMPARED_HEADERS, EXTRA_KEYS};
use crate::support::Answer;

/// A list whose order authentik doesn't fix.
struct Unordered {
    /// How the paths of the requests end that are answered with it.
    path: &'static str,
    /// Where it stands in the answer, as a JSON pointer.
    at: &'static str,
    /// The rows that change places among themselves: those with this value of a key, or all.
    rows: Option<(&'static str, &'static str)>,
}

/// All of them, with the reason. Every other list has to come in the recorded order.
const UNORDERED: [Unordered; 2] = [
    // A set in authentik: another order with each of its processes.
    Unordered { path: "/core/users/me/", at: "/user/system_permissions", rows: None },
    // By the key of the binding's flow, which is drawn at random, and only then by `order`. That ours are sorted so is
    // tested in `used_by.rs`.
    Unordered { path: "/used_by/", at: "", rows: Some(("model_name", "flowstagebinding")) },
];

/// How an answer of ours differs from authentik's.
pub struct Difference {
    /// `status`, `body`, `order`, `header …` or `server error`.
    pub kind: String,
    /// The parts of the body that differ, as JSON pointers.
    pub at: BTreeSet<String>,
    /// See [`is_a_tie`].
    pub is_a_tie: bool,
    pub description: String,
}

impl Difference {
    /// `ours` is `answer` in the form of the recording.
    pub fn between(theirs: &Recorded, ours: &Recorded, path: &str, answer: &Answer) -> Option<Self> {
        let kind = kind(path, theirs, ours)?;
        Some(Self {
            at: if kind == "body" { differing_parts(path, theirs, ours) } else { BTreeSet::new() },
            is_a_tie: kind == "order" && is_a_tie(path, theirs, ours, answer),
            description: format!("{kind}\n  authentik {}\n  ours      {answer}", theirs.describe()),
            kind,
        })
    }
}

impl Recorded {
    /// Whether authentik failed: a 5xx, or the bare 405 of its error page. Then any answer but a failure is right.
    fn failed(&self) -> bool {
        self.status >= 500 || (self.status == 405 && self.json.is_none())
    }

    fn describe(&self) -> String {
        let body = self.json.as_ref().map(Value::to_string).unwrap_or_default();
        format!("{} {:?} {}", self.status, self.headers, body.chars().take(2000).collect::<String>())
    }
}

/// The kind of difference between two answers.
fn kind(path: &str, theirs: &Recorded, ours: &Recorded) -> Option<String> {
    if theirs.failed() {
        return (ours.status >= 500).then(|| "server error".to_owned());
    }
    if theirs.status != ours.status {
        return Some("status".to_owned());
    }
    if theirs.opaque.is_some() {
        return None;
    }
    let (wanted, found) = bodies(path, theirs, ours);
    if wanted != found {
        let is_order = sorted_rows(wanted) == sorted_rows(found);
        return Some(if is_order { "order" } else { "body" }.to_owned());
    }
    let differs = |name: &str| {
        let (theirs, ours) = (theirs.headers.get(name), ours.headers.get(name));
        theirs != ours && (name != "allow" || methods(theirs) != methods(ours))
    };
    COMPARED_HEADERS.into_iter().find(|name| differs(name)).map(|name| format!("header {name}"))
}

fn methods(allow: Option<&String>) -> BTreeSet<&str> {
    allow.map(|allow| allow.split(", ").collect()).unwrap_or_default()
}

/// Both bodies in canonical form; ours without the keys of other versions.
fn bodies(path: &str, theirs: &Recorded, ours: &Recorded) -> (Value, Value) {
    let recorded = theirs.json.clone().unwrap_or_default();
    let text = recorded.to_string();
    let extra: Vec<_> = EXTRA_KEYS.into_iter().filter(|key| !text.contains(&format!("\"{key}\":"))).collect();
    let ours = without(ours.json.clone().unwrap_or_default(), &extra);
    let comparable = |body| without_chance(path, canonical(body, None));
    (comparable(recorded), comparable(ours))
}

/// Where two bodies differ.
fn differing_parts(path: &str, theirs: &Recorded, ours: &Recorded) -> BTreeSet<String> {
    fn walk(wanted: &Value, found: &Value, at: &str, parts: &mut BTreeSet<String>) {
        match (wanted, found) {
            (Value::Object(wanted), Value::Object(found)) => {
                let keys: BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
                for key in keys {
                    let item =
                        |map: &Map<String, Value>| map.get(key).cloned().unwrap_or(json!("{{absent}}"));
                    walk(&item(wanted), &item(found), &format!("{at}/{key}"), parts);
                }
            }
            (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
                for (index, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                    walk(wanted, found, &format!("{at}/{index}"), parts);
                }
            }
            (wanted, found) if wanted != found => {
                parts.insert(at.to_owned());
            }
            _ => {}
        }
    }
    let ((wanted, found), mut parts) = (bodies(path, theirs, ours), BTreeSet::new());
    walk(&wanted, &found, "", &mut parts);
    parts
}

/// Sorts what is [`UNORDERED`].
fn without_chance(path: &str, mut body: Value) -> Value {
    let path = path.split('?').next().unwrap_or_default();
    for list in UNORDERED.iter().filter(|list| path.ends_with(list.path)) {
        let Some(Value::Array(rows)) = body.pointer_mut(list.at) else { continue };
        let moves = |row: &&mut Value| list.rows.is_none_or(|(key, value)| row[key] == value);
        let mut moving: Vec<_> = rows.iter_mut().filter(moves).collect();
        let mut sorted: Vec<Value> = moving.iter().map(|row| (**row).clone()).collect();
        sorted.sort_by_cached_key(sorting_text);
        for (place, row) in moving.iter_mut().zip(sorted) {
            **place = row;
        }
    }
    body
}

/// Masks what belongs to one installation.
fn canonical(value: Value, key: Option<&str>) -> Value {
    match (key, value) {
        (Some("autocomplete"), _) => json!({}),
        (Some("num_pk"), Value::Number(_)) => json!("{{int}}"),
        (Some("avatar"), _) => json!("{{avatar}}"),
        (_, Value::String(text)) => match text.split_once("token=eyJ") {
            Some((before, _)) => json!(format!("{before}token={{{{jwt}}}}")),
            None => Value::String(text),
        },
        (_, Value::Object(map)) => map
            .into_iter()
            .map(|(key, item)| {
                let item = canonical(item, Some(&key));
                (key, item)
            })
            .collect(),
        (_, Value::Array(items)) => items.into_iter().map(|item| canonical(item, key)).collect(),
        (_, other) => other,
    }
}

fn without(value: Value, keys: &[&str]) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(key, _)| !keys.contains(&key.as_str()))
            .map(|(key, item)| (key, without(item, keys)))
            .collect(),
        Value::Array(items) => items.into_iter().map(|item| without(item, keys)).collect(),
        other => other,
    }
}

fn sorted_rows(mut body: Value) -> Value {
    if let Some(Value::Array(rows)) = body.get_mut("results") {
        rows.sort_by_cached_key(sorting_text);
    }
    body
}

/// JSON text that doesn't depend on the order of keys.
fn sorting_text(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string()
}

/// Whether a page differs from the recorded one only where the sort keys are equal, which authentik leaves to the
/// database: the rows are the same, and so is the sequence of the values that the query orders by. Keys (`pk`) are drawn
/// at random, so for them our rows have to be sorted in themselves.
fn is_a_tie(path: &str, theirs: &Recorded, ours: &Recorded, answer: &Answer) -> bool {
    let Some(ordering) = path.split(['?', '&']).find_map(|parameter| parameter.strip_prefix("ordering="))
    else {
        return false;
    };
    let (wanted, found) = bodies(path, theirs, ours);
    let keys = |body: &Value, name: &str| -> Option<Vec<Value>> {
        body["results"].as_array()?.iter().map(|row| row.get(name).cloned()).collect()
    };
    ordering.split(',').all(|term| match term {
        "pk" => answer.column("pk").is_sorted_by_key(ToString::to_string),
        "-pk" => answer.column("pk").iter().rev().is_sorted_by_key(ToString::to_string),
        term => {
            let name = term.trim_start_matches('-');
            keys(&wanted, name).is_some() && keys(&wanted, name) == keys(&found, name)
        }
    })
}
