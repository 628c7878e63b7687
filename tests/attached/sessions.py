"""Credentials that only an authentik gives: sessions of its web interface, access tokens of OAuth2, its secret key."""

import http.client
import json
import ssl
import subprocess

from browser import CSRF, IMPERSONATING, SECRET_KEY, WITH_KEY, Browser, Session, access_token, signed
from client import ADMIN, Client
from lab import Lab, Server, free_port
from privileges import AS_ROLE, ROLE, grant
from report import Report

EMAIL = "/stages/email/"
TABLES = ["authentik_core_session", "authentik_core_authenticatedsession", "authentik_providers_oauth2_accesstoken"]
NOBODY = "Authentication credentials were not provided."
INVALID = "Token invalid/expired"
NO_CSRF_COOKIE = "CSRF Failed: CSRF cookie not set."
IMPERSONATES = "This session impersonates another user. ak-stages can't tell whom, so it doesn't take it."
FORGOTTEN = 'authentik_session=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=Lax'
OUTPOST = "ak-outpost-0aaba44b5367418fb44bbb5dc2a2d1d3"
OWN = {"X-authentik-CSRF": CSRF}
REASONS = ["csrf", "expired", "impersonates", "inactive", "intent", "missing", "session", "unknown"]


def credentials(lab: Lab, report: Report) -> None:
    """Credentials of every kind, with reads, writes of the user's own and writes that may be forged"""
    database = lab.fresh()
    good = Session().keep(database)
    access_token(database, "good")
    access_token(database, "revoked", revoked="TRUE")
    access_token(database, "ended", expires="now()")
    access_token(database, "other scope", _scope="'openid'")
    access_token(database, "inactive", user=7)

    def session(**changes: object) -> dict[str, str]:
        return cookie(Session(**changes).keep(database).cookie)

    def cookie(value: str) -> dict[str, str]:
        return {"Cookie": f"authentik_session={value}"}

    def bearer(key: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"}

    taken, always, nobody = [200, 201, NO_CSRF_COOKIE], [200, 201, 201], [NOBODY] * 3
    invalid, claims = [INVALID] * 3, {"sid": good.key}
    own = cookie(good.cookie)
    cases = {
        "a session": (own, taken, None),
        "a session in quotes": (cookie(f'"{good.cookie}"'), taken, None),
        "no credentials": ({}, nobody, None),
        "a session of nobody": (session(user=None), nobody, None),
        "a session of an inactive user": (session(user=7), nobody, None),
        "a session that has ended": (session(expires="now()"), nobody, FORGOTTEN),
        "a session without an end": (session(expires="NULL"), nobody, FORGOTTEN),
        "an unknown session": (cookie(Session().cookie), nobody, FORGOTTEN),
        "the key of a session": (cookie(good.key), nobody, FORGOTTEN),
        "a session of somebody who impersonates": (session(data=IMPERSONATING), [IMPERSONATES] * 3, None),
        "another secret key": (cookie(signed(claims, secret_key="another")), nobody, FORGOTTEN),
        "HS512": (cookie(signed(claims, algorithm="HS512")), nobody, FORGOTTEN),
        "no algorithm": (cookie(signed(claims, algorithm="none")), nobody, FORGOTTEN),
        "an audience": (cookie(signed(claims | {"aud": "authentik"})), nobody, FORGOTTEN),
        "a number for a key": (cookie(signed({"sid": 12345678})), nobody, FORGOTTEN),
        "the key alone in a token": (cookie(signed(claims)), taken, None),
        "an API token": (bearer(ADMIN), always, None),
        "an API token beside no session": (bearer(ADMIN) | cookie("x"), always, None),
        "an unknown token beside a session": (bearer("unknown") | own, invalid, None),
        "Basic": ({"Authorization": "Basic YTpi"}, nobody, None),
        "Basic beside a session": ({"Authorization": "Basic YTpi"} | own, taken, None),
        "an access token": (bearer("good"), always, None),
        "a revoked access token": (bearer("revoked"), invalid, None),
        "an access token that has ended": (bearer("ended"), invalid, None),
        "an access token for something else": (bearer("other scope"), invalid, None),
        "an access token of an inactive user": (bearer("inactive"), invalid, None),
        "a part of the secret key": (bearer(SECRET_KEY[1:]), invalid, None),
    }
    before = {table: database.rows(f"SELECT * FROM {table} ORDER BY 1") for table in TABLES}
    with lab.serve(database, **WITH_KEY) as server:
        for name, (headers, expected, forgotten) in cases.items():
            answers = ask(server, headers, name)
            found = [answer.status if answer.status < 300 else answer.body.get("detail") for answer in answers]
            report.same(f"{name}: {found[0]}", found, expected)
            told = {answer.headers.get("set-cookie") for answer in answers}
            report.same(f"{name}: Set-Cookie", told, {forgotten})
        me = Client(server.base, SECRET_KEY).get("/core/users/me/").body["user"]["username"]
        report.same("the secret key is the embedded outpost's", me, OUTPOST)
        logged = {line.get("refused") for line in server.logged(message="request")} - {None}
        report.same("the log says why somebody isn't let in", sorted(logged), REASONS)
        text, secrets = server.log.read_text(), (SECRET_KEY, good.key, good.cookie, CSRF, "other scope")
        report.same("and with what nobody is", [secret for secret in secrets if secret in text], [])
    with lab.serve(database) as server:
        (answer, *_) = ask(server, own, "without")
        report.same("without its secret key no session", [answer.status, answer.body["detail"]], [403, NOBODY])
        spoken = [answer.headers.get("vary"), answer.headers.get("set-cookie")]
        report.same("nor is one spoken of", spoken, ["accept-encoding", None])
    after = {table: database.rows(f"SELECT * FROM {table} ORDER BY 1") for table in TABLES}
    report.same("authentik's rows are as they were", after, before)


def ask(server: Server, headers: dict[str, str], name: str) -> list:
    """The answers to a read, to a write of the user's own, and to one that may be forged."""
    client = Client(server.base, token="")
    cookies = "; ".join(filter(None, [f"authentik_csrf={CSRF}", headers.get("Cookie")]))
    own = headers | OWN | {"Cookie": cookies}
    return [
        client.get(EMAIL, **headers),
        client.send("POST", EMAIL, {"name": f"{name}, own"}, own),
        client.send("POST", EMAIL, {"name": name}, headers),
    ]


def forgeries(lab: Lab, report: Report) -> None:
    """What a browser has to send with a write"""
    database = lab.fresh()
    other = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    masked = "b" * 32 + "bcdefghijklmnopqrstuvwxyzA123456"
    header, https = "CSRF token from the 'X-Authentik-Csrf' HTTP header", {"X-Forwarded-Proto": "https"}
    cases = [
        (None, None, {}, "CSRF cookie not set."),
        (None, CSRF, {}, "CSRF cookie not set."),
        (CSRF, None, {}, "CSRF token missing."),
        (CSRF, None, {"X-CSRFToken": CSRF}, "CSRF token missing."),
        (CSRF, other, {}, f"{header} incorrect."),
        (CSRF, "short", {}, f"{header} has incorrect length."),
        (CSRF, "", {}, f"{header} has incorrect length."),
        (CSRF, f"{CSRF[1:]}-", {}, f"{header} has invalid characters."),
        ("short", CSRF, {}, "CSRF cookie has incorrect length."),
        (CSRF, CSRF, {}, None),
        (other, other, {}, None),
        (CSRF, masked, {}, None),
        (masked, CSRF, {}, None),
        (CSRF, CSRF, {"Origin": "http://evil.example"}, foreign("Origin", "http://evil.example")),
        (CSRF, CSRF, {"Origin": "null"}, foreign("Origin", "null")),
        (CSRF, CSRF, {"Origin": "http://auth.example.com"}, None),
        (CSRF, CSRF, {"Referer": "https://evil.example/"}, None),
        (CSRF, CSRF, https, "Referer checking failed - no Referer."),
        (CSRF, CSRF, https | {"Referer": "here"}, "Referer checking failed - Referer is malformed."),
        (
            CSRF, CSRF, https | {"Referer": "http://auth.example.com/"},
            "Referer checking failed - Referer is insecure while host is secure.",
        ),
        (CSRF, CSRF, https | {"Referer": "https://evil.example/"}, foreign("Referer", "https://evil.example/")),
        (CSRF, CSRF, https | {"Referer": "https://auth.example.com/if/admin/"}, None),
        (CSRF, CSRF, https | {"Origin": "https://auth.example.com"}, None),
    ]
    session = Session().keep(database)
    with lab.serve(database, **WITH_KEY) as server:
        client = Client(server.base, token="")
        for number, (token, sent, more, reason) in enumerate(cases):
            cookies = [f"authentik_session={session.cookie}"] + [f"authentik_csrf={token}"] * (token is not None)
            headers = {"Host": "auth.example.com", "Cookie": "; ".join(cookies)} | more
            if sent is not None:
                headers["X-authentik-CSRF"] = sent
            answer = client.send("POST", EMAIL, {"name": f"name {number}"}, headers)
            found = [answer.status, answer.body if answer.status == 403 else None]
            expected = [403, {"detail": f"CSRF Failed: {reason}"}] if reason else [201, None]
            report.same(f"{number}: {reason or 'passes'}", found, expected)


def foreign(header: str, place: str) -> str:
    """What is said of a page of another site."""
    return f"{header} checking failed - {place} does not match any trusted origins."


def tls(lab: Lab, report: Report) -> None:
    """The same with TLS of the server's own"""
    database, place, port = lab.fresh(), lab.directory("tls"), free_port()
    key, certificate = place / "key.pem", place / "certificate.pem"
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command = ["openssl", "req", "-x509", *options, "-keyout", key, "-out", certificate]
    subprocess.run(command, capture_output=True, check=True)
    settings = {
        "AUTHENTIK_LISTEN__HTTPS": f"127.0.0.1:{port}", "AUTHENTIK_STAGES__TLS_CERTIFICATE": certificate,
        "AUTHENTIK_STAGES__TLS_KEY": key,
    }
    session = Session().keep(database)
    headers = OWN | {
        "Host": "auth.example.com", "Content-Type": "application/json",
        "Cookie": f"authentik_session={session.cookie}; authentik_csrf={CSRF}",
    }
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    origin, no_referer = "https://auth.example.com", {"detail": "CSRF Failed: Referer checking failed - no Referer."}
    with lab.serve(database, **WITH_KEY, **settings):
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=40)
        for more, status in (({}, 403), ({"Origin": origin}, 201), ({"Referer": f"{origin}/if/admin/"}, 201)):
            connection.request("POST", f"{Client.prefix}{EMAIL}", json.dumps({"name": f"name {more}"}), headers | more)
            answer = connection.getresponse()
            body = json.loads(answer.read())
            found = [answer.status, body == no_referer]
            report.same(f"{', '.join(more) or 'neither'}: {status}", found, [status, status == 403])


