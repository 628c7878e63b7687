"""Mail: the tables that it takes, which nobody makes unasked."""

import socketserver
import threading
import time

from lab import Database, Lab
from privileges import AS_ROLE, ROLE, grant
from releases import of_release
from report import Report

FLOW = {"name": "Enroll", "slug": "enroll", "title": "Welcome", "designation": "enrollment"}
PATIENCE = 30


class Inbox(socketserver.ThreadingTCPServer):
    """An SMTP server that takes everything; what it took is in `mails`."""

    daemon_threads = True

    def __init__(self) -> None:
        self.mails: list[str] = []
        super().__init__(("127.0.0.1", 0), Session)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def settings(self) -> dict[str, object]:
        """What makes ak-stages send here."""
        return {
            "AUTHENTIK_STAGES__PUBLIC_URL": "https://id.example.com",
            "AUTHENTIK_EMAIL__HOST": "127.0.0.1",
            "AUTHENTIK_EMAIL__PORT": self.server_address[1],
        }

    def holds(self, count: int) -> bool:
        """Whether so many mails come in time."""
        deadline = time.monotonic() + PATIENCE
        while len(self.mails) < count and time.monotonic() < deadline:
            time.sleep(0.05)
        return len(self.mails) == count


class Session(socketserver.StreamRequestHandler):
    """One connection."""

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def handle(self) -> None:
        self.say("220 test")
        for line in self.rfile:
            match line[:4].upper():
                case b"DATA":
                    self.say("354 go on")
                    self.server.mails.append("".join(part.decode() for part in iter(self.rfile.readline, b".\r\n")))
                    self.say("250 taken")
                case b"QUIT":
                    return self.say("221 bye")
                case _:
                    self.say("250 test")


def state(database: Database) -> bool:
    """Whether there is a schema of ours."""
    return database.value("SELECT to_regnamespace('ak_stages') IS NOT NULL")


def extensions(lab: Lab, report: Report) -> None:
    """Mail, and the tables that it takes"""
    database = of_release(lab, "2026.5.0")
    grant(lab, database)
    inbox = Inbox()
    settings = AS_ROLE | inbox.settings
    with lab.serve(database, **settings) as server:
        api = server.client()
        flow = api.make("/flows/instances/", FLOW)
        made = api.make("/stages/invitation/invitations/", {"name": "welcome", "flow": flow["pk"]})
        one = f"/stages/invitation/invitations/{made['pk']}/"

        def send() -> list:
            answer = api.send("POST", f"{one}send_email/", {"email_addresses": ["a@example.org"]})
            return [answer.status, answer.body]

        detail = "The database lacks the tables for mail. `ak-stages extensions` prints the SQL that makes them."
        report.same("without the tables", send(), [501, {"detail": detail}])
        doctor = lab.ak_stages(database, "doctor", **settings)
        report.check("doctor", doctor.returncode == 0 and "tables missing" in doctor.stdout, doctor)
        report.check("nobody made a schema", not state(database))

        database.execute(lab.ak_stages(database, "extensions").stdout)
        refused = send()
        report.check("without the privileges", refused[0] == 403 and "ak_stages" in refused[1]["detail"], refused)
        doctor = lab.ak_stages(database, "doctor", **settings)
        report.check("doctor", "not for this role" in doctor.stdout, doctor)

        rows = database.counts()
        database.execute(lab.ak_stages(database, "extensions", ROLE).stdout)
        report.same("with both, and no restart", send(), [204, ""])
        report.check("a mail arrives", inbox.holds(1), inbox.mails)
        report.same("authentik's tables are as before", database.growth(rows), {})
        doctor = lab.ak_stages(database, "doctor", **settings)
        report.check("doctor", "; tables there\n" in doctor.stdout, doctor)
        deadline = time.monotonic() + PATIENCE
        while (shown := api.get(f"{one}messages/").body)[0]["state"] != "sent" and time.monotonic() < deadline:
            time.sleep(0.05)
        report.same("it is told", [shown[0]["state"], shown[0]["reply"]], ["sent", "250 taken"])

        database.execute("DROP SCHEMA ak_stages CASCADE")
        report.same("without the schema again", send(), [501, {"detail": detail}])
        report.same("and nothing else is lost", api.get(one).status, 200)
    inbox.shutdown()
