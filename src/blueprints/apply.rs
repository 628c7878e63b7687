//! [`Import`]: what the entries of a blueprint say is done, one after the other.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::Refused;
use super::change::{Change, What};
use super::collections::merge;
use super::document::{Blueprint, Entry, State};
use super::models::Models;
use super::tags::{Resolver, is_true};
use super::yaml::Node;
use crate::error::ApiError;
use crate::views::{Object, UnitOfWork, ViewSet, key_of};

/// What authentik says of itself in every context; no licence is known here.
const LICENSED: &str = "goauthentik.io/enterprise/licensed";

/// An import on its way.
pub struct Import<'a> {
    unit: &'a mut UnitOfWork,
    models: Models,
    context: Map<String, Value>,
    /// Keys of objects by the ids of their entries.
    keys: HashMap<String, Value>,
    /// Keys of objects by what the file has for them.
    renamed: HashMap<String, Value>,
}

impl<'a> Import<'a> {
    /// One that has done nothing yet. `context` goes over the file's own.
    ///
    /// # Errors
    /// The file's context can't be resolved, or it names a model that isn't known.
    pub async fn new(
        unit: &'a mut UnitOfWork,
        blueprint: &Blueprint,
        context: Map<String, Value>,
    ) -> Result<Self, Refused> {
        let models = Models::all();
        for entry in &blueprint.entries {
            if let Some(name) = entry.model.text() {
                model(&models, name, &entry.model)?;
            }
        }
        let mut whole = Map::from_iter([(LICENSED.to_owned(), Value::Bool(false))]);
        let keys = HashMap::new();
        // Tags in the context see what is given from outside.
        let mut resolver = Resolver::new(unit, &models, &context, &keys);
        let own = resolver.map(blueprint.context.as_deref(), "context").await?;
        merge(&mut whole, own);
        merge(&mut whole, context);
        Ok(Self { unit, models, context: whole, keys, renamed: HashMap::new() })
    }

    /// Do what an entry says.
    ///
    /// # Errors
    /// It can't be done.
    pub async fn apply(&mut self, entry: &Entry) -> Result<Change, Refused> {
        let line = entry.line;
        let Asked { model: name, state, identifiers, attrs, key } = self.asked(entry).await?;
        let mut change = Change { line, model: name, identifiers, what: What::Skipped, fields: Vec::new() };
        let Some(state) = state else { return Ok(change) };
        let model = model(&self.models, &change.model, &entry.model)?;
        let named = entry.identifiers.as_ref().map_or(line, |identifiers| identifiers.line);
        let found = self.unit.find(model, &change.identifiers).await;
        let found = found.map_err(|error| Refused::by(named, &error))?;
        if found.is_some() && state == State::MustCreated {
            return Err(Refused::at(line, "it must be created, and is there already"));
        }
        let step = Step { unit: self.unit, model, state, attrs: &attrs, found };
        let said = entry.attrs.as_ref().map_or(line, |attrs| attrs.line);
        let object = step.take(&mut change).await.map_err(|error| Refused::by(said, &error))?;
        if let Some(pk) = object.and_then(|mut object| object.remove("pk")) {
            if let Some(key) = key {
                self.renamed.insert(key.to_string(), pk.clone());
            }
            if let Some(id) = &entry.id {
                self.keys.insert(id.clone(), pk);
            }
        }
        Ok(change)
    }

    /// What an entry says, with its tags resolved.
    async fn asked(&mut self, entry: &Entry) -> Result<Asked, Refused> {
        let Self { unit, models, context, keys, renamed } = self;
        let mut resolver = Resolver::new(unit, models, context, keys);
        let Value::String(model) = resolver.value(&entry.model).await? else {
            return Err(Refused::at(entry.model.line, "a model must be a text"));
        };
        let mut asked = Asked { model, ..Asked::default() };
        if !hold(&mut resolver, entry).await? {
            return Ok(asked);
        }
        asked.state = Some(state(&mut resolver, entry).await?);
        asked.identifiers = resolver.map(entry.identifiers.as_deref(), "identifiers").await?;
        if asked.identifiers.is_empty() {
            return Err(Refused::at(entry.line, "an entry must have identifiers"));
        }
        asked.attrs = resolver.map(entry.attrs.as_deref(), "attrs").await?;
        asked.key = asked.identifiers.get("pk").cloned();
        rename(&mut asked.identifiers, renamed);
        rename(&mut asked.attrs, renamed);
        Ok(asked)
    }
}

