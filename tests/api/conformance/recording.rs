//! Recordings and the list of known differences, as they stand in `tests/conformance/`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::comparison::Difference;

/// A recorded exchange, and what was to be done with it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub method: String,
    pub path: String,
    #[serde(default = "admin")]
    pub token: String,
    #[serde(default, deserialize_with = "given")]
    pub json: Option<Value>,
    pub raw: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub save: BTreeMap<String, String>,
    pub only_if: Option<String>,
    pub transform: Option<Transform>,
    pub expect: Option<Recorded>,
}

/// Steps that belong together.
#[derive(Debug, Deserialize)]
pub struct Scenario {
    pub name: String,
    pub steps: Vec<Step>,
}

/// Another spelling of the UUIDs in a path.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transform {
    Upper,
    Nodash,
}

/// An answer, without what differs from one installation to another.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "given")]
    pub json: Option<Value>,
    /// The media type of a body that isn't JSON.
    pub opaque: Option<String>,
    #[serde(default, rename = "empty")]
    pub _empty: bool,
}

fn admin() -> String {
    "admin".to_owned()
}

/// `null` is a body like any other.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A scenario's name and the number of a step.
pub type Place = (String, usize);

/// Where we mean to answer something else.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    pub scenario: String,
    pub step: usize,
    pub kind: String,
    /// The parts of the body that differ, as JSON pointers.
    #[serde(default)]
    pub at: BTreeSet<String>,
    /// Settings make it go away.
    #[serde(default, rename = "settable")]
    pub is_settable: bool,
    pub reason: String,
}

impl Known {
    /// Whether this is the difference that the entry means.
    pub fn covers(&self, difference: &Difference) -> bool {
        self.kind == difference.kind && self.at == difference.at
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        (self.scenario.clone(), self.step)
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// The names of all recordings.
pub fn recordings() -> Vec<String> {
    let files = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let recordings = files.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    recordings.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

/// The scenarios of a recording, in order.
pub fn scenarios(recording: &str) -> Vec<Scenario> {
    let text = std::fs::read_to_string(directory().join(recording)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// All of them, of all recordings.
pub fn known_differences() -> Vec<Known> {
    let text = std::fs::read_to_string(directory().join("known-differences.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}
