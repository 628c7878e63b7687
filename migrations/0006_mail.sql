-- Mail that waits to be sent, and what became of it. authentik has no table for that. On authentik's own database nobody
-- runs this unasked: `ak-stages extensions` prints it.

CREATE SCHEMA IF NOT EXISTS ak_stages;

-- What a request asked to be sent: the same text for all who get it. The key of an invitation is a secret, and so are the
-- texts, which hold the link.
CREATE TABLE IF NOT EXISTS ak_stages.mail (
    mail_uuid uuid PRIMARY KEY,
    created timestamptz NOT NULL,
    created_by integer NOT NULL,
    invitation uuid NOT NULL,
    template text NOT NULL,
    sender text NOT NULL,
    reply_to text NOT NULL,
    to_addresses text[] NOT NULL,
    cc_addresses text[] NOT NULL,
    subject text NOT NULL,
    html text NOT NULL,
    plain text NOT NULL
);
CREATE INDEX IF NOT EXISTS mail_invitation ON ak_stages.mail (invitation);
CREATE INDEX IF NOT EXISTS mail_created_by ON ak_stages.mail (created_by, created);

-- One row a recipient: `address` is the address alone, `mailbox` has the name with it. `due` is when somebody has to look at it again: when it shall be sent, or when the server that
-- sends it is given up.
CREATE TABLE IF NOT EXISTS ak_stages.message (
    message_uuid uuid PRIMARY KEY,
    mail_uuid uuid NOT NULL REFERENCES ak_stages.mail ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('to', 'cc', 'bcc')),
    mailbox text NOT NULL,
    address text NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'failed', 'dead')),
    attempts integer NOT NULL,
    due timestamptz,
    finished timestamptz,
    reply text NOT NULL
);
CREATE INDEX IF NOT EXISTS message_mail ON ak_stages.message (mail_uuid);
CREATE INDEX IF NOT EXISTS message_address ON ak_stages.message (address);
CREATE INDEX IF NOT EXISTS message_due ON ak_stages.message (due) WHERE due IS NOT NULL;
