//! The OpenAPI document: components and operations from declarations, in the form that drf-spectacular gives it (OpenAPI
//! 3.0.3, one component for answers, one for requests, one for PATCH).

use serde_json::{Map, Value, json};

use super::action::{Action, Component, Method, RequestBody, Success};
use super::declaration::{Declaration, LookupKind};
use super::field::{Choices, Field, FieldKind, Fields, Key, Schema};
use super::intake::Mode;
use super::params::FilterKind;
use super::permission::Permission;

/// The OpenAPI version of the documents that drf-spectacular makes.
const OPENAPI: &str = "3.0.3";

/// A document that grows resource by resource.
pub struct Document {
    /// The name of the security scheme: a bearer token.
    scheme: &'static str,
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

/// Which way over the wire a component goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    Answer,
    Request,
    Patch,
}

impl Wire {
    fn component(self, name: &str) -> String {
        match self {
            Self::Answer => name.to_owned(),
            Self::Request => format!("{name}Request"),
            Self::Patch => format!("Patched{name}Request"),
        }
    }
}

/// A reference to a component.
pub fn reference(component: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{component}") })
}

impl Document {
    /// Of an API whose bearer tokens are the security scheme of this name.
    pub fn new(scheme: &'static str) -> Self {
        Self { scheme, paths: Map::new(), schemas: Map::new() }
    }

    /// Add the component `name` unless it is there.
    pub fn schema(&mut self, name: &str, schema: Value) {
        self.schemas.entry(name).or_insert(schema);
    }

    /// The schema of an object with the fields' answers.
    pub fn fields(&mut self, description: &str, fields: Fields) -> Value {
        self.schema_of(description, fields, Wire::Answer)
    }

    fn object(&mut self, name: &str, description: &str, fields: Fields, wire: Wire) -> Value {
        let component = wire.component(name);
        if !self.schemas.contains_key(&component) {
            self.schemas.insert(component.clone(), Value::Null); // a place in the order, and an end to recursion
            let schema = self.schema_of(description, fields, wire);
            self.schemas.insert(component.clone(), schema);
        }
        reference(&component)
    }

    fn schema_of(&mut self, description: &str, fields: Fields, wire: Wire) -> Value {
        let shown: Vec<_> = fields
            .iter()
            .filter(|field| match wire {
                Wire::Answer => field.readable(),
                Wire::Request | Wire::Patch => field.writable(),
            })
            .collect();
        let properties: Map<_, _> =
            shown.iter().map(|field| (field.name.to_owned(), self.property(field, wire))).collect();
        let is_required = |field: &&&Field| match wire {
            Wire::Answer => field.required || field.read_only || field.always,
            Wire::Request => field.required,
            Wire::Patch => false,
        };
        let mut required: Vec<_> = shown.iter().filter(is_required).map(|field| field.name).collect();
        required.sort_unstable();
        let mut schema = json!({ "type": "object", "description": description, "properties": properties });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }

