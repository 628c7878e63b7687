//! [`Export`]: objects as the entries of a blueprint. Objects are named by what they are named by anywhere, and by each
//! other's ids, so that the file fits another database. Only invitations keep their keys: those are the secrets of their
//! links.

use std::collections::{HashMap, HashSet};

use drf::field::{Field, FieldKind, Fields};
use drf::params::asc;
use serde_json::Value;

use super::emit::{self, Emitted};
use super::models::Models;
use crate::error::ApiError;
use crate::views::{Object, UnitOfWork};

/// What stands before the entries.
pub const HEAD: &str = "\
version: 1
metadata:
  name: ak-stages export
entries:
";

/// Objects that are read at a time.
const BATCH: i64 = 500;
/// What no export has: users and roles are made on the spot, and `flow_set` is told by the bindings.
const LEFT_OUT: [&str; 3] = ["users", "roles", "flow_set"];

/// The models of an export, in order: each after those that it names. With what objects are named by.
const MODELS: [(&str, &[&str]); 7] = [
    (GROUP, &["name"]),
    ("authentik_flows.flow", &["slug"]),
    (EMAIL_STAGE, &["name"]),
    ("authentik_stages_user_write.userwritestage", &["name"]),
    ("authentik_stages_invitation.invitationstage", &["name"]),
    ("authentik_flows.flowstagebinding", &["target", "stage", "order"]),
    ("authentik_stages_invitation.invitation", &["pk"]),
];
const GROUP: &str = "authentik_core.group";
const EMAIL_STAGE: &str = "authentik_stages_email.emailstage";
/// The groups above a group.
const PARENTS: &str = "parents";

/// An export on its way.
pub struct Export<'a> {
    unit: &'a mut UnitOfWork,
    models: Models,
    /// The ids of entries by the keys of their objects.
    ids: HashMap<String, String>,
    /// How many of the models are done.
    done: usize,
    /// Email stages: their passwords stay here.
    pub email_stages: usize,
}

impl<'a> Export<'a> {
    /// One of all that the unit's user may view.
    pub fn new(unit: &'a mut UnitOfWork) -> Self {
        Self { unit, models: Models::all(), ids: HashMap::new(), done: 0, email_stages: 0 }
    }

    /// The entries of the next model; `None` after the last one. `seen` is told how many objects were read meanwhile.
    ///
    /// # Errors
    /// The database failed.
    pub async fn next(&mut self, seen: impl Fn(usize)) -> Result<Option<Vec<String>>, ApiError> {
        let Some((name, named_by)) = MODELS.get(self.done).copied() else { return Ok(None) };
        let Some(model) = self.models.get(name) else { return Ok(None) };
        let (fields, mut objects) = (model.declaration().fields, Vec::new());
        for number in 1.. {
            let Some(page) = self.unit.page(model, &[asc("pk")], BATCH, number).await? else { break };
            seen(page.len());
            objects.extend(page);
        }
        self.done += 1;
        self.sort(&mut objects, named_by);
        let more = if name == GROUP { below_first(&mut objects) } else { Vec::new() };
        let mut entries: Vec<_> =
            objects.iter().map(|object| self.entry(name, named_by, fields, object)).collect();
        entries.extend(more.iter().map(|group| self.parents(named_by, fields, group)));
        if name == EMAIL_STAGE {
            self.email_stages = entries.len();
        }
        Ok(Some(entries))
    }

    /// By what they are named by, whatever the database's collation is.
    fn sort(&self, objects: &mut [Object], names: &[&str]) {
        let part = |object: &Object, name: &str| {
            let value = object.get(name).cloned().unwrap_or_default();
            match &value {
                Value::String(text) => (0, self.ids.get(text).unwrap_or(text).clone()),
                Value::Number(number) => (number.as_i64().unwrap_or_default(), String::new()),
                _ => (0, String::new()),
            }
        };
        // A flow's bindings in the order in which it runs them.
        let order = |object: &Object| {
            let mut parts: Vec<_> = names.iter().map(|name| part(object, name)).collect();
            if let [_, stage, place] = parts.as_mut_slice() {
                std::mem::swap(stage, place);
            }
            parts
        };
        objects.sort_by_cached_key(order);
    }

