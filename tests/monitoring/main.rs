//! What `docs/monitoring` reads is what the server shows, and `docs/OPERATIONS.md` lists it. `run` beside this tries it out.

#![expect(clippy::unwrap_used, reason = "a test that meets what it did not expect has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::Value;

/// Labels that Prometheus gives, and those of histograms.
const OF_ALL: [&str; 3] = ["job", "instance", "le"];

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The metrics that the server declares.
fn declared() -> BTreeSet<String> {
    let constant = Regex::new(r#"(?m)^const \w+: &str = "(\w+)";$"#).unwrap();
    constant.captures_iter(&read("src/telemetry/metrics.rs")).map(|found| found[1].to_owned()).collect()
}

/// The metrics that are documented, with their labels.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let row = Regex::new(r"(?m)^\| (`(?:ak_stages|process)_[^|]*)\|([^|]*)\|").unwrap();
    let code = Regex::new(r"`(\w+)`").unwrap();
    let words = |cell: &str| code.captures_iter(cell).map(|word| word[1].to_owned()).collect::<BTreeSet<_>>();
    let page = read("docs/OPERATIONS.md");
    let rows = row.captures_iter(&page).map(|row| (words(&row[1]), words(&row[2])));
    rows.flat_map(|(names, labels)| names.into_iter().map(move |name| (name, labels.clone()))).collect()
}

/// All strings that a document has under this key, wherever they are.
fn under<'value>(key: &str, value: &'value Value) -> Vec<&'value str> {
    match value {
        Value::Array(all) => all.iter().flat_map(|value| under(key, value)).collect(),
        Value::Object(all) => all
            .iter()
            .flat_map(|(name, value)| {
                let own = value.as_str().filter(|_| name == key);
                own.into_iter().chain(under(key, value))
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The metrics of an expression, histograms by the name that they are declared by.
fn metrics(expression: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\b(?:ak_stages|process)_\w+").unwrap();
    let suffix = Regex::new("_(?:bucket|count|sum)$").unwrap();
    name.find_iter(expression).map(|name| suffix.replace(name.as_str(), "").into_owned()).collect()
}

/// The labels that an expression names.
fn labels(expression: &str) -> BTreeSet<String> {
    let selected = Regex::new(r#"(\w+)(?:=|!=|=~|!~)""#).unwrap();
    let grouped = Regex::new(r"\bby \(([^)]*)\)").unwrap();
    let selected = selected.captures_iter(expression).map(|label| label[1].to_owned());
    let grouped = grouped
        .captures_iter(expression)
        .flat_map(|list| list[1].split(',').map(|label| label.trim().to_owned()).collect::<Vec<_>>());
    selected.chain(grouped).collect()
}

#[test]
fn every_metric_is_documented_and_no_other() {
    let documented: BTreeSet<_> = documented().into_keys().collect();
    assert!(documented.len() > 20, "{documented:?}");
    assert_eq!(declared(), documented);
}

#[test]
fn dashboard_and_alerts_read_metrics_that_there_are_by_labels_that_they_have() {
    let alerts: Value = yaml_serde::from_str(&read("docs/monitoring/alerts.yml")).unwrap();
    let dashboard: Value = serde_json::from_str(&read("docs/monitoring/dashboard.json")).unwrap();
    let known = documented();
    let mut read = BTreeSet::new();
    for expression in under("expr", &alerts).into_iter().chain(under("expr", &dashboard)) {
        let mut may_name: BTreeSet<_> = OF_ALL.map(str::to_owned).into();
        for name in metrics(expression) {
            may_name.extend(known.get(&name).unwrap_or_else(|| panic!("{name}: {expression}")).clone());
            read.insert(name);
        }
        let unknown: Vec<_> = labels(expression).difference(&may_name).cloned().collect();
        assert!(unknown.is_empty(), "{unknown:?}: {expression}");
    }
    let unread: Vec<_> = known.into_keys().filter(|name| !read.contains(name)).collect();
    assert_eq!(unread, ["process_start_time_seconds"], "neither a panel nor an alert shows it");
}
