//! What uses an object: the rows of a `used_by/` answer.
//!
//! `RELATIONS` names, for every kind of object, the rows that point at it, what deleting it would do to them, and
//! what `str()` calls them. Most of the tables exist in authentik's own database alone; a relation whose tables are
//! missing, or closed to our database role, has no rows.

use serde::Serialize;
use sqlx::{PgConnection, QueryBuilder};

use crate::auth::rbac::Model;
use crate::drf::resource::{PrimaryKey, View};
use crate::error::ApiError;

/// One object that uses another, and what its deletion would do to it.
#[derive(Debug, Clone, Serialize)]
pub struct UsedBy {
    /// The app label of its model.
    pub app: &'static str,
    /// Its model in lower case.
    pub model_name: &'static str,
    /// Its key.
    pub pk: String,
    /// What `str()` gives for it.
    pub name: String,
    /// `cascade`, `cascade_many`, `set_null` or `set_default`.
    pub action: &'static str,
}

/// The kinds of objects that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Used {
    /// A stage of any type.
    Stage,
    /// A flow.
    Flow,
    /// A binding.
    Binding,
    /// A group.
    Group,
    /// A user.
    User,
}

/// Rows of one model that use an object.
struct Relation {
    used: Used,
    app: &'static str,
    model: &'static str,
    action: &'static str,
    /// SQL for the key, as text.
    key: &'static str,
    /// SQL for the name.
    name: &'static str,
    /// FROM and WHERE; the object's key takes the place of `{}`.
    rows: &'static str,
    /// The tables that have to exist.
    tables: &'static [&'static str],
}

/// A relation through a many-to-many field.
const fn linked(
    used: Used,
    (app, model): (&'static str, &'static str),
    key: &'static str,
    name: &'static str,
    rows: &'static str,
) -> Relation {
    Relation { used, app, model, action: "cascade_many", key, name, rows, tables: &[] }
}

/// A relation of flows to stages through one of their columns.
const fn stage_of_flow(
    app: &'static str,
    model: &'static str,
    name: &'static str,
    rows: &'static str,
    tables: &'static [&'static str],
) -> Relation {
    Relation { used: Used::Flow, app, model, action: "set_null", key: "s.stage_uuid", name, rows, tables }
}

const BINDING_NAME: &str = "'Flow-stage binding #' || b.\"order\" || ' to ' || b.target_id";
const STAGE_NAME: &str = "'Stage ' || s.name";
const INVITATION_NAME: &str = "'Invitation ' || i.invite_uuid || ' created by ' || i.created_by_id";
const FLOW_NAME: &str = "'Flow ' || f.name || ' (' || f.slug || ')'";
const GROUP: (&str, &str) = ("authentik_core", "group");
const GROUP_NAME: &str = "'Group ' || g.name";
const ROLE: (&str, &str) = ("authentik_rbac", "role");
const ROLE_NAME: &str = "'Role ' || r.name";
const POLICY_TABLES: &[&str] = &["authentik_policies_policy"];

/// The policy bindings of a group or a user. A key of the one is never that of the other.
const fn policy_bindings(used: Used) -> Relation {
    Relation {
        used,
        app: "authentik_policies",
        model: "policybinding",
        action: "cascade",
        key: "b.policy_binding_uuid",
        name: "'Binding from ' || coalesce('Flow ' || f.name || ' (' || f.slug || ')', \
               'Flow-stage binding #' || s.\"order\" || ' to ' || s.target_id, a.name, c.name, \
               'PolicyBindingModel ' || b.target_id) || ' #' || b.\"order\" || ' to ' \
               || coalesce('Group ' || g.name, 'User ' || u.name)",
        rows: "authentik_policies_policybinding b \
               LEFT JOIN authentik_core_group g ON g.group_uuid = b.group_id \
               LEFT JOIN authentik_core_user u ON u.id = b.user_id \
               LEFT JOIN authentik_flows_flow f ON f.policybindingmodel_ptr_id = b.target_id \
               LEFT JOIN authentik_flows_flowstagebinding s ON s.policybindingmodel_ptr_id = b.target_id \
               LEFT JOIN authentik_core_application a ON a.policybindingmodel_ptr_id = b.target_id \
               LEFT JOIN authentik_core_source c ON c.policybindingmodel_ptr_id = b.target_id \
               WHERE {}::text IN (b.group_id::text, b.user_id::text) ORDER BY b.\"order\", b.policy_binding_uuid",
        tables: &["authentik_core_application", "authentik_core_source"],
    }
}