def bound(lab: Lab, report: Report) -> None:
    """Sessions where a login stage binds them to networks"""
    database = lab.fresh()
    database.execute("""
        UPDATE authentik_stages_user_login_userloginstage SET network_binding = 'bind_asn'
        WHERE stage_ptr_id = (SELECT min(stage_ptr_id::text)::uuid FROM authentik_stages_user_login_userloginstage)""")
    session = Session().keep(database)
    with lab.serve(database, **WITH_KEY) as server:
        for source, status in (("127.0.0.1", 200), ("127.0.0.2", 403)):
            answer = Browser(server.base, session.cookie, source=source).get(EMAIL)
            report.same(f"from {source}: {status}", answer.status, status)
        detail = "This session was last used from another network address, and sessions are bound to theirs."
        report.same("the refusal says why", answer.body, {"detail": detail})


def traces(lab: Lab, report: Report) -> None:
    """The event of a session's write is that of a token's"""
    database = lab.fresh()
    session = Session().keep(database)
    with lab.serve(database, **WITH_KEY) as server:
        for client in (Browser(server.base, session.cookie), server.client()):
            client.make(EMAIL, {"name": f"name {client.token}"})
    events = database.rows("""
        SELECT "user", action, host(client_ip) AS client, context->'http_request'->>'method' AS method
        FROM authentik_events_event WHERE context->'model'->>'model_name' = 'emailstage'""")
    user = {"pk": 3, "email": "akadmin@peer.invalid", "username": "akadmin"}
    expected = {"user": user, "action": "model_created", "client": "127.0.0.1", "method": "POST"}
    report.same("both are akadmin's", events, [expected, expected])