    fn entry(&mut self, model: &str, names: &[&str], fields: Fields, object: &Object) -> String {
        let identifiers: Vec<_> = names.iter().filter_map(|name| self.value(fields, name, object)).collect();
        let told = fields.iter().filter(|field| {
            field.writable() && !names.contains(&field.name) && !LEFT_OUT.contains(&field.name)
        });
        let is_said =
            |field: &&Field| !(field.beyond_contract && object.get(field.name).is_none_or(Value::is_null));
        let attrs: Vec<_> =
            told.filter(is_said).filter_map(|field| self.value(fields, field.name, object)).collect();
        let id = id(model, names, object);
        if let (Some(id), Some(Value::String(key))) = (&id, object.get("pk")) {
            self.ids.insert(key.clone(), id.clone());
        }
        emit::entry(model, id.as_deref(), &identifiers, &attrs)
    }

    /// Only the parents of a group.
    fn parents(&self, names: &[&str], fields: Fields, group: &Object) -> String {
        let of = |name: &&'static str| self.value(fields, name, group);
        let identifiers: Vec<_> = names.iter().filter_map(|name| self.value(fields, name, group)).collect();
        let attrs: Vec<_> = [PARENTS].iter().filter_map(of).collect();
        emit::entry(GROUP, None, &identifiers, &attrs)
    }

    /// A field of an object, with the ids of other entries for the keys of their objects.
    fn value<'n>(&self, fields: Fields, name: &'n str, object: &Object) -> Option<(&'n str, Emitted)> {
        let value = object.get(name)?.clone();
        let is_key = |kind| matches!(kind, FieldKind::ForeignKey(_) | FieldKind::Many(..));
        if !fields.get(name).is_some_and(|field| is_key(field.kind)) {
            return Some((name, Emitted::Plain(value)));
        }
        let key = |value: Value| match value.as_str().and_then(|key| self.ids.get(key)) {
            Some(id) => Emitted::KeyOf(id.clone()),
            None => Emitted::Plain(value),
        };
        let named = match value {
            Value::Array(keys) => {
                let mut keys: Vec<_> = keys.into_iter().map(key).collect();
                keys.sort_by_key(|key| format!("{key:?}"));
                Emitted::List(keys)
            }
            value => key(value),
        };
        Some((name, named))
    }
}

/// The id of an object's entry, if others may name it: `flow-enrollment`. All stages share their names.
fn id(model: &str, names: &[&str], object: &Object) -> Option<String> {
    let [name] = names else { return None };
    let value = object.get(*name).filter(|_| *name != "pk")?.as_str()?;
    let kind = model.rsplit('.').next().filter(|kind| !kind.ends_with("stage")).unwrap_or("stage");
    Some(format!("{kind}-{value}"))
}

/// Put groups behind their parents. Those that are above each other go without, and are given back with them.
fn below_first(groups: &mut Vec<Object>) -> Vec<Object> {
    let mut left = std::mem::take(groups);
    let mut circles = Vec::new();
    let key = |group: &Object| group.get("pk")?.as_str().map(str::to_owned);
    while !left.is_empty() {
        let waiting: HashSet<_> = left.iter().filter_map(key).collect();
        let waits = |group: &Object| {
            let mut parents = group.get(PARENTS).and_then(Value::as_array).into_iter().flatten();
            parents.any(|parent| parent.as_str().is_some_and(|parent| waiting.contains(parent)))
        };
        let (behind, ready): (Vec<_>, Vec<_>) = left.into_iter().partition(waits);
        left = behind;
        if ready.is_empty() {
            circles.clone_from(&left);
            for mut group in left.drain(..) {
                group.remove(PARENTS);
                groups.push(group);
            }
        }
        groups.extend(ready);
    }
    circles
}
