//! A YAML file as a tree in which everything knows its line and its tag.
//!
//! authentik reads blueprints with a parser of YAML 1.1, so plain scalars mean here what they mean there: `yes` is a
//! boolean, `010` is eight. But for instants, which stay texts: the API reads those.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Number, Value};

use super::Refused;

/// How deep a file may be nested.
const MAX_DEPTH: usize = 256;
/// Entries that a mapping may have with those that are merged into it.
const MAX_ENTRIES: usize = 100_000;

/// A node of the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The line where it begins, from 1.
    pub line: usize,
    /// The name of its tag without the exclamation mark, such as `KeyOf`.
    pub tag: Option<String>,
    /// What it is.
    pub content: Content,
}

/// What a node is. Nodes with an anchor stand in several places.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A scalar.
    Scalar {
        /// Its text.
        text: String,
        /// Whether it stands without quotes, and so may mean something else than text.
        plain: bool,
    },
    /// A sequence.
    Sequence(Vec<Arc<Node>>),
    /// A mapping, in the order of the file. Of equal keys the last one counts.
    Mapping(Vec<(Arc<Node>, Arc<Node>)>),
}

impl Node {
    /// The text of a scalar without a tag, whatever it may mean.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } if self.tag.is_none() => Some(text),
            _ => None,
        }
    }

    /// Whether nothing stands there.
    pub fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true } if scalar(text).is_null())
            && self.tag.is_none()
    }
}

/// Read the one document of a file, whose tags are among those that `is_tag` knows by name.
///
/// # Errors
/// It isn't YAML, has no document or more than one, has another tag, or is nested too deep.
pub fn parse(text: &str, is_tag: fn(&str) -> bool) -> Result<Arc<Node>, Refused> {
    let mut documents = 0;
    let mut tree = Tree { root: None, anchors: HashMap::new(), open: Vec::new(), is_tag };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| Refused::at(error.marker().line(), error.info()))?;
        let line = span.start.line();
        match event {
            Event::DocumentStart(_) => documents += 1,
            Event::Scalar(text, style, anchor, tag) => {
                let (tag, is_text) = name(tag.as_deref());
                let plain = style == ScalarStyle::Plain && !is_text;
                let content = Content::Scalar { text: text.into_owned(), plain };
                tree.add(Node { line, tag, content }, anchor)?;
            }
            Event::SequenceStart(anchor, tag) => {
                let node = Node { line, tag: name(tag.as_deref()).0, content: Content::Sequence(Vec::new()) };
                tree.open(node, anchor)?;
            }
            Event::MappingStart(anchor, tag) => {
                let node = Node { line, tag: name(tag.as_deref()).0, content: Content::Mapping(Vec::new()) };
                tree.open(node, anchor)?;
            }
            Event::SequenceEnd | Event::MappingEnd => tree.close()?,
            Event::Alias(anchor) => {
                let node = tree.anchors.get(&anchor).cloned();
                tree.put(node.ok_or_else(|| Refused::at(line, "an alias inside its own anchor"))?);
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        if documents > 1 {
            return Err(Refused::at(line, "a second document: a blueprint is one"));
        }
    }
    tree.root.ok_or_else(|| Refused::at(1, "there is nothing in it"))
}

/// The name of a tag, and whether it makes a text of any scalar. What YAML's own types say follows from the scalar anyway.
fn name(tag: Option<&Tag>) -> (Option<String>, bool) {
    match tag {
        None => (None, false),
        Some(tag) if tag.is_yaml_core_schema() => match tag.suffix.as_str() {
            "str" => (None, true),
            "int" | "float" | "bool" | "null" | "map" | "seq" => (None, false),
            other => (Some(format!("!{other}")), false),
        },
        Some(tag) if tag.handle == "!" => (Some(tag.suffix.clone()), false),
        Some(tag) => (Some(tag.to_string()), false),
    }
}

/// The tree as far as it is read.
struct Tree {
    root: Option<Arc<Node>>,
    anchors: HashMap<usize, Arc<Node>>,
    open: Vec<Open>,
    is_tag: fn(&str) -> bool,
}

/// A sequence or mapping that isn't at its end.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<Arc<Node>>,
}

