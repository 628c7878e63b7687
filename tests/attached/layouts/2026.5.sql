-- Makes the tables of authentik 2026.2 those of 2026.5, as far as ak-stages sees them.

CREATE INDEX authentik_e_user_pk ON authentik_events_event (("user" ->> 'pk'));

INSERT INTO authentik_version_history (id, "timestamp", version, build)
VALUES ((SELECT max(id) + 1 FROM authentik_version_history), now(), '2026.5.0', '');
