-- What keeps lists as fast with a million rows as with ten. Indexes for searches are made at the start of the server, where
-- PostgreSQL has the extension that they take: see src/db/search.rs.

CREATE SCHEMA ak_stages;

-- The print of an instant that searches look through. PostgreSQL's own depends on the session's settings, so it can't be
-- indexed.
CREATE FUNCTION ak_stages.datetime_text(timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET timezone = 'UTC' SET datestyle = 'ISO'
    AS 'SELECT $1::text';

-- Filters by texts of any length, which only a hash holds, and default orders.
CREATE INDEX ak_invitation_name ON authentik_stages_invitation_invitation USING hash (name);
CREATE INDEX ak_user_name ON authentik_core_user USING hash (name);
CREATE INDEX ak_user_email ON authentik_core_user (email);
CREATE INDEX ak_flow_name ON authentik_flows_flow USING hash (name);
CREATE INDEX ak_flowstagebinding_default_order ON authentik_flows_flowstagebinding ("order", fsb_uuid);
-- The highest order of a flow's bindings.
CREATE INDEX ak_flowstagebinding_target_order ON authentik_flows_flowstagebinding (target_id, "order");
CREATE INDEX ak_token_expires ON authentik_core_token (expires);

-- How many rows a table has: the sum of its entries. Each statement that adds or removes rows adds an entry, in its own
-- transaction, so the sum is exact under every snapshot and nobody waits for anybody.
CREATE TABLE ak_stages.row_count (
    table_name text NOT NULL,
    rows bigint NOT NULL
);
CREATE INDEX row_count_table_name ON ak_stages.row_count (table_name);

-- As the owner, since whoever writes to a counted table needs no right to the counts.
CREATE FUNCTION ak_stages.count_rows() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    change bigint;
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT count(*) INTO change FROM changed;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT -count(*) INTO change FROM changed;
    ELSE -- TRUNCATE, which has the table to itself
        DELETE FROM ak_stages.row_count WHERE table_name = TG_TABLE_NAME;
        RETURN NULL;
    END IF;
    -- Now and then many entries become one. Those that somebody else is folding are left to them. Where a transaction
    -- sees one snapshot all along, somebody else's folding would be an error to it.
    IF random() < 0.01 AND current_setting('transaction_isolation') = 'read committed' THEN
        WITH folded AS (
            DELETE FROM ak_stages.row_count WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM ak_stages.row_count WHERE table_name = TG_TABLE_NAME FOR UPDATE SKIP LOCKED
            )) RETURNING rows
        )
        SELECT change + coalesce(sum(rows), 0) INTO change FROM folded;
    END IF;
    IF change <> 0 THEN
        INSERT INTO ak_stages.row_count (table_name, rows) VALUES (TG_TABLE_NAME, change);
    END IF;
    RETURN NULL;
END $$;

-- From now on the table is counted.
CREATE FUNCTION ak_stages.keep_count(counted regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER ak_count_inserted AFTER INSERT ON %s REFERENCING NEW TABLE AS changed '
        'FOR EACH STATEMENT EXECUTE FUNCTION ak_stages.count_rows()', counted);
    EXECUTE format(
        'CREATE TRIGGER ak_count_deleted AFTER DELETE ON %s REFERENCING OLD TABLE AS changed '
        'FOR EACH STATEMENT EXECUTE FUNCTION ak_stages.count_rows()', counted);
    EXECUTE format(
        'CREATE TRIGGER ak_count_truncated AFTER TRUNCATE ON %s '
        'FOR EACH STATEMENT EXECUTE FUNCTION ak_stages.count_rows()', counted);
    -- For replicated and restored rows, too.
    EXECUTE format(
        'ALTER TABLE %s ENABLE ALWAYS TRIGGER ak_count_inserted, ENABLE ALWAYS TRIGGER ak_count_deleted, '
        'ENABLE ALWAYS TRIGGER ak_count_truncated', counted);
    EXECUTE format(
        'INSERT INTO ak_stages.row_count SELECT relname, n FROM pg_class, (SELECT count(*) AS n FROM %s) AS counted '
        'WHERE oid = $1', counted) USING counted;
END $$;

SELECT ak_stages.keep_count('authentik_core_group');
SELECT ak_stages.keep_count('authentik_core_token');
SELECT ak_stages.keep_count('authentik_core_user');
SELECT ak_stages.keep_count('authentik_flows_flow');
SELECT ak_stages.keep_count('authentik_flows_flowstagebinding');
SELECT ak_stages.keep_count('authentik_flows_stage');
SELECT ak_stages.keep_count('authentik_stages_email_emailstage');
SELECT ak_stages.keep_count('authentik_stages_user_write_userwritestage');
SELECT ak_stages.keep_count('authentik_stages_invitation_invitationstage');
SELECT ak_stages.keep_count('authentik_stages_invitation_invitation');
