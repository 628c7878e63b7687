//! An OpenAPI document of authentik's against ours: what a client that was made for it would miss here.
//!
//! A request of such a client has to be taken, and what it counts on in an answer has to be there. That ours takes more is
//! fine, and so are its words about errors, which authentik's document doesn't tell the truth about.

mod document;

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde::Serialize;
use serde_json::Value;

use self::document::{Document, is_true, properties, required, text};

/// Schemas inside one another that are looked at: authentik's are no deeper.
const DEPTH: usize = 16;

/// What a client would miss.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The version that the document is of.
    pub version: String,
    /// Operations that are served, too.
    pub served: usize,
    /// What is wrong with some of those, by operation.
    pub differences: BTreeMap<String, Vec<String>>,
    /// Operations on resources that are served, which aren't.
    pub missing: Vec<String>,
    /// How many operations there are on others, by tag.
    pub elsewhere: BTreeMap<String, usize>,
}

impl Report {
    /// Compare `theirs` with `ours`.
    ///
    /// # Errors
    /// A sentence, where it is no OpenAPI document with paths.
    pub fn of(ours: &Value, theirs: &Value) -> Result<Self, String> {
        let version = theirs.pointer("/info/version").and_then(Value::as_str).unwrap_or("?").to_owned();
        if theirs.get("openapi").and_then(Value::as_str).is_none() {
            return Err("it is no OpenAPI document".to_owned());
        }
        let (ours, theirs) = (Document(ours), Document(theirs));
        let mine: BTreeMap<String, &Value> = ours
            .operations()
            .into_iter()
            .map(|(path, method, operation)| (key(path, method), operation))
            .collect();
        let roots = ours.roots();
        let mut report = Self {
            version,
            served: 0,
            differences: BTreeMap::new(),
            missing: Vec::new(),
            elsewhere: BTreeMap::new(),
        };
        for (path, method, operation) in theirs.operations() {
            let name = format!("{} {path}", method.to_uppercase());
            if let Some(own) = mine.get(&key(path, method)) {
                report.served += 1;
                let mut lines = Lines { ours, theirs, found: Vec::new() };
                lines.operation(own, operation);
                if !lines.found.is_empty() {
                    report.differences.insert(name, lines.found);
                }
            } else if roots.iter().any(|root| path.starts_with(root.as_str())) {
                report.missing.push(name);
            } else {
                let tag = operation.pointer("/tags/0").and_then(Value::as_str).unwrap_or("others");
                *report.elsewhere.entry(tag.to_owned()).or_default() += 1;
            }
        }
        Ok(report)
    }

    /// Whether nothing is missing on what is served.
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.missing.is_empty()
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, served, differences, missing, elsewhere } = self;
        writeln!(
            f,
            "authentik {version}: {served} of its operations are served, {} not in all",
            differences.len()
        )?;
        for (operation, lines) in differences {
            writeln!(f, "  {operation}")?;
            for line in lines {
                writeln!(f, "    {line}")?;
            }
        }
        writeln!(f, "Not served of the same resources: {}", missing.len())?;
        for operation in missing {
            writeln!(f, "  {operation}")?;
        }
        let counts: Vec<String> = elsewhere.iter().map(|(tag, count)| format!("{tag} {count}")).collect();
        let others = if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
        writeln!(f, "Operations of other resources: {}{others}", elsewhere.values().sum::<usize>())
    }
}

/// The operation whatever its path calls its parameters.
fn key(path: &str, method: &str) -> String {
    let named = |segment: &str| if segment.starts_with('{') { "{}".to_owned() } else { segment.to_owned() };
    format!("{method} {}", path.split('/').map(named).collect::<Vec<_>>().join("/"))
}

/// Which way over the wire something goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    Request,
    Answer,
}

fn is_end_of_integers(bound: &Value) -> bool {
    [i64::from(i32::MIN), i64::from(i32::MAX)].map(Some).contains(&bound.as_i64())
}

/// So many values are named; of more, their number.
const NAMED: usize = 12;

fn listed(values: &[&str]) -> String {
    if values.len() > NAMED { format!("{} values", values.len()) } else { values.join(", ") }
}

/// What is found about one operation.
struct Lines<'d> {
    ours: Document<'d>,
    theirs: Document<'d>,
    found: Vec<String>,
}

impl<'d> Lines<'d> {
    fn say(&mut self, place: &str, what: impl Display) {
        self.found.push(format!("{place} {what}"));
    }

