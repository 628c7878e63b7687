"""The proxies of examples/ in front of ak-stages and a stand-in for authentik."""

import hashlib
import shutil
import signal
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from client import ADMIN, Client
from lab import Database, Lab, free_port, listens, stop, wait_for
from report import Report

EXAMPLES = Path(__file__).parents[2] / "examples"
INVITATION = "/api/v3/stages/invitation/invitations/0e9d0a7e-3a3c-4f57-9a5e-5d4b0c9f7a11/"
# The paths that reach ak-stages with a token, and some that never do.
OURS = [
    "/api/v3/stages/email/",
    "/api/v3//stages/email/",
    "/api/v3/stages/email/?page=1",
    "/api/v3/stages/email/templates/",
    "/api/v3/stages/user_write/",
    "/api/v3//stages/user_write/",
    "/api/v3/stages/invitation/stages/",
    "/api/v3/stages/invitation/invitations/",
    "/api/v3//stages/invitation/invitations/",
    INVITATION,
    f"{INVITATION}used_by/",
]
THEIRS = [
    "/",
    "/if/admin/",
    "/api/v3/",
    "/api/v3/stages/all/",
    "/api/v3/stages/email",
    "/api/v3/stages/emails/",
    "/api/v3/stages/authenticator/email/",
    "/api/v3/stages/prompt/stages/",
    "/api/v3/flows/instances/",
    "/api/v3/core/users/me/",
    "/x/api/v3/stages/email/",
    "/api/v3/stages/email/../all/",
    f"{INVITATION}send_email/",
]


class StandIn(BaseHTTPRequestHandler):
    """Answers every path with its own name, and says in a header what it was sent."""

    def do_GET(self) -> None:
        # All of it: a connection that is closed with something unread is reset, and the answer may be lost with it.
        received = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b"authentik"
        self.send_response(200)
        self.send_header("X-Received", digest(received))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, *_) -> None:
        pass


def digest(body: bytes) -> str:
    """What a body is known by."""
    return hashlib.sha256(body).hexdigest()


