-- Flows, the stages' base table, and the bindings between them.

CREATE TABLE authentik_policies_policybindingmodel (
    pbm_uuid uuid PRIMARY KEY,
    policy_engine_mode text NOT NULL
);

CREATE TABLE authentik_flows_flow (
    flow_uuid uuid PRIMARY KEY,
    name text NOT NULL,
    slug text NOT NULL CONSTRAINT authentik_flows_flow_slug_key UNIQUE,
    designation varchar(100) NOT NULL,
    policybindingmodel_ptr_id uuid NOT NULL UNIQUE
        REFERENCES authentik_policies_policybindingmodel (pbm_uuid) DEFERRABLE INITIALLY DEFERRED,
    title text NOT NULL,
    background text NOT NULL,
    compatibility_mode boolean NOT NULL,
    layout text NOT NULL,
    denied_action text NOT NULL,
    authentication text NOT NULL
);

CREATE TABLE authentik_flows_stage (
    stage_uuid uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT authentik_flows_stage_name_a2584620_uniq UNIQUE
);

CREATE TABLE authentik_flows_flowstagebinding (
    policybindingmodel_ptr_id uuid NOT NULL UNIQUE
        REFERENCES authentik_policies_policybindingmodel (pbm_uuid) DEFERRABLE INITIALLY DEFERRED,
    fsb_uuid uuid PRIMARY KEY,
    re_evaluate_policies boolean NOT NULL,
    "order" integer NOT NULL,
    target_id uuid NOT NULL REFERENCES authentik_flows_flow (flow_uuid) DEFERRABLE INITIALLY DEFERRED,
    stage_id uuid NOT NULL REFERENCES authentik_flows_stage (stage_uuid) DEFERRABLE INITIALLY DEFERRED,
    evaluate_on_plan boolean NOT NULL,
    invalid_response_action text NOT NULL,
    CONSTRAINT authentik_flows_flowstag_target_id_stage_id_order_f2150241_uniq UNIQUE (target_id, stage_id, "order")
);
CREATE INDEX authentik_flows_flowstagebinding_stage_id_7a270212 ON authentik_flows_flowstagebinding (stage_id);

CREATE TABLE authentik_policies_policybinding (
    policy_binding_uuid uuid PRIMARY KEY,
    enabled boolean NOT NULL,
    "order" integer NOT NULL,
    policy_id uuid,
    target_id uuid NOT NULL
        REFERENCES authentik_policies_policybindingmodel (pbm_uuid) DEFERRABLE INITIALLY DEFERRED,
    negate boolean NOT NULL,
    timeout integer NOT NULL CHECK (timeout >= 0),
    group_id uuid REFERENCES authentik_core_group (group_uuid) DEFERRABLE INITIALLY DEFERRED,
    user_id integer REFERENCES authentik_core_user (id) DEFERRABLE INITIALLY DEFERRED,
    failure_result boolean NOT NULL
);
CREATE INDEX authentik_p_target__2e4d50_idx ON authentik_policies_policybinding (target_id);

-- authentik's cache. A flow's `cache_count` counts the plans in it; on our own database nobody makes any.
CREATE TABLE django_postgres_cache_cacheentry (
    cache_key text PRIMARY KEY,
    value text NOT NULL,
    expires timestamptz NOT NULL
);
CREATE INDEX django_postgres_cache_cacheentry_cache_key_54926751_like
    ON django_postgres_cache_cacheentry (cache_key text_pattern_ops);
