//! The resources' declarations without their types, to write tests about all of them.

use ak_stages::auth::rbac::Model;
use ak_stages::drf::field::{Field, Kind};
use ak_stages::drf::params::Filter;
use ak_stages::drf::resource::{Action, Lookup, Resource, Table};
use ak_stages::resources::{self, Visitor};
use serde_json::Value;

/// What a resource declares.
pub struct Declared {
    pub model: Model,
    pub path: &'static str,
    pub table: Table,
    pub fields: &'static [Field],
    pub lookup: Lookup,
    pub filters: &'static [Filter],
    pub includes: &'static [(&'static str, bool)],
    pub search: &'static [&'static str],
    pub order_expressions: &'static [(&'static str, &'static str)],
    pub actions: &'static [Action],
}

/// Every registered resource.
pub fn declared() -> Vec<Declared> {
    struct All(Vec<Declared>);
    impl Visitor for All {
        fn visit<R: Resource>(&mut self) {
            self.0.push(Declared {
                model: R::MODEL,
                path: R::PATH,
                table: R::TABLE,
                fields: R::FIELDS,
                lookup: R::LOOKUP,
                filters: R::FILTERS,
                includes: R::INCLUDES,
                search: R::SEARCH,
                order_expressions: R::ORDER_EXPRESSIONS,
                actions: R::ACTIONS,
            });
        }
    }
    let mut all = All(Vec::new());
    resources::visit(&mut all);
    all.0
}

impl Declared {
    /// The resource at this path.
    pub fn at(path: &str) -> Self {
        declared().into_iter().find(|resource| resource.path == path).unwrap()
    }

    pub fn does(&self, action: Action) -> bool {
        self.actions.contains(&action)
    }

    /// The fields that an answer holds, in order.
    pub fn readable(&self) -> impl Iterator<Item = &'static Field> {
        self.fields.iter().filter(|field| field.readable())
    }

    /// The fields that a request may set.
    pub fn writable(&self) -> impl Iterator<Item = &'static Field> {
        self.fields.iter().filter(|field| field.writable())
    }

    /// The fields that POST and PUT must name.
    pub fn required(&self) -> impl Iterator<Item = &'static Field> {
        self.writable().filter(|field| field.required)
    }

    /// Where the object of an answer stands.
    pub fn path_of(&self, row: &Value) -> String {
        let key = row.get(self.lookup.parameter).unwrap_or(&row["pk"]);
        match key {
            Value::String(key) => format!("{}{key}/", self.path),
            key => format!("{}{key}/", self.path),
        }
    }

    /// `FROM …` with the aliases that the resource's SQL expressions use.
    pub fn from(&self) -> String {
        let table = self.table;
        let parent = table.parent.map_or(String::new(), |parent| {
            format!(" JOIN {} p ON p.{} = t.{}", parent.name, parent.pk, parent.link)
        });
        format!("FROM {} t{parent}{}", table.name, table.joins)
    }
}

/// Whether a request writes the field as text.
pub fn is_text(field: &Field) -> bool {
    matches!(field.kind, Kind::Text | Kind::Slug | Kind::Email)
}
