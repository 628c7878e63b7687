//! [`Models`]: the resources, by what blueprints call them.

use std::collections::BTreeMap;

use crate::resources::{self, Visitor};
use crate::views::{Resource, ViewSet, view_set};

/// All that there are, by `app_label.model`. Of several resources of a model the first is the one that shows it whole.
pub struct Models(BTreeMap<String, &'static dyn ViewSet>);

impl Models {
    /// Those of the registry.
    pub fn all() -> Self {
        struct All(BTreeMap<String, &'static dyn ViewSet>);
        impl Visitor for All {
            fn visit<R: Resource>(&mut self) {
                self.0.entry(R::DECLARATION.model.label()).or_insert_with(view_set::of::<R>);
            }
        }
        let mut all = All(BTreeMap::new());
        resources::visit(&mut all);
        Self(all.0)
    }

    /// The one of this name, which may be spelled with capitals, as Django has it.
    pub fn get(&self, name: &str) -> Option<&'static dyn ViewSet> {
        self.0.get(&name.to_lowercase()).copied()
    }
}