    fn operation(&mut self, ours: &'d Value, theirs: &'d Value) {
        let (mine, known) = (self.ours.parameters(ours), self.theirs.parameters(theirs));
        for (name, parameter) in &known {
            let place = format!("query parameter {name}");
            match mine.get(name) {
                None => self.say(&place, "is not taken"),
                Some(own) => {
                    let (own, schema) = (own.get("schema"), parameter.get("schema"));
                    if let (Some(own), Some(schema)) = (own, schema) {
                        self.schema(&place, own, schema, Wire::Request, 0);
                    }
                }
            }
        }
        let is_required = |name: &&&str| is_true(mine[**name], "required");
        let is_known = |name: &&str| known.get(name).is_some_and(|parameter| is_true(parameter, "required"));
        for name in mine.keys().filter(is_required).filter(|name| !is_known(name)) {
            self.say(&format!("query parameter {name}"), "is required");
        }
        if let Some(schema) = self.theirs.body(theirs.get("requestBody")) {
            match self.ours.body(ours.get("requestBody")) {
                Some(own) => self.schema("request", own, schema, Wire::Request, 0),
                None => self.say("request", "takes no body"),
            }
        }
        let responses = theirs.get("responses").and_then(Value::as_object).into_iter().flatten();
        for (status, answer) in responses.filter(|(status, _)| status.starts_with('2')) {
            let place = format!("answer {status}");
            let own = ours.get("responses").and_then(|responses| responses.get(status));
            let Some(schema) = self.theirs.body(Some(answer)) else {
                if own.is_none() {
                    self.say(&place, "is missing");
                }
                continue;
            };
            match (own, self.ours.body(own)) {
                (None, _) => self.say(&place, "is missing"),
                (_, None) => self.say(&place, "has no body"),
                (_, Some(own)) => self.schema(&place, own, schema, Wire::Answer, 0),
            }
        }
    }

    fn schema(&mut self, place: &str, ours: &'d Value, theirs: &'d Value, wire: Wire, depth: usize) {
        if depth > DEPTH {
            return;
        }
        let beside = (is_true(ours, "nullable"), is_true(theirs, "nullable"));
        let (ours, theirs) = (self.ours.resolve(ours), self.theirs.resolve(theirs));
        let (own_type, known_type) = (text(ours, "type"), text(theirs, "type"));
        if !own_type.is_empty() && !known_type.is_empty() && own_type != known_type {
            self.say(place, format_args!("is of type {own_type} instead of {known_type}"));
            return;
        }
        if wire == Wire::Request {
            let nullable = (beside.0 || is_true(ours, "nullable"), beside.1 || is_true(theirs, "nullable"));
            self.narrower(place, ours, theirs, nullable);
        }
        if let (Some(own), Some(known)) = (ours.get("items"), theirs.get("items")) {
            self.schema(&format!("{place}[]"), own, known, wire, depth + 1);
        }
        let (own_required, known_required) = (required(ours), required(theirs));
        let mine: BTreeMap<&str, &Value> = properties(ours).collect();
        for (name, known) in properties(theirs) {
            let inside = format!("{place}.{name}");
            match (mine.get(name), wire) {
                (Some(own), _) => self.schema(&inside, own, known, wire, depth + 1),
                (None, Wire::Request) => self.say(&inside, "is not taken"),
                (None, Wire::Answer) => self.say(&inside, "is missing"),
            }
        }
        match wire {
            Wire::Request => {
                for name in own_required.difference(&known_required) {
                    self.say(&format!("{place}.{name}"), "is required");
                }
            }
            Wire::Answer => {
                for name in known_required.difference(&own_required).filter(|name| mine.contains_key(*name)) {
                    self.say(&format!("{place}.{name}"), "may be missing");
                }
            }
        }
    }

