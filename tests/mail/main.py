"""ak-stages sends invitations through aiosmtpd: in the clear, by STARTTLS and by TLS, with a login by PLAIN, LOGIN or XOAUTH2.

Each case starts the program on a database of its own, queues a mail to somebody with a name and an address in another
script, and looks at what the SMTP server got. A certificate that nobody vouches for gets no mail.
"""

import base64
import json
import logging
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import warnings
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

PROGRAM = os.environ["PROGRAM"]
TOKEN = "a-token-for-tests-and-nothing-else"
PASSWORD = "päss word-1"
ACCESS = "an-access-token-1"
SECRET = "the secret&of a client"
PATIENCE = 60


class Inbox:
    """What was delivered, and how."""

    def __init__(self) -> None:
        self.mails = []

    async def handle_DATA(self, server, session, envelope) -> str:
        encrypted = session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None
        self.mails.append((session, envelope, encrypted))
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data) -> AuthResult:
    fits = data.login == b"mailer" and data.password == PASSWORD.encode()
    session.mechanism = mechanism
    return AuthResult(success=fits, handled=False)


def certificate(directory: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for localhost, signed by itself."""
    cert, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return cert, context


class Smtp(SMTP):
    """aiosmtpd, which may log in by XOAUTH2, too."""

    async def auth_XOAUTH2(self, _, args: list[str]) -> AuthResult:
        said = base64.b64decode(args[1])
        self.session.mechanism = "XOAUTH2"
        if said == f"user=mailer\x01auth=Bearer {ACCESS}\x01\x01".encode():
            return AuthResult(success=True, handled=False, auth_data="mailer")
        await self.challenge_auth(b'{"status":"401"}')
        return AuthResult(success=False, handled=False)


class TokenEndpoint(ThreadingHTTPServer):
    """Where the access token is to be had, over TLS."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), TokenHandler)
        self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.asked = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class TokenHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.asked.append(form)
        body = json.dumps({"token_type": "Bearer", "access_token": ACCESS, "expires_in": 3600}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: what goes wrong shows in the case."""


class Server(Controller):
    """aiosmtpd on a free port, with the options of a case."""

    def __init__(self, inbox: Inbox, tls: ssl.SSLContext | None, **options) -> None:
        self.xoauth2 = options.pop("xoauth2", False)
        self.options = options
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        super().__init__(inbox, hostname="127.0.0.1", port=port, ssl_context=tls, ready_timeout=PATIENCE)

    def factory(self) -> SMTP:
        # aiosmtpd offers each mechanism that it has a method for.
        program = Smtp if self.xoauth2 else SMTP
        return program(self.handler, enable_SMTPUTF8=True, **self.options)


class Program:
    """ak-stages with a database of its own."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.log = directory / "log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTHENTIK_")}
        kept.pop("DATABASE_URL", None)
        environment = kept | {
            "DATA_DIR": str(directory / "data"),
            "AUTHENTIK_LISTEN__HTTP": "127.0.0.1:0",
            "AUTHENTIK_BOOTSTRAP_TOKEN": TOKEN,
            "AUTHENTIK_LOG_LEVEL": "trace",
            "AUTHENTIK_STAGES__PUBLIC_URL": "https://id.example.com",
            "AUTHENTIK_EMAIL__FROM": "Grüße <id@example.com>",
        } | settings
        self.environment = environment
        with self.log.open("w") as log:
            self.process = subprocess.Popen([PROGRAM, "serve"], env=environment, stdout=log, stderr=log)
        self.base = f"http://{self.address()}/api/v3"

    def address(self) -> str:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            for line in self.log.read_text().splitlines():
                if line.startswith("{") and (entry := json.loads(line)).get("message") == "serving":
                    return entry["address"]
            time.sleep(0.05)
        raise SystemExit(f"the server does not start: {self.log.read_text()}")

    def ask(self, method: str, path: str, body: dict | None = None) -> object:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read() or b"null")

    def command(self, *arguments: str) -> str:
        """What a command of the program prints."""
        done = subprocess.run([PROGRAM, *arguments], env=self.environment, capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    def invitation(self) -> str:
        """The key of a new invitation to a flow."""
        flow = {"name": "Enroll", "slug": "enroll", "title": "Welcome", "designation": "enrollment"}
        flow = self.ask("POST", "/flows/instances/", flow)
        invitation = {"name": "welcome", "flow": flow["pk"], "expires": "2100-01-01T00:00:00Z"}
        return self.ask("POST", "/stages/invitation/invitations/", invitation)["pk"]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)


def settled(program: Program, path: str, states: set[str]) -> dict:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        (message,) = program.ask("GET", f"{path}messages/")
        if message["state"] in states:
            return message
        time.sleep(0.05)
    raise SystemExit(f"nothing becomes of {message}")


def same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise SystemExit(f"{what}: {found!r} rather than {expected!r}")


def no_secrets(name: str, program: Program, key: str, answers: str = "") -> None:
    """Neither the invitation's key nor the password nor a token is in the log, at the level `trace`, nor in what is shown.

    The password isn't there as it goes over the wire either.
    """
    messages = program.ask("GET", f"/stages/invitation/invitations/{key}/messages/")
    shown = program.log.read_text() + json.dumps(messages, ensure_ascii=False) + program.command("mail", "list") + answers
    for message in {message["state"]: message for message in messages}.values():
        shown += program.command("mail", "show", message["pk"])
    encoded = [base64.b64encode(text.encode()).decode() for text in (f"\0mailer\0{PASSWORD}", PASSWORD)]
    for secret in (key, key.replace("-", ""), PASSWORD, *encoded, ACCESS, SECRET, TOKEN):
        if secret in shown:
            raise SystemExit(f"{name}: {secret} is in the log, or shown")


def case(name: str, arrives: bool, tls: ssl.SSLContext | None, settings: dict, **options) -> None:
    inbox = Inbox()
    server = Server(inbox, tls, **options)
    server.start()
    with tempfile.TemporaryDirectory(prefix="ak-stages-") as work:
        directory = Path(work)
        directory.chmod(0o755)  # PostgreSQL may run as another user
        settings = {"AUTHENTIK_EMAIL__HOST": "localhost", "AUTHENTIK_EMAIL__PORT": str(server.port)} | settings
        program = Program(directory, **settings)
        try:
            check(name, arrives, program, inbox, settings)
        finally:
            program.stop()
            server.stop()
    print(f"ok    {name}")


def check(name: str, arrives: bool, program: Program, inbox: Inbox, settings: dict) -> None:
    key = program.invitation()
    path = f"/stages/invitation/invitations/{key}/"
    body = {"email_addresses": ["Jörg 北 <jörg@münchen.example>"], "reply_to": "help@example.com"}
    program.ask("POST", f"{path}send_email/", body)
    message = settled(program, path, {"sent"} if arrives else {"failed", "dead"})
    # A test mail takes the same steps.
    tested = program.ask("POST", "/stages/email/test/", {"use_global_settings": True, "mode": "auth"})
    same(f"{name}: test", tested["successful"], arrives)
    no_secrets(name, program, key, json.dumps(tested))
    if not arrives:
        same(f"{name}: mails", len(inbox.mails), 0)
        same(f"{name}: state", message["state"], "failed")
        return
    ((session, envelope, is_encrypted),) = inbox.mails
    encrypted = "true" in (settings.get("AUTHENTIK_EMAIL__USE_TLS"), settings.get("AUTHENTIK_EMAIL__USE_SSL"))
    same(f"{name}: TLS", is_encrypted, encrypted)
    same(f"{name}: TLS of the test", "TLS" in [step["step"] for step in tested["steps"]], encrypted)
    same(f"{name}: login", session.authenticated or False, "AUTHENTIK_EMAIL__USERNAME" in settings)
    same(f"{name}: recipients", envelope.rcpt_tos, ["jörg@xn--mnchen-3ya.example"])
    same(f"{name}: options", "SMTPUTF8" in envelope.mail_options, True)
    mail = message_from_bytes(envelope.content, policy=policy.SMTPUTF8)
    same(f"{name}: From", str(mail["From"]), "Grüße <id@example.com>")
    same(f"{name}: To", mail["To"].addresses[0].display_name, "Jörg 北")
    same(f"{name}: Message-ID", str(mail["Message-ID"]), f"<{message['pk']}@example.com>")
    same(f"{name}: parts", [part.get_content_type() for part in mail.iter_parts()], ["text/plain", "text/html"])
    link = f"https://id.example.com/if/flow/enroll/?itoken={key}"
    same(f"{name}: link", link in mail.get_body(("plain",)).get_content(), True)
    same(f"{name}: HTML", "You are invited" in mail.get_body(("html",)).get_content(), True)


def main() -> None:
    # What goes wrong is meant to, and is looked at from the other side.
    logging.getLogger("mail").setLevel(logging.CRITICAL + 1)
    warnings.simplefilter("ignore")
    login = {"AUTHENTIK_EMAIL__USERNAME": "mailer", "AUTHENTIK_EMAIL__PASSWORD": PASSWORD}
    with tempfile.TemporaryDirectory() as directory:
        cert, context = certificate(Path(directory))
        cert.parent.chmod(0o755)
        trusted = {"AUTHENTIK_STAGES__EMAIL_ROOT_CERT": str(cert)}
        starttls, tls = {"AUTHENTIK_EMAIL__USE_TLS": "true"}, {"AUTHENTIK_EMAIL__USE_SSL": "true"}
        over = {"tls_context": context, "require_starttls": True}
        auth = {"authenticator": authenticate, "auth_required": True}
        case("in the clear", True, None, {})
        case("STARTTLS, PLAIN", True, None, starttls | trusted | login, **over, **auth)
        case("STARTTLS, LOGIN", True, None, starttls | trusted | login, auth_exclude_mechanism=["PLAIN"], **over, **auth)
        case("TLS", True, context, tls | trusted | login, **auth, auth_require_tls=False)
        case("STARTTLS that isn't offered", False, None, starttls | trusted)
        case("a certificate that nobody vouches for", False, None, starttls, **over)
        endpoint = TokenEndpoint(context)
        oauth = {
            "AUTHENTIK_EMAIL__USERNAME": "mailer",
            "AUTHENTIK_STAGES__EMAIL_OAUTH_TOKEN_URL": f"https://localhost:{endpoint.server_port}/token",
            "AUTHENTIK_STAGES__EMAIL_OAUTH_CLIENT_ID": "client",
            "AUTHENTIK_STAGES__EMAIL_OAUTH_CLIENT_SECRET": SECRET,
            "AUTHENTIK_STAGES__EMAIL_OAUTH_SCOPE": "mail",
        }
        case("STARTTLS, XOAUTH2", True, None, starttls | trusted | oauth, xoauth2=True, auth_required=True, **over)
        form = {"grant_type": ["client_credentials"], "client_id": ["client"], "client_secret": [SECRET], "scope": ["mail"]}
        same("what the token was asked for with", endpoint.asked, [form, form])
        case("no XOAUTH2 where there is none", False, None, starttls | trusted | oauth, **over, **auth)
        wrong = login | {"AUTHENTIK_EMAIL__PASSWORD": "another"}
        case("a wrong password", False, None, starttls | trusted | wrong, **over, **auth)


if __name__ == "__main__":
    sys.exit(main())
