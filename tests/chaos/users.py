"""The users of `trioraft.testing.users` on real connections, each a thread with a socket of its own."""

from __future__ import annotations

import socket
import threading
import time
from random import Random

from trioraft.testing.history import History
from trioraft.testing.pipelines import Done, Exchange
from trioraft.testing.users.user import Next, User
from trioraft.wire.codec import encode

from ..helpers.processes import HOST

IDLE_SECONDS = 0.1
PATIENCE_SECONDS = 4.0
"""How long a user waits for a reply: longer than a node holds a request without a leader."""


class UserThread:
    """One user, which talks to one node after another until its work is at an end."""

    def __init__(self, user: User, number: int, ports: list[int], history: History, random: Random) -> None:
        self.user = user
        self.gone = threading.Event()
        """Set to let it end though its work is not."""
        self._number = number
        self._ports = ports
        self._history = history
        self._random = random

    def run(self) -> None:
        """Talk to nodes until the user is done."""
        while not self.user.done and not self.gone.is_set():
            try:
                with socket.create_connection((HOST, self._random.choice(self._ports)), 1.0) as connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    _Talk(self.user, connection, Exchange(self._number, self._history)).go_on(self.gone)
            except OSError:
                pass
            self.gone.wait(self._random.uniform(0, 0.1))


class _Talk:
    """One connection of a user."""

    def __init__(self, user: User, connection: socket.socket, exchange: Exchange) -> None:
        self._user = user
        self._connection = connection
        self._exchange = exchange
        self._rest = b""

    def go_on(self, gone: threading.Event) -> None:
        """Talk until the user is done. Raises OSError where the connection breaks, or the user leaves it."""
        self._say(self._user.connected())
        heard = idle = time.monotonic()
        while not self._user.done and not gone.is_set():
            self._connection.settimeout(max(0.001, idle + IDLE_SECONDS - time.monotonic()))
            try:
                data = self._connection.recv(1 << 16)
            except TimeoutError:
                data = None
            now = time.monotonic()
            if data == b"":
                raise ConnectionError("the node has closed the connection")
            if data:
                self._hear(data, now)
            if data or not self._exchange.waiting:
                heard = now
            if now - heard > PATIENCE_SECONDS:
                raise TimeoutError("the node does not answer")
            if now - idle >= IDLE_SECONDS:
                idle = now
                self._say(self._user.idle())

    def _hear(self, data: bytes, now: float) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        asked: list[Next] = []
        for line in lines:
            told = self._exchange.take(line, now)
            if isinstance(told, Done):
                asked.append(self._user.answered(told.asked, told.reply))
            else:
                asked.append(self._user.told(told.stream, told.push))
        for one in asked:
            self._say(one)

    def _say(self, asked: Next) -> None:
        if asked is None:
            raise ConnectionError("the user leaves")
        for one in asked:
            self._exchange.ask(one, time.monotonic())
        if asked:
            self._connection.settimeout(PATIENCE_SECONDS)
            self._connection.sendall(b"".join(encode(one) + b"\n" for one in asked))
