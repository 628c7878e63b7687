//! The OpenAPI document: components and operations from the field tables, in the form that authentik's own document
//! has (OpenAPI 3.0.3, one component for answers, one for requests, one for PATCH).
//!
//! It says more than authentik's where authentik's is wrong about its own answers: `flow_obj` may be null, errors come
//! with other statuses than 400 and 403, and `flow_set` may be sent.

use serde_json::{Map, Value, json};

use super::field::{Choices, Field, Key, Kind, Schema};
use super::params::FilterKind;
use super::resource::{Action, LookupKind, Resource};
use super::viewset::USED_BY;
use crate::app::API_PREFIX;
use crate::resources;

/// The OpenAPI version of authentik's document.
const OPENAPI: &str = "3.0.3";
/// The release whose contract the document states.
pub const CONTRACT_VERSION: &str = "2026.5.0";

/// A document that grows resource by resource.
#[derive(Default)]
pub struct Document {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

/// Which side of the wire a component describes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Answer,
    Request,
    Patch,
}

impl Side {
    fn component(self, name: &str) -> String {
        match self {
            Self::Answer => name.to_owned(),
            Self::Request => format!("{name}Request"),
            Self::Patch => format!("Patched{name}Request"),
        }
    }
}

/// The whole document.
pub fn document() -> Value {
    let mut document = Document::default();
    resources::document(&mut document);
    document.finish()
}

/// The whole document as YAML.
///
/// # Errors
/// None in practice: every value came from JSON.
pub fn yaml() -> anyhow::Result<String> {
    Ok(yaml_serde::to_string(&document())?)
}

/// A reference to a component.
pub fn reference(component: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{component}") })
}

impl Document {
    /// Add the component `name` unless it is there.
    pub fn schema(&mut self, name: &str, schema: Value) {
        self.schemas.entry(name).or_insert(schema);
    }

    /// Add an operation.
    pub fn operation(&mut self, path: &str, method: &str, operation: Value) {
        let item = self.paths.entry(path).or_insert_with(|| json!({}));
        item[method] = operation;
    }

    /// Add a GET whose answer is this schema.
    pub fn get(&mut self, path: &str, id: &str, description: &str, parameters: Value, answer: Value) {
        let operation = operation(path, id, description, parameters, None, "200", Some(answer));
        self.operation(path, "get", operation);
    }

    /// Say of the GET at `path` that it is open to everybody.
    pub fn open(&mut self, path: &str) {
        if let Some(item) = self.paths.get_mut(path) {
            item["get"]["security"] = json!([{ "authentik": [] }, {}]);
        }
    }

    /// Add a component with the fields' answers.
    pub fn component(&mut self, name: &str, description: &str, fields: &[Field]) {
        self.object(name, description, fields, Side::Answer);
    }

    /// Add a component with the fields as a request sends them, and give a required body of it.
    pub fn request(&mut self, name: &str, description: &str, fields: &[Field]) -> Value {
        let schema = self.object(name, description, fields, Side::Request);
        json!({ "content": { "application/json": { "schema": schema } }, "required": true })
    }

    fn object(&mut self, name: &str, description: &str, fields: &[Field], side: Side) -> Value {
        let component = side.component(name);
        if !self.schemas.contains_key(&component) {
            self.schemas.insert(component.clone(), Value::Null); // a place in the order, and an end to recursion
            let shown = |field: &&Field| match side {
                Side::Answer => field.readable(),
                Side::Request | Side::Patch => field.writable(),
            };
            let properties: Map<_, _> = fields
                .iter()
                .filter(shown)
                .map(|field| (field.name.to_owned(), self.property(field, side)))
                .collect();
            let mut required: Vec<_> = fields
                .iter()
                .filter(shown)
                .filter(|field| match side {
                    Side::Answer => field.required || field.read_only || field.always,
                    Side::Request => field.required,
                    Side::Patch => false,
                })
                .map(|field| field.name)
                .collect();
            required.sort_unstable();
            let mut schema =
                json!({ "type": "object", "description": description, "properties": properties });
            if !required.is_empty() {
                schema["required"] = json!(required);
            }
            self.schemas.insert(component.clone(), schema);
        }
        reference(&component)
    }

