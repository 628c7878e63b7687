//! YAML of an export: entries as block mappings, dictionaries in a line. Texts stand without quotes only where YAML 1.1 and
//! 1.2 agree on what they are.

use serde_json::Value;

use super::yaml::scalar;

/// A value of an entry.
#[derive(Debug)]
pub enum Emitted {
    /// JSON.
    Plain(Value),
    /// The key of an object, by the id of its entry.
    KeyOf(String),
    /// Several.
    List(Vec<Emitted>),
}

/// An item of the list of entries.
pub fn entry(
    model: &str,
    id: Option<&str>,
    identifiers: &[(&str, Emitted)],
    attrs: &[(&str, Emitted)],
) -> String {
    let mut lines = vec![format!("- model: {model}")];
    lines.extend(id.map(|id| format!("  id: {}", text(id))));
    for (title, values) in [("identifiers", identifiers), ("attrs", attrs)] {
        if values.is_empty() {
            continue;
        }
        lines.push(format!("  {title}:"));
        lines.extend(values.iter().map(|(name, value)| format!("    {name}: {}", inline(value))));
    }
    lines.join("\n") + "\n"
}

fn inline(value: &Emitted) -> String {
    match value {
        Emitted::Plain(value) => flow(value),
        Emitted::KeyOf(id) => format!("!KeyOf {}", text(id)),
        Emitted::List(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(string) => text(string),
        Value::Number(number) if number.is_f64() => float(&number.to_string()),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| format!("{}: {}", quoted(key), flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// A number that YAML 1.1 doesn't take for a text: with a point, and a sign in its exponent.
fn float(number: &str) -> String {
    let (mantissa, exponent) = number.split_once('e').map_or((number, None), |(m, e)| (m, Some(e)));
    let point = if mantissa.contains('.') { "" } else { ".0" };
    match exponent {
        None => format!("{mantissa}{point}"),
        Some(exponent) if exponent.starts_with(['+', '-']) => format!("{mantissa}{point}e{exponent}"),
        Some(exponent) => format!("{mantissa}{point}e+{exponent}"),
    }
}

fn text(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(is_word)
        && scalar(text).is_string()
        && !matches!(text, "y" | "Y" | "n" | "N");
    if is_plain { text.to_owned() } else { quoted(text) }
}

/// A text in double quotes. What a reader of YAML might take for the end of a line, or not take at all, is escaped.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => out += &escaped(character),
            character if character.is_control() => out += &escaped(character),
            character => out.push(character),
        }
    }
    out.push('"');
    out
}

fn escaped(character: char) -> String {
    format!("\\u{:04x}", u32::from(character))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::super::yaml::{self, Content};
    use super::*;

    #[rstest]
    #[case(json!("plain-text_1.html"), "plain-text_1.html")]
    #[case(json!("yes"), "\"yes\"")]
    #[case(json!("y"), "\"y\"")]
    #[case(json!("010"), "\"010\"")]
    #[case(json!("a b"), "\"a b\"")]
    #[case(json!("a: b\n\u{85}"), "\"a: b\\n\\u0085\"")]
    #[case(json!(""), "\"\"")]
    #[case(json!(1e100), "1.0e+100")]
    #[case(json!(1.5), "1.5")]
    #[case(json!({ "a b": [null, true, -1], "c": {} }), "{\"a b\": [null, true, -1], \"c\": {}}")]
    fn values_are_what_both_versions_of_yaml_take_them_for(#[case] value: Value, #[case] expected: &str) {
        assert_eq!(flow(&value), expected);
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_was(string in any::<String>()) {
            prop_assume!(!string.contains('\0'));
            let tree = yaml::parse(&format!("a: {}\n", text(&string)), |_| false).unwrap();
            let Content::Mapping(entries) = &tree.content else { panic!("{tree:?}") };
            let Content::Scalar { text, plain } = &entries[0].1.content else { panic!("{tree:?}") };
            prop_assert_eq!(text, &string);
            prop_assert!(!plain || scalar(text).is_string());
        }
    }
}
