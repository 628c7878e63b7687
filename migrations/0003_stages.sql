-- The three stage types and the invitations.

CREATE TABLE authentik_stages_email_emailstage (
    stage_ptr_id uuid PRIMARY KEY REFERENCES authentik_flows_stage (stage_uuid) DEFERRABLE INITIALLY DEFERRED,
    host text NOT NULL,
    port integer NOT NULL,
    username text NOT NULL,
    password text NOT NULL,
    use_tls boolean NOT NULL,
    use_ssl boolean NOT NULL,
    timeout integer NOT NULL,
    from_address varchar(254) NOT NULL,
    token_expiry text NOT NULL,
    subject text NOT NULL,
    template text NOT NULL,
    use_global_settings boolean NOT NULL,
    activate_user_on_success boolean NOT NULL,
    recovery_cache_timeout text NOT NULL,
    recovery_max_attempts integer NOT NULL CHECK (recovery_max_attempts >= 0)
);

CREATE TABLE authentik_stages_user_write_userwritestage (
    stage_ptr_id uuid PRIMARY KEY REFERENCES authentik_flows_stage (stage_uuid) DEFERRABLE INITIALLY DEFERRED,
    create_users_as_inactive boolean NOT NULL,
    create_users_group_id uuid REFERENCES authentik_core_group (group_uuid) DEFERRABLE INITIALLY DEFERRED,
    user_path_template text NOT NULL,
    user_creation_mode text NOT NULL,
    user_type text NOT NULL
);
CREATE INDEX authentik_stages_user_writ_create_users_group_id_90b7794f
    ON authentik_stages_user_write_userwritestage (create_users_group_id);

CREATE TABLE authentik_stages_invitation_invitationstage (
    stage_ptr_id uuid PRIMARY KEY REFERENCES authentik_flows_stage (stage_uuid) DEFERRABLE INITIALLY DEFERRED,
    continue_flow_without_invitation boolean NOT NULL
);

CREATE TABLE authentik_stages_invitation_invitation (
    invite_uuid uuid PRIMARY KEY,
    expires timestamptz,
    fixed_data jsonb NOT NULL,
    created_by_id integer NOT NULL REFERENCES authentik_core_user (id) DEFERRABLE INITIALLY DEFERRED,
    single_use boolean NOT NULL,
    expiring boolean NOT NULL,
    name text NOT NULL,
    flow_id uuid REFERENCES authentik_flows_flow (flow_uuid) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX authentik_s_expires_96f4b8_idx ON authentik_stages_invitation_invitation (expires);
CREATE INDEX authentik_s_expirin_4f8096_idx ON authentik_stages_invitation_invitation (expiring, expires);
CREATE INDEX authentik_stages_invitation_invitation_created_by_id_87fe9398
    ON authentik_stages_invitation_invitation (created_by_id);
CREATE INDEX authentik_stages_invitation_invitation_flow_id_66945236
    ON authentik_stages_invitation_invitation (flow_id);
