//! What holds for any input at all: random values, queries and bytes, shrunk to the smallest that fails.

use drf::action::{Method, Route};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::support::{Declared, JSON, TestApp, as_parameter, declared};

/// The resources that take a body.
fn writable() -> impl Iterator<Item = Declared> {
    declared().into_iter().filter(|resource| resource.does(Method::Post, Route::LIST))
}

/// Texts that have broken parsers before.
pub const NASTY: &[&str] = &[
    "",
    " ",
    "\0",
    "a\0b",
    "\u{feff}",
    "\u{202e}",
    "٣",
    "1_000",
    "+5",
    "5.",
    ".5",
    "1e400",
    "-0",
    "0x10",
    "nan",
    "-inf",
    "9999-12-31T23:59:59.999999-23:59",
    "0001-01-01",
    "2030-01-02T24:00:00Z",
    "minutes=1e999",
    "weeks=99999999999",
    "days=-999999999;hours=-24",
    "microseconds=1e-300",
    "{0a0b0c0d-1111-4222-8333-0000abcdef01}",
    "urn:uuid:",
    "../../etc/passwd",
    "'; DROP TABLE authentik_flows_stage; --",
    "%",
    "_",
    "\\",
    "\"",
    "'",
    "a@b",
    "a@[::1]",
    "\"\\\"@b.co",
    "last",
    "-",
    "--name",
    "name,,name",
    "a = \"b\"",
    "true or false",
];

/// Any text, and what looks like one of ours.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        select(NASTY).prop_map(str::to_owned),
        any::<String>(),
        ".{0,3000}",
        "[0-9eE+._:TZ-]{1,24}",
        "(days|hours|minutes|weeks)=[0-9eE.+-]{1,12}",
    ]
}

/// Any JSON.
pub fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((text(), inner), 0..5).prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

/// Try a property with many inputs on one server.
fn for_all<S: Strategy>(cases: u32, inputs: S, property: &impl AsyncFn(&TestApp, S::Value)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let app = runtime.block_on(TestApp::new());
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&inputs, |input| {
        runtime.block_on(property(&app, input));
        Ok(())
    });
    // Connections belong to the runtime.
    runtime.block_on(app.pool.close());
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn no_value_of_any_field_makes_the_server_fail() {
    let fields = writable().flat_map(|resource| {
        resource.writable().map(|field| (resource.path, field.name)).collect::<Vec<_>>()
    });
    let field = select(fields.collect::<Vec<_>>());
    for_all(400, (field, json_value()), &async |app, ((path, field), value)| {
        let resource = Declared::at(path);
        let mut body = app.body(resource.required(), app.fresh()).await;
        body[field] = value;
        let answer = app.admin().post(resource.path, body).await;
        assert!(matches!(answer.status, 201 | 400), "{answer}");
        if answer.status == 201 {
            let row = answer.json();
            let read = app.admin().get(&resource.path_of(&row)).await.status(200).json();
            // A binding's answer to POST holds the base of its stage.
            let same =
                row.as_object().unwrap().iter().all(|(key, value)| key == "stage_obj" || read[key] == *value);
            assert!(same, "{answer} {read}");
        }
    });
}

#[test]
fn no_query_makes_the_server_fail() {
    let parameters = declared().into_iter().flat_map(|resource| {
        let fields = resource.fields.iter().filter(|field| field.filter).map(|field| field.name);
        let filters = resource.filters.iter().map(|filter| filter.name);
        let shared = ["page", "page_size", "ordering", "search", "format", "unknown"];
        let names = fields.chain(filters).chain(shared);
        names.map(|name| (resource.path, name)).collect::<Vec<_>>()
    });
    let parameter = select(parameters.collect::<Vec<_>>());
    for_all(600, (parameter, text()), &async |app, ((path, name), value)| {
        let value = as_parameter(&json!(value));
        let answer = app.admin().get(&format!("{path}?{name}={value}")).await;
        assert!(matches!(answer.status, 200 | 400 | 404), "{answer}");
    });
}

#[test]
fn no_bytes_make_the_server_fail() {
    let paths: Vec<_> = writable().map(|resource| resource.path).collect();
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..200),
        "[\\[\\]{}\",:0-9a-z\\\\ \n-]{0,60}".prop_map(String::into_bytes),
    ];
    for_all(300, (select(paths), bytes), &async |app, (path, bytes)| {
        let answer = app.admin().send("POST", path, &JSON, bytes).await;
        assert_eq!(answer.status, 400, "{answer}");
    });
}
