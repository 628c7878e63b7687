//! What uses the objects of each resource: for every kind of object, the rows that point at it, what deleting it would do
//! to them, and what `str()` calls them. Most of the tables exist in authentik's own database alone.
//!
//! Relations stand in the order of the names that Django gives them on the object: `fields`, `flow_set`,
//! `flowstagebinding_set`, … for a stage. That is the order of authentik's answers.

use crate::views::used_by::Relation;

/// A relation through a many-to-many field.
const fn linked(
    (app, model): (&'static str, &'static str),
    key: &'static str,
    name: &'static str,
    from: &'static str,
    condition: &'static str,
) -> Relation {
    Relation { app, model, action: "cascade_many", key, name, from, condition }
}

/// A relation of flows to stages through one of their columns.
const fn stage_of_flow(
    app: &'static str,
    model: &'static str,
    name: &'static str,
    from: &'static str,
    condition: &'static str,
) -> Relation {
    Relation { app, model, action: "set_null", key: "s.stage_uuid", name, from, condition }
}

pub(super) const BINDING_NAME: &str = "'Flow-stage binding #' || b.\"order\" || ' to ' || b.target_id";
pub(super) const STAGE_NAME: &str = "'Stage ' || s.name";
pub(super) const INVITATION_NAME: &str =
    "'Invitation ' || i.invite_uuid || ' created by ' || i.created_by_id";
pub(super) const FLOW_NAME: &str = "'Flow ' || f.name || ' (' || f.slug || ')'";
const GROUP_MODEL: (&str, &str) = ("authentik_core", "group");
pub(super) const GROUP_NAME: &str = "'Group ' || g.name";
const ROLE_MODEL: (&str, &str) = ("authentik_rbac", "role");
pub(super) const ROLE_NAME: &str = "'Role ' || r.name";

/// The policy bindings of a group or a user.
const fn policy_bindings(condition: &'static str) -> Relation {
    Relation {
        app: "authentik_policies",
        model: "policybinding",
        action: "cascade",
        key: "b.policy_binding_uuid",
        name: "'Binding from ' || coalesce('Flow ' || f.name || ' (' || f.slug || ')', \
               'Flow-stage binding #' || s.\"order\" || ' to ' || s.target_id, a.name, c.name, \
               'PolicyBindingModel ' || b.target_id) || ' #' || b.\"order\" || ' to ' \
               || coalesce('Group ' || g.name, 'User ' || u.name)",
        from: "authentik_policies_policybinding b \
               LEFT JOIN authentik_core_group g ON g.group_uuid = b.group_id \
               LEFT JOIN authentik_core_user u ON u.id = b.user_id \
               LEFT JOIN authentik_flows_flow f ON f.policybindingmodel_ptr_id = b.target_id \
               LEFT JOIN authentik_flows_flowstagebinding s ON s.policybindingmodel_ptr_id = b.target_id \
               LEFT JOIN authentik_core_application a ON a.policybindingmodel_ptr_id = b.target_id \
               LEFT JOIN authentik_core_source c ON c.policybindingmodel_ptr_id = b.target_id",
        condition,
    }
}

/// A stage of any type.
pub const STAGE: &[Relation] = &[
    Relation {
        app: "authentik_stages_prompt",
        model: "prompt",
        action: "cascade_many",
        key: "p.prompt_uuid",
        name: "'Prompt field ''' || p.field_key || ''' type ' || p.type",
        from: "authentik_stages_prompt_promptstage_fields m JOIN authentik_stages_prompt_prompt p \
               ON p.prompt_uuid = m.prompt_id",
        condition: "m.promptstage_id = {} ORDER BY p.\"order\"",
    },
    Relation {
        app: "authentik_flows",
        model: "flow",
        action: "cascade_many",
        key: "f.flow_uuid",
        name: FLOW_NAME,
        from: "authentik_flows_flowstagebinding b JOIN authentik_flows_flow f ON f.flow_uuid = b.target_id",
        condition: "b.stage_id = {} ORDER BY f.slug, b.\"order\"",
    },
    Relation {
        app: "authentik_flows",
        model: "flowstagebinding",
        action: "cascade",
        key: "b.fsb_uuid",
        name: BINDING_NAME,
        from: "authentik_flows_flowstagebinding b",
        condition: "b.stage_id = {} \
               ORDER BY b.target_id, b.\"order\", b.fsb_uuid",
    },
    Relation {
        app: "authentik_stages_identification",
        model: "identificationstage",
        action: "set_null",
        key: "s.stage_uuid",
        name: STAGE_NAME,
        from: "authentik_stages_identification_identificationstage i JOIN authentik_flows_stage s \
               ON s.stage_uuid = i.stage_ptr_id",
        condition: "{} IN (i.password_stage_id, i.captcha_stage_id, i.webauthn_stage_id) ORDER BY s.name",
    },
    Relation {
        app: "authentik_core",
        model: "source",
        action: "cascade_many",
        key: "c.policybindingmodel_ptr_id",
        name: "c.name",
        from: "authentik_stages_identification_identificationstage_sources m JOIN authentik_core_source c \
               ON c.policybindingmodel_ptr_id = m.source_id",
        condition: "m.identificationstage_id = {} ORDER BY c.name",
    },
    Relation {
        app: "authentik_policies",
        model: "policy",
        action: "cascade_many",
        key: "p.policy_uuid",
        name: "p.name",
        from: "authentik_stages_prompt_promptstage_validation_policies m JOIN authentik_policies_policy p \
               ON p.policy_uuid = m.policy_id",
        condition: "m.promptstage_id = {} ORDER BY p.name",
    },
];

