"""Runs a command beside an SMTP server, aiosmtpd: inbox.py COMMAND [ARGUMENT…]

The command finds its port in SMTP_PORT, and in INBOX a directory with what it took: a file for each recipient, named like the
address, with the text of the mails to it.
"""

import os
import socket
import subprocess
import sys
import tempfile
from email import message_from_bytes, policy
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope


class Inbox:
    """Takes mail for everybody."""

    def __init__(self, place: str) -> None:
        self.place = Path(place)

    async def handle_DATA(self, _server, _session, envelope: Envelope) -> str:
        mail = message_from_bytes(envelope.content, policy=policy.SMTP)
        text = mail.get_body(("plain",)).get_content()
        for recipient in envelope.rcpt_tos:
            partial = self.place / f".{recipient}"
            partial.write_text(f"Subject: {mail['Subject']}\n\n{text}")
            partial.rename(self.place / recipient)
        return "250 taken"


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="ak-stages-inbox-") as place:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = Controller(Inbox(place), hostname="127.0.0.1", port=port, ready_timeout=60)
        server.start()
        try:
            return subprocess.run(sys.argv[1:], env=os.environ | {"SMTP_PORT": str(port), "INBOX": place}).returncode
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
