//! [`Change`]: what an entry did, or would do, for people to read.

use std::fmt;

use drf::field::Fields;
use serde_json::Value;

use crate::views::Object;

/// What stands for values that answers never show.
const HIDDEN: &str = "(not shown)";

/// What an entry did.
#[derive(Debug)]
pub struct Change {
    /// The line where the entry begins.
    pub line: usize,
    /// The model.
    pub model: String,
    /// What it was found by.
    pub identifiers: Object,
    /// What became of the object.
    pub what: What,
    /// The fields that the entry speaks of and that differ: what they were, if the object was there, and what they are.
    pub fields: Vec<(String, Option<Value>, Value)>,
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// It wasn't there.
    Made,
    /// It was another.
    Changed,
    /// It was there, and shall not be.
    Removed,
    /// It is as it was.
    Kept,
    /// The conditions of the entry don't hold, so it isn't looked at.
    Skipped,
}

impl Change {
    /// The fields of a new object that its entry names, or of a changed one that differ.
    pub(super) fn differences(
        fields: Fields,
        body: &Object,
        before: Option<&Object>,
        after: &Object,
    ) -> Vec<(String, Option<Value>, Value)> {
        let mut found = Vec::new();
        for field in fields.iter().filter(|field| field.writable()) {
            let (old, new) = (before.and_then(|before| before.get(field.name)), after.get(field.name));
            let is_named = body.contains_key(field.name);
            // A change may have set more than its entry names; of a new object that would be everything.
            let is_told = is_named || before.is_some();
            let hidden = || Value::String(HIDDEN.to_owned());
            match new {
                Some(new) if is_told && old != Some(new) => {
                    found.push((field.name.to_owned(), old.cloned(), new.clone()));
                }
                None if field.write_only && is_named => {
                    found.push((field.name.to_owned(), before.map(|_| hidden()), hidden()));
                }
                _ => {}
            }
        }
        found
    }
}

impl fmt::Display for Change {
    /// As in a diff: a line for the object, and one for each field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.what {
            What::Made => '+',
            What::Changed => '~',
            What::Removed => '-',
            What::Kept => '=',
            What::Skipped => '?',
        };
        write!(f, "{sign} {}", self.model)?;
        for (name, value) in &self.identifiers {
            write!(f, " {name}={value}")?;
        }
        writeln!(f, " (line {})", self.line)?;
        for (name, old, new) in &self.fields {
            match old {
                Some(old) => writeln!(f, "    {name}: {old} -> {new}")?,
                None => writeln!(f, "    {name}: {new}")?,
            }
        }
        Ok(())
    }
}
