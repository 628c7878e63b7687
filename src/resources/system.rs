//! What clients ask about the server itself: `root/config/`, `admin/version/` and `schema/`.

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue};
use drf::action::{Action, Component, Method, Route, Success};
use drf::field::Choices;
use drf::openapi::reference;
use drf::params::{FilterKind, Parameter};
use drf::permission::Permission;
use serde_json::{Value, json};

use super::document;
use crate::error::ApiError;
use crate::views::{Answer, ApiView, Call};

/// All of them.
pub static VIEWS: [ApiView; 3] = [CONFIG, VERSION, SCHEMA];

/// Our own version, on the answer whose body speaks of authentik's.
const OUR_VERSION: HeaderName = HeaderName::from_static("x-ak-stages-version");

const fn get(
    permission: Permission,
    view_name: &'static str,
    description: &'static str,
    success: Success,
) -> Action {
    Action::extra("", Method::Get, Route::LIST, permission, view_name, description).answers(success)
}

/// `GET /root/config/`. Error reporting stays off: a client must not send anything to anyone because of us.
const CONFIG: ApiView = ApiView {
    path: "/root/config/",
    operation: "root_config_retrieve",
    declared: get(
        Permission::Public,
        "Config",
        "Retrieve public configuration options",
        Success::One(&CONFIG_COMPONENT),
    ),
    run: |_| {
        Answer::ok(&json!({
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
        }))
    },
};

const CONFIG_COMPONENT: Component = Component {
    name: "Config",
    schema: |document| {
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
        })
    },
};

/// `GET /admin/version/`: the version whose contract we keep.
const VERSION: ApiView = ApiView {
    path: "/admin/version/",
    operation: "admin_version_retrieve",
    declared: get(
        Permission::Authenticated,
        "Version",
        "Get running and latest version.",
        Success::One(&VERSION_COMPONENT),
    ),
    run: |call| {
        let version = call.app.database.layout.authentik_version();
        let answer = Answer::ok(&json!({
            "version_current": version,
            "version_latest": version,
            "version_latest_valid": true,
            "build_hash": "",
            "outdated": false,
            "outpost_outdated": false,
        }))?;
        Ok(answer.with_header(OUR_VERSION, HeaderValue::from_static(env!("CARGO_PKG_VERSION"))))
    },
};

const VERSION_COMPONENT: Component = Component {
    name: "Version",
    schema: |_| {
        json!({
            "type": "object",
            "description": VERSION.declared.description,
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
        })
    },
};

fn read_only(kind: &str) -> Value {
    json!({ "type": kind, "readOnly": true })
}

static YAML: LazyLock<String> = LazyLock::new(|| document::yaml().unwrap_or_default());
static JSON: LazyLock<String> = LazyLock::new(|| document::document().to_string());

const FORMAT: Choices =
    Choices { name: "FormatEnum", since: &[], values: &[("json", "json"), ("yaml", "yaml")] };

/// `GET /schema/`: the OpenAPI document, YAML unless JSON is asked for.
const SCHEMA: ApiView = ApiView {
    path: "/schema/",
    operation: "schema_retrieve",
    declared: get(
        Permission::Open,
        "Schema",
        "The OpenAPI document, as YAML or as JSON",
        Success::Document(&[
            "application/vnd.oai.openapi",
            "application/vnd.oai.openapi+json",
            "application/json",
        ]),
    )
    .asks(&[Parameter { name: "format", kind: FilterKind::Choice(&FORMAT) }]),
    run: schema,
};

fn schema(call: &Call) -> Result<Answer, ApiError> {
    let accept = call.accept().next().unwrap_or_default();
    let format = match call.query.last("format") {
        Some(format) if !format.is_empty() => format,
        _ if accept.contains("application/vnd.oai.openapi+json") => "json",
        _ if accept.contains("yaml") || accept.contains("vnd.oai.openapi") || accept.is_empty() => "yaml",
        _ if accept.contains("application/json") => "json",
        _ if accept.contains("*/*") || accept.contains("application/*") => "yaml",
        _ => return Err(ApiError::NotAcceptable),
    };
    Ok(match format {
        "yaml" => Answer::document("application/vnd.oai.openapi; charset=utf-8", YAML.as_str()),
        "json" if accept.contains("application/json") => Answer::document("application/json", JSON.as_str()),
        "json" => Answer::document("application/vnd.oai.openapi+json; charset=utf-8", JSON.as_str()),
        _ => return Err(ApiError::not_found()),
    })
}