/// A flow.
pub const FLOW: &[Relation] = &[
    stage_of_flow(
        "authentik_stages_authenticator_duo",
        "authenticatorduostage",
        "'Duo Authenticator Setup Stage ' || s.name",
        "authentik_stages_authenticator_duo_authenticatorduostage t JOIN authentik_flows_stage s \
         ON s.stage_uuid = t.stage_ptr_id",
        "t.configure_flow_id = {} ORDER BY s.name",
    ),
    stage_of_flow(
        "authentik_stages_authenticator_email",
        "authenticatoremailstage",
        "'Email Authenticator Setup Stage ' || s.name",
        "authentik_stages_authenticator_email_authenticatoremailstage t JOIN authentik_flows_stage s \
         ON s.stage_uuid = t.stage_ptr_id",
        "t.configure_flow_id = {} ORDER BY s.name",
    ),
    stage_of_flow(
        "authentik_stages_authenticator_sms",
        "authenticatorsmsstage",
        "'SMS Authenticator Setup Stage ' || s.name",
        "authentik_stages_authenticator_sms_authenticatorsmsstage t JOIN authentik_flows_stage s \
         ON s.stage_uuid = t.stage_ptr_id",
        "t.configure_flow_id = {} ORDER BY s.name",
    ),
    stage_of_flow(
        "authentik_stages_authenticator_static",
        "authenticatorstaticstage",
        "'Static Authenticator Setup Stage ' || s.name",
        "authentik_stages_authenticator_static_authenticatorstaticstage t JOIN authentik_flows_stage s \
         ON s.stage_uuid = t.stage_ptr_id",
        "t.configure_flow_id = {} ORDER BY s.name",
    ),
    stage_of_flow(
        "authentik_stages_authenticator_totp",
        "authenticatortotpstage",
        "'TOTP Authenticator Setup Stage ' || s.name",
        "authentik_stages_authenticator_totp_authenticatortotpstage t JOIN authentik_flows_stage s \
         ON s.stage_uuid = t.stage_ptr_id",
        "t.configure_flow_id = {} ORDER BY s.name",
    ),
    stage_of_flow(
        "authentik_stages_authenticator_webauthn",
        "authenticatorwebauthnstage",
        "'WebAuthn Authenticator Setup Stage ' || s.name",
        "authentik_stages_authenticator_webauthn_authenticatorwebaut8d0f t JOIN authentik_flows_stage s \
         ON s.stage_uuid = t.stage_ptr_id",
        "t.configure_flow_id = {} ORDER BY s.name",
    ),
    Relation {
        app: "authentik_policies",
        model: "policybinding",
        action: "cascade",
        key: "b.policy_binding_uuid",
        name: "'Binding from Flow ' || f.name || ' (' || f.slug || ') #' || b.\"order\" || ' to Policy ' || p.name",
        from: "authentik_policies_policybinding b JOIN authentik_flows_flow f \
               ON f.policybindingmodel_ptr_id = b.target_id JOIN authentik_policies_policy p \
               ON p.policy_uuid = b.policy_id",
        condition: "f.flow_uuid = {} ORDER BY b.\"order\"",
    },
    Relation {
        app: "authentik_brands",
        model: "brand",
        action: "set_null",
        key: "b.brand_uuid",
        name: "CASE WHEN b.\"default\" THEN 'Default brand' ELSE 'Brand ' || b.domain END",
        // Once for every column that names the flow: each is a relation of its own.
        from: "authentik_brands_brand b, unnest(ARRAY[b.flow_authentication_id, b.flow_device_code_id, \
               b.flow_invalidation_id, b.flow_recovery_id, b.flow_unenrollment_id, b.flow_user_settings_id]) \
               WITH ORDINALITY AS n (flow, place)",
        condition: "n.flow = {} ORDER BY n.place, b.domain",
    },
    Relation {
        app: "authentik_flows",
        model: "flowstagebinding",
        action: "cascade",
        key: "b.fsb_uuid",
        name: BINDING_NAME,
        from: "authentik_flows_flowstagebinding b",
        condition: "b.target_id = {} ORDER BY b.\"order\", b.fsb_uuid",
    },
    Relation {
        app: "authentik_stages_invitation",
        model: "invitation",
        action: "set_default",
        key: "i.invite_uuid",
        name: INVITATION_NAME,
        from: "authentik_stages_invitation_invitation i",
        condition: "i.flow_id = {} ORDER BY i.invite_uuid",
    },
    stage_of_flow(
        "authentik_stages_password",
        "passwordstage",
        STAGE_NAME,
        "authentik_stages_password_passwordstage t JOIN authentik_flows_stage s \
         ON s.stage_uuid = t.stage_ptr_id",
        "t.configure_flow_id = {} ORDER BY s.name",
    ),
    Relation {
        app: "authentik_policies",
        model: "policy",
        action: "cascade_many",
        key: "p.policy_uuid",
        name: "p.name",
        from: "authentik_policies_policybinding b JOIN authentik_flows_flow f \
               ON f.policybindingmodel_ptr_id = b.target_id JOIN authentik_policies_policy p \
               ON p.policy_uuid = b.policy_id",
        condition: "f.flow_uuid = {} ORDER BY b.\"order\"",
    },
    Relation {
        app: "authentik_core",
        model: "provider",
        action: "set_null",
        key: "p.id",
        name: "p.name",
        from: "authentik_core_provider p",
        condition: "p.authentication_flow_id = {} ORDER BY p.name",
    },
    Relation {
        app: "authentik_core",
        model: "provider",
        action: "cascade",
        key: "p.id",
        name: "p.name",
        from: "authentik_core_provider p",
        condition: "p.authorization_flow_id = {} ORDER BY p.name",
    },
    Relation {
        app: "authentik_core",
        model: "provider",
        action: "set_default",
        key: "p.id",
        name: "p.name",
        from: "authentik_core_provider p",
        condition: "p.invalidation_flow_id = {} ORDER BY p.name",
    },
    stage_of_flow(
        "authentik_stages_redirect",
        "redirectstage",
        STAGE_NAME,
        "authentik_stages_redirect_redirectstage t JOIN authentik_flows_stage s \
         ON s.stage_uuid = t.stage_ptr_id",
        "t.target_flow_id = {} ORDER BY s.name",
    ),
    Relation {
        app: "authentik_core",
        model: "source",
        action: "set_null",
        key: "c.policybindingmodel_ptr_id",
        name: "c.name",
        from: "authentik_core_source c, unnest(ARRAY[c.authentication_flow_id, c.enrollment_flow_id]) \
               WITH ORDINALITY AS n (flow, place)",
        condition: "n.flow = {} ORDER BY n.place, c.name",
    },
    Relation {
        app: "authentik_flows",
        model: "stage",
        action: "cascade_many",
        key: "s.stage_uuid",
        name: STAGE_NAME,
        from: "authentik_flows_flowstagebinding b JOIN authentik_flows_stage s ON s.stage_uuid = b.stage_id",
        condition: "b.target_id = {} ORDER BY b.\"order\", b.fsb_uuid",
    },
];

