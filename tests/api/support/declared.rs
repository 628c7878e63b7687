//! The resources' declarations without their types, to write tests about all of them.

use ak_stages::resources::{self, Visitor};
use ak_stages::views::Resource;
use drf::action::{Action, Method, Route};
use drf::declaration::Declaration;
use drf::field::{Field, FieldKind};
use serde_json::Value;

/// What a resource declares.
pub struct Declared {
    declaration: &'static Declaration,
    /// All its actions.
    pub actions: Vec<Action>,
}

impl std::ops::Deref for Declared {
    type Target = Declaration;
    fn deref(&self) -> &Declaration {
        self.declaration
    }
}

/// Every registered resource.
pub fn declared() -> Vec<Declared> {
    struct All(Vec<Declared>);
    impl Visitor for All {
        fn visit<R: Resource>(&mut self) {
            let actions = R::actions().map(|action| action.declared).collect();
            self.0.push(Declared { declaration: R::DECLARATION, actions });
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

    /// Whether it has an action of this method on the list or on an object.
    pub fn does(&self, method: Method, route: Route) -> bool {
        self.actions.iter().any(|action| action.method == method && action.route == route)
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

    /// The path of an action, for this object where it is one on an object.
    pub fn place_of(&self, action: &Action, row: &Value) -> String {
        let before = if action.route.detail { self.path_of(row) } else { self.path.to_owned() };
        Route { detail: false, ..action.route }.path(&before, "")
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
    matches!(field.kind, FieldKind::Text | FieldKind::Slug | FieldKind::Email)
}
