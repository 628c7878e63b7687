//! With a million rows no statement reads a big table where an index serves: PostgreSQL's own plans, of every list, page,
//! filter, search and look-up of every resource.

use std::collections::BTreeSet;

use ak_stages::db::search;
use ak_stages::resources;
use regex::Regex;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::support::{
    Declared, EMAIL, INVITATION, INVITATION_STAGE, Person, Statements, TestApp, USER_WRITE, declared,
    flow_set_entry,
};

/// Rows of most tables.
const MANY: i64 = 100_000;
/// Invitations.
const MOST: i64 = 1_000_000;
/// PostgreSQL plans a statement anew five times at least before it keeps a plan.
const UNTIL_PLANS_ARE_KEPT: usize = 7;

/// Filters that no index serves: those that aren't worth one, since they leave too much of a table, or are too seldom asked
/// for what an index would cost every write (settings of stages and flows, states, ranges of instants, look-ups in JSON).
const UNSERVED: &[(&str, &[&str])] = &[
    (
        EMAIL,
        &[
            "activate_user_on_success",
            "from_address",
            "host",
            "port",
            "subject",
            "template",
            "timeout",
            "token_expiry",
            "use_global_settings",
            "use_ssl",
            "use_tls",
            "username",
        ],
    ),
    (USER_WRITE, &["create_users_as_inactive", "user_creation_mode", "user_path_template", "user_type"]),
    (INVITATION_STAGE, &["continue_flow_without_invitation"]),
    ("/core/groups/", &["attributes", "is_superuser"]),
    ("/core/tokens/", &["description", "expires", "expiring", "intent", "managed"]),
    (
        "/core/users/",
        &[
            "attributes",
            "date_joined",
            "date_joined__gt",
            "date_joined__lt",
            "is_active",
            "is_superuser",
            "last_login",
            "last_login__gt",
            "last_login__isnull",
            "last_login__lt",
            "last_updated",
            "last_updated__gt",
            "last_updated__lt",
            "path",
            "path_startswith",
            "type",
        ],
    ),
    (
        "/flows/bindings/",
        &[
            "evaluate_on_plan",
            "invalid_response_action",
            "policies",
            "policy_engine_mode",
            "re_evaluate_policies",
        ],
    ),
    ("/flows/instances/", &["denied_action", "designation"]),
];

/// Of these an installation has a few: their tables are read as they are.
const FEW: [&str; 1] = ["/rbac/roles/"];

/// What the filters of the others are asked for, where it isn't a value of the row at hand.
const VALUES: &[(&str, &str, &str)] = &[
    (INVITATION, "created_by__username", "user-70000"),
    (INVITATION, "flow__slug", "flow-70000"),
    (INVITATION, "name", "invitation-70000"),
    (INVITATION, "expires", "2098-01-01T19:26:40Z"),
    (EMAIL, "name", "email-70000"),
    (USER_WRITE, "name", "write-70000"),
    (USER_WRITE, "create_users_group", "00000001-0000-4000-8000-000000000007"),
    (INVITATION_STAGE, "name", "stage-70000"),
    ("/stages/all/", "name", "email-70000"),
    ("/core/groups/", "name", "group-70000"),
    ("/core/groups/", "members_by_pk", "1007"),
    ("/core/groups/", "members_by_username", "user-70000"),
    ("/core/tokens/", "identifier", "token-70000"),
    ("/core/tokens/", "user__username", "user-70000"),
    ("/core/users/", "username", "user-70000"),
    ("/core/users/", "name", "User 70000"),
    ("/core/users/", "email", "user-70000@example.org"),
    ("/core/users/", "groups_by_name", "group-70000"),
    ("/core/users/", "groups_by_pk", "00000001-0000-4000-8000-000000000007"),
    ("/core/users/", "roles_by_name", "peer-reader-role"),
    ("/core/users/", "roles_by_pk", "{role}"),
    ("/flows/instances/", "name", "Flow 70000"),
    ("/flows/instances/", "slug", "flow-70000"),
    ("/flows/bindings/", "order", "70000"),
];

/// `INSERT` copies of a row: `changes` are columns and their new values, of the number `n`, in pairs.
fn copies(table: &str, template: &str, count: i64, changes: &str) -> String {
    format!(
        "INSERT INTO {table} SELECT made.* FROM {table} t, generate_series(1, {count}) n, \
         LATERAL jsonb_populate_record(t, jsonb_build_object({changes})) made WHERE t.{template};"
    )
}

/// The UUID of number `n` of a kind.
fn key(kind: u8) -> String {
    format!("('{kind:08x}-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid")
}

