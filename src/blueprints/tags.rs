//! Tags: what stands in a blueprint becomes values. authentik's documentation of blueprints says what each tag means.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Refused;
use super::collections;
use super::format::format;
use super::models::Models;
use super::yaml::{Content, Node, scalar};
use crate::views::UnitOfWork;

/// The tags that there are.
const TAGS: [&str; 13] = [
    "AtIndex",
    "Condition",
    "Context",
    "Enumerate",
    "Env",
    "File",
    "Find",
    "FindObject",
    "Format",
    "If",
    "Index",
    "KeyOf",
    "Value",
];
/// Values that an entry may come to: an anchor can stand in many places, and a tag can repeat what it holds.
const MAX_VALUES: usize = 1_000_000;

/// Whether there is a tag of this name.
pub fn is_tag(name: &str) -> bool {
    TAGS.contains(&name)
}

/// A value to come.
type Resolving<'a> = Pin<Box<dyn Future<Output = Result<Value, Refused>> + Send + 'a>>;

/// What tags look into.
pub struct Resolver<'a> {
    /// What `!Find` looks through.
    pub unit: &'a mut UnitOfWork,
    /// Its models.
    pub models: &'a Models,
    /// What `!Context` finds.
    pub context: &'a Map<String, Value>,
    /// What `!KeyOf` finds: keys of objects by the ids of their entries.
    pub keys: &'a HashMap<String, Value>,
    /// Index and value of the items that the tags `!Enumerate` around are at, from the outermost; none for one that doesn't
    /// know yet what it goes through.
    items: Vec<Option<(Value, Value)>>,
    left: usize,
}

impl<'a> Resolver<'a> {
    /// One for an entry.
    pub fn new(
        unit: &'a mut UnitOfWork,
        models: &'a Models,
        context: &'a Map<String, Value>,
        keys: &'a HashMap<String, Value>,
    ) -> Self {
        Self { unit, models, context, keys, items: Vec::new(), left: MAX_VALUES }
    }

    /// The value of a node.
    ///
    /// # Errors
    /// A tag in it can't be resolved.
    pub fn value<'r>(&'r mut self, node: &'r Node) -> Resolving<'r> {
        Box::pin(async move {
            self.left = self.left.checked_sub(1).ok_or_else(|| {
                Refused::at(node.line, format!("more than {MAX_VALUES} values in an entry"))
            })?;
            match (&node.tag, &node.content) {
                (Some(tag), content) => self.tagged(tag, node, content).await,
                (None, Content::Scalar { text, plain }) => {
                    Ok(if *plain { scalar(text) } else { Value::String(text.clone()) })
                }
                (None, Content::Sequence(items)) => Ok(Value::Array(self.all(items).await?)),
                (None, Content::Mapping(entries)) => {
                    let mut map = Map::new();
                    for (key, value) in entries {
                        let key = self.key(key).await?;
                        map.insert(key, self.value(value).await?);
                    }
                    Ok(Value::Object(map))
                }
            }
        })
    }

    /// A mapping, or none.
    ///
    /// # Errors
    /// It is something else, or a tag in it can't be resolved.
    pub async fn map(&mut self, node: Option<&Node>, what: &str) -> Result<Map<String, Value>, Refused> {
        let Some(node) = node else { return Ok(Map::new()) };
        match self.value(node).await? {
            Value::Object(map) => Ok(map),
            Value::Null => Ok(Map::new()),
            _ => Err(Refused::at(node.line, format!("{what} must be a mapping"))),
        }
    }

    async fn all(&mut self, nodes: &[Arc<Node>]) -> Result<Vec<Value>, Refused> {
        let mut values = Vec::with_capacity(nodes.len());
        for node in nodes {
            values.push(self.value(node).await?);
        }
        Ok(values)
    }

    /// The key of a mapping, which JSON has as a text.
    async fn key(&mut self, node: &Node) -> Result<String, Refused> {
        match self.value(node).await? {
            Value::String(text) => Ok(text),
            key @ (Value::Null | Value::Bool(_) | Value::Number(_)) => Ok(key.to_string()),
            _ => Err(Refused::at(node.line, "a key must be a text")),
        }
    }

