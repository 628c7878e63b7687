-- What invitations have beyond authentik's: how often they may be used, reservations, a history, and which lines of files were
-- imported. On authentik's own database nobody runs this unasked: `ak-stages extensions` prints it. No foreign key points at
-- authentik's table, so that nothing here is in the way of what authentik does; an invitation's key never comes again.

CREATE SCHEMA IF NOT EXISTS ak_stages;

-- How often an invitation may be used, if somebody said, and how often it was.
CREATE TABLE IF NOT EXISTS ak_stages.invitation_uses (
    invitation uuid PRIMARY KEY,
    max_uses integer CHECK (max_uses > 0),
    uses integer NOT NULL
);

-- Uses that are kept for somebody until `expires`.
CREATE TABLE IF NOT EXISTS ak_stages.reservation (
    reservation_uuid uuid PRIMARY KEY,
    invitation uuid NOT NULL,
    expires timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS reservation_invitation ON ak_stages.reservation (invitation);
CREATE INDEX IF NOT EXISTS reservation_expires ON ak_stages.reservation (expires);

-- What happened to invitations, and who did it; kept when they are gone. Their keys and data are secrets.
CREATE TABLE IF NOT EXISTS ak_stages.invitation_history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    invitation uuid NOT NULL,
    name text NOT NULL,
    action text NOT NULL CHECK (action IN ('created', 'changed', 'mailed', 'redeemed', 'expired', 'deleted')),
    created timestamptz NOT NULL,
    user_id integer,
    username text,
    details jsonb NOT NULL
);
CREATE INDEX IF NOT EXISTS invitation_history_invitation ON ak_stages.invitation_history (invitation, id);

-- The lines of files that were imported, by their digests, each with what it became: a second import makes none of them anew.
CREATE TABLE IF NOT EXISTS ak_stages.imported_line (
    digest bytea PRIMARY KEY,
    invitation uuid NOT NULL
);
