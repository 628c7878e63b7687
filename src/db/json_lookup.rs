//! The SQL of [`drf::json_lookup`]. Paths and values are bound.

use drf::json_lookup::{Comparison, JsonLookup, JsonPath, JsonTest, TextComparison};
use drf::search::escape_like;
use serde_json::Value;
use sqlx::types::Json;

use super::Sql;

/// A condition: all of `lookups` hold for `column`, an expression of type `jsonb`.
pub fn push(query: &mut Sql, column: &str, lookups: &[JsonLookup]) {
    query.push("(TRUE");
    for lookup in lookups {
        query.push(" AND ");
        match &lookup.test {
            JsonTest::Text { comparison, ignores_case, text } => {
                push_text_test(query, column, &lookup.path, *comparison, *ignores_case, text);
            }
            test => {
                push_operand(query, column, &lookup.path, false);
                push_test(query, test);
            }
        }
    }
    query.push(")");
}

/// What a path leads to, as `jsonb` or as text; NULL where it leads nowhere, and the text of JSON's `null` is NULL too.
fn push_operand(query: &mut Sql, column: &str, path: &JsonPath, as_text: bool) {
    query.push("(").push(column);
    match path {
        JsonPath::Whole => query.push(if as_text { "::text" } else { "" }),
        JsonPath::Element(index) => query.push(if as_text { " ->> " } else { " -> " }).bind(*index),
        JsonPath::Keys(keys) => query.push(if as_text { " #>> " } else { " #> " }).bind(keys.clone()),
    };
    query.push(")");
}

/// The right side of a test on a `jsonb` value.
fn push_test(query: &mut Sql, test: &JsonTest) {
    match test {
        JsonTest::Compare(comparison, value) => {
            query.push(match comparison {
                Comparison::Equal => " = ",
                Comparison::Less => " < ",
                Comparison::LessOrEqual => " <= ",
                Comparison::Greater => " > ",
                Comparison::GreaterOrEqual => " >= ",
                Comparison::Contains => " @> ",
                Comparison::ContainedBy => " <@ ",
            });
            push_json(query, value);
        }
        JsonTest::OneOf(values) => {
            let values: Vec<Json<Value>> = values.iter().cloned().map(Json).collect();
            query.push(" = ANY(").bind(values).push(")");
        }
        JsonTest::Between(from, to) => {
            query.push(" BETWEEN ");
            push_json(query, from);
            query.push(" AND ");
            push_json(query, to);
        }
        JsonTest::HasKey(key) => {
            query.push(" ? ").bind(key.clone());
        }
        JsonTest::HasKeys(keys) => {
            query.push(" ?& ").bind(keys.clone());
        }
        JsonTest::HasAnyKey(keys) => {
            query.push(" ?| ").bind(keys.clone());
        }
        JsonTest::IsNull(yes) => {
            query.push(if *yes { " IS NULL" } else { " IS NOT NULL" });
        }
        JsonTest::Text { .. } => {} // compares texts, see `push_text_test`
    }
}

fn push_json(query: &mut Sql, value: &Value) {
    query.bind(Json(value.clone()));
}

fn push_text_test(
    query: &mut Sql,
    column: &str,
    path: &JsonPath,
    comparison: TextComparison,
    ignores_case: bool,
    text: &str,
) {
    let (operator, text) = match comparison {
        TextComparison::Equal => ("=", text.to_owned()),
        TextComparison::StartsWith => ("LIKE", format!("{}%", escape_like(text))),
        TextComparison::EndsWith => ("LIKE", format!("%{}", escape_like(text))),
        TextComparison::Contains => ("LIKE", format!("%{}%", escape_like(text))),
        TextComparison::Regex => (if ignores_case { "~*" } else { "~" }, text.to_owned()),
    };
    if comparison == TextComparison::Regex {
        // Refused even if the path leads nowhere in any row.
        query.push(format_args!("('' {operator} ")).bind(text.clone()).push(") IS NOT NULL AND ");
    }
    let fold = if ignores_case && comparison != TextComparison::Regex { "UPPER" } else { "" };
    query.push(fold).push("(");
    push_operand(query, column, path, true);
    query.push(format_args!(") {operator} {fold}(")).bind(text).push(")");
}
