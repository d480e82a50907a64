"""The users of whole nodes in virtual time: they talk to one node after another until their work is at an end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

import trio

from trioraft.addresses import Address
from trioraft.testing.history import History
from trioraft.testing.network import MemoryConnection, MemoryHub, MemoryNetwork
from trioraft.testing.pipelines import Done, Exchange
from trioraft.testing.users.user import Next, User
from trioraft.wire.codec import encode

_IDLE_SECONDS: Final = 0.1
_PATIENCE: Final = 3.0
"""After how many seconds without a reply a user leaves a node."""


class _Line:
    """One connection of a user."""

    def __init__(self, exchange: Exchange, connection: MemoryConnection) -> None:
        self.exchange = exchange
        self.lines: list[bytes] = []
        """The lines that came, and were not taken yet."""
        self.ended = False
        self.news = trio.Event()
        self._connection = connection
        self._rest = b""

    def say(self, asked: Next) -> None:
        """Ask these. Raises ConnectionError where the user wants to leave."""
        if asked is None:
            raise ConnectionError
        for one in asked:
            self.exchange.ask(one, trio.current_time())
        if asked:
            self._connection.send(b"".join(encode(one) + b"\n" for one in asked))

    def received(self, data: bytes) -> None:
        """Take replies and events, or a part of one."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.lines += lines
        self.ended = self.ended or not data
        self.news.set()

    def drained(self) -> None:
        """Do nothing: sending does not wait for room."""

    def broken(self) -> None:
        """Note that the connection is gone."""
        self.ended = True
        self.news.set()


class NodeUser:
    """One user and its connection."""

    def __init__(
        self,
        user: User,
        number: int,
        network: MemoryNetwork,
        addresses: Sequence[Address],
        random: Random,
        history: History,
        report: Callable[[str], None],
    ) -> None:
        self.user = user
        self._number = number
        self._hub = MemoryHub(network, f"user{number}")
        self._addresses = addresses
        self._random = random
        self._history = history
        self._report = report

    async def run(self) -> None:
        """Talk to nodes until the user is done."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve)
            while not self.user.done:
                try:
                    with trio.fail_after(1):
                        connection = await self._hub.dial(self._random.choice(self._addresses))
                except (OSError, trio.TooSlowError):
                    await trio.sleep(self._random.uniform(0, 0.2))
                    continue
                await self._talk(connection)
                connection.close()
                await trio.sleep(self._random.uniform(0, 0.1))
            nursery.cancel_scope.cancel()

    async def _serve(self) -> None:
        while True:
            await self._hub.wait()
            self._hub.serve()

    async def _talk(self, connection: MemoryConnection) -> None:
        """Use one connection until it breaks, the user leaves it, or is done."""
        line = connection.handler = _Line(Exchange(self._number, self._history), connection)
        connection.resume()
        heard = idle = trio.current_time()
        try:
            line.say(self.user.connected())
            while not self.user.done and not line.ended:
                with trio.move_on_after(_IDLE_SECONDS):
                    await line.news.wait()
                line.news = trio.Event()
                now = trio.current_time()
                if line.lines or not line.exchange.waiting:
                    heard = now
                self._hear(line)
                if now - heard > _PATIENCE:
                    return
                if now - idle >= _IDLE_SECONDS:
                    idle = now
                    line.say(self.user.idle())
        except ConnectionError:
            return

    def _hear(self, line: _Line) -> None:
        lines, line.lines = line.lines, []
        for one in lines:
            self._report(f"user {self._number} is told {one.decode()}")
            told = line.exchange.take(one, trio.current_time())
            if isinstance(told, Done):
                line.say(self.user.answered(told.asked, told.reply))
            else:
                line.say(self.user.told(told.stream, told.push))