def unreadable(lab: Lab, report: Report) -> None:
    """A role that may read neither sessions nor access tokens"""
    database = lab.fresh()
    grant(lab, database)
    session = Session().keep(database)
    access_token(database, "an access token")
    tables = ", ".join([*TABLES, "authentik_outposts_outpost", "authentik_stages_user_login_userloginstage"])
    database.execute(f"REVOKE ALL ON {tables} FROM {ROLE}")
    with lab.serve(database, **AS_ROLE, **WITH_KEY) as server:
        report.same("API tokens are served", server.client().get(EMAIL).status, 200)
        for key in ("unknown", "an access token", SECRET_KEY):
            answer = server.client(key).get(EMAIL)
            report.same(f"no other token is: {key}", [answer.status, answer.body], [403, {"detail": INVALID}])
        answer = Browser(server.base, session.cookie).get(EMAIL)
        found = [answer.status, answer.body, answer.headers.get("set-cookie")]
        report.same("nor is a session, which may be a good one", found, [403, {"detail": NOBODY}, None])
    doctor = lab.ak_stages(database, "doctor", **AS_ROLE)
    missing = [table for table in TABLES if table not in doctor.stdout]
    report.same("`ak-stages doctor` names what is missing, and ends with status 1", [doctor.returncode, *missing], [1])
