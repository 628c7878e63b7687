//! What stands for what differs from one installation to another: keys that a step saved, other UUIDs, times.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Map, Value, json};

use super::recording::{Recorded, Step, Transform};
use super::{COMPARED_HEADERS, REMEMBERED};
use crate::support::Answer;

static UUID: LazyLock<Regex> =
    LazyLock::new(|| regex("(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"));
static TIME: LazyLock<Regex> =
    LazyLock::new(|| regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"));
static HEX64: LazyLock<Regex> = LazyLock::new(|| regex(r"\b[0-9a-f]{64}\b"));
static CREATOR: LazyLock<Regex> = LazyLock::new(|| regex(r"created by \d+"));
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| regex(r"\{\{(\w+)\}\}"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap()
}

/// What the earlier steps of a scenario leave for the later ones.
#[derive(Default)]
pub struct Memory {
    /// Values by the names that the scenario gives them.
    pub saved: Map<String, Value>,
    requests: String,
}

impl Step {
    /// The path as it is sent.
    pub fn path_with(&self, saved: &Map<String, Value>) -> String {
        let path = filled_in(&self.path, saved);
        let respell = |spell: fn(&str) -> String| {
            UUID.replace_all(&path, |uuid: &Captures<'_>| spell(&uuid[0])).into_owned()
        };
        quoted(&match self.transform {
            None => path,
            Some(Transform::Upper) => respell(str::to_uppercase),
            Some(Transform::Nodash) => respell(|uuid| uuid.replace('-', "")),
        })
    }
}

impl Memory {
    /// Keep what the step saves, and give the answer in the recording's form.
    pub fn take_in(&mut self, step: &Step, answer: &Answer) -> Recorded {
        let request = step.json.as_ref().map(Value::to_string).unwrap_or_default()
            + step.raw.as_deref().unwrap_or_default()
            + &step.path_with(&self.saved);
        let remembered: String = request.chars().take(REMEMBERED).collect();
        let requests = request + &self.requests;
        self.requests += &remembered;

        let is_json = !answer.body.is_empty() && answer.media_type().contains("json");
        let body = is_json.then(|| answer.json());
        if let Some(Value::Object(body)) = body.as_ref().filter(|_| (200..300).contains(&answer.status)) {
            let values =
                step.save.iter().filter_map(|(name, key)| Some((name.clone(), body.get(key)?.clone())));
            self.saved.extend(values);
        }
        let header = |name: &str| {
            let value = if name == "content-type" { Some(answer.media_type()) } else { answer.header(name) };
            value.filter(|value| !value.is_empty()).map(|value| (name.to_owned(), value.to_owned()))
        };
        let is_opaque = !answer.body.is_empty() && !is_json;
        Recorded {
            status: answer.status,
            headers: COMPARED_HEADERS.into_iter().filter_map(header).collect(),
            json: body.map(|body| self.normalised(&body, &requests, None)),
            opaque: is_opaque.then(|| answer.media_type().to_owned()),
            _empty: answer.body.is_empty(),
        }
    }

    /// Names for what differs from server to server.
    fn normalised(&self, value: &Value, requests: &str, key: Option<&str>) -> Value {
        match value {
            Value::Object(map) => map
                .iter()
                .map(|(key, item)| (key.clone(), self.normalised(item, requests, Some(key))))
                .collect(),
            Value::Array(items) => items.iter().map(|item| self.normalised(item, requests, None)).collect(),
            Value::String(text) => json!(self.normalised_text(text, requests)),
            Value::Number(number) if key == Some("pk") && !number.is_f64() => json!("{{int}}"),
            other => other.clone(),
        }
    }

    fn normalised_text(&self, text: &str, requests: &str) -> String {
        let mut text = text.to_owned();
        for (name, saved) in &self.saved {
            if let Some(saved) = saved.as_str().filter(|saved| is_uuid(saved)) {
                text = text.replace(saved, &format!("{{{{{name}}}}}"));
            }
        }
        let unless_requested = |found: &str, echo: &str, name: &str| {
            if requests.contains(echo) { found.to_owned() } else { name.to_owned() }
        };
        let text = UUID.replace_all(&text, |c: &Captures<'_>| unless_requested(&c[0], &c[0], "{{uuid}}"));
        let text =
            TIME.replace_all(&text, |c: &Captures<'_>| unless_requested(&c[0], &c[0][..19], "{{datetime}}"));
        let text = HEX64.replace_all(&text, "{{hex64}}");
        CREATOR.replace_all(&text, "created by {{user}}").into_owned()
    }
}

fn is_uuid(text: &str) -> bool {
    UUID.find(text).is_some_and(|found| found.len() == text.len())
}

/// Saved values in place of `{{name}}`.
fn filled_in(text: &str, saved: &Map<String, Value>) -> String {
    let value = |variable: &Captures<'_>| match saved.get(&variable[1]) {
        None => variable[0].to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    VARIABLE.replace_all(text, value).into_owned()
}

/// The same for every text of a body.
pub fn substituted(value: &Value, saved: &Map<String, Value>) -> Value {
    match value {
        Value::String(text) => json!(filled_in(text, saved)),
        Value::Array(items) => items.iter().map(|item| substituted(item, saved)).collect(),
        Value::Object(map) => map.iter().map(|(key, item)| (key.clone(), substituted(item, saved))).collect(),
        other => other.clone(),
    }
}

/// A path as a client puts it on the wire.
fn quoted(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/?&=%:+,;@~-._!$'()*[]".contains(&byte);
    path.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
