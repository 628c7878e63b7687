//! [`Model`]: what entries and tags do with the objects of a model, whichever resource it is.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::pin::Pin;

use drf::field::Fields;
use drf::intake::KeyValue;
use drf::params::asc;
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::resources::{self, Visitor};
use crate::views::{Resource, UnitOfWork, printed};

/// What comes of it.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, ApiError>> + Send + 'a>>;

/// An object as answers show it.
pub type Object = Map<String, Value>;

/// A resource, by the name of its model.
pub trait Model: Send + Sync {
    /// Its fields.
    fn fields(&self) -> Fields;

    /// The object that has these values, if the unit's user may view it. See [`UnitOfWork::find`].
    fn find<'a>(&'a self, unit: &'a mut UnitOfWork, by: &'a Object) -> Doing<'a, Option<Object>>;

    /// So many of those that the unit's user may view, in the order of their keys; none behind the last page.
    fn page<'a>(&'a self, unit: &'a mut UnitOfWork, size: i64, number: i64)
    -> Doing<'a, Option<Vec<Object>>>;

    /// Make one, with this key if there is one.
    fn create<'a>(
        &'a self,
        unit: &'a mut UnitOfWork,
        body: &'a Value,
        key: Option<KeyValue>,
    ) -> Doing<'a, Object>;

    /// Change one that was found.
    fn update<'a>(
        &'a self,
        unit: &'a mut UnitOfWork,
        object: &'a Object,
        body: &'a Value,
    ) -> Doing<'a, Object>;

    /// Delete one that was found.
    fn remove<'a>(&'a self, unit: &'a mut UnitOfWork, object: &'a Object) -> Doing<'a, ()>;
}

/// All that there are, by `app_label.model`. Of several resources of a model the first is the one that shows it whole.
pub struct Models(BTreeMap<String, Box<dyn Model>>);

impl Models {
    /// Those of the registry.
    pub fn all() -> Self {
        struct All(BTreeMap<String, Box<dyn Model>>);
        impl Visitor for All {
            fn visit<R: Resource>(&mut self) {
                let label = R::DECLARATION.model.label();
                self.0.entry(label).or_insert_with(|| Box::new(Of::<R>(PhantomData)));
            }
        }
        let mut all = All(BTreeMap::new());
        resources::visit(&mut all);
        Self(all.0)
    }

    /// The one of this name, which may be spelled with capitals, as Django has it.
    pub fn get(&self, name: &str) -> Option<&dyn Model> {
        self.0.get(&name.to_lowercase()).map(AsRef::as_ref)
    }
}

/// A resource.
struct Of<R>(PhantomData<fn() -> R>);

impl<R: Resource> Model for Of<R> {
    fn fields(&self) -> Fields {
        R::DECLARATION.fields
    }

    fn find<'a>(&'a self, unit: &'a mut UnitOfWork, by: &'a Object) -> Doing<'a, Option<Object>> {
        Box::pin(async move {
            let found = unit.find::<R>(by).await?;
            found.as_ref().map(printed).transpose()
        })
    }

    fn page<'a>(
        &'a self,
        unit: &'a mut UnitOfWork,
        size: i64,
        number: i64,
    ) -> Doing<'a, Option<Vec<Object>>> {
        Box::pin(async move {
            let rows = unit.page::<R>(&[asc("pk")], size, number).await?;
            rows.map(|rows| rows.iter().map(printed).collect()).transpose()
        })
    }

    fn create<'a>(
        &'a self,
        unit: &'a mut UnitOfWork,
        body: &'a Value,
        key: Option<KeyValue>,
    ) -> Doing<'a, Object> {
        Box::pin(unit.create::<R>(body, key))
    }

    fn update<'a>(
        &'a self,
        unit: &'a mut UnitOfWork,
        object: &'a Object,
        body: &'a Value,
    ) -> Doing<'a, Object> {
        Box::pin(unit.update::<R>(object, body))
    }

    fn remove<'a>(&'a self, unit: &'a mut UnitOfWork, object: &'a Object) -> Doing<'a, ()> {
        Box::pin(unit.remove::<R>(object))
    }
}