/// A binding.
pub const BINDING: &[Relation] = &[
    Relation {
        app: "authentik_policies",
        model: "policybinding",
        action: "cascade",
        key: "b.policy_binding_uuid",
        name: "'Binding from Flow-stage binding #' || s.\"order\" || ' to ' || s.target_id || ' #' || b.\"order\" \
               || ' to Policy ' || p.name",
        from: "authentik_policies_policybinding b JOIN authentik_flows_flowstagebinding s \
               ON s.policybindingmodel_ptr_id = b.target_id JOIN authentik_policies_policy p \
               ON p.policy_uuid = b.policy_id",
        condition: "s.fsb_uuid = {} ORDER BY b.\"order\"",
    },
    Relation {
        app: "authentik_policies",
        model: "policy",
        action: "cascade_many",
        key: "p.policy_uuid",
        name: "p.name",
        from: "authentik_policies_policybinding b JOIN authentik_flows_flowstagebinding s \
               ON s.policybindingmodel_ptr_id = b.target_id JOIN authentik_policies_policy p \
               ON p.policy_uuid = b.policy_id",
        condition: "s.fsb_uuid = {} ORDER BY b.\"order\"",
    },
];

/// A group.
pub const GROUP: &[Relation] = &[
    linked(
        GROUP_MODEL,
        "g.group_uuid",
        GROUP_NAME,
        "authentik_core_groupparentage m JOIN authentik_core_group g ON g.group_uuid = m.child_id",
        "m.parent_id = {} ORDER BY g.name",
    ),
    linked(
        GROUP_MODEL,
        "g.group_uuid",
        GROUP_NAME,
        "authentik_core_groupparentage m JOIN authentik_core_group g ON g.group_uuid = m.parent_id",
        "m.child_id = {} ORDER BY g.name",
    ),
    policy_bindings("b.group_id = {} ORDER BY b.\"order\", b.policy_binding_uuid"),
    linked(
        ROLE_MODEL,
        "r.uuid",
        ROLE_NAME,
        "authentik_core_group_roles m JOIN authentik_rbac_role r ON r.uuid = m.role_id",
        "m.group_id = {} ORDER BY r.name",
    ),
    linked(
        ("authentik_core", "user"),
        "u.id",
        "u.username",
        "{user_groups} m JOIN authentik_core_user u ON u.id = m.user_id",
        "m.group_id = {} ORDER BY u.username",
    ),
    Relation {
        app: "authentik_stages_user_write",
        model: "userwritestage",
        action: "set_default",
        key: "s.stage_uuid",
        name: STAGE_NAME,
        from: "authentik_stages_user_write_userwritestage w JOIN authentik_flows_stage s \
               ON s.stage_uuid = w.stage_ptr_id",
        condition: "w.create_users_group_id = {} ORDER BY s.name",
    },
];