    /// What a request may say and may not say here. `nullable`: ours, and theirs.
    fn narrower(&mut self, place: &str, ours: &'d Value, theirs: &'d Value, nullable: (bool, bool)) {
        if nullable == (false, true) {
            self.say(place, "may not be null");
        }
        let own = self.ours.values(ours);
        if !own.is_empty() {
            let known = self.theirs.values(theirs);
            let lacking: Vec<_> = known.difference(&own).copied().collect();
            if known.is_empty() {
                self.say(
                    place,
                    format_args!("takes nothing but {}", listed(&own.into_iter().collect::<Vec<_>>())),
                );
            } else if !lacking.is_empty() {
                self.say(place, format_args!("does not take {}", listed(&lacking)));
            }
        }
        for keyword in ["minimum", "minLength", "maximum", "maxLength", "pattern", "format"] {
            // Every integer of authentik's is one of 32 bits, and its document says so of some alone.
            let Some(own) = ours.get(keyword).filter(|own| !is_end_of_integers(own)) else { continue };
            let known = theirs.get(keyword);
            let is_narrower = match (own.as_f64(), known.and_then(Value::as_f64)) {
                (Some(own), Some(known)) if keyword.starts_with("min") => own > known,
                (Some(own), Some(known)) => own < known,
                // It leaves out that many a text is a key.
                _ if keyword == "format" => known.is_some_and(|known| known != own),
                _ => known != Some(own),
            };
            if is_narrower {
                self.say(place, format_args!("has to keep to {keyword} {own}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    /// A document of one operation, which takes and answers this.
    fn document(path: &str, query: &[&str], takes: &Value, answers: &Value) -> Value {
        let parameters: Vec<_> = query
            .iter()
            .map(|name| json!({ "in": "query", "name": name, "schema": { "type": "string" } }))
            .collect();
        let of = |schema: &Value| json!({ "content": { "application/json": { "schema": schema } } });
        let operation = json!({
            "parameters": parameters, "requestBody": of(takes), "responses": { "200": of(answers) }, "tags": ["core"],
        });
        json!({
            "openapi": "3.0.3", "info": { "version": "1.2" },
            "paths": { path: { "post": operation } },
            "components": { "schemas": { "ColourEnum": { "type": "string", "enum": ["red", "green"] } } },
        })
    }

    fn differences(ours: &Value, theirs: &Value) -> Vec<String> {
        let report = Report::of(ours, theirs).unwrap_or_else(|error| panic!("{error}"));
        report.differences.into_values().flatten().collect()
    }

    #[test]
    fn a_document_lacks_nothing_of_itself() {
        let schema =
            json!({ "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] });
        let one = document("/things/{id}/", &["q"], &schema, &schema);
        let report = Report::of(&one, &one).unwrap_or_else(|error| panic!("{error}"));
        assert!(report.is_clean() && report.served == 1, "{report}");
    }

    #[test]
    fn what_a_request_may_say_is_to_be_taken() {
        let colour = json!({ "$ref": "#/components/schemas/ColourEnum" });
        let theirs = json!({ "type": "object", "required": ["b"], "properties": {
            "a": { "type": "string", "nullable": true }, "b": { "type": "integer" },
            "c": { "oneOf": [colour, { "enum": ["blue"] }] }, "d": {}, "e": { "type": "string", "maxLength": 9 },
        } });
        let ours = json!({ "type": "object", "required": ["a", "b"], "properties": {
            "a": { "type": "string" }, "b": { "type": "integer", "minimum": 0 }, "c": { "allOf": [colour] },
            "e": { "type": "string", "maxLength": 8 }, "f": {},
        } });
        let found = differences(
            &document("/things/{id}/", &["p"], &ours, &json!({})),
            &document("/things/{uuid}/", &["p", "q"], &theirs, &json!({})),
        );
        let expected = [
            "query parameter q is not taken",
            "request.a may not be null",
            "request.b has to keep to minimum 0",
            "request.c does not take blue",
            "request.d is not taken",
            "request.e has to keep to maxLength 8",
            "request.a is required",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_an_answer_promises_is_to_be_there() {
        let item = |keys: &[&str]| {
            let properties: Map<String, Value> =
                keys.iter().map(|key| ((*key).to_owned(), json!({ "type": "string" }))).collect();
            json!({ "type": "array", "items": { "type": "object", "properties": properties, "required": keys } })
        };
        let mut ours = item(&["a", "b", "more"]);
        ours["items"]["required"] = json!(["a"]);
        let found = differences(
            &document("/things/{id}/", &[], &json!({}), &ours),
            &document("/things/{id}/", &[], &json!({}), &item(&["a", "b", "c"])),
        );
        assert_eq!(found, ["answer 200[].c is missing", "answer 200[].b may be missing"]);
    }

    #[test]
    fn what_is_not_served_is_told_from_what_is_far_away() {
        let any = json!({});
        let ours = document("/things/{id}/", &[], &any, &any);
        let of = |path| {
            Report::of(&ours, &document(path, &[], &any, &any)).unwrap_or_else(|error| panic!("{error}"))
        };
        assert_eq!(of("/things/{id}/paint/").missing, ["POST /things/{id}/paint/"]);
        let far = of("/others/");
        assert_eq!((far.missing.len(), &far.elsewhere["core"], far.is_clean()), (0, &1, true));
        assert!(Report::of(&ours, &json!({ "paths": {} })).is_err());
        assert!(Report::of(&ours, &json!("text")).is_err());
    }
}