    async fn tagged(&mut self, tag: &str, node: &Node, content: &Content) -> Result<Value, Refused> {
        let refused = |sentence: String| Refused::at(node.line, format!("!{tag}: {sentence}"));
        match (tag, content) {
            ("KeyOf", Content::Scalar { text, .. }) => {
                let key = self.keys.get(text).cloned();
                key.ok_or_else(|| refused(format!("no entry before has the id {text} and an object")))
            }
            ("Env", _) => {
                let (name, default) = self.named(tag, node).await?;
                let value = std::env::var(&name).ok().filter(|value| !value.is_empty());
                Ok(value.map_or(default, Value::String))
            }
            ("File", _) => {
                let (path, default) = self.named(tag, node).await?;
                let text = std::fs::read_to_string(&path).ok();
                Ok(text.map_or(default, |text| json!(text.trim())))
            }
            ("Context", _) => {
                let (name, default) = self.named(tag, node).await?;
                Ok(in_context(self.context, &name).cloned().unwrap_or(default))
            }
            ("Index" | "Value", Content::Scalar { text, .. }) => {
                let depth =
                    text.parse::<usize>().map_err(|_| refused("its depth must be a number".into()))?;
                let item = self.items.iter().rev().nth(depth);
                let item = item.ok_or_else(|| refused("there is no !Enumerate so far around it".into()))?;
                let (index, value) =
                    item.as_ref().ok_or_else(|| refused("an !Enumerate can't go through itself".into()))?;
                Ok(if tag == "Index" { index.clone() } else { value.clone() })
            }
            ("If", Content::Sequence(items)) => match items.as_slice() {
                [condition] => Ok(json!(is_true(&self.value(condition).await?))),
                [condition, yes, no] => {
                    let chosen = if is_true(&self.value(condition).await?) { yes } else { no };
                    self.value(chosen).await
                }
                _ => Err(refused("it takes a condition, and two values or none".into())),
            },
            ("Find" | "FindObject", Content::Sequence(items)) => self.find(tag, node, items).await,
            ("Enumerate", Content::Sequence(items)) => self.enumerate(node, items).await,
            ("Format" | "Condition" | "AtIndex", Content::Sequence(items)) => {
                let values = self.all(items).await?;
                let done = match tag {
                    "Format" => formatted(&values),
                    "Condition" => condition(&values).map(Value::Bool),
                    _ => collections::at_index(&values),
                };
                done.map_err(refused)
            }
            (_, Content::Scalar { .. }) => Err(refused("it takes a list".into())),
            _ => Err(refused("it takes a text".into())),
        }
    }

    /// What a tag that takes a name, or a name and a default, names.
    async fn named(&mut self, tag: &str, node: &Node) -> Result<(String, Value), Refused> {
        let (name, default) = match &node.content {
            Content::Scalar { text, .. } => return Ok((text.clone(), Value::Null)),
            Content::Sequence(items) if items.len() == 2 => (&items[0], &items[1]),
            _ => {
                return Err(Refused::at(
                    node.line,
                    format!("!{tag}: it takes a name, or a name and a default"),
                ));
            }
        };
        Ok((self.key(name).await?, self.value(default).await?))
    }

    /// The key of the first object that fits, or the object itself; null if there is none.
    async fn find(&mut self, tag: &str, node: &Node, items: &[Arc<Node>]) -> Result<Value, Refused> {
        let refused = |sentence: &str| Refused::at(node.line, format!("!{tag}: {sentence}"));
        let values = self.all(items).await?;
        let (name, pairs) = match values.split_first() {
            Some((Value::String(name), pairs)) if !pairs.is_empty() => (name, pairs),
            _ => return Err(refused("it takes a model and pairs of a field and a value")),
        };
        let model =
            self.models.get(name).ok_or_else(|| refused(&format!("the model {name} is not known")))?;
        let mut by = Map::new();
        for pair in pairs {
            match pair.as_array().map(Vec::as_slice) {
                Some([Value::String(field), value]) => by.insert(field.clone(), value.clone()),
                _ => return Err(refused("it takes pairs of a field and a value")),
            };
        }
        let found = self.unit.find(model, &by).await.map_err(|error| Refused::by(node.line, &error))?;
        Ok(match found {
            Some(object) if tag == "FindObject" => Value::Object(object),
            Some(mut object) => object.remove("pk").unwrap_or_default(),
            None => Value::Null,
        })
    }

