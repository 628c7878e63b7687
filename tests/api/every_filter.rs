//! Every filter of every resource, by what it lets through. The tables below have to name each filter and each include
//! that a resource declares, and nothing else.

use std::collections::{BTreeSet, HashMap};

use drf::params::FilterKind;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{
    Declared, EMAIL, INVITATION, INVITATION_STAGE, Person, TestApp, USER_WRITE, as_parameter, declared,
};

/// What a resource's filters find among its rows in [`World`].
struct Found {
    path: &'static str,
    /// The key of an answer that tells the rows apart.
    label: &'static str,
    rows: &'static [&'static str],
    /// A filter, a value, and the rows that it lets through. `{…}` in a value stands for a key of [`World`].
    filters: &'static [(&'static str, &'static str, &'static [&'static str])],
    /// An include, the key that it fills, and two names: of the row and of the one thing that it then shows.
    includes: &'static [(&'static str, &'static str, &'static str, &'static str)],
}

const FOUND: &[Found] = &[
    Found {
        path: EMAIL,
        label: "name",
        rows: &["email-1", "email-2"],
        filters: &[
            ("name", "email-1", &["email-1"]),
            ("use_global_settings", "true", &["email-1"]),
            ("use_global_settings", "false", &["email-2"]),
            ("host", "one.example.org", &["email-1"]),
            ("port", "2525", &["email-2"]),
            ("username", "one", &["email-1"]),
            ("use_tls", "true", &["email-1"]),
            ("use_tls", "false", &["email-2"]),
            ("use_ssl", "true", &["email-2"]),
            ("use_ssl", "false", &["email-1"]),
            ("timeout", "20", &["email-2"]),
            ("from_address", "one@example.org", &["email-1"]),
            ("token_expiry", "hours=2", &["email-2"]),
            ("subject", "One", &["email-1"]),
            ("template", "email/account_confirmation.html", &["email-2"]),
            ("activate_user_on_success", "true", &["email-1"]),
            ("activate_user_on_success", "false", &["email-2"]),
        ],
        includes: &[],
    },
    Found {
        path: USER_WRITE,
        label: "name",
        rows: &["write-1", "write-2"],
        filters: &[
            ("name", "write-1", &["write-1"]),
            ("stage_uuid", "{write-2}", &["write-2"]),
            ("user_creation_mode", "always_create", &["write-1"]),
            ("create_users_as_inactive", "true", &["write-1"]),
            ("create_users_as_inactive", "false", &["write-2"]),
            ("create_users_group", "{group-2}", &["write-2"]),
            ("user_type", "internal", &["write-1"]),
            ("user_path_template", "users/two", &["write-2"]),
        ],
        includes: &[],
    },
    Found {
        path: INVITATION_STAGE,
        label: "name",
        rows: &["invite-1", "invite-2"],
        filters: &[
            ("name", "invite-1", &["invite-1"]),
            ("stage_uuid", "{invite-2}", &["invite-2"]),
            ("continue_flow_without_invitation", "true", &["invite-1"]),
            ("continue_flow_without_invitation", "false", &["invite-2"]),
            ("no_flows", "true", &["invite-2"]),
            ("no_flows", "false", &["invite-1"]),
        ],
        includes: &[],
    },
    Found {
        path: INVITATION,
        label: "name",
        rows: &["invitation-1", "invitation-2"],
        filters: &[
            ("name", "invitation-1", &["invitation-1"]),
            ("expires", "2030-01-02T00:00:00Z", &["invitation-2"]),
            ("created_by__username", "akadmin", &["invitation-1"]),
            ("created_by__username", "creator", &["invitation-2"]),
            ("flow__slug", "flow-1", &["invitation-1"]),
        ],
        includes: &[],
    },
    Found {
        path: "/stages/all/",
        label: "name",
        rows: &["email-1", "email-2", "write-1", "write-2", "invite-1", "invite-2"],
        filters: &[("name", "write-1", &["write-1"])],
        includes: &[],
    },
    Found {
        path: "/flows/instances/",
        label: "slug",
        rows: &["flow-1", "flow-2"],
        filters: &[
            ("name", "Flow 1", &["flow-1"]),
            ("slug", "flow-2", &["flow-2"]),
            ("flow_uuid", "{flow-1}", &["flow-1"]),
            ("designation", "recovery", &["flow-2"]),
            ("denied_action", "continue", &["flow-1"]),
        ],
        includes: &[],
    },
    Found {
        path: "/flows/bindings/",
        label: "order",
        rows: &["1", "2", "3"],
        filters: &[
            ("target", "{flow-2}", &["2", "3"]),
            ("stage", "{email-1}", &["1"]),
            ("evaluate_on_plan", "true", &["1"]),
            ("evaluate_on_plan", "false", &["2", "3"]),
            ("re_evaluate_policies", "true", &["2", "3"]),
            ("re_evaluate_policies", "false", &["1"]),
            ("order", "2", &["2"]),
            ("policy_engine_mode", "all", &["1"]),
            ("invalid_response_action", "restart", &["1"]),
            ("fsb_uuid", "{binding-2}", &["2"]),
            ("pbm_uuid", "{bound-3}", &["3"]),
            ("policies", "{policy-1}", &["1"]),
            ("policies", "{policy-1}&policies={policy-2}", &["1", "2"]),
        ],
        includes: &[],
    },
    Found {
        path: "/core/groups/",
        label: "name",
        rows: &["group-1", "group-2", "group-3"],
        filters: &[
            ("name", "group-1", &["group-1"]),
            ("is_superuser", "true", &["group-1"]),
            ("is_superuser", "false", &["group-2", "group-3"]),
            ("members_by_pk", "{user-1}", &["group-1"]),
            ("members_by_pk", "{user-1}&members_by_pk={user-2}", &["group-1", "group-2"]),
            ("members_by_username", "user-2", &["group-2"]),
            ("attributes", r#"{"n__gt":1}"#, &["group-2"]),
        ],
        includes: &[
            ("include_children", "children_obj", "group-1", "group-3"),
            ("include_inherited_roles", "inherited_roles_obj", "group-3", "role-1"),
            ("include_parents", "parents_obj", "group-3", "group-1"),
            ("include_users", "users_obj", "group-2", "user-2"),
        ],
    },
    Found {
        path: "/core/users/",
        label: "username",
        rows: &["user-1", "user-2", "user-3"],
        filters: &[
            ("username", "user-1", &["user-1"]),
            ("name", "User 2", &["user-2"]),
            ("is_active", "true", &["user-1", "user-3"]),
            ("is_active", "false", &["user-2"]),
            ("is_superuser", "true", &["user-1"]),
            ("is_superuser", "false", &["user-2", "user-3"]),
            ("email", "two@example.org", &["user-2"]),
            ("path", "users/one", &["user-1"]),
            ("path", "users", &["user-3"]),
            ("path_startswith", "users/", &["user-1", "user-2"]),
            ("path_startswith", "users/o", &["user-1"]),
            ("type", "external", &["user-2"]),
            ("type", "external&type=service_account", &["user-2", "user-3"]),
            ("uuid", "{uuid-2}", &["user-2"]),
            ("attributes", r#"{"n__gt":1}"#, &["user-2"]),
            ("last_login", "2025-01-01T00:00:00Z", &["user-1"]),
            ("last_login__lt", "2025-06-01T00:00:00Z", &["user-1"]),
            ("last_login__lt", "2025-06-01T00:00:01Z", &["user-1", "user-2"]),
            ("last_login__gt", "2025-01-01T00:00:00Z", &["user-2"]),
            ("last_login__isnull", "true", &["user-3"]),
            ("last_login__isnull", "false", &["user-1", "user-2"]),
            ("date_joined", "2024-01-02T00:00:00Z", &["user-2"]),
            ("date_joined__lt", "2024-01-02T00:00:00Z", &["user-1"]),
            ("date_joined__gt", "2024-01-02T00:00:00Z", &["user-3"]),
            ("last_updated", "2026-01-02T00:00:00Z", &["user-2"]),
            ("last_updated__lt", "2026-01-02T00:00:00Z", &["user-1"]),
            ("last_updated__gt", "2026-01-02T00:00:00Z", &["user-3"]),
            ("groups_by_name", "group-1", &["user-1"]),
            ("groups_by_name", "group-1&groups_by_name=group-2", &["user-1", "user-2"]),
            ("groups_by_pk", "{group-2}", &["user-2"]),
            ("roles_by_name", "role-1", &["user-1"]),
            ("roles_by_pk", "{role-2}", &["user-2"]),
        ],
        includes: &[
            ("include_groups", "groups_obj", "user-2", "group-2"),
            ("include_roles", "roles_obj", "user-2", "role-2"),
        ],
    },
    Found {
        path: "/core/tokens/",
        label: "identifier",
        rows: &["token-1", "token-2"],
        filters: &[
            ("managed", "one", &["token-1"]),
            ("identifier", "token-2", &["token-2"]),
            ("intent", "api", &["token-1"]),
            ("user__username", "user-2", &["token-2"]),
            ("description", "One", &["token-1"]),
            ("expires", "2026-03-04T05:20:00Z", &["token-2"]),
            ("expiring", "true", &["token-2"]),
            ("expiring", "false", &["token-1"]),
        ],
        includes: &[],
    },
    Found {
        path: "/rbac/roles/",
        label: "name",
        rows: &["role-1", "role-2"],
        filters: &[
            ("name", "role-1", &["role-1"]),
            ("managed", "goauthentik.io/two", &["role-2"]),
            ("managed__isnull", "true", &["role-1"]),
            ("managed__isnull", "false", &["role-2"]),
            ("users", "{user-1}", &["role-1"]),
            ("groups", "{group-1}", &["role-1"]),
            ("ak_groups", "{group-1}", &["role-1"]),
            ("inherited", "true&groups={group-3}", &["role-1"]),
        ],
        includes: &[],
    },
];

#[test]
fn every_declared_filter_is_in_the_tables() {
    let paths = set(declared().iter().map(|resource| resource.path));
    assert_eq!(set(FOUND.iter().map(|found| found.path)), paths);
    for found in FOUND {
        let resource = Declared::at(found.path);
        let names = set(filters(&resource).into_iter().map(|(name, _)| name));
        assert_eq!(set(found.filters.iter().map(|(filter, ..)| *filter)), names, "filters of {}", found.path);
        let names = set(resource.includes.iter().map(|(include, _)| *include));
        assert_eq!(
            set(found.includes.iter().map(|(include, ..)| *include)),
            names,
            "includes of {}",
            found.path
        );
    }
}

fn set(names: impl Iterator<Item = &'static str>) -> BTreeSet<&'static str> {
    names.collect()
}

/// What filters the resource, fields first.
fn filters(resource: &Declared) -> Vec<(&'static str, FilterKind)> {
    let fields = resource.fields.iter().filter(|field| field.filter);
    let own = fields.map(|field| (field.name, FilterKind::of(field)));
    own.chain(resource.filters.iter().map(|filter| (filter.name, filter.kind))).collect()
}

#[tokio::test]
async fn a_filter_lets_through_what_fits_and_nothing_else() {
    let world = World::new().await;
    for found in FOUND {
        assert_eq!(world.list(found, "").await, found.rows, "{}", found.path);
        for (filter, value, rows) in found.filters {
            assert!(!rows.is_empty() && rows.len() < found.rows.len(), "{filter}={value} tells nothing");
            let query = format!("{filter}={}", world.value(value));
            assert_eq!(world.list(found, &query).await, *rows, "{} {filter}={value}", found.path);
        }
    }
}

#[tokio::test]
async fn an_empty_parameter_is_no_filter_unless_it_may_be_repeated() {
    let world = World::new().await;
    for found in FOUND {
        for (name, kind) in filters(&Declared::at(found.path)) {
            let sentence = match kind {
                FilterKind::Texts(_) | FilterKind::Choices(_) => {
                    "Select a valid choice.  is not one of the available choices."
                }
                FilterKind::Uuids(_) => "“” is not a valid UUID.",
                FilterKind::Numbers(_) => "“” is not a valid value.",
                _ => {
                    assert_eq!(world.list(found, &format!("{name}=")).await, found.rows, "{name}");
                    continue;
                }
            };
            let answer = world.app.admin().get(&format!("{}?{name}=", found.path)).await;
            answer.is(400, json!({ name: [sentence] }));
        }
    }
}

#[tokio::test]
async fn an_include_shows_or_hides() {
    let world = World::new().await;
    for found in FOUND {
        for (include, key, row, expected) in found.includes {
            let shown = async |query: String| {
                let path = format!("{}?page_size=100&{query}", found.path);
                let rows = world.app.admin().get(&path).await.status(200).rows();
                let mut row = rows.into_iter().find(|other| other[found.label] == *row).unwrap();
                row[key].take()
            };
            let objects = shown(format!("{include}=true")).await;
            let names: Vec<_> = objects.as_array().unwrap().iter().map(name_of).collect();
            assert_eq!(names, [*expected], "{include}");
            assert_eq!(shown(format!("{include}=false")).await, Value::Null, "{include}");
        }
    }
}

/// A key or a label, which is a text or a number.
fn text_of(value: &Value) -> String {
    value.as_str().map_or(value.to_string(), str::to_owned)
}

/// What a user or anything else is called.
fn name_of(object: &Value) -> &str {
    object.get("username").unwrap_or(&object["name"]).as_str().unwrap()
}

#[tokio::test]
async fn a_repeated_parameter_names_what_exists_and_as_it_is_printed() {
    let world = World::new().await;
    let refused =
        |value: &str| format!("Select a valid choice. {value} is not one of the available choices.");
    let (role, user) = (&world.keys["role-1"], &world.keys["user-1"]);
    let (upper, plain) = (role.to_uppercase(), role.replace('-', ""));
    let nobody = "0a0b0c0d-1111-4222-8333-0000abcdef01";
    for (path, name, value, sentence) in [
        ("/core/users/", "groups_by_name", "nope", refused("nope")),
        ("/core/users/", "groups_by_name", "GROUP-1", refused("GROUP-1")),
        ("/core/users/", "groups_by_name", " group-1", refused(" group-1")),
        ("/core/users/", "groups_by_name", "\0", "Null characters are not allowed.".into()),
        ("/core/users/", "groups_by_pk", nobody, refused(nobody)),
        ("/core/users/", "roles_by_pk", &upper, refused(&upper)),
        ("/core/users/", "roles_by_pk", &plain, refused(&plain)),
        ("/core/users/", "groups_by_pk", "nope", "“nope” is not a valid UUID.".into()),
        ("/core/users/", "roles_by_name", "nope", refused("nope")),
        ("/core/users/", "roles_by_pk", nobody, refused(nobody)),
        ("/core/users/", "type", "robot", refused("robot")),
        ("/core/groups/", "members_by_username", "nope", refused("nope")),
        ("/core/groups/", "members_by_pk", "0", refused("0")),
        ("/core/groups/", "members_by_pk", &format!("0{user}"), refused(&format!("0{user}"))),
        ("/core/groups/", "members_by_pk", "99999999999999999999", refused("99999999999999999999")),
        ("/core/groups/", "members_by_pk", "1.0", "“1.0” is not a valid value.".into()),
        ("/flows/bindings/", "policies", nobody, refused(nobody)),
        ("/flows/bindings/", "policies", "nope", "“nope” is not a valid UUID.".into()),
    ] {
        let value = as_parameter(&json!(value));
        let answer = world.app.admin().get(&format!("{path}?{name}={value}")).await;
        answer.is(400, json!({ name: [sentence] }));
    }
    let first_missing = "groups_by_name=group-1&groups_by_name=b&groups_by_name=a";
    let answer = world.app.admin().get(&format!("/core/users/?{first_missing}")).await;
    answer.is(400, json!({ "groups_by_name": [refused("b")] }));
}

/// Rows of every resource that differ in everything that can be filtered by.
struct World {
    app: TestApp,
    /// Their keys by what the tables above call them.
    keys: HashMap<String, String>,
}

impl World {
    async fn new() -> Self {
        let mut world = Self { app: TestApp::new().await, keys: HashMap::new() };
        world.groups_users_and_roles().await;
        world.stages().await;
        world.flows_and_bindings().await;
        world.invitations_and_tokens().await;
        world
    }

    /// `{…}` in a value replaced with the keys.
    fn value(&self, value: &str) -> String {
        if value.starts_with("{\"") {
            return as_parameter(&json!(value));
        }
        self.keys
            .iter()
            .fold(value.replace(' ', "%20"), |value, (name, key)| value.replace(&format!("{{{name}}}"), key))
    }

    /// The rows of the table in a list, in the table's order.
    async fn list(&self, found: &Found, query: &str) -> Vec<&'static str> {
        let path = format!("{}?page_size=100&{query}", found.path);
        let labels = self.app.admin().get(&path).await.status(200).column(found.label);
        let labels: Vec<_> = labels.iter().map(text_of).collect();
        found.rows.iter().copied().filter(|row| labels.iter().any(|label| label == row)).collect()
    }

    /// POST, and keep the key of what was made.
    async fn make(&mut self, name: &str, path: &str, body: Value) -> Value {
        let made = self.app.admin().post(path, body).await.status(201).json();
        self.keep(name, &made["pk"]);
        made
    }

    fn keep(&mut self, name: &str, key: &Value) {
        self.keys.insert(name.to_owned(), text_of(key));
    }

    async fn execute(&self, statement: String) {
        let done = sqlx::query(AssertSqlSafe(statement)).execute(&self.app.pool).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
    }

    async fn groups_users_and_roles(&mut self) {
        for role in ["role-1", "role-2"] {
            let key = self.app.role(&[]).await;
            self.execute(format!("UPDATE authentik_rbac_role SET name = '{role}' WHERE uuid = '{key}'"))
                .await;
            self.keep(role, &json!(key));
        }
        let managed = "UPDATE authentik_rbac_role SET managed = 'goauthentik.io/two' WHERE name = 'role-2'";
        self.execute(managed.to_owned()).await;
        let groups = "/core/groups/";
        let body = json!({
            "name": "group-1", "is_superuser": true, "attributes": { "n": 1 }, "roles": [self.keys["role-1"]],
        });
        self.make("group-1", groups, body).await;
        self.make("group-2", groups, json!({ "name": "group-2", "attributes": { "n": 2 } })).await;
        let body = json!({ "name": "group-3", "parents": [self.keys["group-1"]] });
        self.make("group-3", groups, body).await;

        let users = "/core/users/";
        let body = json!({
            "username": "user-1", "name": "User 1", "email": "one@example.org", "path": "users/one",
            "attributes": { "n": 1 }, "groups": [self.keys["group-1"]], "roles": [self.keys["role-1"]],
        });
        self.make("user-1", users, body).await;
        let body = json!({
            "username": "user-2", "name": "User 2", "email": "two@example.org", "path": "users/two",
            "is_active": false, "type": "external", "attributes": { "n": 2 },
            "groups": [self.keys["group-2"]], "roles": [self.keys["role-2"]],
        });
        let second = self.make("user-2", users, body).await;
        self.keep("uuid-2", &second["uuid"]);
        let body = json!({ "username": "user-3", "name": "User 3", "type": "service_account" });
        self.make("user-3", users, body).await;
        for (username, last_login, joined, updated) in [
            ("user-1", "'2025-01-01Z'", "2024-01-01Z", "2026-01-01Z"),
            ("user-2", "'2025-06-01Z'", "2024-01-02Z", "2026-01-02Z"),
            ("user-3", "NULL", "2024-01-03Z", "2026-01-03Z"),
        ] {
            self.execute(format!(
                "UPDATE authentik_core_user SET last_login = {last_login}, date_joined = '{joined}', \
                 last_updated = '{updated}' WHERE username = '{username}'"
            ))
            .await;
        }
    }

    async fn stages(&mut self) {
        let body = json!({
            "name": "email-1", "use_global_settings": true, "host": "one.example.org", "port": 25, "username": "one",
            "use_tls": true, "use_ssl": false, "timeout": 10, "from_address": "one@example.org",
            "token_expiry": "hours=1", "subject": "One", "template": "email/password_reset.html",
            "activate_user_on_success": true,
        });
        self.make("email-1", EMAIL, body).await;
        let body = json!({
            "name": "email-2", "use_global_settings": false, "host": "two.example.org", "port": 2525,
            "username": "two", "use_tls": false, "use_ssl": true, "timeout": 20, "from_address": "two@example.org",
            "token_expiry": "hours=2", "subject": "Two", "template": "email/account_confirmation.html",
            "activate_user_on_success": false,
        });
        self.make("email-2", EMAIL, body).await;
        let body = json!({
            "name": "write-1", "user_creation_mode": "always_create", "create_users_as_inactive": true,
            "create_users_group": self.keys["group-1"], "user_type": "internal", "user_path_template": "users/one",
        });
        self.make("write-1", USER_WRITE, body).await;
        let body = json!({
            "name": "write-2", "user_creation_mode": "never_create", "create_users_as_inactive": false,
            "create_users_group": self.keys["group-2"], "user_type": "external", "user_path_template": "users/two",
        });
        self.make("write-2", USER_WRITE, body).await;
        for (name, continues) in [("invite-1", true), ("invite-2", false)] {
            let body = json!({ "name": name, "continue_flow_without_invitation": continues });
            self.make(name, INVITATION_STAGE, body).await;
        }
    }

    /// The second binding of the second flow is that of an invitation stage.
    async fn flows_and_bindings(&mut self) {
        for (slug, name, designation, denied_action) in [
            ("flow-1", "Flow 1", "enrollment", "continue"),
            ("flow-2", "Flow 2", "recovery", "message_continue"),
        ] {
            let body = json!({
                "slug": slug, "name": name, "title": "Welcome", "designation": designation,
                "denied_action": denied_action,
            });
            self.make(slug, "/flows/instances/", body).await;
        }
        for (order, flow, stage, first) in [
            (1, "flow-1", "email-1", true),
            (2, "flow-2", "email-2", false),
            (3, "flow-2", "invite-1", false),
        ] {
            let body = json!({
                "target": self.keys[flow], "stage": self.keys[stage], "order": order,
                "evaluate_on_plan": first, "re_evaluate_policies": !first,
                "policy_engine_mode": if first { "all" } else { "any" },
                "invalid_response_action": if first { "restart" } else { "retry" },
            });
            let binding = self.make(&format!("binding-{order}"), "/flows/bindings/", body).await;
            let bound = &binding["policybindingmodel_ptr_id"];
            self.keep(&format!("bound-{order}"), bound);
            let policy = format!("0a0b0c0d-2222-4222-8333-{order:012}");
            self.keep(&format!("policy-{order}"), &json!(policy));
            self.execute(format!(
                "INSERT INTO authentik_policies_policybinding (policy_binding_uuid, enabled, \"order\", policy_id, \
                 target_id, negate, timeout, failure_result) VALUES (gen_random_uuid(), TRUE, 0, '{policy}', '{}', \
                 FALSE, 30, FALSE)",
                bound.as_str().unwrap()
            ))
            .await;
        }
    }

    async fn invitations_and_tokens(&mut self) {
        let creator = Person::named("creator").may("add_invitation").may("view_invitation").may("view_flow");
        let creator = self.app.enter(creator).await;
        for (name, client, flow, expires) in [
            ("invitation-1", self.app.admin(), "flow-1", "2030-01-01T00:00:00Z"),
            ("invitation-2", creator, "flow-2", "2030-01-02T00:00:00Z"),
        ] {
            let body = json!({ "name": name, "flow": self.keys[flow], "expires": expires });
            client.post(INVITATION, body).await.status(201);
        }
        let user = |name: &str| self.keys[name].parse::<i32>().unwrap();
        for body in [
            json!({
                "identifier": "token-1", "intent": "api", "user": user("user-1"), "description": "One",
                "managed": "one", "expiring": false, "expires": "2026-03-04T05:10:00Z",
            }),
            json!({
                "identifier": "token-2", "intent": "app_password", "user": user("user-2"), "description": "Two",
                "managed": "two", "expiring": true, "expires": "2026-03-04T05:20:00Z",
            }),
        ] {
            self.app.admin().post("/core/tokens/", body).await.status(201);
        }
    }
}
