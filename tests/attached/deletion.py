"""Deletion takes along what hangs on an object in authentik's database, and refuses what only authentik can delete."""

from lab import Lab
from report import Report

FLOW = "default-authentication-flow"


def foreign_stage_and_branded_flow(lab: Lab, report: Report) -> None:
    """Deleting a stage of a type that isn't ours, and a flow that a brand names"""
    database = lab.fresh()
    stage = database.value("SELECT stage_uuid FROM authentik_flows_stage WHERE name = 'default-password-change-prompt'")
    flow = database.value(f"SELECT flow_uuid FROM authentik_flows_flow WHERE slug = '{FLOW}'")
    bindings = f"SELECT policybindingmodel_ptr_id FROM authentik_flows_flowstagebinding WHERE target_id = '{flow}'"
    bound = database.value(f"SELECT count(*) FROM ({bindings}) b")
    policies = database.value(
        f"SELECT count(*) FROM authentik_policies_policybinding WHERE target_id IN ({bindings})"
    )
    brand = 'SELECT flow_authentication_id FROM authentik_brands_brand WHERE "default"'
    with lab.serve(database) as server:
        api = server.client()
        before = database.counts()
        answer = api.send("DELETE", f"/stages/all/{stage}/")
        expected = {
            "authentik_stages_prompt_promptstage": -1,
            "authentik_stages_prompt_promptstage_fields": -2,
            "authentik_stages_prompt_promptstage_validation_policies": -1,
            "authentik_flows_stage": -1,
            "authentik_flows_flowstagebinding": -1,
            "authentik_policies_policybindingmodel": -1,
            "authentik_events_event": 2,
        }
        found = [answer.status, database.growth(before)]
        report.same("a prompt stage takes along binding and links", found, [204, expected])

        named, before = database.value(brand), database.counts()
        answer = api.send("DELETE", f"/flows/instances/{FLOW}/")
        found = [named, answer.status, database.value(brand)]
        report.same("the brand that named the flow names none", found, [flow, 204, None])
        expected = {
            "authentik_flows_flow": -1,
            "authentik_flows_flowstagebinding": -bound,
            "authentik_policies_policybindingmodel": -1 - bound,
            "authentik_policies_policybinding": -policies,
            "authentik_events_event": 1 + bound,
        }
        found = database.growth(before)
        report.same(f"the flow takes along its {bound} bindings and their {policies} policy bindings", found, expected)


def in_use(lab: Lab, report: Report) -> None:
    """Deleting what a provider or a source can't be without: authentik would delete that along"""
    database = lab.fresh()
    database.execute(USERS)
    before = database.dump()
    with lab.serve(database) as server:
        api = server.client()
        for path, table in (
            ("/flows/instances/default-provider-authorization-implicit-consent/", "authentik_core_provider"),
            ("/flows/instances/default-source-pre-authentication/", "authentik_sources_telegram_telegramsource"),
            ("/core/tokens/peer-plain/", "authentik_sources_scim_scimsource"),
        ):
            answer = api.send("DELETE", path)
            report.check(f"{path}: 400 names {table}", answer.status == 400 and table in str(answer.body), answer)
    report.same("nothing is changed", database.dump(), before)


# A provider, a Telegram source and a SCIM source.
USERS = """
    INSERT INTO authentik_core_provider (authorization_flow_id, name, is_backchannel)
    SELECT flow_uuid, 'provider', FALSE FROM authentik_flows_flow
    WHERE slug = 'default-provider-authorization-implicit-consent';

    CREATE TEMPORARY TABLE new AS SELECT gen_random_uuid() AS id, slug FROM (VALUES ('telegram'), ('scim')) AS v (slug);
    INSERT INTO authentik_policies_policybindingmodel (pbm_uuid, policy_engine_mode) SELECT id, 'any' FROM new;
    INSERT INTO authentik_core_source
    SELECT (jsonb_populate_record(s, jsonb_build_object(
      'policybindingmodel_ptr_id', id, 'slug', new.slug, 'name', new.slug, 'managed', NULL))).*
    FROM authentik_core_source s, new;
    INSERT INTO authentik_sources_telegram_telegramsource
      (source_ptr_id, bot_username, bot_token, request_message_access, pre_authentication_flow_id)
    SELECT id, 'bot', 'token', FALSE, flow_uuid FROM new, authentik_flows_flow f
    WHERE new.slug = 'telegram' AND f.slug = 'default-source-pre-authentication';
    INSERT INTO authentik_sources_scim_scimsource (source_ptr_id, token_id)
    SELECT id, token_uuid FROM new, authentik_core_token WHERE new.slug = 'scim' AND identifier = 'peer-plain'"""