/// What an entry says.
#[derive(Default)]
struct Asked {
    model: String,
    /// None if its conditions don't hold.
    state: Option<State>,
    identifiers: Object,
    attrs: Object,
    /// The key that the file has for the object.
    key: Option<Value>,
}

/// What an entry does to its object.
struct Step<'a> {
    unit: &'a mut UnitOfWork,
    model: &'static dyn ViewSet,
    state: State,
    attrs: &'a Object,
    found: Option<Object>,
}

impl Step<'_> {
    /// Do it, and say what was done. Gives the object, if there is one afterwards.
    async fn take(self, change: &mut Change) -> Result<Option<Object>, ApiError> {
        let Self { unit, model, state, attrs, found } = self;
        let fields = model.declaration().fields;
        match (found, state) {
            (None, State::Absent) => {
                change.what = What::Kept;
                Ok(None)
            }
            (Some(before), State::Absent) => {
                unit.remove(model, &before).await?;
                change.what = What::Removed;
                Ok(None)
            }
            (Some(before), State::Created) => {
                change.what = What::Kept;
                Ok(Some(before))
            }
            (Some(before), _) => {
                let body = body(attrs, &change.identifiers, false);
                let after = unit.update(model, &before, &body).await?;
                change.fields = Change::differences(fields, &body, Some(&before), &after);
                change.what = if change.fields.is_empty() { What::Kept } else { What::Changed };
                Ok(Some(after))
            }
            (None, _) => {
                let body = body(attrs, &change.identifiers, true);
                let key = change.identifiers.get("pk").and_then(key_of);
                let after = unit.create(model, &body, key).await?;
                change.fields = Change::differences(fields, &body, None, &after);
                change.what = What::Made;
                Ok(Some(after))
            }
        }
    }
}

fn model(models: &Models, name: &str, node: &Node) -> Result<&'static dyn ViewSet, Refused> {
    models.get(name).ok_or_else(|| Refused::at(node.line, format!("the model {name} is not known")))
}

/// Whether all conditions hold.
async fn hold(resolver: &mut Resolver<'_>, entry: &Entry) -> Result<bool, Refused> {
    let Some(conditions) = &entry.conditions else { return Ok(true) };
    match resolver.value(conditions).await? {
        Value::Array(conditions) => Ok(conditions.iter().all(is_true)),
        Value::Null => Ok(true),
        _ => Err(Refused::at(conditions.line, "conditions must be a list")),
    }
}

async fn state(resolver: &mut Resolver<'_>, entry: &Entry) -> Result<State, Refused> {
    let Some(node) = &entry.state else { return Ok(State::Present) };
    let value = resolver.value(node).await?;
    let state = value.as_str().and_then(State::named);
    let sentence = "a state must be present, created, must_created or absent";
    state.ok_or_else(|| Refused::at(node.line, sentence))
}

/// Put the keys that objects have here in the place of those that the file has for them, as it may if it comes from
/// another database.
fn rename(values: &mut Map<String, Value>, renamed: &HashMap<String, Value>) {
    let rename = |value: &mut Value| {
        if let Some(key) = renamed.get(&value.to_string()) {
            *value = key.clone();
        }
    };
    for value in values.values_mut() {
        match value {
            Value::Array(items) => items.iter_mut().for_each(rename),
            Value::Object(map) => map.values_mut().for_each(rename),
            value => rename(value),
        }
    }
}

/// What a request would say: the attributes, and the identifiers. A dictionary that an object is found by only holds a part
/// of what it has, so it is for new ones.
fn body(attrs: &Object, identifiers: &Object, is_new: bool) -> Object {
    let mut body = attrs.clone();
    let told = |(name, value): &(&String, &Value)| name.as_str() != "pk" && (is_new || !value.is_object());
    merge(
        &mut body,
        identifiers.iter().filter(told).map(|(name, value)| (name.clone(), value.clone())).collect(),
    );
    body
}
