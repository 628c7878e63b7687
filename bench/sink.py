"""An SMTP server that takes everything at once and keeps nothing: a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import re
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized

from cluster import free_port, wait_for

MESSAGE_ID = re.compile(rb"^Message-ID: (.*)\r$", re.MULTILINE)
END_OF_DATA = b"\r\n.\r\n"
# What is said to the commands that get more than a 250.
ANSWERS = {b"EHLO": b"250-sink\r\n250 8BITMIME\r\n", b"DATA": b"354 go on\r\n"}


class Sink:
    """One that greets nobody until it is opened."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.port = free_port()
        self._gate, self._listens = context.Event(), context.Event()
        self._taken, self._distinct = context.Value("L", 0), context.Value("L", 0)
        arguments = (self.port, self._listens, self._gate, self._taken, self._distinct)
        self.process = context.Process(target=run, args=arguments, daemon=True)

    def open(self) -> None:
        """Greet those who wait, and everybody from now on."""
        self._gate.set()

    @property
    def taken(self) -> int:
        """Messages so far."""
        return self._taken.value

    @property
    def distinct(self) -> int:
        """Different `Message-ID`s so far."""
        return self._distinct.value


@contextmanager
def sink() -> Iterator[Sink]:
    """A [`Sink`] that listens as long as the context."""
    made = Sink()
    made.process.start()
    try:
        wait_for("the SMTP server listens", made._listens.is_set)
        yield made
    finally:
        made.process.terminate()
        made.process.join()


class Session(asyncio.Protocol):
    """A connection."""

    def __init__(self, greets: asyncio.Event, taken: Synchronized, distinct: Synchronized, seen: set[bytes]) -> None:
        self.greets, self.taken, self.distinct, self.seen = greets, taken, distinct, seen
        self.received, self.in_data = b"", False

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.greeting = asyncio.ensure_future(self.greet())

    async def greet(self) -> None:
        """Once the gate is open."""
        await self.greets.wait()
        self.transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self.received += data
        while True:
            part, found, rest = self.received.partition(END_OF_DATA if self.in_data else b"\r\n")
            if not found:
                return
            self.received = rest
            if self.in_data:
                self.take(part)
            else:
                self.command(part.upper())

    def command(self, line: bytes) -> None:
        """Answer one."""
        name = line[:4]
        self.in_data = name == b"DATA"
        if name == b"QUIT":
            self.transport.close()
        else:
            self.transport.write(ANSWERS.get(name, b"250 ok\r\n"))

    def take(self, message: bytes) -> None:
        """Count a message."""
        self.in_data = False
        self.seen.add(MESSAGE_ID.search(message)[1])
        self.taken.value += 1
        self.distinct.value = len(self.seen)
        self.transport.write(b"250 taken\r\n")


def run(port: int, listens, gate, taken: Synchronized, distinct: Synchronized) -> None:
    """Serve until the process is ended."""

    async def serve() -> None:
        greets, seen = asyncio.Event(), set()
        loop = asyncio.get_running_loop()
        await loop.create_server(lambda: Session(greets, taken, distinct, seen), "127.0.0.1", port)
        listens.set()
        await loop.run_in_executor(None, gate.wait)
        greets.set()
        await asyncio.Event().wait()

    asyncio.run(serve())
