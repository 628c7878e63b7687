-- The places of new bindings in their flows, one for each entry of `flows`: behind what the flow already runs, and behind
-- the entries before it that name the same flow; at its highest order plus 10, or at 0.
--
-- Two that bind at once must not find the same highest order. So the flows are locked first, in the order of their keys
-- lest two wait for each other, and each statement of a volatile function sees what was committed before it began.
CREATE FUNCTION ak_stages.flow_places(flows uuid[]) RETURNS integer[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    flow uuid;
    place bigint;
    places integer[];
BEGIN
    FOREACH flow IN ARRAY ARRAY(SELECT unnest(flows) ORDER BY 1) LOOP
        PERFORM FROM authentik_flows_flow WHERE flow_uuid = flow FOR NO KEY UPDATE;
    END LOOP;
    FOR entry IN 1 .. cardinality(flows) LOOP
        flow := flows[entry];
        SELECT coalesce(max("order")::bigint + 10, 0) INTO place
        FROM authentik_flows_flowstagebinding WHERE target_id = flow;
        place := place + 10 * cardinality(array_positions(flows[: entry - 1], flow));
        places[entry] := least(place, 2147483647);
    END LOOP;
    RETURN places;
END $$;