    fn property(&mut self, field: &Field, wire: Wire) -> Value {
        let mut schema = match field.kind {
            FieldKind::Uuid => json!({ "type": "string", "format": "uuid" }),
            FieldKind::Text => json!({ "type": "string" }),
            FieldKind::Slug => json!({ "type": "string", "pattern": "^[-a-zA-Z0-9_]+$" }),
            // An address, or nothing.
            FieldKind::Email if field.blank && wire == Wire::Answer => json!({ "type": "string" }),
            FieldKind::Email => json!({ "type": "string", "format": "email" }),
            FieldKind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
            FieldKind::Serial => json!({ "type": "integer" }),
            FieldKind::Boolean => json!({ "type": "boolean" }),
            FieldKind::Choice(choices) => self.choices(choices),
            FieldKind::DateTime => json!({ "type": "string", "format": "date-time" }),
            FieldKind::Dictionary => json!({ "type": "object", "additionalProperties": {} }),
            FieldKind::List => json!({ "type": "array", "items": {} }),
            FieldKind::Texts => json!({ "type": "array", "items": { "type": "string", "minLength": 1 } }),
            FieldKind::ForeignKey(target) => key(target.key),
            FieldKind::Many(target, _) => json!({ "type": "array", "items": key(target.key) }),
            FieldKind::Nested { component, fields, many } => {
                let wire = if wire == Wire::Patch { Wire::Request } else { wire };
                let item = self.object(component, "", fields, wire);
                if many { json!({ "type": "array", "items": item }) } else { item }
            }
            FieldKind::Computed(schema) => computed(schema),
        };
        let texts = matches!(field.kind, FieldKind::Text | FieldKind::Slug | FieldKind::Email);
        let mut extra = Map::new();
        if wire != Wire::Answer && texts && !field.blank {
            extra.insert("minLength".into(), json!(1));
        }
        if let Some(most) = field.max_length {
            extra.insert("maxLength".into(), json!(most));
        }
        if field.nullable {
            extra.insert("nullable".into(), json!(true));
        }
        if field.read_only {
            extra.insert("readOnly".into(), json!(true));
        }
        if field.write_only {
            extra.insert("writeOnly".into(), json!(true));
        }
        if let Some(label) = field.label {
            extra.insert("title".into(), json!(label));
        }
        if !field.help.is_empty() {
            extra.insert("description".into(), json!(field.help));
        }
        if !extra.is_empty() && schema.get("$ref").is_some() {
            schema = json!({ "allOf": [schema] }); // a reference has no siblings in OpenAPI 3.0
        }
        if let Value::Object(map) = &mut schema {
            map.extend(extra);
        }
        schema
    }

    fn choices(&mut self, choices: &Choices) -> Value {
        let values: Vec<_> = choices.values.iter().map(|(value, _)| *value).collect();
        self.schema(choices.name, json!({ "type": "string", "enum": values }));
        reference(choices.name)
    }

    /// Add an action of a resource: its operation, and the components that it speaks of.
    pub fn action(&mut self, declared: &Declaration, action: &Action, all: &[&Action]) {
        let name = declared.model.name;
        let path = action.route.path(declared.path, declared.lookup.parameter);
        let id = operation_id(declared, action);
        let mut parameters = Vec::new();
        if action.route.detail {
            parameters.push(lookup_parameter(declared));
        }
        parameters.extend(action.route.parameter().map(own_parameter));
        match action.success {
            Success::Page => parameters.extend(self.list_parameters(declared)),
            Success::Object if action.method == Method::Get => {
                parameters.extend(declared.includes.iter().map(|(name, default)| include(name, *default)));
            }
            _ => {}
        }
        let description =
            if action.is_extra() { action.description.to_owned() } else { format!("{name} Viewset") };
        let mut operation = self.operation(&path, &id, &description, parameters, Some(declared), action);
        match action.success {
            Success::Page => operation["responses"]["200"]["links"] = links(declared, all, "/results/0"),
            Success::Created => operation["responses"]["201"]["links"] = links(declared, all, ""),
            _ => {}
        }
        self.add(&path, action.method, operation);
    }

    /// Add a view that belongs to no resource.
    pub fn view(&mut self, path: &str, id: &str, action: &Action) {
        let operation = self.operation(path, id, action.description, Vec::new(), None, action);
        self.add(path, action.method, operation);
    }

    fn add(&mut self, path: &str, method: Method, operation: Value) {
        let item = self.paths.entry(path).or_insert_with(|| json!({}));
        item[method.name().to_ascii_lowercase()] = operation;
    }

