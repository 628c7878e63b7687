"""A relay between a server and PostgreSQL, for what no log says: bare pings, and the types of parameters."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

# The client's message that prepares a statement.
PARSE = b"P"
# PostgreSQL's message that ends its answer to a query, and to each bare Sync.
READY_FOR_QUERY = b"Z"


class Relay:
    """Listens on a port, and passes everything on to another one of this machine."""

    def __init__(self, target: int) -> None:
        self.target, self.lock = target, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.round_trips = 0
        """How often PostgreSQL has said that it is ready for the next query."""
        self.types: dict[str, tuple[int, ...]] = {}
        """By a prepared statement's text, what its client says of the parameters' types: their `pg_type.oid`, or 0."""

    def accept(self) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            postgresql = socket.create_connection(("127.0.0.1", self.target))
            for work, source, sink in ((self.ask, client, postgresql), (self.answer, postgresql, client)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=work, args=(source, sink), daemon=True).start()

    def ask(self, client: socket.socket, postgresql: socket.socket) -> None:
        """Pass a client's messages on, and remember what it prepares."""
        with suppress(OSError):  # one side has gone
            stream = client.makefile("rb")
            first = stream.read(4)  # the one message without a letter
            postgresql.sendall(first + stream.read(length(first)))
            for head, content in messages(stream):
                if head[:1] == PARSE:
                    _, text, rest = content.split(b"\0", 2)
                    self.types[text.decode()] = struct.unpack_from(f"!{struct.unpack_from('!h', rest)[0]}i", rest, 2)
                postgresql.sendall(head + content)
            postgresql.shutdown(socket.SHUT_WR)

    def answer(self, postgresql: socket.socket, client: socket.socket) -> None:
        """Pass PostgreSQL's messages on, and count."""
        with suppress(OSError):
            for head, content in messages(postgresql.makefile("rb")):
                if head[:1] == READY_FOR_QUERY:
                    with self.lock:
                        self.round_trips += 1
                client.sendall(head + content)
        client.close()


def length(head: bytes) -> int:
    """How much content follows a length, which counts itself."""
    return struct.unpack("!i", head[-4:])[0] - 4


def messages(stream: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Letter and length, and content, of each message of a stream."""
    while len(head := stream.read(5)) == 5:
        yield head, stream.read(length(head))


@contextmanager
def relay(target: int) -> Iterator[Relay]:
    """A [`Relay`] that takes connections as long as the context."""
    made = Relay(target)
    threading.Thread(target=made.accept, daemon=True).start()
    with made.listener:
        yield made