@contextmanager
def stand_in():
    """Its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), StandIn) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def example(name: str, changes: dict[str, str]) -> str:
    """The text of an example with other addresses in it."""
    text = (EXAMPLES / name).read_text()
    for old, new in changes.items():
        if text.count(old) != 1:
            raise ValueError(f"{old} is {text.count(old)} times in {name}")
        text = text.replace(old, new)
    return text


@contextmanager
def proxy(lab: Lab, name: str, directory: Path, command: list, port: int):
    """A proxy that runs as long as the context; its address."""
    log = directory / "log"
    process = lab.daemon(command, log)
    try:
        wait_for(name, lambda: listens(port), process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process, signal.SIGTERM)


def nginx(lab: Lab, upstreams: dict[str, str], name: str = "nginx.conf"):
    """nginx with the example as its only site."""
    port, directory = free_port(), lab.directory(name)
    site = example(name, {"listen 80;": f"listen 127.0.0.1:{port};", **upstreams})
    (directory / "site.conf").write_text(site)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
    (directory / "nginx.conf").write_text(f"""
        daemon off;
        pid {directory}/pid;
        events {{}}
        http {{ access_log off; {temporary} include {directory}/site.conf; }}
        """)
    return proxy(lab, "nginx", directory, ["nginx", "-e", "stderr", "-c", directory / "nginx.conf"], port)


def caddy(lab: Lab, upstreams: dict[str, str]):
    """Caddy with the example as its only site, without TLS."""
    port, directory = free_port(), lab.directory("caddy")
    address = f"http://auth.example.com:{port} {{\n\tbind 127.0.0.1"
    site = example("Caddyfile", {"auth.example.com {": address, **upstreams})
    (directory / "Caddyfile").write_text(f"{{\n\tadmin off\n}}\n{site}")
    # It keeps files in its user's home.
    command = ["env", "-i", f"HOME={directory}", shutil.which("caddy"), "run", "--config", directory / "Caddyfile"]
    return proxy(lab, "caddy", directory, command, port)


def proxies(lab: Lab, report: Report) -> None:
    """The proxies of examples/, in front of ak-stages and a stand-in for authentik"""
    with lab.serve(lab.fresh()) as server, stand_in() as authentik:
        upstreams = {"127.0.0.1:9000": authentik, "127.0.0.1:9001": server.base.removeprefix("http://")}
        for name, start in (("nginx.conf", nginx), ("Caddyfile", caddy)):
            if start == caddy and not shutil.which("caddy"):
                report.skip(name, "there is no Caddy to be had")
                continue
            with start(lab, upstreams) as base:
                routes(report, name, base)
                address(report, name, base, server.database)


def reached(client: Client, path: str, **headers: str) -> str:
    """Who answers."""
    answer = client.get(path, Host="auth.example.com", **headers)
    if answer.body == "authentik":
        return "authentik"
    return "ak-stages" if "x-authentik-id" in answer.headers else str(answer)


def routes(report: Report, name: str, base: str) -> None:
    """Who answers which requests."""
    token, session = Client(base), Client(base, token="")
    token.prefix = session.prefix = ""
    ours, theirs = ({path: reached(token, path) for path in paths} for paths in (OURS, THEIRS))
    report.same(f"{name}: {len(ours)} paths reach ak-stages with a token", ours, dict.fromkeys(ours, "ak-stages"))
    report.same(f"{name}: {len(theirs)} others reach authentik", theirs, dict.fromkeys(theirs, "authentik"))
    without = {path: reached(session, path) for path in OURS}
    without["Basic"] = reached(session, OURS[0], Authorization="Basic dTpw")
    report.same(f"{name}: all reach authentik without a token", without, dict.fromkeys(without, "authentik"))
    found = reached(session, OURS[0], Authorization=f"bearer {ADMIN}")
    report.same(f"{name}: the scheme is read in any case", found, "ak-stages")


def forwarded(lab: Lab, report: Report) -> None:
    """Whose X-Forwarded-For is believed"""
    database = lab.fresh()
    networks = "AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS"
    # The peer is 127.0.0.1.
    cases = {
        "by default, of a proxy on this machine": ({}, "198.51.100.9", "198.51.100.9"),
        "the last that is no proxy's": ({}, "203.0.113.66, 198.51.100.9, 10.0.0.5", "198.51.100.9"),
        "of a proxy in a network that is named": ({networks: "127.0.0.1/32"}, "10.0.0.5", "10.0.0.5"),
        "not of somebody else": ({networks: "10.0.0.0/8,::1/128"}, "198.51.100.9", "127.0.0.1"),
    }
    for name, (settings, header, expected) in cases.items():
        with lab.serve(database, **settings) as server:
            answer = server.client().send("POST", "/stages/email/", {"name": name}, {"X-Forwarded-For": header})
        found = database.rows(f"""
            SELECT host(client_ip) AS client FROM authentik_events_event
            WHERE context->'model'->>'name' = $name${name}$name$""")
        report.same(name, [answer.status, *found], [201, {"client": expected}])


def address(report: Report, name: str, base: str, database: Database) -> None:
    """What an event says about who asked."""
    client = Client(base, source="127.0.0.2")
    headers = {"Host": "auth.example.com", "X-Forwarded-For": "198.51.100.9", "User-Agent": "agent/1"}
    made = client.send("POST", "/stages/email/", {"name": name}, headers)
    events = database.rows(f"""
        SELECT host(client_ip) AS client, context->'http_request'->>'user_agent' AS agent
        FROM authentik_events_event WHERE context->'model'->>'name' = '{name}'""")
    found, expected = [made.status, *events], [201, {"client": "127.0.0.2", "agent": "agent/1"}]
    report.same(f"{name}: the event has the client's own address, not the one that it sends", found, expected)
