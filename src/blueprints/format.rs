//! Python's `%` formatting, as far as `!Format` has a use for it.

use drf::python;
use serde_json::Value;

/// Put the values in the places of a text: `%s` for any value, `%d` and `%i` for a number without its fraction, `%f` for
/// one with six digits of it, `%%` for a percent sign.
///
/// # Errors
/// A place of another kind, a value that isn't of its kind, or more of the one than of the other.
pub fn format(text: &str, values: &[Value]) -> Result<String, String> {
    let (mut out, mut values) = (String::with_capacity(text.len()), values.iter());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let kind = characters.next();
        if kind == Some('%') {
            out.push('%');
            continue;
        }
        let mut value = || values.next().ok_or_else(|| "not enough arguments for format string".to_owned());
        let filled = match kind {
            Some('s') => python::str(value()?),
            Some('d' | 'i') => whole(value()?)?,
            Some('f') => format!("{:.6}", number(value()?)?),
            Some(kind) => return Err(format!("%{kind} is not supported: there are %s, %d, %i, %f and %%")),
            None => return Err("incomplete format".to_owned()),
        };
        out.push_str(&filled);
    }
    match values.next() {
        None => Ok(out),
        Some(_) => Err("not all arguments converted during string formatting".to_owned()),
    }
}

fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Bool(boolean) => Ok(f64::from(u8::from(*boolean))),
        Value::Number(number) => number.as_f64().ok_or_else(|| "not a number".to_owned()),
        other => Err(format!("a real number is required, not {}", python::type_name(other))),
    }
}

fn whole(value: &Value) -> Result<String, String> {
    match value {
        Value::Number(number) if !number.is_f64() => Ok(number.to_string()),
        other => number(other).map(|number| format!("{:.0}", number.trunc())),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("a-%s-%s", json!(["b", true]), Ok("a-b-True"))]
    #[case("%s %s", json!([null, [1, "x"]]), Ok("None [1, 'x']"))]
    #[case("%d of %i, %f, 100%%", json!([3, 4.7, 0.5]), Ok("3 of 4, 0.500000, 100%"))]
    #[case("ä%sö", json!(["ü"]), Ok("äüö"))]
    #[case("%s", json!([]), Err("not enough arguments for format string"))]
    #[case("a", json!([1]), Err("not all arguments converted during string formatting"))]
    #[case("%d", json!(["x"]), Err("a real number is required, not str"))]
    #[case("%x", json!([1]), Err("%x is not supported: there are %s, %d, %i, %f and %%"))]
    #[case("%", json!([]), Err("incomplete format"))]
    fn places_are_filled(#[case] text: &str, #[case] values: Value, #[case] expected: Result<&str, &str>) {
        let found = format(text, values.as_array().unwrap());
        assert_eq!(found.as_deref().map_err(String::as_str), expected);
    }
}