/// A user.
pub const USER: &[Relation] = &[
    linked(
        GROUP_MODEL,
        "g.group_uuid",
        GROUP_NAME,
        "{user_groups} m JOIN authentik_core_group g ON g.group_uuid = m.group_id",
        "m.user_id = {} ORDER BY g.name",
    ),
    Relation {
        app: "authentik_stages_invitation",
        model: "invitation",
        action: "cascade",
        key: "i.invite_uuid",
        name: INVITATION_NAME,
        from: "authentik_stages_invitation_invitation i",
        condition: "i.created_by_id = {} ORDER BY i.invite_uuid",
    },
    policy_bindings("b.user_id = {} ORDER BY b.\"order\", b.policy_binding_uuid"),
    linked(
        ROLE_MODEL,
        "r.uuid",
        ROLE_NAME,
        "authentik_core_user_roles m JOIN authentik_rbac_role r ON r.uuid = m.role_id",
        "m.user_id = {} ORDER BY r.name",
    ),
];

/// A role.
pub const ROLE: &[Relation] = &[
    linked(
        GROUP_MODEL,
        "g.group_uuid",
        GROUP_NAME,
        "authentik_core_group_roles m JOIN authentik_core_group g ON g.group_uuid = m.group_id",
        "m.role_id = {} ORDER BY g.name",
    ),
    Relation {
        app: "authentik_rbac",
        model: "initialpermissions",
        action: "cascade",
        key: "i.id",
        name: "'Initial Permissions for Role #' || i.role_id || '.'",
        from: "authentik_rbac_initialpermissions i",
        condition: "i.role_id = {} ORDER BY i.name",
    },
    Relation {
        app: "guardian",
        model: "rolemodelpermission",
        action: "cascade",
        key: "m.id",
        name: "'RoleModelPermission with role ' || m.role_id || ' and permission ' || m.permission_id",
        from: "guardian_rolemodelpermission m",
        condition: "m.role_id = {} ORDER BY m.id",
    },
    Relation {
        app: "guardian",
        model: "roleobjectpermission",
        action: "cascade",
        key: "o.id",
        name: "o.object_pk || ' | Role ' || r.name || ' | ' || a.codename",
        from: "guardian_roleobjectpermission o JOIN authentik_rbac_role r ON r.uuid = o.role_id \
               JOIN auth_permission a ON a.id = o.permission_id",
        condition: "o.role_id = {} ORDER BY o.id",
    },
    linked(
        ("authentik_core", "user"),
        "u.id",
        "u.username",
        "authentik_core_user_roles m JOIN authentik_core_user u ON u.id = m.user_id",
        "m.role_id = {} ORDER BY u.username",
    ),
];
