//! What clients ask about the server itself: `root/config/`, `admin/version/` and `schema/`.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::App;
use crate::drf::openapi::{self, Document, reference};
use crate::drf::viewset::{Extra, answer, answer_static, extra};
use crate::error::{ApiError, json_response};

/// Our own version, on the answer whose body speaks of authentik's.
const VERSION: HeaderName = HeaderName::from_static("x-ak-stages-version");

const CONFIG: Extra = Extra::get("Config", "Retrieve public configuration options");
const VERSION_VIEW: Extra = Extra::get("Version", "Get running and latest version.");
const SCHEMA: Extra = Extra::get("Schema", "The OpenAPI document, as YAML or as JSON");

/// `GET /root/config/`, open to everybody. Error reporting stays off: a client must not send anything to anyone
/// because of us.
pub async fn config(State(app): State<App>, request: Request<Body>) -> Response {
    answer(app, request, CONFIG.allow(), async |call, connection| {
        if let Some(key) = crate::auth::bearer(&call.headers) {
            // Open, but not to wrong credentials.
            let layout = &call.app.database.layout;
            crate::auth::authenticate(connection, layout, key, &call.origin.host, call.app.clock.now()).await?;
        }
        if let Some(description) = CONFIG.describe(call)? {
            return Ok(description);
        }
        let body = json!({
            "error_reporting": {
                "enabled": false,
                "sentry_dsn": "https://151ba72610234c4c97c5bcff4e1cffd8@authentik.error-reporting.a7k.io/4504163677503489",
                "environment": "customer",
                "send_pii": false,
                "traces_sample_rate": 0.1,
            },
            "capabilities": ["can_impersonate", "is_enterprise"],
            "cache_timeout": 300,
            "cache_timeout_flows": 300,
            "cache_timeout_policies": 300,
            "cache_timeout_reputation": 300, // clients up to 2025.8 require it
        });
        Ok(json_response(StatusCode::OK, &body))
    })
    .await
}

/// `GET /admin/version/`: the version whose contract we keep.
pub async fn version(State(app): State<App>, request: Request<Body>) -> Response {
    extra(app, request, &VERSION_VIEW, async |call, _, _| {
        let version = call.app.database.layout.authentik_version();
        let body = json!({
            "version_current": version,
            "version_latest": version,
            "version_latest_valid": true,
            "build_hash": "",
            "outdated": false,
            "outpost_outdated": false,
        });
        let mut response = json_response(StatusCode::OK, &body);
        response.headers_mut().insert(VERSION, HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
        Ok(response)
    })
    .await
}

static YAML: LazyLock<String> = LazyLock::new(|| openapi::yaml().unwrap_or_default());
static JSON: LazyLock<Value> = LazyLock::new(openapi::document);

/// `GET /schema/`: the OpenAPI document, YAML unless JSON is asked for; open to everybody.
pub async fn schema(State(app): State<App>, request: Request<Body>) -> Response {
    answer_static(app, request, SCHEMA.allow(), async |call| {
        if let Some(description) = SCHEMA.describe(call)? {
            return Ok(description);
        }
        let accept =
            call.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let format = match call.query.last("format") {
            Some(format) if !format.is_empty() => format,
            _ if accept.contains("application/vnd.oai.openapi+json") => "json",
            _ if accept.contains("yaml") || accept.contains("vnd.oai.openapi") || accept.is_empty() => "yaml",
            _ if accept.contains("application/json") => "json",
            _ if accept.contains("*/*") || accept.contains("application/*") => "yaml",
            _ => return Err(ApiError::NotAcceptable),
        };
        let (content_type, body) = match format {
            "yaml" => ("application/vnd.oai.openapi; charset=utf-8", YAML.clone()),
            "json" if accept.contains("application/json") => ("application/json", JSON.to_string()),
            "json" => ("application/vnd.oai.openapi+json; charset=utf-8", JSON.to_string()),
            _ => return Err(ApiError::NotFound(crate::drf::messages::NOT_FOUND.into())),
        };
        Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response())
    })
    .await
}

/// Their operations in the OpenAPI document.
pub fn document(document: &mut Document) {
    let read_only = |kind: &str| json!({ "type": kind, "readOnly": true });
    document.schema(
        "ErrorReportingConfig",
        json!({
            "type": "object",
            "description": "Config for error reporting",
            "properties": {
                "enabled": read_only("boolean"),
                "sentry_dsn": read_only("string"),
                "environment": read_only("string"),
                "send_pii": read_only("boolean"),
                "traces_sample_rate": { "type": "number", "format": "double", "readOnly": true },
            },
            "required": ["enabled", "environment", "send_pii", "sentry_dsn", "traces_sample_rate"],
        }),
    );
    document.schema(
        "CapabilitiesEnum",
        json!({
            "type": "string",
            "enum": [
                "can_save_media", "can_save_reports", "can_geo_ip", "can_asn", "can_impersonate", "can_debug",
                "is_enterprise",
            ],
        }),
    );
    let integer = json!({ "type": "integer" });
    document.schema(
        "Config",
        json!({
            "type": "object",
            "description": "Serialize authentik Config into DRF Object",
            "properties": {
                "error_reporting": reference("ErrorReportingConfig"),
                "capabilities": { "type": "array", "items": reference("CapabilitiesEnum") },
                "cache_timeout": integer,
                "cache_timeout_flows": integer,
                "cache_timeout_policies": integer,
            },
            "required": [
                "cache_timeout", "cache_timeout_flows", "cache_timeout_policies", "capabilities", "error_reporting",
            ],
        }),
    );
    document.get("/root/config/", "root_config_retrieve", CONFIG.description, json!([]), reference("Config"));
    document.open("/root/config/");
    document.schema(
        "Version",
        json!({
            "type": "object",
            "description": VERSION_VIEW.description,
            "properties": {
                "version_current": read_only("string"),
                "version_latest": read_only("string"),
                "version_latest_valid": read_only("boolean"),
                "build_hash": read_only("string"),
                "outdated": read_only("boolean"),
                "outpost_outdated": read_only("boolean"),
            },
            "required": [
                "build_hash", "outdated", "outpost_outdated", "version_current", "version_latest",
                "version_latest_valid",
            ],
        }),
    );
    document.get(
        "/admin/version/",
        "admin_version_retrieve",
        VERSION_VIEW.description,
        json!([]),
        reference("Version"),
    );
    document.schema("FormatEnum", json!({ "type": "string", "enum": ["json", "yaml"] }));
    let any = json!({ "schema": { "type": "object", "additionalProperties": {} } });
    let mut operation = openapi::operation(
        "/schema/",
        "schema_retrieve",
        SCHEMA.description,
        json!([{ "in": "query", "name": "format", "schema": reference("FormatEnum") }]),
        None,
        "200",
        None,
    );
    operation["responses"]["200"] = json!({
        "content": { "application/vnd.oai.openapi": any, "application/vnd.oai.openapi+json": any, "application/json": any },
        "description": "",
    });
    document.operation("/schema/", "get", operation);
    document.open("/schema/");
}