    /// An operation with the answers that every one has.
    fn operation(
        &mut self,
        path: &str,
        id: &str,
        description: &str,
        mut parameters: Vec<Value>,
        declared: Option<&Declaration>,
        action: &Action,
    ) -> Value {
        parameters.extend(action.query.iter().map(|own| query(own.name, &self.filter_schema(own.kind))));
        let mut operation = json!({ "operationId": id, "description": description });
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        let tag = action.tag.unwrap_or_else(|| path.split('/').nth(1).unwrap_or_default());
        operation["tags"] = json!([tag]);
        if let Some(body) = self.request_body(declared, action.body) {
            operation["requestBody"] = body;
        }
        operation["security"] = match action.permission {
            Permission::Open | Permission::Public => json!([{ self.scheme: [] }, {}]),
            _ => json!([{ self.scheme: [] }]),
        };
        let (status, success) = self.success(declared, action.success);
        operation["responses"] = json!({
            status: success,
            "400": { "$ref": "#/components/responses/ValidationErrorResponse" },
            "403": { "$ref": "#/components/responses/GenericErrorResponse" },
            "default": { "$ref": "#/components/responses/GenericErrorResponse" },
        });
        if let Success::Queued(component) = action.success {
            let items = self.refer(component);
            operation["responses"]["202"] = response(&json!({ "type": "array", "items": items }));
        }
        if path.contains('{') {
            operation["responses"]["404"] = json!({ "$ref": "#/components/responses/NotFoundResponse" });
        }
        operation
    }

    fn request_body(&mut self, declared: Option<&Declaration>, body: RequestBody) -> Option<Value> {
        let (schema, required) = match body {
            RequestBody::None => return None,
            RequestBody::Resource(mode) => {
                let wire = if mode == Mode::Partial { Wire::Patch } else { Wire::Request };
                (self.resource(declared?, wire), wire == Wire::Request)
            }
            RequestBody::Fields { component, description, fields }
            | RequestBody::Unchecked { component, description, fields } => {
                (self.object(component, description, fields, Wire::Request), true)
            }
        };
        let mut body = json!({ "content": { "application/json": { "schema": schema } } });
        if required {
            body["required"] = json!(true);
        }
        Some(body)
    }

    fn resource(&mut self, declared: &Declaration, wire: Wire) -> Value {
        let name = declared.component;
        self.object(name, &format!("{name} Serializer"), declared.fields, wire)
    }

    /// The status and the response of an action that did what it was asked for.
    fn success(&mut self, declared: Option<&Declaration>, success: Success) -> (&'static str, Value) {
        let object = |document: &mut Self| {
            declared.map_or(Value::Null, |declared| document.resource(declared, Wire::Answer))
        };
        match success {
            Success::Object => ("200", response(&object(self))),
            Success::Created => ("201", response(&object(self))),
            Success::Page => {
                let item = object(self);
                let component =
                    format!("Paginated{}List", declared.map_or("", |declared| declared.component));
                self.schema(&component, paginated(&item));
                ("200", response(&reference(&component)))
            }
            Success::NoContent | Success::Queued(_) => ("204", json!({ "description": "No response body" })),
            Success::One(component) => ("200", response(&self.refer(component))),
            Success::Many(component) => {
                let items = self.refer(component);
                ("200", response(&json!({ "type": "array", "items": items })))
            }
            Success::Empty => ("200", response(&json!({ "type": "object" }))),
            Success::Document(media_types) => {
                let any = json!({ "schema": { "type": "object", "additionalProperties": {} } });
                let content: Map<_, _> =
                    media_types.iter().map(|media_type| ((*media_type).to_owned(), any.clone())).collect();
                ("200", json!({ "content": content, "description": "" }))
            }
        }
    }

    fn refer(&mut self, component: &Component) -> Value {
        if !self.schemas.contains_key(component.name) {
            let schema = (component.schema)(self);
            self.schema(component.name, schema);
        }
        reference(component.name)
    }

