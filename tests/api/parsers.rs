//! What holds of every parser for any bytes at all, as `fuzz/src/lib.rs` says it: of inputs that follow a grammar more or
//! less, and of those that fuzzing found worth keeping.
//!
//! `AK_STAGES_SEED` repeats a run.

use std::fs;
use std::path::Path;

use drf::field::FieldKind;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::string::bytes_regex;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rstest::rstest;
use serde_json::{Map, Value};

use super::properties::{json_value, text};
use crate::support::{as_parameter, declared, seed};

#[path = "../../fuzz/src/lib.rs"]
mod fuzzed;

/// Something that is asked of bytes.
type Law = fn(&[u8]);

/// Bytes, whatever they were made of.
type Bytes = BoxedStrategy<Vec<u8>>;

fn matching(regex: &str) -> Bytes {
    bytes_regex(regex).unwrap().boxed()
}

/// The name of a field, of a parameter, or of nothing.
fn name() -> impl Strategy<Value = &'static str> {
    let mut names: Vec<_> =
        declared().iter().flat_map(|resource| resource.fields.iter()).map(|f| f.name).collect();
    let filters = declared().into_iter().flat_map(|resource| resource.filters).map(|filter| filter.name);
    names.extend(filters.chain(["page", "page_size", "ordering", "search", "format", "unknown"]));
    select(names)
}

/// A value of a field, by its type, or of none.
fn value() -> impl Strategy<Value = Value> {
    let choices = declared().into_iter().flat_map(|resource| resource.fields.iter()).filter_map(|field| {
        match field.kind {
            FieldKind::Choice(choices) => Some(choices.values.iter().map(|(value, _)| *value)),
            _ => None,
        }
    });
    prop_oneof![
        json_value(),
        select(choices.flatten().collect::<Vec<_>>()).prop_map(Value::from),
        any::<u128>().prop_map(|number| Value::from(uuid::Uuid::from_u128(number).to_string())),
        vec(any::<u128>().prop_map(|number| Value::from(uuid::Uuid::from_u128(number).to_string())), 0..3)
            .prop_map(Value::from),
        date().prop_map(|bytes| Value::from(String::from_utf8_lossy(&bytes).into_owned())),
        "(hours|days)=[0-9]{1,3}".prop_map(Value::from),
        (-3_i32..3).prop_map(Value::from),
    ]
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    let entries = || vec((name().prop_map(str::to_owned), value()), 0..12);
    let inner = vec(entries().prop_map(|entries| entries.into_iter().collect::<Value>()), 0..3);
    (entries(), inner).prop_map(|(entries, inner)| {
        let mut object: Map<_, _> = entries.into_iter().collect();
        object.entry("flow_set").or_insert(inner.into());
        object
    })
}

/// A body, as [`fuzzed::body`] takes it.
fn body() -> Bytes {
    let content_type = prop_oneof![
        8 => Just("application/json"),
        1 => select(vec!["Application/JSON; charset=utf-16", " application/json ", "application/jsonx", "text/plain", ""]),
    ];
    let bytes = prop_oneof![
        4 => object().prop_map(|object| Value::from(object).to_string().into_bytes()),
        1 => json_value().prop_map(|value| value.to_string().into_bytes()),
        1 => vec(any::<u8>(), 0..100),
        1 => matching("[\\[\\]{}\",:0-9eE.a-z\\\\ \n-]{0,60}"),
        1 => (0..1100_usize).prop_map(|levels| "[".repeat(levels).into_bytes()),
    ];
    let parts = (any::<[u8; 2]>(), content_type, bytes);
    parts.prop_map(|(which, kind, bytes)| [&which[..], kind.as_bytes(), b"\n", &bytes].concat()).boxed()
}

fn query() -> Bytes {
    let value = prop_oneof![
        2 => text(),
        2 => value().prop_map(|value| as_parameter(&value)),
        1 => object().prop_map(|object| as_parameter(&object.into())),
        1 => "[a-z\"', \\\\%_-]{0,40}",
        1 => "(%[0-9a-f]{0,2}){0,9}",
    ];
    let parameters = vec((name(), value), 0..6);
    let joined = parameters.prop_map(|all| {
        let all: Vec<_> = all.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        all.join("&").into_bytes()
    });
    prop_oneof![4 => joined, 1 => vec(any::<u8>(), 0..100)].boxed()
}

