//! Values that fields take.

use std::time::Duration;

use drf::field::{Field, FieldKind};
use serde_json::{Map, Value, json};

use super::{Declared, TestApp, USER_WRITE, now};

/// An entry of `flow_set` that makes a flow.
pub fn flow_set_entry(slug: &str) -> Value {
    json!({ "name": "A flow", "slug": slug, "title": "Welcome", "designation": "enrollment" })
}

/// Fields that take less than their type says.
fn special(field: &str, n: usize) -> Option<Value> {
    const TEMPLATES: [&str; 2] = ["email/email_otp.html", "email/invitation.html"];
    Some(match field {
        "token_expiry" | "recovery_cache_timeout" => json!(format!("hours={n}")),
        "template" => json!(TEMPLATES[n % 2]),
        "background" => json!(format!("https://example.org/{n}.png")),
        "intent" => json!(["app_password", "api"][n % 2]),
        "path" => json!(format!("users/{n}")),
        "type" => json!(["internal", "external"][n % 2]), // one of the others stands under rules of its own
        // A binding has to be evaluated at some time, and re-evaluation can't be switched off alone.
        "evaluate_on_plan" => json!(n.is_multiple_of(2)),
        _ => return None,
    })
}

impl TestApp {
    /// A value for `field`. Those for two consecutive numbers differ.
    pub async fn sample(&self, field: &Field, n: usize) -> Value {
        if let Some(value) = special(field.name, n) {
            return value;
        }
        match field.kind {
            FieldKind::Text | FieldKind::Uuid | FieldKind::Serial | FieldKind::Computed(_) => {
                json!(format!("{} {n}", field.name))
            }
            FieldKind::Slug => json!(format!("{}-{n}", field.name)),
            FieldKind::Email => json!(format!("person{n}@example.org")),
            FieldKind::Integer { min, .. } => json!(usize::try_from(min).unwrap_or(0) + n),
            FieldKind::Boolean => json!(n % 2 == 1),
            FieldKind::Choice(choices) => json!(choices.values[n % choices.values.len()].0),
            // Soon: an app password may live for half an hour.
            FieldKind::DateTime => json!(now() + Duration::from_millis(n as u64)),
            FieldKind::Dictionary => json!({ "n": n }),
            FieldKind::List => json!([n]),
            FieldKind::Texts => json!([format!("authentik_core.view_{n}")]),
            FieldKind::ForeignKey(target) => self.row_of(target).await,
            FieldKind::Many(target, _) => json!([self.row_of(target).await]),
            FieldKind::Nested { many: true, .. } => {
                json!([flow_set_entry(&format!("flow-{}", self.fresh()))])
            }
            FieldKind::Nested { many: false, .. } => json!({}),
        }
    }

    /// A body that names these fields.
    pub async fn body(&self, fields: impl Iterator<Item = &'static Field>, n: usize) -> Value {
        let mut body = Map::new();
        for field in fields {
            body.insert(field.name.to_owned(), self.sample(field, n).await);
        }
        Value::Object(body)
    }

    /// Two consecutive numbers, an even one first, whose samples no other call gives.
    pub fn two_numbers(&self) -> (usize, usize) {
        let even = 2 * self.fresh();
        (even, even + 1)
    }

    /// A row with a value in every field that a request may set.
    pub async fn row(&self, resource: &Declared, n: usize) -> Value {
        let path = match resource.path {
            // A role that may do something with a group, and what it may do there.
            "/rbac/permissions/assigned_by_roles/" | "/rbac/permissions/roles/" => {
                return self.rows_of_a_role(resource, n).await.remove(0);
            }
            "/rbac/permissions/" => format!("{}{}/", resource.path, 1 + n % 40),
            "/stages/all/" => {
                let body = json!({ "name": format!("stage {n}"), "flow_set": [flow_set_entry(&format!("flow-{n}"))] });
                format!("{}{}/", resource.path, self.admin().post(USER_WRITE, body).await.status(201).pk())
            }
            path => {
                let body = self.body(resource.writable(), n).await;
                resource.path_of(&self.admin().post(path, body).await.status(201).json())
            }
        };
        self.admin().get(&path).await.status(200).json()
    }

    /// What the list of permissions shows of a new role, which may view groups and change one.
    async fn rows_of_a_role(&self, resource: &Declared, n: usize) -> Vec<Value> {
        let group = self.group(&format!("group {n}"), false, &[]).await.to_string();
        let role = self.role_on(&["view_group"], &[("change_group", group)]).await;
        let query = match resource.path {
            "/rbac/permissions/roles/" => format!("?uuid={role}"),
            _ => {
                let named = format!("SELECT name FROM authentik_rbac_role WHERE uuid = '{role}'");
                let name: String =
                    sqlx::query_scalar(sqlx::AssertSqlSafe(named)).fetch_one(&self.pool).await.unwrap();
                format!("?model=authentik_core.group&search={name}")
            }
        };
        self.admin().get(&format!("{}{query}", resource.path)).await.status(200).rows()
    }

    /// Two rows that differ in every field that a request may set.
    pub async fn two_rows(&self, resource: &Declared) -> (Value, Value) {
        let (first, second) = self.two_numbers();
        (self.row(resource, first).await, self.row(resource, second).await)
    }
}

/// A JSON value as the text of a query parameter, percent-encoded.
pub fn as_parameter(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
