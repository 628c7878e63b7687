-- The answers to POSTs that their clients may send again: whoever repeats one gets the first answer. authentik has no
-- table for that. On authentik's own database nobody runs this unasked: `ak-stages extensions` prints it.

CREATE SCHEMA IF NOT EXISTS ak_stages;

-- `request` is a digest of what was asked: a key stands for one request. Each row is written in the transaction of what it
-- answers, and is of use for a day. `headers` is a list of pairs.
CREATE TABLE IF NOT EXISTS ak_stages.idempotency (
    user_id integer NOT NULL,
    key text NOT NULL,
    created timestamptz NOT NULL,
    request bytea NOT NULL,
    status integer NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (user_id, key)
);
CREATE INDEX IF NOT EXISTS idempotency_created ON ak_stages.idempotency (created);
