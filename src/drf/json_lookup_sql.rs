//! The SQL of [`super::json_lookup`]. Paths and values are bound, and the text says the type of each.

use serde_json::Value;
use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder};

use super::json_lookup::{Comparison, JsonLookup, JsonPath, JsonTest, TextComparison};
use super::params::escape_like;

/// A condition: all of `lookups` hold for `column`, an expression of type `jsonb`.
pub fn push(query: &mut QueryBuilder<Postgres>, column: &str, lookups: &[JsonLookup]) {
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
fn push_operand(query: &mut QueryBuilder<Postgres>, column: &str, path: &JsonPath, as_text: bool) {
    query.push("(").push(column);
    match path {
        JsonPath::Whole => query.push(if as_text { "::text" } else { "" }),
        JsonPath::Element(index) => {
            query.push(if as_text { " ->> " } else { " -> " }).push_bind(*index).push("::int")
        }
        JsonPath::Keys(keys) => {
            query.push(if as_text { " #>> " } else { " #> " }).push_bind(keys.clone()).push("::text[]")
        }
    };
    query.push(")");
}

/// The right side of a test on a `jsonb` value.
fn push_test(query: &mut QueryBuilder<Postgres>, test: &JsonTest) {
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
            query.push(" = ANY(").push_bind(values).push("::jsonb[])");
        }
        JsonTest::Between(from, to) => {
            query.push(" BETWEEN ");
            push_json(query, from);
            query.push(" AND ");
            push_json(query, to);
        }
        JsonTest::HasKey(key) => {
            query.push(" ? ").push_bind(key.clone()).push("::text");
        }
        JsonTest::HasKeys(keys) => {
            query.push(" ?& ").push_bind(keys.clone()).push("::text[]");
        }
        JsonTest::HasAnyKey(keys) => {
            query.push(" ?| ").push_bind(keys.clone()).push("::text[]");
        }
        JsonTest::IsNull(yes) => {
            query.push(if *yes { " IS NULL" } else { " IS NOT NULL" });
        }
        JsonTest::Text { .. } => {} // compares texts, see `push_text_test`
    }
}

fn push_json(query: &mut QueryBuilder<Postgres>, value: &Value) {
    query.push_bind(Json(value.clone())).push("::jsonb");
}

fn push_text_test(
    query: &mut QueryBuilder<Postgres>,
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
        query.push(format_args!("('' {operator} ")).push_bind(text.clone()).push("::text) IS NOT NULL AND ");
    }
    let fold = if ignores_case && comparison != TextComparison::Regex { "UPPER" } else { "" };
    query.push(fold).push("(");
    push_operand(query, column, path, true);
    query.push(format_args!(") {operator} {fold}(")).push_bind(text).push("::text)");
}
