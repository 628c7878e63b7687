//! Rows for tests that need something to be there, written past the API.

use ak_stages::clock::Ids;
use drf::field::Target;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Client, TestApp, USER_WRITE, now};

impl TestApp {
    /// A flow with this slug.
    pub async fn flow(&self, slug: &str) -> Uuid {
        let (flow, parent) = (Ids::Random.next(), policy_binding_model(&self.pool).await);
        sqlx::query(
            "INSERT INTO authentik_flows_flow (flow_uuid, policybindingmodel_ptr_id, name, slug, title, designation, \
             background, compatibility_mode, layout, denied_action, authentication) \
             VALUES ($1, $2, 'A flow', $3, 'Welcome', 'enrollment', '', FALSE, 'stacked', 'message_continue', 'none')",
        )
        .bind(flow)
        .bind(parent)
        .bind(slug)
        .execute(&self.pool)
        .await
        .unwrap();
        flow
    }

    /// A binding of a stage to a flow.
    pub async fn bind(&self, flow: Uuid, stage: &str, order: i32) {
        let parent = policy_binding_model(&self.pool).await;
        sqlx::query(
            "INSERT INTO authentik_flows_flowstagebinding (policybindingmodel_ptr_id, fsb_uuid, \
             re_evaluate_policies, \"order\", target_id, stage_id, evaluate_on_plan, invalid_response_action) \
             VALUES ($1, $2, TRUE, $3, $4, $5::uuid, FALSE, 'retry')",
        )
        .bind(parent)
        .bind(Ids::Random.next())
        .bind(order)
        .bind(flow)
        .bind(stage)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// The bindings of a flow: stage and order, first to last.
    pub async fn bindings(&self, slug: &str) -> Vec<(String, i32)> {
        sqlx::query_as(
            "SELECT b.stage_id::text, b.\"order\" FROM authentik_flows_flowstagebinding b \
             JOIN authentik_flows_flow f ON f.flow_uuid = b.target_id WHERE f.slug = $1 ORDER BY b.\"order\"",
        )
        .bind(slug)
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// A group, below others.
    pub async fn group(&self, name: &str, is_superuser: bool, parents: &[Uuid]) -> Uuid {
        let group = Ids::Random.next();
        sqlx::query(
            "INSERT INTO authentik_core_group (group_uuid, name, attributes, is_superuser) VALUES ($1, $2, '{}', $3)",
        )
        .bind(group)
        .bind(name)
        .bind(is_superuser)
        .execute(&self.pool)
        .await
        .unwrap();
        for parent in parents {
            sqlx::query(
                "INSERT INTO authentik_core_groupparentage (uuid, child_id, parent_id) VALUES ($1, $2, $3)",
            )
            .bind(Ids::Random.next())
            .bind(group)
            .bind(parent)
            .execute(&self.pool)
            .await
            .unwrap();
        }
        group
    }

    /// Make a user the member of a group.
    pub async fn join(&self, username: &str, group: Uuid) {
        let join = sqlx::query(
            "INSERT INTO authentik_core_user_groups (user_id, group_id) \
             SELECT id, $2 FROM authentik_core_user WHERE username = $1",
        );
        let done = join.bind(username).bind(group).execute(&self.pool).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "there is a user {username}");
    }

    /// Give a role to a group.
    pub async fn assign(&self, group: Uuid, role: Uuid) {
        let assign =
            sqlx::query("INSERT INTO authentik_core_group_roles (group_id, role_id) VALUES ($1, $2)");
        assign.bind(group).bind(role).execute(&self.pool).await.unwrap();
    }

    /// This many invitation stages, `stage 001` and so on.
    pub async fn invitation_stages(&self, count: i32) {
        sqlx::query(
            "WITH stages AS (INSERT INTO authentik_flows_stage (stage_uuid, name) \
               SELECT gen_random_uuid(), 'stage ' || to_char(n, 'FM999000') FROM generate_series(1, $1) n RETURNING stage_uuid) \
             INSERT INTO authentik_stages_invitation_invitationstage (stage_ptr_id, continue_flow_without_invitation) \
             SELECT stage_uuid, FALSE FROM stages",
        )
        .bind(count)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// This many invitations that differ in nothing but their keys, which are drawn at random.
    pub async fn equal_invitations(&self, count: i32) {
        sqlx::query(
            "INSERT INTO authentik_stages_invitation_invitation (invite_uuid, expires, fixed_data, created_by_id, \
             single_use, expiring, name, flow_id) SELECT gen_random_uuid(), $2, '{}', u.id, FALSE, TRUE, 'equal', NULL \
             FROM generate_series(1, $1), authentik_core_user u WHERE u.username = 'akadmin'",
        )
        .bind(count)
        .bind(now())
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// The key of a new row of `target`.
    pub async fn row_of(&self, target: &Target) -> Value {
        let n = self.fresh();
        match target.table {
            "authentik_flows_flow" => json!(self.flow(&format!("flow-{n}")).await),
            "authentik_core_group" => json!(self.group(&format!("group {n}"), false, &[]).await),
            "authentik_flows_stage" => {
                let stage = self.admin().post(USER_WRITE, json!({ "name": format!("stage {n}") })).await;
                json!(stage.status(201).pk())
            }
            "authentik_rbac_role" => json!(self.role(&[]).await),
            "authentik_core_user" => {
                self.someone_who_may(&[]).await;
                let newest = sqlx::query_scalar("SELECT max(id) FROM authentik_core_user");
                let newest: i32 = newest.fetch_one(&self.pool).await.unwrap();
                json!(newest)
            }
            table => panic!("no test makes rows of {table}"),
        }
    }
}

async fn policy_binding_model(pool: &PgPool) -> Uuid {
    let key = Ids::Random.next();
    sqlx::query(
        "INSERT INTO authentik_policies_policybindingmodel (pbm_uuid, policy_engine_mode) VALUES ($1, 'any')",
    )
    .bind(key)
    .execute(pool)
    .await
    .unwrap();
    key
}

impl Client {
    /// The key of a new stage or invitation with this name.
    pub async fn create(&self, path: &str, name: &str) -> String {
        self.post(path, json!({ "name": name })).await.status(201).pk()
    }
}