/// All of these statements, without the checks of foreign keys.
async fn execute(pool: &PgPool, statements: &str) {
    let statements = format!(
        "BEGIN; SET LOCAL session_replication_role = replica; SET LOCAL statement_timeout = 0; {statements}; COMMIT"
    );
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(pool).await.unwrap();
}

/// Rows of every resource, copies of one that the API made.
async fn fill(app: &TestApp) {
    let admin = app.admin();
    let flow = json!({ "name": "template", "slug": "template", "title": "a", "designation": "enrollment" });
    let flow = admin.post("/flows/instances/", flow).await.status(201).pk();
    let user = json!({ "username": "template", "name": "template" });
    admin.post("/core/users/", user).await.status(201);
    admin.post("/core/groups/", json!({ "name": "template" })).await.status(201);
    admin.post("/core/tokens/", json!({ "identifier": "template" })).await.status(201);
    for (path, name) in [(EMAIL, "email"), (USER_WRITE, "write"), (INVITATION_STAGE, "stage")] {
        let stage = json!({ "name": name, "flow_set": [flow_set_entry("template")] });
        admin.post(path, stage).await.status(201);
    }
    let invitation = json!({ "name": "template", "expires": "2098-01-01T00:00:00Z", "flow": flow });
    admin.post(INVITATION, invitation).await.status(201);

    let searched: Vec<String> = sqlx::query_scalar(
        "SELECT 'DROP INDEX ' || indexname FROM pg_indexes WHERE indexname LIKE 'ak\\_search\\_%'",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    execute(&app.pool, &searched.join(";")).await;
    let model = |kind| {
        let any = "(SELECT min(pbm_uuid::text)::uuid FROM authentik_policies_policybindingmodel)";
        let changes = format!("'pbm_uuid', {}", key(kind));
        copies("authentik_policies_policybindingmodel", &format!("pbm_uuid = {any}"), MANY, &changes)
    };
    let stage = |kind, name: &str, table: &str| {
        let key = key(kind);
        let head = format!("'stage_uuid', {key}, 'name', '{name}-' || n");
        let template = format!("(SELECT stage_uuid FROM authentik_flows_stage WHERE name = '{name}')");
        let own = format!("'stage_ptr_id', {key}");
        copies("authentik_flows_stage", &format!("name = '{name}'"), MANY, &head)
            + &copies(table, &format!("stage_ptr_id = {template}"), MANY, &own)
    };
    let (group, flow, email, binding) = (key(1), key(2), key(3), key(6));
    let flow_in_turn = flow.replace("to_hex(n)", &format!("to_hex(1 + n % {MANY})"));
    let statements = [
        copies(
            "authentik_core_user",
            "username = 'template'",
            MANY,
            "'id', 1000 + n, 'uuid', gen_random_uuid(), 'username', 'user-' || n, 'name', 'User ' || n, \
             'email', 'user-' || n || '@example.org'",
        ),
        copies(
            "authentik_core_group",
            "name = 'template'",
            MANY,
            &format!("'group_uuid', {group}, 'name', 'group-' || n"),
        ),
        format!(
            "INSERT INTO authentik_core_user_groups (user_id, group_id) \
             SELECT 1000 + n, {group} FROM generate_series(1, {MANY}) n;"
        ),
        copies(
            "authentik_core_token",
            "identifier = 'template'",
            MANY,
            "'token_uuid', gen_random_uuid(), 'identifier', 'token-' || n, 'key', gen_random_uuid(), \
             'user_id', 1000 + n",
        ),
        model(2),
        copies(
            "authentik_flows_flow",
            "slug = 'template'",
            MANY,
            &format!(
                "'flow_uuid', {flow}, 'policybindingmodel_ptr_id', {flow}, 'slug', 'flow-' || n, \
                 'name', 'Flow ' || n"
            ),
        ),
        stage(3, "email", "authentik_stages_email_emailstage"),
        stage(4, "write", "authentik_stages_user_write_userwritestage"),
        stage(5, "stage", "authentik_stages_invitation_invitationstage"),
        model(6),
        copies(
            "authentik_flows_flowstagebinding",
            "stage_id = (SELECT stage_uuid FROM authentik_flows_stage WHERE name = 'email')",
            MANY,
            &format!(
                "'fsb_uuid', {binding}, 'policybindingmodel_ptr_id', {binding}, 'target_id', {flow}, \
                 'stage_id', {email}, 'order', n"
            ),
        ),
        copies(
            "authentik_stages_invitation_invitation",
            "name = 'template'",
            MOST,
            &format!(
                "'invite_uuid', {}, 'name', 'invitation-' || n, \
                 'expires', timestamptz '2098-01-01' + n * interval '1 second', \
                 'created_by_id', 1001 + n % {MANY}, 'flow_id', {flow_in_turn}",
                key(7)
            ),
        ),
    ];
    execute(&app.pool, &statements.concat()).await;
    make_indexes(&app.pool).await;
    execute(&app.pool, "ANALYZE").await;
}

/// As at the start of a server: on a connection whose statements may take their time.
async fn make_indexes(pool: &PgPool) {
    let own = PgPool::connect_with(pool.connect_options().as_ref().clone()).await.unwrap();
    search::make_indexes(&own, &resources::searched()).await.unwrap();
    own.close().await;
}

/// The paths of a resource that are looked at.
fn paths(resource: &Declared, row: &Value, role: &str) -> Vec<String> {
    let mut paths = vec![resource.path_of(row)];
    for query in [
        "",
        "page=2",
        "page=2500",
        "page=last",
        "search=70000",
        "search=nothing-like-it",
        "search=%22user-7000%22",
        "search=a00b",
        "search=nothing%20but%20words",
    ] {
        paths.push(format!("{}?{query}", resource.path));
    }
    let unserved =
        UNSERVED.iter().find(|(path, _)| *path == resource.path).map_or(&[][..], |(_, names)| *names);
    let own = resource.fields.iter().filter(|field| field.filter).map(|field| field.name);
    let further = resource.filters.iter().map(|filter| filter.name);
    for name in own.chain(further).filter(|name| !unserved.contains(name)) {
        let given = VALUES.iter().find(|(path, filter, _)| *path == resource.path && *filter == name);
        let value = match (given, &row[name]) {
            (Some((_, _, value)), _) => value.replace("{role}", role),
            (None, Value::String(text)) => text.clone(),
            // The key of another row, or of this one.
            _ => row["pk"].as_str().map_or_else(|| row["pk"].to_string(), str::to_owned),
        };
        paths.push(format!("{}?{name}={}", resource.path, value.replace(' ', "%20")));
    }
    paths
}

#[tokio::test]
async fn no_statement_reads_a_big_table_for_what_an_index_serves() {
    let app = TestApp::with(|settings| settings.answer_cache = 0).await;
    fill(&app).await;
    let big: BTreeSet<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND reltuples >= $1::bigint",
    )
    .bind(MANY)
    .fetch_all(&app.pool)
    .await
    .unwrap()
    .into_iter()
    .collect();
    assert!(big.len() >= 11, "{big:?}");
    let scan = Regex::new(r"Seq Scan on (\w+)").unwrap();
    let reader = app
        .enter(Person::named("reader").may_on("view_invitation", "00000007-0000-4000-8000-000000000007"))
        .await;

    let said = Statements::watch();
    // On the connection that is used last, and so by all requests of this test.
    let mut connection = app.requests.acquire().await.unwrap();
    let explain =
        "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_level = notice";
    sqlx::raw_sql(explain).execute(&mut *connection).await.unwrap();
    connection.finish().await.unwrap();

    let mut scans = Vec::new();
    let mut look = async |client: &crate::support::Client, path: &str| {
        for _ in 0..UNTIL_PLANS_ARE_KEPT {
            said.take_notices();
            client.get(path).await.status(200);
        }
        let plans = said.take_notices();
        assert!(!plans.is_empty(), "{path}: no plan is told");
        for plan in plans {
            let read = scan.captures_iter(&plan).any(|found| big.contains(&found[1]));
            // Without a condition a page of the table as it is, and no more, is read.
            if read && !plan.contains("Limit") {
                scans.push(format!("{path}\n{plan}"));
            }
        }
    };
    let role = "SELECT uuid::text FROM authentik_rbac_role WHERE name = 'peer-reader-role'";
    let role: String = sqlx::query_scalar(role).fetch_one(&app.pool).await.unwrap();
    for resource in declared().into_iter().filter(|resource| !FEW.contains(&resource.path)) {
        let rows = app.admin().get(&format!("{}?page=2", resource.path)).await.status(200).rows();
        for path in paths(&resource, &rows[7], &role) {
            look(&app.admin(), &path).await;
        }
    }
    for path in [INVITATION.to_owned(), format!("{INVITATION}00000007-0000-4000-8000-000000000007/")] {
        look(&reader, &path).await;
    }
    assert!(scans.is_empty(), "{}", scans.join("\n\n"));
}