fn duration() -> Bytes {
    prop_oneof![
        4 => matching("((micro|milli)?seconds|minutes|HOURS|days|weeks|years)=[0-9eE.+_-]{1,12}(;(hours|days)=[0-9]{1,9}){0,3}"),
        1 => text().prop_map(String::into_bytes),
        1 => matching("[a-z0-9=; ]{0,30}"),
    ]
    .boxed()
}

fn date() -> Bytes {
    prop_oneof![
        4 => matching(
            "[0-9]{4}-?(0?[1-9]|1[0-2])-?(0?[1-9]|[12][0-9]|3[01])([T ]([01]?[0-9]|2[0-4])(:?[0-6]?[0-9]){0,2}([.,][0-9]{1,9})?(Z|z|[+-][0-9]{2}:?([0-5][0-9])?)?)?"
        ),
        1 => text().prop_map(String::into_bytes),
        1 => matching("[0-9TZ:+. -]{0,30}"),
    ]
    .boxed()
}

fn bearer() -> Bytes {
    prop_oneof![
        matching("[Bb][Ee][Aa][Rr][Ee][Rr] {1,2}[ -~]{0,30}"),
        matching("[A-Za-z]{0,8}[ \t]{0,3}[ -~]{0,30}"),
        vec(any::<u8>(), 0..60),
    ]
    .boxed()
}

fn cookies() -> Bytes {
    prop_oneof![
        matching("(other=[a-z\"]{0,3}; ?){0,2}authentik_session *= *\"?([!-~]|\\\\[0-7]{3}|\\\\\"){0,40}\"?(; other=1)?"),
        matching("[a-z_=; \"\\\\0-7]{0,60}"),
        matching(
            "\\{\"sid\": ?(\"[0-9a-z]{0,40}\"|[0-9]{1,12})(, ?\"(exp|nbf|iat|aud|iss)\": ?(-?[0-9]{1,3}|\"a\"|null)){0,2}\\}"
        ),
        vec(any::<u8>(), 0..60),
    ]
    .boxed()
}

fn csrf() -> Bytes {
    let token = || prop_oneof![4 => "[a-zA-Z0-9]{32}", 1 => "[a-zA-Z0-9]{64}", 1 => "[ -~]{0,66}"];
    let site = || select(vec!["", "example.com", "example.com:8443", "EXAMPLE.com", "[::1]:80"]);
    let url = || {
        let scheme = select(vec!["", "http:", "https:", "HTTPS:", "null", "1:"]);
        (scheme, select(vec!["//", "/", ""]), site(), select(vec!["", "/", "/if/admin/", "?a", "#b"]))
    };
    let tokens = prop_oneof![
        2 => token().prop_map(|token| [token.clone(), token]),
        1 => (token(), token()).prop_map(|(cookie, sent)| [cookie, sent]),
    ];
    let parts = (any::<u8>(), tokens, url(), url(), site());
    let joined = parts.prop_map(|(how, [cookie, sent], origin, referer, host)| {
        let [origin, referer] = [origin, referer].map(|(a, b, c, d)| [a, b, c, d].concat());
        let lines = [&cookie, &sent, &origin, &referer, host].join("\n");
        [&[how], lines.as_bytes()].concat()
    });
    prop_oneof![4 => joined, 1 => vec(any::<u8>(), 0..200)].boxed()
}

#[rstest]
#[case::body(body(), fuzzed::body)]
#[case::query(query(), fuzzed::query)]
#[case::duration(duration(), fuzzed::duration)]
#[case::date(date(), fuzzed::date)]
#[case::bearer(bearer(), fuzzed::bearer)]
#[case::cookie(cookies(), fuzzed::cookies)]
#[case::csrf(csrf(), fuzzed::forgeries)]
fn a_parser_keeps_its_laws(#[case] inputs: Bytes, #[case] law: Law) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed("a parser").to_le_bytes());
    let config = Config { cases: 1500, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let outcome = runner.run(&inputs, |input| {
        law(&input);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[rstest]
#[case::body("body", fuzzed::body)]
#[case::query("query", fuzzed::query)]
#[case::duration("duration", fuzzed::duration)]
#[case::date("date", fuzzed::date)]
#[case::bearer("bearer", fuzzed::bearer)]
#[case::cookie("cookie", fuzzed::cookies)]
#[case::csrf("csrf", fuzzed::forgeries)]
fn what_fuzzing_found_keeps_the_laws(#[case] target: &str, #[case] law: Law) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let inputs: Vec<_> =
        fs::read_dir(corpus).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!inputs.is_empty(), "{target} has no corpus");
    for input in inputs {
        law(&input);
    }
}
