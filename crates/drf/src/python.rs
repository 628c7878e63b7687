//! What Python's `str()`, `int()`, `float()` and `UUID()` make of a value. Django REST framework's fields accept
//! what these accept, and its error messages print what they print.

use serde_json::Value;
use uuid::Uuid;

/// `str.isspace()`: Unicode white space and the four ASCII separators that Rust doesn't count.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// `str.strip()`
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `str(value)` of a value that came from JSON.
pub fn str(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr(other),
    }
}

/// `repr(value)` of a value that came from JSON.
fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => repr_float(float),
            _ => number.to_string(),
        },
        Value::String(text) => repr_str(text),
        Value::Array(items) => format!("[{}]", items.iter().map(repr).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let items: Vec<_> =
                map.iter().map(|(key, item)| format!("{}: {}", repr_str(key), repr(item))).collect();
            format!("{{{}}}", items.join(", "))
        }
    }
}

fn repr_str(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => out.extend(format!("\\x{:02x}", u32::from(c)).chars()),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// Python prints a float with the fewest digits that read back the same, in positional notation while the exponent
/// is at least -4 and below 16. Where two such numbers are as near it takes the even one, as Rust does only when it is
/// told how many digits there are.
fn repr_float(float: f64) -> String {
    let shortest = format!("{float:e}");
    let Some((mantissa, exponent)) = shortest.split_once('e') else {
        return shortest;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let or = |nearest: String, other: String| if nearest.parse() == Ok(float) { nearest } else { other };
    if (-4..16).contains(&exponent) {
        let decimals = usize::try_from(exponent).map_or_else(
            |_| decimals + usize::try_from(-exponent).unwrap_or_default(),
            |exponent| decimals.saturating_sub(exponent).max(1),
        );
        return or(format!("{float:.decimals$}"), format!("{float:?}"));
    }
    let nearest = or(format!("{float:.decimals$e}"), shortest.clone());
    let mantissa = nearest.split('e').next().unwrap_or_default();
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// `int(text)` in base ten: white space around (without the four separators of [`is_space`]), a sign, single underscores
/// between digits. `None` where Python raises `ValueError` or the number is beyond 128 bits.
pub fn int(text: &str) -> Option<i128> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let separated =
        digits.split('_').all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()));
    separated.then(|| text.replace('_', "").parse().ok()).flatten()
}

/// `float(text)`: as [`int`], with a fraction, an exponent, `inf` and `nan`.
pub fn float(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let separated = text.split('_').zip(text.split('_').skip(1));
    let mut separated = separated.map(|(before, behind)| (before.chars().last(), behind.chars().next()));
    separated.all(|(before, behind)| is_digit(before) && is_digit(behind)).then_some(())?;
    text.replace('_', "").parse().ok()
}

/// `uuid.UUID(text)`: any case, with or without hyphens, braces or the `urn:uuid:` prefix.
pub fn uuid(text: &str) -> Option<Uuid> {
    let hex = text.replace("urn:", "").replace("uuid:", "");
    let hex = hex.trim_matches(['{', '}']).replace('-', "");
    if hex.len() != 32 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&hex, 16).ok().map(Uuid::from_u128)
}

/// The name of a JSON value's Python type, as in `Expected a dictionary, but got list.`
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!(true), "True")]
    #[case(json!(null), "None")]
    #[case(json!(["a", 1, 2.0]), "['a', 1, 2.0]")]
    #[case(json!({"a": "it's"}), "{'a': \"it's\"}")]
    #[case(json!(1e30), "1e+30")]
    #[case(json!(1e16), "1e+16")]
    #[case(json!(1_000_000.0), "1000000.0")]
    #[case(json!(0.0001), "0.0001")]
    #[case(json!(0.00001), "1e-05")]
    #[case(json!(-2.5), "-2.5")]
    #[case(json!(-0.0), "-0.0")]
    #[case(json!("1238150003997268.25".parse::<f64>().unwrap()), "1238150003997268.2")]
    #[case(json!("82214345589372.125".parse::<f64>().unwrap()), "82214345589372.12")]
    #[case(json!(5e-324), "5e-324")]
    #[case(json!(9_007_199_254_740_993.0), "9007199254740992.0")]
    fn prints_as_python_does(#[case] value: Value, #[case] expected: &str) {
        assert_eq!(str(&value), expected);
    }

    #[rstest]
    #[case(" 7 ", Some(7))]
    #[case("+1_000", Some(1000))]
    #[case("1__0", None)]
    #[case("_1", None)]
    #[case("", None)]
    #[case("1.0", None)]
    #[case("-", None)]
    #[case("\x1c7", None)]
    #[case("\u{2003}7\u{a0}", Some(7))]
    fn reads_integers_as_python_does(#[case] text: &str, #[case] expected: Option<i128>) {
        assert_eq!(int(text), expected);
    }

    #[rstest]
    #[case(" 1_0.5e1_0 ", Some(10.5e10))]
    #[case("-.5", Some(-0.5))]
    #[case("5.", Some(5.0))]
    #[case("-Infinity", Some(f64::NEG_INFINITY))]
    #[case("1_.5", None)]
    #[case("1._5", None)]
    #[case("1_e5", None)]
    #[case("1e_5", None)]
    #[case("_1", None)]
    #[case("1_", None)]
    #[case("1__0", None)]
    #[case(".", None)]
    #[case("0x10", None)]
    fn reads_floats_as_python_does(#[case] text: &str, #[case] expected: Option<f64>) {
        assert_eq!(float(text), expected);
    }

    #[rstest]
    #[case("0A0B0C0D-1111-4222-8333-0000ABCDEF01", true)]
    #[case("0a0b0c0d1111422283330000abcdef01", true)]
    #[case("{0a0b0c0d-1111-4222-8333-0000abcdef01}", true)]
    #[case("urn:uuid:0a0b0c0d-1111-4222-8333-0000abcdef01", true)]
    #[case("0a0b0c0d", false)]
    #[case("", false)]
    fn reads_uuids_as_python_does(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(uuid(text).is_some(), valid);
    }
}
