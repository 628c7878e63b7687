-- Makes the tables of authentik 2025.12 those of 2026.2, as far as ak-stages sees them.

DROP TABLE authentik_core_user_groups, authentik_core_user_user_permissions;
ALTER TABLE authentik_core_user_ak_groups RENAME TO authentik_core_user_groups;

ALTER TABLE authentik_rbac_role DROP COLUMN group_id, ALTER COLUMN name TYPE text;

INSERT INTO authentik_version_history (id, "timestamp", version, build)
VALUES ((SELECT max(id) + 1 FROM authentik_version_history), now(), '2026.2.0', '');
