"""The stages that users can set up for themselves."""

from client import TOKENS
from lab import Database, Lab
from privileges import AS_ROLE, ROLE, grant
from report import Report

PATH = "/stages/all/user_settings/"
PREFIX = "authentik_stages_authenticator_"
TOTP = f"{PREFIX}totp_authenticatortotpstage"


def row(title: str, component: str, stage: str, has_flow: bool) -> list[tuple[str, str]]:
    """A row of authentik's answer, with its keys in their order."""
    keys = [("title", title), ("component", f"ak-user-settings-{component}"), ("object_uid", stage)]
    return keys + [("configure_url", f"/flows/-/configure/{stage}/")] * has_flow


STATIC = row("Static tokens", "authenticator-static", "2bca85b2-fd92-4058-9641-6cf814eca043", True)
TOTP_SETUP = row("TOTP Device", "authenticator-totp", "65d30ffc-82ca-49cb-ba35-c17c53cbd6f5", True)
WEBAUTHN = row("WebAuthn device", "authenticator-webauthn", "cd67609a-8e12-4176-833e-af2e6cf62253", True)
PASSWORD = row("Password Stage", "password", "83284c51-3f24-40d0-9fe5-a9b52d64d6cf", True)


def found(lab: Lab, database: Database, token: str = TOKENS["admin"], **settings: object) -> list:
    """The rows of the answer, as `row` gives them."""
    with lab.serve(database, **settings) as server:
        answer = server.client(token).get(PATH)
    return [list(one.items()) for one in answer.body] if answer.status == 200 else [answer]


def default_installation(lab: Lab, report: Report) -> None:
    """What users can set up on a fresh installation"""
    database, expected = lab.fresh(), [STATIC, TOTP_SETUP, WEBAUTHN, PASSWORD]
    report.same("four stages, by type", found(lab, database), expected)
    report.same("to whoever asks", found(lab, database, TOKENS["plain"]), expected)
    grant(lab, database)
    report.same("to a role with the printed privileges", found(lab, database, **AS_ROLE), expected)
    database.execute(f"REVOKE SELECT ON {TOTP} FROM {ROLE}")
    report.same("without a table that the role may not read", found(lab, database, **AS_ROLE),
                [STATIC, WEBAUTHN, PASSWORD])


# Stages of the other types: table, the name, what stands in the columns between the key and the last ones, which are
# the friendly name and the flow.
OTHERS = {
    "00000000-0000-4000-8000-000000000001": (
        f"{PREFIX}duo_authenticatorduostage", "duo",
        "client_id, client_secret, api_hostname, admin_integration_key, admin_secret_key", "'', '', '', '', ''", "",
    ),
    "00000000-0000-4000-8000-000000000002": (
        f"{PREFIX}email_authenticatoremailstage", "email",
        "use_global_settings, host, port, username, password, use_tls, use_ssl, timeout, from_address, token_expiry,"
        " subject, template",
        "TRUE, '', 25, '', '', FALSE, FALSE, 10, '', '', '', ''", "Code by mail",
    ),
    "00000000-0000-4000-8000-000000000003": (
        f"{PREFIX}endpoint_gdtc_authenticatore2741", "gdtc", "credentials", "'{}'", "",
    ),
    "00000000-0000-4000-8000-000000000004": (
        f"{PREFIX}sms_authenticatorsmsstage", "sms",
        "provider, account_sid, auth, from_number, auth_password, auth_type, verify_only",
        "'twilio', '', '', '', '', 'basic', FALSE", "",
    ),
    "00000000-0000-4000-8000-000000000005": (TOTP, "second", "digits", "6", "Second"),
    "00000000-0000-4000-8000-000000000006": (TOTP, "a first", "digits", "6", "First"),
}


def other_stages(lab: Lab, report: Report) -> None:
    """What users can set up with stages of all types, some without a flow or a friendly name"""
    database = lab.fresh()
    for key, (table, name, columns, values, friendly_name) in OTHERS.items():
        database.execute(f"""
            INSERT INTO authentik_flows_stage (stage_uuid, name) VALUES ('{key}', '{name}');
            INSERT INTO {table} (stage_ptr_id, {columns}, friendly_name) VALUES ('{key}', {values}, '{friendly_name}')""")
    database.execute("UPDATE authentik_stages_password_passwordstage SET configure_flow_id = NULL")
    duo, email, gdtc, sms, second, first = OTHERS
    report.same("all authenticators by type and name, and no password stage without a flow", found(lab, database), [
        row("Duo Authenticator Setup Stage", "authenticator-duo", duo, False),
        row("Code by mail", "authenticator-email", email, False),
        row("Endpoint Authenticator Google Device Trust Connector Stage", "authenticator-endpoint", gdtc, False),
        row("SMS Authenticator Setup Stage", "authenticator-sms", sms, False),
        STATIC,
        row("First", "authenticator-totp", first, False),
        TOTP_SETUP,
        row("Second", "authenticator-totp", second, False),
        WEBAUTHN,
    ])