    fn property(&mut self, field: &Field, side: Side) -> Value {
        let mut schema = match field.kind {
            Kind::Uuid => json!({ "type": "string", "format": "uuid" }),
            Kind::Text => json!({ "type": "string" }),
            Kind::Slug => json!({ "type": "string", "pattern": "^[-a-zA-Z0-9_]+$" }),
            // An address, or nothing: authentik's own document says so of neither.
            Kind::Email if field.blank && side == Side::Answer => json!({ "type": "string" }),
            Kind::Email => json!({ "type": "string", "format": "email" }),
            Kind::Integer { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
            Kind::Serial => json!({ "type": "integer" }),
            Kind::Boolean => json!({ "type": "boolean" }),
            Kind::Choice(choices) => self.choices(choices),
            Kind::DateTime => json!({ "type": "string", "format": "date-time" }),
            Kind::Dictionary => json!({ "type": "object", "additionalProperties": {} }),
            Kind::ForeignKey(target) => key(target.key),
            Kind::Many(target) => json!({ "type": "array", "items": key(target.key) }),
            Kind::Nested { component, fields, many } => {
                let side = if side == Side::Patch { Side::Request } else { side };
                let item = self.object(component, "", fields, side);
                if many { json!({ "type": "array", "items": item }) } else { item }
            }
            Kind::Computed(schema) => computed(schema),
        };
        let texts = matches!(field.kind, Kind::Text | Kind::Slug | Kind::Email);
        let mut extra = Map::new();
        if side != Side::Answer && texts && !field.blank {
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

    /// Add a resource: its components and its operations.
    pub fn resource<R: Resource>(&mut self) {
        let name = R::MODEL.name;
        let viewset = format!("{name} Viewset");
        let serializer = format!("{name} Serializer");
        let answer = self.object(name, &serializer, R::FIELDS, Side::Answer);
        let list_path = R::PATH.to_owned();
        let detail_path = format!("{}{{{}}}/", R::PATH, R::LOOKUP.parameter);
        for action in R::ACTIONS {
            let (path, method) = match action {
                Action::List => (&list_path, "get"),
                Action::Create => (&list_path, "post"),
                Action::Retrieve | Action::UsedBy => (&detail_path, "get"),
                Action::Update => (&detail_path, "put"),
                Action::PartialUpdate => (&detail_path, "patch"),
                Action::Destroy => (&detail_path, "delete"),
            };
            let id = operation_id::<R>(*action);
            let lookup = json!([lookup_parameter::<R>()]);
            match action {
                Action::List => {
                    let component = format!("Paginated{name}List");
                    self.schema(&component, paginated(&answer));
                    let parameters = self.list_parameters::<R>();
                    let list = Some(reference(&component));
                    let mut operation = operation(path, &id, &viewset, parameters, None, "200", list);
                    operation["responses"]["200"]["links"] = links::<R>("/results/0");
                    self.operation(path, method, operation);
                }
                Action::Retrieve => {
                    let mut parameters = vec![lookup_parameter::<R>()];
                    let include =
                        |(name, default)| query(name, &json!({ "type": "boolean", "default": default }));
                    parameters.extend(R::INCLUDES.iter().copied().map(include));
                    self.get(path, &id, &viewset, parameters.into(), answer.clone());
                }
                Action::Destroy => {
                    self.operation(path, method, operation(path, &id, &viewset, lookup, None, "204", None));
                }
                Action::UsedBy => {
                    let path = format!("{path}used_by/");
                    let answer = json!({ "type": "array", "items": reference("UsedBy") });
                    let description = USED_BY.description;
                    self.get(&path, &id, description, lookup, answer);
                }
                Action::Create | Action::Update | Action::PartialUpdate => {
                    let side = if *action == Action::PartialUpdate { Side::Patch } else { Side::Request };
                    let schema = self.object(name, &serializer, R::FIELDS, side);
                    let mut body = json!({ "content": { "application/json": { "schema": schema } } });
                    if side == Side::Request {
                        body["required"] = json!(true);
                    }
                    let (parameters, status) =
                        if *action == Action::Create { (json!([]), "201") } else { (lookup, "200") };
                    let answer = Some(answer.clone());
                    let mut operation =
                        operation(path, &id, &viewset, parameters, Some(body), status, answer);
                    if *action == Action::Create {
                        operation["responses"][status]["links"] = links::<R>("");
                    }
                    self.operation(path, method, operation);
                }
            }
        }
    }

    fn list_parameters<R: Resource>(&mut self) -> Value {
        let mut parameters: Vec<(&str, Value)> = Vec::new();
        for field in R::FIELDS.iter().filter(|field| field.filter) {
            parameters.push((field.name, self.filter_schema(FilterKind::of(field))));
        }
        for (name, default) in R::INCLUDES {
            parameters.push((name, json!({ "type": "boolean", "default": default })));
        }
        for filter in R::FILTERS {
            parameters.push((filter.name, self.filter_schema(filter.kind)));
        }
        let mut all: Vec<(String, Value)> = parameters
            .into_iter()
            .filter(|(name, _)| *name != "name")
            .map(|(name, schema)| (name.to_owned(), query(name, &schema)))
            .collect();
        let mut shared = vec![
            ("ordering", "QueryPaginationOrdering"),
            ("page", "QueryPaginationPage"),
            ("page_size", "QueryPaginationPageSize"),
            ("search", "QuerySearch"),
        ];
        if R::FIELDS.iter().any(|field| field.filter && field.name == "name") {
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
            FilterKind::Choice(choices) => self.choices(choices),
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

    fn finish(mut self) -> Value {
        for (name, schema) in shared_schemas() {
            self.schemas.entry(name).or_insert(schema);
        }
        let mut schemas: Vec<_> = self.schemas.into_iter().collect();
        schemas.sort_by(|a, b| a.0.cmp(&b.0));
        let mut paths: Vec<_> = self.paths.into_iter().collect();
        paths.sort_by(|a, b| a.0.cmp(&b.0));
        json!({
            "openapi": OPENAPI,
            "info": {
                "title": "ak-stages",
                "version": CONTRACT_VERSION,
                "description": "authentik's stages API, as ak-stages serves it.",
                "license": { "name": "MIT" },
            },
            "servers": [{ "url": API_PREFIX }],
            "tags": [
                { "name": "stages", "description": "Email, user write and invitation stages, and invitations" },
                { "name": "flows", "description": "Flows and the stages bound to them" },
                { "name": "core", "description": "Groups, users and tokens" },
            ],
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
                "securitySchemes": { "authentik": { "type": "http", "scheme": "bearer" } },
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

fn operation_id<R: Resource>(action: Action) -> String {
    let suffix = match action {
        Action::List => "list",
        Action::Create => "create",
        Action::Retrieve => "retrieve",
        Action::Update => "update",
        Action::PartialUpdate => "partial_update",
        Action::Destroy => "destroy",
        Action::UsedBy => "used_by_list",
    };
    format!("{}_{suffix}", R::OPERATION)
}

/// From an answer with an object at `place` to the operations on that object.
fn links<R: Resource>(place: &str) -> Value {
    let is_key = |field: &&Field| format!("{}.{}", field.alias(), field.column) == R::LOOKUP.expression;
    let key = R::FIELDS.iter().find(is_key).map_or("pk", |field| field.name);
    let on_object = R::ACTIONS.iter().filter(|action| !matches!(action, Action::List | Action::Create));
    let link = |action: &Action| {
        let id = operation_id::<R>(*action);
        let parameters = json!({ R::LOOKUP.parameter: format!("$response.body#{place}/{key}") });
        (id.clone(), json!({ "operationId": id, "parameters": parameters }))
    };
    Value::Object(on_object.map(link).collect())
}

fn query(name: &str, schema: &Value) -> Value {
    json!({ "in": "query", "name": name, "schema": schema })
}

/// The path parameter that names one object.
pub fn lookup_parameter<R: Resource>() -> Value {
    let schema = match R::LOOKUP.kind {
        LookupKind::Uuid => json!({ "type": "string", "format": "uuid" }),
        LookupKind::Text => json!({ "type": "string" }),
        LookupKind::Integer => json!({ "type": "integer" }),
    };
    json!({
        "in": "path", "name": R::LOOKUP.parameter, "schema": schema,
        "description": R::LOOKUP.description, "required": true,
    })
}

/// An operation with the answers that every one has.
pub fn operation(
    path: &str,
    id: &str,
    description: &str,
    parameters: Value,
    body: Option<Value>,
    status: &str,
    answer: Option<Value>,
) -> Value {
    let mut operation = json!({ "operationId": id, "description": description });
    if parameters.as_array().is_some_and(|all| !all.is_empty()) {
        operation["parameters"] = parameters;
    }
    operation["tags"] = json!([path.split('/').nth(1).unwrap_or_default()]);
    if let Some(body) = body {
        operation["requestBody"] = body;
    }
    operation["security"] = json!([{ "authentik": [] }]);
    let success =
        answer.map_or_else(|| json!({ "description": "No response body" }), |schema| response(&schema));
    operation["responses"] = json!({
        status: success,
        "400": { "$ref": "#/components/responses/ValidationErrorResponse" },
        "403": { "$ref": "#/components/responses/GenericErrorResponse" },
        "default": { "$ref": "#/components/responses/GenericErrorResponse" },
    });
    if path.contains('{') {
        operation["responses"]["404"] = json!({ "$ref": "#/components/responses/NotFoundResponse" });
    }
    operation
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
            "UsedBy",
            json!({
                "type": "object",
                "description": "A list of all objects referencing the queried object",
                "properties": {
                    "app": string, "model_name": string, "pk": string, "name": string,
                    "action": reference("UsedByActionEnum"),
                },
                "required": ["action", "app", "model_name", "name", "pk"],
            }),
        ),
        (
            "UsedByActionEnum",
            json!({
                "type": "string",
                "enum": ["cascade", "cascade_many", "set_null", "set_default", "left_dangling"],
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