/// In the order of the names that Django gives the relations on the object: `fields`, `flow_set`, `flowstagebinding_set`,
/// … for a stage. That is the order of authentik's answers.
const RELATIONS: &[Relation] = &[
    Relation {
        used: Used::Stage,
        app: "authentik_stages_prompt",
        model: "prompt",
        action: "cascade_many",
        key: "p.prompt_uuid",
        name: "'Prompt field ''' || p.field_key || ''' type ' || p.type",
        rows: "authentik_stages_prompt_promptstage_fields m JOIN authentik_stages_prompt_prompt p \
               ON p.prompt_uuid = m.prompt_id WHERE m.promptstage_id = {} ORDER BY p.\"order\"",
        tables: &["authentik_stages_prompt_promptstage_fields", "authentik_stages_prompt_prompt"],
    },
    Relation {
        used: Used::Stage,
        app: "authentik_flows",
        model: "flow",
        action: "cascade_many",
        key: "f.flow_uuid",
        name: FLOW_NAME,
        rows: "authentik_flows_flowstagebinding b JOIN authentik_flows_flow f ON f.flow_uuid = b.target_id \
               WHERE b.stage_id = {} ORDER BY f.slug, b.\"order\"",
        tables: &[],
    },
    Relation {
        used: Used::Stage,
        app: "authentik_flows",
        model: "flowstagebinding",
        action: "cascade",
        key: "b.fsb_uuid",
        name: BINDING_NAME,
        rows: "authentik_flows_flowstagebinding b WHERE b.stage_id = {} \
               ORDER BY b.target_id, b.\"order\", b.fsb_uuid",
        tables: &[],
    },
    Relation {
        used: Used::Stage,
        app: "authentik_stages_identification",
        model: "identificationstage",
        action: "set_null",
        key: "s.stage_uuid",
        name: STAGE_NAME,
        rows: "authentik_stages_identification_identificationstage i JOIN authentik_flows_stage s \
               ON s.stage_uuid = i.stage_ptr_id \
               WHERE {} IN (i.password_stage_id, i.captcha_stage_id, i.webauthn_stage_id) ORDER BY s.name",
        tables: &["authentik_stages_identification_identificationstage"],
    },
    Relation {
        used: Used::Stage,
        app: "authentik_core",
        model: "source",
        action: "cascade_many",
        key: "c.policybindingmodel_ptr_id",
        name: "c.name",
        rows: "authentik_stages_identification_identificationstage_sources m JOIN authentik_core_source c \
               ON c.policybindingmodel_ptr_id = m.source_id WHERE m.identificationstage_id = {} ORDER BY c.name",
        tables: &["authentik_stages_identification_identificationstage_sources", "authentik_core_source"],
    },
    Relation {
        used: Used::Stage,
        app: "authentik_policies",
        model: "policy",
        action: "cascade_many",
        key: "p.policy_uuid",
        name: "p.name",
        rows: "authentik_stages_prompt_promptstage_validation_policies m JOIN authentik_policies_policy p \
               ON p.policy_uuid = m.policy_id WHERE m.promptstage_id = {} ORDER BY p.name",
        tables: &["authentik_stages_prompt_promptstage_validation_policies", "authentik_policies_policy"],
    },
    stage_of_flow(
        "authentik_stages_authenticator_duo",
        "authenticatorduostage",
        "'Duo Authenticator Setup Stage ' || s.name",
        "authentik_stages_authenticator_duo_authenticatorduostage t JOIN authentik_flows_stage s \
         ON s.stage_uuid = t.stage_ptr_id WHERE t.configure_flow_id = {} ORDER BY s.name",
        &["authentik_stages_authenticator_duo_authenticatorduostage"],
    ),
    stage_of_flow(
        "authentik_stages_authenticator_email",
        "authenticatoremailstage",
        "'Email Authenticator Setup Stage ' || s.name",
        "authentik_stages_authenticator_email_authenticatoremailstage t JOIN authentik_flows_stage s \
         ON s.stage_uuid = t.stage_ptr_id WHERE t.configure_flow_id = {} ORDER BY s.name",
        &["authentik_stages_authenticator_email_authenticatoremailstage"],
    ),
    stage_of_flow(
        "authentik_stages_authenticator_sms",
        "authenticatorsmsstage",
        "'SMS Authenticator Setup Stage ' || s.name",
        "authentik_stages_authenticator_sms_authenticatorsmsstage t JOIN authentik_flows_stage s \
         ON s.stage_uuid = t.stage_ptr_id WHERE t.configure_flow_id = {} ORDER BY s.name",
        &["authentik_stages_authenticator_sms_authenticatorsmsstage"],
    ),
    stage_of_flow(
        "authentik_stages_authenticator_static",
        "authenticatorstaticstage",
        "'Static Authenticator Setup Stage ' || s.name",
        "authentik_stages_authenticator_static_authenticatorstaticstage t JOIN authentik_flows_stage s \
         ON s.stage_uuid = t.stage_ptr_id WHERE t.configure_flow_id = {} ORDER BY s.name",
        &["authentik_stages_authenticator_static_authenticatorstaticstage"],
    ),
    stage_of_flow(
        "authentik_stages_authenticator_totp",
        "authenticatortotpstage",
        "'TOTP Authenticator Setup Stage ' || s.name",
        "authentik_stages_authenticator_totp_authenticatortotpstage t JOIN authentik_flows_stage s \
         ON s.stage_uuid = t.stage_ptr_id WHERE t.configure_flow_id = {} ORDER BY s.name",
        &["authentik_stages_authenticator_totp_authenticatortotpstage"],
    ),
    stage_of_flow(
        "authentik_stages_authenticator_webauthn",
        "authenticatorwebauthnstage",
        "'WebAuthn Authenticator Setup Stage ' || s.name",
        "authentik_stages_authenticator_webauthn_authenticatorwebaut8d0f t JOIN authentik_flows_stage s \
         ON s.stage_uuid = t.stage_ptr_id WHERE t.configure_flow_id = {} ORDER BY s.name",
        &["authentik_stages_authenticator_webauthn_authenticatorwebaut8d0f"],
    ),
    Relation {
        used: Used::Flow,
        app: "authentik_policies",
        model: "policybinding",
        action: "cascade",
        key: "b.policy_binding_uuid",
        name: "'Binding from Flow ' || f.name || ' (' || f.slug || ') #' || b.\"order\" || ' to Policy ' || p.name",
        rows: "authentik_policies_policybinding b JOIN authentik_flows_flow f \
               ON f.policybindingmodel_ptr_id = b.target_id JOIN authentik_policies_policy p \
               ON p.policy_uuid = b.policy_id WHERE f.flow_uuid = {} ORDER BY b.\"order\"",
        tables: POLICY_TABLES,
    },
    Relation {
        used: Used::Flow,
        app: "authentik_brands",
        model: "brand",
        action: "set_null",
        key: "b.brand_uuid",
        name: "CASE WHEN b.\"default\" THEN 'Default brand' ELSE 'Brand ' || b.domain END",
        // Once for every column that names the flow: each is a relation of its own.
        rows: "authentik_brands_brand b, unnest(ARRAY[b.flow_authentication_id, b.flow_device_code_id, \
               b.flow_invalidation_id, b.flow_recovery_id, b.flow_unenrollment_id, b.flow_user_settings_id]) \
               WITH ORDINALITY AS n (flow, place) WHERE n.flow = {} ORDER BY n.place, b.domain",
        tables: &["authentik_brands_brand"],
    },
    Relation {
        used: Used::Flow,
        app: "authentik_flows",
        model: "flowstagebinding",
        action: "cascade",
        key: "b.fsb_uuid",
        name: BINDING_NAME,
        rows: "authentik_flows_flowstagebinding b WHERE b.target_id = {} ORDER BY b.\"order\", b.fsb_uuid",
        tables: &[],
    },
    Relation {
        used: Used::Flow,
        app: "authentik_stages_invitation",
        model: "invitation",
        action: "set_default",
        key: "i.invite_uuid",
        name: INVITATION_NAME,
        rows: "authentik_stages_invitation_invitation i WHERE i.flow_id = {} ORDER BY i.invite_uuid",
        tables: &[],
    },
    stage_of_flow(
        "authentik_stages_password",
        "passwordstage",
        STAGE_NAME,
        "authentik_stages_password_passwordstage t JOIN authentik_flows_stage s \
         ON s.stage_uuid = t.stage_ptr_id WHERE t.configure_flow_id = {} ORDER BY s.name",
        &["authentik_stages_password_passwordstage"],
    ),
    Relation {
        used: Used::Flow,
        app: "authentik_policies",
        model: "policy",
        action: "cascade_many",
        key: "p.policy_uuid",
        name: "p.name",
        rows: "authentik_policies_policybinding b JOIN authentik_flows_flow f \
               ON f.policybindingmodel_ptr_id = b.target_id JOIN authentik_policies_policy p \
               ON p.policy_uuid = b.policy_id WHERE f.flow_uuid = {} ORDER BY b.\"order\"",
        tables: POLICY_TABLES,
    },
    Relation {
        used: Used::Flow,
        app: "authentik_core",
        model: "provider",
        action: "set_null",
        key: "p.id",
        name: "p.name",
        rows: "authentik_core_provider p WHERE p.authentication_flow_id = {} ORDER BY p.name",
        tables: &["authentik_core_provider"],
    },
    Relation {
        used: Used::Flow,
        app: "authentik_core",
        model: "provider",
        action: "cascade",
        key: "p.id",
        name: "p.name",
        rows: "authentik_core_provider p WHERE p.authorization_flow_id = {} ORDER BY p.name",
        tables: &["authentik_core_provider"],
    },
    Relation {
        used: Used::Flow,
        app: "authentik_core",
        model: "provider",
        action: "set_default",
        key: "p.id",
        name: "p.name",
        rows: "authentik_core_provider p WHERE p.invalidation_flow_id = {} ORDER BY p.name",
        tables: &["authentik_core_provider"],
    },
    stage_of_flow(
        "authentik_stages_redirect",
        "redirectstage",
        STAGE_NAME,
        "authentik_stages_redirect_redirectstage t JOIN authentik_flows_stage s \
         ON s.stage_uuid = t.stage_ptr_id WHERE t.target_flow_id = {} ORDER BY s.name",
        &["authentik_stages_redirect_redirectstage"],
    ),
    Relation {
        used: Used::Flow,
        app: "authentik_core",
        model: "source",
        action: "set_null",
        key: "c.policybindingmodel_ptr_id",
        name: "c.name",
        rows: "authentik_core_source c, unnest(ARRAY[c.authentication_flow_id, c.enrollment_flow_id]) \
               WITH ORDINALITY AS n (flow, place) WHERE n.flow = {} ORDER BY n.place, c.name",
        tables: &["authentik_core_source"],
    },
    Relation {
        used: Used::Flow,
        app: "authentik_flows",
        model: "stage",
        action: "cascade_many",
        key: "s.stage_uuid",
        name: STAGE_NAME,
        rows: "authentik_flows_flowstagebinding b JOIN authentik_flows_stage s ON s.stage_uuid = b.stage_id \
               WHERE b.target_id = {} ORDER BY b.\"order\", b.fsb_uuid",
        tables: &[],
    },
    Relation {
        used: Used::Binding,
        app: "authentik_policies",
        model: "policybinding",
        action: "cascade",
        key: "b.policy_binding_uuid",
        name: "'Binding from Flow-stage binding #' || s.\"order\" || ' to ' || s.target_id || ' #' || b.\"order\" \
               || ' to Policy ' || p.name",
        rows: "authentik_policies_policybinding b JOIN authentik_flows_flowstagebinding s \
               ON s.policybindingmodel_ptr_id = b.target_id JOIN authentik_policies_policy p \
               ON p.policy_uuid = b.policy_id WHERE s.fsb_uuid = {} ORDER BY b.\"order\"",
        tables: POLICY_TABLES,
    },
    Relation {
        used: Used::Binding,
        app: "authentik_policies",
        model: "policy",
        action: "cascade_many",
        key: "p.policy_uuid",
        name: "p.name",
        rows: "authentik_policies_policybinding b JOIN authentik_flows_flowstagebinding s \
               ON s.policybindingmodel_ptr_id = b.target_id JOIN authentik_policies_policy p \
               ON p.policy_uuid = b.policy_id WHERE s.fsb_uuid = {} ORDER BY b.\"order\"",
        tables: POLICY_TABLES,
    },
    linked(
        Used::Group,
        GROUP,
        "g.group_uuid",
        GROUP_NAME,
        "authentik_core_groupparentage m JOIN authentik_core_group g ON g.group_uuid = m.child_id \
         WHERE m.parent_id = {} ORDER BY g.name",
    ),
    linked(
        Used::Group,
        GROUP,
        "g.group_uuid",
        GROUP_NAME,
        "authentik_core_groupparentage m JOIN authentik_core_group g ON g.group_uuid = m.parent_id \
         WHERE m.child_id = {} ORDER BY g.name",
    ),
    policy_bindings(Used::Group),
    linked(
        Used::Group,
        ROLE,
        "r.uuid",
        ROLE_NAME,
        "authentik_core_group_roles m JOIN authentik_rbac_role r ON r.uuid = m.role_id \
         WHERE m.group_id = {} ORDER BY r.name",
    ),
    linked(
        Used::Group,
        ("authentik_core", "user"),
        "u.id",
        "u.username",
        "{user_groups} m JOIN authentik_core_user u ON u.id = m.user_id WHERE m.group_id = {} ORDER BY u.username",
    ),
    Relation {
        used: Used::Group,
        app: "authentik_stages_user_write",
        model: "userwritestage",
        action: "set_default",
        key: "s.stage_uuid",
        name: STAGE_NAME,
        rows: "authentik_stages_user_write_userwritestage w JOIN authentik_flows_stage s \
               ON s.stage_uuid = w.stage_ptr_id WHERE w.create_users_group_id = {} ORDER BY s.name",
        tables: &[],
    },
    linked(
        Used::User,
        GROUP,
        "g.group_uuid",
        GROUP_NAME,
        "{user_groups} m JOIN authentik_core_group g ON g.group_uuid = m.group_id WHERE m.user_id = {} ORDER BY g.name",
    ),
    Relation {
        used: Used::User,
        app: "authentik_stages_invitation",
        model: "invitation",
        action: "cascade",
        key: "i.invite_uuid",
        name: INVITATION_NAME,
        rows: "authentik_stages_invitation_invitation i WHERE i.created_by_id = {} ORDER BY i.invite_uuid",
        tables: &[],
    },
    policy_bindings(Used::User),
    linked(
        Used::User,
        ROLE,
        "r.uuid",
        ROLE_NAME,
        "authentik_core_user_roles m JOIN authentik_rbac_role r ON r.uuid = m.role_id \
         WHERE m.user_id = {} ORDER BY r.name",
    ),
];