impl Tree {
    fn open(&mut self, node: Node, anchor: usize) -> Result<(), Refused> {
        if self.open.len() == MAX_DEPTH {
            return Err(Refused::at(node.line, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.open.push(Open { node, anchor, key: None });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Refused> {
        let Some(Open { mut node, anchor, .. }) = self.open.pop() else { return Ok(()) };
        if let Content::Mapping(entries) = &mut node.content {
            *entries = merged(std::mem::take(entries));
            if entries.len() > MAX_ENTRIES {
                return Err(Refused::at(node.line, format!("more than {MAX_ENTRIES} entries")));
            }
        }
        self.add(node, anchor)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Refused> {
        if let Some(tag) = node.tag.as_deref().filter(|tag| !(self.is_tag)(tag)) {
            return Err(Refused::at(node.line, format!("the tag !{tag} is not known")));
        }
        let node = Arc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.put(node);
        Ok(())
    }

    fn put(&mut self, node: Arc<Node>) {
        let Some(Open { node: parent, key, .. }) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut parent.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping(entries) => match key.take() {
                Some(key) => entries.push((key, node)),
                None => *key = Some(node),
            },
            Content::Scalar { .. } => {}
        }
    }
}

/// The entries of a mapping, with those of others that `<<` merges into it in front.
fn merged(entries: Vec<(Arc<Node>, Arc<Node>)>) -> Vec<(Arc<Node>, Arc<Node>)> {
    let is_merge = |key: &Node| matches!(&key.content, Content::Scalar { text, plain: true } if text == "<<");
    let (merges, own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| is_merge(key));
    let mut all = Vec::new();
    for (_, value) in merges {
        match &value.content {
            Content::Mapping(others) => all.extend(others.iter().cloned()),
            // Of several the first goes before the others, so it comes last.
            Content::Sequence(items) => {
                for item in items.iter().rev() {
                    if let Content::Mapping(others) = &item.content {
                        all.extend(others.iter().cloned());
                    }
                }
            }
            Content::Scalar { .. } => {}
        }
    }
    all.extend(own);
    all
}

/// What a plain scalar means in YAML 1.1.
pub fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => integer(text)
            .or_else(|| float(text))
            .map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = signed(text);
    let first = digits.bytes().next().filter(u8::is_ascii_digit)?;
    let digits = digits.replace('_', "");
    let number: i128 = if digits.contains(':') {
        if first == b'0' {
            return None;
        }
        digits.split(':').enumerate().try_fold(0_i128, |sum, (place, part)| {
            let part = part.parse::<i128>().ok().filter(|part| place == 0 || (0..60).contains(part))?;
            sum.checked_mul(60)?.checked_add(part)
        })?
    } else {
        let (radix, digits) = match digits.as_bytes() {
            [b'0', b'x', ..] => (16, &digits[2..]),
            [b'0', b'b', ..] => (2, &digits[2..]),
            [b'0', _, ..] => (8, &digits[1..]),
            _ => (10, digits.as_str()),
        };
        i128::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with(['+', '-']))?
    };
    Number::from_i128(if negative { -number } else { number })
}

fn float(text: &str) -> Option<Number> {
    let (negative, digits) = signed(text);
    let is_number = digits.contains('.') && digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    // An exponent has a sign there; `1e3` is a text.
    let has_sign = digits.find(['e', 'E']).is_none_or(|e| digits[e + 1..].starts_with(['+', '-']));
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit() || b"._eE+-".contains(&byte));
    if !is_number || !has_sign || !is_plain || !digits.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: f64 = digits.replace('_', "").parse().ok()?;
    Number::from_f64(if negative { -number } else { number })
}

fn signed(text: &str) -> (bool, &str) {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    (text.starts_with('-'), digits)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case("~", json!(null))]
    #[case("yes", json!(true))]
    #[case("Off", json!(false))]
    #[case("y", json!("y"))]
    #[case("12", json!(12))]
    #[case("-1_000", json!(-1000))]
    #[case("010", json!(8))]
    #[case("0x1f", json!(31))]
    #[case("0b101", json!(5))]
    #[case("1:30", json!(90))]
    #[case("08", json!("08"))]
    #[case("1.50", json!(1.5))]
    #[case("-.5", json!(-0.5))]
    #[case("1.0e+3", json!(1000.0))]
    #[case("1e3", json!("1e3"))]
    #[case("1.0e3", json!("1.0e3"))]
    #[case(".", json!("."))]
    #[case("-", json!("-"))]
    #[case("0x", json!("0x"))]
    #[case("1.2.3", json!("1.2.3"))]
    #[case("2030-01-01T00:00:00Z", json!("2030-01-01T00:00:00Z"))]
    #[case("minutes=30", json!("minutes=30"))]
    fn plain_scalars_mean_what_they_mean_to_authentik(#[case] text: &str, #[case] expected: Value) {
        assert_eq!(scalar(text), expected);
    }

    #[test]
    fn a_tree_has_lines_tags_and_merged_mappings() {
        let text = "# a comment\nbase: &base {a: 1, b: !Env X}\nlist:\n- <<: *base\n  b: 2\n- !Find [m, [k, v]]\n- !!str 5\n";
        let tree = parse(text, |_| true).unwrap();
        let Content::Mapping(entries) = &tree.content else { panic!("{tree:?}") };
        assert_eq!((tree.line, entries[1].0.line), (2, 3));
        let Content::Sequence(items) = &entries[1].1.content else { panic!("{tree:?}") };
        let Content::Mapping(merged) = &items[0].content else { panic!("{tree:?}") };
        let keys: Vec<_> = merged.iter().map(|(key, value)| (key.text().unwrap(), value.line)).collect();
        assert_eq!(keys, [("a", 2), ("b", 2), ("b", 5)]);
        assert_eq!((items[1].line, items[1].tag.as_deref()), (6, Some("Find")));
        assert_eq!(items[2].content, Content::Scalar { text: "5".to_owned(), plain: false });
    }

    #[rstest]
    #[case::nothing("", 1, "there is nothing in it")]
    #[case::second("a: 1\n---\nb: 2\n", 2, "a second document: a blueprint is one")]
    #[case::no_yaml("a: [1\nb: 2\n", 2, "")]
    #[case::unknown_alias("a: *b\n", 1, "")]
    fn what_is_no_document_has_a_line(#[case] text: &str, #[case] line: usize, #[case] sentence: &str) {
        let refused = parse(text, |_| true).unwrap_err();
        assert_eq!(refused.line, line, "{refused}");
        assert!(refused.sentence.contains(sentence), "{refused}");
    }

    #[test]
    fn depth_has_an_end() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(200), |_| true).is_ok());
        assert!(parse(&"- ".repeat(300), |_| true).is_err());
    }
}
