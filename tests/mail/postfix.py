"""ak-stages sends invitations through Debian's Postfix, by STARTTLS and by TLS, with a login: every mail arrives once.

Mails are queued while Postfix isn't there yet. One recipient is unknown to it, and one is told to come again later.
"""

import mailbox
import os
import pwd
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from main import PASSWORD, PATIENCE, Program, certificate, no_secrets, same

MAILS = 100
MAIN = """
compatibility_level = 3.6
queue_directory = {place}/queue
data_directory = {place}/data
maillog_file_prefixes = {place}
maillog_file = {place}/log
myhostname = localhost
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains = example.org
virtual_mailbox_base = {place}
virtual_mailbox_maps = regexp:{place}/recipients
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_received_header = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_authenticated_header = yes
smtpd_sasl_local_domain = localhost
cyrus_sasl_config_path = {place}/sasl
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_recipient_access regexp:{place}/access, permit_sasl_authenticated, reject
"""
# Services by name: type, whether it is private, when it wakes up, how many there are, and which program. None in a chroot.
MASTER = """
127.0.0.1:{starttls} inet n - n - - smtpd
127.0.0.1:{tls} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""
SASL = """
pwcheck_method: auxprop
auxprop_plugin: sasldb
mech_list: PLAIN LOGIN
sasldb_path: {place}/sasldb2
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


class Postfix:
    """One with all that is its own in a directory. Not started yet."""

    def __init__(self, place: Path, cert: Path) -> None:
        self.place = place
        self.starttls, self.tls = free_port(), free_port()
        user = pwd.getpwnam("postfix")
        values = {
            "place": place, "uid": user.pw_uid, "gid": user.pw_gid, "cert": cert, "key": cert.with_name("key.pem"),
            "starttls": self.starttls, "tls": self.tls,
        }
        for directory in ("queue", "data", "sasl", "inbox"):
            (place / directory).mkdir()
        for directory in ("data", "inbox"):
            os.chown(place / directory, user.pw_uid, user.pw_gid)
        for name, text in {"main.cf": MAIN, "master.cf": MASTER, "sasl/smtpd.conf": SASL}.items():
            (place / name).write_text(text.format(**values))
        (place / "recipients").write_text("!/^nobody@/ inbox/\n")
        self.deny("later")
        command = ["saslpasswd2", "-p", "-c", "-u", "localhost", "-f", place / "sasldb2", "mailer"]
        subprocess.run(command, input=PASSWORD.encode(), check=True)
        os.chown(place / "sasldb2", user.pw_uid, user.pw_gid)

    def deny(self, *names: str) -> None:
        """Tell these to come again later."""
        lines = [f"/^{name}@/ 450 4.7.1 come again later\n" for name in names]
        (self.place / "access").write_text("".join(lines))

    def postfix(self, command: str) -> None:
        done = subprocess.run(["postfix", "-c", self.place, command], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"postfix {command}: {done.stdout}{done.stderr}{self.log()}")

    def log(self) -> str:
        log = self.place / "log"
        return log.read_text() if log.exists() else ""

    def mails(self) -> list:
        """What was delivered."""
        return list(mailbox.Maildir(self.place / "inbox"))


def wait_for(what: str, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise SystemExit(f"not seen: {what}")
        time.sleep(0.1)


def case(name: str, cert: Path, port: str, settings: dict) -> None:
    # Postfix may take a moment to leave it.
    with tempfile.TemporaryDirectory(prefix="ak-stages-", ignore_cleanup_errors=True) as work:
        directory = Path(work)
        directory.chmod(0o755)  # PostgreSQL and Postfix run as other users
        (directory / "postfix").mkdir()
        postfix = Postfix(directory / "postfix", cert)
        program = Program(directory, **{
            "AUTHENTIK_EMAIL__HOST": "localhost", "AUTHENTIK_EMAIL__PORT": str(getattr(postfix, port)),
            "AUTHENTIK_EMAIL__USERNAME": "mailer", "AUTHENTIK_EMAIL__PASSWORD": PASSWORD,
            "AUTHENTIK_STAGES__EMAIL_ROOT_CERT": str(cert), "AUTHENTIK_STAGES__EMAIL_RETRY": "milliseconds=500",
            "AUTHENTIK_STAGES__EMAIL_PER_SENDER": "0",
        } | settings)
        try:
            check(name, program, postfix)
        finally:
            program.stop()
            if postfix.log():
                postfix.postfix("stop")
    print(f"ok    Postfix: {name}")


def check(name: str, program: Program, postfix: Postfix) -> None:
    key = program.invitation()
    path = f"/stages/invitation/invitations/{key}/"
    names = [f"a{number}" for number in range(MAILS)] + ["later"]
    addresses = [f"{name}@example.org" for name in [*names, "nobody"]]
    program.ask("POST", f"{path}send_email/", {"email_addresses": addresses})

    def messages() -> dict:
        return {message["address"]: message for message in program.ask("GET", f"{path}messages/")}

    def states() -> Counter:
        return Counter(message["state"] for message in messages().values())

    wait_for("a mail that failed", lambda: states()["failed"] > 0)  # nobody is there yet
    postfix.postfix("start")
    wait_for("all but one", lambda: states() == {"sent": MAILS, "failed": 1, "dead": 1})
    for who, reply in {"later": "come again later", "nobody": "User unknown"}.items():
        same(f"{name}: {who}", reply in messages()[f"{who}@example.org"]["reply"], True)
    postfix.deny()
    postfix.postfix("reload")
    wait_for("the last one", lambda: states() == {"sent": MAILS + 1, "dead": 1})
    wait_for("delivery", lambda: len(postfix.mails()) > MAILS)

    mails = postfix.mails()
    expected = {f"<{message['pk']}@example.com>": address for address, message in messages().items()}
    arrived = Counter((expected[mail["Message-ID"]], mail["Delivered-To"]) for mail in mails)
    same(f"{name}: mails", arrived, Counter((f"{name}@example.org",) * 2 for name in names))
    for mail in mails:
        for what in ("using TLSv1.3", "Authenticated sender: mailer@localhost"):
            same(f"{name}: {what}", what in mail["Received"], True)
    no_secrets(name, program, key)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        cert, _ = certificate(Path(directory))
        cert.parent.chmod(0o755)
        case("STARTTLS", cert, "starttls", {"AUTHENTIK_EMAIL__USE_TLS": "true"})
        case("TLS", cert, "tls", {"AUTHENTIK_EMAIL__USE_SSL": "true"})


if __name__ == "__main__":
    sys.exit(main())