/// All tables that relations name, for the check of what the database role may read.
pub fn tables() -> impl Iterator<Item = &'static str> {
    RELATIONS.iter().flat_map(|relation| relation.tables.iter().copied())
}

/// What uses an object, as far as the caller may view it.
///
/// # Errors
/// The database failed.
pub async fn find(
    view: View<'_>,
    connection: &mut PgConnection,
    used: Used,
    pk: impl PrimaryKey,
) -> Result<Vec<UsedBy>, ApiError> {
    let layout = &view.app.database.layout;
    let mut all = Vec::new();
    for relation in RELATIONS.iter().filter(|relation| relation.used == used) {
        if !relation.tables.iter().all(|table| layout.reads(table)) {
            continue;
        }
        let rows = layout.sql(relation.rows);
        let (before, after) = rows.split_once("{}").unwrap_or((&rows, ""));
        let mut query = QueryBuilder::new("SELECT ");
        query.push(format_args!("({})::text, {} FROM {before}", relation.key, relation.name));
        query.push_bind(pk).push(after);
        let rows: Vec<(String, String)> = query.build_query_as().fetch_all(&mut *connection).await?;
        let model = Model { app_label: relation.app, name: relation.model, model: relation.model };
        let keys = rows.iter().map(|(pk, _)| pk.clone()).collect();
        let visible = view.caller.visible(connection, &model, keys).await?;
        let seen = |pk: &String| visible.as_ref().is_none_or(|visible| visible.contains(pk));
        all.extend(rows.into_iter().filter(|(pk, _)| seen(pk)).map(|(pk, name)| UsedBy {
            app: relation.app,
            model_name: relation.model,
            pk,
            name,
            action: relation.action,
        }));
    }
    Ok(all)
}
