//! [`Action`]: what can be done with a resource, as a value. The seven of every resource are such values, and so are the
//! `@action`s and `APIView`s beside them.

use serde_json::Value;

use super::field::{Fields, Version};
use super::intake::Mode;
use super::openapi::Document;
use super::params::Parameter;
use super::permission::{Permission, Verb};

/// The methods that actions have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// GET, and HEAD with it.
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
}

impl Method {
    /// As requests spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// The method of a request; `None` for those that no action has.
    pub fn of(name: &str) -> Option<Self> {
        if name == "HEAD" {
            return Some(Self::Get);
        }
        [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete]
            .into_iter()
            .find(|method| method.name() == name)
    }
}

/// Where an action stands: DRF's `detail` and `url_path`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// On one object rather than on the list.
    pub detail: bool,
    /// The segments behind that; empty for the list or the object itself. One in braces stands for a key.
    pub url_path: &'static str,
}

impl Route {
    /// The list itself.
    pub const LIST: Self = Self { detail: false, url_path: "" };
    /// The object itself.
    pub const OBJECT: Self = Self { detail: true, url_path: "" };

    /// The name of the key among the segments of its own, if there is one.
    pub fn parameter(self) -> Option<&'static str> {
        self.url_path.split('/').find_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
    }

    /// The path below `resource`, with `parameter` for the object's key.
    pub fn path(self, resource: &str, parameter: &str) -> String {
        let object = if self.detail { format!("{{{parameter}}}/") } else { String::new() };
        let segment = if self.url_path.is_empty() { String::new() } else { format!("{}/", self.url_path) };
        format!("{resource}{object}{segment}")
    }
}

/// What an action takes.
#[derive(Debug, Clone, Copy)]
pub enum RequestBody {
    /// Nothing.
    None,
    /// The resource's fields.
    Resource(Mode),
    /// Fields of its own.
    Fields {
        /// The component in the OpenAPI document.
        component: &'static str,
        /// What is said of it there.
        description: &'static str,
        /// The fields.
        fields: Fields,
    },
    /// Fields of its own, which the action checks itself.
    Unchecked {
        /// The component in the OpenAPI document.
        component: &'static str,
        /// What is said of it there.
        description: &'static str,
        /// The fields.
        fields: Fields,
    },
}

/// A component of the OpenAPI document that isn't a resource's own.
#[derive(Debug, Clone, Copy)]
pub struct Component {
    /// Its name.
    pub name: &'static str,
    /// Its schema; what that refers to is added to the document.
    pub schema: fn(&mut Document) -> Value,
}

/// What an action answers when all is well.
#[derive(Debug, Clone, Copy)]
pub enum Success {
    /// 200 with the object.
    Object,
    /// 201 with the object.
    Created,
    /// 200 with a page of objects.
    Page,
    /// 204
    NoContent,
    /// 204; or 202 with a list of a component, for those who prefer one.
    Queued(&'static Component),
    /// 200 with a component.
    One(&'static Component),
    /// 200 with a list of a component.
    Many(&'static Component),
    /// 200 with an object of no keys.
    Empty,
    /// 200 with a document; its media types. The action negotiates them itself.
    Document(&'static [&'static str]),
}

/// Whether an action changes anything, its own traces included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It only reads.
    Reads,
    /// It runs in a transaction. One on an object locks the row, unless its method is GET.
    Writes,
}

/// See the module.
#[derive(Debug, Clone, Copy)]
#[must_use = "an action declares something only as part of a resource"]
pub struct Action {
    /// The end of its operation id, such as `partial_update` or `view_key_retrieve`.
    pub operation: &'static str,
    /// Its method.
    pub method: Method,
    /// Where it stands.
    pub route: Route,
    /// Its view's name in an `OPTIONS` answer; of the seven it is the resource's with this behind.
    pub view_name: &'static str,
    /// What it does; empty for the seven, which are described by their resource.
    pub description: &'static str,
    /// Who may.
    pub permission: Permission,
    /// What it takes.
    pub body: RequestBody,
    /// What it answers.
    pub success: Success,
    /// Whether it changes anything.
    pub effect: Effect,
    /// Query parameters of its own.
    pub query: &'static [Parameter],
    /// The version that it came with: an older API does not have it.
    pub since: Version,
    /// Its tag in the OpenAPI document; none for that of its path.
    pub tag: Option<&'static str>,
}

impl Action {
    const fn new(operation: &'static str, method: Method, route: Route, permission: Permission) -> Self {
        Self {
            operation,
            method,
            route,
            view_name: if route.detail { "Instance" } else { "List" },
            description: "",
            permission,
            body: RequestBody::None,
            success: Success::Object,
            effect: if matches!(method, Method::Get) { Effect::Reads } else { Effect::Writes },
            query: &[],
            since: Version(0),
            tag: None,
        }
    }

