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

/// The registered resources whose objects have a `pk` and a path of their own: all but those of permissions.
pub fn declared() -> Vec<Declared> {
    let is_ordinary = |resource: &Declared| {
        resource.fields.get("pk").is_some() && resource.does(Method::Get, Route::OBJECT)
    };
    registered().into_iter().filter(is_ordinary).collect()
}

/// Every registered resource.
pub fn registered() -> Vec<Declared> {
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
        registered().into_iter().find(|resource| resource.path == path).unwrap()
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
        format!("{}{}/", self.path, self.key_of(row))
    }

    /// The key of an answer's object in its path, as text.
    pub fn key_of(&self, row: &Value) -> String {
        let key = [self.lookup.parameter, "pk", "role_pk"].iter().find_map(|name| row.get(*name)).unwrap();
        key.as_str().map_or(key.to_string(), str::to_owned)
    }

    /// The path of the list, with the parameters that it can't do without.
    pub fn list_path(&self) -> String {
        let named = self.filters.iter().filter(|filter| filter.kind.has_to_be_named());
        let query: Vec<_> = named.map(|filter| format!("{}=authentik_core.group", filter.name)).collect();
        if query.is_empty() { self.path.to_owned() } else { format!("{}?{}", self.path, query.join("&")) }
    }

    /// The path of an action, for this object where it is one on an object.
    pub fn place_of(&self, action: &Action, row: &Value) -> String {
        if action.route == Route::LIST && action.method == Method::Get {
            return self.list_path();
        }
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