    async fn enumerate(&mut self, node: &Node, items: &[Arc<Node>]) -> Result<Value, Refused> {
        let refused = |sentence: String| Refused::at(node.line, format!("!Enumerate: {sentence}"));
        let [iterable, kind, body] = items else {
            return Err(refused("it takes what to go through, SEQ or MAP, and an item".into()));
        };
        self.items.push(None);
        let iterable = self.value(iterable).await;
        self.items.pop();
        let iterable = iterable?;
        let mut output = match self.value(kind).await? {
            Value::String(kind) => collections::Output::of(&kind),
            _ => None,
        }
        .ok_or_else(|| refused("its second part must be SEQ or MAP".into()))?;
        for item in collections::items(iterable).map_err(refused)? {
            self.items.push(Some(item));
            let made = self.value(body).await;
            self.items.pop();
            output.add(made?).map_err(refused)?;
        }
        Ok(output.into_value())
    }
}

/// A name of the context, or several with dots between them that lead into it.
fn in_context<'c>(context: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    if let Some(value) = context.get(name) {
        return Some(value);
    }
    let mut names = name.split('.');
    let first = context.get(names.next()?)?;
    names.try_fold(first, |value, name| match value {
        Value::Object(map) => map.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Python's `bool(value)`.
pub fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(boolean) => *boolean,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn formatted(values: &[Value]) -> Result<Value, String> {
    match values.split_first() {
        Some((Value::String(text), values)) => format(text, values).map(Value::String),
        _ => Err("it takes a text and what goes into it".to_owned()),
    }
}

fn condition(values: &[Value]) -> Result<bool, String> {
    let (mode, values) = match values.split_first() {
        Some((Value::String(mode), values)) if !values.is_empty() => (mode.to_uppercase(), values),
        _ => return Err("it takes a mode and at least one value".to_owned()),
    };
    let mut booleans = values.iter().map(is_true);
    Ok(match mode.as_str() {
        "AND" => booleans.all(|boolean| boolean),
        "NAND" => !booleans.all(|boolean| boolean),
        "OR" => booleans.any(|boolean| boolean),
        "NOR" => !booleans.any(|boolean| boolean),
        "XOR" => booleans.fold(false, |one, other| one ^ other),
        "XNOR" => !booleans.fold(false, |one, other| one ^ other),
        "EQ" => values.windows(2).all(|pair| pair[0] == pair[1]),
        "NEQ" => !values.windows(2).all(|pair| pair[0] == pair[1]),
        _ => return Err("its mode must be EQ, NEQ, AND, NAND, OR, NOR, XOR or XNOR".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(json!(["AND", true, "x"]), Ok(true))]
    #[case(json!(["and", true, ""]), Ok(false))]
    #[case(json!(["NAND", 1]), Ok(false))]
    #[case(json!(["OR", 0, []]), Ok(false))]
    #[case(json!(["NOR", null]), Ok(true))]
    #[case(json!(["XOR", 1, 1, 1]), Ok(true))]
    #[case(json!(["XNOR", 1, 0]), Ok(false))]
    #[case(json!(["EQ", 1, 1, 1]), Ok(true))]
    #[case(json!(["NEQ", "a", "b"]), Ok(true))]
    #[case(json!(["AND"]), Err(()))]
    #[case(json!(["MAYBE", 1]), Err(()))]
    fn conditions_come_to_a_boolean(#[case] values: Value, #[case] expected: Result<bool, ()>) {
        assert_eq!(condition(values.as_array().unwrap()).map_err(drop), expected);
    }

    #[rstest]
    #[case("a.b", Some(json!(1)))]
    #[case("c", Some(json!({ "d": [5, { "e": 6 }] })))]
    #[case("c.d.1.e", Some(json!(6)))]
    #[case("c.d.2", None)]
    #[case("c.d.x", None)]
    #[case("x", None)]
    fn names_with_dots_lead_into_the_context(#[case] name: &str, #[case] expected: Option<Value>) {
        let context = json!({ "a.b": 1, "a": { "b": 2 }, "c": { "d": [5, { "e": 6 }] } });
        assert_eq!(in_context(context.as_object().unwrap(), name).cloned(), expected);
    }
}