    /// GET on the list.
    pub const LIST: Self =
        Self::new("list", Method::Get, Route::LIST, Permission::View).answers(Success::Page);
    /// POST on the list.
    pub const CREATE: Self = Self::new("create", Method::Post, Route::LIST, Permission::Model(Verb::Add))
        .takes(RequestBody::Resource(Mode::Create))
        .answers(Success::Created);
    /// GET on an object.
    pub const RETRIEVE: Self = Self::new("retrieve", Method::Get, Route::OBJECT, Permission::View);
    /// PUT on an object.
    pub const UPDATE: Self = Self::new("update", Method::Put, Route::OBJECT, Permission::Model(Verb::Change))
        .takes(RequestBody::Resource(Mode::Replace));
    /// PATCH on an object.
    pub const PARTIAL_UPDATE: Self =
        Self::new("partial_update", Method::Patch, Route::OBJECT, Permission::Model(Verb::Change))
            .takes(RequestBody::Resource(Mode::Partial));
    /// DELETE on an object.
    pub const DESTROY: Self =
        Self::new("destroy", Method::Delete, Route::OBJECT, Permission::Model(Verb::Delete))
            .answers(Success::NoContent);

    /// An action beside the seven; its view's name is `view_name`.
    pub const fn extra(
        operation: &'static str,
        method: Method,
        route: Route,
        permission: Permission,
        view_name: &'static str,
        description: &'static str,
    ) -> Self {
        let mut action = Self::new(operation, method, route, permission);
        action.view_name = view_name;
        action.description = description;
        action
    }

    /// It takes this body.
    pub const fn takes(mut self, body: RequestBody) -> Self {
        self.body = body;
        self
    }

    /// It answers with this.
    pub const fn answers(mut self, success: Success) -> Self {
        self.success = success;
        self
    }

    /// It takes these query parameters.
    pub const fn asks(mut self, query: &'static [Parameter]) -> Self {
        self.query = query;
        self
    }

    /// It came with this version.
    pub const fn since(mut self, version: Version) -> Self {
        self.since = version;
        self
    }

    /// It stands under this tag in the OpenAPI document, rather than under that of its path.
    pub const fn tagged(mut self, tag: &'static str) -> Self {
        self.tag = Some(tag);
        self
    }

    /// Others may do it.
    pub const fn for_whom(mut self, permission: Permission) -> Self {
        self.permission = permission;
        self
    }

    /// It leaves a trace although its method is GET.
    pub const fn writes(mut self) -> Self {
        self.effect = Effect::Writes;
        self
    }

    /// Whether it is none of the seven that every resource may have.
    pub const fn is_extra(&self) -> bool {
        !self.route.url_path.is_empty()
    }
}

/// The `Allow` header of a path, from the methods of its actions: in DRF's order, with HEAD and OPTIONS.
pub fn allow(methods: impl Iterator<Item = Method>) -> String {
    let mut methods: Vec<Method> = methods.collect();
    methods.sort_unstable();
    let head = methods.contains(&Method::Get).then_some("HEAD");
    let names = methods.iter().map(|method| method.name()).chain(head).chain(["OPTIONS"]);
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_names_methods_in_the_order_of_drf() {
        assert_eq!(allow([Method::Get, Method::Post].into_iter()), "GET, POST, HEAD, OPTIONS");
        assert_eq!(allow([Method::Post].into_iter()), "POST, OPTIONS");
        let detail = [Method::Delete, Method::Patch, Method::Get, Method::Put];
        assert_eq!(allow(detail.into_iter()), "GET, PUT, PATCH, DELETE, HEAD, OPTIONS");
    }

    #[test]
    fn a_route_is_a_path() {
        assert_eq!(Route::LIST.path("/a/", "id"), "/a/");
        assert_eq!(Route::OBJECT.path("/a/", "id"), "/a/{id}/");
        assert_eq!(Route { detail: true, url_path: "used_by" }.path("/a/", "id"), "/a/{id}/used_by/");
        assert_eq!(Route { detail: false, url_path: "types" }.path("/a/", "id"), "/a/types/");
        let inner = Route { detail: true, url_path: "parts/{part_id}/mend" };
        assert_eq!(inner.path("/a/", "id"), "/a/{id}/parts/{part_id}/mend/");
        assert_eq!((inner.parameter(), Route::OBJECT.parameter()), (Some("part_id"), None));
    }
}
