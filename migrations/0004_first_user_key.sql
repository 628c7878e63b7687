-- The first user, akadmin, has the key that it has in a new authentik.
SELECT setval(pg_get_serial_sequence('authentik_core_user', 'id'), 3, FALSE)
WHERE NOT EXISTS (SELECT FROM authentik_core_user);