    fn list_parameters(&mut self, declared: &Declaration) -> Vec<Value> {
        let mut parameters: Vec<(&str, Value)> = Vec::new();
        for field in declared.fields.iter().filter(|field| field.filter) {
            parameters.push((field.name, self.filter_schema(FilterKind::of(field))));
        }
        for (name, default) in declared.includes {
            parameters.push((name, json!({ "type": "boolean", "default": default })));
        }
        for filter in declared.filters {
            parameters.push((filter.name, self.filter_schema(filter.kind)));
        }
        let mut all: Vec<(String, Value)> = parameters
            .into_iter()
            .filter(|(name, _)| *name != "name")
            .map(|(name, schema)| (name.to_owned(), query(name, &schema)))
            .collect();
        for filter in declared.filters.iter().filter(|filter| filter.kind.has_to_be_named()) {
            let named = all.iter_mut().filter(|(name, _)| name == filter.name);
            named.for_each(|(_, parameter)| parameter["required"] = json!(true));
        }
        let mut shared = vec![
            ("ordering", "QueryPaginationOrdering"),
            ("page", "QueryPaginationPage"),
            ("page_size", "QueryPaginationPageSize"),
            ("search", "QuerySearch"),
        ];
        if declared.fields.iter().any(|field| field.filter && field.name == "name") {
            shared.push(("name", "QueryName"));
        }
        for (name, component) in shared {
            all.push((name.to_owned(), json!({ "$ref": format!("#/components/parameters/{component}") })));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.into_iter().map(|(_, parameter)| parameter).collect()
    }

    fn filter_schema(&mut self, kind: FilterKind) -> Value {
        match kind {
            FilterKind::Text | FilterKind::Attributes => json!({ "type": "string" }),
            FilterKind::Boolean | FilterKind::Switch { .. } => json!({ "type": "boolean" }),
            FilterKind::Number => json!({ "type": "integer" }),
            FilterKind::Uuid | FilterKind::ForeignKey(_) => json!({ "type": "string", "format": "uuid" }),
            FilterKind::Choice(choices) | FilterKind::ChoiceAnd { choices, .. } => self.choices(choices),
            FilterKind::Widened { kind, .. } => self.filter_schema(*kind),
            FilterKind::DateTime => json!({ "type": "string", "format": "date-time" }),
            FilterKind::Texts(_) => json!({ "type": "array", "items": { "type": "string" } }),
            FilterKind::Numbers(_) => json!({ "type": "array", "items": { "type": "integer" } }),
            FilterKind::Uuids(_) => {
                json!({ "type": "array", "items": { "type": "string", "format": "uuid" } })
            }
            FilterKind::Choices(choices) => {
                let item = self.choices(choices);
                json!({ "type": "array", "items": item })
            }
        }
    }

    /// The whole document, served below `server`; `tags` are the groups of paths with what is said of them.
    pub fn finish(mut self, info: &Value, server: &str, tags: &Value) -> Value {
        for (name, schema) in shared_schemas() {
            self.schemas.entry(name).or_insert(schema);
        }
        let mut schemas: Vec<_> = self.schemas.into_iter().collect();
        schemas.sort_by(|a, b| a.0.cmp(&b.0));
        let mut paths: Vec<_> = self.paths.into_iter().collect();
        paths.sort_by(|a, b| a.0.cmp(&b.0));
        json!({
            "openapi": OPENAPI,
            "info": info,
            "servers": [{ "url": server }],
            "tags": tags,
            "paths": Value::Object(paths.into_iter().collect()),
            "components": {
                "parameters": shared_parameters(),
                "responses": {
                    "GenericErrorResponse": response(&reference("GenericError")),
                    "NotFoundResponse": {
                        "content": {
                            "application/json": { "schema": reference("GenericError") },
                            // No object's path has a dot in it: such a path has no route.
                            "text/html": { "schema": { "type": "string" } },
                        },
                        "description": "",
                    },
                    "ValidationErrorResponse": response(&json!({
                        "oneOf": [reference("ValidationError"), { "type": "array", "items": { "type": "string" } }],
                    })),
                },
                "schemas": Value::Object(schemas.into_iter().collect()),
                "securitySchemes": { self.scheme: { "type": "http", "scheme": "bearer" } },
            },
        })
    }
}

fn key(key: Key) -> Value {
    match key {
        Key::Uuid => json!({ "type": "string", "format": "uuid" }),
        Key::Integer => json!({ "type": "integer" }),
    }
}

fn computed(schema: Schema) -> Value {
    match schema {
        Schema::String => json!({ "type": "string" }),
        Schema::Uuid => json!({ "type": "string", "format": "uuid" }),
        Schema::Integer => json!({ "type": "integer" }),
        Schema::Boolean => json!({ "type": "boolean" }),
        Schema::DateTime => json!({ "type": "string", "format": "date-time" }),
        Schema::Uuids => json!({ "type": "array", "items": { "type": "string", "format": "uuid" } }),
        Schema::Strings => json!({ "type": "array", "items": { "type": "string" } }),
        Schema::Object => json!({ "type": "object", "additionalProperties": {} }),
    }
}

fn operation_id(declared: &Declaration, action: &Action) -> String {
    format!("{}_{}", declared.operation, action.operation)
}

/// From an answer with an object at `pointer` to the operations on that object.
fn links(declared: &Declaration, actions: &[&Action], pointer: &str) -> Value {
    let lookup = declared.lookup;
    let is_key = |field: &&Field| format!("{}.{}", field.alias(), field.column) == lookup.expression;
    let key = declared.fields.iter().find(is_key).map_or("pk", |field| field.name);
    let on_object = actions.iter().filter(|action| action.route.detail && action.route.parameter().is_none());
    let link = |action: &&Action| {
        let id = operation_id(declared, action);
        let parameters = json!({ lookup.parameter: format!("$response.body#{pointer}/{key}") });
        (id.clone(), json!({ "operationId": id, "parameters": parameters }))
    };
    Value::Object(on_object.map(link).collect())
}

fn query(name: &str, schema: &Value) -> Value {
    json!({ "in": "query", "name": name, "schema": schema })
}

fn include(name: &str, default: bool) -> Value {
    query(name, &json!({ "type": "boolean", "default": default }))
}

/// The path parameter that names one object.
fn lookup_parameter(declared: &Declaration) -> Value {
    let lookup = declared.lookup;
    let schema = match lookup.kind {
        LookupKind::Uuid => json!({ "type": "string", "format": "uuid" }),
        LookupKind::Text => json!({ "type": "string" }),
        LookupKind::Integer => json!({ "type": "integer" }),
    };
    json!({
        "in": "path", "name": lookup.parameter, "schema": schema,
        "description": lookup.description, "required": true,
    })
}

/// The path parameter of an action's own: a key, or a name.
fn own_parameter(name: &str) -> Value {
    let mut schema = json!({ "type": "string" });
    if name.ends_with("_uuid") {
        schema["format"] = json!("uuid");
    }
    json!({ "in": "path", "name": name, "schema": schema, "required": true })
}

fn response(schema: &Value) -> Value {
    json!({ "content": { "application/json": { "schema": schema } }, "description": "" })
}

fn paginated(item: &Value) -> Value {
    json!({
        "type": "object",
        "properties": {
            "pagination": reference("Pagination"),
            "results": { "type": "array", "items": item },
            "autocomplete": reference("Autocomplete"),
        },
        "required": ["autocomplete", "pagination", "results"],
    })
}

fn shared_parameters() -> Value {
    let parameter = |name: &str, kind: &str, description: &str| json!({ "in": "query", "name": name, "schema": { "type": kind }, "description": description });
    json!({
        "QueryName": { "in": "query", "name": "name", "schema": { "type": "string" } },
        "QueryPaginationOrdering":
            parameter("ordering", "string", "Which field to use when ordering the results."),
        "QueryPaginationPage": parameter("page", "integer", "A page number within the paginated result set."),
        "QueryPaginationPageSize": parameter("page_size", "integer", "Number of results to return per page."),
        "QuerySearch": parameter("search", "string", "A search term."),
    })
}

fn shared_schemas() -> Vec<(&'static str, Value)> {
    let number = json!({ "type": "number" });
    let string = json!({ "type": "string" });
    vec![
        ("Autocomplete", json!({ "type": "object", "additionalProperties": {} })),
        (
            "GenericError",
            json!({
                "type": "object",
                "description": "Generic API Error",
                "properties": { "detail": string, "code": string },
                "required": ["detail"],
            }),
        ),
        (
            "Pagination",
            json!({
                "type": "object",
                "properties": {
                    "next": number, "previous": number, "count": number, "current": number,
                    "total_pages": number, "start_index": number, "end_index": number,
                },
                "required": ["count", "current", "end_index", "next", "previous", "start_index", "total_pages"],
            }),
        ),
        (
            "ValidationError",
            json!({
                "type": "object",
                "description": "Validation Error",
                "properties": { "non_field_errors": { "type": "array", "items": string }, "code": string },
                "additionalProperties": {},
            }),
        ),
    ]
}
